"""Who calls: keys outlive the store, in a process that has just begun too."""

from __future__ import annotations

import itertools

import pytest
from aiohttp.test_utils import make_mocked_request

from handraiser.core.links import SigningKey
from handraiser.core.order_links import OrderLinks
from handraiser.core.shop import Shop
from handraiser.doors.keys import Keys
from handraiser.doors.web import Problem
from handraiser.errors import StoreUnavailable
from handraiser.govern import Govern
from handraiser.store import access
from handraiser.store.access import ApiKey
from handraiser.store.database import Database
from handraiser.store.writer import Writer
from rows import NOW
from running import BOATS, TENTS


async def test_a_process_that_has_just_begun_knows_the_keys_should_the_store_go_away(
    database: Database, writer: Writer
):
    ids = itertools.count(1)
    links = OrderLinks([SigningKey(1, b"k" * 32)])
    govern = Govern(database, writer, lambda: NOW, lambda _: next(ids).to_bytes(16), "http://127.0.0.1:8025", links)
    for source in (TENTS, BOATS):
        await govern.add_shop(source)
    live, revoked, later = [await govern.add_key("tents", scopes=["emails"]) for _ in range(3)]
    gone = access.split(revoked)
    assert gone is not None
    await govern.command("keys.revoke", {"key_id": gone[0]})
    away = False

    async def find(key_id: str) -> tuple[ApiKey, Shop] | None:
        if away:
            raise StoreUnavailable("gone")
        return await govern.find_key(key_id)

    keys = Keys(find, lambda: NOW)
    keys.remember(await govern.live_keys(100))
    afterwards = await govern.add_key("boats", scopes=["emails"])

    async def caller(key: str) -> str:
        request = make_mocked_request("POST", "/v1/emails", headers={"Authorization": f"Bearer {key}"})
        return (await keys.caller(request, "emails")).shop.slug

    away = True
    assert [await caller(key) for key in (live, later)] == ["tents", "tents"]
    for unknown in (revoked, afterwards):
        with pytest.raises(StoreUnavailable):
            await caller(unknown)
    away = False
    assert await caller(afterwards) == "boats"
    with pytest.raises(Problem):
        await caller(revoked)
    one = access.split(later) or ("", "")
    await govern.command("keys.revoke", {"key_id": one[0]})
    with pytest.raises(Problem):
        await caller(later)
    assert len(await govern.live_keys(1)) == 1
