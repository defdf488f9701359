"""Story 6: companies, shops and keys; what the operator says on the command line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any
from zoneinfo import available_timezones

from babel.core import Locale as BabelLocale
from babel.core import UnknownLocaleError

from handraiser.core.market import read_overrides
from handraiser.core.order_links import OrderLinks
from handraiser.core.shop import Brand, Controller, Mode, Shop
from handraiser.errors import Fault, NotFound, Refused
from handraiser.store import access, shops
from handraiser.store.access import ApiKey
from handraiser.store.database import Database
from handraiser.store.writer import Writer

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")
_URL = re.compile(r"https?://[^\s<>\"'`{}|\\^]+")
_EMAIL = re.compile(r"[^\s@<>()\[\]\\,;:\"]{1,64}@[^\s@<>()\[\]\\,;:\"]{1,255}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_FONT = re.compile(r"[A-Za-z0-9 ,'-]{1,200}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_GIVEN_BY_US = {"controller", "id", "number", "market_overrides", "rates", "link_generation"}


class Govern:
    """Adds and changes companies, shops and API keys."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
        origin: str,
        order_links: OrderLinks,
    ) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._new_id = new_id
        self._origin = origin
        self._order_links = order_links

    async def add_shop(self, source: str, **given: Any) -> Shop:
        """Add a shop described in TOML with its ``[controller]``, or change the one of the same slug.

        ``given`` wins over the text. Raises :class:`Refused` that names every fault at once.
        """
        try:
            described = tomllib.loads(source)
        except tomllib.TOMLDecodeError as error:
            raise Refused([Fault("", "not_toml", str(error))]) from None
        described = {"link_base": self._origin, **described, **given}
        owner = described.pop("controller", None)
        faults: list[Fault] = []
        controller = read_controller(owner, faults)
        shop = read_shop(described, controller, faults)
        if faults:
            raise Refused(faults)
        known = await shops.controller_by_slug(self._database, controller.slug)
        controller = replace(controller, id=known.id if known else self._new_id(self._clock()))
        old = await shops.by_slug(self._database, shop.slug)
        if old is not None and old.controller.id != controller.id:
            raise Refused([Fault("slug", "taken", "another company has a shop of this slug")])
        shop = replace(
            shop,
            controller=controller,
            id=old.id if old else self._new_id(self._clock()),
            number=old.number if old else 0,
            link_generation=old.link_generation if old else 1,
        )
        await self._writer.write(shops.add_controllers, controller)
        kept: Shop = await self._writer.write(shops.add_shops, shop)
        return kept

    async def set_mode(self, slug: str, mode: Mode) -> Shop:
        """Switch a shop ``off``, to ``observe`` or ``on``; raises :class:`NotFound`."""
        shop = await self.shop(slug)
        await self._writer.write(shops.set_mode, (shop.controller.id, shop.id, mode))
        return replace(shop, mode=mode)

    async def shop(self, slug: str) -> Shop:
        """The shop of this slug; raises :class:`NotFound`."""
        shop = await shops.by_slug(self._database, slug)
        if shop is None:
            raise NotFound(f"there is no shop “{slug}”")
        return shop

    async def link_secret(self, slug: str, *, rotate: bool = False) -> str:
        """What the shop's own mail template signs links with. ``rotate`` makes a new one; the last one stays good until
        the next time. Raises :class:`NotFound`."""
        shop = await self.shop(slug)
        if rotate:
            shop = await self._writer.write(shops.add_shops, replace(shop, link_generation=shop.link_generation + 1))
        return self._order_links.secret(shop)

    async def add_key(
        self, slug: str, scopes: Sequence[str] = ("emails",), *, test: bool = False, name: str = ""
    ) -> str:
        """A new key for a shop, as text; only its hash is kept. Raises :class:`Refused` for an unknown scope."""
        shop = await self.shop(slug)
        try:
            text, key = access.make(
                controller_id=shop.controller.id,
                shop_id=shop.id,
                name=name,
                scopes=scopes,
                test=test,
                now=self._clock(),
            )
        except ValueError as error:
            raise Refused([Fault("scopes", "unknown_scope", str(error))]) from None
        await self._writer.write(access.add, key)
        return text

    async def find_key(self, key_id: str) -> tuple[ApiKey, Shop] | None:
        """A live shop key with its shop, for the door that checks it."""
        key = await access.find(self._database, key_id)
        if key is None or key.controller_id is None or key.shop_id is None:
            return None
        async with self._database.reading() as session:
            found = await shops.get(session, [(key.controller_id, key.shop_id)])
        return (key, found[0]) if found[0] else None

    async def live_keys(self, most: int) -> list[tuple[ApiKey, Shop]]:
        """Live shop keys with their shops, those that were used last first, at most so many."""
        async with self._database.reading() as session:
            keys, found = await access.list_keys(session), await shops.list_shops(session)
        by_id = {(shop.controller.id, shop.id): shop for shop in found}
        live = [key for key in keys if key.revoked_at is None and (key.controller_id, key.shop_id) in by_id]
        live.sort(key=lambda key: key.last_used_at or key.created_at, reverse=True)
        return [(key, by_id[key.controller_id or b"", key.shop_id or b""]) for key in live[:most]]

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, answered in JSON's types."""
        match name:
            case "shops.add":
                return _shop_json(await self.add_shop(arguments["source"]))
            case "shops.list":
                return [_shop_line(shop) for shop in await shops.list_shops(self._database)]
            case "shops.show":
                return _shop_json(await self.shop(arguments["slug"]))
            case "shops.mode":
                shop = await self.set_mode(arguments["slug"], arguments["mode"])
                return f"{shop.slug} is now {shop.mode}"
            case "shops.link_secret":
                return {"secret": await self.link_secret(arguments["slug"], rotate=arguments["rotate"])}
            case "keys.add":
                key = await self.add_key(
                    arguments["slug"], arguments["scopes"], test=arguments["test"], name=arguments["name"]
                )
                return {"key": key}
            case "keys.list":
                return [_key_line(key) for key in await access.list_keys(self._database)]
            case "keys.revoke":
                if not await self._writer.write(access.revoke, (arguments["key_id"], self._clock())):
                    raise NotFound("there is no live key of this id")
                return "revoked"
            case _:
                raise NotFound(f"there is no command “{name}”")


