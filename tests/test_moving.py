"""Moving house: an installation on SQLite is copied to PostgreSQL while it works, and goes on there."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from command_line import ROOT, SHOP, Home, fetched, serving, small_templates
from handraiser.commands import copy_to
from handraiser.doors.control import ControlFailed
from handraiser.errors import HandraiserError, StoreError
from handraiser.moving import Moved
from handraiser.settings import Settings
from handraiser.store import copying
from handraiser.store.database import Database
from handraiser.store.schema import SchemaTooNew
from programs import Programs
from rows import BOATS, DAY, NOW, TENTS, an_id
from running import Running, an_order, free_port, running, settings_for, the_ask

KEY = {"Idempotency_Key": "order-1"}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def customer(name: str) -> dict[str, str]:
    return {"id": name, "email": f"{name}@example.com"}


def quiet(*_told: Any) -> None:
    """Nobody looks at the progress bar."""


@asynccontextmanager
async def busy(house: Running) -> AsyncIterator[list[dict[str, Any]]]:
    """Orders come in all the while, and every third customer says yes; what was answered."""
    answered: list[dict[str, Any]] = []
    begun = asyncio.Event()

    async def order() -> None:
        while True:
            n = len(answered)
            answer = await house.email(an_order(10_000 + n, customer=customer(f"dora{id(answered)}-{n}")))
            answered.append(answer)
            if n % 3 == 0:
                await house.press(the_ask(answer))
            begun.set()

    task = asyncio.create_task(order())
    await asyncio.wait([task, asyncio.create_task(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield answered
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def written(told: dict[str, Any], table: str) -> dict[str, int]:
    (one,) = [one for one in told["tables"] if one["table"] == table]
    return {name: one[name] for name in ("new", "changed", "removed")}


async def sealed(house: Running, batches: int) -> dict[str, Any]:
    """What verifying finds once the company of the tents has this many batches."""
    for _ in range(200):
        found = await house.service.prove.verify()
        if {one["company"]: one for one in found["companies"]}["tents-company"]["batches"] >= batches:
            break
        await asyncio.sleep(0.05)
    return found


async def test_a_busy_service_is_copied_twice_then_for_good_and_goes_on_at_the_other_house(
    tmp_path: Path, postgres_url: str, compiled: Programs
):
    settings = settings_for(
        tmp_path, f"sqlite:///{tmp_path / 'handraiser.db'}", seal_seconds=1.0, data_keys="1:" + "d" * 64
    )
    async with running(settings, compiled) as house:
        waiting = await house.email(an_order(1), **KEY)
        asked = await house.email(an_order(2, customer=customer("bob")))
        await house.press(the_ask(asked))
        leaving = await house.email(an_order(3, customer=customer("carol")))
        await house.press(the_ask(leaving))
        boat = await house.email(an_order(4, customer=customer("charlie")), shop="boats")
        await sealed(house, 1)
        async with busy(house) as first:
            told = await copy_to(settings, postgres_url, quiet)
        assert not told["final"]
        assert written(told, "message")["new"] >= 4

        left = leaving["headers"]["List-Unsubscribe"].strip("<>")
        await house.submit(left, ONE_CLICK)
        assert await house.post("/v1/customers/erase", {"email": "carol@example.com"}) == (200, {"erased": 1})
        async with busy(house) as second:
            told = await copy_to(settings, postgres_url, quiet)
        assert not told["final"]
        assert written(told, "message")["removed"] == 1, "Carol's"
        assert written(told, "message")["new"] <= len(first) + len(second)
        known = {name: (await house.get(f"/v1/consents?customer_id={name}"))[1]["standing"] for name in ("7", "bob")}
        messages = [waiting, asked, *first, *second]
        keys = house.keys
        proven = await house.service.prove.verify()

    told = await copy_to(settings, postgres_url, quiet)
    assert told["final"]
    assert told["ledger"]["ok"]
    assert told["ledger"]["heads_compared"] >= 1
    roots = {one["company"]: (one["entries"], one["root"]) for one in told["ledger"]["companies"]}
    assert roots["tents-company"][0] >= proven["companies"][0]["entries"]
    with closing(sqlite3.connect(tmp_path / "handraiser.db")) as old:
        (seals,) = old.execute("SELECT MAX(batch_no) FROM ledger_head").fetchone()
    again = await copy_to(settings, postgres_url, quiet)
    assert all(written(again, one["table"]) == {"new": 0, "changed": 0, "removed": 0} for one in again["tables"])

    there = settings.model_copy(update={"database_url": postgres_url})
    async with running(there, compiled) as house:
        house.keys = keys
        for message in messages:
            assert (await house.get(f"/v1/messages/{message['message_id']}"))[0] == 200
        assert (await house.get(f"/v1/messages/{boat['message_id']}", shop="boats"))[0] == 200
        assert (await house.get("/v1/consents?customer_id=carol"))[0] == 404
        for name, standing in known.items():
            assert (await house.get(f"/v1/consents?customer_id={name}"))[1]["standing"] == standing
        assert (await house.email(an_order(1), **KEY))["message_id"] == waiting["message_id"], "replayed"
        assert (await house.submit(left, ONE_CLICK))[0] == 200, "leaving by an erased customer's link never fails"
        await house.press(the_ask(waiting))
        assert (await house.get("/v1/consents?customer_id=7"))[1]["standing"] == {"offers": "granted"}
        found = await sealed(house, seals + 1)
        assert found["ok"], found["broken"]
        with pytest.raises(HandraiserError, match="opened the target"):
            await copy_to(settings, postgres_url, quiet)


def test_the_operations_page_moves_a_house_as_it_stands_there(tmp_path: Path, empty_database: str):
    section = (ROOT / "docs" / "operations.md").read_text().partition("## Moving house\n")[2].partition("\n## ")[0]
    beside, last = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    state, secrets = tmp_path / "state", tmp_path / "secrets"
    home = Home(
        tmp_path,
        {
            "HANDRAISER_STATE_DIR": str(state),
            "HANDRAISER_TEMPLATES_DIR": str(small_templates(tmp_path)),
            "HANDRAISER_SEAL_SECONDS": "1",
            "HANDRAISER_LOG_LEVEL": "ERROR",
            "TARGET": empty_database,
            "STATE_DIR": str(state),
            "SECRETS": str(secrets),
        },
    )
    (tmp_path / "shop.toml").write_text(SHOP)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(home, port):
        home.done("shops", "add", "shop.toml")
        key = home.done("keys", "add", "--shop", "my-shop", "--scope", "emails", "--scope", "consents").strip()
        fetched(f"{url}/v1/emails", key, an_order(1))
        record = {"email": "alice@example.com", "purpose": "offers", "event": "granted"}
        granted = fetched(f"{url}/v1/consents", key, record)
        assert "stop it and copy once more" in by_the_book(home, beside)
    told = by_the_book(home, last)
    assert "the copy is the same" in told
    assert told.count("the ledger is whole") == 2
    files = {f"HANDRAISER_{name.upper()}_FILE": str(secrets / name) for name in ("signing_keys", "pepper", "data_keys")}
    with serving(Home(tmp_path, {**home.given, **files, "HANDRAISER_DATABASE_URL": empty_database}), port):
        known = fetched(f"{url}/v1/consents?customer_id=7", key)
    assert known["standing"] == {"offers": "granted"}
    assert granted["event_id"] in [entry["event_id"] for entry in known["entries"]]


def by_the_book(home: Home, commands: str) -> str:
    ended = subprocess.run(
        ["bash", "-ec", commands], cwd=home.folder, env=home.environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
async def empty_database(postgres_server: str) -> str:
    connection = await asyncpg.connect(postgres_server)
    await connection.execute("CREATE DATABASE another_house")
    await connection.close()
    return postgres_server.replace("/postgres?", "/another_house?")


async def test_a_service_that_stops_does_not_wait_for_the_copy_and_says_so(
    tmp_path: Path, postgres_url: str, compiled: Programs
):
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path / 'handraiser.db'}")
    async with AsyncExitStack() as stack:
        target = await Database.open(postgres_url)
        stack.push_async_callback(target.close)
        tx = await stack.enter_async_context(target.transaction())
        await tx.execute("LOCK TABLE idempotency")  # the copy gets no further
        async with running(settings, compiled):
            copying_on = asyncio.create_task(copied(settings, postgres_url))
            for _ in range(200):
                if await target.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):
                    break
                await asyncio.sleep(0.05)
        with pytest.raises(ControlFailed, match="the service is stopping"):
            await copying_on
    assert (await copied(settings, postgres_url))["final"]
    assert await unlike(settings, postgres_url) == {}


async def copied(settings: Settings, url: str, moved: Moved = quiet) -> dict[str, Any]:
    return await copy_to(settings, url, moved)


@asynccontextmanager
async def both(settings: Settings, url: str) -> AsyncIterator[tuple[Database, Database]]:
    """The installation's database and the other one, open as files are: no service has begun."""
    source = await Database.open(settings.database)
    target = await Database.open(url)
    try:
        yield source, target
    finally:
        await source.close()
        await target.close()


