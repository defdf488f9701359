"""Where a purpose and the country let it, the page itself says yes for a late visitor, in a real Chromium."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from zoo import LATER, Scene, a_house

from browsing import CHROMIUM, FLAGS
from handraiser.core.block import Purpose
from handraiser.store import blocks
from handraiser.store.blocks import PurposeRow
from programs import Programs
from siege import Siege

pytestmark = pytest.mark.browser


async def let_it(siege: Siege) -> None:
    """A new version of the purpose, which a late visit may grant."""
    service = siege.it.service
    shop = await service.govern.shop("tents")
    newest = next(row for row in await blocks.purposes(service.database, shop.controller.id) if row.slug == "offers")
    purpose = Purpose.from_json(newest.content)
    late = replace(purpose, version=purpose.version + 1, grant="auto_late")
    row = PurposeRow(shop.controller.id, late.id, late.version, late.to_json(), siege.clock.now, "a marketer")
    await service.writer.write(blocks.put_purposes, row)
    await service.publish.refresh()


def test_a_late_visit_grants_by_itself_and_an_early_one_shows_the_button(tmp_path: Path, compiled: Programs):
    with a_house(tmp_path, compiled) as house, sync_playwright() as playwright:
        siege: Siege = house.it
        house.call(let_it(siege))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        scene = Scene(house, browser, house.call(siege.ask()))
        with scene.page() as page:
            page.goto(scene.asked.link)
            page.wait_for_timeout(300)
            assert page.locator("button[value=yes]").count() == 1
        assert scene.outcome() == "-"

        with siege.clock.later(LATER), scene.page() as page:
            with page.expect_response(lambda response: response.request.method == "POST") as answer:
                page.goto(scene.asked.link)
            answer.value.finished()
            page.wait_for_selector("button[value=undo]")
        browser.close()

        (entry,) = house.call(siege.known(scene.asked))["entries"]
        assert (entry["event"], entry["method"]) == ("granted", "auto")
