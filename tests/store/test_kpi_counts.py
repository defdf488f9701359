"""What customers count as is a recount of the raw rows, whatever comes in which order and ends where."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from asked import TENT, an_ask
from counted import an_experiment, expose, say
from handraiser.core.kpi import DIMENSIONS
from handraiser.core.outcome import DAY_MS
from handraiser.core.shop import Shop
from handraiser.errors import Busy
from handraiser.kpi import LEASE, Kpi
from handraiser.store import kpi, shops
from handraiser.store.database import Database
from handraiser.store.recording import NotShown, put_right, record
from rows import DAY, NOW, TENT_SHOP, TENTS, a_recording, an_id

SHOP = Shop(**{name: getattr(TENT, name) for name in TENT.__slots__} | {"currency": "EUR", "rates": (("USD", "0.5"),)})
PEOPLE = range(12)
LATER = NOW + 400 * DAY


@pytest.fixture
async def story(database: Database) -> Kpi:
    async with database.transaction() as tx:
        await shops.add_controllers(tx, [SHOP.controller])
        await shops.add_shops(tx, [SHOP])
    await an_experiment(database)
    return Kpi(database, lambda: LATER, "a")


async def send(database: Database, n: int, who: int, chance: random.Random) -> None:
    """The n-th email: it asks, would have asked, is held back, or does nothing of it."""
    decision: dict[str, Any] = {"placements": [], "skipped": [], "would_ask": False}
    what = chance.choice(("ask", "would", "plain", "plain"))
    if what == "ask":
        decision = an_ask()
    elif what == "would":
        decision["would_ask"] = True
    segments = chance.choice(([], ["gold"], ["gold", "vip"]))
    row = a_recording(
        n,
        f"{who}@example.com",
        subject_id=an_id(who),
        version=None,
        sent_at=NOW + chance.randrange(50 * DAY),
        decision=decision,
        request={"segments": segments, "purchase_type": chance.choice(("", "first"))},
        test=chance.random() < 0.1,
        type=chance.choice(("order_confirmation", "order_confirmation", "confirmation")),
        touchpoint=chance.choice(("email:order_confirmation", "web:thank_you")),
        customer_kind=chance.choice(("new", "current")),
        country=chance.choice(("NL", "US")),
    )
    async with database.transaction() as tx:
        await record(tx, [row])


async def buy(database: Database, n: int, who: int, chance: random.Random) -> None:
    """An order, told (``version``) or changed."""
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO orders (controller_id, shop_id, order_id, subject_id, placed_at, value_minor, currency, kind,"
            " first_message_at, version, status, refunded_minor)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, 'new', 0, 1, $8, $9)"
            " ON CONFLICT (controller_id, shop_id, order_id) DO UPDATE SET refunded_minor = 100, version = 2",
            (
                TENTS,
                TENT_SHOP,
                str(n),
                an_id(who),
                NOW + chance.randrange(120 * DAY),
                chance.choice((1000, 2599, None)),
                chance.choice(("EUR", "USD")),
                chance.choice(("placed", "placed", "cancelled")),
                chance.choice((0, 0, 500)),
            ),
        )


async def take_back(database: Database, chance: random.Random) -> None:
    """One of the emails went out without its block."""
    asked = await database.fetch("SELECT message_id FROM message WHERE decision LIKE '%newsletter%' ORDER BY 1")
    decision = {"placements": [], "skipped": [], "would_ask": False}
    async with database.transaction() as tx:
        await put_right(
            tx, [NotShown(TENTS, one["message_id"], decision) for one in chance.sample(asked, min(1, len(asked)))]
        )


async def cut_off(database: Database) -> None:
    """Count, and end before the commit."""
    async with database.transaction() as tx:
        await kpi.catch_up(tx, TENTS, 5, LATER)
        raise RuntimeError


async def steps(database: Database, chance: random.Random) -> None:
    """A history in any order, counted in the middle, and cut off there too."""
    for who in PEOPLE:
        await send(database, 100 + who, who, chance)
    for n in range(200, 290):
        who = chance.choice(PEOPLE)
        what = chance.random()
        if what < 0.35:
            await send(database, n, who, chance)
        elif what < 0.42:
            await take_back(database, chance)
        elif what < 0.6:
            await buy(database, chance.randrange(30), who, chance)
        elif what < 0.9:
            event = chance.choices(("granted", "withdrawn", "voided", "objected"), (8, 3, 1, 1))[0]
            purpose, pressed = chance.choice(("tips", "offers")), chance.random() < 0.7
            await say(database, who, event, chance.random() * 100, purpose=purpose, pressed=pressed)
        elif what < 0.95:
            async with database.transaction() as tx:
                await kpi.catch_up(tx, TENTS, chance.randrange(1, 9), LATER)
        else:
            with pytest.raises(RuntimeError):
                await cut_off(database)
    await expose(database, PEOPLE, at=NOW + 10 * DAY)


class Recount:
    """The same figures, counted from the raw rows in plain Python."""

    def __init__(self, rows: dict[str, list[Any]]) -> None:
        self.messages = defaultdict(list)
        for row in rows["message"]:
            if not row["test"] and row["type"] != "confirmation":
                self.messages[row["subject_id"]].append(row)
        self.entries = defaultdict(list)
        for row in rows["consent_entry"]:
            self.entries[row["subject_id"]].append(row)
        self.orders = [row for row in rows["orders"] if row["status"] != "cancelled"]
        self.first: dict[bytes, tuple[str, Any]] = {}
        for who, sent in self.messages.items():
            asked = [row for row in sent if orjson.loads(row["decision"])["placements"]]
            would = [row for row in sent if orjson.loads(row["decision"])["would_ask"]]
            stage = "asked" if asked else "eligible" if would else "seen"
            self.first[who] = stage, min(asked or would or sent, key=lambda row: row["sent_at"])

    def yes(self, who: bytes) -> tuple[int, str] | None:
        stage, first = self.first.get(who, ("", None))
        found: dict[str, int] = {}
        for entry in self.entries[who]:
            if entry["event"] == "voided":
                found.pop(entry["purpose"], None)
            pressed = entry["event"] == "granted" and entry["method"] == "button" and entry["attestation"] != "none"
            if pressed and stage == "asked" and entry["occurred_at"] >= first["sent_at"]:
                found.setdefault(entry["purpose"], entry["occurred_at"])
        return min(((at, purpose) for purpose, at in found.items()), default=None)

    def stands(self, who: bytes, days: int) -> bool:
        at, purpose = self.yes(who) or (0, "")
        said = [e for e in self.entries[who] if e["purpose"] == purpose and e["occurred_at"] <= at + days * DAY_MS]
        return bool(said[-1]["event"] == "granted")

    def values(self, who: bytes, dimension: str) -> Iterator[str]:
        message = self.first[who][1]
        if dimension in ("customer_kind", "touchpoint", "country"):
            yield message[dimension]
        elif dimension == "purchase_type":
            yield orjson.loads(message["request"])["purchase_type"]
        elif dimension == "segment":
            yield from orjson.loads(message["request"])["segments"] or [""]
        else:
            yield "newsletter" if self.first[who][0] == "asked" else ""

    def opt_in_rate(self, dimension: str) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for who, (stage, _) in self.first.items():
            for value in self.values(who, dimension):
                row = found[value]
                row["customers_seen"] += 1
                row["customers_eligible"] += stage != "seen"
                row["customers_asked"] += stage == "asked"
                decisions = [orjson.loads(one["decision"]) for one in self.messages[who]]
                row["asks"] += sum(bool(one["placements"]) for one in decisions)
                row["would_have_asked"] += sum(one["would_ask"] for one in decisions)
                if self.yes(who):
                    row["opt_ins"] += 1
                    row["still_opted_in_30"] += self.stands(who, 30)
                    row["still_opted_in_90"] += self.stands(who, 90)
        return found

    def spent(self, whose: set[bytes], since: dict[bytes, int]) -> tuple[int, int, int]:
        """Customers, orders, and what they came to in halves of a cent."""
        orders = [one for one in self.orders if one["subject_id"] in whose]
        orders = [one for one in orders if one["placed_at"] > since[one["subject_id"]]]
        worth = {"EUR": 2, "USD": 1}
        net = [((one["value_minor"] or 0) - one["refunded_minor"]) * worth[one["currency"]] for one in orders]
        return len(whose), len(orders), sum(net)


async def recount_of(database: Database) -> Recount:
    tables = {"message": "message_id", "consent_entry": "seq", "orders": "order_id"}
    return Recount({name: await database.fetch(f"SELECT * FROM {name} ORDER BY {key}") for name, key in tables.items()})


async def check(database: Database, story: Kpi) -> None:
    raw = await recount_of(database)
    for dimension in ("customer_kind", *DIMENSIONS):
        told = await story.opt_in_rate(SHOP, {"by": dimension})
        should = raw.opt_in_rate(dimension)
        assert {row[dimension] for row in told["rows"]} == set(should)
        for row in told["rows"]:
            for name in ("customers_seen", "asks", "opt_ins", "still_opted_in_30", "still_opted_in_90", *row):
                if name in should[row[dimension]]:
                    assert row[name] == should[row[dimension]][name], (dimension, row, name)
    asked = {who: first["sent_at"] for who, (stage, first) in raw.first.items() if stage == "asked"}
    said_yes = {who for who in asked if raw.yes(who)}
    told = await story.lifetime_value(SHOP, {})
    exposed = dict.fromkeys(map(an_id, PEOPLE), NOW + 10 * DAY)
    arms = [({an_id(n) for n in PEOPLE if n % 2 == arm}, exposed) for arm in (0, 1)]
    arms += [(said_yes, asked), (set(asked) - said_yes, asked)]
    for one, (whose, since) in zip((*told["experiments"][0]["arms"], *told["opted_in"]["arms"]), arms, strict=True):
        customers, orders, halves = raw.spent(whose, since)
        assert (one["customers"], one["orders"]) == (customers, orders)
        assert round(float(one["revenue"]) * 100) in (halves // 2, (halves + 1) // 2)
    baseline = await story.baseline(SHOP, {"to": "2026-09-23"})
    assert baseline["first_ask_on"]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_reports_are_a_recount_of_the_raw_rows_after_any_history_and_any_kill(
    database: Database, story: Kpi, seed: int
):
    await steps(database, random.Random(seed))
    assert (await story.verify())["ok"], "whoever is marked counts as counted last"
    await story.refresh()
    assert await database.fetch("SELECT * FROM customer_waiting") == []
    assert await story.verify() == {"ok": True, "customers": len(PEOPLE), "wrong_rows": 0}
    await check(database, story)
    before = {name: await kept(database, name) for name in kpi.TABLES}

    await story.rebuild()
    assert {name: await kept(database, name) for name in kpi.TABLES} == before
    assert (await story.verify())["ok"]


async def kept(database: Database, table: str) -> list[tuple[Any, ...]]:
    columns = kpi.TABLES[table][1]
    rows = await database.fetch(f"SELECT * FROM {table}")
    return sorted(tuple(row) for row in rows if any(row[name] for name in columns))


async def test_one_that_was_changed_is_found_and_made_anew(database: Database, story: Kpi):
    await steps(database, random.Random(4))
    await story.refresh()
    async with database.transaction() as tx:
        await tx.execute("UPDATE opt_in_tally SET asked = asked + 1 WHERE dimension = 'all'")
    assert not (await story.verify())["ok"]
    await story.rebuild()
    assert (await story.verify())["ok"]
    await check(database, story)


async def test_what_was_there_before_anything_was_counted_is_counted_the_first_time(database: Database, story: Kpi):
    for n in range(3):
        await send(database, 10 + n, n, random.Random(n))
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM customer_waiting")
    await story.refresh()
    assert (await story.opt_in_rate(SHOP, {}))["total"]["customers_seen"] == len((await recount_of(database)).first)
    await check_again(database, story)


async def check_again(database: Database, story: Kpi) -> None:
    before = await story.opt_in_rate(SHOP, {})
    await story.refresh()
    assert await story.opt_in_rate(SHOP, {}) == before


async def test_one_replica_counts_at_a_time_and_the_next_when_that_one_died(database: Database, story: Kpi):
    await send(database, 1, 1, random.Random(1))
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO lease (name, holder, until) VALUES ($1, 'b', $2)", (LEASE, LATER + 1))
    await story.refresh()
    assert (await story.opt_in_rate(SHOP, {}))["counted_at"] is None
    with pytest.raises(Busy):
        await story.rebuild()

    late = Kpi(database, lambda: LATER + 1, "c")
    await late.refresh()
    told = await late.opt_in_rate(SHOP, {})
    assert (told["counted_at"], told["total"]["customers_seen"]) == (LATER + 1, 1)
