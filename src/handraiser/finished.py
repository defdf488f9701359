"""Story 1 for mail that somebody else composed: finished in, the same out, with one block more and not a byte less.

Recognise, decide, place, record. On any doubt, of ours or of the mail's, the mail that came goes on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar, get_args

from handraiser.core.catalogue import Shelf
from handraiser.core.composed import Composed
from handraiser.core.eligibility import REASONS
from handraiser.core.letter import Letter, Options, read_context
from handraiser.core.mailbox import sole_address
from handraiser.core.market import Markets
from handraiser.core.rules.context import context_of, declared
from handraiser.core.rules.match import Heading, ShopRule, candidates, heading_of
from handraiser.core.rules.recognise import Recognised, Unrecognised, recognise
from handraiser.core.shop import Shop
from handraiser.core.splice.finished import (
    Blocks,
    Finished,
    Passes,
    placed_in_mail,
    put_into_mail,
    put_into_parts,
)
from handraiser.core.splice.mime_reasons import HtmlReason, Reason
from handraiser.errors import HandraiserError, IsolationError, Refused, StoreUnavailable, TimeLimitExceeded
from handraiser.isolate import Workers
from handraiser.store import recording
from handraiser.store.recording import NotShown
from handraiser.store.writer import Writer

log = logging.getLogger("handraiser.finished")

T = TypeVar("T", bytes, Finished)
Compose = Callable[[Letter, Callable[[Composed], Awaitable[Composed]]], Awaitable[Composed]]
_SHOP_MS = 2_000
Context = Mapping[str, Any]
"""What is known of a mail, in the payload's words: ``{type, customer: {email, …}, order?, soft_opt_in?}``."""


UNCHANGED = {
    "no_rule": "Nothing says what this mail is: no rule of the shop matches it, and its sender names no type.",
    "several_recipients": "A signed link is for one reader; To, Cc and the envelope do not name exactly one.",
    "time_limit": "Reading the mail took too long.",
    "too_large": "The mail is larger than mail that is read (enrich_bytes).",
    "failed": "An error on our side; it was logged.",
    "worker_died": "The process that read the mail ended without an answer.",
    "refused": "The shop's own data speaks against it; the detail says what.",
    "context": "What was told of the mail cannot be used; the detail says what.",
    "no_block": "No block is meant for such a mail.",
}
"""Why a mail goes on as it came, beside the reasons of :data:`REASONS`, of its MIME and of its HTML."""
PASSES = tuple(sorted({*UNCHANGED, *Reason, *get_args(HtmlReason), *REASONS}))
"""All of them, in the order of the alphabet."""


@dataclass(frozen=True, slots=True)
class Passed(Generic[T]):
    """What goes on. With a ``reason`` it is ``content`` as it came; ``composed`` is what was decided, as far as it came
    to that."""

    content: T
    reason: str = ""
    detail: str = ""
    composed: Composed | None = None


