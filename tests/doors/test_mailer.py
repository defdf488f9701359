"""Our own mail over real SMTP: what is handed over, what is tried again, and what is final."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from handraiser.core.confirmation import Letter
from handraiser.doors.mailer import Hop, Mailer
from handraiser.store.outbox import Later, OutboxRow, Outcome, Overtaken, Refused, Sent
from mailserver import Inbox, context_of
from rows import NOW, TENTS, an_id
from running import free_port

ROW = OutboxRow(an_id(1), TENTS, "confirmation.mail", {}, NOW, NOW, carrier="mail")
CONTENT = b"From: orders@tents.example\r\nTo: alice@example.com\r\nSubject: Hello\r\n\r\n.one dot\r\n"


async def carry(url: str, to: str = "alice@example.com", seconds: float = 5.0) -> Outcome:
    async def letter(_row: OutboxRow) -> Letter:
        return Letter("orders@tents.example", to, CONTENT)

    return await Mailer(Hop.read(url), {"confirmation.mail": letter}, seconds=seconds).carry(ROW)


async def test_a_mail_arrives_byte_for_byte_at_its_one_recipient():
    async with Inbox().open() as hop:
        assert await carry(hop.url) == Sent()

    (envelope,) = hop.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("orders@tents.example", ["alice@example.com"])
    assert envelope.content == CONTENT


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"says_to": "550 5.1.1 <alice@example.com> is unknown here"}, Refused("550 5.1.1")),
        ({"says_to": "451 4.7.1 greylisted, come back"}, Later("451 4.7.1")),
        ({"says_data": "554 5.7.1 no"}, Refused("554 5.7.1")),
        ({"says_data": "452 full"}, Later("452")),
    ],
)
async def test_what_the_hop_says_of_the_mail_is_kept_as_a_code_alone(answers: dict[str, str], outcome: Outcome):
    async with Inbox(**answers).open() as hop:
        assert await carry(hop.url) == outcome


async def test_a_hop_that_is_away_is_tried_again():
    outcome = await carry(f"smtp://127.0.0.1:{free_port()}")

    assert isinstance(outcome, Later)


async def test_a_hop_that_never_answers_is_tried_again():
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        outcome = await carry(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}", seconds=0.2)
        await left.wait()

    assert isinstance(outcome, Later)


async def test_a_login_is_given_and_a_wrong_one_is_our_fault_and_not_the_recipients():
    async with Inbox(password="s3cret").open() as hop:
        right = hop.url.replace("smtp://", "smtp://shop:s3cret@")
        assert await carry(right) == Sent()
        assert await carry(right.replace("s3cret", "wrong")) == Later("535 5.7.8")


async def test_starttls_is_used_where_it_is_offered(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with Inbox(tls=context_of(certificate)).open() as hop:
        assert await carry(hop.url) == Sent()
    assert len(hop.envelopes) == 1


async def test_a_certificate_nobody_vouches_for_gets_no_mail(certificate: Path):
    async with Inbox(tls=context_of(certificate)).open() as hop:
        outcome = await carry(hop.url)

    assert isinstance(outcome, Later)
    assert hop.envelopes == []


async def test_an_international_address_needs_a_hop_that_knows_it():
    async with Inbox().open() as hop:
        assert await carry(hop.url, "alïce@exämple.com") == Sent()
    assert hop.envelopes[0].rcpt_tos == ["alïce@xn--exmple-cua.com"]
    async with Inbox(international=False).open() as hop:
        assert await carry(hop.url, "alïce@example.com") == Refused("no_smtputf8")
        assert await carry(hop.url, "alice@exämple.com") == Sent()


async def test_a_mail_that_is_not_wanted_any_more_is_not_sent():
    async def letter(_row: OutboxRow) -> None:
        return None

    mailer = Mailer(Hop.read("smtp://127.0.0.1:1"), {"confirmation.mail": letter})

    assert await mailer.carry(ROW) == Overtaken()


@pytest.mark.parametrize(
    ("url", "port", "starttls"),
    [
        ("smtp://hop.example", 25, None),
        ("smtp://shop:p%40ss@hop.example", 587, True),
        ("smtp://shop:p%40ss@127.0.0.1:2525", 2525, None),
        ("smtps://shop:p%40ss@hop.example", 465, False),
    ],
)
def test_a_password_leaves_this_machine_under_tls_alone(url: str, port: int, starttls: bool | None):
    hop = Hop.read(url)

    assert (hop.port, hop.starttls, hop.tls) == (port, starttls, url.startswith("smtps"))
    assert hop.password in ("", "p@ss")
    assert "p@ss" not in repr(hop)
