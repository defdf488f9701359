"""When the database is gone, callers hear so soon; when it is back, the same objects work again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

import postgres
from handraiser.errors import StoreUnavailable
from handraiser.store.database import Database
from handraiser.store.messages import look_up
from handraiser.store.recording import Kept, record
from handraiser.store.writer import Reader, Writer
from rows import a_recording, an_id, key


async def test_a_full_disk_is_unavailable_loses_nothing_and_passes(tmp_path: Path):
    database = await Database.open(f"sqlite:///{tmp_path / 'one.db'}")
    writer = Writer(database)
    await writer.write(record, a_recording(1))
    async with database.transaction() as tx:
        (pages,) = await tx.fetch("PRAGMA page_count")
        await tx.fetch(f"PRAGMA max_page_count = {pages[0]}")
    answers = await asyncio.gather(
        *(writer.write(record, a_recording(n, f"{n}@example.com")) for n in range(2, 300)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    async with database.transaction() as tx:
        assert [tuple(row) for row in await tx.fetch("SELECT message_id FROM message")] == [(an_id(1),)]
        await tx.fetch("PRAGMA max_page_count = 1000000")
    assert isinstance(await writer.write(record, a_recording(2, "2@example.com")), Kept)
    await writer.close()
    await database.close()


@pytest.mark.slow
async def test_a_postgresql_that_hangs_costs_each_caller_the_limit_and_is_used_again_when_it_answers():
    with postgres.own_server() as (url, process):
        database = await Database.open(url, seconds=0.5)
        writer, reader = Writer(database), Reader(database)
        await writer.write(record, a_recording(1))
        pids = [
            row["pid"]
            for row in await database.fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
        ]
        _send([process.pid, *pids], signal.SIGSTOP)
        for turn in range(2):
            begun = time.monotonic()
            answers = await asyncio.gather(
                *(writer.write(record, a_recording(10 * turn + n, version=None)) for n in range(2, 5)),
                *(reader.read(look_up, key()) for _ in range(3)),
                return_exceptions=True,
            )
            assert {type(answer) for answer in answers} == {StoreUnavailable}
            assert time.monotonic() - begun < 15, "it hangs until it is told otherwise"
        with pytest.raises(StoreUnavailable):
            await database.ping()
        _send([process.pid, *pids], signal.SIGCONT)
        await _until(database)
        assert isinstance(await writer.write(record, a_recording(40, version=None)), Kept)
        assert (await reader.read(look_up, key())).subject_id == an_id(1001)
        await writer.close()
        await reader.close()
        await database.close()


@pytest.mark.slow
async def test_a_postgresql_that_stops_is_unavailable_at_once():
    with postgres.own_server() as (url, process):
        database = await Database.open(url)
        writer = Writer(database)
        await writer.write(record, a_recording(1))
        process.send_signal(signal.SIGINT)
        process.wait(10)
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await writer.write(record, a_recording(2, version=None))
        with pytest.raises(StoreUnavailable):
            await database.ping()
        assert time.monotonic() - begun < 10
        await writer.close()
        await database.close()


def _send(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, what)


async def _until(database: Database) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            return await database.ping()
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("the database did not come back")
