"""What the operator says about companies, shops and keys, with every fault named at once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from choices import NOW
from handraiser.core.links import SigningKey
from handraiser.core.order_links import OrderLinks
from handraiser.errors import NotFound, Refused
from handraiser.govern import Govern
from handraiser.store import shops
from handraiser.store.database import Database
from handraiser.store.writer import Writer

TENTS = """
slug = "tent-shop"
name = "Tent Shop"
locales = ["nl", "en"]
default_country = "NL"
time_zone = "Europe/Amsterdam"
sender_address = "orders@tents.example"
[controller]
slug = "tents"
name = "Tents"
address_lines = ["Kade 1", "Utrecht"]
country = "NL"
[brand]
primary = "#123456"
"""
ORDER_LINKS = OrderLinks([SigningKey(1, b"k" * 32)])
BOATS = TENTS.replace("tent-shop", "boat-shop").replace('slug = "tents"', 'slug = "boats"')


@pytest.fixture
def govern(database: Database, writer: Writer) -> Govern:
    ids = itertools.count(1)
    return Govern(database, writer, lambda: NOW, lambda _: next(ids).to_bytes(16), "http://127.0.0.1:8025", ORDER_LINKS)


async def faults(govern: Govern, source: str, **given: Any) -> list[str]:
    with pytest.raises(Refused) as refused:
        await govern.add_shop(source, **given)
    return [fault.pointer for fault in refused.value.faults]


async def test_a_shop_described_in_a_file_is_added_with_its_company(govern: Govern):
    shop = await govern.add_shop(TENTS)
    assert (shop.slug, shop.number, shop.locales, shop.default_locale) == ("tent-shop", 1, ("nl", "en"), "nl")
    assert (shop.link_base, shop.brand.primary, shop.mode) == ("http://127.0.0.1:8025", "#123456", "on")
    assert shop.controller.address_lines == ("Kade 1", "Utrecht")
    assert await govern.shop("tent-shop") == shop


async def test_describing_a_shop_again_changes_it_and_keeps_its_number_and_ids(govern: Govern, database: Database):
    first = await govern.add_shop(TENTS)
    second = await govern.add_shop(TENTS.replace("Tent Shop", "Tents & more"), mode="observe")
    assert (second.id, second.number, second.controller.id) == (first.id, first.number, first.controller.id)
    assert (second.name, second.mode) == ("Tents & more", "observe")
    assert await shops.list_shops(database) == [second]


async def test_two_shops_of_one_company_share_it_and_another_companys_slug_is_taken(govern: Govern):
    first = await govern.add_shop(TENTS)
    other = await govern.add_shop(TENTS.replace("tent-shop", "tent-outlet"))
    assert other.controller.id == first.controller.id
    assert (await govern.add_shop(BOATS)).controller.id != first.controller.id
    assert await faults(govern, TENTS.replace('slug = "tents"', 'slug = "boats"')) == ["slug"]


async def test_every_fault_of_shop_company_and_brand_is_named_at_once(govern: Govern, database: Database):
    source = """