class Finish:
    """Puts blocks into finished mail. ``compose`` decides and records (:meth:`Enrich.letter`), through ``writer`` what
    was recorded is put right; ``rules`` are those of all shops, which ``shop_of`` finds by slug. Mail beyond
    ``max_bytes`` is not read."""

    def __init__(
        self,
        *,
        compose: Compose,
        writer: Writer,
        rules: Sequence[ShopRule],
        shop_of: Callable[[str], Awaitable[Shop]],
        shelf: Shelf,
        markets: Markets,
        workers: Workers,
        max_bytes: int,
        clock: Callable[[], int],
    ) -> None:
        self._compose, self._writer = compose, writer
        self.rules, self._shop_of = tuple(rules), shop_of
        self._shelf, self._markets = shelf, markets
        self._workers, self._max_bytes, self._clock = workers, max_bytes, clock
        self._shops: dict[str, tuple[int, Shop]] = {}

    async def mail(self, shop: Shop, raw: bytes, told: Mapping[str, str], options: Options) -> Passed[bytes]:
        """A whole mail (RFC 5322) of one shop. ``told`` is what its sender knows of it, by the names of the door's
        query; without a ``type`` the shop's rules say what it is."""
        heading = heading_of(raw, "")
        reader = _reader(heading)
        if not reader:
            return Passed(raw, "several_recipients", UNCHANGED["several_recipients"])
        if "type" in told:
            return await self._mail(shop, raw, reader, told_context(told), options)
        possible = candidates([one for one in self.rules if one.shop == shop.slug], heading)
        found = Unrecognised("no_rule")
        if possible:
            found = await self._isolated(recognise, raw, "", possible, max_bytes=self._max_bytes)
        if not isinstance(found, Recognised):
            return Passed(raw, found.reason, UNCHANGED.get(found.reason, ""))
        return await self._mail(shop, raw, reader, told_context(told), options, found)

    async def recognised(self, raw: bytes, found: Recognised, reader: str, *, dry_run: bool = False) -> Passed[bytes]:
        """A whole mail that falls under a rule, for the one reader of its envelope."""
        try:
            shop = await self._shop(found.shop)
        except HandraiserError as error:
            return Passed(raw, "refused", str(error))
        return await self._mail(shop, raw, reader, {}, Options(fail_open=True, dry_run=dry_run), found)

    async def _shop(self, slug: str) -> Shop:
        """A shop as it was seconds ago at most, or, while the store is down, when it was last read."""
        now = self._clock()
        at, shop = self._shops.get(slug, (None, None))
        if shop is not None and at is not None and 0 <= now - at < _SHOP_MS:
            return shop
        try:
            shop = await self._shop_of(slug)
        except StoreUnavailable:
            if shop is None:
                raise
            return shop
        self._shops[slug] = (now, shop)
        return shop

    async def rehearsed(self, raw: bytes, sender: str, rules: Sequence[ShopRule]) -> dict[str, Any]:
        """What a mail from an envelope's sender would get under these rules, in JSON's types: the whole decision, and
        where its blocks would stand. Nothing is recorded."""
        heading = heading_of(raw, sender)
        found = await self._isolated(recognise, raw, sender, candidates(rules, heading), max_bytes=self._max_bytes)
        if not isinstance(found, Recognised):
            return {"reason": found.reason, "detail": UNCHANGED.get(found.reason, "")}
        passed = await self.recognised(raw, found, sole_address(heading.only("to")), dry_run=True)
        told: dict[str, Any] = {"reason": passed.reason, "detail": passed.detail}
        composed = passed.composed
        if composed is None:
            return told
        if not passed.reason and (blocks := _blocks(composed)):
            made = await self._isolated(placed_in_mail, raw, blocks, found.rule.place, signed_ok=found.signed)
            told["where"] = {} if isinstance(made, Passes) else made.where
        placed = [
            {name: one for name, one in p.as_json().items() if name != "url"} for p in composed.decision.placements
        ]
        skipped = [one.as_json() for one in composed.decision.skipped]
        return told | {"replayed": composed.replayed, "placements": placed, "skipped": skipped}

    async def not_sent(self, passed: Passed[bytes], why: str) -> None:
        """The mail goes out as it came after all: nothing was shown. Raises :class:`StoreError`."""
        composed = passed.composed
        if composed is None or not composed.message_id:
            return
        decision = composed.decision.without(
            {one.slot for one in composed.decision.placements}, "not_sent", f"{REASONS['not_sent']} ({why})"
        )
        row = NotShown(composed.shop.controller.id, composed.message_id, decision.to_json())
        await self._writer.write(recording.put_right, row)

    async def _mail(
        self,
        shop: Shop,
        raw: bytes,
        reader: str,
        context: Context,
        options: Options,
        found: Recognised | None = None,
    ) -> Passed[bytes]:
        """Without an Idempotency-Key the same mail to the same reader is the same request."""
        put = partial(put_into_mail, raw)
        facts: Mapping[str, str] = {}
        if found is not None:
            context = merged(context_of(found.rule, found.values), context)
            put = partial(put_into_mail, raw, place=found.rule.place, signed_ok=found.signed)
            facts = declared(found.rule)
        context = merged(context, {"customer": {"email": reader}})
        if options.idempotency_key is None:
            digest = hashlib.sha256(f"{reader}\n".encode() + raw).digest()
            options = replace(options, idempotency_key=f"mail-{digest.hex()}", request_hash=digest)
        return await self._passed(shop, raw, context, options, put, facts, len(raw))

    async def parts(self, shop: Shop, parts: Finished, context: Context, options: Options) -> Passed[Finished]:
        """The HTML and text of a mail that the caller goes on with; ``context`` is ``{type, customer, order?, …}``."""
        size = len(parts.html or "") + len(parts.text or "")
        return await self._passed(shop, parts, context, options, partial(put_into_parts, parts), {}, size)

    async def _passed(
        self,
        shop: Shop,
        given: T,
        context: Context,
        options: Options,
        put: Callable[..., T | Passes],
        facts: Mapping[str, str],
        size: int,
    ) -> Passed[T]:
        made: T | Passes = Passes("no_block")

        async def placed(composed: Composed) -> Composed:
            nonlocal made
            made, blocks = Passes("no_block"), _blocks(composed)
            if blocks is not None:
                made = await self._isolated(put, blocks=blocks)
                if isinstance(made, Passes):
                    return _without(composed, made)
            return composed

        if size > self._max_bytes:
            return Passed(given, "too_large", UNCHANGED["too_large"])
        try:
            letter = read_context(
                context,
                shop,
                options,
                catalogue=self._shelf.shops.get(shop.id),
                markets=self._markets,
                at=self._clock(),
            )
            composed = await self._compose(replace(letter, declared=facts), placed)
        except Refused as error:
            return Passed(given, "context", "; ".join(f"{one.pointer}: {one.detail}" for one in error.faults))
        except HandraiserError as error:
            log.warning("a finished mail passed unchanged", extra={"facts": {"error": type(error).__name__}})
            return Passed(given, "refused", str(error))
        except Exception as error:
            log.error("a finished mail passed unchanged", exc_info=error)
            return Passed(given, "failed", UNCHANGED["failed"])
        if composed.skipped_reason:
            return Passed(given, composed.skipped_reason, REASONS.get(composed.skipped_reason, ""), composed)
        if isinstance(made, Passes):
            return Passed(given, *_why(made, composed), composed)
        return Passed(made, composed=composed)

    async def _isolated(self, work: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return await self._workers.call(work, *args, **named)
        except TimeLimitExceeded:
            return Passes("time_limit", UNCHANGED["time_limit"])
        except IsolationError as error:
            return Passes("worker_died", str(error))


_CUSTOMER = {"customer_id": "id", "locale": "locale", "country": "country", "kind": "kind"}
_SOFT_OPT_IN = {"notice": "notice_at_collection", "similar": "similar_goods"}


def told_context(told: Mapping[str, str]) -> dict[str, Any]:
    """A query in the payload's words; what is wrong in it is found where payloads are read."""
    context: dict[str, Any] = {"customer": {ours: told[name] for name, ours in _CUSTOMER.items() if name in told}}
    if "type" in told:
        context["type"] = told["type"]
    if "order_id" in told:
        context["order"] = {"id": told["order_id"]}
    if facts := sorted({one.strip() for one in told.get("soft_opt_in", "").split(",")} - {""}):
        context["soft_opt_in"] = {_SOFT_OPT_IN.get(one, one): True for one in facts}
    return context


def merged(by_rule: Context, told: Context) -> dict[str, Any]:
    """What a rule read out, and over it what the sender said itself."""
    return {
        name: {**by_rule.get(name, {}), **told.get(name, {})} if name in ("customer", "order") else value
        for name, value in {**by_rule, **told}.items()
    }


def _reader(heading: Heading) -> str:
    """The one reader of a mail, as its headers tell; "" where there are more, or none can be told for sure."""
    return "" if heading.all("cc") or heading.all("bcc") else sole_address(heading.only("to"))


def _blocks(composed: Composed) -> Blocks | None:
    """What was decided to be shown, the ask last."""
    ordered = sorted(composed.decision.placements, key=lambda one: one.legal_class == "ask")
    slots = [composed.filled.slots[one.slot] for one in ordered]
    if not slots:
        return None
    brand = composed.shop.brand
    return Blocks(
        html="".join(html for html, _ in slots),
        text="\n\n".join(text.strip() for _, text in slots),
        background=brand.surface,
        color=brand.text,
        link_color=brand.primary,
        font=brand.font,
    )


def _without(composed: Composed, why: Passes) -> Composed:
    slots = {one.slot for one in composed.decision.placements}
    remedy = f"{REASONS['not_placed']} ({why.reason}{': ' if why.detail else ''}{why.detail})"
    return replace(composed, decision=composed.decision.without(slots, "not_placed", remedy))


def _why(made: Passes, composed: Composed) -> tuple[str, str]:
    """The word for a mail that goes on as it came: what spoke against the ask counts most."""
    if made.reason != "no_block" or not composed.decision.skipped:
        return made.reason, made.detail
    skips = composed.decision.skipped
    told = next((one for one in skips if one.slot == "ask"), skips[0])
    return told.reason, told.remedy
