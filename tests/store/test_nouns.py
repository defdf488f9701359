"""Shops, keys, subjects and the catalogue are kept and found again, each by its own company only."""

from __future__ import annotations

import pytest

from handraiser.core.shop import Brand, Controller, Shop
from handraiser.errors import NotFound, StoreError
from handraiser.store import access, blocks, clicks, leases, shops, subjects
from handraiser.store.blocks import BlockRow, GoLive, PurposeRow
from handraiser.store.clicks import Click
from handraiser.store.database import Database
from handraiser.store.sql import RowRefused
from handraiser.store.subjects import NewSubject, Sealer
from handraiser.store.writer import Writer
from rows import BOAT_SHOP, BOATS, NOW, TENT_SHOP, TENTS, an_id, of

TENT_COMPANY = Controller(
    TENTS, "tents", "Tents", "Tents Ltd", ("1 High Street", "London"), "a@tents.example", country="GB"
)
BOAT_COMPANY = Controller(BOATS, "boats", "Boats")
TENT = Shop(
    TENT_COMPANY,
    TENT_SHOP,
    0,
    "tent-shop",
    "Tent Shop",
    "https://t.example",
    brand=Brand(primary="#000000"),
    locales=("en", "nl"),
)
BOAT = Shop(BOAT_COMPANY, BOAT_SHOP, 0, "boat-shop", "Boat Shop", "https://b.example", mode="observe")


@pytest.fixture
async def both(writer: Writer) -> tuple[Shop, Shop]:
    for company in (TENT_COMPANY, BOAT_COMPANY):
        await writer.write(shops.add_controllers, company)
    return await writer.write(shops.add_shops, TENT), await writer.write(shops.add_shops, BOAT)


async def test_shops_get_numbers_and_are_found_by_number_slug_and_id(database: Database, both: tuple[Shop, Shop]):
    tent, boat = both
    assert (tent.number, boat.number) == (1, 2)
    assert await shops.by_number(database, 1) == tent
    assert await shops.by_slug(database, "boat-shop") == boat
    assert await shops.by_number(database, 3) is None
    assert await shops.list_shops(database) == [tent, boat]
    assert await shops.list_shops(database, TENTS) == [tent]
    assert await shops.list_controllers(database) == [BOAT_COMPANY, TENT_COMPANY]
    assert await shops.controller_by_slug(database, "tents") == TENT_COMPANY
    assert await shops.get(database, [(BOATS, TENT_SHOP), (TENTS, TENT_SHOP)]) == [None, tent]


async def test_adding_a_shop_again_keeps_its_number(database: Database, both: tuple[Shop, Shop], writer: Writer):
    changed = Shop(TENT_COMPANY, TENT_SHOP, 0, "tent-shop", "Tents and more", "https://t.example")
    assert (await writer.write(shops.add_shops, changed)).number == 1
    found = await shops.by_number(database, 1)
    assert found is not None
    assert found.name == "Tents and more"


async def test_a_shops_mode_is_changed_by_its_own_company_only(
    database: Database, both: tuple[Shop, Shop], writer: Writer
):
    await writer.write(shops.set_mode, (TENTS, TENT_SHOP, "off"))
    assert [shop.mode for shop in await shops.list_shops(database)] == ["off", "observe"]
    with pytest.raises(NotFound):
        await writer.write(shops.set_mode, (BOATS, TENT_SHOP, "on"))


async def test_a_slug_belongs_to_one_shop(both: tuple[Shop, Shop], writer: Writer):
    with pytest.raises(RowRefused):
        await writer.write(shops.add_shops, Shop(BOAT_COMPANY, an_id(5), 0, "tent-shop", "x", "https://x.example"))


@pytest.mark.parametrize("test", [False, True])
async def test_a_key_is_stored_as_a_hash_found_by_its_id_and_revoked(database: Database, writer: Writer, test: bool):
    text, key = access.make(controller_id=TENTS, shop_id=TENT_SHOP, scopes=["emails"], test=test, now=NOW)
    assert text.startswith("hr_test_") is test
    await writer.write(access.add, key)
    parts = access.split(text)
    assert parts is not None
    found = await access.find(database, parts[0])
    assert found == key
    assert found is not None
    assert found.fits(parts[1])
    assert not found.fits(parts[1][:-1] + "x")
    assert parts[1] not in str([tuple(row) for row in await database.fetch("SELECT * FROM api_key")])
    assert await access.list_keys(database, TENTS) == [key]
    assert await access.list_keys(database, BOATS) == []
    assert found.needs_touch(NOW)
    await writer.write(access.touch, (key.key_id, NOW))
    (touched,) = await access.list_keys(database)
    assert (touched.last_used_at, touched.needs_touch(NOW + 1000)) == (NOW, False)
    assert await writer.write(access.revoke, (key.key_id, NOW + 1)) is True
    assert await writer.write(access.revoke, (key.key_id, NOW + 2)) is False
    assert await access.find(database, key.key_id) is None
    (revoked,) = await access.find_all(database, [key.key_id])
    assert revoked is not None
    assert (revoked.revoked_at, revoked.fits(parts[1])) == (NOW + 1, False)


@pytest.mark.parametrize("text", ["", "hr_", "hr_abc", "hr_abc_", "sk_abc_def", "hr_a\0b_c", "hr_" + "a" * 300 + "_b"])
def test_what_is_no_key_of_ours_is_none(text: str):
    assert access.split(text) is None


def test_an_unknown_scope_is_refused():
    with pytest.raises(ValueError, match="everything"):
        access.make(controller_id=None, shop_id=None, scopes=["everything"], now=NOW)


