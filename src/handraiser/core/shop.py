"""The two nouns everything hangs on: the controller that answers for consent, and the shop (brand) that sends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from handraiser.core.market import Override

Mode = Literal["off", "observe", "on"]


@dataclass(frozen=True, slots=True)
class Controller:
    """The legal entity that answers for consent (GDPR Art. 4(7)); it owns one or more shops.

    ``privacy_version`` names the privacy policy in force behind ``privacy_url``; each entry of the ledger keeps it.
    """

    id: bytes
    slug: str
    name: str
    legal_name: str = ""
    address_lines: tuple[str, ...] = ()
    email: str = ""
    phone: str = ""
    privacy_url: str = ""
    privacy_version: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Brand:
    """How a shop looks: CSS colours (``#rrggbb``) and a font stack."""

    primary: str = "#1f4d3a"
    on_primary: str = "#ffffff"
    accent: str = "#b4541f"
    background: str = "#f4f2ee"
    surface: str = "#ffffff"
    text: str = "#22262a"
    muted: str = "#5c636b"
    border: str = "#dedad2"
    font: str = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Shop:
    """A brand that sends mail.

    ``number`` (1 to 2^24-1) stands in link tokens; ``mode`` is ``off`` (nothing inserted), ``observe`` (everything
    decided and counted, nothing inserted) or ``on``. ``link_base`` is the origin of its customer pages, without a
    trailing slash. ``honeypot`` puts a link that only programs see into the page of an ask. ``fresh_days`` is the
    market's switch of that name for all countries of this shop; the shorter of both counts, 0 demands nothing.
    ``link_generation`` counts the secrets that its own mail template was given to sign links with. ``currency`` is what
    reports of revenue are in, ``rates`` what one unit of another currency is worth in it.
    """

    controller: Controller
    id: bytes
    number: int
    slug: str
    name: str
    link_base: str
    url: str = ""
    mode: Mode = "on"
    sender_name: str = ""
    sender_address: str = ""
    reply_to: str = ""
    logo_url: str = ""
    logo_width: int = 160
    brand: Brand = field(default_factory=Brand)
    time_zone: str = "UTC"
    locales: tuple[str, ...] = ("en",)
    default_locale: str = "en"
    default_country: str = ""
    support_email: str = ""
    support_url: str = ""
    fail_open: bool = True
    market_overrides: tuple[Override, ...] = ()
    honeypot: bool = False
    link_generation: int = 1
    fresh_days: int = 0
    currency: str = ""
    rates: tuple[tuple[str, str], ...] = ()

    def settings_json(self) -> dict[str, Any]:
        """What the store keeps of a shop beside its ids, slug, name and mode."""
        kept = asdict(self)
        for name in ("controller", "id", "number", "slug", "name", "mode"):
            del kept[name]
        return kept

    @classmethod
    def from_settings(
        cls,
        controller: Controller,
        shop_id: bytes,
        number: int,
        slug: str,
        name: str,
        mode: Mode,
        settings: dict[str, Any],
    ) -> Shop:
        """Rebuild a shop from a stored row; the inverse of :meth:`settings_json`."""
        rest = dict(settings)
        brand = Brand(**rest.pop("brand", {}))
        overrides = tuple(map(Override.from_json, rest.pop("market_overrides", ())))
        rest["locales"] = tuple(rest.get("locales", ("en",)))
        rest["rates"] = tuple((name, rate) for name, rate in rest.get("rates", ()))
        return cls(
            controller=controller,
            id=shop_id,
            number=number,
            slug=slug,
            name=name,
            mode=mode,
            brand=brand,
            market_overrides=overrides,
            **rest,
        )
