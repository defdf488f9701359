"""Turns: one shop's flood waits in a line of its own, and the other shops' emails are composed meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from handraiser.doors.web import Problem
from handraiser.errors import StoreUnavailable

AT_WORK = 12
"""Emails of one shop that are composed at a time. More at once are no faster, for one process has one core; they only
hold memory, some 300 kB each until their commit."""
WAITING = 2_000
"""Most that wait for a turn, a shop; whoever comes then is told to come again in a second."""
SUSPENDED_SECONDS = 5.0


class Turns:
    """Lets so many of a shop's requests work at a time, in the order in which they came."""

    def __init__(self, at_work: int = AT_WORK, waiting: int = WAITING) -> None:
        self._at_work, self._waiting = at_work, waiting
        self._working: dict[bytes, int] = {}
        self._lines: dict[bytes, deque[asyncio.Future[None]]] = {}
        self._suspended_until = 0.0

    @asynccontextmanager
    async def of(self, shop_id: bytes) -> AsyncIterator[None]:
        """A shop's turn, held until the block ends. Raises :class:`Problem` (429) when too many wait already."""
        if self._working.get(shop_id, 0) >= self._at_work and time.monotonic() >= self._suspended_until:
            await self._stand_in_line(shop_id)
        else:
            self._working[shop_id] = self._working.get(shop_id, 0) + 1
        try:
            yield
        except StoreUnavailable:
            self._suspend()
            raise
        finally:
            self._pass_on(shop_id)

    def told(self, skipped_reason: str) -> None:
        """What an email was composed without: where that was the store, turns are suspended."""
        if skipped_reason == "store_unavailable":
            self._suspend()

    def _suspend(self) -> None:
        """The store is away: whoever works waits for it, up to its time limit, so a turn would be worth nothing. For
        five seconds nobody waits for one, and whoever does now goes on: the receipt must go out."""
        self._suspended_until = time.monotonic() + SUSPENDED_SECONDS
        for shop_id, line in self._lines.items():
            for waiting in line:
                if not waiting.done():
                    waiting.set_result(None)
                    self._working[shop_id] += 1
        self._lines.clear()

    async def _stand_in_line(self, shop_id: bytes) -> None:
        """Wait for a turn that another passes on; it is counted as working by whoever does."""
        line = self._lines.setdefault(shop_id, deque())
        if len(line) >= self._waiting:
            raise Problem(429, f"{self._waiting} emails of this shop wait already.", headers={"Retry-After": "1"})
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on(shop_id)
            raise

    def _pass_on(self, shop_id: bytes) -> None:
        """Give a turn to the next who still waits, else back."""
        line = self._lines.get(shop_id)
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        else:
            self._working[shop_id] -= 1
            if not self._working[shop_id]:
                del self._working[shop_id]
        if not line:
            self._lines.pop(shop_id, None)
