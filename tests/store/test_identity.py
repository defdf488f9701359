"""Who is the same person: a mailbox under a company; a customer id is only another name for it."""

from __future__ import annotations

from typing import Any

import pytest

from handraiser.core import payload
from handraiser.core.consent import Entry
from handraiser.core.shop import Controller, Shop
from handraiser.store.database import Database
from handraiser.store.ledger import Append, Change, Suppression, append
from handraiser.store.messages import Ask, Known, LookUp, look_up
from handraiser.store.recording import Kept, record
from handraiser.store.writer import Writer
from rows import BOAT_SHOP, BOATS, DAY, NOW, TENT_SHOP, TENTS, a_recording, an_id, key, of

SHOP = Shop(Controller(TENTS, "tents", "Tents"), TENT_SHOP, 1, "tent-shop", "Tents", "https://t.example")
OUTLET = bytes.fromhex("1c" * 16)
"""Another shop of the same company."""


def read_id(given: Any) -> str | None:
    """The customer id that a payload's customer is known by."""
    body = {
        "type": "order_confirmation",
        "customer": {"email": "a@example.com", "id": given},
        "order": {"id": "1", "currency": "EUR", "total": "1.00"},
    }
    found: str | None = payload.read_email(body, shop=SHOP).email["customer"].get("id")
    return found


async def known(database: Database, *keys: LookUp) -> list[Known]:
    async with database.reading() as session:
        return await look_up(session, keys)


async def say(writer: Writer, n: int, subject_id: bytes, state: str, purpose: str = "offers", **more: Any) -> None:
    """One answer of a subject, as it stands in the ledger."""
    entry = Entry(
        event_id=an_id(700 + n),
        controller_id=more.pop("controller_id", TENTS),
        subject_id=subject_id,
        purpose=purpose,
        event=state,
        occurred_at=NOW + n,
        received_at=NOW + n,
        recorded_at=NOW + n,
        dedup_key=b"said-%d" % n,
    )
    await writer.write(append, Append((Change(entry, state),), **more))


@pytest.mark.parametrize("nobody", [0, "0", "", " ", None, "guest", "Guest", "null", "none"])
async def test_three_guests_under_one_empty_customer_id_are_three_subjects(
    database: Database, writer: Writer, nobody: Any
):
    assert read_id(nobody) is None
    people = ("alice@example.com", "bob@example.com", "carol@example.com")
    for n, address in enumerate(people):
        row = a_recording(n, address, external_id=read_id(nobody) or "", asks_added=(Ask(NOW, "offers", "b"),))
        assert isinstance(await writer.write(record, row), Kept)
    await say(writer, 1, an_id(1000), "withdrawn")
    alice, bob, carol = await known(database, *(key(address, external_id=read_id(nobody)) for address in people))
    assert len({alice.subject_id, bob.subject_id, carol.subject_id}) == 3
    assert (alice.barred, bob.barred, carol.barred) == ("withdrawn", "", "")
    assert await database.fetch("SELECT * FROM customer_history") == []


async def test_a_guest_who_registers_with_the_same_address_stays_the_same_subject(database: Database, writer: Writer):
    guest = a_recording(1, " Alice@EXAMPLE.com ", order_id="1", asks_added=(Ask(NOW, "offers", "b"),))
    await writer.write(record, guest)
    await say(writer, 1, an_id(1001), "refused")
    (registered,) = await known(database, key("alice@example.com", external_id="88", order_id="2"))
    assert registered.subject_id == guest.message.subject_id
    assert (registered.orders_seen, registered.order_known) == (1, False)
    assert registered.asks == (Ask(NOW, "offers", "b"),)
    assert (registered.standing, registered.standing_since) == ({"offers": "refused"}, {"offers": NOW + 1})


async def test_a_customer_with_a_new_address_starts_at_none_but_is_barred_by_an_earlier_objection(
    database: Database, writer: Writer
):
    await writer.write(record, a_recording(1, "bob@old.example", external_id="7"))
    await say(writer, 1, an_id(1001), "granted")
    (moved,) = await known(database, key("bob@new.example", external_id="7"))
    assert moved == Known(), "a grant belongs to the mailbox that the message went to"
    await writer.write(record, a_recording(2, "bob@new.example", external_id="7"))
    await say(writer, 2, an_id(1001), "objected", "*")
    moved, as_guest, old = await known(
        database,
        key("bob@new.example", external_id="7"),
        key("bob@new.example"),
        key("bob@old.example", external_id="7"),
    )
    assert (moved.standing, moved.barred) == ({}, "objected")
    assert old.barred == "objected"
    assert as_guest.barred == "", "without the customer id nothing joins the two mailboxes"


async def test_a_withdrawal_bars_for_good_whatever_else_was_granted_and_when(database: Database, writer: Writer):
    await writer.write(record, a_recording(1))
    await say(writer, 1, an_id(1001), "withdrawn", "offers")
    await say(writer, 2, an_id(1001), "granted", "tips")
    (alice,) = await known(database, key())
    assert alice.barred == "withdrawn"
    assert alice.standing == {"offers": "withdrawn", "tips": "granted"}
    assert alice.standing_since == {"offers": NOW + 1, "tips": NOW + 2}


async def test_two_shops_of_one_company_share_the_mailbox_but_not_their_customer_ids(
    database: Database, writer: Writer
):
    await writer.write(record, a_recording(1, "bob@old.example", external_id="7"))
    await say(writer, 1, an_id(1001), "objected")
    (same_mailbox,) = await known(database, key("bob@old.example", shop_id=OUTLET))
    assert same_mailbox.barred == "objected"
    (same_number,) = await known(database, key("carol@example.com", shop_id=OUTLET, external_id="7"))
    assert same_number == Known()


async def test_what_alice_said_to_one_company_is_unknown_to_charlies(database: Database, writer: Writer):
    await writer.write(record, a_recording(1, external_id="7", order_id="1"))
    suppression = Suppression(of("alice@example.com"), NOW, "objection")
    await say(writer, 1, an_id(1001), "objected", suppress=suppression)
    assert (await known(database, key()))[0].barred == "objected"
    at_boats = LookUp(BOATS, BOAT_SHOP, of("alice@example.com", BOATS), "7", None, "1")
    stolen = LookUp(BOATS, BOAT_SHOP, of("alice@example.com", TENTS), "7", None, "1")
    assert await known(database, at_boats, stolen) == [Known(), Known()]


async def test_an_ask_counts_at_every_shop_of_the_company(database: Database, writer: Writer):
    await writer.write(record, a_recording(1, asks_added=(Ask(NOW - DAY, "offers", "b"),)))
    (elsewhere,) = await known(database, key(shop_id=OUTLET))
    assert elsewhere.asks == (Ask(NOW - DAY, "offers", "b"),)
