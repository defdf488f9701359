"""The fragment in a shop's own page under a strict policy, in a real Chromium: its looks, and one tap to our page."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from browsing import House, a_visitor
from running import the_ask

pytestmark = pytest.mark.browser

_COUNT = itertools.count(7000)
SHOP = "http://shop.localhost/thank-you"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Thank you</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/shop.css"></head>
<body><main><h1>Thank you for your order</h1><p>It is on its way soon.</p>{}</main></body></html>"""
SHEET = """:root{color-scheme:light dark}body{font:1rem/1.5 Georgia,serif;margin:0;background:#fff;color:#222}
main{max-width:60rem;margin:auto;padding:1rem}@media(prefers-color-scheme:dark){body{background:#16181c;color:#e8e8e8}}"""


def a_view(house: House, locale: str = "en") -> Any:
    number = next(_COUNT)
    customer = {"id": str(number), "email": f"a{number}@example.com", "locale": locale, "country": "DE"}
    body = {"customer": customer, "order": {"id": str(number)}}
    status, answer = house.call(house.it.post("/v1/touchpoints/thank_you", body))
    assert status == 200
    return answer


def serve(route: Route, html: str, styles: str) -> None:
    """The shop's own site: a page and a style sheet under a policy without unsafe-inline."""
    if route.request.url.endswith(".css"):
        route.fulfill(body=SHEET, content_type="text/css")
    else:
        policy = f"default-src 'none'; style-src 'self' {styles}; script-src 'none'; base-uri 'none'"
        route.fulfill(body=PAGE.format(html), content_type="text/html", headers={"Content-Security-Policy": policy})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_the_fragment_is_at_home_in_a_page_with_a_strict_policy(
    house: House, chromium: Browser, width: int, scheme: str, tmp_path: Path
):
    answer = a_view(house)
    with a_visitor(chromium, width, color_scheme=scheme) as visitor:
        visitor.context.route("http://shop.localhost/**", lambda r: serve(r, answer["html"], f"'{answer['style']}'"))
        visitor.page.goto(SHOP)
        visitor.sees_no_faults()
        button = visitor.page.locator("a.hr-press")
        assert button.bounding_box()["height"] >= 44
        assert button.evaluate("one => getComputedStyle(one).borderRadius") == "8px"
        visitor.page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
        visitor.page.click("a.hr-press")
        visitor.page.wait_for_load_state()
        assert visitor.page.url == the_ask(answer)
        assert "not signed up" in visitor.page.inner_text("main")
        assert visitor.page.locator("button.main").is_visible()


def test_where_the_policy_forbids_the_style_sheet_the_fragment_reads_as_plain_html(house: House, chromium: Browser):
    answer = a_view(house)
    with a_visitor(chromium) as visitor:
        visitor.context.route("http://shop.localhost/**", lambda r: serve(r, answer["html"], ""))
        visitor.page.goto(SHOP)
        assert visitor.accessibility_faults("target-size") == []
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert len(visitor.complaints) == 1, "the style sheet alone is refused"
        assert "Would you like to hear from us?" in visitor.page.inner_text("main")
        visitor.page.click("a.hr-press")
        visitor.page.wait_for_load_state()
        assert visitor.page.url == the_ask(answer)
