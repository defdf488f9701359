"""What a subject prefers within what it agreed to: topics, how often, and a break; and which wish asks for more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handraiser.core.consent import Entry, Event

PREFERS = frozenset({Event.PREFERRED, Event.PAUSED, Event.RESUMED})
"""Events that say how a subject is written to, and leave every standing as it is."""

BREAKS = (1, 3, 6)
"""How many months a break from the page lasts."""

TOUCHPOINT = "web:preferences"
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
"""What names a purpose, a choice, a block."""

_DAY_MS = 86_400_000
_MONTH_DAYS = 365 / 12


@dataclass(frozen=True, slots=True)
class Choice:
    """A topic, or a frequency, that one may choose within a purpose: ``id`` is kept, ``texts`` (by language) shown."""

    id: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Preference:
    """What of one purpose is wanted: these topics, in its order (None = whatever it holds), as often as ``frequency``
    says ("" = as promised)."""

    topics: tuple[str, ...] | None = None
    frequency: str = ""

    def to_json(self) -> str:
        """The text that an entry holds; the same wish is the same text."""
        return json.dumps({"frequency": self.frequency, "topics": self.topics}, sort_keys=True)

    def as_json(self) -> dict[str, Any]:
        """What callers are told."""
        return {"topics": None if self.topics is None else list(self.topics), "frequency": self.frequency or None}

    @classmethod
    def from_json(cls, text: str) -> Preference:
        """The inverse of :meth:`to_json`; "" is no wish."""
        kept = json.loads(text) if text else {}
        topics = kept.get("topics")
        return cls(None if topics is None else tuple(topics), kept.get("frequency", ""))


def lesser(held: Preference, wanted: Preference, frequencies: Sequence[str]) -> Preference:
    """What of ``wanted`` asks for nothing more than ``held``: the topics of both, and the rarer frequency.

    ``frequencies`` are the purpose's own, each rarer than the one before and than the promise. Where the two have no
    topic in common those that are held stay: who swaps topics does not leave.
    """
    topics = wanted.topics if held.topics is None else held.topics
    if wanted.topics is not None and held.topics is not None:
        topics = tuple(one for one in held.topics if one in wanted.topics) or held.topics
    rarity = {"": -1} | {name: n for n, name in enumerate(frequencies)}
    frequency = max(held.frequency, wanted.frequency, key=lambda name: rarity.get(name, -1))
    return Preference(topics, frequency)


def break_until(now: int, months: int) -> int:
    """When a break ends (ms UTC): the midnight after so many twelfths of a year, so that a second press is the same."""
    return (now // _DAY_MS + 1 + round(months * _MONTH_DAYS)) * _DAY_MS


def preferred(entries: Iterable[Entry]) -> dict[str, Entry]:
    """What one subject's entries, oldest first, add up to: by purpose (``*`` for the break) the entry that holds.

    An erasure ends all that was before it.
    """
    holding: dict[str, Entry] = {}
    for entry in entries:
        if entry.event == Event.ERASED:
            holding.clear()
        if entry.event in PREFERS:
            holding[entry.purpose] = entry
    return holding
