"""A shop that cannot change its mail: its rules say what passes, and the ask is in what goes on, over HTTP and SMTP."""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from asked import ROOT
from handraiser.serving import open_relay
from postfix import postfix
from programs import Programs
from running import TENTS, Running, free_port, running, settings_for
from smtp_talk import ScriptedHop, talking

RULES = r"""
version = 1
[[rules]]
id = "order"
type = "order_confirmation"
match = { from = "orders@tents.example", subject = 'Order \d+' }
extract = { order_number = { subject = 'Order (\d+)' }, country = { value = "NL" }, customer_kind = { value = "new" } }
[rules.soft_opt_in]
notice_at_collection = true
similar_goods = true
approved_by = "Dana"
approved_on = 2026-11-02
checkout_text = "v7"
"""
OVERRIDE = """
[[market_overrides]]
countries = ["NL"]
approved_by = "Dana"
approved_on = 2026-11-02
header_required = false
"""
MAIL = (
    b"From: Tents <orders@tents.example>\r\nTo: Alice <alice@example.com>\r\nSubject: Order 1001\r\n"
    b"Message-ID: <1@tents.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<html><body><h1>Thank you.</h1><p>One tent.</p></body></html>\r\n"
)
OTHER = MAIL.replace(b"Order 1001", b"Your password")


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT, templates)
    (templates / "shops" / "tents").mkdir()
    (templates / "shops" / "tents" / "rules.toml").write_text(RULES)
    relay = {"relay_listen": "127.0.0.1:0", "relay_next_hop": f"smtp://127.0.0.1:{free_port()}"}
    settings = settings_for(tmp_path, database_url, templates_dir=templates, **relay)
    async with running(settings, compiled, [TENTS + OVERRIDE]) as opened:
        yield opened


def ask_in(raw: bytes) -> str:
    """The one opt-in link of a mail."""
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    (link,) = set(re.findall(r"http://tents\.localhost:\d+/o/[\w.-]+", mail.get_content()))
    return link


async def enriched(house: Running, raw: bytes) -> tuple[Mapping[str, str], bytes]:
    """What comes back over HTTP: headers and mail."""
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Content-Type": "message/rfc822"}
    async with house.session.post(f"{house.url}/v1/emails/enrich", data=io.BytesIO(raw), headers=headers) as answer:
        return answer.headers, await answer.read()


async def test_by_http_the_rules_say_what_a_mail_is_and_what_they_declare_stands_under_the_consent(house: Running):
    headers, raw = await enriched(house, MAIL)
    assert "Handraiser-Skipped" not in headers
    message_id = headers["Handraiser-Message-Id"]
    headers, back = await enriched(house, OTHER)
    assert (headers["Handraiser-Skipped"], back) == ("no_rule", OTHER)

    _, message = await house.get(f"/v1/messages/{message_id}")
    assert (message["order_id"], message["country"]) == ("1001", "NL")
    status, page = await house.press(ask_in(raw))
    assert status == 200, page
    rows = await house.service.database.fetch("SELECT content FROM policy_snapshot")
    declared = {"rule": "order", "approved_by": "Dana", "approved_on": "2026-11-02", "checkout_text": "v7"}
    assert [json.loads(row["content"]).get("declared") for row in rows] == [declared]


async def test_through_the_relay_the_mail_that_arrives_holds_the_ask(house: Running):
    port = int(house.service.settings.relay_next_hop.rpartition(":")[2])
    async with ScriptedHop().open(port) as hop, open_relay(house.service) as relay, talking(relay.port) as client:
        for mail in (MAIL, OTHER):
            assert (await client.send(mail, "alice@example.com")).startswith("250")
    enriched, other = (one.content.split(b"\r\n", 1)[1] for one in hop.delivered)
    assert ask_in(enriched)
    assert MAIL.split(b"\r\n\r\n")[0] in enriched, "the headers are as they were"
    assert other.endswith(OTHER)
    assert await house.service.database.fetch("SELECT 1 FROM message") != []


@pytest.mark.postfix
async def test_a_mail_that_the_hop_takes_without_the_block_alone_is_not_kept_as_shown(house: Running):
    port = int(house.service.settings.relay_next_hop.rpartition(":")[2])
    with postfix(port=port, refuses="handraiser:begin") as hop:
        async with open_relay(house.service) as relay, talking(relay.port) as client:
            for _ in range(2):
                assert (await client.send(MAIL, "alice@example.com")).startswith("250")
        arrived = await asyncio.to_thread(hop.mails, "alice", 2)
    assert all(one.endswith(MAIL.replace(b"\r\n", b"\n")) for one in arrived), (
        "the receipt, once for each time it was sent"
    )

    _, found = await house.get("/v1/messages?order_id=1001")
    (message,) = found["messages"]
    assert message["placements"] == []
    assert ("ask", "not_sent") in {(one["slot"], one["reason"]) for one in message["skipped"]}
    (state,) = await house.service.database.fetch("SELECT asks, orders_seen FROM subject_state")
    assert (state["asks"], state["orders_seen"]) == ("[]", 1)
    _, raw = await enriched(house, MAIL.replace(b"1001", b"1002"))
    assert ask_in(raw), "the next order asks: nobody has been asked yet"
