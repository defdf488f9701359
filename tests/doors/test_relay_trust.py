"""Who may speak to the relay, and whom it speaks to: TLS and log-ins on both sides."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest

from mailserver import Inbox, context_of
from smtp_talk import Client, ScriptedHop, relaying, talking

MAIL = b"From: orders@tents.example\r\nTo: alice@example.com\r\n\r\nThank you.\r\n"
PASSWORD = "s3cret-s3cret"
USERS = f"shop:{PASSWORD},other:0ther-0ther-0ther"


def plain(name: str = "shop", password: str = PASSWORD) -> str:
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """A client that knows the certificate."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return context


def guarded(hop: ScriptedHop, certificate: Path, **given: Any) -> Any:
    return relaying(hop, **{"relay_users": USERS, "relay_tls_certificate": certificate, **given})


async def offers(client: Client) -> set[str]:
    return {line[4:].split()[0] for line in (await client.say("EHLO shop.example")).split("\n")[1:]}


async def test_a_password_is_asked_for_after_tls_and_nothing_goes_without(certificate: Path, trusting: ssl.SSLContext):
    async with ScriptedHop().open() as hop, guarded(hop, certificate) as relay, talking(relay.port) as client:
        assert "AUTH" not in await offers(client)
        assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("538 5.7.11")
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith("530 5.7.0")
        await client.start_tls(trusting)
        assert {"AUTH"} == await offers(client) & {"AUTH", "STARTTLS"}
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith("530 5.7.0")
        assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("235 2.7.0")
        assert (await client.send(MAIL, "alice@example.com")).startswith("250")

    assert b"with ESMTPSA id" in hop.delivered[0].content


async def test_a_login_may_come_in_pieces(certificate: Path, trusting: ssl.SSLContext):
    async with ScriptedHop().open() as hop, guarded(hop, certificate) as relay, talking(relay.port) as client:
        await client.start_tls(trusting)
        await offers(client)
        assert await client.say("AUTH LOGIN") == "334 " + base64.b64encode(b"Username:").decode()
        assert await client.say(base64.b64encode(b"other").decode()) == "334 " + base64.b64encode(b"Password:").decode()
        assert (await client.say(base64.b64encode(b"0ther-0ther-0ther").decode())).startswith("235")


async def test_wrong_passwords_are_refused_and_not_tried_for_long(certificate: Path, trusting: ssl.SSLContext):
    async with ScriptedHop().open() as hop, guarded(hop, certificate) as relay, talking(relay.port) as client:
        await client.start_tls(trusting)
        await offers(client)
        for given in (
            plain(password="wrong"),
            plain("nobody"),
            plain("nobody", "\\0"),
            "????",
            base64.b64encode(b"x").decode(),
        ):
            assert (await client.say(f"AUTH PLAIN {given}"))[:3] in ("535", "501")
        assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("421 4.7.0")
        assert await client.ended()


async def test_a_password_may_come_in_the_clear_where_the_operator_says_so(certificate: Path):
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, relay_users=USERS, relay_auth_without_tls=True) as relay,
        talking(relay.port) as client,
    ):
        assert "AUTH" in await offers(client)
        assert (await client.say(f"AUTH PLAIN {plain()}")).startswith("235")
        assert (await client.send(MAIL, "alice@example.com")).startswith("250")


async def test_where_tls_is_required_nothing_goes_without(certificate: Path, trusting: ssl.SSLContext):
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, relay_tls_certificate=certificate, relay_tls_required=True) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith("530 5.7.0")
        client.writer.write(b"STARTTLS\r\nMAIL FROM:<injected@tents.example>\r\n")
        assert (await client.answer()).startswith("220")
        await client.writer.start_tls(trusting, server_hostname="localhost")
        await offers(client)
        assert (await client.send(MAIL, "alice@example.com")).startswith("250")

    assert not any("injected" in line for line in hop.heard)
    assert b"with ESMTPS id" in hop.delivered[0].content


async def test_a_hop_gets_its_password_and_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    hop = Inbox(password=PASSWORD, tls=context_of(certificate))
    url = f"smtp://shop:{PASSWORD}@127.0.0.1:{hop.port}"
    async with (
        hop.open(),
        relaying(hop.port, relay_next_hop=url, relay_next_hop_tls="verify") as relay,
        talking(relay.port) as client,
    ):
        assert (await client.send(MAIL, "alice@example.com")).startswith("250")

    assert (hop.envelopes[0].content or b"").endswith(MAIL)


@pytest.mark.parametrize(("tls", "answer"), [("verify", "451 4.4.1"), ("auto", "250"), ("off", "250")])
async def test_a_certificate_nobody_vouches_for_is_good_enough_only_where_nobody_asked_for_more(
    certificate: Path, tls: str, answer: str
):
    hop = Inbox(tls=context_of(certificate))
    async with hop.open(), relaying(hop.port, relay_next_hop_tls=tls) as relay, talking(relay.port) as client:
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith(answer)


async def test_a_wrong_password_of_ours_puts_mail_off():
    hop = Inbox(password=PASSWORD)
    url = f"smtp://shop:wrong@127.0.0.1:{hop.port}"
    async with hop.open(), relaying(hop.port, relay_next_hop=url) as relay, talking(relay.port) as client:
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith("451 4.4.1")
