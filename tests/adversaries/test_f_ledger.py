"""F: the ledger. What people said over the doors cannot be changed behind them, and what is erased breaks nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from handraiser.errors import StoreError
from handraiser.store.database import Database
from programs import Programs
from running import running, settings_for
from siege import DAY, HOUR, Clock, Siege
from test_prove import drop_triggers

AT = 1_795_000_000_000


@pytest.fixture
async def siege(database_url: str, tmp_path: Path, compiled: Programs) -> AsyncIterator[Siege]:
    clock = Clock(AT)
    settings = settings_for(tmp_path, database_url, seal_seconds=3600)
    async with running(settings, compiled, clock=clock) as it, aiohttp.ClientSession() as raw:
        yield Siege(it, clock, raw)


async def verified(siege: Siege) -> dict[str, Any]:
    """What ``handraiser consents verify`` says once everything is sealed."""
    await siege.it.service.jobs.seal()
    found: dict[str, Any] = await siege.it.service.prove.verify()
    return found


async def by_hand(database: Database, sql: str, *values: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute(sql, values)


async def test_f1_f5_f6_the_ledger_verifies_after_erasure_and_not_after_an_edit(siege: Siege):
    alice, bob = await siege.ask(), await siege.ask()
    await siege.press(alice.link)
    await siege.press(bob.link)
    await siege.send("POST", bob.leave, {"List-Unsubscribe": "One-Click"}, {})
    assert (await verified(siege))["ok"]

    database = siege.it.service.database
    await by_hand(database, "DELETE FROM evidence")
    assert (await verified(siege))["ok"], "evidence may go"
    headers = {"Authorization": f"Bearer {siege.it.keys['tents']}"}
    async with siege.raw.delete(f"{siege.it.url}/v1/customers/{bob.id}", headers=headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"erased": 1})
    assert (await verified(siege))["ok"], "and so may a person"
    for path, body in (
        ("/v1/consents/search", {"email": bob.address}),
        ("/v1/customers/search", {"email": bob.address}),
    ):
        assert (await siege.it.post(path, body))[0] == 404
    assert (await siege.it.get(f"/v1/customers/{bob.id}"))[0] == 404
    assert (await siege.get(bob.link)).status == 404
    assert await siege.events(alice) == ["granted"]
    again = await siege.it.email(
        {
            "type": "order_confirmation",
            "customer": {"email": bob.address, "country": "US", "locale": "en"},
            "order": {"id": "77", "currency": "USD", "total": "1.00"},
        }
    )
    assert "suppressed" in {skip["reason"] for skip in again["skipped"]}

    async with database.transaction() as tx:
        await drop_triggers(tx)
        await tx.execute("UPDATE consent_entry SET purpose = 'tips' WHERE event = 'granted'")
    found = await verified(siege)
    assert not found["ok"]
    assert found["broken"][0]["code"] == "changed"


async def test_f2_where_the_country_wants_two_steps_a_persons_press_is_the_first(siege: Siege):
    alice = await siege.ask()
    await by_hand(siege.it.service.database, "UPDATE message SET market = 'DE'")

    await siege.press(alice.link)

    (entry,) = (await siege.known(alice))["entries"]
    assert (entry["event"], entry["verdict"], entry["verdict_reasons"]) == ("pending", "human", ["double_opt_in"])


async def test_f3_a_yes_to_one_purpose_is_none_to_another_nor_to_another_channel(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link)

    known = await siege.known(alice)

    assert known["standing"] == {"offers": "granted"}
    assert known["channels"] == {}


async def test_f4_replacing_an_entry_is_refused(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link)
    database = siege.it.service.database
    copy = "SELECT * FROM consent_entry"
    statements = ["UPDATE consent_entry SET event = 'withdrawn'", "DELETE FROM consent_entry"]
    if database.dialect == "sqlite":
        statements += [f"INSERT OR REPLACE INTO consent_entry {copy}", f"REPLACE INTO consent_entry {copy}"]
    else:
        changes = "ON CONFLICT (controller_id, seq) DO UPDATE SET event = 'withdrawn'"
        statements += ["TRUNCATE consent_entry"]
        statements += [f"INSERT INTO consent_entry OVERRIDING SYSTEM VALUE {copy} {changes}"]

    for statement in statements:
        with pytest.raises(StoreError):
            await by_hand(database, statement)

    assert await siege.events(alice) == ["granted"]


async def test_f7_a_clock_that_is_set_back_changes_no_order_and_grants_nothing_from_the_future(siege: Siege):
    alice, bob = await siege.ask(), await siege.ask()
    await siege.press(alice.link)
    page = await siege.get(bob.link)

    with siege.clock.later(-HOUR):
        await siege.press(bob.link, page=page)
        assert await siege.events(bob) == [], "a form from the future is none of ours"
        await siege.send("POST", alice.leave, {"List-Unsubscribe": "One-Click"}, {})
        entries = (await siege.known(alice))["entries"]
        assert [one["event"] for one in entries] == ["granted", "withdrawn"]
        assert entries[1]["occurred_at"] <= siege.clock.now < entries[0]["occurred_at"]
        assert await siege.standing(alice) == "withdrawn"
    with siege.clock.later(DAY):
        await siege.press(alice.link)
        assert await siege.standing(alice) == "pending"
