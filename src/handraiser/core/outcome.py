"""What came of a subject's first exposure to an experiment: one reading of its ledger entries, the same at any time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from handraiser.core.consent import ALL_PURPOSES, Event
from handraiser.core.feedback import LOW

DAY_MS = 86_400_000

GUARD_DAYS = 30
"""How long a guardrail watches: after the yes for a withdrawal, after the first exposure for the others."""

EVENTS = (Event.GRANTED, Event.RENEWED, Event.VOIDED, Event.WITHDRAWN, Event.OBJECTED)
"""The events that an outcome depends on."""


class Said(NamedTuple):
    """What an outcome needs to know of a ledger entry; ``occurred_at`` in ms UTC."""

    purpose: str
    event: str
    occurred_at: int
    method: str
    attestation: str
    actor: str

    @property
    def pressed(self) -> bool:
        """Whether a person's press gave it, here: no import, no other system, no visit that nobody pressed in."""
        return self.method == "button" and self.attestation != "none"


class Outcome(NamedTuple):
    """Whole days (24 h) from the first exposure to what came of it; None for what did not."""

    converted: int | None = None
    withdrawn: int | None = None
    objected: int | None = None
    not_me: int | None = None
    scored: int | None = None
    unhappy: int | None = None

    @property
    def packed(self) -> str:
        """As it is kept beside an exposure: "" where nothing came of it, as for most."""
        text = ",".join("" if lag is None else str(lag) for lag in self)
        return text.rstrip(",")

    @classmethod
    def unpacked(cls, packed: str) -> Outcome:
        """What :attr:`packed` kept."""
        return cls(*(int(lag) if lag else None for lag in packed.split(",")))


def outcome(
    exposed_at: int, purpose: str, window: int, entries: Iterable[Said], scores: Iterable[tuple[int, int]] = ()
) -> Outcome:
    """What ``entries``, all of one subject and in the order of the ledger, say of an exposure at ``exposed_at`` (ms),
    and its ``scores``, each with its moment (ms).

    *Converted*: the first yes to ``purpose`` that a person pressed within ``window`` days and that was not voided
    since, whichever email held it. *Withdrawn*: taken back within 30 days of that yes, and not given again since.
    *Objected* and *not me*: said within 30 days of the exposure. *Scored*: the first score of these days; *unhappy*
    where that was a low one.
    """
    until = exposed_at + window * DAY_MS
    yes = withdrawn = objected = not_me = None
    for said in entries:
        at = said.occurred_at
        if at < exposed_at or said.purpose not in (purpose, ALL_PURPOSES):
            continue
        guarded = at < exposed_at + GUARD_DAYS * DAY_MS
        if said.event in (Event.GRANTED, Event.RENEWED):
            withdrawn = None
            if said.pressed and yes is None and at < until:
                yes = at
        elif said.event == Event.VOIDED:
            yes = withdrawn = None
            if said.actor == "subject" and not_me is None and guarded:
                not_me = at
        elif said.event == Event.WITHDRAWN and yes is not None and at < yes + GUARD_DAYS * DAY_MS:
            withdrawn = at
        elif said.event == Event.OBJECTED and objected is None and guarded:
            objected = at
    scored, score = min(
        ((at, score) for at, score in scores if 0 <= at - exposed_at < GUARD_DAYS * DAY_MS), default=(None, 0)
    )
    unhappy = scored if score <= LOW else None
    moments = (yes, withdrawn, objected, not_me, scored, unhappy)
    return Outcome(*(None if at is None else (at - exposed_at) // DAY_MS for at in moments))
