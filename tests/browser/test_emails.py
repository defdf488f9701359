"""The emails as mail apps show them: narrow and wide, light and dark, in both directions of writing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from browsing import Visitor, a_visitor
from emails import choices, filled, rich

pytestmark = pytest.mark.browser

WIDTHS = (320, 600, 800)
MAILS = [
    ("fjell-fjord", "en", "order_confirmation"),
    ("lamp-lumen", "ar", "order_confirmation"),
    ("lamp-lumen", "nl", "shipping_confirmation"),
    ("fjell-fjord", "de", "delivered"),
    ("lamp-lumen", "de", "ready_for_pickup"),
    ("fjell-fjord", "en", "refund"),
]
OVERLAPS = """() => {
  const boxes = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode, seen = { opacityProperty: true, visibilityProperty: true };
    if (!text.data.trim() || !text.parentElement.checkVisibility(seen)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const box of range.getClientRects())
      if (box.width > 2 && box.height > 4) boxes.push([box, text.data.trim().slice(0, 40)]);
  }
  const shared = (a, b) => [
    Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
  const found = [];
  boxes.forEach(([one, its], n) => boxes.slice(n + 1).forEach(([other, others]) => {
    const [width, height] = shared(one, other);
    if (width > 2 && height > Math.min(one.height, other.height) * 0.4) found.push([its, others]);
  }));
  return { texts: boxes.length, found };
}"""
"""Pairs of texts that lie upon one another; line boxes may touch, because fonts are higher than their lines."""

OF_A_PAGE = {"landmark-one-main", "region"}
"""Rules for a whole page: an email is an article inside the mail app's own."""


@pytest.fixture(scope="module", params=["light", "dark"])
def reader(chromium: Browser, request: pytest.FixtureRequest):
    """A mail app without network."""
    with a_visitor(chromium, color_scheme=request.param) as one:
        one.page.route("**/*", lambda route: route.abort())
        yield one


@pytest.mark.parametrize(("shop", "locale", "name"), MAILS, ids=[" ".join(mail) for mail in MAILS])
def test_an_email_fits_its_window_and_no_text_lies_on_another(reader: Visitor, shop: str, locale: str, name: str):
    page = reader.page
    page.set_content(filled(shop, locale, rich(name), choices(name)[-1]).html)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        told = page.evaluate(OVERLAPS)
        assert told["texts"] > 20
        assert told["found"] == []
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == locale
    assert page.evaluate("document.documentElement.dir") == ("rtl" if locale == "ar" else "ltr")


@pytest.mark.parametrize(("shop", "locale", "name"), MAILS[:2], ids=[" ".join(mail) for mail in MAILS[:2]])
def test_everybody_can_read_and_press_what_is_in_an_email(reader: Visitor, shop: str, locale: str, name: str):
    page = reader.page
    page.set_viewport_size({"width": 375, "height": 800})
    page.set_content(filled(shop, locale, rich(name), choices(name)[-1]).html)

    assert [fault for fault in reader.accessibility_faults() if fault[0] not in OF_A_PAGE] == []
