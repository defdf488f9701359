"""What a page of the shop may show: asks where an email may not ask, judged as the press of somebody unproven."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import segno

from mailserver import Inbox, links_of
from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for, the_ask

ALICE = {"id": "7", "email": "alice@example.com", "locale": "en", "country": "US"}


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, BOATS]) as one:
        yield one


def a_view(n: int | None = 1, **customer: Any) -> dict[str, Any]:
    view: dict[str, Any] = {"customer": ALICE | customer}
    return view if n is None else view | {"order": {"id": str(n)}}


async def view(house: Running, body: Any, place: str = "thank_you", **headers: str) -> Any:
    status, answer = await house.post(f"/v1/touchpoints/{place}", body, **headers)
    assert status == 200, answer
    return answer


async def nothing(house: Running, body: Any, place: str = "thank_you") -> str:
    """Why nothing may be shown."""
    headers = {"Authorization": f"Bearer {house.keys['tents']}"}
    async with house.session.post(f"{house.url}/v1/touchpoints/{place}", json=body, headers=headers) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
        return answer.headers["Handraiser-Skipped"]


async def standing(house: Running, customer_id: str = "7") -> dict[str, str]:
    status, known = await house.get(f"/v1/consents?customer_id={customer_id}")
    assert status == 200
    found: dict[str, str] = known["standing"]
    return found


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def test_a_thank_you_page_gets_plain_html_with_links_that_need_no_script(house: Running):
    answer = await view(house, a_view())
    link = the_ask(answer)
    assert link in answer["html"]
    tags = Tags(answer["html"]).found
    assert {name for _, attributes in tags for name in attributes} <= {"class", "href", "lang", "dir", "role"}
    assert {tag for tag, _ in tags} <= {"style", "div", "h2", "table", "tbody", "tr", "td", "b", "a"}
    assert "You hear of every offer a day before everyone else" in answer["html"]
    assert answer["html"].isascii()


async def test_html_alone_is_there_for_who_asks_for_it_with_the_hash_for_the_pages_policy(house: Running):
    answer = await view(house, a_view())
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Accept": "text/html"}
    async with house.session.post(f"{house.url}/v1/touchpoints/thank_you", json=a_view(), headers=headers) as page:
        assert page.content_type == "text/html"
        assert await page.text() == answer["html"]
        assert page.headers["Handraiser-Style"] == answer["style"]
        assert page.headers["Handraiser-Message-Id"] == answer["message_id"]


@pytest.mark.parametrize("country", ["US", "DE", "GB", "CA", None])
async def test_a_page_is_no_mail_so_it_may_ask_in_every_country(house: Running, country: str | None):
    answer = await view(house, a_view(1, country=country))
    assert [placed["slot"] for placed in answer["placements"]] == ["ask"]
    assert "You get this because you bought from us" not in answer["html"]
    _, page = await house.open(the_ask(answer))
    assert "You get this because you bought from us" not in page


async def test_a_yes_on_a_page_waits_for_the_mailbox_and_its_press_there_grants(
    database_url: str, tmp_path: Path, compiled: Programs
):
    hop = Inbox()
    async with hop.open(), running(settings_for(tmp_path, database_url, smtp_url=hop.url), compiled) as house:
        answer = await view(house, a_view())
        link = the_ask(answer)
        for method in ("GET", "HEAD"):
            assert (await house.open(link, method))[0] == 200
        assert await standing(house) == {}

        status, page = await house.press(link)
        assert status == 200
        assert "only the mailbox itself can say yes" in page
        assert await standing(house) == {"offers": "pending"}
        _, known = await house.get("/v1/consents?customer_id=7")
        (entry,) = known["entries"]
        assert (entry["touchpoint"], entry["event"], entry["verdict"]) == ("web:thank_you", "pending", "human")
        assert "unproven_mailbox" in entry["verdict_reasons"]

        mail = await hop.next()
        assert mail["To"] == "alice@example.com"
        status, page = await house.press(links_of(mail)[0])
        assert (status, await standing(house)) == (200, {"offers": "granted"})
        assert await nothing(house, a_view(2)) == "opted_in,touchpoint"


async def test_who_pressed_in_a_mail_before_is_proven_but_only_under_the_same_customer_id(house: Running):
    await house.press(the_ask(await house.email(an_order())))
    assert await standing(house) == {"offers": "granted"}
    _, purposes = await house.get("/v1/purposes")
    assert "tips" in {one["id"] for one in purposes["purposes"]}
    (block,) = [one for one in _starter() if one["slug"] == "newsletter-on-a-page"]
    controller = (await house.service.govern.shop("tents")).controller.id
    content = {**block, "slug": "tips-on-a-page", "purpose": "tips", "priority": 30}
    await house.service.publish.put_block(controller, content)
    await house.service.publish.refresh()

    guest = await view(house, a_view(2, id=None))
    await house.press(the_ask(guest))
    assert (await standing(house))["tips"] == "pending", "anybody can type this address"

    other = await view(house, a_view(3, id="666", email="bob@example.com"))
    await house.press(the_ask(other))
    assert (await standing(house, "666"))["tips"] == "pending"


async def test_a_packing_slip_gets_its_link_as_a_code_to_scan_and_no_link_to_press(house: Running):
    answer = await view(house, a_view(), "packing_slip")
    link = the_ask(answer)
    drawn = re.search(r'd="([^"]+)"/></g>', answer["qr"])
    assert drawn
    assert drawn[1] == re.search(r'd="([^"]+)"', segno.make(link, error="m").svg_inline())[1], "the code says the link"
    assert answer["html"].count(answer["qr"]) == 1
    tags = Tags(answer["html"]).found
    assert {tag for tag, _ in tags} <= {"style", "div", "h2", "table", "tbody", "tr", "td", "b", "svg", "g", "path"}
    assert not any("style" in attributes for _, attributes in tags)
    said = re.sub(r"<style>.*?</style>|<[^>]+>", " ", answer["html"])
    assert "You hear of every offer a day before everyone else" in said
    assert "Yes, sign me up" in said
    assert link in said, "for who cannot scan"
    assert "No thanks" not in said, "on paper it cannot be pressed; the page has it"
    assert "&#183;" not in said, "nor is what stood between such links left"
    assert (await view(house, a_view(), "packing_slip"))["message_id"] == answer["message_id"], (
        "printed again: the same"
    )
    _, message = await house.get(f"/v1/messages/{answer['message_id']}")
    assert message["touchpoint"] == "print:packing_slip"


async def test_whoever_opens_a_parcel_is_asked_for_the_mailbox_even_of_a_proven_customer(house: Running):
    await house.press(the_ask(await house.email(an_order())))
    (block,) = [one for one in _starter() if one["slug"] == "newsletter-on-a-page"]
    controller = (await house.service.govern.shop("tents")).controller.id
    content = {**block, "slug": "tips-in-a-parcel", "purpose": "tips", "priority": 30}
    await house.service.publish.put_block(controller, content)
    await house.service.publish.refresh()

    _, page = await house.open(the_ask(await view(house, a_view(2), "packing_slip")))
    assert "No thanks" in page
    await house.press(the_ask(await view(house, a_view(2), "packing_slip")))
    assert await standing(house) == {"offers": "granted", "tips": "pending"}


async def test_a_packing_slip_goes_with_an_order(house: Running):
    status, answer = await house.post("/v1/touchpoints/packing_slip", {"customer": ALICE})
    assert (status, answer["errors"][0]["pointer"]) == (422, "/order/id")


async def test_a_proven_customer_needs_no_second_step(house: Running):
    await house.press(the_ask(await house.email(an_order())))
    (block,) = [one for one in _starter() if one["slug"] == "newsletter-on-a-page"]
    controller = (await house.service.govern.shop("tents")).controller.id
    await house.service.publish.put_block(controller, {**block, "slug": "tips-on-a-page", "purpose": "tips"})
    await house.service.publish.refresh()

    await house.press(the_ask(await view(house, a_view(None), "account")))
    assert await standing(house) == {"offers": "granted", "tips": "granted"}


async def test_the_same_orders_page_again_is_the_same_view_until_it_is_answered(house: Running):
    first = await view(house, a_view())
    again = await view(house, a_view(first_name="Alice"))
    assert again["html"] == first["html"]
    assert again["message_id"] == first["message_id"]
    await house.press(the_ask(first), "no")
    assert "refused" in await nothing(house, a_view())


async def test_pages_and_emails_share_their_caps(house: Running):
    await house.email(an_order())
    assert "cool_down" in await nothing(house, a_view(2))
    assert "cool_down" in await nothing(house, a_view(None), "account")


async def test_who_said_no_is_not_asked_on_a_page(house: Running):
    answer = await house.email(an_order())
    leave = answer["headers"]["List-Unsubscribe"].strip("<>")
    await house.submit(leave, {"List-Unsubscribe": "One-Click"})
    assert "suppressed" in await nothing(house, a_view(2))


async def test_a_page_hands_out_no_link_that_ends_every_consent_of_an_address(house: Running):
    answer = await view(house, a_view())
    assert "/u/" not in answer["html"]
    assert len(re.findall(r'href="[^"]+\?no"', answer["html"])) == 2


async def test_an_account_page_shows_the_same_all_day_and_counts_once(house: Running):
    first = await view(house, a_view(None), "account")
    assert (await view(house, a_view(None), "account"))["message_id"] == first["message_id"]
    status, why = await house.get(f"/v1/messages/{first['message_id']}")
    assert (status, why["touchpoint"], why["order_id"], why["type"]) == (200, "web:account", "", "account")
    rows = await house.service.database.fetch("SELECT order_id FROM orders")
    assert rows == [], "a page view is no order"


async def test_a_shop_that_observes_shows_nothing_and_counts_what_it_would_have_asked(house: Running):
    await house.service.govern.set_mode("tents", "observe")
    house.service.keys.forget()
    assert "mode" in await nothing(house, a_view())
    _, found = await house.get("/v1/messages?order_id=1")
    assert [one["would_ask"] for one in found["messages"]] == [True]


async def test_what_is_wrong_with_a_view_is_told(house: Running):
    for body, pointer in (
        ({}, "/customer"),
        ({"customer": {"email": "nobody"}}, "/customer/email"),
        ({"customer": ALICE, "order": {"id": "1", "total": "1"}}, "/order/currency"),
        ({"customer": ALICE, "order": []}, "/order"),
    ):
        status, answer = await house.post("/v1/touchpoints/thank_you", body)
        assert status == 422
        assert pointer in {fault["pointer"] for fault in answer["errors"]}
    assert (await house.post("/v1/touchpoints/checkout", a_view()))[0] == 404
    assert (await house.post("/v1/touchpoints/account", b"[]"))[0] == 422
    assert (await house.post("/v1/touchpoints/account", b"{", Content_Type="text/plain"))[0] == 415


async def test_the_link_of_one_companys_page_is_unknown_on_anothers_host(house: Running):
    link = the_ask(await view(house, a_view()))
    status, page = await house.open(link.replace("tents.localhost", "boats.localhost"))
    unknown = await house.open(re.sub(r"/o/.*", "/o/" + "A" * 51, link))
    assert (status, page) == unknown
    assert status == 404


def _starter() -> list[dict[str, Any]]:
    from emails import BLOCKS

    return BLOCKS