async def test_mailboxes_are_kept_once_and_found_by_look_up(database: Database, writer: Writer):
    alice = NewSubject(TENTS, an_id(1), of("alice@example.com"), 1, "p:alice@example.com", NOW)
    assert await writer.write(subjects.ensure, alice) == an_id(1)
    assert await writer.write(subjects.ensure, NewSubject(TENTS, an_id(2), alice.lookup, 1, "x", NOW)) == an_id(1)
    here, elsewhere = await subjects.find_by_lookup(database, [(TENTS, alice.lookup), (BOATS, alice.lookup)])
    assert here is not None
    assert (here.id, here.address, elsewhere) == (an_id(1), "p:alice@example.com", None)


def test_a_sealed_address_opens_with_its_key_for_its_company_only():
    old, new, none = Sealer([(1, b"a" * 32)]), Sealer([(1, b"a" * 32), (2, b"b" * 32)]), Sealer()
    sealed = old.seal(TENTS, "alice@example.com")
    assert "alice" not in sealed
    assert sealed != old.seal(TENTS, "alice@example.com")
    assert new.open(TENTS, sealed) == "alice@example.com"
    assert new.seal(TENTS, "x@y.example").startswith("k2:")
    assert new.open(TENTS, none.seal(TENTS, "x@y.example")) == "x@y.example"
    for sealer, company in ((none, TENTS), (Sealer([(3, b"c" * 32)]), TENTS), (old, BOATS)):
        with pytest.raises(StoreError):
            sealer.open(company, sealed)


def a_block(version: int, *, live: bool = True, controller_id: bytes = TENTS) -> BlockRow:
    content = f'{{"slug":"welcome","version":{version}}}'
    return BlockRow(controller_id, an_id(3), "welcome", version, content, bytes(32), "ask", NOW, "me", live)


async def test_the_catalogue_holds_what_is_live_and_its_revision_rises_with_every_change(
    database: Database, writer: Writer
):
    assert (await blocks.catalogue(database, TENTS)).revision == 0
    purpose = PurposeRow(TENTS, "newsletter", 1, '{"v":1}', NOW)
    assert await writer.write(blocks.put_purposes, purpose) is True
    assert await writer.write(blocks.put_purposes, purpose) is False
    await writer.write(blocks.put_purposes, PurposeRow(TENTS, "newsletter", 2, '{"v":2}', NOW))
    await writer.write(blocks.put_versions, a_block(1))
    await writer.write(blocks.put_versions, a_block(2, live=False))
    live = await blocks.catalogue(database, TENTS)
    assert (live.revision, live.purposes, live.blocks) == (3, ('{"v":2}',), (a_block(1).content,))
    assert await writer.write(blocks.go_live, GoLive(TENTS, an_id(3), 2)) == 4
    assert (await blocks.catalogue(database, TENTS)).blocks == (a_block(2).content,)
    assert await writer.write(blocks.go_live, GoLive(TENTS, an_id(3), None)) == 5
    assert (await blocks.catalogue(database, TENTS)).blocks == ()
    assert await blocks.revisions(database) == {TENTS: 5}
    assert (await blocks.catalogue(database, BOATS)).purposes == ()
    assert [(row.version, row.live) for row in await blocks.purposes(database, TENTS)] == [(2, True), (1, False)]
    assert [row.version for row in await blocks.versions(database, TENTS, "welcome")] == [2, 1]


async def test_an_unknown_version_cannot_go_live(writer: Writer):
    await writer.write(blocks.put_versions, a_block(1))
    for row in (GoLive(TENTS, an_id(3), 9), GoLive(BOATS, an_id(3), 1)):
        with pytest.raises(NotFound):
            await writer.write(blocks.go_live, row)


async def test_a_block_version_is_never_changed(database: Database, writer: Writer):
    await writer.write(blocks.put_versions, a_block(1))
    assert await writer.write(blocks.put_versions, a_block(1)) is False
    with pytest.raises(RowRefused, match="only grows"):
        async with database.transaction() as tx:
            await tx.execute("UPDATE block_version SET content = 'x'")


async def test_compiled_programs_are_found_by_their_hash(database: Database, writer: Writer):
    await writer.write(blocks.put_compiled, (b"h" * 32, "program", NOW))
    await writer.write(blocks.put_compiled, (b"h" * 32, "program", NOW + 1))
    assert await blocks.get_compiled(database, [b"x" * 32, b"h" * 32]) == [None, "program"]


async def test_clicks_are_kept_with_their_reasons(database: Database, writer: Writer):
    click = Click(TENTS, an_id(1), NOW, 1, "GET", "bot", ("prefetch", "burst"), b"net")
    await writer.write(clicks.record, click)
    assert await clicks.of_message(database, TENTS, an_id(1), an_id(2)) == [click]
    assert await clicks.of_message(database, BOATS, an_id(1), an_id(2)) == []


async def test_a_lease_has_one_holder_at_a_time(database: Database):
    async with database.transaction() as tx:
        assert await leases.take(tx, "sealing", "one", NOW, 1000)
        assert not await leases.take(tx, "sealing", "two", NOW + 999, 1000)
        assert await leases.take(tx, "sealing", "one", NOW + 999, 1000)
        assert await leases.take(tx, "sealing", "two", NOW + 1999, 1000)
        await leases.give_back(tx, "sealing", "two")
        assert await leases.take(tx, "sealing", "one", NOW + 2000, 1000)


async def test_a_lease_of_a_clock_that_was_set_back_holds_nobody_up(database: Database):
    async with database.transaction() as tx:
        assert await leases.take(tx, "sealing", "one", NOW, 1000)
        assert not await leases.take(tx, "sealing", "two", NOW - 1000, 1000), "clocks differ a little"
        assert await leases.take(tx, "sealing", "two", NOW - 1001, 1000)
