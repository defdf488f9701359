"""What a template may read: the payload with amounts, dates and labels ready in the reader's language.

Every key is always there ("" , [] or None), so a template needs no test for what may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel import Locale
from babel.core import UnknownLocaleError

from handraiser.core.formats import Formats
from handraiser.core.payload import LINES_SHOWN, line_total, order_value, parts_of
from handraiser.core.shop import Shop

Words = Mapping[str, str]
Money = Callable[[Decimal | None], str]
_ONE = Decimal(1)


def view(email: Mapping[str, Any], shop: Shop, formats: Formats, words: Words) -> dict[str, Any]:
    """The context of one email; ``words`` maps English labels to the reader's language."""
    order = email["order"]
    money = formats.money_in(order["currency"])
    lines = order.get("lines", ())
    shown = lines[:LINES_SHOWN] if len(lines) > LINES_SHOWN and order.get("url") else lines
    names = {line[key]: line["name"] for line in lines for key in ("id", "sku") if line.get(key)}
    return {
        "shop": shop_view(shop),
        "locale": {"code": formats.code, "dir": formats.direction},
        "type": email["type"],
        "customer": _customer(email["customer"]),
        "order": {
            "id": order["id"],
            "number": order.get("number") or order["id"],
            "placed_at": formats.date(order.get("placed_at")),
            "url": order.get("url", ""),
            "currency": order["currency"],
            "lines": [_line(line, money, formats) for line in shown],
            "more": len(lines) - len(shown),
            "totals": _totals(email, money, formats, words),
            "total": money(order_value(email)),
            "payment_method": order.get("payment", {}).get("method", ""),
            "payment_instructions": order.get("payment", {}).get("instructions", ""),
            "customer_note": order.get("customer_note", ""),
            "shipping_address": address_lines(order.get("shipping_address"), formats.locale),
            "billing_address": address_lines(order.get("billing_address"), formats.locale),
            "prices_include_tax": order.get("prices_include_tax", False),
        },
        "shipments": [_shipment(shipment, names, formats) for shipment in email.get("shipments", ())],
        "pickup": _pickup(email.get("pickup"), formats),
        "refund": _refund(email.get("refund"), names, money, formats),
        "subscription": _subscription(email.get("subscription"), formats),
        "notices": [
            {"title": one["title"], "text": one.get("text", ""), "url": one.get("url", "")}
            for one in email.get("notices", ())
        ],
        "extra": email.get("extra"),
    }


@lru_cache(maxsize=256)
def _shop_view(shop: Shop) -> dict[str, Any]:
    return {
        "name": shop.name,
        "url": shop.url,
        "logo_url": shop.logo_url,
        "logo_width": str(shop.logo_width),
        "support_email": shop.support_email,
        "support_url": shop.support_url,
        "legal_name": shop.controller.legal_name or shop.controller.name,
        "address_lines": list(shop.controller.address_lines),
        "privacy_url": shop.controller.privacy_url,
        "brand": asdict(shop.brand),
    }


def shop_view(shop: Shop) -> dict[str, Any]:
    """What templates and pages may read of a shop."""
    return _shop_view(shop)


def _customer(customer: Mapping[str, Any]) -> dict[str, str]:
    name = customer.get("name") or " ".join(
        part for part in (customer.get("first_name"), customer.get("last_name")) if part
    )
    formal = (
        f"{customer['salutation']} {customer['last_name']}"
        if customer.get("salutation") and customer.get("last_name")
        else ""
    )
    return {
        "first_name": customer.get("first_name", ""),
        "last_name": customer.get("last_name", ""),
        "name": name,
        "company": customer.get("company", ""),
        "vat_id": customer.get("vat_id", ""),
        "greeting_name": customer.get("first_name") or formal or name,
        "email": customer["email"],
    }


_LINE: Mapping[str, Any] = dict.fromkeys(("unit", "image_url", "url", "kind", "sku"), "") | dict.fromkeys(
    ("options", "components", "downloads"), ()
)
"""A line that says nothing but its name."""


def _line(line: Mapping[str, Any], money: Money, formats: Formats) -> dict[str, Any]:
    shown = {
        **_LINE,
        **line,
        "quantity": formats.quantity(line.get("quantity", _ONE)),
        "unit_price": money(line.get("unit_price")),
        "total": money(line_total(line)),
    }
    if "components" in line:
        parts = list(parts_of(line))
        shown["components"] = [_component(part, formats) for part in parts]
        shown["downloads"] = [file for one in (line, *parts) for file in one.get("downloads", ())]
    return shown


def _component(part: Mapping[str, Any], formats: Formats) -> str:
    options = ", ".join(option["value"] for option in part.get("options", ()))
    return f"{formats.quantity(part.get('quantity', _ONE))} × {part['name']}" + (f" ({options})" if options else "")


class _Rows:
    """The amounts below the lines, each with its label in the reader's language."""

    def __init__(self, money: Money, words: Words) -> None:
        self.rows: list[dict[str, Any]] = []
        self._money, self._words = money, words

    def add(self, kind: str, label: str, amount: Decimal, *, fallback: str = "", strong: bool = False) -> None:
        shown = label or self._words.get(fallback) or fallback
        self.rows.append({"kind": kind, "label": shown, "amount": self._money(amount), "strong": strong})


