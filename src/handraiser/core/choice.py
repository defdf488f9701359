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


@dataclass(slots=True)
class _Table:
    """What is laid while choosing: blocks that take their slots, those that are shown, and the arms they stand for."""

    taken: dict[str, BlockVersion] = field(default_factory=dict)
    shown: dict[str, BlockVersion] = field(default_factory=dict)
    arms: dict[str, Entry] = field(default_factory=dict)
    drawn: list[Entry] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    ask: BlockVersion | None = None


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
    tested = {one.block_id: entry for entry in entries for one in entry.running.shown()}
    table = _Table()
    candidates: list[tuple[BlockVersion, Entry | None]] = [(one, None) for one in blocks if one.block_id not in tested]
    candidates += [(max(entry.running.shown(), key=lambda one: one.priority), entry) for entry in entries]
    for block, member in sorted(candidates, key=lambda one: (-one[0].priority, one[0].slug)):
        family = member.running.shown() if member else (block,)
        why = refusal(situation, family, block, stands) or _beside(block, table.taken.get(block.slot), table.ask)
        if why is None:
            table.taken[block.slot] = block
            table.ask = block if block.kind == "opt_in" else table.ask
            if situation.mode != "on":
                why = ("mode", "switch the shop's mode to on")
        if why is not None:
            table.skipped += [Skip(block.slot, slug, *why) for slug in dict.fromkeys(one.slug for one in family)]
        else:
            _lay(table, block, member)
    if situation.mode != "on":
        return Choice({}, tuple(table.skipped), would_ask=table.ask is not None)
    if holdout is None or not (table.shown or table.drawn):
        return Choice(table.shown, tuple(table.skipped), arms=table.arms, drawn=tuple(table.drawn))
    if holdout.draw.arm == HELD_OUT:
        gone = [Skip(slot, one.slug, *_HELD_OUT) for slot, one in table.taken.items()]
        return Choice({}, (*table.skipped, *gone), drawn=(holdout,))
    return Choice(table.shown, tuple(table.skipped), arms=table.arms, drawn=(*table.drawn, holdout))


def _lay(table: _Table, block: BlockVersion, member: Entry | None) -> None:
    """Show the block, or what the subject's arm of its test shows."""
    shown = block if member is None else member.block
    if shown is not None:
        table.shown[block.slot] = shown
    if member is None:
        return
    table.drawn.append(member)
    if shown is not None:
        table.arms[block.slot] = member
    why = (_OTHER_ARM[0], _OTHER_ARM[1].format(member.running.experiment.key))
    others = dict.fromkeys(one.slug for one in member.running.shown() if shown is None or one.slug != shown.slug)
    table.skipped += [Skip(block.slot, slug, *why) for slug in others]


def _beside(block: BlockVersion, there: BlockVersion | None, ask: BlockVersion | None) -> Why:
    """Why the block may not stand beside those of higher priority."""
    if block.kind == "opt_in" and ask is not None:
        return ("one_ask", f"raise its priority above that of {ask.slug}; only one ask stands in a mail")
    if there is not None:
        return ("priority", f"raise its priority above that of {there.slug}")
    return None