def read_controller(described: Any, faults: list[Fault]) -> Controller:
    """A company (without its id) from its TOML table; what is wrong goes to ``faults``."""
    if not isinstance(described, dict):
        described = {}
    values = _read(described, Controller, "controller.", faults)
    _slug(values, "controller.", faults)
    if values.get("country") and not _COUNTRY.fullmatch(values["country"]):
        faults.append(Fault("controller.country", "bad_value", "a country code such as NL"))
    if values.get("privacy_url") and not _URL.fullmatch(values["privacy_url"]):
        faults.append(Fault("controller.privacy_url", "bad_value", "an address such as https://shop.example/privacy"))
    return Controller(id=b"", **values)


def read_shop(described: dict[str, Any], controller: Controller, faults: list[Fault]) -> Shop:
    """A shop (without its id and number) from its TOML tables; what is wrong goes to ``faults``."""
    described = dict(described)
    brand = described.pop("brand", {})
    overrides = read_overrides(described.pop("market_overrides", []), faults)
    rates = read_rates(described.pop("rates", {}), faults)
    if not isinstance(brand, dict):
        faults.append(Fault("brand", "wrong_type", "a table"))
        brand = {}
    colours = _read(brand, Brand, "brand.", faults)
    for name, value in colours.items():
        if not (_FONT if name == "font" else _COLOUR).fullmatch(value):
            faults.append(Fault(f"brand.{name}", "bad_value", "a colour such as #1f4d3a, or names of fonts"))
    values = _read(described, Shop, "", faults)
    _slug(values, "", faults)
    _check_shop(values, faults)
    locales = values.setdefault("locales", ("en",)) or ("en",)
    values.setdefault("default_locale", locales[0])
    if values["default_locale"] not in locales:
        faults.append(Fault("default_locale", "bad_value", "one of locales"))
    whole = {"brand": Brand(**colours), "market_overrides": overrides, "rates": rates, **values}
    return Shop(controller=controller, id=b"", number=0, **whole)


def read_rates(described: Any, faults: list[Fault]) -> tuple[tuple[str, str], ...]:
    """What one unit of each currency is worth in the shop's own; what is wrong goes to ``faults``."""
    rates = described if isinstance(described, dict) else {"": ""}
    for name, rate in rates.items():
        if not _CURRENCY.fullmatch(name) or not isinstance(rate, str) or not _RATE.fullmatch(rate) or not float(rate):
            faults.append(
                Fault(f"rates.{name}", "bad_value", 'a currency and its worth as a text, such as USD = "0.92"')
            )
    return tuple(sorted((str(name), str(rate)) for name, rate in rates.items()))


