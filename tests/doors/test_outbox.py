"""The outbox's way through a real SMTP hop, from the press to the mailbox; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asked import MARKETS, ROOT, Asked
from handraiser.answer import ASKS, Action, Visit
from handraiser.answer.confirming import Confirming, template_of
from handraiser.core.confirmation import EVENT
from handraiser.core.links import LinkKind
from handraiser.core.person import Evidence
from handraiser.doors.mailer import carriers
from handraiser.doors.outbox import GIVE_UP_MS, LEASE_MS, WAITS_MS, Outbox
from handraiser.store import outbox
from handraiser.store.database import Database
from handraiser.store.journal import Journal
from handraiser.store.messages import StoredMessage
from handraiser.store.outbox import OutboxRow
from handraiser.store.subjects import Sealer
from handraiser.store.writer import Writer
from handraiser.template_files import read_words, words_of
from mailserver import Inbox, links_of
from rows import DAY, TENTS

WORDS = read_words(ROOT)
PERSON = Visit(
    "tents.localhost", Evidence("POST", {"user-agent": "Mozilla/5.0 (iPhone)"}, trusted_event=True), "192.0.2.1"
)


@pytest.fixture
async def asked(database: Database, writer: Writer, tmp_path: Path) -> AsyncIterator[Asked]:
    house = Asked(database, writer, Journal(tmp_path / "withdrawals.journal"))
    await house.put()
    yield house
    await house.answer.close()


def outbox_of(asked: Asked, hop: Inbox) -> Outbox:
    confirming = Confirming(
        database=asked.database,
        links=asked.links,
        markets=MARKETS,
        sealer=Sealer(),
        template=template_of((ROOT / "emails" / "confirmation.html").read_text()),
        words=lambda locale: words_of(WORDS, locale),
        clock=asked.clock,
    )
    return Outbox(asked.database, carriers(hop.url, {EVENT: confirming.letter}), asked.clock)


async def press(
    asked: Asked, message: StoredMessage, action: Action = Action.YES, kind: LinkKind = LinkKind.OPT_IN
) -> Any:
    opened = await asked.answer.open(asked.link(message, kind), PERSON, ASKS)
    return await asked.answer.press(opened, PERSON, action, b"n" * 32)


async def the_row(asked: Asked) -> OutboxRow:
    (row,) = await outbox.recent(asked.database, TENTS, carrier="mail")
    return row


async def test_the_confirmation_mail_reaches_the_mailbox_once_and_its_link_grants(asked: Asked):
    message = await asked.ask(market="DE", locale="de")
    await press(asked, message)
    await press(asked, message)

    async with Inbox().open() as hop:
        taken = [await outbox_of(asked, hop).drain() for _ in range(3)]

    assert taken == [1, 0, 0]
    (mail,) = hop.mails
    assert (mail["To"], mail["Auto-Submitted"]) == ("alice@example.com", "auto-generated")
    assert mail["Subject"] == "Bitte bestätigen Sie Ihre Anmeldung bei Tents & Co"
    confirm, decline, never = links_of(mail)
    confirmation = await asked.confirmation(message)
    assert confirm == f"http://tents.localhost/o/{asked.link(confirmation, LinkKind.CONFIRM)}"
    assert decline == f"{confirm}?no"
    assert f"<{never}>" == mail["List-Unsubscribe"]
    assert f"List-Unsubscribe: <{never}>\r\n".encode() in hop.envelopes[0].content
    row = await the_row(asked)
    assert (row.outcome, row.attempts, row.reason) == ("sent", 1, "")
    asked.clock.now += 60_000
    told = await press(asked, confirmation, kind=LinkKind.CONFIRM)
    assert (told.outcome, told.reason) == ("granted", "")


async def test_a_hop_that_is_down_gets_the_mail_later_with_longer_and_longer_waits(asked: Asked):
    await press(asked, await asked.ask(market="DE"))
    hop = Inbox()
    away = outbox_of(asked, hop)

    for wait in WAITS_MS[:3]:
        assert await away.drain() == 1
        assert (await the_row(asked)).due_at == asked.clock.now + wait
        asked.clock.now += wait - 1
        assert await away.drain() == 0
        asked.clock.now += 1
    async with hop.open():
        assert await away.drain() == 1

    assert len(hop.mails) == 1
    assert (await the_row(asked)).outcome == "sent"


async def test_a_mailbox_that_is_put_off_gets_its_mail_at_the_next_try(asked: Asked):
    await press(asked, await asked.ask(market="DE"))

    async with Inbox(puts_off=["451 4.7.1 greylisted"]).open() as hop:
        box = outbox_of(asked, hop)
        await box.drain()
        assert ((await the_row(asked)).reason, hop.mails) == ("451 4.7.1", [])
        asked.clock.now += WAITS_MS[0]
        await box.drain()

    assert len(hop.mails) == 1


async def test_a_mailbox_that_does_not_exist_is_told_once_and_recorded(asked: Asked):
    await press(asked, await asked.ask(market="DE"))

    async with Inbox(says_to="550 5.1.1 no such mailbox").open() as hop:
        box = outbox_of(asked, hop)
        await box.drain()
        asked.clock.now += DAY
        assert await box.drain() == 0

    row = await the_row(asked)
    assert (row.outcome, row.reason, row.attempts) == ("refused", "550 5.1.1", 1)


async def test_a_process_killed_between_commit_and_sending_leaves_the_mail_to_the_next(asked: Asked):
    await press(asked, await asked.ask(market="DE"))
    async with asked.database.transaction() as tx:  # it claimed the mail, and was killed before it spoke to the hop
        (claimed,) = await outbox.claim(tx, 10, asked.clock.now, LEASE_MS, ("mail",))
    assert claimed.attempts == 1

    async with Inbox().open() as hop:
        after_start = outbox_of(asked, hop)
        assert await after_start.drain() == 0
        asked.clock.now += LEASE_MS
        assert await after_start.drain() == 1

    assert len(hop.mails) == 1


async def test_two_replicas_at_once_send_one_mail_each_time(asked: Asked):
    for n in range(1, 21):
        await press(asked, await asked.ask(n, f"alice{n}@example.com", market="DE"))

    async with Inbox().open() as hop:
        await asyncio.gather(outbox_of(asked, hop).drain(), outbox_of(asked, hop).drain())

    assert sorted(mail["To"] for mail in hop.mails) == sorted(f"alice{n}@example.com" for n in range(1, 21))


@pytest.mark.parametrize("action", [Action.NO, Action.NEVER, Action.NOT_ME, Action.UNDO])
async def test_who_answered_meanwhile_gets_no_mail(asked: Asked, action: Action):
    message = await asked.ask(market="DE")
    await press(asked, message)
    await press(asked, message, action)

    async with Inbox().open() as hop:
        await outbox_of(asked, hop).drain()

    assert hop.mails == []
    assert (await the_row(asked)).outcome == "overtaken"


async def test_a_mail_nobody_could_send_while_the_consent_waited_is_not_sent_after(asked: Asked):
    await press(asked, await asked.ask(market="DE"))
    hop = Inbox()
    box = outbox_of(asked, hop)
    await box.drain()
    asked.clock.now += 7 * DAY + 1

    async with hop.open():
        await box.drain()

    assert hop.mails == []
    assert (await the_row(asked)).outcome == "overtaken"


async def test_what_never_gets_through_is_given_up(asked: Asked):
    row = OutboxRow(asked.new_id(0), TENTS, "other", {}, asked.clock.now, asked.clock.now, carrier="odd")
    async with asked.database.transaction() as tx:
        await outbox.put(tx, [row])

    class Odd:
        async def carry(self, _row: OutboxRow) -> Any:
            raise ValueError

    box = Outbox(asked.database, {"odd": Odd()}, asked.clock)
    told: list[tuple[str, str]] = []
    box.observers.append(lambda carrier, outcome: told.append((carrier, outcome)))
    await box.drain()
    asked.clock.now += GIVE_UP_MS + 1
    await box.drain()

    (kept,) = await outbox.recent(asked.database, TENTS, carrier="odd")
    assert (kept.outcome, kept.reason) == ("given_up", "ValueError")
    assert told == [("odd", "failed"), ("odd", "given_up")]
