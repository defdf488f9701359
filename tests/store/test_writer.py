"""The writer groups what arrives together, answers after the commit, stays bounded and never hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager

import pytest

from handraiser.errors import Overloaded, StoreUnavailable
from handraiser.store.database import Database, Transaction
from handraiser.store.sql import RowRefused, StoreConflict
from handraiser.store.writer import Reader, Writer


async def put(tx: Transaction, rows: Sequence[int]) -> list[int]:
    """Leases named by a number; the database refuses a number twice."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO lease (name, holder, until) SELECT name, 'a', until FROM v",
        "name text, until int",
        [(str(n), n) for n in rows],
    )
    return [n * 10 for n in rows]


async def names(tx: Transaction, keys: Sequence[int]) -> list[str | None]:
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT v.n, l.name FROM v JOIN lease l ON l.until = v.n", "n int", [(n,) for n in keys]
    )
    found = {row["n"]: row["name"] for row in rows}
    return [found.get(n) for n in keys]


async def kept(database: Database) -> list[int]:
    return [row["until"] for row in await database.fetch("SELECT until FROM lease ORDER BY until")]


async def test_rows_that_arrive_together_share_a_commit_and_get_their_own_results(database: Database, writer: Writer):
    batches: list[int] = []

    async def counted(tx: Transaction, rows: Sequence[int]) -> list[int]:
        batches.append(len(rows))
        return await put(tx, rows)

    assert await asyncio.gather(*(writer.write(counted, n) for n in range(50))) == [n * 10 for n in range(50)]
    assert batches == [50]
    assert await kept(database) == list(range(50))


async def test_a_batch_is_no_larger_than_its_limit(database: Database):
    batches: list[int] = []

    async def counted(tx: Transaction, rows: Sequence[int]) -> list[int]:
        batches.append(len(rows))
        return await put(tx, rows)

    writer = Writer(database, batch_limit=8)
    await asyncio.gather(*(writer.write(counted, n) for n in range(20)))
    assert batches == [8, 8, 4]
    await writer.close()


async def test_a_caller_is_answered_after_its_commit(database: Database, writer: Writer):
    assert await writer.write(put, 1) == 10
    assert await kept(database) == [1]


async def test_one_bad_row_fails_alone(database: Database, writer: Writer):
    await writer.write(put, 7)
    answers = await asyncio.gather(*(writer.write(put, n) for n in range(20)), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, RowRefused)] == [7]
    assert [answer for answer in answers if isinstance(answer, int)] == [n * 10 for n in range(20) if n != 7]
    assert await kept(database) == list(range(20))


async def test_a_fault_in_a_method_reaches_its_caller_and_harms_nobody_else(database: Database, writer: Writer):
    async def broken(tx: Transaction, rows: Sequence[int]) -> list[int]:
        raise ZeroDivisionError

    answers = await asyncio.gather(writer.write(put, 1), writer.write(broken, 2), return_exceptions=True)
    assert answers[0] == 10
    assert isinstance(answers[1], ZeroDivisionError)
    assert await kept(database) == [1]


async def test_a_conflict_is_tried_again(database: Database, writer: Writer):
    tries = 0

    async def second_time_lucky(tx: Transaction, rows: Sequence[int]) -> list[int]:
        nonlocal tries
        tries += 1
        answers = await put(tx, rows)
        if tries == 1:
            raise StoreConflict("deadlock")
        return answers

    assert await writer.write(second_time_lucky, 1) == 10
    assert await kept(database) == [1]


async def test_endless_conflicts_end_as_unavailable(database: Database, writer: Writer):
    async def never(tx: Transaction, rows: Sequence[int]) -> list[int]:
        raise StoreConflict("deadlock")

    with pytest.raises(StoreUnavailable):
        await writer.write(never, 1)


async def test_a_full_queue_refuses_at_once(database: Database):
    writer = Writer(database, queue_limit=10)
    answers = await asyncio.gather(*(writer.write(put, n) for n in range(15)), return_exceptions=True)
    assert [isinstance(answer, Overloaded) for answer in answers] == [False] * 10 + [True] * 5
    assert await kept(database) == list(range(10))
    await writer.close()


async def test_closing_finishes_what_waits_and_refuses_what_comes(database: Database, writer: Writer):
    waiting = [asyncio.create_task(writer.write(put, n)) for n in range(5)]
    await asyncio.sleep(0)
    await writer.close()
    assert [await task for task in waiting] == [0, 10, 20, 30, 40]
    with pytest.raises(StoreUnavailable):
        await writer.write(put, 9)


async def test_a_caller_who_gives_up_before_its_turn_is_not_written_for(database: Database, writer: Writer):
    tasks = [asyncio.create_task(writer.write(put, n)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert await kept(database) == [0, 2]


class Hanging(Database):
    """A database whose server has stopped answering, until it is ``back``."""

    dialect = "sqlite"

    def __init__(self, real: Database) -> None:
        super().__init__(0.2)
        self.real = real
        self.back = asyncio.Event()

    @asynccontextmanager
    async def transaction(self, *, seconds=None, brief=False):
        await self.back.wait()
        async with self.real.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def reading(self):
        await self.back.wait()
        async with self.real.reading() as session:
            yield session

    async def close(self) -> None:
        await self.real.close()


async def test_while_the_database_hangs_callers_wait_no_longer_than_told_and_afterwards_all_is_well(
    database: Database,
):
    hanging = Hanging(database)
    writer, reader = Writer(hanging), Reader(hanging)
    async with asyncio.timeout(30):  # it hangs until it is told otherwise
        answers = await asyncio.gather(
            *(writer.write(put, n) for n in range(3)), reader.read(names, 1), return_exceptions=True
        )
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 4
    hanging.back.set()
    assert await writer.write(put, 9) == 90
    assert await reader.read(names, 9) == "9"
    await writer.close()
    await reader.close()


async def test_what_waits_behind_a_batch_that_found_the_store_gone_fails_with_it(database: Database):
    writer = Writer(database, batch_limit=1)

    async def gone(tx: Transaction, rows: Sequence[int]) -> list[int]:
        raise StoreUnavailable("disk full")

    answers = await asyncio.gather(writer.write(gone, 1), writer.write(put, 2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    assert await writer.write(put, 2) == 20
    await writer.close()


async def test_look_ups_that_arrive_together_are_one(database: Database, writer: Writer, reader: Reader):
    await asyncio.gather(*(writer.write(put, n) for n in range(5)))
    batches: list[int] = []

    async def counted(tx: Transaction, keys: Sequence[int]) -> list[str | None]:
        batches.append(len(keys))
        return await names(tx, keys)

    assert await asyncio.gather(*(reader.read(counted, n) for n in (3, 9, 1))) == ["3", None, "1"]
    assert batches == [3]


async def test_many_turns_one_after_another_never_lose_a_caller(database: Database, writer: Writer):
    async def turns(first: int) -> None:
        for n in range(first, first + 20):
            await writer.write(put, n)

    await asyncio.wait_for(asyncio.gather(*(turns(k * 100) for k in range(5))), 20)
    assert len(await kept(database)) == 100
