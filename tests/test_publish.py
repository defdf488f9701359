"""Blocks go live whole or not at all, compiled once, for their own company, on every replica."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from choices import NOW, block, content
from handraiser.core.catalogue import Shelf
from handraiser.core.mjml.fill import Engine
from handraiser.core.shop import Controller, Shop
from handraiser.errors import Refused, StoreUnavailable, TemplateRefused
from handraiser.isolate import Isolate
from handraiser.publish import Publish
from handraiser.store import blocks as store
from handraiser.store import shops, wordings
from handraiser.store.blocks import BlockRow, GoLive
from handraiser.store.database import Database
from handraiser.store.writer import Writer
from handraiser.template_files import direction_of, read_sources, read_starter, read_words, words_of
from rows import BOAT_SHOP, BOATS, TENT_SHOP, TENTS, an_id

PAGE = """<mjml><mj-head><mj-title>{{ _("Your order") }}</mj-title></mj-head><mj-body>
{{ slot("service") }}<mj-section><mj-column><mj-text>Order {{ order.number }}</mj-text></mj-column></mj-section>
{{ slot("ask") }}<mj-include path="parts/foot.mjml" /></mj-body></mjml>"""
FOOT = "<mj-section><mj-column><mj-text>{{ shop.name }}</mj-text></mj-column></mj-section>"
PURPOSES = """[offers]
version = 1
[offers.texts.en]
what = "News"
frequency = "Monthly"
benefit = "Tips"
benefit_now = "Here"
button = "Yes"
"""


def mjml(text: str) -> str:
    return f"<mj-section><mj-column><mj-text>{text}</mj-text></mj-column></mj-section>"


def an_ask(text: str) -> str:
    """An ask's row: the words, all that is promised and the ways to answer."""
    promise = "{{ ask.promise.what }}, {{ ask.promise.frequency }}, {{ ask.promise.benefit }}"
    return mjml(
        f'{text} {promise} <a href="{{{{ ask.url }}}}">Yes</a> <a href="{{{{ ask.decline_url }}}}">No</a> '
        '<a href="{{ ask.never_url }}">Never</a>'
        " {{ ask.market_line }}"
    )


