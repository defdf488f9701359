"""Six robots and two people of the zoo; ``make robots`` plays all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from zoo import PEOPLE, ROBOTS, Behaviour, a_house, played

from browsing import CHROMIUM, FLAGS
from programs import Programs
from threads import Threaded

pytestmark = pytest.mark.browser

CHOSEN = (*ROBOTS[8:11], *ROBOTS[13:], PEOPLE[3], PEOPLE[4])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, compiled: Programs) -> Iterator[Threaded]:
    with a_house(tmp_path_factory.mktemp("zoo"), compiled) as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("behaviour", CHOSEN, ids=lambda one: one.name)
def test_the_ledger_tells_robots_from_people(house: Threaded, chromium: Browser, behaviour: Behaviour):
    assert played(behaviour, house, chromium) == behaviour.outcome
