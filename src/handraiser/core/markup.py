"""schema.org markup for mail readers: Order and ParcelDelivery as JSON-LD, made by code, never by a template.

Fields as Gmail documents them for emails about orders and parcels; where one that Gmail requires is unknown, nothing
is said rather than something made up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from handraiser.core.payload import line_names, line_total, order_value
from handraiser.core.shop import Shop

_STATUS = {
    "order_confirmation": "OrderProcessing",
    "payment_pending": "OrderPaymentDue",
    "shipping_confirmation": "OrderInTransit",
    "out_for_delivery": "OrderInTransit",
    "ready_for_pickup": "OrderPickupAvailable",
    "delivered": "OrderDelivered",
    "order_cancelled": "OrderCancelled",
    "return_received": "OrderReturned",
    "subscription_renewal": "OrderProcessing",
}
_PARCEL_TYPES = frozenset({"shipping_confirmation", "out_for_delivery", "delivered", "delayed"})
_OFFERS = 20
_NAMES = 5
_NAME_LIMIT = 150
_ONE = Decimal(1)
_json = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii


def json_ld(email: Mapping[str, Any], shop: Shop) -> str:
    """A ``<script type="application/ld+json">`` element, or "" where there is nothing to say."""
    markup = _parcels(email, shop) if email["type"] in _PARCEL_TYPES else []
    if not markup and email["type"] in _STATUS:
        markup = _order(email, shop)
    if not markup:
        return ""
    text = markup[0] if len(markup) == 1 else f"[{','.join(markup)}]"
    # ASCII without "<" cannot end the element, whatever stands in a name.
    return '<script type="application/ld+json">' + text.replace("<", "\\u003c") + "</script>"


def _order(email: Mapping[str, Any], shop: Shop) -> list[str]:
    """The order, or nothing where its price or what was bought is unknown: Gmail requires both."""
    order = email["order"]
    total = order_value(email)
    offers = [_offer(line, order["currency"]) for line in order.get("lines", ())[:_OFFERS]]
    if total is None or not offers:
        return []
    url = f',"url":{_quoted(order["url"])}' if order.get("url") else ""
    placed = f',"orderDate":"{order["placed_at"].isoformat()}"' if "placed_at" in order else ""
    told = (
        f'{_named_order(order, shop)[:-1]},"@context":"http://schema.org",'
        f'"orderStatus":"http://schema.org/{_STATUS[email["type"]]}","priceCurrency":"{order["currency"]}",'
        f'"price":"{_plain(total)}"{url}{placed},"acceptedOffer":[{",".join(offers)}]}}'
    )
    return [told]


def _named_order(order: Mapping[str, Any], shop: Shop) -> str:
    return (
        f'{{"@type":"Order","merchant":{{"@type":"Organization","name":{_quoted(shop.name)}}},'
        f'"orderNumber":{_quoted(order.get("number") or order["id"])}}}'
    )


def _offer(line: Mapping[str, Any], currency: str) -> str:
    """One line as JSON, written out: of all that is said here, only this is repeated for every line."""
    image = f',"image":{_quoted(line["image_url"])}' if line.get("image_url") else ""
    price = line["unit_price"] if "unit_price" in line else line_total(line)
    return (
        f'{{"@type":"Offer","itemOffered":{{"@type":"Product","name":{_quoted(line["name"][:_NAME_LIMIT])}{image}}},'
        f'"priceCurrency":"{currency}","eligibleQuantity":{{"@type":"QuantitativeValue",'
        f'"value":"{_plain(line.get("quantity", _ONE))}"}}'
        + ("}" if price is None else f',"price":"{_plain(price)}"}}')
    )


def _parcels(email: Mapping[str, Any], shop: Shop) -> list[str]:
    """One ParcelDelivery a parcel; Gmail wants an address and an arrival, without them the order is told instead."""
    order = email["order"]
    address = _address(order.get("shipping_address") or {})
    names = line_names(email)
    markup = []
    for shipment in email.get("shipments", ()):
        expected = shipment.get("estimated_delivery")
        if expected is None or address is None:
            continue
        first, last = (expected["from"], expected["to"]) if isinstance(expected, dict) else (None, expected)
        inside = [
            line.get("name") or names.get(line.get("id")) or names.get(line.get("sku"))
            for line in shipment.get("lines", ())
        ] or [line["name"] for line in order.get("lines", ())]
        for parcel in shipment.get("parcels", ()):
            one: dict[str, Any] = {
                "@context": "http://schema.org",
                "@type": "ParcelDelivery",
                "carrier": {"@type": "Organization", "name": parcel.get("carrier") or shop.name},
                "deliveryAddress": address,
                "expectedArrivalUntil": last.isoformat(),
                "itemShipped": {"@type": "Product", "name": ", ".join(filter(None, inside[:_NAMES]))[:_NAME_LIMIT]},
            }
            if first is not None:
                one["expectedArrivalFrom"] = first.isoformat()
            for name, key in (("trackingNumber", "tracking_number"), ("trackingUrl", "tracking_url")):
                if parcel.get(key):
                    one[name] = parcel[key]
            markup.append(f'{_json(one)[:-1]},"partOfOrder":{_named_order(order, shop)}}}')
    return markup


def _address(address: Mapping[str, Any]) -> dict[str, str] | None:
    """A postal address with what is known of it; None without street, city or country."""
    if not address.get("lines") or not address.get("city") or not address.get("country"):
        return None
    known = {
        "streetAddress": ", ".join(address["lines"]),
        "addressLocality": address["city"],
        "addressRegion": address.get("region", ""),
        "addressCountry": address["country"],
        "postalCode": address.get("postcode", ""),
    }
    return {"@type": "PostalAddress", **{name: value for name, value in known.items() if value}}


def _plain(number: Decimal) -> str:
    text = str(number)
    return text if "E" not in text else format(number, "f")
