"""What an order system sends, read leniently: only what a receipt cannot be written without is refused.

Everything unknown or wrong elsewhere is left out and named as a warning. All faults are told at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, cast
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from pydantic import ValidationError

from handraiser.core.payload_cleaning import GONE, clean, escape, mend_names, tidy
from handraiser.core.payload_schema import EMAIL, LINES_LIMIT, TYPES
from handraiser.core.shop import Shop
from handraiser.core.value import dataclass
from handraiser.errors import Fault, Malformed, PayloadRefused

__all__ = ["LINES_SHOWN", "LIVE_SALE", "TYPES", "Reading", "json_schema", "parse", "read_email"]

LIVE_SALE = frozenset(TYPES) - {
    "order_cancelled",
    "refund",
    "return_received",
    "payment_pending",
    "contract_withdrawal_received",
}
"""Types that are about a live sale: only these may carry an ask."""

LINES_SHOWN = 50
"""Beyond this, and only where the order has a page of its own, the mail says "and n more"."""

_ESSENTIAL = {
    ("type",),
    ("customer",),
    ("customer", "email"),
    ("order",),
    ("order", "id"),
    ("order", "currency"),
    ("to",),
}
_WARNINGS_LIMIT = 200
_NO_ID = frozenset({"", "0", "null", "guest", "none"})
_CODES = {
    "extra_forbidden": "unknown_field",
    "missing": "missing",
    "too_long": "too_long",
    "string_too_long": "too_long",
    "literal_error": "bad_value",
    "value_error": "bad_value",
    "string_pattern_mismatch": "bad_value",
    "string_too_short": "missing",
    "greater_than_equal": "bad_value",
    "less_than_equal": "bad_value",
}
_DETAILS = {"unknown_field": "there is no such field", "missing": "this is needed"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A payload in its normal form (ids strings, amounts Decimal, dates aware), and what was left out of it."""

    email: dict[str, Any]
    warnings: tuple[Fault, ...]


