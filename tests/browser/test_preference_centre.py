"""The preference centre in a real Chromium: it reads well, works by press alone, and a script gives nothing there."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser
from test_press import Asked, by_script, press

from browsing import House, Visitor, a_visitor

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(house: House) -> Asked:
    return Asked(house)


def choose(alice: Asked, visitor: Visitor) -> str:
    """Say yes and follow the granted page's link; returns its address."""
    visitor.page.goto(alice.link)
    press(visitor.page, "yes")
    with visitor.page.expect_navigation():
        visitor.page.click("a[href^='/p/']")
    return visitor.page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 568), (375, 800), (1280, 900)])
def test_the_page_is_accessible_and_fits_every_screen(
    house: House, chromium: Browser, scheme: str, width: int, height: int
):
    with a_visitor(chromium, width, viewport={"width": width, "height": height}, color_scheme=scheme) as visitor:
        choose(Asked(house), visitor)
        visitor.sees_no_faults()
        press(visitor.page, "pause-3")
        visitor.sees_no_faults()


def test_topics_a_break_and_leaving_are_a_press_each(alice: Asked, visitor: Visitor):
    link = choose(alice, visitor)
    visitor.page.uncheck("input[name=topic-sales]")
    visitor.page.check("input[value=quarterly]")
    press(visitor.page, "save")
    assert "Your choice is saved." in visitor.page.inner_text("main")
    press(visitor.page, "pause-1")
    press(visitor.page, "resume")
    press(visitor.page, "leave")

    assert alice.events == ["granted", "preferred", "paused", "resumed", "withdrawn"]
    known = alice.house.known(alice.id)
    assert known["preferences"] == {"offers": {"topics": ["new"], "frequency": "quarterly"}}
    assert visitor.complaints == []
    assert {urlsplit(url).netloc for url in visitor.loaded} == {urlsplit(link).netloc}
    assert visitor.context.cookies() == []


def test_without_javascript_a_person_turns_a_purpose_on(house: House, chromium: Browser):
    alice = Asked(house)
    with a_visitor(chromium, java_script_enabled=False) as visitor:
        choose(alice, visitor)
        press(visitor.page, "on")

    assert alice.standing == {"offers": "granted", "tips": "granted"}


def test_a_script_turns_nothing_on(alice: Asked, house: House, chromium: Browser, visitor: Visitor):
    link = choose(alice, visitor)
    with a_visitor(chromium) as robot:
        by_script(robot, link, "document.querySelector('button[value=on]').click()")

    assert alice.standing == {"offers": "granted", "tips": "pending"}
