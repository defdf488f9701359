"""One request, read: everything about an email that does not depend on what the store knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handraiser.core import mailbox, payload
from handraiser.core.block import nearest
from handraiser.core.catalogue import ShopCatalogue
from handraiser.core.formats import formats_of
from handraiser.core.market import Market, Markets
from handraiser.core.shop import Shop
from handraiser.core.view import Words, view
from handraiser.errors import Fault, PayloadRefused


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

    ``blocks_only`` says that the mail around the blocks is not ours: no page is filled, no header set.
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

    @property
    def customer_id(self) -> str | None:
        """The shop's own id of the reader; None for a guest, and for a reader who is not the customer."""
        found: str | None = None if self.to_other else self.email["customer"].get("id")
        return found

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
