"""The mapping tables of docs/guide/payload.md, applied to orders of three shop systems, lose nothing on the way."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import lru_cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from handraiser.core.formats import formats_of
from handraiser.core.markup import json_ld
from handraiser.core.mjml.compile import compile_page
from handraiser.core.mjml.fill import Engine, Page
from handraiser.core.payload import line_total, parse, read_email
from handraiser.core.shop import Controller, Shop
from handraiser.core.view import view
from handraiser.template_files import read_sources
from mapping import apply, tables

ROOT = Path(__file__).parents[1]
CASES = sorted((ROOT / "tests/corpus").glob("*/*.json"))
SYSTEMS = {"woocommerce": "WooCommerce", "shopify": "Shopify", "magento": "Magento 2 and Adobe Commerce"}
SHOP = Shop(Controller(b"c" * 16, "lumen", "Lumen BV"), b"s" * 16, 7, "lumen", "Lumen", "https://mail.lumen.example")


def mapped(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A case, and the payload that its system's tables make of it."""
    case: dict[str, Any] = parse(path.read_bytes())
    found = tables()
    rows = found[SYSTEMS[path.parent.name]]
    if "prices" in case:
        system = SYSTEMS[path.parent.name].split()[0]
        rows = rows + found[f"{system}, prices {case['prices']}"]
    payload = {"type": case["type"], **apply(rows, case["source"])}
    for field, more in case.get("more", {}).items():
        payload[field] |= more
    return case, payload


@lru_cache
def page(name: str) -> tuple[Engine, Page]:
    sources = read_sources(ROOT / "templates", SHOP.slug)
    engine = Engine()
    compiled = compile_page(name, sources.pages[name], sources.parts, words={}, locale="en", direction="ltr")
    return engine, engine.load_page(compiled)


def rendered(email: dict[str, Any]) -> tuple[str, str]:
    """What a reader sees of the HTML part, and the text part; both without any white space."""
    engine, loaded = page(email["type"])
    context = view(email, SHOP, formats_of("en", "UTC"), {})
    filled = engine.fill(loaded, {}, context, head_extra=json_ld(email, SHOP))
    body = re.sub(
        r"<(style|script|title).*?</\1>|<!--.*?-->|<[^>]+>", "", filled.html.partition("<body")[2], flags=re.S
    )
    return squeezed(unescape(body)), squeezed(filled.text)


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u200e\u200f]+", "", text)


def amounts(value: Any) -> list[Decimal]:
    """Every amount in a payload's normal form that is shown (shares and counts are not amounts)."""
    found = []
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(one, Decimal) and key not in ("rate", "tax_rate", "quantity"):
            found.append(one)
        elif isinstance(one, dict | list):
            found += amounts(one)
    return found


