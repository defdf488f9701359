"""The shipped emails, compiled once for all tests, and order payloads of every kind to fill them with."""

from __future__ import annotations

import copy
import functools
import json
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from handraiser.core.formats import formats_of
from handraiser.core.markup import json_ld
from handraiser.core.mjml.compile import compile_block, compile_page
from handraiser.core.mjml.fill import Block, Engine, Filled, Page
from handraiser.core.payload import read_email
from handraiser.core.shop import Brand, Controller, Shop
from handraiser.core.view import view
from handraiser.template_files import direction_of, read_sources, read_starter, read_words, words_of

ROOT = Path(__file__).parents[1] / "templates"
WORDS = read_words(ROOT)
ENGINE = Engine()
BLOCKS, PURPOSES = read_starter(ROOT)
MARKET_LINE = "You get this because you bought from us. You can object to such messages at any time, free of charge."


def _shop(slug: str) -> Shop:
    told = tomllib.loads((ROOT / "shops" / slug / "shop.toml").read_text(encoding="utf-8"))
    controller, brand = told.pop("controller"), told.pop("brand")
    controller["address_lines"] = tuple(controller["address_lines"])
    told["locales"] = tuple(told["locales"])
    return Shop(
        controller=Controller(id=b"c" * 16, **controller),
        id=b"s" * 16,
        number=1,
        link_base="https://go.example",
        brand=Brand(**brand),
        **told,
    )


SHOPS = {slug: _shop(slug) for slug in ("fjell-fjord", "lamp-lumen")}
PAGES = sorted(read_sources(ROOT, "fjell-fjord").pages)
EVERY = [(slug, locale, name) for slug, shop in SHOPS.items() for locale in shop.locales for name in PAGES]
"""Every shipped email of every demo shop in each of its languages."""


@functools.cache
def page(slug: str, locale: str, name: str) -> Page:
    sources = read_sources(ROOT, slug)
    how = {"words": words_of(WORDS, locale), "locale": locale, "direction": direction_of(locale)}
    return ENGINE.load_page(compile_page(name, sources.pages[name], sources.parts, **how))


@functools.cache
def block(slug: str, locale: str, name: str, block_slug: str, variant: str) -> Block:
    sources = read_sources(ROOT, slug)
    how = {"words": words_of(WORDS, locale), "locale": locale, "direction": direction_of(locale)}
    source = block_source(block_slug, variant, locale)
    return ENGINE.load_block(compile_block(block_slug, source, page=sources.pages[name], parts=sources.parts, **how))


def block_source(slug: str, variant: str, locale: str) -> str:
    rows: Mapping[str, str] = next(one["rows"] for one in starter(slug)["variants"] if one["key"] == variant)
    return rows[locale]


def starter(slug: str) -> dict[str, Any]:
    return next(one for one in BLOCKS if one["slug"] == slug)


def choices(name: str) -> list[tuple[tuple[str, str], ...]]:
    """Every choice of (block, variant) for the slots of one email, none among them."""
    chosen: list[tuple[tuple[str, str], ...]] = [()]
    for slot in ("service", "ask"):
        fitting = [
            (one["slug"], variant["key"])
            for one in BLOCKS
            if one["slot"] == slot and f"email:{name}" in one["targeting"]["touchpoints"]
            for variant in one["variants"]
        ]
        chosen += [(*before, one) for before in chosen for one in fitting]
    return chosen


def ask_view(locale: str, purpose: str) -> dict[str, Any]:
    promise = next(one for one in PURPOSES if one.id == purpose).promise(locale, "en")
    return {
        "ask": {
            "url": "https://go.example/o/AAAA.BBBB",
            "decline_url": "https://go.example/o/AAAA.BBBB?no",
            "never_url": "https://go.example/u/CCCC.DDDD",
            "promise": {key: getattr(promise, key) for key in ("what", "frequency", "benefit", "button")},
            "market_line": words_of(WORDS, locale).get(MARKET_LINE, MARKET_LINE),
        }
    }


def context(slug: str, locale: str, body: Mapping[str, Any]) -> dict[str, Any]:
    shop = SHOPS[slug]
    email = read_email(json.loads(json.dumps(body), parse_float=Decimal), shop=shop).email
    return view(email, shop, formats_of(locale, shop.time_zone), words_of(WORDS, locale))


def filled(slug: str, locale: str, body: Mapping[str, Any], chosen: Sequence[tuple[str, str]] = ()) -> Filled:
    """The email of one payload with the chosen (block, variant) in their slots."""
    shop, name = SHOPS[slug], body["type"]
    email = read_email(json.loads(json.dumps(body), parse_float=Decimal), shop=shop).email
    placed = {}
    for block_slug, variant in chosen:
        told = starter(block_slug)
        extra = ask_view(locale, told["purpose"]) if "purpose" in told else {}
        placed[told["slot"]] = (block(slug, locale, name, block_slug, variant), extra)
    return ENGINE.fill(page(slug, locale, name), placed, context(slug, locale, body), head_extra=json_ld(email, shop))