slug = "Tent Shop"
mode = "loud"
link_base = "https://a.example/path"
locales = ["klingon", "en"]
default_locale = "fr"
default_country = "nl"
time_zone = "Mars/Olympus"
logo_width = "wide"
fail_open = "yes"
fresh_days = 366
sender_address = "a\\r\\nBcc: b@x.example"
reply_to = "nobody"
url = "javascript:alert(1)"
colour = "red"
nmae = "x"
[controller]
slug = "?"
address_lines = "Kade 1"
country = "Holland"
privacy_url = "ftp://x"
id = "1"
[brand]
primary = "red; background: url(https://evil.example)"
font = "x;}</style><script>"
ink = "#000000"
"""
    assert await faults(govern, source) == [
        "controller.address_lines",
        "controller.id",
        "controller.slug",
        "controller.name",
        "controller.country",
        "controller.privacy_url",
        "brand.ink",
        "brand.primary",
        "brand.font",
        "logo_width",
        "fail_open",
        "sender_address",
        "colour",
        "nmae",
        "slug",
        "name",
        "mode",
        "link_base",
        "default_country",
        "url",
        "reply_to",
        "time_zone",
        "fresh_days",
        "locales",
        "default_locale",
    ]
    assert await shops.list_controllers(database) == []


@pytest.mark.parametrize(
    ("source", "pointer"),
    [
        ("slug = ", ""),
        ("controller = 5\n" + TENTS.partition("[controller]")[0], "controller.slug"),
        (TENTS.replace('["nl", "en"]', "[]"), "locales"),
        (TENTS.replace("[brand]", "[colours]"), "colours"),
        (TENTS.partition("[brand]")[0].replace('name = "Tent Shop"', 'name = "Tent Shop"\nbrand = 1'), "brand"),
        (TENTS.replace('"Tent Shop"', '" "'), "name"),
        (TENTS.replace('"Tent Shop"', "7"), "name"),
    ],
)
async def test_what_is_no_description_is_refused(govern: Govern, source: str, pointer: str):
    assert pointer in await faults(govern, source)


async def test_a_misspelt_name_gets_a_suggestion(govern: Govern):
    with pytest.raises(Refused, match="did you mean name"):
        await govern.add_shop("nmae = 'x'\n" + TENTS)


async def test_modes_are_switched_and_an_unknown_shop_is_not_found(govern: Govern):
    await govern.add_shop(TENTS)
    assert (await govern.set_mode("tent-shop", "observe")).mode == "observe"
    assert (await govern.shop("tent-shop")).mode == "observe"
    for refused in (govern.set_mode("nowhere", "on"), govern.shop("nowhere"), govern.add_key("nowhere")):
        with pytest.raises(NotFound):
            await refused


async def test_a_key_opens_its_own_shop_until_it_is_revoked(govern: Govern):
    tents, boats = await govern.add_shop(TENTS), await govern.add_shop(BOATS)
    text = await govern.add_key("tent-shop", ["emails", "reports"], name="till")
    other = await govern.add_key("boat-shop", test=True)
    assert text.startswith("hr_")
    assert other.startswith("hr_test_")
    found = await govern.find_key(text.split("_")[1])
    assert found is not None
    assert (found[0].scopes, found[1]) == (frozenset({"emails", "reports"}), tents)
    test_key = await govern.find_key(other.split("_")[2])
    assert test_key is not None
    assert (test_key[0].test, test_key[1]) == (True, boats)
    assert await govern.command("keys.revoke", {"key_id": found[0].key_id}) == "revoked"
    assert await govern.find_key(found[0].key_id) is None
    with pytest.raises(NotFound):
        await govern.command("keys.revoke", {"key_id": found[0].key_id})
    with pytest.raises(Refused):
        await govern.add_key("tent-shop", ["everything"])


async def test_commands_answer_in_jsons_types_and_show_no_secret(govern: Govern):
    assert (await govern.command("shops.add", {"source": TENTS}))["company"]["slug"] == "tents"
    assert [one["slug"] for one in await govern.command("shops.list", {})] == ["tent-shop"]
    assert (await govern.command("shops.show", {"slug": "tent-shop"}))["brand"]["primary"] == "#123456"
    assert await govern.command("shops.mode", {"slug": "tent-shop", "mode": "off"}) == "tent-shop is now off"
    key = await govern.command("keys.add", {"slug": "tent-shop", "scopes": ["emails"], "test": False, "name": "till"})
    secret = key["key"].split("_")[2]
    listed = await govern.command("keys.list", {})
    assert [one["name"] for one in listed] == ["till"]
    assert secret not in str(listed)
    with pytest.raises(NotFound):
        await govern.command("shops.burn", {})


async def test_a_link_secret_is_the_shops_own_and_lasts_through_every_change_but_a_rotation(govern: Govern):
    shop = await govern.add_shop(TENTS)
    await govern.add_shop(BOATS)
    first = await govern.link_secret("tent-shop")
    assert first != await govern.link_secret("boat-shop")
    again = await govern.add_shop(TENTS.replace("Tent Shop", "Tents for all"))
    assert (await govern.link_secret("tent-shop"), again.link_generation) == (first, shop.link_generation)
    assert await govern.link_secret("tent-shop", rotate=True) != first
    with pytest.raises(Refused):
        await govern.add_shop("link_generation = 1\n" + TENTS)
    with pytest.raises(NotFound):
        await govern.link_secret("nobody")