def _slug(values: dict[str, Any], place: str, faults: list[Fault]) -> None:
    if not _SLUG.fullmatch(values.setdefault("slug", "")):
        faults.append(Fault(f"{place}slug", "bad_value", "1 to 40 of a-z, 0-9 and -"))
    if not values.setdefault("name", "").strip():
        faults.append(Fault(f"{place}name", "missing", "the name that customers know"))


def _read(described: dict[str, Any], noun: type, place: str, faults: list[Fault]) -> dict[str, Any]:
    """The known values of the right type; lists become tuples."""
    types = {one.name: str(one.type) for one in fields(noun) if one.name not in _GIVEN_BY_US}
    values: dict[str, Any] = {}
    for name, value in described.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(types))}"
            faults.append(Fault(f"{place}{name}", "unknown_field", f"there is no such field{hint}"))
        elif types[name].startswith("tuple"):
            if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
                values[name] = tuple(value)
            else:
                faults.append(Fault(f"{place}{name}", "wrong_type", "a list of texts"))
        elif type(value) is not {"int": int, "bool": bool}.get(types[name], str):
            faults.append(
                Fault(
                    f"{place}{name}",
                    "wrong_type",
                    {"int": "a number", "bool": "true or false"}.get(types[name], "a text"),
                )
            )
        elif isinstance(value, str) and _CONTROL.search(value):
            faults.append(Fault(f"{place}{name}", "bad_value", "one line without control characters"))
        else:
            values[name] = value
    return values


def _check_shop(values: dict[str, Any], faults: list[Fault]) -> None:
    wanted: dict[str, tuple[re.Pattern[str], str]] = {
        "mode": (re.compile("off|observe|on"), "off, observe or on"),
        "link_base": (_ORIGIN, "an origin such as https://mail.shop.example"),
        "default_country": (_COUNTRY, "a country code such as NL"),
        "currency": (_CURRENCY, "a currency such as EUR"),
        **dict.fromkeys(("url", "logo_url", "support_url"), (_URL, "an address such as https://shop.example/help")),
        **dict.fromkeys(("sender_address", "reply_to", "support_email"), (_EMAIL, "an address such as a@shop.example")),
    }
    for name, (pattern, meant) in wanted.items():
        if values.get(name) and not pattern.fullmatch(values[name]):
            faults.append(Fault(name, "bad_value", meant))
    if values.get("time_zone", "UTC") not in available_timezones():
        faults.append(Fault("time_zone", "bad_value", "a name such as Europe/Amsterdam"))
    if not 1 <= values.get("logo_width", 160) <= 600:
        faults.append(Fault("logo_width", "bad_value", "pixels from 1 to 600"))
    if not 0 <= values.get("fresh_days", 0) <= 365:
        faults.append(Fault("fresh_days", "bad_value", "days from 0 to 365; 0 demands nothing"))
    if values.get("locales") == ():
        faults.append(Fault("locales", "missing", "at least one language"))
    faults += [
        Fault("locales", "bad_value", f"“{locale}” is no language tag such as de-AT")
        for locale in values.get("locales", ())
        if not _is_locale(locale)
    ]


def _is_locale(text: str) -> bool:
    try:
        BabelLocale.parse(text, sep="-")
    except (ValueError, UnknownLocaleError):
        return False
    return True


def _shop_line(shop: Shop) -> dict[str, Any]:
    return {
        "slug": shop.slug,
        "name": shop.name,
        "company": shop.controller.slug,
        "mode": shop.mode,
        "locales": ",".join(shop.locales),
        "link_base": shop.link_base,
    }


def _shop_json(shop: Shop) -> dict[str, Any]:
    owner = shop.controller
    return {
        "slug": shop.slug,
        "name": shop.name,
        "number": shop.number,
        "mode": shop.mode,
        "company": {"slug": owner.slug, "name": owner.name, "legal_name": owner.legal_name, "country": owner.country},
        **shop.settings_json(),
    }


def _key_line(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": ",".join(sorted(key.scopes)),
        "test": key.test,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
