"""Behind a transaction pooler each transaction may meet another connection: what a session remembers is gone."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from handraiser.errors import Busy, StoreUnavailable
from handraiser.store import schema
from handraiser.store.database import Database, Transaction
from handraiser.store.leases import Lease
from postgres import NOBODY, Killable, debian_binaries, killable_server
from programs import Programs
from rows import NOW
from running import TENTS, Running, an_order, free_port, running, settings_for, the_ask

pytestmark = [pytest.mark.tls, pytest.mark.pgbouncer]
CONFIG = """
[databases]
* = host={folder} port={behind} user=handraiser

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
"""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Killable]:
    with killable_server(binaries=debian_binaries(), port=free_port()) as one:
        yield one


@pytest.fixture(scope="module")
def pooler(postgresql: Killable) -> Iterator[int]:
    """The port of a PgBouncer whose three connections to a database all replicas use by turns."""
    port = free_port()
    config = postgresql.folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(folder=postgresql.folder, behind=postgresql.port, port=port))
    as_user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with (postgresql.folder / "pooler.log").open("wb") as log:
        process = subprocess.Popen(["/usr/sbin/pgbouncer", config], stdout=log, stderr=log, **as_user)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def pooled_url(postgresql: Killable, pooler: int) -> str:
    """An empty database behind the pooler, which has begun to listen."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgresql.url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    async with asyncio.timeout(10):
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", pooler))[1].close()
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
    return f"postgresql://handraiser@127.0.0.1:{pooler}/{name}"


@pytest.fixture
async def replicas(pooled_url: str, tmp_path: Path, compiled: Programs) -> AsyncIterator[list[Running]]:
    def its_settings(name: str) -> Any:
        return settings_for(tmp_path / name, pooled_url, database_pooler=True, store_seconds=20.0)

    async with (
        running(its_settings("a"), compiled, [TENTS]) as first,
        running(its_settings("b"), compiled, []) as second,
    ):
        second.keys |= first.keys
        yield [first, second]


async def test_two_replicas_keep_every_press_and_every_leaving_once(replicas: list[Running]):
    async def walk(n: int) -> None:
        here, there = replicas[n % 2], replicas[(n + 1) % 2]
        order = an_order(n, customer={"id": f"C-{n}", "email": f"alice.{n}@example.com"})
        answers = await asyncio.gather(*(one.email(order, Idempotency_Key=f"order-{n}") for one in (here, there)))
        assert answers[0]["message_id"] == answers[1]["message_id"]
        await asyncio.gather(*(one.press(the_ask(answers[0])) for one in (here, there)))
        assert (await here.get(f"/v1/consents?customer_id=C-{n}"))[1]["standing"] == {"offers": "granted"}
        leave = answers[0]["headers"]["List-Unsubscribe"].strip("<>")
        assert (await there.submit(leave, {"List-Unsubscribe": "One-Click"}))[0] == 200
        _, known = await here.get(f"/v1/consents?customer_id=C-{n}")
        assert known["standing"] == {"offers": "withdrawn"}
        assert sorted(entry["event"] for entry in known["entries"]) == ["granted", "withdrawn"]

    await asyncio.gather(*(walk(n) for n in range(1, 13)))

    sealed = await asyncio.gather(*(one.service.jobs.seal() for one in replicas))
    assert sum(sealed) == 1, "one of them seals the shop's batch"
    service = replicas[0].service
    assert (await service.command("consents.verify", {"head": None}))["ok"]
    assert (await service.command("tallies.verify", {}))["ok"]
    (sessions,) = await service.database.fetch(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()"
    )
    assert sessions["n"] <= 3, "they went through the pooler"


async def test_four_processes_that_start_at_once_migrate_once(pooled_url: str):
    opened = await asyncio.gather(*(Database.open(pooled_url, pooler=True, seconds=20) for _ in range(4)))

    applied = await opened[0].fetch("SELECT number FROM schema_migration")
    assert [row["number"] for row in applied] == [script.number for script in schema.scripts()]
    assert [await schema.pending(one) for one in opened] == [[]] * 4
    await asyncio.gather(*(one.close() for one in opened))


async def test_a_lease_has_one_holder_and_nothing_of_it_stays_with_a_connection(pooled_url: str):
    first, second = [await Database.open(pooled_url, pooler=True, seconds=20) for _ in range(2)]
    held = 0

    async def work(tx: Transaction) -> None:
        nonlocal held
        await tx.exclusive("the work")
        held += 1
        assert held == 1
        await tx.fetch("SELECT pg_sleep(0.02)")
        held -= 1

    async def alone(database: Database, now: int) -> None:
        await Lease(database, "sealing", str(id(database)), lambda: now, 1000).alone(work)

    await asyncio.gather(*(alone(first, NOW) for _ in range(8)))
    with pytest.raises(Busy):
        await alone(second, NOW + 999)
    await alone(second, NOW + 1000)
    assert await second.fetch("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == []
    (kept,) = await first.fetch("SELECT current_setting('statement_timeout') AS it")
    assert kept["it"] == "20s", "set for its own transaction, each time"
    await asyncio.gather(first.close(), second.close())


async def test_who_was_not_told_of_the_pooler_is_told(pooled_url: str):
    with pytest.raises(StoreUnavailable, match="set database_pooler"):
        await Database.open(pooled_url)
