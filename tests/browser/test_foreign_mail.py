"""Shops' mails before and after, in a real Chromium: the block fits, can be read, and nothing gets wider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from browsing import a_visitor
from emails import SHOPS, filled, rich
from handraiser.core.splice.foreign import ForeignBlock, foreign_block, insists
from handraiser.core.splice.html import Spliced, splice
from shop_mails import MAILS

pytestmark = pytest.mark.browser
SEEN = """() => {
  const block = document.querySelector("[data-handraiser]")?.getBoundingClientRect()
  return { wide: document.documentElement.scrollWidth, left: block?.left, right: block?.right, high: block?.height }
}"""
COLUMN = {"dark": 640, "magento": 660, "opencart": 680, "placeholders": 780, "prestashop": 610, "shopify": 560}
"""How wide each mail's column is on a large screen, in pixels, where it is not 600."""


def _ask(slug: str, locale: str, *, firm: bool = False) -> ForeignBlock:
    brand = SHOPS[slug].brand
    (parts,) = filled(slug, locale, rich("order_confirmation"), (("newsletter-after-order", "a"),)).slots.values()
    colours = {"background": brand.surface, "color": brand.text, "link_color": brand.primary}
    return foreign_block(*parts, **colours, font=brand.font, firm=firm)


@pytest.fixture(scope="module")
def enriched() -> dict[str, str]:
    blocks = {"rtl": _ask("lamp-lumen", "ar")}
    ask = _ask("fjell-fjord", "en")
    done = {shop: splice(mail, blocks.get(shop, ask)) for shop, mail in MAILS.items()}
    return {shop: one.html for shop, one in done.items() if isinstance(one, Spliced)}


@pytest.fixture(scope="module", params=[800, 375])
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    with a_visitor(chromium, width=request.param) as visitor:
        visitor.page.route("http*://**", lambda route: route.abort())
        yield visitor.page


def _shown(page: Page, mail: str) -> dict[str, Any]:
    page.set_content(mail)
    seen: dict[str, Any] = page.evaluate(SEEN)
    return seen


@pytest.mark.parametrize("shop", MAILS)
def test_no_mail_gets_wider_and_the_block_fits_its_column(page: Page, enriched: dict[str, str], shop: str):
    before, after = _shown(page, MAILS[shop]), _shown(page, enriched[shop])

    assert after["wide"] == before["wide"]
    assert after["high"] > 300
    width = after["right"] - after["left"]
    if page.viewport_size == {"width": 800, "height": 800}:
        column = COLUMN.get(shop, 600)
        assert abs(width - column) < column / 20
    else:
        assert width <= max(after["wide"], 375)


@pytest.mark.parametrize("shop", MAILS)
def test_the_block_can_be_read_in_every_mail(page: Page, enriched: dict[str, str], shop: str):
    page.set_content(enriched[shop])

    found = Axe().run(page, context="[data-handraiser]", options={"runOnly": ["color-contrast"]}).response

    assert found["violations"] == []
    assert found["passes"]


def test_rules_of_a_page_for_dark_screens_leave_the_block_readable(page: Page):
    dark = "body { background: #222 !important } p, h1, h2, div, span, td, a { color: #fff !important }"
    page.emulate_media(color_scheme="dark")
    mail = MAILS["shopify"].replace(
        "</head>", f"<style>@media (prefers-color-scheme: dark) {{ {dark} }}</style></head>"
    )
    done = splice(mail, _ask("fjell-fjord", "en", firm=insists(mail)))
    assert isinstance(done, Spliced)
    page.set_content(done.html)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(34, 34, 34)"

    found = Axe().run(page, context="[data-handraiser]", options={"runOnly": ["color-contrast"]}).response
    page.emulate_media(color_scheme="no-preference")

    assert found["violations"] == found["incomplete"] == [], "white on white is incomplete"
    assert found["passes"]


def test_in_a_mail_that_runs_from_right_to_left_so_does_the_block(page: Page, enriched: dict[str, str]):
    page.set_content(enriched["rtl"])

    assert page.evaluate("getComputedStyle(document.querySelector('[data-handraiser] td')).direction") == "rtl"
    block = page.locator("[data-handraiser]").bounding_box()
    assert block
    words = page.evaluate(
        "(() => { const words = document.createRange();"
        " words.selectNodeContents(document.querySelector('[data-handraiser] h2'));"
        " const { left, right } = words.getBoundingClientRect(); return [left, right] })()"
    )
    assert block["x"] + block["width"] - words[1] < words[0] - block["x"]