def names(value: Any) -> set[str]:
    """The names of all things bought, shipped or refunded in another system's JSON."""
    if isinstance(value, list):
        return set().union(*map(names, value))
    if not isinstance(value, dict):
        return set()
    counted = {"quantity", "qty", "qty_ordered"} & value.keys()
    name = value.get("title") or value.get("name")
    own = {str(name)} if counted and name else set()
    return own.union(*map(names, value.values()))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_order_of_another_system_is_read_without_a_warning_and_keeps_its_facts(path: Path):
    case, payload = mapped(path)
    expected = case["expected"]
    reading = read_email(json_round_trip(payload), shop=SHOP)
    email, order = reading.email, reading.email["order"]

    assert reading.warnings == ()
    assert order["total"] == Decimal(expected["total"])
    assert order["id"] == expected["order_id"]
    assert order["currency"] == expected["currency"]
    assert email["customer"]["country"] == expected["country"]
    assert len(order["lines"]) == expected["lines"]
    assert ("id" not in email["customer"]) is expected["guest"]
    assert order["placed_at"].isoformat().startswith("2026-11-24T08:30:")
    assert sum(len(one["parcels"]) for one in email.get("shipments", ())) == expected.get("parcels", 0)
    assert email.get("refund", {}).get("amount") == (Decimal(expected["refund"]) if "refund" in expected else None)
    assert email.get("pickup", {}).get("name") == expected.get("pickup")
    marketing = {purpose: one["state"] for purpose, one in email["customer"].get("marketing", {}).items()}
    assert marketing.items() >= expected.get("marketing", {}).items()
    if "kinds" in expected:
        assert [line.get("kind") for line in order["lines"]] == expected["kinds"]
    if "locale" in expected and path.parent.name == "magento":
        assert email["customer"]["locale"] == expected["locale"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_its_amounts_add_up_to_its_total(path: Path):
    _, payload = mapped(path)
    order = read_email(json_round_trip(payload), shop=SHOP).email["order"]

    def added(field: str) -> Decimal:
        return sum((abs(one["amount"]) for one in order.get(field, ())), Decimal(0))

    lines = sum((line_total(line) or Decimal(0) for line in order["lines"]), Decimal(0))
    taxes = Decimal(0) if order.get("prices_include_tax") else added("taxes")
    assert lines == order["subtotal"]
    assert lines - added("discounts") + added("shipping_lines") + added("fees") + taxes == order["total"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_its_email_shows_every_name_and_every_amount(path: Path):
    case, payload = mapped(path)
    email = read_email(json_round_trip(payload), shop=SHOP).email
    money = formats_of("en", "UTC").money_in(email["order"]["currency"])
    wanted = {*case["expected"]["shown"], *names(case["source"])}
    wanted |= {money(abs(amount)) for amount in amounts(email) if amount}

    for part in rendered(email):
        assert [one for one in sorted(wanted) if squeezed(one) not in part] == []


def test_the_cases_cover_what_shops_really_have():
    about = {path.parent.name: set() for path in CASES}
    seen: set[str] = set()
    for path in CASES:
        _, payload = mapped(path)
        about[path.parent.name].add(payload["type"])
        order = payload["order"]
        seen |= {key for key in ("discounts", "fees", "gift_cards") if order.get(key)}
        seen |= {key for key in ("refund", "pickup") if key in payload}
        seen |= {key for line in order["lines"] for key in ("components", "downloads") if line.get(key)}
        seen |= {"two tax rates"} if len(order.get("taxes", ())) > 1 else set()
        seen.add(order["currency"])

    assert set(about) == set(SYSTEMS)
    assert seen >= {"discounts", "fees", "gift_cards", "refund", "pickup", "components", "downloads", "two tax rates"}
    assert seen >= {"JPY", "KWD", "EUR", "USD", "GBP"}


def test_every_row_of_every_table_is_used_by_some_case():
    unused = {(heading, ours) for heading, rows in tables().items() for ours, _ in rows}
    for path in CASES:
        _, payload = mapped(path)
        used = paths(payload)
        system = SYSTEMS[path.parent.name].split()[0]
        unused = {(heading, ours) for heading, ours in unused if not (heading.startswith(system) and ours in used)}

    assert unused == set()


def paths(value: Any, head: str = "") -> set[str]:
    """Every field of a payload, as the tables write it."""
    if isinstance(value, dict):
        return {head}.union(*(paths(one, f"{head}.{key}" if head else key) for key, one in value.items()))
    if isinstance(value, list):
        return {head, f"{head}[]"}.union(*(paths(one, f"{head}[]") for one in value))
    return {head}


def json_round_trip(payload: dict[str, Any]) -> object:
    """As it goes over the wire; exact decimals become texts."""
    return parse(json.dumps(payload, default=str).encode())


def test_the_smallest_payload_on_the_page_is_taken_as_it_stands():
    text = (ROOT / "docs/guide/payload.md").read_text(encoding="utf-8")
    example, warning = re.findall(r"```json\n(.*?)```", text, re.S)

    assert read_email(parse(example.encode()), shop=SHOP).warnings == ()
    odd: Any = parse(example.encode())
    odd["order"]["placed_at"] = "yesterday"
    assert [one.as_json() for one in read_email(odd, shop=SHOP).warnings] == json.loads(warning)["warnings"]
