"""How often links may be visited: by network, and by message.

Whoever leaves, refuses or takes a yes back is never counted. The count by network is this process's own, so that it
costs no query; the one by message is the click log's.
"""

from __future__ import annotations

import ipaddress

from handraiser.answer.asks import Ask
from handraiser.errors import TooMany

NETWORK_MINUTE = 300
MESSAGE_HOUR = 30
MINUTE_MS = 60_000
_NETWORKS = 100_000


class Rates:
    """Counts visits in the current minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._visits: dict[str, int] = {}

    def visit(self, network: str, now: int) -> None:
        """Count a visit from ``network`` (/24 or /48, "" where there is none) at ``now`` (ms UTC).

        Raises :class:`TooMany` beyond 300 a minute. An address that is not public belongs to a proxy that stands for
        everybody, and is not counted.
        """
        if not network or not ipaddress.ip_network(network).is_global:
            return
        minute = now // MINUTE_MS
        if minute != self._minute or len(self._visits) >= _NETWORKS:
            self._minute, self._visits = minute, {}
        seen = self._visits[network] = self._visits.get(network, 0) + 1
        if seen > NETWORK_MINUTE:
            raise TooMany(60)

    @staticmethod
    def press(ask: Ask) -> None:
        """Raise :class:`TooMany` where the message was pressed 30 times within an hour."""
        if ask.trail.presses >= MESSAGE_HOUR:
            raise TooMany(3600)
