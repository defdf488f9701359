"""How often a network and a message may press; whoever leaves is never asked to wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from programs import Programs
from running import running, settings_for
from siege import HOUR, MINUTE, Clock, Siege

NETWORK, OTHERS = "8.8.8.8", "9.9.9.9"


@pytest.fixture
async def siege(database_url: str, tmp_path: Path, compiled: Programs) -> AsyncIterator[Siege]:
    clock = Clock(1_795_000_000_000 // MINUTE * MINUTE)
    settings = settings_for(tmp_path, database_url, trusted_proxies="127.0.0.1")
    async with running(settings, compiled, clock=clock) as it, aiohttp.ClientSession() as raw:
        yield Siege(it, clock, raw)


# One database shows it; that replicas count together is shown in tests/test_visit_rates.py.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_network_that_opens_three_hundred_links_in_a_minute_waits_and_leaves_all_the_same(siege: Siege):
    alice, bob = await siege.ask(), await siege.ask()
    for _ in range(300):
        assert (await siege.get(alice.link, X_Forwarded_For=NETWORK)).status == 200

    said = await siege.get(alice.link, X_Forwarded_For="8.8.8.200")
    assert said.status == 429
    assert 0 < int(said.headers["Retry-After"]) <= 60
    assert "Nothing was saved" in said.body
    page = await siege.get(bob.link, X_Forwarded_For=OTHERS)
    assert (await siege.press(bob.link, page=page, X_Forwarded_For=NETWORK)).status == 429
    assert await siege.events(bob) == []
    leave = {"List-Unsubscribe": "One-Click"}
    assert (await siege.send("POST", alice.leave, leave, {}, X_Forwarded_For=NETWORK)).status == 200
    assert (await siege.press(bob.link, "no", page=page, X_Forwarded_For=NETWORK)).status == 200
    assert await siege.events(alice) == ["objected"]
    assert await siege.events(bob) == ["refused"]

    siege.clock.now += MINUTE
    assert (await siege.get(alice.link, X_Forwarded_For=NETWORK)).status == 200


async def test_a_message_is_pressed_thirty_times_an_hour_at_most_and_no_still_counts(siege: Siege):
    alice = await siege.ask()
    page = await siege.get(alice.link)
    for _ in range(30):
        assert (await siege.press(alice.link, page=page, press="script", Sec_Fetch_User=None)).status == 200
        await siege.settled()

    said = await siege.press(alice.link, page=page)
    assert said.status == 429
    assert await siege.events(alice) == ["pending"]
    assert (await siege.press(alice.link, "no", page=page)).status == 200
    assert await siege.standing(alice) == "refused"

    with siege.clock.later(HOUR):
        assert (await siege.press(alice.link)).status == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_proxy_that_stands_for_everybody_is_not_counted(siege: Siege):
    alice = await siege.ask()

    for _ in range(301):
        assert (await siege.get(alice.link, X_Forwarded_For="10.0.0.7")).status == 200
