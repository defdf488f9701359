"""While the database is away, in any of its ways, the receipt goes out and leaving is taken; afterwards nothing is
missing."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest

import outages
from handraiser.store.journal import Journal
from postgres import Killable, killable_server
from programs import Programs
from running import TENTS, Running, an_order, running, settings_for, the_ask
from siege import Clock
from wire import Wire

HOUR = 3_600_000
BOB = {"id": "8", "email": "bob@example.com", "first_name": "Bob"}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
MAIL = (
    b"From: orders@tents.example\r\nTo: carol@example.com\r\nSubject: Order 9\r\nMessage-ID: <9@tents.example>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><body><p>Your order 9.</p></body></html>\r\n"
)
FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON message FOR EACH STATEMENT EXECUTE FUNCTION full_disk();
CREATE TRIGGER full_disk BEFORE INSERT ON consent_entry FOR EACH STATEMENT EXECUTE FUNCTION full_disk()
"""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Killable]:
    with killable_server() as one:
        yield one


@dataclass
class Place:
    """A service and what its database hangs on."""

    house: Running
    postgresql: Killable
    wire: Wire
    clock: Clock

    async def ready(self) -> int:
        async with self.house.session.get(f"{self.house.url}/readyz") as answer:
            return answer.status

    async def finished(self) -> tuple[bytes, str]:
        """What comes back for a finished mail, and why it is unchanged."""
        given = {"Authorization": f"Bearer {self.house.keys['tents']}", "Content-Type": "message/rfc822"}
        url = f"{self.house.url}/v1/emails/enrich?type=order_confirmation&customer_id=9&locale=en&country=US&kind=new"
        async with self.house.session.post(url, data=MAIL, headers=given) as answer:
            return await answer.read(), answer.headers.get("Handraiser-Skipped", "")

    async def kept(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer to an order, sent again until it is recorded."""
        async with asyncio.timeout(60):
            while True:
                answer = await self.house.email(order, Idempotency_Key=f"order-{order['order']['id']}")
                if answer["message_id"]:
                    return answer
                await asyncio.sleep(0.05)


@asynccontextmanager
async def no_byte_more(_place: Place) -> AsyncIterator[None]:
    with outages.no_byte_more(os.getpid()):
        yield


@asynccontextmanager
async def read_only_file(place: Place) -> AsyncIterator[None]:
    writer = place.house.service.database._writer  # type: ignore[attr-defined]  # what SQLite itself answers to a write
    await writer.execute_fetchall("PRAGMA query_only = ON")
    try:
        yield
    finally:
        await writer.execute_fetchall("PRAGMA query_only = OFF")


@asynccontextmanager
async def full_disk(place: Place) -> AsyncIterator[None]:
    """What PostgreSQL says where the volume of its tables is full; ``make durability`` fills a real one."""
    database = place.house.service.database
    async with database.transaction() as tx:
        await tx.script(FULL)
    try:
        yield
    finally:
        async with database.transaction() as tx:
            await tx.script("DROP FUNCTION full_disk CASCADE")


@asynccontextmanager
async def read_only_server(place: Place) -> AsyncIterator[None]:
    async def until(on: str) -> None:
        await asyncio.to_thread(place.postgresql.read_only, on == "on")
        async with asyncio.timeout(20):
            while True:
                (row,) = await place.house.service.database.fetch("SHOW transaction_read_only")
                if row[0] == on:
                    break
                await asyncio.sleep(0.02)

    await until("on")
    try:
        yield
    finally:
        await until("off")


@asynccontextmanager
async def on_the_wire(state: Literal["cut", "hole"], place: Place) -> AsyncIterator[None]:
    place.wire.state = state
    try:
        yield
    finally:
        place.wire.state = "whole"


cut, hole = partial(on_the_wire, "cut"), partial(on_the_wire, "hole")
Fault = Callable[[Place], AbstractAsyncContextManager[None]]
AWAY: list[tuple[str, Fault]] = [
    ("sqlite", no_byte_more),
    ("sqlite", read_only_file),
    ("postgresql", full_disk),
    ("postgresql", read_only_server),
    ("postgresql", cut),
    ("postgresql", hole),
]


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path, compiled: Programs) -> AsyncIterator[Place]:
    """A house on the database that the test names; its time of day stands."""
    postgresql: Killable = request.getfixturevalue("postgresql")
    wire = Wire(str(postgresql.folder / f".s.PGSQL.{postgresql.port}"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(wire.open())
        url = f"sqlite:///{tmp_path / 'handraiser.db'}"
        if request.param[0] == "postgresql":
            schema = f"test_{secrets.token_hex(6)}"
            connection = await asyncpg.connect(postgresql.url)
            await connection.execute(f"CREATE SCHEMA {schema}")
            await connection.close()
            url = f"{wire.url}?search_path={schema}"
        settings = settings_for(tmp_path, url, store_seconds=1.0 if request.param[1] is hole else 20.0)
        clock = Clock(time.time_ns() // 1_000_000)
        house = await stack.enter_async_context(running(settings, compiled, [TENTS], clock))
        yield Place(house, postgresql, wire, clock)


@pytest.mark.parametrize(("place", "fault"), [(one, one[1]) for one in AWAY], indirect=["place"])
async def test_receipts_and_leaving_go_on_without_the_database_and_all_of_it_is_there_afterwards(
    place: Place, fault: Fault
):
    house = place.house
    first = await house.email(an_order(1), Idempotency_Key="order-1")
    assert (await house.press(the_ask(first)))[0] == 200
    leave = first["headers"]["List-Unsubscribe"].strip("<>")

    async with fault(place):
        receipt = await house.email(an_order(2, customer=BOB), Idempotency_Key="order-2")
        assert "Tent" in receipt["html"]
        assert not receipt["message_id"]
        assert [placed for placed in receipt["placements"] if placed.get("url")] == []
        assert await place.finished() == (MAIL, "store_unavailable")
        assert await place.ready() == 503
        assert (await house.submit(leave, ONE_CLICK))[0] == 200
        assert len(Journal(house.service.settings.state_dir / "withdrawals.journal").pending()) == 1
        async with house.session.get(f"{house.url}/healthz") as answer:
            assert answer.status == 200

    second = await place.kept(an_order(2, customer=BOB))
    assert the_ask(second), "asking goes on"
    assert await place.ready() == 200
    assert (await place.kept(an_order(1)))["message_id"] == first["message_id"]
    await everything_is_whole(house, [first, second])


async def everything_is_whole(house: Running, emails: list[dict[str, Any]]) -> None:
    """Alice has left, each email is there once, and what is counted and proven agrees."""
    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["standing"] == {"offers": "withdrawn"}
    assert [entry["event"] for entry in known["entries"]] == ["granted", "withdrawn"]
    rows = await house.service.database.fetch("SELECT message_id FROM message ORDER BY message_id")
    assert {row["message_id"].hex() for row in rows} == {one["message_id"].replace("-", "") for one in emails}
    assert len(rows) == len(emails)
    await house.service.jobs.seal()
    assert (await house.service.command("consents.verify", {"head": None}))["ok"]
    assert (await house.service.command("consents.rebuild", {}))["changed"] == 0
    assert (await house.service.command("tallies.verify", {}))["ok"]


@pytest.mark.parametrize("place", [("sqlite", None), ("postgresql", None)], indirect=True)
async def test_a_slow_disk_makes_everything_slow_and_nothing_else(place: Place):
    house = place.house
    if house.service.database.dialect == "sqlite":
        connection = house.service.database._writer._conn  # type: ignore[attr-defined]
        connection.set_trace_callback(lambda sql: time.sleep(0.1) if sql == "COMMIT" else None)
    else:
        place.wire.delay = 0.01

    emails = await asyncio.gather(
        *(house.email(an_order(n), Idempotency_Key=f"order-{n}") for n in (1, 1, 2)),
    )

    assert emails[0]["message_id"] == emails[1]["message_id"]
    asked = next(one for one in emails if [placed for placed in one["placements"] if placed.get("url")])
    await house.press(the_ask(asked))
    assert (await house.submit(asked["headers"]["List-Unsubscribe"].strip("<>"), ONE_CLICK))[0] == 200
    assert await place.ready() == 200
    assert Journal(house.service.settings.state_dir / "withdrawals.journal").oldest is None
    await everything_is_whole(house, [emails[0], emails[2]])


@pytest.mark.parametrize("place", [("sqlite", read_only_file), ("postgresql", cut)], indirect=True)
async def test_a_clock_set_back_an_hour_costs_no_email_no_press_and_no_leaving(
    place: Place, request: pytest.FixtureRequest
):
    house = place.house
    first = await house.email(an_order(1), Idempotency_Key="order-1")

    house.keys["gone"] = gone = await house.service.govern.add_key("tents", ["emails"])
    assert (await house.post("/v1/emails?dry_run=true", an_order(1), shop="gone"))[0] == 200

    place.clock.now -= HOUR

    await house.service.govern.command("keys.revoke", {"key_id": gone.split("_")[1]})
    assert (await house.post("/v1/emails?dry_run=true", an_order(1), shop="gone"))[0] == 401, "revoked at once"
    assert (await house.email(an_order(1), Idempotency_Key="order-1"))["message_id"] == first["message_id"]
    second = await house.email(an_order(2, customer=BOB), Idempotency_Key="order-2")
    assert second["message_id"] < first["message_id"]
    status, _ = await house.press(the_ask(first))
    assert status == 200
    async with request.node.callspec.params["place"][1](place):
        assert (await house.submit(first["headers"]["List-Unsubscribe"].strip("<>"), ONE_CLICK))[0] == 200
    third = await place.kept(an_order(3))
    assert "suppressed" in {skip["reason"] for skip in third["skipped"]}, "the journal was applied"
    await everything_is_whole(house, [first, second, third])