async def furnished(folder: Path, company: bytes = TENTS, slug: str = "tents") -> Settings:
    """A stopped installation with a company, its shop, 1,200 keys and 700 visits of 350 messages, some in pairs."""
    settings = settings_for(folder, f"sqlite:///{folder / 'handraiser.db'}")
    database = await Database.open(settings.database)
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO controller VALUES ($1, $2, $2, '{}')", (company, slug))
        await tx.execute(
            "INSERT INTO shop (controller_id, shop_id, number, slug, name, mode, settings)"
            " VALUES ($1, $1, 1, $2, $2, 'on', '{}')",
            (company, slug),
        )
        for first in range(0, 1200, 100):
            await tx.execute_rows(
                "WITH {rows} INSERT INTO idempotency SELECT $1, $1, v.key, $1, v.message_id, v.at FROM v",
                "key text, message_id id, at int",
                [(f"order-{n}", an_id(n), NOW) for n in range(first, first + 100)],
                (company,),
            )
        await tx.execute_rows(
            "WITH {rows} INSERT INTO click SELECT $1, v.message_id, v.at, 1, 'GET', 'human', '[]', NULL FROM v",
            "message_id id, at int",
            [(an_id(n // 2), NOW - 90 * DAY + n // 4) for n in range(700)],
            (company,),
        )
    await database.close()
    return settings


async def unlike(settings: Settings, url: str) -> dict[str, tuple[int, int, int]]:
    """Tables that differ: rows here, rows there, keys with other rows."""
    found = {}
    async with both(settings, url) as (source, target):
        for table in await copying.tables(target):
            here, there = await copying.count(source, table), await copying.count(target, table)
            differing = await copying.differing(source, target, table)
            if here != there or differing:
                found[table.name] = here, there, differing
    return found


async def stopped_after(pages: int, settings: Settings, url: str) -> bool:
    """Whether a copy was stopped once it had looked at more than so many pages."""
    seen = 0

    def moved(*_told: Any) -> None:
        nonlocal seen
        seen += 1
        if seen > pages:
            task.cancel()

    task = asyncio.create_task(copied(settings, url, moved))
    await asyncio.wait([task])
    return task.cancelled()


async def test_a_copy_that_is_stopped_anywhere_is_brought_to_its_end_by_the_next_one(tmp_path: Path, postgres_url: str):
    settings = await furnished(tmp_path)
    for pages in range(0, 12, 3):
        assert await stopped_after(pages, settings, postgres_url)
    assert (await copied(settings, postgres_url))["final"]
    assert await unlike(settings, postgres_url) == {}


async def test_the_next_copy_writes_what_is_new_or_changed_and_takes_away_what_has_gone(
    tmp_path: Path, postgres_url: str
):
    settings = await furnished(tmp_path)
    told = await copied(settings, postgres_url)
    assert written(told, "idempotency") == {"new": 1200, "changed": 0, "removed": 0}
    assert written(told, "click") == {"new": 700, "changed": 0, "removed": 0}
    with closing(sqlite3.connect(tmp_path / "handraiser.db")) as old, old:
        old.execute("DELETE FROM idempotency WHERE key = 'order-7'")
        old.execute("UPDATE idempotency SET created_at = 1 WHERE key = 'order-8'")
        old.execute("INSERT INTO idempotency SELECT controller_id, shop_id, 'a', $1, $1, 1 FROM shop", (an_id(1),))
        old.execute("DELETE FROM click WHERE rowid = 1")
        old.execute("UPDATE controller SET name = 'Tents of old'")
    told = await copied(settings, postgres_url)
    assert written(told, "idempotency") == {"new": 1, "changed": 1, "removed": 1}
    assert written(told, "click") == {"new": 0, "changed": 1, "removed": 0}, "what is left of the two"
    assert written(told, "controller") == {"new": 0, "changed": 1, "removed": 0}
    assert await unlike(settings, postgres_url) == {}


async def test_what_may_be_there_once_goes_over_from_one_row_to_another(tmp_path: Path, postgres_url: str):
    settings = await furnished(tmp_path)
    with closing(sqlite3.connect(tmp_path / "handraiser.db")) as old, old:
        rows = [(TENTS, "offers", n, "{}", n == 2, 1, "") for n in (1, 2)]
        old.executemany("INSERT INTO purpose VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    await copied(settings, postgres_url)
    with closing(sqlite3.connect(tmp_path / "handraiser.db")) as old, old:
        old.execute("UPDATE purpose SET live = 0")
        old.execute("UPDATE purpose SET live = 1 WHERE version = 1")
    assert written(await copied(settings, postgres_url), "purpose") == {"new": 0, "changed": 2, "removed": 0}
    assert await unlike(settings, postgres_url) == {}


async def test_rows_of_earlier_months_come_into_partitions_of_theirs(tmp_path: Path, postgres_url: str):
    settings = await furnished(tmp_path)
    await copied(settings, postgres_url)
    async with both(settings, postgres_url) as (_, target):
        month = f"click_{datetime.fromtimestamp((NOW - 90 * DAY) / 1000, UTC):%Y_%m}"
        assert [row["n"] for row in await target.fetch(f"SELECT COUNT(*) AS n FROM {month}")] == [700]
        assert await target.fetch("SELECT 1 FROM click_default LIMIT 1") == []


async def test_what_the_copy_only_lets_grow_is_not_changed_by_a_later_copy(tmp_path: Path, postgres_url: str):
    settings = await furnished(tmp_path)
    await copied(settings, postgres_url)
    async with both(settings, postgres_url) as (_, target), target.transaction() as tx:
        await tx.execute("INSERT INTO wording VALUES ($1, $2, 'en', '{}', 1)", (TENTS, b"text"))
    with pytest.raises(StoreError, match="wording: the target's rows are not this installation's"):
        await copied(settings, postgres_url)


async def test_nothing_is_copied_where_it_does_not_belong(tmp_path: Path, postgres_url: str):
    settings = await furnished(tmp_path)
    with pytest.raises(StoreError, match="from SQLite to postgresql"):
        await copied(settings, settings.database)
    with pytest.raises(StoreError, match="from SQLite to postgresql"):
        await copied(settings.model_copy(update={"database_url": postgres_url}), postgres_url)
    with pytest.raises(StoreError, match="there is no database at"):
        await copied(settings_for(tmp_path, f"sqlite:///{tmp_path / 'none.db'}"), postgres_url)
    assert not (tmp_path / "none.db").exists()

    (tmp_path / "other").mkdir()
    await copied(await furnished(tmp_path / "other", BOATS, "boats"), postgres_url)
    with pytest.raises(StoreError, match=r"another installation's data \(boats\)"):
        await copied(settings, postgres_url)

    async with both(settings, postgres_url) as (_, target), target.transaction() as tx:
        await tx.execute("INSERT INTO schema_migration VALUES (9999, 'of_tomorrow', 'x', 1)")
    with pytest.raises(SchemaTooNew, match="9999_of_tomorrow"):
        await copied(settings, postgres_url)


async def test_every_table_has_something_its_rows_are_found_by_and_those_left_out_exist(postgres_url: str):
    target = await Database.open(postgres_url)
    names = {row["name"] for row in await target.fetch(copying._CATALOGUE)}
    found = await copying.tables(target)
    await target.close()
    assert names >= copying.LEFT
    assert {table.name for table in found} == names - copying.LEFT
    assert {table.name for table in found if not table.unique} == set(copying.GROUPS)
    places = [table.name for table in found]
    assert places.index("controller") < places.index("shop")
    assert all(name.endswith("_waiting") for name in places[-3:])
