"""Story 1: one order payload in, one enriched email out.

Read, decide, write, record. On any doubt a block is dropped, never the email; with the store gone the email goes out
without an ask.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from handraiser.core import mailbox, payload
from handraiser.core.block import Wording
from handraiser.core.catalogue import Shelf
from handraiser.core.choice import choose
from handraiser.core.composed import Composed
from handraiser.core.consent import State
from handraiser.core.eligibility import REASONS, Asked, Situation, answered
from handraiser.core.experiment import entries
from handraiser.core.letter import Letter, Options, ask_view, read_letter, read_view, view_of
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.market import Markets, shortest
from handraiser.core.markup import json_ld
from handraiser.core.mjml.fill import Block, Engine, Page
from handraiser.core.objection import objections
from handraiser.core.placement import Decision
from handraiser.core.shop import Shop
from handraiser.errors import (
    Fault,
    IdempotencyInFlight,
    IdempotencyMismatch,
    StoreError,
    StoreUnavailable,
)
from handraiser.store import ledger, messages, recording, wordings
from handraiser.store.experiments import Exposure
from handraiser.store.ledger import Append, Change
from handraiser.store.messages import Ask, Known, LookUp, Replay, StoredMessage
from handraiser.store.outbox import event_of
from handraiser.store.recording import Kept, OrderFacts, Raced, Recording
from handraiser.store.subjects import Sealer
from handraiser.store.wordings import StoredWording
from handraiser.store.writer import Reader, Writer

log = logging.getLogger("handraiser.enrich")

Placed = Callable[[Composed], Awaitable[Composed]]

LARGE_BYTES = 90_000
"""Gmail clips an email at about 102 kB of HTML."""
_MEND = f"{REASONS['fill_failed']} Mend the block, or the data it reads."


async def as_composed(composed: Composed) -> Composed:
    """A page holds its blocks: there is nothing more to place."""
    return composed


class Enrich:
    """Composes emails for all shops; ``observers`` are told of each finished one (the demo's inbox, the metrics)."""

    def __init__(
        self,
        *,
        reader: Reader,
        writer: Writer,
        shelf: Shelf,
        engine: Engine,
        links: Links,
        markets: Markets,
        words: Callable[[str], Mapping[str, str]],
        pepper: tuple[int, bytes],
        sealer: Sealer,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
        page_by_key: Callable[[bytes], Awaitable[Page | None]],
        block_by_key: Callable[[bytes], Awaitable[Block | None]],
        before_asking: Callable[[], Awaitable[object]],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._shelf, self._engine = shelf, engine
        self._links, self._markets, self._words = links, markets, words
        self._pepper, self._sealer = pepper, sealer
        self._clock, self._new_id = clock, new_id
        self._page_by_key, self._block_by_key = page_by_key, block_by_key
        self._before_asking = before_asking
        self.observers: list[Callable[[Composed], None]] = []

    async def email(self, shop: Shop, body: object, options: Options) -> Composed:
        """One payload as the finished email.

        Raises :class:`PayloadRefused` when a receipt cannot be written from it (under ``strict``: for any warning),
        :class:`IdempotencyMismatch`, and :class:`StoreUnavailable` only where ``fail_open`` is off.
        """
        catalogue = self._shelf.shops.get(shop.id)
        letter = read_letter(body, shop, options, catalogue=catalogue, markets=self._markets, at=self._clock())
        return await self.letter(letter)

    async def view(self, shop: Shop, place: str, body: object, options: Options) -> Composed:
        """The blocks that a page of the shop may show; errors as with :meth:`email`.

        The same view again is the same, but for an ask that was answered meanwhile.
        """
        catalogue = self._shelf.shops.get(shop.id)
        letter = read_view(body, shop, place, options, catalogue=catalogue, markets=self._markets, at=self._clock())
        composed = await self.letter(letter)
        ask = next((one for one in composed.decision.placements if one.purpose), None)
        if composed.replayed and ask is not None and ask.purpose:
            known = await self._known(letter, mailbox.lookup(self._pepper[1], shop.controller.id, letter.address))
            why = answered(known.standing.get(ask.purpose, ""), known.barred) if known else "store_unavailable"
            return composed.without(ask.slot, why, REASONS[why]) if why else composed
        return composed

    async def letter(self, letter: Letter, placed: Placed = as_composed) -> Composed:
        """What was read, as the finished email or its blocks; errors as with :meth:`email`. ``placed`` is told what is
        about to be kept and answers what became of it: what found no place is not shown.
        """
        composed = await self._composed(letter, placed)
        for observer in self.observers:
            observer(composed)
        return composed

    async def _composed(self, letter: Letter, placed: Placed) -> Composed:
        settled = await self._settled()
        lookup = mailbox.lookup(self._pepper[1], letter.shop.controller.id, letter.address)
        known = await self._known(letter, lookup)
        for asking in (True, True, False):
            if known is not None and known.replay is not None:
                return await self._again(letter, known.replay, lookup, placed)
            composed = await placed(self._decided(letter, known, lookup, asking=asking, settled=settled))
            if letter.options.dry_run:
                return replace(composed, message_id=b"")
            if known is None:
                return replace(composed, message_id=b"", skipped_reason="store_unavailable")
            try:
                outcome = await self._writer.write(recording.record, self._recording(letter, composed, known, lookup))
            except StoreUnavailable:
                return self._without_store(letter, lookup)
            if isinstance(outcome, Kept):
                await self._keep_objections(letter, composed.message_id, outcome.subject_id, known)
                return composed
            if isinstance(outcome, Raced):
                return await self._again(letter, Replay(outcome.message, outcome.request_hash), lookup, placed)
            known = await self._known(letter, lookup)
        raise IdempotencyInFlight("the customer's other emails did not settle")

    async def _keep_objections(self, letter: Letter, message_id: bytes, subject_id: bytes, known: Known) -> None:
        """What the shop knows as unsubscribed is an objection: kept once, so that no other mail asks either."""
        for entry in objections(letter, known.standing, known.standing_since, message_id, subject_id, self._new_id):
            event = event_of(entry, self._new_id(letter.at))
            try:
                await self._writer.write(ledger.append, Append((Change(entry, State.OBJECTED),), (event,)))
            except StoreError as error:  # the receipt goes out all the same; the shop's next mail says it again
                log.warning("an objection was not kept", extra={"facts": {"error": type(error).__name__}})

    def _without_store(self, letter: Letter, lookup: bytes) -> Composed:
        if not letter.fail_open:
            raise StoreUnavailable("the email could not be recorded")
        return replace(
            self._decided(letter, None, lookup, asking=False, settled=False),
            message_id=b"",
            skipped_reason="store_unavailable",
        )

    async def _settled(self) -> bool:
        """Whether every answer that was journalled while the store was away stands in it now."""
        try:
            await self._before_asking()
        except StoreError:
            return False
        return True

    async def _known(self, letter: Letter, lookup: bytes) -> Known | None:
        """What the store knows of the reader; None while it is down and the shop lets its mail pass all the same."""
        key = LookUp(
            letter.shop.controller.id,
            letter.shop.id,
            lookup,
            letter.customer_id,
            letter.options.idempotency_key,
            letter.email["order"]["id"],
            letter.catalogue.experimenting,
        )
        try:
            known: Known = await self._reader.read(messages.look_up, key)
        except StoreUnavailable:
            if not letter.fail_open:
                raise
            return None
        return known

    def _decided(self, letter: Letter, known: Known | None, lookup: bytes, *, asking: bool, settled: bool) -> Composed:
        catalogue, subject = letter.catalogue, letter.customer_id or lookup.hex()
        drawn = known.drawn if known else {}
        choice = choose(
            self._situation(letter, known, asking=asking, settled=settled),
            catalogue.blocks,
            partial(catalogue.stands, letter.template, letter.locale),
            entries(catalogue.tests, subject, letter.touchpoint, drawn),
            catalogue.held_out(subject, drawn),
        )
        message_id = self._new_id(letter.at)
        subject_id = (known.subject_id if known else None) or self._new_id(letter.at)
        placements, live = [], {}
        wording = None
        for slot, block in choice.placed.items():
            entry = choice.arms.get(slot)
            variant = entry.arm.variant if entry else block.first_variant().key
            key = (letter.template, slot, block.block_id, block.version, variant, letter.locale)
            found = catalogue.compiled[key]
            live[slot] = found.block
            wording = found.wording or wording
            placements.append(found.placement(block, variant, entry))
        page = catalogue.pages[letter.template, letter.locale]
        arms = {one.running.experiment.key: one.arm.key for one in choice.drawn}
        decision = Decision(
            letter.template, page.key, tuple(placements), choice.skipped, choice.would_ask, letter.declared, arms
        )
        composed = self._filled(letter, page.page, live, decision, message_id, subject_id, wording)
        return replace(composed, drawn=choice.drawn)

    def _situation(self, letter: Letter, known: Known | None, *, asking: bool, settled: bool) -> Situation:
        email, shop = letter.email, letter.shop
        customer, soft = email["customer"], email.get("soft_opt_in", {})
        facts = known or Known()
        return Situation(
            mode=shop.mode,
            market=letter.market,
            touchpoint=letter.touchpoint,
            live_sale=letter.live_sale,
            now=letter.at,
            locale=letter.locale,
            customer_kind=payload.customer_kind(email, facts.orders_seen, order_known=facts.order_known),
            age=customer.get("age"),
            country=letter.country,
            segments=frozenset(customer.get("segments", ())),
            categories=payload.categories(email),
            value=payload.order_value(email),
            currency=email["order"]["currency"],
            standing=facts.standing,
            purchased_at=payload.placed_at(email["order"].get("placed_at"), shop.time_zone),
            standing_since=facts.standing_since,
            granted_advertising=any(
                purpose.covers_transactional and facts.standing.get(purpose.id) == "granted"
                for purpose in letter.catalogue.purposes.values()
            ),
            fresh_days=shortest(letter.market.fresh_days, shop.fresh_days),
            told_at=facts.told_at,
            barred=facts.barred,
            paused_until=facts.paused_until,
            asks=[Asked(ask.at, ask.purpose, ask.block) for ask in facts.asks],
            marketing={purpose: one["state"] for purpose, one in customer.get("marketing", {}).items()},
            notice_at_collection=soft.get("notice_at_collection", False),
            similar_goods=soft.get("similar_goods", False),
            to_other=letter.to_other,
            own_headers=not letter.blocks_only,
            postal_address=bool(shop.controller.address_lines and (shop.support_email or shop.support_url)),
            store_ok=known is not None,
            asking=asking,
            standing_known=settled,
        )

    def _filled(
        self,
        letter: Letter,
        page: Page,
        live: Mapping[str, Block],
        decision: Decision,
        message_id: bytes,
        subject_id: bytes,
        wording: Wording | StoredWording | None,
    ) -> Composed:
        """Sign the links, fill the page and its blocks; a block that fails is dropped and told as skipped."""
        shop = letter.shop
        ask = next((one for one in decision.placements if one.legal_class == "ask"), None)
        extra, url, leave = {}, "", ""
        if ask is not None and wording is not None:
            url = f"{shop.link_base}/o/{self._links.sign(Link(shop.number, message_id, LinkKind.OPT_IN))}"
            leave = f"{shop.link_base}/u/{self._links.sign(Link(shop.number, subject_id, LinkKind.WITHDRAW))}"
            extra = {"ask": ask_view(letter, wording.content, url, leave, self._words(wording.language))}
        blocks = {slot: (block, extra) for slot, block in live.items()}
        context = view_of(letter, self._words(letter.locale))
        if letter.blocks_only:
            filled = self._engine.fill_blocks(blocks, context)
        else:
            filled = self._engine.fill(page, blocks, context, head_extra=json_ld(letter.email, shop))
        if letter.email.get("subject"):
            filled = replace(filled, subject=letter.email["subject"])
        if filled.failed:
            decision = decision.without({slot for slot, _ in filled.failed}, "fill_failed", _MEND)
            ask = next((one for one in decision.placements if one.legal_class == "ask"), None)
        headers = {}
        if ask is not None:
            placements = tuple(replace(p, url=url) if p is ask else p for p in decision.placements)
            decision = replace(decision, placements=placements)
        if ask is not None and not letter.blocks_only:
            headers = {"List-Unsubscribe": f"<{leave}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        warnings = letter.warnings
        if len(filled.html) > LARGE_BYTES:
            warnings += (Fault("", "large_email", "more than 90 kB of HTML: some mail programs cut it off"),)
        whose = (shop, message_id, subject_id, letter.at, letter.email)
        return Composed(*whose, filled, headers, decision, warnings, locale=letter.locale)

    def _recording(self, letter: Letter, composed: Composed, known: Known, lookup: bytes) -> Recording:
        email, shop, decision = letter.email, letter.shop, composed.decision
        order, counts = email["order"], not letter.options.test
        bought = counts and not letter.to_other and email["type"] in payload.LIVE_SALE
        kind = payload.customer_kind(email, known.orders_seen, order_known=known.order_known)
        asks = tuple(
            Ask(letter.at, one.purpose or "", one.block)
            for one in decision.placements
            if one.legal_class == "ask" and counts
        )
        message = StoredMessage(
            id=composed.message_id,
            controller_id=shop.controller.id,
            shop_id=shop.id,
            subject_id=composed.subject_id,
            type=email["type"],
            touchpoint=letter.touchpoint,
            locale=letter.locale,
            sent_at=letter.at,
            country=letter.country,
            market=letter.market.code,
            rule_version=letter.market.rule_version,
            customer_kind=kind,
            order_id=order["id"],
            external_id=letter.customer_id or "",
            test=letter.options.test,
            decision=decision.to_json(),
            request=letter.told_apart,
        )
        placed = payload.placed_at(order.get("placed_at"), shop.time_zone) or letter.at
        value = payload.order_value(email)
        minor = None if value is None else payload.minor_units(value, order["currency"])
        how = (order.get("channel", "web"), order.get("purchase_type", ""), letter.country)
        facts = OrderFacts(order["id"], placed, minor, order["currency"], kind, *how)
        segments = tuple(sorted(set(email["customer"].get("segments", ()))))
        exposures = tuple(
            Exposure(one.running.experiment.id, one.draw, how[1], segments) for one in composed.drawn if one.new
        )
        return Recording(
            message=message,
            lookup=lookup,
            pepper_id=self._pepper[0],
            address=self._sealer.seal(shop.controller.id, letter.address),
            version_seen=known.version if asks or known.subject_id is None else None,
            external_id=letter.customer_id,
            asks_added=asks,
            order=facts if bought and order["id"] else None,
            idempotency_key=letter.options.idempotency_key,
            request_hash=letter.options.request_hash,
            exposures=exposures if counts else (),
        )

    async def _again(self, letter: Letter, replay: Replay, lookup: bytes, placed: Placed) -> Composed:
        try:
            return await placed(await self._replayed(letter, replay))
        except StoreUnavailable:
            return self._without_store(letter, lookup)

    async def _replayed(self, letter: Letter, replay: Replay) -> Composed:
        """The email of the first request again, rendered with the decision that was kept."""
        if replay.request_hash != letter.options.request_hash:
            raise IdempotencyMismatch("the key was used with another request")
        stored = replay.message
        decision = Decision.from_json(stored.decision)
        letter = replace(letter, at=stored.sent_at, locale=stored.locale, template=decision.template)
        page = await self._page_by_key(decision.page) or letter.catalogue.pages[letter.template, letter.locale].page
        live = {}
        for placement in decision.placements:
            block = await self._block_by_key(placement.program)
            if block is not None:
                live[placement.slot] = block
        wording = await self._wording_shown(stored.controller_id, decision)
        composed = self._filled(letter, page, live, decision, stored.id, stored.subject_id, wording)
        return replace(composed, replayed=True)

    async def _wording_shown(self, controller_id: bytes, decision: Decision) -> StoredWording | None:
        """The wording of the first email: what is live may have changed since."""
        wording_id = next((one.wording_id for one in decision.placements if one.wording_id), None)
        if wording_id is None:
            return None
        stored = await self._reader.read(wordings.get, (controller_id, wording_id))
        if stored is None:
            raise StoreUnavailable("the wording of an ask is missing")
        return stored
