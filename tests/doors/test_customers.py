"""Everything held of a customer is told, and goes when it must; the ledger stays whole. Over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handraiser.store import rights
from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for, the_ask

ALICE = "alice@example.com"


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, BOATS]) as one:
        yield one


def on_disk(folder: Path) -> bytes:
    """The embedded database's files, byte for byte."""
    return b"".join(one.read_bytes() for one in folder.glob("h.db*"))


async def delete(house: Running, path: str, shop: str = "tents") -> int:
    headers = {"Authorization": f"Bearer {house.keys[shop]}"}
    async with house.session.delete(house.url + path, headers=headers) as answer:
        return answer.status


async def test_everything_held_of_a_customer_is_told_by_id_and_by_address(house: Running):
    await house.press(the_ask(await house.email(an_order(1))))
    status, held = await house.get("/v1/customers/7")
    assert status == 200
    (alice,) = held["subjects"]
    assert (alice["email"], alice["customer_ids"][0]["shop"]) == (ALICE, "tents")
    assert [entry["event"] for entry in alice["entries"]] == ["granted"]
    assert alice["standing"][0]["state"] == "granted"
    assert [order["order_id"] for order in alice["orders"]] == ["1"]
    assert [message["type"] for message in alice["messages"]] == ["order_confirmation"]
    for name in ("evidence", "wordings", "visits", "counters", "outgoing"):
        assert alice[name], name
    assert (await house.post("/v1/customers/search", {"email": " ALICE@example.com "}))[1] == held
    assert (await house.get("/v1/customers/7", shop="boats"))[0] == 404
    assert (await house.get("/v1/customers/%00"))[0] == 404


async def test_every_table_that_knows_a_subject_is_told_and_erased(house: Running):
    database = house.service.database
    if database.dialect == "sqlite":
        rows = await database.fetch(
            "SELECT m.name AS name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND c.name IN ('subject_id', 'message_id', 'event_id')"
        )
    else:
        rows = await database.fetch(
            "SELECT DISTINCT table_name AS name FROM information_schema.columns WHERE table_schema = current_schema()"
            " AND column_name IN ('subject_id', 'message_id', 'event_id')"
        )
    known = {row["name"] for row in rows} - {
        "subject",
        "message_default",
        "click_default",
        "exposure_waiting",
        "customer_waiting",
    }
    gone = {table for table, _ in rights.ERASED} | {"subject_state"}

    assert known - set(rights.HELD) == {"customer", "idempotency"}, "what the history and the messages tell already"
    counted_out = {"customer_count"}  # by the next count
    assert known - gone - counted_out == {"consent_entry", "exposure", "feedback"}, "what stays under the pseudonym"


async def test_erasure_takes_all_but_the_pseudonym_and_the_ledger_stays_whole(house: Running):
    link = the_ask(await house.email(an_order(1), Idempotency_Key="k"))
    await house.press(link)
    (entry,) = (await house.post("/v1/consents/search", {"email": ALICE}))[1]["entries"]
    assert await delete(house, "/v1/customers/7") == 200

    assert (await house.get("/v1/customers/7"))[0] == 404
    assert (await house.post("/v1/consents/search", {"email": ALICE}))[0] == 404
    assert (await house.open(link))[0] == 404
    assert await delete(house, "/v1/customers/7") == 404
    tables = {"subject", "customer", *rights.HELD}
    rows = [dict(row) for table in tables for row in await house.service.database.fetch(f"SELECT * FROM {table}")]
    assert "alice" not in repr(rows).lower()
    assert "203.0" not in repr(rows)

    await house.service.jobs.seal()
    assert (await house.service.command("consents.verify", {"head": None}))["ok"] is True
    assert (await house.service.command("consents.rebuild", {}))["changed"] == 0
    status, proof = await house.get(f"/v1/consents/{entry['event_id']}")
    assert (status, proof["evidence"]) == (200, None)


async def test_who_was_erased_is_not_asked_again_and_no_old_list_brings_the_address_back(house: Running):
    await house.email(an_order(1))
    assert (await house.post("/v1/customers/erase", {"email": ALICE}))[1] == {"erased": 1}
    record = {"email": ALICE, "purpose": "offers", "event": "granted", "occurred_at": "2020-01-01"}
    status, told = await house.post("/v1/consents", record)
    assert (status, told["event_id"], told["reason"]) == (200, None, "suppressed")
    assert (await house.post("/v1/customers/search", {"email": ALICE}))[0] == 404
    again = await house.email(an_order(2))
    assert "suppressed" in {skip["reason"] for skip in again["skipped"]}


async def test_a_customer_is_erased_under_every_address_it_has_had(house: Running):
    await house.email(an_order(1))
    await house.email(an_order(2, customer={"email": "alice@work.example"}))
    assert len((await house.get("/v1/customers/7"))[1]["subjects"]) == 2
    assert await delete(house, "/v1/customers/7") == 200
    for address in (ALICE, "alice@work.example"):
        assert (await house.post("/v1/customers/search", {"email": address}))[0] == 404


async def test_erasing_needs_the_administrators_key_and_a_real_one(house: Running):
    await house.email(an_order(1))
    house.keys["reader"] = await house.service.govern.add_key("tents", ["consents"])
    house.keys["test"] = await house.service.govern.add_key("tents", ["admin"], test=True)
    for shop in ("reader", "test"):
        assert await delete(house, "/v1/customers/7", shop) == 403
        assert (await house.post("/v1/customers/erase", {"email": ALICE}, shop=shop))[0] == 403
    assert (await house.get("/v1/customers/7", shop="reader"))[0] == 200


async def test_what_is_erased_is_not_left_in_the_free_pages_of_the_embedded_database(
    tmp_path: Path, compiled: Programs
):
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path / 'h.db'}")
    names = ("customer-who-will-be-erased", "order-that-will-be-erased")
    async with running(settings, compiled, [TENTS, BOATS]) as house:
        order = an_order(1, customer={"id": names[0]})
        order["order"]["id"] = names[1]
        await house.press(the_ask(await house.email(order)))
    before = on_disk(tmp_path)
    assert all(name.encode() in before for name in names)

    async with running(settings, compiled, [TENTS, BOATS]) as house:
        assert await delete(house, f"/v1/customers/{names[0]}") == 200

    left = on_disk(tmp_path)
    assert not [name for name in names if name.encode() in left]
