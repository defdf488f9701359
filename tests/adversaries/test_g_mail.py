"""G: the mail. Links survive raw, the order's content stands first and untouched, and data makes no header."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest

from running import an_order
from siege import Asked, Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def raw_mail(siege: Siege, order: dict[str, Any]) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {siege.it.keys['tents']}", "Accept": "message/rfc822"}
    async with siege.raw.post(siege.it.url + "/v1/emails", json=order, headers=headers) as answer:
        return answer.status, await answer.read()


def parsed(raw: bytes) -> EmailMessage:
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def to(who: Asked, n: int, **customer: Any) -> dict[str, Any]:
    return an_order(n, customer={"id": who.id, "email": who.address} | customer)


async def test_every_link_stands_raw_in_the_mails_bytes(siege: Siege):
    order = an_order(1, customer={"id": "g1", "email": "g1@example.com"})

    status, raw = await raw_mail(siege, order)

    assert status == 200
    leave = parsed(raw)["List-Unsubscribe"].strip("<>")
    assert f"List-Unsubscribe: <{leave}>\r\n".encode() in raw
    html, text = (parsed(raw).get_body((kind,)).get_content() for kind in ("html", "plain"))
    links = {word for word in text.split() if "/o/" in word}
    assert len(links) == 2, "yes and no thanks"
    assert all(f'href="{link}"' in html for link in links)
    assert {len(link.rpartition("/")[2].removesuffix("?no")) for link in links} == {51}


async def test_the_subject_is_untouched_and_the_ask_stands_after_the_orders_content(siege: Siege):
    asked = await siege.ask()
    plain = await siege.it.email({**to(asked, 2), "to": "someone.else@example.com"})

    assert "ask" not in {placed["slot"] for placed in plain["placements"]}
    html = asked.mail["html"]
    assert html.index(asked.link) > html.index("Tent")
    assert html.index(asked.link) > html.rindex("199.00")
    assert (asked.mail["subject"], plain["subject"]) == (f"Order {asked.id} confirmed", "Order 2 confirmed")


async def test_who_said_no_gets_the_mail_as_if_there_were_no_ask(siege: Siege):
    alice = await siege.ask()
    await siege.send("POST", alice.leave, {"List-Unsubscribe": "One-Click"}, {})

    again = await siege.it.email(to(alice, 3))

    assert "ask" not in {placed["slot"] for placed in again["placements"]}
    assert again["headers"] == {}
    assert "/o/" not in again["html"] + again["text"]
    assert "Tent" in again["html"]


@pytest.mark.parametrize("name", ["=?utf-8?b?YUBldmlsLm9yZywg?=", "Ali, eve@evil.example", '"x" <eve@evil.example>'])
async def test_a_display_name_is_no_recipient(siege: Siege, name: str):
    order = an_order(4, customer={"id": "g4", "email": "g4@example.com", "first_name": name, "last_name": name})

    status, raw = await raw_mail(siege, order)

    assert status == 200
    assert [address.addr_spec for address in parsed(raw)["To"].addresses] == ["g4@example.com"]


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
async def test_a_line_break_in_a_name_makes_no_header(siege: Siege, breaks: str):
    name = f"Ali{breaks}Bcc: eve@evil.example"
    order = an_order(5, customer={"id": "g5", "email": "g5@example.com", "first_name": name})

    status, raw = await raw_mail(siege, order)

    assert status == 200
    assert parsed(raw)["Bcc"] is None
    assert b"\nBcc:" not in raw.partition(b"\r\n\r\n")[0]
