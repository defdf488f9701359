"""A shop that demands fresh knowledge asks nobody until its other systems have told what they know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from choices import DAY
from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for

HEAD = "email,purpose,event,occurred_at\n"
ROW = "bob@example.com,offers,withdrawn,2024-01-02\n"
BAD = "nobody,offers,withdrawn,2024-01-02\n"


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    demanding = TENTS.replace("[controller]", "fresh_days = 30\n\n[controller]", 1)
    async with running(settings_for(tmp_path, database_url), compiled, [demanding, BOATS]) as one:
        yield one


async def why_not(house: Running, order: int, shop: str = "tents", **given: Any) -> str:
    """Why Alice, who stands in no list, is not asked; "" when she is."""
    answer = await house.email(an_order(order, **given), shop=shop)
    if any(placed.get("url") for placed in answer["placements"]):
        return ""
    reason: str = next(skip["reason"] for skip in answer["skipped"] if skip["reason"] != "touchpoint")
    return reason


async def send_list(house: Running, text: str) -> None:
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Content-Type": "text/csv"}
    async with house.session.post(house.url + "/v1/consents/import", data=text.encode(), headers=headers) as answer:
        assert answer.status == 200
        await answer.read()


async def age(house: Running, ms: int) -> None:
    async with house.service.database.transaction() as tx:
        await tx.execute("UPDATE consent_feed SET told_at = told_at - $1", (ms,))


async def test_a_customer_in_no_list_is_asked_once_a_list_is_in_and_while_it_is_young(house: Running):
    assert await why_not(house, 1) == "standing_unknown"
    skips = (await house.email(an_order(1)))["skipped"]
    assert any("30 days" in skip["remedy"] for skip in skips if skip["reason"] == "standing_unknown")

    await send_list(house, HEAD + ROW)
    await age(house, 29 * DAY)
    assert await why_not(house, 2) == ""

    await age(house, DAY)
    bob = {"customer": {"id": "9", "email": "carol@example.com"}}
    assert await why_not(house, 3, **bob) == "standing_unknown"
    await send_list(house, HEAD + ROW)
    assert await why_not(house, 4, **bob) == "", "the same list again is a word of today"


async def test_each_record_of_another_system_keeps_the_knowledge_fresh(house: Running):
    told = {"email": "bob@example.com", "purpose": "offers", "event": "withdrawn"}
    assert (await house.post("/v1/consents", {**told, "purpose": "nothing"}))[0] == 422
    assert await why_not(house, 1) == "standing_unknown"
    assert (await house.post("/v1/consents", told))[0] == 200
    assert await why_not(house, 2) == ""


@pytest.mark.parametrize(
    ("text", "known"), [(HEAD, True), (HEAD + BAD, False), (HEAD + BAD + ROW, True), ("no names\n", False)]
)
async def test_an_empty_list_is_a_word_and_a_list_without_a_usable_row_is_none(house: Running, text: str, known: bool):
    await send_list(house, text)
    assert await why_not(house, 1) == ("" if known else "standing_unknown")


async def test_the_mail_itself_may_tell_what_its_customer_said(house: Running):
    for n, (state, why) in enumerate({"unknown": "standing_unknown", "not_subscribed": ""}.items()):
        assert await why_not(house, n, customer={"marketing": {"offers": {"state": state}}}) == why


async def test_a_shop_that_demands_nothing_and_another_companys_list_are_not_mixed_up(house: Running):
    assert await why_not(house, 1, shop="boats") == ""
    told = {"email": "bob@example.com", "purpose": "offers", "event": "withdrawn"}
    assert (await house.post("/v1/consents", told, shop="boats"))[0] == 200
    assert await why_not(house, 2) == "standing_unknown"
