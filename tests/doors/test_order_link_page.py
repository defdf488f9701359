"""The link-only road: a link that the shop's own template signs opens the page of an ask, and grants nothing."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mailserver import Inbox, links_of
from programs import Programs
from running import BOATS, CHROME, TENTS, Running, an_order, running, settings_for

ALICE = {"id": "7", "email": "alice@example.com", "locale": "nl", "country": "DE"}


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, BOATS]) as one:
        yield one


async def tell(house: Running, order_id: Any = 5001, customer: Any = None, **given: Any) -> None:
    order = {"id": order_id, "currency": "EUR", "total": "19.90"}
    status, answer = await house.post("/v1/orders", {"customer": customer or ALICE, "order": order, **given})
    assert status == 200, answer


async def a_link(house: Running, order_id: str = "5001", shop: str = "tents") -> str:
    """What the shop's template makes of the order id and the secret."""
    secret = await house.service.govern.link_secret("tents")
    signature = hmac.new(secret.encode(), order_id.encode(), hashlib.sha256).hexdigest()
    return f"http://{shop}.localhost:{house.port}/k/{shop}/{quote(order_id, safe='')}.{signature}"


async def follow(house: Running, link: str, method: str = "GET") -> tuple[int, str]:
    """Status, and where it leads to."""
    host = link.split("/")[2]
    async with house.session.request(
        method, link.replace(host, f"127.0.0.1:{house.port}"), headers={**CHROME, "Host": host}, allow_redirects=False
    ) as answer:
        return answer.status, answer.headers.get("Location", "")


async def standing(house: Running) -> dict[str, str]:
    status, known = await house.get("/v1/consents?customer_id=7")
    assert status == 200
    found: dict[str, str] = known["standing"]
    return found


async def test_from_the_shops_own_mail_over_the_page_and_the_mailbox_to_the_consent(
    database_url: str, tmp_path: Path, compiled: Programs
):
    hop = Inbox()
    async with hop.open(), running(settings_for(tmp_path, database_url, smtp_url=hop.url), compiled) as house:
        await tell(house)
        link = await a_link(house)
        status, page = await follow(house, link)
        assert status == 303
        assert page.startswith(f"http://tents.localhost:{house.port}/o/")
        assert await follow(house, link, "HEAD") == (303, page), "the same page each time"
        assert await standing(house) == {}

        status, shown = await house.open(page)
        assert (status, 'lang="nl"' in shown) == (200, True)
        await house.press(page)
        assert await standing(house) == {"offers": "pending"}
        mail = await hop.next()
        assert mail["To"] == "alice@example.com"
        await house.press(links_of(mail)[0])
        assert await standing(house) == {"offers": "granted"}
        assert await follow(house, link) == (303, page)
        assert "U bent al aangemeld" in (await house.open(page))[1]


async def test_what_is_unknown_gets_the_same_bytes_whatever_is_wrong_with_it(house: Running):
    await tell(house)
    good, unknown = await a_link(house), await a_link(house, "5002")
    wrong = [
        unknown,
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace("/k/tents/", "/k/nobody/"),
        good.replace("tents.localhost", "boats.localhost"),
        good.replace("tents.localhost", "boats.localhost").replace("/k/tents/", "/k/boats/"),
        good.replace("/k/tents/", "/k/tents/x"),
        f"http://tents.localhost:{house.port}/k/tents/5001",
        f"http://tents.localhost:{house.port}/k/tents/%00.{'0' * 64}",
        f"http://tents.localhost:{house.port}/o/{'A' * 51}",
    ]
    answers = {await house.open(link) for link in wrong}
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    await tell(house, 5002)
    assert (await follow(house, unknown))[0] == 303, "once the order is told, its link works"


async def test_opening_it_many_times_at_once_counts_one_ask(house: Running):
    await tell(house)
    link = await a_link(house)
    found = await asyncio.gather(*(follow(house, link) for _ in range(8)))
    assert len({*found}) == 1
    assert found[0][0] == 303
    _, told = await house.get("/v1/messages?order_id=5001")
    assert [one["touchpoint"] for one in told["messages"]] == ["web:order_link"]


async def test_a_page_that_was_opened_once_stays_the_same_when_its_key_is_forgotten(house: Running):
    await tell(house)
    link = await a_link(house)
    first = await follow(house, link)
    async with house.service.database.transaction() as tx:
        await tx.execute("DELETE FROM idempotency")
    assert await follow(house, link) == first


@pytest.mark.parametrize("order_id", ["#1001", "a/b c", "é", "1.2.3"])
async def test_an_order_id_may_be_any_text(house: Running, order_id: str):
    await tell(house, order_id)
    assert (await follow(house, await a_link(house, order_id)))[0] == 303


async def test_who_is_not_to_be_asked_is_told_that_nothing_is_asked(house: Running):
    await tell(house, status="cancelled", version=1)
    link = await a_link(house)
    status, page = await house.open(link)
    assert (status, "nothing to ask you now" in page) == (200, True)
    await tell(house, version=2)
    await house.service.govern.set_mode("tents", "observe")
    assert "nothing to ask you now" in (await house.open(link))[1]


async def test_an_order_that_an_email_told_of_has_a_link_too_and_an_erased_customers_has_none(house: Running):
    await house.email(an_order(5001, customer={"country": "JP"}))
    assert (await follow(house, await a_link(house)))[0] == 303
    status, _ = await house.post("/v1/customers/erase", {"email": ALICE["email"]})
    assert status == 200
    assert (await follow(house, await a_link(house)))[0] == 404


async def test_a_rotated_secret_leaves_the_links_of_sent_mails_good_once(house: Running):
    await tell(house)
    link = await a_link(house)
    await house.service.govern.link_secret("tents", rotate=True)
    assert (await follow(house, link))[0] == 303
    await house.service.govern.link_secret("tents", rotate=True)
    assert (await follow(house, link))[0] == 404
