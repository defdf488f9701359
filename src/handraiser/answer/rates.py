"""How often links may be visited: by network, and by message.

Whoever leaves, refuses or takes a yes back is never counted. Every process counts for itself, so that a visit costs no
query, and every tenth visit of a network is told to the others through the database. The count by message is the click
log's.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass

from handraiser.answer.asks import Ask
from handraiser.errors import StoreError, TooMany
from handraiser.store import visit_rates
from handraiser.store.database import Database

log = logging.getLogger("handraiser.answer")

NETWORK_MINUTE = 300
MESSAGE_HOUR = 30
MINUTE_MS = 60_000
TOLD = 10
"""Visits of one network in one process between two looks at what the others saw."""
_NETWORKS = 100_000


@dataclass(slots=True)
class _Seen:
    """Visits of one network in this minute: by this process, and by all others when they were last looked at."""

    here: int = 0
    elsewhere: int = 0


class Rates:
    """Counts visits in the current minute; ``keyed`` makes the hash that stands for a network in the database, None
    without a key: then nothing is told to others."""

    def __init__(self, database: Database, keyed: Callable[[bytes, bytes], bytes | None]) -> None:
        self._database, self._keyed = database, keyed
        self._minute = 0
        self._visits: dict[str, _Seen] = {}

    async def visit(self, network: str, now: int) -> None:
        """Count a visit from ``network`` (/24 or /48, "" where there is none) at ``now`` (ms UTC).

        Raises :class:`TooMany` beyond 300 a minute in all processes together; each may see nine more that it has not
        told yet. An address that is not public belongs to a proxy that stands for everybody, and is not counted.
        """
        if not network or not ipaddress.ip_network(network).is_global:
            return
        minute = now // MINUTE_MS
        if minute != self._minute or len(self._visits) >= _NETWORKS:
            self._minute, self._visits = minute, {}
        seen = self._visits.setdefault(network, _Seen())
        seen.here += 1
        if seen.here % TOLD == 0 and seen.here + seen.elsewhere <= NETWORK_MINUTE:
            await self._tell(network, minute, seen)
        if seen.here + seen.elsewhere > NETWORK_MINUTE:
            raise TooMany(60)

    async def _tell(self, network: str, minute: int, seen: _Seen) -> None:
        """Tell the others of ten visits more, and learn of theirs; without the database each counts alone."""
        key = self._keyed(b"visits", network.encode())
        if key is None:
            return
        here = seen.here
        try:
            async with self._database.transaction() as tx:
                seen.elsewhere = max(await visit_rates.add(tx, key, minute, TOLD) - here, seen.elsewhere)
        except StoreError as error:
            log.info("visits are counted by this process alone", extra={"facts": {"error": type(error).__name__}})

    @staticmethod
    def press(ask: Ask) -> None:
        """Raise :class:`TooMany` where the message was pressed 30 times within an hour."""
        if ask.trail.presses >= MESSAGE_HOUR:
            raise TooMany(3600)
