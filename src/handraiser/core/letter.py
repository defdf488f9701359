"""One request, read: everything about an email that does not depend on what the store knows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from functools import lru_cache
from typing import Any

from handraiser.core import mailbox, payload
from handraiser.core.block import Promise, nearest
from handraiser.core.catalogue import ShopCatalogue
from handraiser.core.formats import formats_of
from handraiser.core.market import LOCKED_LINE, Market, Markets
from handraiser.core.shop import Shop
from handraiser.core.value import dataclass
from handraiser.core.view import Words, view
from handraiser.errors import Fault, PayloadRefused

WEB, PRINT = "web:", "print:"
"""What the touchpoints begin with that are pages of the shop, and pieces of paper."""
OUTSIDE_MAIL = (WEB, PRINT)
WEB_PAGE = "order_confirmation"
"""The email in whose page the blocks of a shop's web pages are compiled; only their words and links are shown there."""
_DAY_MS = 86_400_000
_NOT_ON_PAGES = frozenset({"to", "template", "subject"})
_PRINTED = frozenset({"packing_slip"})


@dataclass(frozen=True, slots=True)
class Options:
    """How one email is to be made.

    ``request_hash`` says which requests are the same (SHA-256, 32 bytes); ``fail_open`` None is the shop's own choice.
    """

    dry_run: bool = False
    strict: bool = False
    test: bool = False
    fail_open: bool | None = None
    idempotency_key: str | None = None
    request_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Letter:
    """What one request asks for: ``address`` is who reads the mail, ``at`` when it came (ms).

    ``blocks_only`` says that the mail around the blocks is not ours: no page is filled, no header set. ``declared``
    is who answers for the soft opt-in facts of a rule.
    """

    shop: Shop
    options: Options
    email: dict[str, Any]
    warnings: tuple[Fault, ...]
    catalogue: ShopCatalogue
    template: str
    locale: str
    market: Market
    country: str
    at: int
    address: str
    touchpoint: str
    blocks_only: bool = False
    declared: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_page(self) -> bool:
        """Whether it is a page of the shop or a piece of paper, and no mail."""
        return self.touchpoint.startswith(OUTSIDE_MAIL)

    @property
    def live_sale(self) -> bool:
        """Whether it is about a live sale, or a page that the customer came to: only there anybody is asked."""
        return self.on_page or self.email["type"] in payload.LIVE_SALE

    @property
    def customer_id(self) -> str | None:
        """The shop's own id of the reader; None for a guest, and for a reader who is not the customer."""
        found: str | None = None if self.to_other else self.email["customer"].get("id")
        return found

    @property
    def told_apart(self) -> dict[str, Any]:
        """What reports tell customers apart by and no other column of a message holds, where it is known."""
        found = {
            "purchase_type": self.email["order"].get("purchase_type"),
            "segments": sorted(set(self.email["customer"].get("segments", ()))),
        }
        return {name: value for name, value in found.items() if value}

    @property
    def fail_open(self) -> bool:
        """Whether the email goes out, without asks, while the store is away."""
        return self.shop.fail_open if self.options.fail_open is None else self.options.fail_open

    @property
    def to_other(self) -> bool:
        """Whether somebody other than the buyer reads the mail."""
        if "to" not in self.email:
            return False
        buyer = mailbox.normalise_address(self.email["customer"]["email"])
        return mailbox.normalise_address(self.email["to"]) != buyer


def read_letter(
    body: object, shop: Shop, options: Options, *, catalogue: ShopCatalogue | None, markets: Markets, at: int
) -> Letter:
    """Read a payload for a shop.

    Raises :class:`PayloadRefused` when a receipt cannot be written from it, under ``strict`` for any warning.
    """
    reading = payload.read_email(body, shop=shop)
    email, warnings = reading.email, list(reading.warnings)
    locale = _locale(shop, email, warnings)
    template = email.get("template") or email["type"]
    if catalogue is None or (template, locale) not in catalogue.pages:
        if catalogue is None or (email["type"], locale) not in catalogue.pages:
            raise PayloadRefused([Fault("/type", "no_template", "this shop has no template for this type"), *warnings])
        warnings.append(Fault("/template", "no_template", "the shop has no such template; the type's own was used"))
        template = email["type"]
    if options.strict and warnings:
        raise PayloadRefused(warnings)
    countries = payload.countries(email)
    return Letter(
        shop=shop,
        options=options,
        email=email,
        warnings=tuple(warnings),
        catalogue=catalogue,
        template=template,
        locale=locale,
        market=markets.under(shop.market_overrides).strictest(countries, shop.default_country),
        country=next(iter(countries), shop.default_country),
        at=at,
        address=payload.addressee(email),
        touchpoint=f"email:{email['type']}",
    )


