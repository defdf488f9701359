"""Story 3: templates and blocks are read, checked, compiled in isolation and put live as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from handraiser.core import payload
from handraiser.core.block import (
    PUBLISHABLE,
    BlockVersion,
    Purpose,
    Variant,
    Wording,
    nearest,
    read_block,
    wording,
)
from handraiser.core.catalogue import (
    BlockKey,
    LiveBlock,
    LivePage,
    PageKey,
    Shelf,
    ShopCatalogue,
    read_blocks,
    read_purposes,
)
from handraiser.core.experiment import Running
from handraiser.core.letter import OUTSIDE_MAIL, WEB_PAGE
from handraiser.core.mjml.compile import block_key, compile_block, compile_page, page_key
from handraiser.core.mjml.fill import Block, Engine, Page
from handraiser.core.mjml.program import CompiledBlock, CompiledPage
from handraiser.core.shop import Shop
from handraiser.errors import Fault, IsolationError, Refused, StoreError, TemplateFault, TemplateRefused
from handraiser.isolate import Isolate
from handraiser.store import blocks as store
from handraiser.store import experiments, shops, wordings
from handraiser.store.blocks import BlockRow, GoLive, PurposeRow
from handraiser.store.database import Database
from handraiser.store.sql import RowRefused
from handraiser.store.wordings import StoredWording
from handraiser.store.writer import Writer
from handraiser.template_files import Sources, Words, direction_of, read_sources, read_starter, words_of

_TRIES = 5


class Publish:
    """Keeps the shelf filled with what is live, and puts new versions live."""

    def __init__(
        self,
        *,
        database: Database,
        writer: Writer,
        shelf: Shelf,
        engine: Engine,
        isolate: Isolate,
        root: Path,
        words: Words,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self._database, self._writer = database, writer
        self._shelf, self._engine, self._isolate = shelf, engine, isolate
        self._root, self._words = root, words
        self._clock, self._new_id = clock, new_id
        self._sources: dict[str, Sources] = {}
        self._keys: dict[tuple[str, str, str, str], bytes] = {}
        self._pages: dict[bytes, Page] = {}
        self._blocks: dict[bytes, tuple[Block, str]] = {}
        self._worded: set[tuple[bytes, bytes]] = set()
        self._seen: dict[bytes, tuple[Shop, int]] = {}
        self._faults: dict[bytes, list[str]] = {}
        self._refreshing = asyncio.Lock()

    @property
    def faults(self) -> list[str]:
        """What the last refresh had to leave out, in words; the same for every shop that lacks it."""
        return list(dict.fromkeys(fault for faults in self._faults.values() for fault in faults))

    async def put_starter(self, controller_id: bytes) -> int:
        """Give a company the starter purposes and blocks that it does not have yet; returns how many were new."""
        contents, purposes = read_starter(self._root)
        now = self._clock()
        known = {row.slug for row in await store.versions(self._database, controller_id)}
        new = 0
        for purpose in purposes:
            row = PurposeRow(controller_id, purpose.id, purpose.version, purpose.to_json(), now, "starter")
            new += await self._writer.write(store.put_purposes, row)
        for content in contents:
            if content["slug"] in known or content["kind"] not in PUBLISHABLE:
                continue
            await self.put_block(controller_id, content, by="starter")
            new += 1
        return new

    async def put_block(self, controller_id: bytes, content: Mapping[str, Any], *, by: str = "") -> BlockVersion:
        """Check a block, compile it everywhere it may stand, and put it live.

        The same content as the newest version stays that version. Raises :class:`Refused` or
        :class:`TemplateRefused` that names every fault, and :class:`Conflict` while a running test pins another
        version; then nothing is changed.
        """
        block = read_block(content, controller_id=controller_id, block_id=bytes(16), version=0)
        if block.kind not in PUBLISHABLE:
            raise Refused([Fault("/kind", "not_yet", f"only {', '.join(sorted(PUBLISHABLE))} can be published")])
        live = await store.catalogue(self._database, controller_id)
        if block.purpose and block.purpose not in read_purposes(live.purposes, []):
            raise Refused([Fault("/purpose", "unknown", "the company has no purpose of this name")])
        await self._check(controller_id, block)
        for _ in range(_TRIES):
            versions = await store.versions(self._database, controller_id, block.slug)
            newest = versions[0] if versions else None
            if newest and newest.hash == block.hash():
                block = replace(block, block_id=newest.block_id, version=newest.version)
                if not newest.live:
                    await self._writer.write(store.go_live, GoLive(controller_id, block.block_id, block.version))
                return block
            block_id = newest.block_id if newest else self._new_id(self._clock())
            block = replace(block, block_id=block_id, version=newest.version + 1 if newest else 1)
            row = BlockRow(
                controller_id=controller_id,
                block_id=block_id,
                slug=block.slug,
                version=block.version,
                content=block.to_json(),
                hash=block.hash(),
                legal_class=block.legal_class,
                created_at=self._clock(),
                created_by=by,
                live=True,
            )
            try:
                if await self._writer.write(store.put_versions, row):
                    return block
            except RowRefused:  # another process gave the slug a block of its own meanwhile
                continue
        raise StoreError("other versions of this block are being published at the same time")

    async def _check(self, controller_id: bytes, block: BlockVersion) -> None:
        """Compile every variant and language everywhere it may stand; raises with all faults."""
        found = _silent_asks(block)
        for slug, locale, source, page in await self._places(controller_id, block):
            try:
                await self._compiled(slug, block.slug, source, page, locale)
            except TemplateRefused as error:
                found += error.faults
            except IsolationError as error:
                found.append(TemplateFault(block.slug, 1, 1, "too_heavy", str(error)))
        if found:
            raise TemplateRefused(list(dict.fromkeys(found)))

    async def _places(self, controller_id: bytes, block: BlockVersion) -> list[tuple[str, str, str, str]]:
        """(shop's slug, locale, source, page) wherever a variant may be shown, and each language no shop writes."""
        places = []
        unused = {source: locale for variant in block.variants for locale, source in variant.rows.items()}
        for shop in await shops.list_shops(self._database, controller_id):
            pages = [name for name in self._sources_of(shop.slug).pages if _stands_on(block, name)]
            for variant in block.variants:
                for locale in shop.locales if pages else ():
                    source = variant.row(locale, shop.default_locale)
                    unused.pop(source, None)
                    places += [(shop.slug, locale, source, page) for page in pages]
        common = next(iter(self._sources_of("").pages))
        return places + [("", locale, source, common) for source, locale in unused.items()]

    async def refresh(self) -> bool:
        """Bring the shelf up to date with what any process published or changed; True when something was new.

        A template or block that cannot be compiled is left out and told in :attr:`faults`. Raises
        :class:`StoreUnavailable`; then the shelf stays as it was.
        """
        async with self._refreshing:
            revisions = await store.revisions(self._database)
            everyone = await shops.list_shops(self._database)
            wanted = {shop.id: (shop, revisions.get(shop.controller.id, 0)) for shop in everyone}
            if wanted == self._seen:
                return False
            live, faults = {}, {}
            for shop in everyone:
                if self._seen.get(shop.id) == wanted[shop.id]:
                    live[shop.id], faults[shop.id] = self._shelf.shops[shop.id], self._faults[shop.id]
                else:
                    faults[shop.id] = []
                    live[shop.id] = await self._shop(shop, faults[shop.id])
            self._shelf.put(sum(revisions.values()), live)
            self._seen, self._faults = wanted, faults
            return True

    async def _shop(self, shop: Shop, faults: list[str]) -> ShopCatalogue:
        sources = self._sources_of(shop.slug)
        live = await store.catalogue(self._database, shop.controller.id)
        purposes = read_purposes(live.purposes, faults)
        blocks = read_blocks(live.blocks, purposes, faults)
        tests, holdout = await self._running(shop, purposes, faults)
        pinned = {(one.block_id, one.version): one for test in tests for one in test.shown()}
        shown = {(one.block_id, one.version): one for one in blocks} | pinned
        pages: dict[PageKey, LivePage] = {}
        compiled: dict[BlockKey, LiveBlock] = {}
        for locale in shop.locales:
            for name in sources.pages:
                page = await self._live_page(shop, name, locale, faults)
                if page is None:
                    continue
                pages[name, locale] = page
                for block in shown.values():
                    if block.slot not in page.page.slots or not _stands_on(block, name):
                        continue
                    for variant in block.variants:
                        found = await self._live_block(shop, block, variant, name, locale, purposes, faults)
                        if found is not None:
                            compiled[name, block.slot, block.block_id, block.version, variant.key, locale] = found
        worded = {one.wording.id: one.wording for one in compiled.values() if one.wording is not None}
        await asyncio.gather(*(self._keep_wording(shop.controller.id, one) for one in worded.values()))
        return ShopCatalogue(pages, blocks, compiled, purposes, tests, holdout)

    async def _running(
        self, shop: Shop, purposes: Mapping[str, Purpose], faults: list[str]
    ) -> tuple[tuple[Running, ...], Running | None]:
        """The shop's running tests with what their arms show, and its holdout; the company's goes before its own."""
        found = await experiments.running(self._database, shop.controller.id)
        mine = sorted((one for one in found if one.concerns(shop.id)), key=lambda one: one.shop_id is not None)
        tests = [one for one in mine if one.kind == "test"]
        pins = {(arm.block, arm.version): one.key for one in tests for arm in one.design.arms if arm.block}
        texts = await store.contents(self._database, shop.controller.id, list(pins))
        read = {key: read_blocks((text,), purposes, faults) for key, text in texts.items()}
        complete = []
        for one in tests:
            shown = [read.get((arm.block, arm.version), ()) if arm.block else (None,) for arm in one.design.arms]
            if all(shown):
                complete.append(Running(one, tuple(blocks[0] for blocks in shown)))
            else:
                faults.append(f"the test {one.key}: one of its blocks cannot be shown")
        return tuple(complete), next((Running(one) for one in mine if one.kind == "holdout"), None)

    async def _keep_wording(self, controller_id: bytes, shown: Wording) -> None:
        """Kept before it can be shown; once in the life of a process."""
        if (controller_id, shown.id) not in self._worded:
            row = StoredWording(controller_id, shown.id, shown.language, shown.content, self._clock())
            await self._writer.write(wordings.put, row)
            self._worded.add((controller_id, shown.id))

    async def _live_page(self, shop: Shop, name: str, locale: str, faults: list[str]) -> LivePage | None:
        sources = self._sources_of(shop.slug)
        words = words_of(self._words, locale)
        direction = direction_of(locale)
        try:
            key = page_key(sources.pages[name], sources.parts, words, locale, direction)
            if key not in self._pages:
                text = await self._program(
                    key,
                    compile_page,
                    name,
                    sources.pages[name],
                    sources.parts,
                    words=words,
                    locale=locale,
                    direction=direction,
                )
                # Reading a program takes tens of milliseconds, in which other requests must be served.
                self._pages[key] = await asyncio.to_thread(self._engine.load_page, CompiledPage.from_json(text))
        except (TemplateRefused, IsolationError, jinja2.TemplateError) as error:
            faults.append(f"{name} ({locale}): {error}")
            return None
        return LivePage(key, self._pages[key])

    async def _live_block(
        self,
        shop: Shop,
        block: BlockVersion,
        variant: Variant,
        page: str,
        locale: str,
        purposes: Mapping[str, Purpose],
        faults: list[str],
    ) -> LiveBlock | None:
        source = variant.row(locale, shop.default_locale)
        try:
            key = await self._compiled(shop.slug, block.slug, source, page, locale)
        except (TemplateRefused, IsolationError) as error:
            faults.append(f"{block.slug} in {page} ({locale}): {error}")
            return None
        program, text = self._blocks[key]
        if block.purpose is None:
            return LiveBlock(key, program)
        purpose = purposes[block.purpose]
        language = nearest(variant.rows, locale, shop.default_locale)
        promise = purpose.promise(locale, shop.default_locale)
        return LiveBlock(key, program, wording(block, variant.key, language, text, purpose, promise))

    async def _compiled(self, slug: str, name: str, source: str, page: str, locale: str) -> bytes:
        """The content address of a block compiled for a shop's page; its program is loaded when this returns.

        Raises :class:`TemplateRefused`, :class:`IsolationError` and :class:`StoreUnavailable`.
        """
        sources = self._sources_of(slug)
        words = words_of(self._words, locale)
        direction = direction_of(locale)
        place = (slug, page, locale, source)
        key = self._keys.get(place)
        if key is None:
            key = block_key(source, sources.pages[page], sources.parts, words, locale, direction)
            self._keys[place] = key
        if key not in self._blocks:
            text = await self._program(
                key,
                compile_block,
                name,
                source,
                page=sources.pages[page],
                parts=sources.parts,
                words=words,
                locale=locale,
                direction=direction,
            )
            self._blocks[key] = self._loaded(text)
        return key

    def _loaded(self, program: str) -> tuple[Block, str]:
        compiled = CompiledBlock.from_json(program)
        try:
            return self._engine.load_block(compiled), compiled.text
        except jinja2.TemplateError as error:
            raise TemplateRefused([TemplateFault(compiled.name, 1, 1, "syntax", str(error))]) from None

    async def _program(self, key: bytes, compiler: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        """A compiled program from the store, or compiled now in the isolated process and kept."""
        kept = await self._kept(key)
        if kept is not None:
            return kept
        plain: dict[str, Any] = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in kwargs.items()
        }
        compiled = await self._isolate.call(compiler, *args, **plain)
        text: str = compiled.to_json()
        await self._writer.write(store.put_compiled, (key, text, self._clock()))
        return text

    async def _kept(self, key: bytes) -> str | None:
        async with self._database.reading() as session:
            (kept,) = await store.get_compiled(session, [key])
        return kept

    def _sources_of(self, slug: str) -> Sources:
        """Read once: template files are never edited live."""
        if slug not in self._sources:
            self._sources[slug] = read_sources(self._root, slug)
        return self._sources[slug]

    async def page_by_key(self, key: bytes) -> Page | None:
        """A page of an earlier revision, for the replay of an email that was made with it."""
        if key not in self._pages:
            kept = await self._kept(key)
            if kept is None:
                return None
            self._pages[key] = self._engine.load_page(CompiledPage.from_json(kept))
        return self._pages[key]

    async def block_by_key(self, key: bytes) -> Block | None:
        """A block of an earlier version, for the replay of an email that showed it."""
        if key not in self._blocks:
            kept = await self._kept(key)
            if kept is None:
                return None
            self._blocks[key] = self._loaded(kept)
        return self._blocks[key][0]


def _silent_asks(block: BlockVersion) -> list[TemplateFault]:
    """An ask that never reads its link asks nothing; that a block which reads it is complete the lint sees."""
    if block.kind != "opt_in":
        return []
    rows = [(variant.key, locale, source) for variant in block.variants for locale, source in variant.rows.items()]
    return [
        TemplateFault(f"{block.slug}/{key}.{locale}", 1, 1, "ask_incomplete", "an ask shows its link: {{ ask.url }}")
        for key, locale, source in rows
        if "ask.url" not in source
    ]


def _stands_on(block: BlockVersion, page: str) -> bool:
    """Whether a mail on this page can be one of the block's touchpoints; a shop's own page serves any type."""
    touchpoints = block.targeting.touchpoints
    if page == WEB_PAGE and any(one.startswith(OUTSIDE_MAIL) for one in touchpoints):
        return True
    return not touchpoints or page not in payload.TYPES or f"email:{page}" in touchpoints
