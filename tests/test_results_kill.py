"""The job that counts is killed in the middle: what it had counted is a recount, and the rest is counted once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from pathlib import Path

import asyncpg

from command_line import Home, small_templates, started
from counted import EXPERIMENT, OTHER, an_entry, an_experiment, append, expose, look_around, seal
from handraiser.store import tallies
from handraiser.store.database import Database
from rows import DAY, NOW, TENTS
from running import SECRETS

SUBJECTS = 6_000
EXPERIMENTS = (EXPERIMENT, OTHER)


async def test_a_kill_in_the_middle_of_counting_loses_and_doubles_nothing(database_url: str, tmp_path: Path):
    await _fill(database_url)
    given = {f"HANDRAISER_{name.upper()}": value for name, value in SECRETS.items()}
    home = Home(
        tmp_path,
        given | {"HANDRAISER_DATABASE_URL": database_url, "HANDRAISER_TEMPLATES_DIR": str(small_templates(tmp_path))},
    )

    with started([home.python, "-m", "handraiser", "tallies", "rebuild"], tmp_path, home.environ) as rebuilding:
        counted = await _until_it_counts(database_url)
        rebuilding.process.send_signal(signal.SIGKILL)
        assert rebuilding.process.wait(30) == -signal.SIGKILL
    assert counted < 2 * SUBJECTS, "the kill came too late to prove anything"

    assert counted <= await _recounted(database_url) < 2 * SUBJECTS
    assert json.loads(home.done("tallies", "rebuild", "--json"))["experiments"] == 2
    assert await _recounted(database_url) == 2 * SUBJECTS


async def _fill(database_url: str) -> None:
    database = await Database.open(database_url)
    for one in EXPERIMENTS:
        await an_experiment(database, one)
        for day in range(6):
            await expose(database, range(day * 1_000, (day + 1) * 1_000), one, at=NOW + day * DAY)
    entries = [an_entry(n, "granted" if n % 3 else "voided", NOW + 6 * DAY) for n in range(0, SUBJECTS, 20)]
    await append(database, entries)
    await seal(database)
    await look_around(database)
    await database.close()


async def _recounted(database_url: str) -> int:
    """How many exposures are counted: the tallies must be what their recount says."""
    database = await Database.open(database_url)
    counted = 0
    for one in EXPERIMENTS:
        exposures, should = await tallies.recounted(database, TENTS, one)
        assert should == await tallies.kept(database, TENTS, one)
        counted += exposures
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM lease")  # as two minutes after the kill
    await database.close()
    return counted


async def _until_it_counts(database_url: str) -> int:
    """Wait until some exposures are counted, seen from outside; how many were."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if counted := await _counted(database_url):
            return counted
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was counted")


async def _counted(database_url: str) -> int:
    """How many exposures are counted, as a stranger reads the database."""
    question = "SELECT count(*) FROM exposure WHERE counted IS NOT NULL"
    if database_url.startswith("sqlite"):
        with contextlib.closing(
            sqlite3.connect(f"file:{database_url.removeprefix('sqlite:///')}?mode=ro", uri=True)
        ) as db:
            return int(db.execute(question).fetchone()[0])
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval(question))
    finally:
        await connection.close()