def parse(raw: bytes) -> object:
    """JSON with exact decimals; of a name given twice the last counts.

    Raises :class:`Malformed` that says where.
    """
    try:
        return exact_json(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        fault = Fault("", "not_utf8", f"byte {error.start} is not UTF-8")
    except json.JSONDecodeError as error:
        fault = Fault("", "malformed_json", f"line {error.lineno}, column {error.colno}: {error.msg}")
    except RecursionError:
        fault = Fault("", "too_deep", "the JSON is nested too deeply")
    except ValueError as error:
        fault = Fault("", "malformed_json", str(error)[:200])
    raise Malformed([fault])


def exact_json(text: str) -> Any:
    """JSON whose numbers with a point are decimals; raises :class:`ValueError`."""
    return json.loads(text, parse_float=_number, parse_constant=_no_constant)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number has too large an exponent") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def read_email(body: object, *, shop: Shop) -> Reading:
    """Read one payload (JSON as bytes, or parsed) for ``shop``.

    Raises :class:`PayloadRefused` with every fault at once, :class:`Malformed` for bytes that are no JSON.
    """
    warnings: list[Fault] = []
    email = _read_tidy(body)
    if email is None:
        email = _read_untidy(parse(body) if isinstance(body, bytes) else body, warnings)
    customer = email["customer"]
    if customer.get("id", "0").lower() in _NO_ID:
        customer.pop("id", None)
    _place_in_zone(email, shop.time_zone, warnings)
    _check_part_lines(email, warnings)
    order = email["order"]
    if len(order.get("lines", ())) > LINES_SHOWN and "url" not in order:
        detail = f"more than {LINES_SHOWN} lines and no order.url: the email shows them all and is long"
        warnings.append(Fault("/order/lines", "many_lines", detail))
    return Reading(email, _told(warnings))


def _read_tidy(body: object) -> dict[str, Any] | None:
    """The normal form of a payload that needs no mending, as nearly all are; else None."""
    try:
        # Straight from bytes; a number with a point would pass through a float, so no amount takes one.
        read = EMAIL.validate_json(body) if isinstance(body, bytes) else EMAIL.validate_python(body)
    except (ValidationError, RecursionError):
        return None
    email = cast("dict[str, Any]", read)
    return email if "extra" not in email and tidy(email) and _has_content(email["order"]) else None


def _read_untidy(given: object, warnings: list[Fault]) -> dict[str, Any]:
    """Clean, mend, validate, leave out what is wrong and validate again, until nothing wrong is left."""
    if not isinstance(given, dict):
        raise PayloadRefused([Fault("", "wrong_type", "send a JSON object")])
    body: dict[str, Any] = clean(given, "", warnings)
    refused: list[Fault] = []
    order = body.get("order")
    too_many = False
    if isinstance(order, dict):
        lines = order.get("lines")
        if too_many := isinstance(lines, list) and len(lines) > LINES_LIMIT:
            refused.append(Fault("/order/lines", "too_many", f"at most {LINES_LIMIT:,} lines fit in one email"))
            del order["lines"]
        mend_names(order, warnings)
    email = _validated(body, warnings, refused)
    if isinstance(order, dict) and not _has_content(order) and not too_many:
        refused.append(Fault("/order/lines", "missing", "a receipt needs at least one line or a total"))
    if refused:
        raise PayloadRefused(_told([*refused, *warnings]))
    return email


def _told(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """As many as a person reads; the rest as a number."""
    if len(faults) <= _WARNINGS_LIMIT:
        return tuple(faults)
    more = Fault("", "more", f"and {len(faults) - _WARNINGS_LIMIT:,} more")
    return (*faults[:_WARNINGS_LIMIT], more)


def _has_content(order: Mapping[str, Any]) -> bool:
    return bool(order.get("lines")) or "total" in order


def _validated(body: dict[str, Any], warnings: list[Fault], refused: list[Fault]) -> dict[str, Any]:
    told: set[str] = set()
    while True:
        try:
            return cast("dict[str, Any]", EMAIL.validate_python(body))
        except ValidationError as error:
            mended = False
            for detail in error.errors(include_url=False, include_input=False, include_context=False):
                missing = detail["type"] == "missing"
                location = _location(detail["loc"], body, missing=missing)
                fault = _fault(location, detail["type"], detail["msg"])
                essential = location in _ESSENTIAL
                if fault.pointer not in told:
                    told.add(fault.pointer)
                    (refused if essential else warnings).append(fault)
                if not essential:
                    _take_out(body, location[:-1] if missing else location)
                    mended = True
            if not mended:
                return {}
            _sweep(body)


def _location(loc: tuple[int | str, ...], body: Any, *, missing: bool) -> tuple[int | str, ...]:
    """The part of pydantic's location that exists in the body: unions and checks add names of their own."""
    found: list[int | str] = []
    at: Any = body
    for step in loc:
        if step in at if isinstance(at, dict) else isinstance(at, list) and step in range(len(at)):
            at = cast("Any", at)[step]
            found.append(step)
    if missing:
        found.append(loc[-1])
    return tuple(found)


def _fault(location: tuple[int | str, ...], kind: str, message: str) -> Fault:
    pointer = "".join(f"/{escape(str(step))}" for step in location)
    code = _CODES.get(kind, "wrong_type")
    return Fault(pointer, code, _DETAILS.get(code) or message.removeprefix("Value error, "))


def _take_out(body: Any, steps: tuple[int | str, ...]) -> None:
    """Mark the faulty place; what is marked is swept out when all faults of a round are known."""
    at = body
    for step in steps[:-1]:
        if at is GONE:
            return
        at = at[step]
    if at is not GONE:
        at[steps[-1]] = GONE


def _sweep(value: Any) -> None:
    if isinstance(value, dict):
        for key in [key for key, one in value.items() if one is GONE]:
            del value[key]
        for one in value.values():
            _sweep(one)
    elif isinstance(value, list):
        value[:] = [one for one in value if one is not GONE]
        for one in value:
            _sweep(one)


def _dated(email: Mapping[str, Any]) -> Iterator[tuple[Any, str, str]]:
    """Every place that may hold a moment: its object, its field, the object's pointer."""
    yield email["order"], "placed_at", "/order"
    for field, name in (("pickup", "ready_until"), ("subscription", "next_at")):
        yield email.get(field, {}), name, f"/{field}"
    for purpose, one in email["customer"].get("marketing", {}).items():
        yield one, "at", f"/customer/marketing/{escape(purpose)}"
    for n, shipment in enumerate(email.get("shipments", ())):
        expected = shipment.get("estimated_delivery")
        yield shipment, "estimated_delivery", f"/shipments/{n}"
        if type(expected) is dict:
            yield expected, "from", f"/shipments/{n}/estimated_delivery"
            yield expected, "to", f"/shipments/{n}/estimated_delivery"


def _place_in_zone(email: dict[str, Any], zone: str, warnings: list[Fault]) -> None:
    """A moment without a zone is in the shop's."""
    for holder, field, pointer in _dated(email):
        moment = holder.get(field)
        if type(moment) is datetime and moment.tzinfo is None:
            # As text and back: the offset of that moment, so that two readings of it are equal.
            holder[field] = datetime.fromisoformat(moment.replace(tzinfo=ZoneInfo(zone)).isoformat())
            warnings.append(Fault(f"{pointer}/{field}", "no_time_zone", "read in the shop's time zone"))


def _check_part_lines(email: dict[str, Any], warnings: list[Fault]) -> None:
    """Shipped and refunded lines need a name of their own or one of the order's lines."""
    holders = [(one, f"/shipments/{n}") for n, one in enumerate(email.get("shipments", ())) if "lines" in one]
    if "refund" in email and "lines" in email["refund"]:
        holders.append((email["refund"], "/refund"))
    if not holders:
        return
    names = line_names(email)
    for holder, pointer in holders:
        kept = []
        for n, line in enumerate(holder["lines"]):
            if line.get("name") or line.get("id") in names or line.get("sku") in names:
                kept.append(line)
                continue
            warnings.append(
                Fault(f"{pointer}/lines/{n}", "unknown_line", "no name, and no line of the order has its id or sku")
            )
            stand_in = line.get("sku") or line.get("id")
            if stand_in:
                kept.append(line | {"name": stand_in})
        holder["lines"] = kept


def line_names(email: Mapping[str, Any]) -> dict[str, str]:
    """The names of the order's lines and of their components, by id and by sku."""
    names: dict[str, str] = {}
    for line in email["order"].get("lines", ()):
        for one in (line, *parts_of(line)):
            for key in ("id", "sku"):
                if one.get(key):
                    names.setdefault(one[key], one["name"])
    return names


def parts_of(line: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A bundle's components, and theirs."""
    for part in line.get("components", ()):
        yield part
        yield from parts_of(part)


def addressee(email: Mapping[str, Any]) -> str:
    """Who reads the mail: ``to`` when given, else the customer."""
    return str(email.get("to") or email["customer"]["email"])


def countries(email: Mapping[str, Any]) -> tuple[str, ...]:
    """The customer's, the billing and the shipping country, as far as they are known."""
    order = email["order"]
    return tuple(
        place["country"]
        for place in (email["customer"], order.get("billing_address") or {}, order.get("shipping_address") or {})
        if place.get("country")
    )


def order_value(email: Mapping[str, Any]) -> Decimal | None:
    """The order's total, or what its lines add up to."""
    order = email["order"]
    if "total" in order:
        return cast("Decimal", order["total"])
    totals = [line_total(line) for line in order.get("lines", ())]
    known = [total for total in totals if total is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(totals) else None


def line_total(line: Mapping[str, Any]) -> Decimal | None:
    """A line's total as given, or its unit price times its quantity."""
    if "total" in line:
        return cast("Decimal", line["total"])
    if "unit_price" in line:
        return cast("Decimal", line["unit_price"] * line.get("quantity", Decimal(1)))
    return None


def categories(email: Mapping[str, Any]) -> frozenset[str]:
    """Every category bought."""
    return frozenset(line["category"] for line in email["order"].get("lines", ()) if line.get("category"))


def customer_kind(email: Mapping[str, Any], orders_seen: int, *, order_known: bool) -> str:
    """``new`` or ``current``: as the shop says, else from ``orders_before``, else from what the store has seen."""
    customer = email["customer"]
    if "kind" in customer:
        return str(customer["kind"])
    if "orders_before" in customer:
        return "current" if customer["orders_before"] else "new"
    return "current" if orders_seen - (1 if order_known else 0) > 0 else "new"


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a payload."""
    return EMAIL.json_schema(ref_template="#/$defs/{model}")


def placed_at(value: date | datetime | None, zone: str) -> int | None:
    """A payload's moment in ms UTC; what names no zone is in ``zone``, a bare date its midnight there."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=ZoneInfo(zone))
    elif value.tzinfo is None:
        value = value.replace(tzinfo=ZoneInfo(zone))
    return int(value.timestamp() * 1000)


def amount_of(minor: int, currency: str) -> Decimal:
    """The amount of so many minor units: the inverse of :func:`minor_units`."""
    return Decimal(minor).scaleb(-get_currency_precision(currency))


def minor_units(amount: Decimal, currency: str) -> int:
    """An amount in the currency's minor units (cents; JPY has none, KWD has a thousand)."""
    digits = get_currency_precision(currency)
    return int(amount.scaleb(digits).to_integral_value(ROUND_HALF_EVEN))