def bare(name: str) -> dict[str, Any]:
    """The least a receipt can be written from."""
    return {
        "type": name,
        "customer": {"email": "bob@example.com"},
        "order": {"id": "7", "currency": "EUR", "total": "12"},
    }


def rich(name: str, *, currency: str = "EUR", lines: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A payload that has everything an email can show."""
    body = copy.deepcopy(_RICH)
    body["type"] = name
    body["order"]["currency"] = currency
    if lines is not None:
        body["order"]["lines"] = lines
    return body


_ADDRESS = {
    "name": "Alice Moreno",
    "company": "Moreno & Zn. B.V.",
    "lines": ["Oudegracht 12-bis"],
    "postcode": "3511 AB",
    "city": "Utrecht",
    "country": "NL",
}
_RICH: dict[str, Any] = {
    "customer": {
        "id": "C-1",
        "email": "alice@example.com",
        "first_name": "Alice",
        "last_name": "Moreno",
        "vat_id": "NL001234567B01",
    },
    "order": {
        "id": "10042",
        "number": "LL-10042",
        "placed_at": "2026-11-20T09:14:00+01:00",
        "prices_include_tax": True,
        "lines": [
            {
                "id": "1",
                "sku": "LAMP-7",
                "name": "Desk lamp Lumen 7",
                "quantity": 2,
                "unit_price": "89.50",
                "total": "179.00",
                "options": [{"name": "Colour", "value": "Brass"}, {"name": "Cable", "value": "2 m"}],
                "components": [
                    {"name": "Bulb E27", "quantity": 2, "options": [{"name": "Tone", "value": "warm"}]},
                    {"name": "Hex key"},
                ],
                "image_url": "https://pictures.example/lamp.png",
                "url": "https://shop.example/p/7?colour=brass&size=1",
            },
            {"id": "2", "sku": "CABLE", "name": "Textile cable", "quantity": "2.5", "unit": "m", "unit_price": "4.20"},
            {
                "id": "3",
                "name": "E-book: Light at home",
                "total": "9.00",
                "kind": "digital",
                "downloads": [
                    {"name": "light.epub", "url": "https://shop.example/d/1"},
                    {"name": "light.pdf", "url": "https://shop.example/d/2"},
                ],
            },
            {"id": "4", "name": "Lichterkettenverlängerungskabel" * 5, "total": "1234567.89"},
        ],
        "subtotal": "1234756.89",
        "discounts": [{"label": "Welcome", "code": "HELLO10", "amount": "-10.00"}, {"label": "", "amount": "5"}],
        "shipping_lines": [{"label": "Evening", "amount": "6.95"}],
        "fees": [{"label": "Gift wrap", "amount": "3.50"}],
        "taxes": [{"label": "VAT", "rate": "21", "amount": "31.07"}, {"label": "VAT", "rate": "9", "amount": "0.74"}],
        "total": "1234752.34",
        "gift_cards": [{"label": "", "last4": "4242", "amount": "50.00"}],
        "paid": "1234702.34",
        "due": "0.00",
        "payment": {"method": "iDEAL", "instructions": "Please transfer to\nNL91 ABNA 0417 1643 00"},
        "customer_note": 'Ring twice.\nThe bell is <b>odd</b> & "old".',
        "url": "https://shop.example/orders/10042?key=a&b=c",
        "shipping_address": _ADDRESS,
        "billing_address": {**_ADDRESS, "lines": ["Postbus 99"]},
    },
    "shipments": [
        {
            "parcels": [
                {"carrier": "PostNL", "tracking_number": "3SABCD1", "tracking_url": "https://track.example/3S"},
                {"tracking_number": "JVGL01234567890123456789", "tracking_url": "https://track.example/JV"},
                {"carrier": "DHL"},
            ],
            "lines": [{"id": "1", "quantity": 1}, {"sku": "CABLE", "quantity": "2.5"}],
            "estimated_delivery": {"from": "2026-11-24", "to": "2026-11-26"},
            "remaining": 3,
        },
        {
            "parcels": [{"tracking_number": "0034043"}],
            "estimated_delivery": "2026-11-30",
            "remaining": "One lamp follows.",
        },
    ],
    "pickup": {
        "name": "Lamp & Lumen Utrecht",
        "address": {"lines": ["Lichtkade 8"], "postcode": "3511 KT", "city": "Utrecht", "country": "NL"},
        "hours": "Mon–Fri 9–18\nSat 10–17",
        "code": "7K4-Q9X",
        "ready_until": "2026-12-01T18:00:00+01:00",
    },
    "refund": {
        "amount": "89.50",
        "reason": "Returned within 14 days",
        "method": "iDEAL",
        "lines": [{"id": "1", "quantity": 1, "total": "89.50"}],
    },
    "subscription": {"id": "SUB-77", "next_at": "2026-12-20", "interval": "every month"},
    "notices": [
        {"title": "Right of withdrawal", "text": "You may withdraw within 14 days.\nWrite to us."},
        {"title": "Terms of sale", "url": "https://shop.example/terms"},
    ],
}
