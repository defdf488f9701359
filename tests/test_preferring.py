"""From the granted page to preferences and a break, and what the whole service makes of them; on both databases."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailserver import Inbox, links_of
from programs import Programs
from running import TENTS, Running, an_order, running, settings_for, the_ask
from siege import DAY, Clock


@pytest.fixture
async def hop() -> AsyncIterator[Inbox]:
    async with Inbox().open() as one:
        yield one


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time_ns() // 1_000_000)


@pytest.fixture
async def house(
    tmp_path: Path, database_url: str, compiled: Programs, hop: Inbox, clock: Clock
) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url, smtp_url=hop.url), compiled, [TENTS], clock) as one:
        yield one


async def preferences_link(house: Running) -> str:
    """Alice says yes in an email; the page that follows leads to her preferences."""
    link = the_ask(await house.email(an_order(1)))
    _, page = await house.press(link)
    found = re.search(r'href="(/p/[^"]+)"', page)
    assert found
    return link.split("/o/")[0] + found[1]


async def test_what_alice_prefers_is_told_held_proven_and_erased(house: Running):
    link = await preferences_link(house)
    _, page = await house.open(link)
    hidden = dict(re.findall(r'name="(nonce|notice)" value="([^"]*)"', page))
    wish = {"action": "save", "purpose": "offers", "topic-new": "on", "frequency": "quarterly"}
    assert (await house.submit(link, hidden | wish))[0] == 200
    assert (await house.submit(link, {"action": "pause-3"}))[0] == 200

    _, told = await house.get("/v1/consents?customer_id=7")
    assert told["standing"] == {"offers": "granted"}
    assert told["preferences"] == {"offers": {"topics": ["new"], "frequency": "quarterly"}}
    assert told["entries"][1]["preference"] == told["preferences"]["offers"]
    assert told["entries"][2]["expires_at"] == told["paused_until"]
    assert [entry["event"] for entry in told["entries"]] == ["granted", "preferred", "paused"]
    status, problem = await house.get(f"/v1/consents/{told['entries'][1]['event_id']}/receipt?format=dpv")
    assert (status, problem["errors"][0]["code"]) == (422, "no_consent")

    _, held = await house.get("/v1/customers/7")
    (alice,) = held["subjects"]
    assert {row["purpose"]: row["content"] for row in alice["preferences"]} == {
        "*": None,
        "offers": {"frequency": "quarterly", "topics": ["new"]},
    }
    service = house.service
    await service.jobs.seal()
    assert (await service.prove.verify())["ok"]
    before = [tuple(row) for row in await service.database.fetch("SELECT * FROM preference ORDER BY purpose")]
    assert (await service.prove.rebuild())["changed"] == 0
    async with service.database.transaction() as tx:
        await tx.execute("DELETE FROM preference WHERE purpose = '*'")
        await tx.execute("UPDATE preference SET content = ''")
    assert (await service.prove.rebuild())["changed"] == 2
    assert [tuple(row) for row in await service.database.fetch("SELECT * FROM preference ORDER BY purpose")] == before

    assert (await house.post("/v1/customers/erase", {"email": "alice@example.com"}))[0] == 200
    assert await service.database.fetch("SELECT * FROM preference") == []
    assert (await service.prove.rebuild())["changed"] == 0
    assert (await house.open(link))[0] == 404


async def test_during_a_break_nobody_asks_and_afterwards_again(house: Running, clock: Clock):
    mail = await house.email(an_order(1))
    leave = mail["headers"]["List-Unsubscribe"].strip("<>")
    _, page = await house.open(leave)
    less = re.search(r'href="(/p/[^"]+)"', page)
    assert less
    assert (await house.submit(leave.split("/u/")[0] + less[1], {"action": "pause-1"}))[0] == 200

    clock.now += 15 * DAY
    paused = await house.email(an_order(2))
    clock.now += 20 * DAY
    later = await house.email(an_order(3))

    assert "ask" not in {one["slot"] for one in paused["placements"]}
    assert "paused" in {one["reason"] for one in paused["skipped"]}
    assert "ask" in {one["slot"] for one in later["placements"]}


async def test_the_letter_with_a_fresh_link_opens_the_whole_page(house: Running, hop: Inbox):
    old = (await preferences_link(house)).partition("?")[0]
    _, before = await house.open(old)
    assert 'name="action" value="on"' not in before
    _, page = await house.press(old, "link")
    assert "We sent a fresh link" in page
    await house.service.outbox.drain()

    mail = await hop.next()

    assert (mail["To"], mail["Subject"]) == ("alice@example.com", "Your email settings at Tents & Co")
    assert mail["List-Unsubscribe"].startswith("<http://tents.localhost")
    assert mail["Auto-Submitted"] == "auto-generated"
    links = [link for link in links_of(mail) if "/p/" in link]
    assert links
    _, fresh = await house.open(links[0])
    assert 'name="action" value="on"' in fresh
    assert "This link is old" not in fresh
