"""PostgreSQL keeps messages and clicks by month: months are made ahead while emails go out, and go when all is old."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from handraiser.core.links import LinkKind
from handraiser.store import clicks, partitions, retention, schema
from handraiser.store.clicks import Click
from handraiser.store.database import Database
from handraiser.store.recording import record
from handraiser.store.writer import Writer
from rows import NOW, TENTS, a_recording, an_id

MONTH_LATER = NOW + 31 * 86_400_000


@pytest.fixture
async def stored(postgres_url: str) -> AsyncIterator[Database]:
    database = await Database.open(postgres_url)
    yield database
    await database.close()


def at(moment: int, n: int = 1) -> bytes:
    """The id of a message sent at a moment (ms UTC)."""
    return (moment << 80 | 7 << 76 | 2 << 62 | n).to_bytes(16)


def sent(moment: int, n: int = 1) -> Any:
    row = a_recording(n, f"alice.{n}@example.com", sent_at=moment, version=None)
    object.__setattr__(row.message, "id", at(moment, n))
    return row


def a_click(moment: int, n: int = 1) -> Click:
    return Click(TENTS, at(moment, n), moment, int(LinkKind.OPT_IN), "GET", "human")


async def write(database: Database, *moments: int) -> None:
    async with database.transaction() as tx:
        await record(tx, [sent(moment, n) for n, moment in enumerate(moments)])
        await clicks.record(tx, [a_click(moment, n) for n, moment in enumerate(moments)])


async def places(database: Database, table: str) -> Counter[str]:
    rows = await database.fetch(f"SELECT tableoid::regclass::text AS place FROM {table}")
    return Counter(row["place"].rpartition(".")[2] for row in rows)


def month(table: str, moment: int) -> str:
    return f"{table}_{datetime.fromtimestamp(moment / 1000, UTC):%Y_%m}"


async def test_a_new_installation_has_this_month_and_two_ahead_and_rows_find_theirs(stored: Database):
    made = await partitions.make_ahead(stored, NOW)

    assert len(made) == 6
    assert await partitions.make_ahead(stored, NOW) == []
    assert len(await partitions.make_ahead(stored, MONTH_LATER)) == 2
    await write(stored, NOW, MONTH_LATER)
    for table in ("message", "click"):
        assert await places(stored, table) == {month(table, NOW): 1, month(table, MONTH_LATER): 1}


async def test_what_was_there_before_stays_in_the_default_partition_and_goes_by_rows(stored: Database):
    await write(stored, NOW - 1000, NOW)
    async with stored.transaction() as tx:  # as a run that was killed leaves it
        name = month("message", MONTH_LATER)
        await tx.execute(f"ALTER TABLE message_default ADD CONSTRAINT {name}_apart CHECK (sent_at > 0) NOT VALID")

    assert len(await partitions.make_ahead(stored, NOW)) == 4
    await write(stored, MONTH_LATER)
    assert await places(stored, "message") == {"message_default": 2, name: 1}
    assert await stored.fetch("SELECT 1 FROM pg_constraint WHERE conname LIKE '%apart'") == []

    async with stored.transaction() as tx:
        assert await retention.prune_messages(tx, TENTS, NOW, 100) == 1
    assert await places(stored, "message") == {"message_default": 1, name: 1}


async def test_a_month_is_dropped_when_all_of_it_is_too_old_and_not_before(stored: Database):
    await partitions.make_ahead(stored, NOW)
    await write(stored, NOW, MONTH_LATER)
    ends = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())  # NOW is in September

    assert await partitions.drop(stored, "message", ends * 1000 - 1) == []
    assert await partitions.drop(stored, "message", ends * 1000) == [month("message", NOW)]
    assert await places(stored, "message") == {month("message", MONTH_LATER): 1}
    assert await places(stored, "click") == {month("click", NOW): 1, month("click", MONTH_LATER): 1}


async def _while_writing(database: Database, work: Callable[[], Awaitable[Any]]) -> int:
    """Do this while messages and clicks are written and read; how many of each there were."""
    writer, done, count = Writer(database), asyncio.Event(), 0

    async def one(start: int) -> None:
        nonlocal count
        for n in range(start, start + 10_000):
            await writer.write(record, a_recording(n, f"{n}@example.com", version=None))
            await writer.write(clicks.record, Click(TENTS, an_id(n), NOW + n, int(LinkKind.OPT_IN), "GET", "human"))
            assert await database.fetch("SELECT verdict FROM click WHERE message_id = $1", (an_id(n),))
            count += 1
            if done.is_set():
                return

    writing = [asyncio.create_task(one(start)) for start in range(0, 40_000, 10_000)]
    await asyncio.sleep(0.2)
    await work()
    done.set()
    await asyncio.gather(*writing)
    await writer.close()
    return count


async def test_partitions_are_made_while_emails_are_written(stored: Database):
    written = await _while_writing(stored, lambda: partitions.make_ahead(stored, NOW))

    for table in ("message", "click"):
        assert sum((await places(stored, table)).values()) == written


async def test_running_replicas_go_on_while_another_migrates_the_schema_of_the_first_release(postgres_url: str):
    before = await Database.open(postgres_url, migrate=False)
    after = await Database.open(postgres_url, migrate=False)
    try:
        await schema.migrate(before, [one for one in schema.scripts() if one.number < 7])
        written = await _while_writing(before, lambda: schema.migrate(after))
        assert await schema.pending(after) == []
        assert await places(after, "click") == {"click_default": written}
    finally:
        await before.close()
        await after.close()
