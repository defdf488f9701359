"""The demo's inbox in a real Chromium, at phone and desk width, light and dark."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from browsing import CHROMIUM, FLAGS, RULES
from handraiser.doors.demo import Answered, Caught, Demo, Mailbox, Sample, Status
from handraiser.doors.web import Front
from handraiser.telemetry import Metrics

FOLDER = Path(__file__).parents[2] / "templates" / "demo"
SHOPS = {"fjell-fjord": "Fjell & Fjord", "lamp-lumen": "Lamp & Lumen"}

pytestmark = pytest.mark.browser


class FakeService:
    """Asks everybody outside Germany, and lets the test say what each reader answered."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.answers: dict[str, str] = {}
        self.count = 0

    async def send(self, shop: str, body: bytes, key: str | None) -> Answered:
        try:
            payload = json.loads(body)
        except ValueError:
            fault = {"pointer": "", "code": "not_json", "detail": "line 1, column 3: a name in quotes is missing"}
            return Answered(400, {"title": "The request cannot be read", "errors": [fault]})
        self.count += 1
        mail = self.mail(payload, shop, f"01990000-0000-7000-8000-{self.count:012x}")
        self.mailbox.keep(mail)
        body_told = {"message_id": mail.id, "placements": mail.placements, "skipped": mail.skipped}
        return Answered(200, body_told | {"warnings": mail.warnings}, mail.id)

    def mail(self, payload: dict[str, Any], shop: str, mail_id: str) -> Caught:
        country = payload["customer"]["country"]
        asks = country != "DE"
        url = "http://127.0.0.1:9/o/token" if asks else ""
        placed = {"slot": "ask", "block": "newsletter", "version": 1, "variant": "a", "purpose": "tips", "url": url}
        remedy = "Germany keeps the ask out of the email; ask on the thank-you page."
        left_out = {"slot": "ask", "block": "newsletter", "reason": "market", "remedy": remedy}
        warning = {"pointer": "/customer/loyalty", "code": "unknown_field", "detail": "there is no such field"}
        return Caught(
            id=mail_id,
            kind="email",
            controller_id="0a" * 16,
            shop_id="1a" * 16,
            shop=shop,
            shop_name=SHOPS[shop],
            sender=f"{SHOPS[shop]} <hello@{shop}.example>",
            to=payload["customer"]["email"],
            subject=f"Order {payload['order']['id']} confirmed",
            type=payload["type"],
            at=1_790_000_000_000 + self.count,
            html=f'<html><head></head><body><h1>Thanks</h1><a href="{url}">Yes</a><script>alert(1)</script>',
            text="Thanks",
            country=country,
            purpose="tips" if asks else "",
            ask_url=url,
            placements=[placed] if asks else [],
            skipped=[] if asks else [left_out],
            warnings=[warning] if "loyalty" in payload["customer"] else [],
            payload=payload,
        )

    async def press(self, url: str) -> None:
        """A script's press: it waits for the confirmation mail, which is caught."""
        asked = self.mailbox.newest(1)[0]
        self.answers[asked.id] = "pending"
        second = {"id": "01990000-0000-7000-8000-ffffffffffff", "kind": "confirmation", "payload": None, "skipped": []}
        given = {"subject": "Please confirm", "at": asked.at + 1, "type": "confirmation", "placements": []}
        self.mailbox.keep(replace(asked, **second, **given))

    async def statuses(self, mails: Any, entries: bool) -> list[Status]:
        found = []
        for mail in mails:
            state = self.answers.get(mail.id, "asked" if mail.ask_url else "none")
            entry = {"event": state, "purpose": "tips", "at": mail.at, "how": "button", "words": "Yes, send me tips"}
            found.append(Status(state, [entry] if state == "granted" else []))
        return found


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    mailbox = Mailbox(tmp_path / "mails")
    mailbox.load()
    return FakeService(mailbox)


@pytest.fixture
async def url(aiohttp_server: Any, service: FakeService) -> str:
    served = {name: (FOLDER / name).read_bytes() for name in ("index.html", "app.js", "app.css", "icon.svg")}
    files = sorted((FOLDER / "orders").iterdir())
    samples = [Sample(name=file.stem, **json.loads(file.read_text())) for file in files]
    door = Demo(
        service.mailbox,
        files=served,
        samples=samples,
        shops=SHOPS,
        send=service.send,
        press=service.press,
        statuses=service.statuses,
    )
    app = web.Application(middlewares=[Front(Metrics()).middleware])
    app.add_routes(door.routes())
    server = await aiohttp_server(app)
    for sample in samples:
        await service.send(sample.shop, json.dumps(sample.payload).encode(), None)
    return str(server.make_url("/demo"))


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


