"""Which blocks one message shows: at most one a slot and at most one ask, each test by one of its arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from handraiser.core.assignment import HELD_OUT
from handraiser.core.block import BlockVersion
from handraiser.core.eligibility import Situation, Why, refusal
from handraiser.core.experiment import Entry
from handraiser.core.placement import Skip


@dataclass(frozen=True, slots=True)
class Choice:
    """What to place, what not and why; ``would_ask`` says that in ``observe`` mode an ask would have been shown.

    ``arms`` are those of the placed blocks that stand for a test, by slot; ``drawn`` is every arm that this message
    stands for, shown or not.
    """

    placed: Mapping[str, BlockVersion]
    skipped: tuple[Skip, ...]
    would_ask: bool = False
    arms: Mapping[str, Entry] = field(default_factory=dict)
    drawn: tuple[Entry, ...] = ()


_HELD_OUT = ("holdout", "nothing: the holdout keeps this customer as it is; lower its share to let newcomers in")
_OTHER_ARM = ("experiment", "nothing: the test {} shows this customer another arm; stop or ship it to end that")


def choose(
    situation: Situation,
    blocks: Sequence[BlockVersion],
    stands: Callable[[BlockVersion], bool],
    entries: Sequence[Entry] = (),
    holdout: Entry | None = None,
) -> Choice:
    """The blocks to place, at most one a slot and at most one ask; every other live block with its reason.

    ``stands`` says whether every variant of a block is compiled for this mail's page and language. Of several that fit
    the highest ``priority`` wins, then the first slug. In ``observe`` mode the choice is made the same way and only its
    outcome is withheld.

    The blocks of a test's arms (``entries``) stand for one: all of them may be shown or none is, so nothing that
    refuses depends on the arm. An arm of nothing keeps its slot empty. ``holdout`` takes everything away at the end.
    """
    leads: dict[bytes, Entry] = {}
    if entries:
        tested = {one.block_id for entry in entries for one in entry.running.shown()}
        blocks = [one for one in blocks if one.block_id not in tested]
        for entry in entries:
            blocks.append(max(entry.running.shown(), key=lambda one: one.priority))
            leads[blocks[-1].block_id] = entry
    taken: dict[str, BlockVersion] = {}
    shown: dict[str, BlockVersion] = {}
    arms: dict[str, Entry] = {}
    drawn: list[Entry] = []
    skipped: list[Skip] = []
    ask: BlockVersion | None = None
    for block in sorted(blocks, key=lambda one: (-one.priority, one.slug)):
        member = leads.get(block.block_id)
        family = member.running.shown() if member else (block,)
        why = refusal(situation, family, block, stands) or _beside(block, taken.get(block.slot), ask)
        if why is None:
            taken[block.slot] = block
            ask = block if block.kind == "opt_in" else ask
            if situation.mode != "on":
                why = ("mode", "switch the shop's mode to on")
        if why is not None:
            skipped += [Skip(one.slot, one.slug, *why) for one in family]
        elif member is None:
            shown[block.slot] = block
        else:
            drawn.append(member)
            skipped += _other_arms(member)
            if member.block is not None:
                shown[block.slot], arms[block.slot] = member.block, member
    if situation.mode != "on":
        return Choice({}, tuple(skipped), would_ask=ask is not None)
    if holdout is not None and (shown or drawn):
        if holdout.draw.arm == HELD_OUT:
            gone = [Skip(slot, one.slug, *_HELD_OUT) for slot, one in taken.items()]
            return Choice({}, (*skipped, *gone), drawn=(holdout,))
        drawn.append(holdout)
    return Choice(shown, tuple(skipped), arms=arms, drawn=tuple(drawn))


def _other_arms(entry: Entry) -> list[Skip]:
    """What the subject does not see because of its arm."""
    why = (_OTHER_ARM[0], _OTHER_ARM[1].format(entry.running.experiment.key))
    mine = entry.block.slug if entry.block else ""
    return [Skip(one.slot, one.slug, *why) for one in entry.running.shown() if one.slug != mine]


def _beside(block: BlockVersion, there: BlockVersion | None, ask: BlockVersion | None) -> Why:
    """Why the block may not stand beside those of higher priority."""
    if block.kind == "opt_in" and ask is not None:
        return ("one_ask", f"raise its priority above that of {ask.slug}; only one ask stands in a mail")
    if there is not None:
        return ("priority", f"raise its priority above that of {there.slug}")
    return None
