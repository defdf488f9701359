"""Drains the outbox: what a commit said must happen outside is handed to its carrier, at least once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from handraiser.errors import StoreUnavailable
from handraiser.store import outbox
from handraiser.store.database import Database
from handraiser.store.outbox import Later, OutboxRow, Outcome, Overtaken, Refused, Sent

log = logging.getLogger("handraiser.outbox")

WAITS_MS = (30_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000)
"""How long after the n-th failure an event is tried again; the last wait repeats."""
GIVE_UP_MS = 8 * 86_400_000
"""A day longer than a consent waits: what is older helps nobody."""
LEASE_MS = 300_000
"""After a crash what was being carried is taken up again this much later; longer than any one delivery takes."""
BATCH = 16
POLL_SECONDS = 1.0


class Carrier(Protocol):
    """Hands one event to another system."""

    async def carry(self, row: OutboxRow) -> Outcome: ...


class Outbox:
    """Claims due events and has them carried; several replicas may drain the same outbox."""

    def __init__(self, database: Database, carriers: Mapping[str, Carrier], clock: Callable[[], int]) -> None:
        self._database, self._carriers, self._clock = database, carriers, clock
        self.observers: list[Callable[[str, str], None]] = []

    async def run(self) -> None:
        """Drain until cancelled; a store that is away is waited for."""
        while True:
            try:
                await self.drain()
            except StoreUnavailable:
                log.warning("the outbox waits for the database")
            except Exception as error:
                log.error("the outbox stumbled", exc_info=error)
            await asyncio.sleep(POLL_SECONDS)

    async def drain(self) -> int:
        """Carry everything that is due; returns how many events were taken up. Raises :class:`StoreUnavailable`."""
        if not self._carriers:
            return 0
        taken = 0
        while True:
            async with self._database.transaction() as tx:
                rows = await outbox.claim(tx, BATCH, self._clock(), LEASE_MS, tuple(self._carriers))
            if not rows:
                return taken
            taken += len(rows)
            outcomes = await asyncio.gather(*(self._carry(row) for row in rows))
            await self._keep(list(zip(rows, outcomes, strict=True)))

    async def _carry(self, row: OutboxRow) -> Outcome:
        try:
            return await self._carriers[row.carrier].carry(row)
        except StoreUnavailable:
            return Later("store_unavailable")
        except Exception as error:
            log.error("an event could not be carried", exc_info=error, extra={"facts": {"event": row.event}})
            return Later(type(error).__name__)

    async def _keep(self, carried: list[tuple[OutboxRow, Outcome]]) -> None:
        now = self._clock()
        done: list[tuple[bytes, bytes, int, str, str]] = []
        failed: list[tuple[bytes, bytes, int, str]] = []
        for row, outcome in carried:
            key = (row.controller_id, row.id)
            match outcome:
                case Sent():
                    told, reason = "sent", ""
                case Overtaken():
                    told, reason = "overtaken", ""
                case Refused(reason):
                    told = "refused"
                case Later(reason):
                    told = "given_up" if now - row.created_at > GIVE_UP_MS else "failed"
            if told == "failed":
                failed.append((*key, now + WAITS_MS[min(row.attempts, len(WAITS_MS)) - 1], reason))
            else:
                done.append((*key, now, told, reason))
            for observer in self.observers:
                observer(row.carrier, told)
            if told not in ("sent", "overtaken"):
                facts = {"carrier": row.carrier, "outcome": told, "reason": reason, "attempts": row.attempts}
                log.warning("an event was not delivered", extra={"facts": facts})
        async with self._database.transaction() as tx:
            await outbox.done(tx, done)
            await outbox.failed(tx, failed)