def read_context(
    context: Mapping[str, Any],
    shop: Shop,
    options: Options,
    *,
    catalogue: ShopCatalogue | None,
    markets: Markets,
    at: int,
) -> Letter:
    """What is known of a mail that is finished already, in the payload's own words: ``{type, customer, order?, …}``;
    of the order any part may be missing.

    Raises :class:`PayloadRefused` without a type that the shop has a template for, or without an address.
    """
    given = context.get("order")
    told: Mapping[str, Any] = given if isinstance(given, dict) else {}
    letter = read_letter(
        {**context, "order": {"id": "-", "currency": "EUR", "total": 0, **told}},
        shop,
        options,
        catalogue=catalogue,
        markets=markets,
        at=at,
    )
    order = letter.email["order"]
    for name in ("id", "currency"):
        if name not in told:
            order[name] = ""
    if not told.keys() >= {"total", "currency"}:
        order.pop("total", None)
    return replace(letter, blocks_only=True)


def read_view(
    body: object,
    shop: Shop,
    place: str,
    options: Options,
    *,
    catalogue: ShopCatalogue | None,
    markets: Markets,
    at: int,
) -> Letter:
    """Read what a page of the shop (``place``: ``thank_you``, ``account`` …) or a ``packing_slip`` tells of its reader:
    the customer, and the order where there is one, which a slip must have. Without an Idempotency-Key the same order's
    view is the same view, without an order the same day's: a page that is loaded again asks nobody twice.

    Raises :class:`PayloadRefused` like :func:`read_letter`.
    """
    given = payload.parse(body) if isinstance(body, bytes) else body
    if not isinstance(given, dict):
        raise PayloadRefused([Fault("", "wrong_type", "send a JSON object")])
    order, stand_ins = given.get("order", {}), {"id": "-"}
    if isinstance(order, dict):
        if not order.get("lines") and order.get("total") is None:
            stand_ins |= {"currency": "EUR", "total": "0"}
        stand_ins = {name: value for name, value in stand_ins.items() if order.get(name) in (None, "")}
        order = {**order, **stand_ins}
    kept = {name: value for name, value in given.items() if name not in _NOT_ON_PAGES}
    full = {**kept, "type": WEB_PAGE, "order": order}
    letter = read_letter(full, shop, options, catalogue=catalogue, markets=markets, at=at)
    order = {
        name: value for name, value in letter.email["order"].items() if name not in stand_ins.keys() - {"currency"}
    }
    order.setdefault("id", "")
    if place in _PRINTED and not order["id"]:
        raise PayloadRefused([Fault("/order/id", "missing", "a packing slip goes with an order")])
    if options.idempotency_key is None:
        what = order["id"] or str(at // _DAY_MS)
        whom = mailbox.normalise_address(letter.address)
        same = hashlib.sha256("\0".join((place, what, whom, letter.locale, str(options.test))).encode()).digest()
        options = replace(options, idempotency_key=f"{WEB}{same.hex()}", request_hash=same)
    return replace(
        letter,
        options=options,
        email={**letter.email, "type": place, "order": order},
        market=letter.market.on_page,
        touchpoint=f"{PRINT if place in _PRINTED else WEB}{place}",
        blocks_only=True,
    )


def ask_view(letter: Letter, wording: str, url: str, leave: str, words: Words) -> dict[str, Any]:
    """What an ask's block may read: the promise as its wording (JSON) keeps it; ``words`` are of that language.

    Whoever looks at a page need not own the mailbox, so no link that ends all of its consents is handed out there.
    """
    promise = _promise_in(wording)
    told = {
        "what": promise.what,
        "frequency": promise.frequency,
        "benefit": promise.benefit,
        "button": promise.button,
    }
    line = words.get(LOCKED_LINE) or LOCKED_LINE if letter.market.needs_line else ""
    decline = f"{url}?no"
    never = decline if letter.on_page else leave
    return {"url": url, "decline_url": decline, "never_url": never, "promise": told, "market_line": line}


@lru_cache(maxsize=512)
def _promise_in(wording: str) -> Promise:
    return Promise(**json.loads(wording)["promise"])


def view_of(letter: Letter, words: Words) -> dict[str, Any]:
    """What the letter's template may read, in its language."""
    return view(letter.email, letter.shop, formats_of(letter.locale, letter.shop.time_zone), words)


def _locale(shop: Shop, email: Mapping[str, Any], warnings: list[Fault]) -> str:
    """The shop's language nearest to the customer's; the shop's default where it has none."""
    wanted = email["customer"].get("locale")
    if not wanted:
        return shop.default_locale
    offered = dict.fromkeys(shop.locales)
    found = nearest(offered, wanted, shop.default_locale)
    if found.partition("-")[0] != wanted.partition("-")[0]:
        detail = f"the shop does not write {wanted}; {found} was used"
        warnings.append(Fault("/customer/locale", "locale_not_offered", detail))
    return found
