"""What the demo catches, and where its readers stand; on both databases."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from handraiser.core.composed import Composed
from handraiser.core.consent import Entry
from handraiser.core.links import Link, LinkKind, Links, SigningKey
from handraiser.core.message import compose
from handraiser.core.mjml.fill import Filled
from handraiser.core.placement import Decision, Placement, Skip
from handraiser.core.shop import Controller, Shop
from handraiser.doors.catcher import Catcher, Loopback, as_payload
from handraiser.doors.demo import Mailbox
from handraiser.errors import Fault
from handraiser.store import ledger, wordings
from handraiser.store.database import Database
from handraiser.store.ledger import Append, Change
from handraiser.store.recording import record
from handraiser.store.wordings import StoredWording
from rows import NOW, PEPPER, TENT_SHOP, TENTS, a_recording, an_id

SHOP = Shop(
    Controller(TENTS, "tents", "Tents", address_lines=("Main Street 1",)),
    TENT_SHOP,
    1,
    "tents",
    "Tents <b>",
    "http://tents.localhost",
    sender_address="hello@tents.example",
)
LINKS = Links([SigningKey(1, b"k" * 32)])
DECISION = Decision(
    "confirmation", b"", (Placement("ask", "newsletter", b"b" * 16, 1, "a", "ask", "tips", b"w" * 32, b""),)
).to_json()
URL = "http://tents.localhost/o/token"


def a_composed(n: int = 1, *, asks: bool = True, **rest: Any) -> Composed:
    """The n-th email to Alice."""
    ask = Placement("ask", "newsletter", b"b" * 16, 1, "a", "ask", "tips", b"w" * 32, b"", URL)
    decision = Decision(
        "order_confirmation", b"", (ask,) if asks else (), () if asks else (Skip("ask", "x", "cap", "wait"),)
    )
    email = {
        "type": "order_confirmation",
        "customer": {"email": "alice@example.com", "locale": "nl", "country": "NL"},
        "order": {
            "id": str(n),
            "currency": "EUR",
            "total": Decimal("19.90"),
            "placed_at": datetime(2026, 11, 1, tzinfo=UTC),
        },
    }
    given: dict[str, Any] = {
        "shop": SHOP,
        "message_id": an_id(n),
        "subject_id": an_id(1000 + n),
        "at": NOW + n,
        "email": email,
        "filled": Filled("<html>", "text", f"Order {n}", ()),
        "headers": {},
        "decision": decision,
        "warnings": (Fault("/x", "unknown_field", "no such field"),),
    }
    return Composed(**(given | rest))


def an_entry(n: int, event: str) -> Entry:
    return Entry(
        event_id=an_id(500 + n),
        controller_id=TENTS,
        subject_id=an_id(1001),
        purpose="tips",
        event=event,
        occurred_at=NOW + n,
        received_at=NOW + n,
        recorded_at=NOW + n,
        dedup_key=bytes([n]) * 32,
        message_id=an_id(1),
        wording_id=b"w" * 32,
        method="button",
        attestation="trusted_event",
    )


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    box = Mailbox(tmp_path / "mails")
    box.load()
    return box


@pytest.fixture
def catcher(database: Database, mailbox: Mailbox) -> Catcher:
    return Catcher(mailbox, database=database, shops=[SHOP], pepper=PEPPER)


async def state(catcher: Catcher, mailbox: Mailbox, n: int = 0) -> str:
    return (await catcher.statuses(mailbox.newest(9), True))[n].state


async def test_a_composed_email_is_kept_with_its_decisions(catcher, mailbox):
    catcher.composed(a_composed())

    (mail,) = mailbox.newest(9)
    assert (mail.to, mail.country, mail.purpose, mail.ask_url) == ("alice@example.com", "NL", "tips", URL)
    assert mail.sender == "Tents <b> <hello@tents.example>"
    assert mail.placements[0]["block"] == "newsletter"
    assert mail.warnings == [{"pointer": "/x", "code": "unknown_field", "detail": "no such field"}]
    assert mail.payload["order"]["total"] == "19.90"


async def test_an_email_that_was_only_tried_is_not_kept(catcher, mailbox):
    catcher.composed(a_composed(message_id=b""))

    assert mailbox.newest(9) == []


async def test_a_reader_who_has_not_answered_was_asked(catcher, mailbox, database):
    async with database.transaction() as tx:
        await record(tx, [a_recording(1)])
    catcher.composed(a_composed(1))

    assert await state(catcher, mailbox) == "asked"


async def test_a_reader_who_was_never_asked_has_no_status(catcher, mailbox):
    catcher.composed(a_composed(1, asks=False))

    assert await state(catcher, mailbox) == "none"


@pytest.mark.parametrize("asks", [True, False])
async def test_a_press_shows_in_every_mail_to_the_same_reader_with_the_words_shown(catcher, mailbox, database, asks):
    content = json.dumps({"promise": {"what": "Tips", "frequency": "once a month", "button": "Yes"}})
    async with database.transaction() as tx:
        await record(tx, [a_recording(1)])
        await wordings.put(tx, [StoredWording(TENTS, b"w" * 32, "en", content, NOW)])
        await ledger.append(tx, [Append((Change(an_entry(1, "granted"), "granted"),))])
    catcher.composed(a_composed(1, asks=asks))

    (status,) = await catcher.statuses(mailbox.newest(9), True)

    assert status.state == "granted"
    (entry,) = status.entries
    assert (entry["event"], entry["how"], entry["words"]) == (
        "granted",
        "button, trusted event",
        "Tips · once a month · Yes",
    )


async def test_our_own_mail_is_caught_as_it_came_over_smtp(catcher, mailbox, database):
    async with database.transaction() as tx:
        await record(tx, [a_recording(1, type="confirmation", locale="nl", country="NL", decision=DECISION)])
    link = "http://tents.localhost/o/" + LINKS.sign(Link(1, an_id(1), LinkKind.CONFIRM))
    content = compose(
        subject="Bevestig uw aanmelding",
        html=f'<a href="{link}">Ja</a>',
        text=f"Ja:\n{link}\n\nNee:\n{link}?no\n",
        sender=("Tents", "hello@tents.example"),
        to=("", "alice@example.com"),
        headers={},
        message_id=f"<{an_id(1).hex()}@tents.example>",
        sent_at=NOW,
    )
    loopback = Loopback()
    loopback.taken_by(catcher.received)

    async with loopback.open() as url, aiosmtplib.SMTP(hostname="127.0.0.1", port=int(url.rpartition(":")[2])) as hop:
        for _ in range(2):
            await hop.sendmail("hello@tents.example", ["alice@example.com"], content)

    (mail,) = mailbox.newest(9)
    assert (mail.kind, mail.to, mail.subject, mail.at) == (
        "confirmation",
        "alice@example.com",
        "Bevestig uw aanmelding",
        NOW + 1,
    )
    assert (mail.ask_url, mail.purpose, mail.shop, mail.sender) == (
        link,
        "tips",
        "tents",
        "Tents <hello@tents.example>",
    )
    assert f"{link}?no" in mail.text


@pytest.mark.parametrize("message_id", ["", "<no-id@tents.example>", f"<{an_id(9).hex()}@tents.example>"])
async def test_a_mail_that_names_no_message_is_left_out(catcher, mailbox, message_id):
    await catcher.received(f"Message-ID: {message_id}\r\nSubject: x\r\n\r\ny\r\n".encode())

    assert mailbox.newest(9) == []


def test_a_normal_form_becomes_the_json_it_came_from():
    email = {"a": Decimal("10.0"), "b": (date(2026, 1, 2), True), "attachments": [{}], "c": {"d": None}}

    assert as_payload(email) == {"a": "10.0", "b": ["2026-01-02", True], "c": {"d": None}}
