"""A finished mail comes back with one block more, or as it came with a reason; over real sockets, on both databases."""

from __future__ import annotations

import email
import email.policy
import io
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from handraiser.errors import StoreUnavailable
from programs import Programs
from running import Running, running, settings_for

MAIL = b"\r\n".join(
    [
        b"From: Tents <orders@tents.example>",
        b"To: Alice <alice@example.com>",
        b"Subject: =?utf-8?q?Your_order_=E2=84=96_1001?=",
        b"Message-ID: <1001@tents.example>",
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/alternative; boundary="b1"',
        b"",
        b"--b1",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: quoted-printable",
        b"",
        b"Your order =E2=84=96 1001: one tent, 199.00 =E2=82=AC.",
        b"--=20",
        b"Tents",
        b"--b1",
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Transfer-Encoding: base64",
        b"",
        b"PGh0bWw+PGJvZHk+PGgxPllvdXIgb3JkZXIg4oSWIDEwMDE8L2gxPjxwPk9uZSB0ZW50LCAxOTku",
        b"MDAg4oKsPC9wPjwvYm9keT48L2h0bWw+",
        b"--b1--",
        b"",
    ]
)
US = "?type=order_confirmation&customer_id=7&locale=en&country=US&kind=new&order_id=1001"


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled) as opened:
        yield opened


async def enriched(house: Running, raw: bytes, query: str = US, **headers: str) -> tuple[bytes, Mapping[str, str]]:
    """The mail that comes back, which must be 200, and the answer's headers."""
    given = {"Authorization": f"Bearer {house.keys['tents']}", "Content-Type": "message/rfc822", **headers}
    async with house.session.post(
        f"{house.url}/v1/emails/enrich{query}", data=io.BytesIO(raw), headers=given
    ) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "message/rfc822"
        return await answer.read(), answer.headers


def parts_of(raw: bytes) -> tuple[str, str]:
    """(text, HTML) as the standard library reads them."""
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


async def test_a_mail_comes_back_with_an_ask_in_both_parts_whose_press_is_a_consent(house: Running):
    raw, headers = await enriched(house, MAIL)
    assert "Handraiser-Skipped" not in headers
    text, html = parts_of(raw)
    (link,) = set(re.findall(r"http://tents\.localhost:\d+/o/[\w.-]+", html))
    assert link in text
    assert html.count("<h1>Your order № 1001</h1>") == 1
    assert text.index(link) < text.index("-- \r\n"), "above the signature"
    assert raw.split(b"\r\n\r\n")[0] == MAIL.split(b"\r\n\r\n")[0], "no header is added or changed"

    status, page = await house.press(link)
    assert status == 200, page
    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["standing"] == {"offers": "granted"}
    _, message = await house.get(f"/v1/messages/{headers['Handraiser-Message-Id']}")
    assert (message["touchpoint"], message["order_id"]) == ("email:order_confirmation", "1001")


async def test_the_same_mail_again_is_the_same_message_with_the_same_links(house: Running):
    first, headers = await enriched(house, MAIL)
    again, told = await enriched(house, MAIL)
    assert (again, told["Idempotent-Replayed"]) == (first, "true")
    assert told["Handraiser-Message-Id"] == headers["Handraiser-Message-Id"]
    assert (await enriched(house, first))[1]["Handraiser-Skipped"] == "already_enriched", "a mail is enriched once"


