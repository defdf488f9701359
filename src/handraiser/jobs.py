"""Story 5: what time brings, each under a lease, so on one replica at a time.

Retention: what is kept too long goes, in small bites. Sealing: new ledger entries go under a signed head, which is kept
in the database and in a file beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from handraiser.core.consent import ended_at
from handraiser.core.ledger_head import Head
from handraiser.core.market import MONTH_MS, evidence_until
from handraiser.errors import StoreUnavailable
from handraiser.settings import Settings
from handraiser.store import leases, partitions, retention, seals, visit_rates
from handraiser.store.database import Database
from handraiser.store.kept_heads import KeptHeads
from handraiser.store.sql import Row

log = logging.getLogger("handraiser.jobs")

LEASE = "retention"
LAPSING = "lapsing"
SEALING = "sealing"
LEASE_MS = 300_000
SEAL_LEASE_MS = 60_000
BATCH = 1_000
"""Most entries of one batch; while it is sealed no other write begins on SQLite (about 50 ms)."""
EVERY_MS = 3_600_000
EVIDENCE_EVERY_MS = 86_400_000
BITE = 5_000
CLICK_DAYS = 90
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


class Jobs:
    """Periodic work under leases; ``holder`` names this process in them, ``kept`` is where its heads are kept."""

    def __init__(
        self,
        *,
        database: Database,
        settings: Settings,
        clock: Callable[[], int],
        holder: str,
        kept: KeptHeads,
    ) -> None:
        self._database = database
        self._kept = kept
        self._kept_sizes: dict[bytes, int] | None = None
        self._settings = settings
        self._clock = clock
        self._holder = holder
        self._sealing = asyncio.Lock()
        self._pruned_at = self._looked_at = 0

    async def run_due(self) -> None:
        """Do what is due now, where no other replica does it."""
        now = self._clock()
        if now - self._pruned_at < EVERY_MS:
            return
        if await self.alone(LEASE, partial(self._prune, now)):
            self._pruned_at = now

    async def alone(self, lease: str, work: Callable[[], Awaitable[object]]) -> bool:
        """Do this work unless another replica is at it; returns whether it was done."""
        async with self._database.transaction() as tx:
            if not await leases.take(tx, lease, self._holder, self._clock(), LEASE_MS):
                return False
        await work()
        async with self._database.transaction() as tx:
            await leases.give_back(tx, lease, self._holder)
        return True

    async def _prune(self, now: int) -> None:
        if made := await partitions.make_ahead(self._database, now):
            log.info("partitions made", extra={"facts": {"names": made}})
        gone = await self.prune(now)
        if any(gone.values()):
            log.info("pruned", extra={"facts": gone})

    async def seal(self) -> int:
        """Seal the entries that wait, unless another replica is at it; returns how many batches that made.

        Costs one look-up while nothing waits. A head that is in the database and not yet in the file (the process
        ended between the two) is kept at the next start.
        """
        async with self._sealing:
            if self._kept_sizes is None:
                self._kept_sizes = await asyncio.to_thread(self._kept.largest)
                await self._keep(await seals.newest(self._database))
            companies = await seals.waiting(self._database)
            batches = 0
            for controller_id in companies:
                while (head := await self._sealed(controller_id)) is not None:
                    await self._keep([head])
                    batches += 1
            if batches:
                async with self._database.transaction() as tx:
                    await leases.give_back(tx, SEALING, self._holder)
            return batches

    async def _sealed(self, controller_id: bytes) -> Head | None:
        """The head of the next batch; None when nothing waits or another replica seals."""
        now = self._clock()
        async with self._database.transaction() as tx:
            if not await leases.take(tx, SEALING, self._holder, now, SEAL_LEASE_MS):
                return None
            return await seals.seal(tx, controller_id, now, BATCH, self._kept.keys.sign)

    async def _keep(self, heads: Sequence[Head]) -> None:
        """Put into the file what it does not hold, and only what we signed; say so when the ledger has become shorter
        than a head that was kept of it."""
        assert self._kept_sizes is not None
        fresh = []
        for head in heads:
            size = self._kept_sizes.get(head.controller_id, 0)
            facts = {"company": head.controller_id.hex(), "size": head.tree_size, "kept": size}
            if not self._kept.keys.proves(head):
                log.error("a head of the ledger was not signed by us: run consents verify", extra={"facts": facts})
            elif head.tree_size < size:
                log.error("the ledger is shorter than a kept head: run consents verify", extra={"facts": facts})
            if head.tree_size > size and self._kept.keys.proves(head):
                fresh.append(head)
        if not fresh:
            return
        sizes, self._kept_sizes = self._kept_sizes, None  # should this fail, the next time begins with what is kept
        await asyncio.to_thread(self._kept.append, fresh)
        self._kept_sizes = sizes | {head.controller_id: head.tree_size for head in fresh}

    async def prune(self, now: int) -> dict[str, int]:
        """Delete what is older than its retention: rows gone, by table; whole months go as partitions, uncounted.
        Ledger, wordings and suppressions stay."""
        settings = self._settings
        old_message = now - settings.message_days * DAY_MS
        gone = {
            "idempotency": await self._bites(
                retention.prune, "idempotency", now - settings.idempotency_hours * HOUR_MS
            ),
            "click": await self._bites(retention.prune, "click", now - CLICK_DAYS * DAY_MS),
            "message": 0,
        }
        async with self._database.transaction() as tx:
            await visit_rates.forget(tx, (now - HOUR_MS) // MINUTE_MS)
        for controller_id in await retention.controllers(self._database):
            gone["message"] += await self._bites(retention.prune_messages, controller_id, old_message)
        for table, before in (("message", old_message), ("click", now - CLICK_DAYS * DAY_MS)):
            if dropped := await partitions.drop(self._database, table, before):
                log.info("partitions dropped", extra={"facts": {"names": dropped}})
        if now - self._looked_at >= EVIDENCE_EVERY_MS:
            gone["evidence"] = await self._prune_evidence(now)
            self._looked_at = now
        return gone

    async def _prune_evidence(self, now: int) -> int:
        """Delete the evidence whose time has passed since what it proves ended; once a day, for what still holds is
        looked at each time."""
        gone = 0
        # Nothing goes before a month, the shortest time that rules can set.
        before = (now - MONTH_MS << 80).to_bytes(16)
        for controller_id in await retention.controllers(self._database):
            after = bytes(16)
            while page := await retention.old_evidence(self._database, controller_id, after, before, BITE):
                old = [row["event_id"] for row in page if _outlived(row, now)]
                async with self._database.transaction() as tx:
                    await retention.drop_evidence(tx, controller_id, old)
                gone, after = gone + len(old), page[-1]["event_id"]
        return gone

    async def _bites(self, prune: Callable[..., Awaitable[int]], what: object, before: int) -> int:
        gone = 0
        while True:
            async with self._database.transaction() as tx:
                bite = await prune(tx, what, before, BITE)
            gone += bite
            if bite < BITE:
                return gone


def _outlived(row: Row, now: int) -> bool:
    """Whether evidence has been kept for as long as its rules say."""
    written_at = int.from_bytes(row["event_id"]) >> 80
    ended = ended_at(row["state"], row["since"], written_at)
    until = None if ended is None else evidence_until(row["policy"], ended)
    return until is not None and until < now


async def every(seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
    """Do ``work`` again and again; a fault is logged, and the next time is tried all the same."""
    while True:
        await asyncio.sleep(seconds)
        await quietly(work)


async def quietly(work: Callable[[], Awaitable[Any]]) -> None:
    """Do ``work`` once; a fault is logged."""
    try:
        await work()
    except StoreUnavailable:
        log.warning("the database is away", extra={"facts": {"work": work.__qualname__}})
    except Exception as error:
        log.error("periodic work failed", exc_info=error, extra={"facts": {"work": work.__qualname__}})
