"""What time brings, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from handraiser.core.ledger_head import HeadKeys
from handraiser.core.shop import Controller
from handraiser.jobs import DAY_MS, LAPSING, Jobs
from handraiser.settings import load
from handraiser.store import clicks, recording, shops
from handraiser.store.clicks import Click
from handraiser.store.database import Database
from handraiser.store.kept_heads import KeptHeads
from rows import NOW, TENTS, a_recording

HEAD_KEYS = HeadKeys([(1, b"k" * 40)])
OLD = NOW - 400 * DAY_MS


def uuid7(at: int, n: int) -> bytes:
    return ((at << 80) | (7 << 76) | (2 << 62) | n).to_bytes(16)


async def a_past(database: Database) -> None:
    """An old message and a new one, each with its key and a visit of its link."""
    async with database.transaction() as tx:
        await shops.add_controllers(tx, [Controller(TENTS, "tents", "Tents")])
        rows = [
            a_recording(n, sent_at=at, version=None, idempotency_key=f"k{n}", order_id=f"{n}")
            for n, at in ((1, OLD), (2, NOW - 1000))
        ]
        rows = [
            replace(row, message=replace(row.message, id=uuid7(row.message.sent_at, n))) for n, row in enumerate(rows)
        ]
        await recording.record(tx, rows)
        await clicks.record(tx, [Click(TENTS, row.message.id, row.message.sent_at, 1, "GET", "human") for row in rows])


async def count(database: Database, table: str) -> int:
    number: int = (await database.fetch(f"SELECT COUNT(*) AS n FROM {table}"))[0]["n"]
    return number


def jobs(database: Database, tmp_path: Path, holder: str = "a") -> Jobs:
    return Jobs(
        database=database,
        settings=load({}, state_dir=tmp_path),
        clock=lambda: NOW,
        holder=holder,
        kept=KeptHeads(tmp_path / "ledger-heads.log", HEAD_KEYS),
    )


async def test_what_is_older_than_its_retention_goes_and_the_rest_stays(database: Database, tmp_path: Path):
    await a_past(database)

    gone = await jobs(database, tmp_path).prune(NOW)

    assert gone == {"idempotency": 1, "click": 1, "message": 1, "evidence": 0}
    assert [await count(database, table) for table in gone] == [1, 1, 1, 0]
    assert await count(database, "subject") == 1


async def test_retention_runs_at_most_once_an_hour_and_on_one_replica(database: Database, tmp_path: Path):
    await a_past(database)
    one, other = jobs(database, tmp_path, "a"), jobs(database, tmp_path, "b")
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO lease (name, holder, until) VALUES ('retention', 'b', $1)", (NOW + 1000,))

    await one.run_due()
    assert await count(database, "message") == 2

    await other.run_due()
    assert await count(database, "message") == 1
    assert await count(database, "lease") == 0


async def test_work_is_done_by_one_replica_at_a_time_and_by_the_next_when_that_one_died(
    database: Database, tmp_path: Path
):
    one, other = jobs(database, tmp_path, "a"), jobs(database, tmp_path, "b")
    done: list[str] = []

    async def long() -> None:
        done.append("a")
        assert not await other.alone(LAPSING, short), "the other one is at it"

    async def short() -> None:
        done.append("b")

    assert await one.alone(LAPSING, long)
    assert await other.alone(LAPSING, short)
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO lease (name, holder, until) VALUES ($1, 'dead', $2)", (LAPSING, NOW))
    assert await one.alone(LAPSING, short)
    assert done == ["a", "b", "b"]
    assert await count(database, "lease") == 0