def _totals(email: Mapping[str, Any], money: Money, formats: Formats, words: Words) -> list[dict[str, Any]]:
    """Every amount that leads from the lines to what is owed, in the order it is reckoned."""
    order = email["order"]
    out = _Rows(money, words)
    if "subtotal" in order:
        out.add("subtotal", "", order["subtotal"], fallback="Subtotal")
    discounts = order.get("discounts") or _single(order, "discount")
    for one in discounts:
        label = one["label"] or words.get("Discount") or "Discount"
        out.add("discount", f"{label} ({one['code']})" if one.get("code") else label, -abs(one["amount"]))
    for one in order.get("shipping_lines") or _single(order, "shipping"):
        out.add("shipping", one["label"], one["amount"], fallback="Shipping")
    for one in order.get("fees", ()):
        out.add("fee", one["label"], one["amount"], fallback="Fee")
    tax = "Tax included" if order.get("prices_include_tax") and not order.get("taxes") else "Tax"
    for one in order.get("taxes") or _single(order, "tax"):
        label = one["label"] or words.get(tax) or tax
        if "rate" in one and "%" not in label:
            label = f"{label} {formats.percent(one['rate'])}"
        out.add("tax", label, one["amount"])
    if (total := order_value(email)) is not None:
        out.add("total", "", total, fallback="Total", strong=True)
    for one in order.get("gift_cards", ()):
        digits = f" •••• {one['last4']}" if one.get("last4") else ""
        label = one["label"] or words.get("Gift card") or "Gift card"
        out.add("gift_card", f"{label}{digits}", -abs(one["amount"]))
    for kind, said in (("paid", "Paid"), ("due", "Amount due")):
        if kind in order:
            out.add(kind, "", order[kind], fallback=said, strong=kind == "due")
    return out.rows


def _single(order: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """One amount without a list of its parts, as such a list."""
    return [{"label": "", "amount": order[name]}] if name in order else []


def _shipment(shipment: Mapping[str, Any], names: Mapping[str, str], formats: Formats) -> dict[str, Any]:
    expected = shipment.get("estimated_delivery")
    if isinstance(expected, dict):
        expected_text = formats.span(expected["from"], expected["to"])
    else:
        expected_text = formats.date(expected)
    remaining = shipment.get("remaining")
    return {
        "parcels": [
            {
                "carrier": parcel.get("carrier", ""),
                "tracking_number": parcel.get("tracking_number", ""),
                "tracking_url": parcel.get("tracking_url", ""),
            }
            for parcel in shipment.get("parcels", ())
        ],
        "lines": _part_lines(shipment.get("lines", ()), names, lambda _: "", formats),
        "estimated_delivery": expected_text,
        "remaining": "" if remaining in (None, False, 0) else remaining if isinstance(remaining, str) else "1",
    }


def _part_lines(
    lines: Sequence[Mapping[str, Any]], names: Mapping[str, str], money: Money, formats: Formats
) -> list[dict[str, str]]:
    return [
        {
            "name": line.get("name")
            or names.get(line.get("id", ""))
            or names.get(line.get("sku", ""))
            or line.get("sku", ""),
            "quantity": formats.quantity(line.get("quantity", _ONE)),
            "total": money(line.get("total")),
        }
        for line in lines
    ]


def _pickup(pickup: Mapping[str, Any] | None, formats: Formats) -> dict[str, Any] | None:
    if pickup is None:
        return None
    return {
        "name": pickup["name"],
        "address": address_lines(pickup.get("address"), formats.locale),
        "hours": pickup.get("hours", ""),
        "code": pickup.get("code", ""),
        "ready_until": formats.moment(pickup.get("ready_until")),
    }


def _refund(
    refund: Mapping[str, Any] | None, names: Mapping[str, str], money: Money, formats: Formats
) -> dict[str, Any] | None:
    if refund is None:
        return None
    return {
        "amount": money(refund["amount"]),
        "reason": refund.get("reason", ""),
        "method": refund.get("method", ""),
        "lines": _part_lines(refund.get("lines", ()), names, money, formats),
    }


def _subscription(subscription: Mapping[str, Any] | None, formats: Formats) -> dict[str, str] | None:
    if subscription is None:
        return None
    return {
        "id": subscription["id"],
        "next_at": formats.date(subscription.get("next_at")),
        "interval": subscription.get("interval", ""),
    }


_POSTCODE_AFTER_CITY = frozenset({"US", "CA", "AU", "GB", "IE", "NZ", "IN"})


def address_lines(address: Mapping[str, Any] | None, locale: Locale) -> list[str]:
    """An address as it is written in its country, with the country's name in the reader's language."""
    if not address:
        return []
    country = address.get("country", "")
    city, region, postcode = (address.get(name, "") for name in ("city", "region", "postcode"))
    if country in _POSTCODE_AFTER_CITY:
        place = " ".join(part for part in (", ".join(part for part in (city, region) if part), postcode) if part)
    else:
        place = " ".join(part for part in (postcode, city) if part) + (f", {region}" if region else "")
    lines = [address.get("name", ""), address.get("company", ""), *address.get("lines", ()), place]
    return [line for line in (*lines, _country_name(country, locale)) if line]


@lru_cache(maxsize=2048)
def _country_name(country: str, locale: Locale) -> str:
    try:
        return str(locale.territories.get(country, country))
    except UnknownLocaleError:
        return country