def written(slug: str = "welcome", kind: str = "opt_in", text: str = "Hello", **given: Any) -> dict[str, Any]:
    """A block's content whose one English row says ``text``."""
    row = an_ask(text) if kind == "opt_in" else mjml(text)
    return content(slug, kind, **{"variants": [{"key": "a", "rows": {"en": row}}], **given})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pages with one part, two starter blocks, Dutch words."""
    files = {
        "emails/order_confirmation.mjml": PAGE,
        "emails/delivered.mjml": PAGE.replace("Order {{", "Delivered: {{"),
        "emails/parts/foot.mjml": FOOT,
        "blocks/purposes.toml": PURPOSES,
        "blocks/news/block.toml": 'kind = "opt_in"\nslot = "ask"\npurpose = "offers"\n',
        "blocks/news/a.en.mjml": an_ask("News?"),
        "blocks/news/a.nl.mjml": an_ask("Nieuws?"),
        "blocks/care/block.toml": 'kind = "service_message"\nslot = "service"\n',
        "blocks/care/a.en.mjml": mjml("Care"),
        "locale/nl/LC_MESSAGES/handraiser.po": 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "Your order"\nmsgstr "Uw bestelling"\n',
    }
    for name, text in files.items():
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "templates"


class Counted(Isolate):
    """The real isolated process, which remembers what it was asked to compile."""

    def __init__(self) -> None:
        super().__init__()
        self.compiled: list[str] = []

    async def call(self, function: Callable[..., Any], *args: Any, seconds: float | None = None, **kwargs: Any) -> Any:
        self.compiled.append(args[0])
        return await super().call(function, *args, seconds=seconds, **kwargs)

    def taken(self) -> list[str]:
        """What was compiled since the last time."""
        taken, self.compiled = sorted(self.compiled), []
        return taken


@pytest.fixture
async def isolate() -> AsyncIterator[Counted]:
    opened = Counted()
    yield opened
    opened.close()


Replica = Callable[[], tuple[Publish, Shelf]]


@pytest.fixture
async def replica(database: Database, writer: Writer, isolate: Counted, root: Path) -> Replica:
    """A maker of replicas on one database; Tents writes English and Dutch, Boats English."""
    tents, boats = Controller(TENTS, "tents", "Tents"), Controller(BOATS, "boats", "Boats")
    for company in (tents, boats):
        await writer.write(shops.add_controllers, company)
    tent = Shop(tents, TENT_SHOP, 0, "tent-shop", "Tent Shop", "https://t.example", locales=("en", "nl"))
    await writer.write(shops.add_shops, tent)
    await writer.write(shops.add_shops, Shop(boats, BOAT_SHOP, 0, "boat-shop", "Boats", "https://b.example"))
    ids = itertools.count(9000)

    def made() -> tuple[Publish, Shelf]:
        shelf = Shelf()
        publish = Publish(
            database=database,
            writer=writer,
            shelf=shelf,
            engine=Engine(),
            isolate=isolate,
            root=root,
            words=read_words(root),
            clock=lambda: NOW,
            new_id=lambda _: an_id(next(ids)),
        )
        return publish, shelf

    return made


def shown(shelf: Shelf, shop_id: bytes = TENT_SHOP) -> dict[str, int]:
    """What a shop shows: slug -> version."""
    return {one.slug: one.version for one in shelf.shops[shop_id].blocks}


def text_of(shelf: Shelf, slug: str, locale: str = "en", page: str = "order_confirmation") -> str:
    """What a block says on a page."""
    catalogue = shelf.shops[TENT_SHOP]
    (found,) = (
        catalogue.compiled[page, one.slot, one.block_id, one.version, "a", locale]
        for one in catalogue.blocks
        if one.slug == slug
    )
    return Engine().fill_block(found.block, {})[0]


async def test_the_starter_set_is_given_once_and_never_overwrites_a_companys_own(replica: Replica):
    publish, shelf = replica()
    assert await publish.put_starter(TENTS) == 3
    assert await publish.put_starter(TENTS) == 0
    await publish.put_block(TENTS, written("care", "service_message", "Our own"))
    assert await publish.put_starter(TENTS) == 0
    await publish.refresh()
    assert shown(shelf) == {"care": 2, "news": 1}
    assert publish.faults == []


async def test_every_page_and_language_of_a_shop_is_live_with_its_blocks(replica: Replica):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    await publish.refresh()
    catalogue = shelf.shops[TENT_SHOP]
    assert set(catalogue.pages) == {
        (page, lang) for page in ("order_confirmation", "delivered") for lang in ("en", "nl")
    }
    assert Engine().fill(catalogue.pages["delivered", "nl"].page, {}, {}).subject == "Uw bestelling"
    assert "Nieuws?" in text_of(shelf, "news", "nl")
    assert "Care" in text_of(shelf, "care", "nl"), "a language without a row falls back to the shop's default"
    assert all(catalogue.stands("delivered", "nl", one) for one in catalogue.blocks)
    assert not catalogue.stands("delivered", "nl", block("other"))


async def test_a_block_is_compiled_once_and_another_one_costs_only_its_own_compilation(
    replica: Replica, isolate: Counted, database: Database
):
    publish, _ = replica()
    await publish.put_starter(TENTS)
    await publish.refresh()
    # Pages by page and language; blocks by language alone, because both pages have the same frame.
    tents = ["care", "care", "delivered", "delivered", "news", "news", "order_confirmation", "order_confirmation"]
    assert isolate.taken() == tents
    assert (await database.fetch("SELECT COUNT(*) AS n FROM compiled"))[0]["n"] == len(tents)
    await publish.put_block(TENTS, written("care", "service_message", "Newer care"))
    await publish.refresh()
    assert isolate.taken() == ["care", "care"]
    await publish.put_starter(BOATS)
    await publish.refresh()
    assert isolate.taken() == [], "the same source is the same program for every company"


async def test_the_same_content_stays_the_same_version_and_a_new_one_raises_the_revision(
    replica: Replica, database: Database
):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    first = await publish.put_block(TENTS, written(purpose="offers"))
    revision = (await store.revisions(database))[TENTS]
    assert await publish.put_block(TENTS, written(purpose="offers")) == first
    assert (await store.revisions(database))[TENTS] == revision
    second = await publish.put_block(TENTS, written(purpose="offers", text="Hi"))
    assert (second.block_id, second.version) == (first.block_id, 2)
    assert (await store.revisions(database))[TENTS] == revision + 1
    assert await publish.refresh() is True
    assert await publish.refresh() is False
    assert shown(shelf)["welcome"] == 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"slot": "top"}, "/slot"),
        ({"kind": "member_offer", "slot": "member", "purpose": None}, "/kind"),
        ({"kind": ["opt_in"]}, "/kind"),
        ({"purpose": "unknown"}, "/purpose"),
    ],
)
async def test_settings_that_cannot_be_are_refused_and_change_nothing(
    replica: Replica, database: Database, change: dict[str, Any], pointer: str
):
    publish, _ = replica()
    await publish.put_starter(TENTS)
    before = await store.revisions(database)
    with pytest.raises(Refused) as refused:
        await publish.put_block(TENTS, written(**change))
    assert pointer in [fault.pointer for fault in refused.value.faults]
    assert await store.revisions(database) == before
    assert await store.versions(database, TENTS, "welcome") == []


async def test_every_fault_of_every_variant_and_language_is_named_with_its_line(replica: Replica, database: Database):
    publish, _ = replica()
    await publish.put_starter(TENTS)
    variants = [
        {"key": "a", "rows": {"en": mjml("ok") + "\n<mj-txt>x</mj-txt>", "nl": mjml("{{ order.__class__ }}")}},
        {"key": "b", "rows": {"en": mjml("fine"), "fr": mjml("{% for x in range(9) %}{% endfor %}")}},
    ]
    with pytest.raises(TemplateRefused) as refused:
        await publish.put_block(TENTS, written(variants=variants))
    faults = refused.value.faults
    assert any(fault.line == 2 and "mj-t" in f"{fault.detail}{fault.suggestion}" for fault in faults)
    assert len({fault.detail for fault in faults}) >= 3
    assert len(faults) == len(set(faults)), "a fault that two pages share is told once"
    assert await store.versions(database, TENTS, "welcome") == []


async def test_a_block_that_needs_more_than_the_compiler_may_take_is_refused(replica: Replica, database: Database):
    publish, _ = replica()
    publish._isolate, roomy = Isolate(memory_bytes=1_000_000), publish._isolate
    with pytest.raises(TemplateRefused) as refused:
        await publish.put_block(TENTS, written("heavy", "service_message", "Heavy"))
    assert {fault.code for fault in refused.value.faults} == {"too_heavy"}
    assert await store.versions(database, TENTS, "heavy") == []
    publish._isolate.close()
    publish._isolate = roomy
    assert (await publish.put_block(TENTS, written("heavy", "service_message", "Heavy"))).version == 1


async def test_a_company_without_a_shop_still_has_its_blocks_checked(replica: Replica, writer: Writer):
    publish, _ = replica()
    await writer.write(shops.add_controllers, Controller(an_id(1), "new", "New"))
    with pytest.raises(TemplateRefused):
        await publish.put_block(an_id(1), written("x", "service_message", "{{ 1.__class__ }}"))
    assert (await publish.put_block(an_id(1), written("x", "service_message"))).version == 1


async def test_a_bad_block_in_the_store_harms_no_other(replica: Replica, writer: Writer):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    bad = block("bad", "service_message", variants=[{"key": "a", "rows": {"en": "<mj-section><mj-bad/></mj-section>"}}])
    for n, text in enumerate((bad.to_json(), '{"controller_id":"","block_id":"","version":1,"kind":"banner"}')):
        row = BlockRow(TENTS, an_id(50 + n), f"bad-{n}", 1, text, bytes(32), "service", NOW, live=True)
        await writer.write(store.put_versions, row)
    await publish.refresh()
    assert shown(shelf) == {"bad": 1, "care": 1, "news": 1}
    catalogue = shelf.shops[TENT_SHOP]
    stands = {one.slug: catalogue.stands("delivered", "en", one) for one in catalogue.blocks}
    assert stands == {"bad": False, "care": True, "news": True}
    assert any("mj-bad" in fault for fault in publish.faults)
    assert any("kind" in fault for fault in publish.faults)


async def test_a_bad_page_of_one_shop_harms_no_other_shop(replica: Replica, root: Path):
    own = root / "shops" / "boat-shop" / "emails"
    own.mkdir(parents=True)
    (own / "delivered.mjml").write_text("<mjml><mj-body>{{ oops </mj-body></mjml>")
    publish, shelf = replica()
    await publish.refresh()
    assert set(shelf.shops[BOAT_SHOP].pages) == {("order_confirmation", "en")}
    assert ("delivered", "en") in shelf.shops[TENT_SHOP].pages
    assert any(fault.startswith("delivered (en)") for fault in publish.faults)


async def test_two_companies_never_see_each_others_blocks(replica: Replica, database: Database):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    await publish.put_starter(BOATS)
    await publish.put_block(TENTS, written("secret", "service_message", "Tents only"))
    mine = await publish.put_block(BOATS, written("secret", "service_message", "Boats only"))
    await publish.refresh()
    assert shown(shelf, BOAT_SHOP)["secret"] == mine.version == 1
    (boats,) = (one for one in shelf.shops[BOAT_SHOP].blocks if one.slug == "secret")
    (tents,) = (one for one in shelf.shops[TENT_SHOP].blocks if one.slug == "secret")
    assert boats.block_id != tents.block_id
    assert "Boats only" in boats.first_variant().rows["en"]
    assert [row.controller_id for row in await store.versions(database, BOATS, "secret")] == [BOATS]


async def test_another_replicas_change_is_picked_up_without_compiling(replica: Replica, isolate: Counted):
    (one, _), (two, shelf) = replica(), replica()
    await one.put_starter(TENTS)
    await one.refresh()
    isolate.taken()
    assert await two.refresh() is True
    assert isolate.taken() == []
    await one.put_block(TENTS, written("care", "service_message", "Newer"))
    assert isolate.taken() == ["care", "care"]
    assert await two.refresh() is True
    assert "Newer" in text_of(shelf, "care")
    assert isolate.taken() == []


async def test_rolling_back_needs_no_compilation_and_shows_the_same_wording(
    replica: Replica, isolate: Counted, writer: Writer
):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    first = await publish.put_block(TENTS, written(text="First", purpose="offers"))
    await publish.refresh()
    key = ("delivered", "ask", first.block_id, 1, "a", "en")
    live = shelf.shops[TENT_SHOP].compiled[key]
    await publish.put_block(TENTS, written(text="Second", purpose="offers"))
    other, there = replica()
    assert await other.block_by_key(live.key) is not None, "a replay of the first version loads its program"
    await other.refresh()
    assert "Second" in text_of(there, "welcome")
    isolate.taken()
    await writer.write(store.go_live, GoLive(TENTS, first.block_id, 1))
    await other.refresh()
    assert "First" in text_of(there, "welcome")
    assert there.shops[TENT_SHOP].compiled[key].wording == live.wording
    assert isolate.taken() == []
    again = await other.put_block(TENTS, written(text="Second", purpose="offers"))
    assert again.version == 2, "the newest version goes live again instead of becoming a third"
    await other.refresh()
    assert "Second" in text_of(there, "welcome")


async def test_an_asks_wording_is_in_the_ledgers_store_before_it_can_be_shown(replica: Replica, database: Database):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    await publish.refresh()
    shown = [one.wording for one in shelf.shops[TENT_SHOP].compiled.values() if one.wording is not None]
    assert {one.language for one in shown} == {"en", "nl"}
    kept = await wordings.get(database, [(TENTS, one.id) for one in shown])
    assert [one.content for one in kept if one] == [one.content for one in shown]


async def test_two_who_publish_the_same_block_at_once_each_get_a_version_of_their_own(
    replica: Replica, database: Database
):
    (one, _), (two, _) = replica(), replica()
    await one.put_starter(TENTS)
    made = await asyncio.gather(
        *(who.put_block(TENTS, written("new", "service_message", f"{n}")) for n, who in enumerate((one, two, one, two)))
    )
    assert sorted(block.version for block in made) == [1, 2, 3, 4]
    assert len({block.block_id for block in made}) == 1
    rows = await store.versions(database, TENTS, "new")
    assert {row.version: row.content for row in rows} == {block.version: block.to_json() for block in made}


async def test_with_the_store_gone_the_shelf_stays_as_it_was(replica: Replica, database: Database):
    publish, shelf = replica()
    await publish.put_starter(TENTS)
    await publish.refresh()
    before = shelf.shops
    await database.close()
    with pytest.raises(StoreUnavailable):
        await publish.refresh()
    assert shelf.shops is before


async def test_a_shops_changed_settings_reach_the_shelf_and_others_are_left_alone(replica: Replica, writer: Writer):
    publish, shelf = replica()
    await publish.refresh()
    boats = shelf.shops[BOAT_SHOP]
    (tent, _) = await shops.list_shops(writer._database)
    await writer.write(
        shops.add_shops, Shop(tent.controller, tent.id, tent.number, tent.slug, "T", tent.link_base, locales=("nl",))
    )
    assert await publish.refresh() is True
    assert {locale for _, locale in shelf.shops[TENT_SHOP].pages} == {"nl"}
    assert shelf.shops[BOAT_SHOP] is boats


async def test_a_touchpoint_keeps_a_block_off_the_pages_of_other_mails_but_not_off_a_shops_own(
    replica: Replica, root: Path
):
    (root / "emails" / "order_vip.mjml").write_text(PAGE)
    publish, shelf = replica()
    await publish.put_block(
        TENTS, written("late", "service_message", targeting={"touchpoints": ["email:order_confirmation"]})
    )
    await publish.refresh()
    assert {page for page, *_ in shelf.shops[TENT_SHOP].compiled} == {"order_confirmation", "order_vip"}


def test_a_shops_own_files_stand_before_the_common_ones(root: Path):
    own = root / "shops" / "tent-shop" / "emails"
    (own / "parts").mkdir(parents=True)
    (own / "delivered.mjml").write_text("own page")
    (own / "parts" / "foot.mjml").write_text("own part")
    mine, common = read_sources(root, "tent-shop"), read_sources(root, "boat-shop")
    assert (mine.pages["delivered"], mine.parts["parts/foot.mjml"]) == ("own page", "own part")
    assert mine.pages["order_confirmation"] == common.pages["order_confirmation"] == PAGE
    assert common.parts["parts/foot.mjml"] == FOOT


def test_words_fall_back_to_the_language_and_then_to_english(root: Path):
    words = read_words(root)
    assert words_of(words, "nl-BE") == {"Your order": "Uw bestelling"}
    assert words_of(words, "fr") == {}


@pytest.mark.parametrize(("locale", "direction"), [("en", "ltr"), ("ar", "rtl"), ("he-IL", "rtl"), ("de-AT", "ltr")])
def test_the_direction_of_writing_follows_the_language(locale: str, direction: str):
    assert direction_of(locale) == direction


def test_an_incomplete_starter_set_is_refused(root: Path):
    (root / "blocks" / "purposes.toml").write_text(PURPOSES.replace('frequency = "Monthly"', ""))
    with pytest.raises(Refused, match="frequency"):
        read_starter(root)


async def test_an_ask_without_its_link_is_refused(replica: Replica):
    publish, _ = replica()
    await publish.put_starter(TENTS)
    silent = content("mute", "opt_in", variants=[{"key": "a", "rows": {"en": mjml("Hello")}}])

    with pytest.raises(TemplateRefused) as refused:
        await publish.put_block(TENTS, silent)

    assert [fault.code for fault in refused.value.faults] == ["ask_incomplete"]
