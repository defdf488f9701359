"""An order as an order system tells it where no email goes through us: the whole of it, as it stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

from handraiser.core import payload
from handraiser.core.payload_values import Amount, Moment
from handraiser.core.shop import Shop
from handraiser.errors import Fault, Malformed, PayloadRefused

Status = Literal["placed", "paid", "shipped", "delivered", "cancelled", "refunded"]
CANCELLED = "cancelled"
"""The one status in which an order does not count as bought."""

_OWN: Mapping[str, TypeAdapter[Any]] = {
    "status": TypeAdapter(Status),
    "refunded": TypeAdapter(Amount),
    "version": TypeAdapter(Annotated[int, Field(strict=True, ge=1, le=2**53)]),
    "updated_at": TypeAdapter(Moment),
    "kind": TypeAdapter(Literal["live", "historical"]),
}
_MEANT = {
    "status": f"one of {', '.join(get_args(Status))}",
    "refunded": "all that was paid back so far, such as 19.90",
    "version": "a whole number from 1 that grows with every change",
    "updated_at": "a moment such as 2026-11-24T09:30:00+01:00",
    "kind": "live or historical",
}
_FOR_MAIL = frozenset({"many_lines"})
"""Warnings that are about an email."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One order as it stands. Amounts in minor units of ``currency``, times in ms UTC; "" and None stand for unknown.

    Of two records of an order the one with the higher ``version`` counts; history that names none has 0. ``kind`` is
    ``new`` or ``current`` where the shop says so. ``facts`` is what an ask may depend on: no name and no address.
    """

    order_id: str
    address: str
    customer_id: str | None
    placed_at: int
    version: int
    value_minor: int | None
    refunded_minor: int
    currency: str
    status: str
    channel: str
    purchase_type: str
    country: str
    kind: str
    historical: bool
    facts: Mapping[str, Any]
    warnings: tuple[Fault, ...]


def read_order(body: object, shop: Shop, now: int) -> OrderRecord:
    """Read one order, as leniently as an email's payload; ``now`` (ms) is when it came.

    Raises :class:`PayloadRefused` where there is no customer's address, order id, currency or value, or, of history, no
    ``order.placed_at``; :class:`Malformed` for what is no object.
    """
    if not isinstance(body, dict):
        raise Malformed([Fault("", "wrong_type", "send one object")])
    warnings: list[Fault] = []
    own = _own_fields(body, warnings)
    rest = {name: value for name, value in body.items() if name not in _OWN}
    reading = payload.read_email({**rest, "type": "order_confirmation"}, shop=shop)
    email = reading.email
    order, customer = email["order"], email["customer"]
    historical = own.get("kind") == "historical"
    placed = payload.placed_at(order.get("placed_at"), shop.time_zone)
    if historical and placed is None:
        raise PayloadRefused([Fault("/order/placed_at", "missing", "history needs to know when it was")])
    placed = now if placed is None else placed
    if "marketing" in customer:
        told = "not kept from here: tell it to /v1/consents, or in an email's payload"
        warnings.append(Fault("/customer/marketing", "not_read", told))
    value = payload.order_value(email)
    minor = None if value is None else payload.minor_units(value, order["currency"])
    refunded = payload.minor_units(own["refunded"], order["currency"]) if "refunded" in own else 0
    if own.get("status") == "refunded" and "refunded" not in own:
        refunded = minor or 0
    countries = payload.countries(email)
    return OrderRecord(
        order_id=order["id"],
        address=customer["email"],
        customer_id=customer.get("id"),
        placed_at=placed,
        version=_version(own, 0 if historical else now, shop),
        value_minor=minor,
        refunded_minor=refunded,
        currency=order["currency"],
        status=own.get("status", "placed"),
        channel=order.get("channel", "web"),
        purchase_type=order.get("purchase_type", ""),
        country=next(iter(countries), shop.default_country),
        kind=payload.customer_kind(email, 0, order_known=False) if {"kind", "orders_before"} & customer.keys() else "",
        historical=historical,
        facts=_facts(email, countries),
        warnings=(*warnings, *(one for one in reading.warnings if one.code not in _FOR_MAIL)),
    )


def _own_fields(body: Mapping[str, Any], warnings: list[Fault]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, schema in _OWN.items():
        if body.get(name) is None:
            continue
        try:
            read[name] = schema.validate_python(body[name])
        except ValidationError:
            warnings.append(Fault(f"/{name}", "bad_value", _MEANT[name]))
    if "refunded" in read and read["refunded"] < 0:
        warnings.append(Fault("/refunded", "bad_value", _MEANT["refunded"]))
        del read["refunded"]
    return read


def _version(own: Mapping[str, Any], otherwise: int, shop: Shop) -> int:
    if "version" in own:
        return int(own["version"])
    moment = payload.placed_at(own.get("updated_at"), shop.time_zone)
    return otherwise if moment is None else moment


def _facts(email: Mapping[str, Any], countries: tuple[str, ...]) -> dict[str, Any]:
    customer = email["customer"]
    facts = {
        "customer_id": customer.get("id"),
        "locale": customer.get("locale"),
        "countries": list(countries),
        "segments": customer.get("segments"),
        "categories": sorted(payload.categories(email)),
    }
    return {name: value for name, value in facts.items() if value}
