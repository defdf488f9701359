"""Story 10: customers counted, and what the counts say: opt-in rate, baseline before the first ask, lifetime value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from handraiser.core.kpi_report import (
    Asked,
    Happened,
    Money,
    Question,
    baseline,
    day_text,
    lifetime,
    opt_in_row,
    read_question,
    spans,
)
from handraiser.core.outcome import DAY_MS
from handraiser.core.shop import Shop
from handraiser.errors import Busy, Fault, NotFound, Refused
from handraiser.store import kpi, kpi_sums, leases, shops
from handraiser.store.database import Database

LEASE = "customer counts"
LEASE_MS = 120_000
BATCH = 200
"""Most marks of one transaction; while it runs no other write begins on SQLite."""

ALWAYS = (-(10**6), 10**6)
"""A span of days that holds every day."""


class Kpi:
    """Counts every company's customers, and answers from the counts; ``holder`` names this process in the lease."""

    COMMANDS = frozenset({"report.opt_in_rate", "report.baseline", "report.lifetime_value"})

    def __init__(self, database: Database, clock: Callable[[], int], holder: str) -> None:
        self._database, self._clock = database, clock
        self._lease = leases.Lease(database, LEASE, holder, clock, LEASE_MS)
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """Count who is marked; nothing where another replica is at it."""
        async with self._turn:
            try:
                await self._catch_up()
            except Busy:
                return
            await self._lease.give_back()

    async def verify(self) -> dict[str, Any]:
        """The tallies against a recount; raises :class:`Busy`. The lease keeps them as they are meanwhile."""
        async with self._turn:
            customers = wrong = 0
            for controller_id in await kpi.companies(self._database):
                await self._lease.renew()
                counted, rows = await kpi.differing(self._database, controller_id)
                customers, wrong = customers + counted, wrong + rows
            await self._lease.give_back()
            return {"ok": not wrong, "customers": customers, "wrong_rows": wrong}

    async def rebuild(self) -> dict[str, Any]:
        """Take every tally away and count all customers again; raises :class:`Busy`."""
        async with self._turn:
            for controller_id in await kpi.companies(self._database):
                await self._lease.alone(partial(kpi.forget, controller_id=controller_id))
            customers = await self._catch_up()
            await self._lease.give_back()
            return {"customers_counted": customers}

    async def _catch_up(self) -> int:
        done = 0
        for controller_id in await kpi.companies(self._database):
            count = partial(kpi.catch_up, controller_id=controller_id, limit=BATCH, now=self._clock())
            while marks := await self._lease.alone(count):
                done += marks
        return done

    async def opt_in_rate(self, shop: Shop, given: Mapping[str, str]) -> dict[str, Any]:
        """How many of those asked, eligible and seen opted in, by what is asked for; raises :class:`Refused`.

        A customer counts once, on the day of the first ask.
        """
        question = read_question(given, by=True)
        today = self._clock() // DAY_MS
        async with self._database.reading() as reads:
            known = await kpi_sums.days(reads, shop.controller.id, shop.id)
            within = spans(question, *known) if known else []
            ask = partial(kpi_sums.opt_ins, reads, shop.controller.id, shop.id, spans=within, today=today)
            rows = await ask(question) if within else []
            total = await ask(Question()) if within else []
            counted_at = await kpi_sums.counted_at(reads, shop.controller.id)
        sums = Asked(*map(sum, zip(*(one for *_, one in total), strict=True))) if total else Asked()
        return {
            **_head(shop, question, counted_at),
            "by": list(question.names),
            "rows": [_told(question, *row) for row in rows],
            "total": opt_in_row(sums),
        }

    async def baseline(self, shop: Shop, given: Mapping[str, str]) -> dict[str, Any]:
        """What was before the first ask; raises :class:`Refused`. Consents are the company's, purchases the shop's."""
        question = read_question(given, by=False)
        async with self._database.reading() as reads:
            first_ask = await kpi_sums.first_ask(reads, shop.controller.id, shop.id)
            last = ALWAYS[1] if first_ask is None else first_ask - 1
            begin = ALWAYS[0] if question.first is None else question.first
            end = last if question.last is None else min(last, question.last)

            async def sums(whose: bytes, first: int, last: int) -> Happened:
                return await kpi_sums.happened(reads, shop.controller.id, whose, first, last)

            found = baseline(
                first_ask,
                await sums(shop.controller.id, ALWAYS[0], last),
                await sums(shop.controller.id, begin, end),
                await sums(shop.id, begin, end),
            )
            counted_at = await kpi_sums.counted_at(reads, shop.controller.id)
        return {**_head(shop, question, counted_at), **found}

    async def lifetime_value(self, shop: Shop, given: Mapping[str, str]) -> dict[str, Any]:
        """Orders and revenue per customer since the first ask or exposure; raises :class:`Refused`."""
        question = read_question(given, by=False)
        begin = ALWAYS[0] if question.first is None else question.first
        end = ALWAYS[1] if question.last is None else question.last
        async with self._database.reading() as reads:
            rows = await kpi_sums.spent(reads, shop.controller.id, shop.id, begin, end)
            experiments = await kpi_sums.experiments(reads, shop.controller.id)
            counted_at = await kpi_sums.counted_at(reads, shop.controller.id)
        money = Money.of(shop.currency, shop.rates, {row.currency for row in rows if row.currency})
        return {**_head(shop, question, counted_at), **lifetime(rows, money, shop.id, experiments)}

    async def sister(self, shop: Shop, slug: str) -> Shop:
        """Another shop of the same company; raises :class:`Refused` where there is none of this slug."""
        if slug in ("", shop.slug):
            return shop
        for one in await shops.list_shops(self._database, shop.controller.id):
            if one.slug == slug:
                return one
        raise Refused([Fault("shop", "bad_value", "your company has no such shop")])

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, of what has happened until now; raises :class:`NotFound`, :class:`Refused`."""
        shop = await shops.by_slug(self._database, arguments["shop"])
        if shop is None:
            raise NotFound(f"there is no shop “{arguments['shop']}”")
        await self.refresh()
        given = {part: value for part, value in arguments.items() if value}
        if name == "report.opt_in_rate":
            return await self.opt_in_rate(shop, given)
        return await (self.baseline if name == "report.baseline" else self.lifetime_value)(shop, given)


def _head(shop: Shop, question: Question, counted_at: int | None) -> dict[str, Any]:
    return {
        "shop": shop.slug,
        "from": day_text(question.first),
        "to": day_text(question.last),
        "counted_at": counted_at,
    }


def _told(question: Question, span: str, value: str, kind: str, sums: Asked) -> dict[str, Any]:
    parts = {question.dimension: value, "customer_kind": kind, "month": span}
    return {**{name: parts[name] for name in question.names}, **opt_in_row(sums)}