async def a_page(browser: Browser, width: int, scheme: Any = "light") -> tuple[Page, list[str]]:
    context = await browser.new_context(viewport={"width": width, "height": 760}, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if "sandboxed" not in line.text else None)
    return page, complaints


async def test_the_press_shows_in_the_inbox_without_a_reload(browser, url, service):
    page, complaints = await a_page(browser, 1280)
    await page.goto(url)
    await page.click("#list button:has-text('alice.moreno@example.com') >> nth=1")
    await page.wait_for_selector("#state[data-state=asked]")

    service.answers[service.mailbox.newest(9)[1].id] = "granted"

    await page.wait_for_selector("#state[data-state=granted]", timeout=5000)
    assert "Yes, send me tips" in await page.inner_text("#status")
    assert complaints == []


async def test_the_country_switch_makes_the_ask_go_and_says_why(browser, url):
    page, complaints = await a_page(browser, 1280)
    await page.goto(url)
    await page.click("#list button:has-text('alice.moreno@example.com') >> nth=1")
    await page.wait_for_selector("#placements .chip[data-tone=ask]")

    await page.click("#segments [data-country=DE]")

    await page.wait_for_selector("#state[data-state=none]")
    assert "thank-you page" in await page.inner_text("#told")
    assert "market" in await page.inner_text("#skipped")
    assert complaints == []


async def test_an_own_order_gives_its_warnings_and_its_picture(browser, url):
    page, complaints = await a_page(browser, 1280)
    await page.goto(url)
    await page.click("#open-own")
    await expect(page.locator("#own-text")).not_to_have_value("")
    order = {"type": "order_confirmation", "customer": {"email": "bob@example.com", "country": "US", "loyalty": 1}}
    await page.fill("#own-text", json.dumps(order | {"order": {"id": "77"}}))

    await page.click("#own-send")
    await page.wait_for_selector("#own-show:visible")
    warnings = await page.inner_text("#own-faults")
    await page.click("#own-show")

    assert "/customer/loyalty" in warnings
    await expect(page.locator("#subject")).to_have_text("Order 77 confirmed")
    await expect(page.frame_locator("#frame").locator("h1")).to_have_text("Thanks")
    assert complaints == []


async def test_an_order_that_is_refused_is_told_with_every_fault(browser, url):
    page, _ = await a_page(browser, 1280)
    await page.goto(url)
    await page.click("#open-own")
    await page.fill("#own-text", "{ x")

    await page.click("#own-send")

    await page.wait_for_selector("#own-faults .chip")
    assert "Refused (400)" in await page.inner_text("#own-said")
    assert await page.is_hidden("#own-show")


async def test_a_link_in_the_email_opens_in_a_tab_of_its_own_and_no_script_runs(browser, url):
    page, _ = await a_page(browser, 1280)
    alerts = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    await page.goto(url)
    await page.wait_for_selector("#list button")

    async with page.expect_popup() as popup:
        await page.frame_locator("#frame").locator("a").click()

    assert page.url.startswith(url)
    assert await popup.value is not page
    assert alerts == []


async def test_what_a_script_presses_waits_for_a_person(browser, url):
    page, complaints = await a_page(browser, 1280)
    await page.goto(url)
    await page.click("#list button >> nth=0")
    await page.wait_for_selector("#state[data-state=asked]")

    await page.click("#script")
    await page.wait_for_selector("#state[data-state=pending]")
    await page.click("#status [data-open]")

    await page.wait_for_selector("#subject:has-text('Please confirm')")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_runs_over_the_edge_and_everybody_can_use_it(browser, url, scheme):
    page, complaints = await a_page(browser, 1280, scheme)
    for width in (1280, 800, 375, 320):
        await page.set_viewport_size({"width": width, "height": 760})
        await page.goto(url)
        await page.click("#list button >> nth=0")
        await page.wait_for_selector("#subject:visible")
        if width < 1100:
            await page.click("[role=tab][data-tab=why]")
        assert await page.is_visible("#state")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        if width in (1280, 375):
            found = (await Axe().run(page, options=RULES)).response["violations"]
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    await page.click("#back")
    await page.click("#open-own")
    await page.wait_for_selector("#own-text:visible")
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
