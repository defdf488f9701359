"""``GET /v1/shops/status`` and ``handraiser shops status``: how a shop is doing, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for, the_ask

SCRIPT = {"User-Agent": "curl/8", "Sec-Fetch-User": "?0"}
WEEK_MS = 7 * 24 * 3_600_000


@pytest.fixture
def now() -> list[int]:
    return [1_790_000_000_000]


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs, now: list[int]) -> AsyncIterator[Running]:
    settings = settings_for(tmp_path, database_url)
    async with running(settings, compiled, [TENTS, BOATS], clock=lambda: now[0]) as one:
        yield one


async def status_of(house: Running, shop: str = "tents") -> dict[str, Any]:
    status, answer = await house.get("/v1/shops/status", shop=shop)
    assert status == 200
    found: dict[str, Any] = {one["shop"]: one for one in answer["shops"]}
    return found[shop]


async def test_a_shop_that_sent_nothing_has_nothing_to_divide_by(house: Running):
    told = await status_of(house)

    assert (told["last_sent_at"], told["last_hour"], told["newest"]["messages"]) == (None, 0, 0)
    assert told["newest"]["with_ask"] is None
    assert told["newest"]["machine_share"] is None


async def test_what_passed_is_asked_and_was_answered_is_told_by_shop(house: Running, now: list[int]):
    week_ago = now[0] - WEEK_MS
    now[0] = week_ago - 1_000
    await house.email(an_order(1))
    now[0] = week_ago + WEEK_MS
    first = await house.email(an_order(2, customer={"id": "8", "email": "bob@example.com"}))
    await house.email(an_order(3, customer={"id": "9", "email": "dora@example.com", "country": "DE"}))
    now[0] += 600_000
    await house.press(the_ask(first))
    now[0] += 90_000

    told = await status_of(house)

    assert (told["last_hour"], told["same_hour_last_week"]) == (2, 1)
    assert told["last_sent_at"] == now[0] - 690_000
    newest = told["newest"]
    assert newest["messages"] == 2
    assert newest["with_ask"] == 0.5
    assert {"reason": "market", "messages": 1} in newest["skipped"]
    assert newest["answers"] == {"granted": 1}
    assert newest["visits"] == 2
    assert newest["machine_share"] == 0
    assert told["unsealed_seconds"] == 90
    assert len(told["template_revision"]) == 12
    assert (await status_of(house, "boats"))["last_hour"] == 0


async def test_mail_of_a_test_key_and_confirmation_mails_are_not_the_shops_emails(house: Running):
    sent = await house.email(an_order(1))
    await house.press(the_ask(sent), **SCRIPT)

    told = await status_of(house)

    assert told["newest"]["messages"] == 1
    assert told["newest"]["answers"] == {"pending": 1}
    assert told["confirmation_mails"] == {"waiting": 1}
    assert told["newest"]["machine_share"] > 0
