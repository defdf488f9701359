"""Story 5: what time brings. So far retention: what is kept too long goes, in small bites, on one replica at a time."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from handraiser.settings import Settings
from handraiser.store import leases, retention
from handraiser.store.database import Database

log = logging.getLogger("handraiser.jobs")

LEASE = "retention"
LEASE_MS = 300_000
EVERY_MS = 3_600_000
BITE = 5_000
CLICK_DAYS = 90
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class Jobs:
    """Periodic work under leases; ``holder`` names this process in them."""

    def __init__(self, *, database: Database, settings: Settings, clock: Callable[[], int], holder: str) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._holder = holder
        self._pruned_at = 0

    async def run_due(self) -> None:
        """Do what is due now, where no other replica does it."""
        now = self._clock()
        if now - self._pruned_at < EVERY_MS:
            return
        async with self._database.transaction() as tx:
            if not await leases.take(tx, LEASE, self._holder, now, LEASE_MS):
                return
        self._pruned_at = now
        gone = await self.prune(now)
        async with self._database.transaction() as tx:
            await leases.give_back(tx, LEASE, self._holder)
        if any(gone.values()):
            log.info("pruned", extra={"facts": gone})

    async def prune(self, now: int) -> dict[str, int]:
        """Delete what is older than its retention: rows gone, by table. Ledger, wordings and suppressions stay."""
        settings = self._settings
        old_message = now - settings.message_days * DAY_MS
        gone = {
            "idempotency": await self._bites(
                retention.prune, "idempotency", now - settings.idempotency_hours * HOUR_MS
            ),
            "click": await self._bites(retention.prune, "click", now - CLICK_DAYS * DAY_MS),
            "message": 0,
        }
        for controller_id in await retention.controllers(self._database):
            gone["message"] += await self._bites(retention.prune_messages, controller_id, old_message)
        return gone

    async def _bites(self, prune: Callable[..., Awaitable[int]], what: object, before: int) -> int:
        gone = 0
        while True:
            async with self._database.transaction() as tx:
                bite = await prune(tx, what, before, BITE)
            gone += bite
            if bite < BITE:
                return gone
