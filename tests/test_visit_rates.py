"""Replicas count a network's visits together, on both databases."""

from __future__ import annotations

import hashlib

import pytest

from handraiser.answer.rates import MINUTE_MS, Rates
from handraiser.errors import StoreUnavailable, TooMany
from handraiser.store import visit_rates
from handraiser.store.database import Database
from rows import NOW

NETWORK, OTHER = "8.8.8.0/24", "9.9.9.0/24"


def keyed(what: bytes, network: bytes) -> bytes:
    return hashlib.sha256(what + network).digest()


async def taken(replicas: list[Rates], network: str = NETWORK, now: int = NOW) -> int:
    """How many visits pass, made at one replica after the other, until one must wait."""
    for n in range(1000):
        try:
            await replicas[n % len(replicas)].visit(network, now)
        except TooMany:
            return n
    raise AssertionError("nobody had to wait")


async def test_three_replicas_take_three_hundred_visits_a_minute_together(database: Database):
    replicas = [Rates(database, keyed) for _ in range(3)]

    assert 300 <= await taken(replicas) <= 300 + 3 * 9
    await replicas[0].visit(OTHER, NOW)
    assert 300 <= await taken(replicas, now=NOW + MINUTE_MS) <= 300 + 3 * 9


async def test_who_waits_already_writes_nothing(database: Database):
    replica = Rates(database, keyed)
    assert await taken([replica]) == 300
    for _ in range(40):
        with pytest.raises(TooMany):
            await replica.visit(NETWORK, NOW)
    rows = await database.fetch("SELECT visits FROM visit_rate")
    assert [row["visits"] for row in rows] == [300]


async def test_without_the_database_or_a_key_each_counts_alone(database: Database, monkeypatch):
    async def gone(*_: object) -> int:
        raise StoreUnavailable("gone")

    assert await taken([Rates(database, lambda *_: None)]) == 300
    monkeypatch.setattr(visit_rates, "add", gone)
    assert await taken([Rates(database, keyed)]) == 300


async def test_old_minutes_are_forgotten(database: Database):
    async with database.transaction() as tx:
        for minute in (1, 2, 3):
            assert await visit_rates.add(tx, b"n", minute, 10) == 10
        assert await visit_rates.forget(tx, 3) == 2
