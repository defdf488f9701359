"""Story 9: experiments counted, and what the counts say: tallies caught up and results computed, under a lease."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson

from handraiser.core.assignment import Weights
from handraiser.core.experiment import Experiment
from handraiser.core.outcome import DAY_MS
from handraiser.core.shop import Shop
from handraiser.core.statistics.summary import Clicks, Counted, DayTally, summed_up
from handraiser.core.statistics.verdict import Design
from handraiser.errors import Busy, NotFound
from handraiser.isolate import Isolate
from handraiser.store import experiments, leases, results, tallies
from handraiser.store.database import Database
from handraiser.store.sql import to_json

log = logging.getLogger("handraiser.results")

LEASE = "tallies"
LEASE_MS = 120_000
LONGEST = 600.0
"""Seconds that taking one experiment's tallies away may take."""

COMPUTING = 60.0
"""Seconds that one experiment's results may take: a hundred segments of eight arms under changing weights need ten."""

COUNTING = 30.0
"""Seconds that one transaction of counting may take: on a busy disk more than an email may."""

BATCH = 500
"""Most exposures, and most ledger entries, of one transaction; while it runs no other write begins on SQLite."""

WHOLESALE = 5_000
"""The same for a rebuild: the days of old exposures are mixed, so few at a time would touch every tally each time."""

MATURING_DAYS = 120
"""How long after their end experiments still get better known: the longest window and the guardrails'."""


class Results:
    """Counts every company's experiments and says what the counts say; ``holder`` names this process in the lease."""

    COMMANDS = frozenset({"tallies.verify", "tallies.rebuild"})

    def __init__(self, database: Database, isolate: Isolate, clock: Callable[[], int], holder: str) -> None:
        self._database, self._isolate, self._clock = database, isolate, clock
        self._lease = leases.Lease(database, LEASE, holder, clock, LEASE_MS)
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """Catch up with what happened, then compute what is due; nothing where another replica is at it."""
        async with self._turn:
            try:
                await self.catch_up()
                await self.compute()
            except Busy:
                return
            await self._lease.give_back()

    async def of(self, shop: Shop, name: str, *, bayes: bool = False) -> dict[str, Any]:
        """A test's results, by its key or id, as the job computed them last; of nothing, before it ever did.

        ``computed_at`` (ms UTC, None: not yet) says when. ``bayes`` adds numbers that describe and do not decide.
        Raises :class:`NotFound` for an unknown test, for one of another company or of another shop alone, and for a
        holdout, which has no purpose to be judged by.
        """
        found = await experiments.find(self._database, shop.controller.id, name)
        if found is None or not found.concerns(shop.id) or found.kind != "test":
            raise NotFound("there is no test of this key or id")
        kept = await results.get(self._database, shop.controller.id, found.id)
        told = orjson.loads(kept.content) if kept else summed_up(_of(found, [found.weights], [], [], self._clock()))
        if not bayes:
            del told["bayes"]
        return {
            "experiment_id": str(uuid.UUID(bytes=found.id)),
            "key": found.key,
            "computed_at": kept.computed_at if kept else None,
            **told,
        }

    async def _counted(self, found: Experiment, now: int) -> Counted:
        rows = await tallies.by_day(self._database, found.controller_id, found.id)
        clicks = await results.clicks_of(self._database, found.controller_id, found.id)
        weights = await experiments.weights_of(self._database, found.controller_id, found.id)
        return _of(found, [one for one, _ in weights], rows, clicks, now)

    async def command(self, name: str) -> Any:
        """One command of the CLI, answered in JSON's types; raises :class:`Busy` while another process counts."""
        async with self._turn:
            told = await (self._rebuild() if name == "tallies.rebuild" else self._verify())
            await self._lease.give_back()
            return told

    async def _verify(self) -> dict[str, Any]:
        """The tallies against a recount of the raw rows. The lease keeps them as they are meanwhile."""
        counted, wrong = 0, []
        for controller_id, experiment_id, key in await results.started(self._database):
            await self._lease.renew()
            exposures, should = await tallies.recounted(self._database, controller_id, experiment_id)
            differing = should ^ await tallies.kept(self._database, controller_id, experiment_id)
            counted += exposures
            if differing:
                wrong.append({"experiment_id": str(uuid.UUID(bytes=experiment_id)), "key": key, "rows": len(differing)})
        return {"ok": not wrong, "exposures": counted, "wrong": wrong}

    async def _rebuild(self) -> dict[str, Any]:
        """Take every tally away and count all exposures again; results stay as they are until that is done."""
        started = await results.started(self._database)
        for controller_id, experiment_id, _ in started:
            forget = partial(tallies.forget, controller_id=controller_id, experiment_id=experiment_id)
            await self._lease.alone(forget, LONGEST)
        await self.catch_up(WHOLESALE)
        await self.compute()
        return {"experiments": len(started)}

    async def catch_up(self, batch: int = BATCH) -> None:
        """Count what happened since the last time; raises :class:`Busy` where another replica is at it."""
        for controller_id in await tallies.companies(self._database):
            count = partial(tallies.catch_up, controller_id=controller_id, limit=batch)
            while await self._lease.alone(count, COUNTING):
                pass

    async def compute(self) -> None:
        """Compute the results that are older than their tallies or than today; raises :class:`Busy`."""
        now = self._clock()
        for one in await results.due(self._database, now - now % DAY_MS, now - MATURING_DAYS * DAY_MS):
            found = await experiments.find(self._database, one.controller_id, str(uuid.UUID(bytes=one.experiment_id)))
            if found is None:
                continue
            counted = await self._counted(found, now)
            try:
                content = to_json(await self._isolate.call(summed_up, counted, seconds=COMPUTING))
            except Exception as error:  # whatever is wrong with one, the others are told
                log.error("not computed", exc_info=error, extra={"facts": {"experiment": one.experiment_id.hex()}})
                continue
            await self._lease.alone(partial(results.put, one=one, now=now, content=content))


def _of(
    found: Experiment,
    weights: Sequence[Weights],
    rows: Sequence[tuple[Any, ...]],
    clicks: Sequence[tuple[int, str, int]],
    now: int,
) -> Counted:
    design = found.design
    return Counted(
        Design(tuple(weights), design.window, design.mde),
        tuple(arm.key for arm in design.arms),
        found.plan["subjects"],
        [DayTally(*row) for row in rows],
        [Clicks(*one) for one in clicks],
        now // DAY_MS,
    )