@pytest.mark.parametrize(
    ("change", "query", "reason"),
    [
        (lambda raw: raw, "?type=nothing_we_know", "context"),
        (lambda raw: raw, US + "&soft_optin=notice", "context"),
        (lambda raw: raw, US + "&dry_run=yes", "context"),
        (lambda raw: raw.replace(b"199.00", b"199.00" + b" " * 5_000_000), US, "too_large"),
        (lambda raw: raw, "", "no_rule"),
        (lambda raw: raw.replace(b"To: ", b"Cc: bob@example.com\r\nTo: "), US, "several_recipients"),
        (lambda raw: raw.replace(b"To: Alice", b"To: bob@example.com, Alice"), US, "several_recipients"),
        (lambda raw: b"DKIM-Signature: v=1; a=rsa-sha256\r\n" + raw, US, "dkim_signed"),
        (lambda raw: raw.replace(b"--b1--", b""), US, "broken_boundaries"),
        (lambda _: b"", US, "several_recipients"),
        (
            lambda raw: raw.replace(b"To: Alice <alice@example.com>", b"To: undisclosed-recipients:;"),
            US,
            "several_recipients",
        ),
        (lambda _: b"To: a@b.example\r\nContent-Type: text/html\r\n\r\n" + b"<div>" * 2000, US, "too_deep"),
        (lambda _: b"\x00\xff\r\n\r\n\x00", US, "several_recipients"),
    ],
)
async def test_what_must_not_be_touched_comes_back_as_it_was_with_a_reason(
    house: Running, change: Any, query: str, reason: str
):
    raw = change(MAIL)
    back, headers = await enriched(house, raw, query)
    assert (back, headers["Handraiser-Skipped"]) == (raw, reason)


async def test_html_and_text_come_back_as_json(house: Running):
    html = '<table width="600"><tr><td>Order 1001</td></tr><tr><td>Unsubscribe · Imprint</td></tr></table>'
    given = {
        "html": html,
        "text": "Order 1001\n",
        "type": "order_confirmation",
        "customer": {"id": "7", "email": "alice@example.com", "country": "US"},
        "order": {"id": "1001", "total": "199.00", "currency": "USD"},
    }
    status, answer = await house.post("/v1/emails/enrich", given)
    assert status == 200
    assert answer["unchanged"] is None
    (link,) = [placed["url"] for placed in answer["placements"] if placed.get("url")]
    assert link in answer["html"]
    assert link in answer["text"]
    begin, end = answer["html"].index("<!--handraiser:begin"), answer["html"].index("<!--handraiser:end")
    end = answer["html"].index("-->", end) + 3
    assert answer["html"][:begin] + answer["html"][end:] == html

    status, answer = await house.post("/v1/emails/enrich", {**given, "customer": {"email": "a, b"}})
    assert (status, answer["html"], answer["unchanged"]["reason"]) == (200, html, "context")
    status, answer = await house.post("/v1/emails/enrich", {**given, "html": 5})
    assert (status, answer["errors"][0]["pointer"]) == (422, "/html")


async def test_observe_counts_and_leaves_the_mail_alone(house: Running):
    await house.service.govern.command("shops.mode", {"slug": "tents", "mode": "observe"})
    await house.service.publish.refresh()
    back, headers = await enriched(house, MAIL)
    assert (back, headers["Handraiser-Skipped"]) == (MAIL, "mode")
    _, message = await house.get(f"/v1/messages/{headers['Handraiser-Message-Id']}")
    assert message["would_ask"]


async def test_without_its_store_the_mail_passes_and_nothing_is_recorded(house: Running):
    with mock.patch.object(house.service.enrich._reader, "read", side_effect=StoreUnavailable("away")):
        back, headers = await enriched(house, MAIL)
    assert (back, headers["Handraiser-Skipped"]) == (MAIL, "store_unavailable")
    assert "Handraiser-Message-Id" not in headers


async def test_a_mail_that_takes_too_long_passes(tmp_path: Path, compiled: Programs):
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path / 'handraiser.db'}", enrich_seconds=1e-4)
    async with running(settings, compiled) as house:
        back, headers = await enriched(house, MAIL)
    assert (back, headers["Handraiser-Skipped"]) == (MAIL, "time_limit")


async def test_where_nobody_may_be_asked_the_service_message_stands_alone(house: Running):
    raw, headers = await enriched(house, MAIL, "?type=order_confirmation&country=DE")
    text, html = parts_of(raw)
    assert "handraiser:begin" in html
    assert "/o/" not in html + text
    _, message = await house.get(f"/v1/messages/{headers['Handraiser-Message-Id']}")
    assert {one["reason"] for one in message["skipped"] if one["slot"] == "ask"} >= {"market"}


async def test_a_dry_run_shows_the_block_and_keeps_nothing(house: Running):
    raw, headers = await enriched(house, MAIL, US + "&dry_run=true")
    assert raw != MAIL
    assert "Handraiser-Message-Id" not in headers
