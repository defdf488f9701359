"""What every measurement sends: one order confirmation of ten items from a US shop, in which two blocks may stand."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from handraiser.app import open_service
from handraiser.core.shop import Shop
from handraiser.govern.companies import read_controller, read_shop
from handraiser.settings import Settings, load

TEMPLATES = Path(__file__).parents[1] / "templates"
SHOPS = ("fjell-fjord", "lamp-lumen")
"""Both demo shops are served, so that the memory is that of two brands in six languages; the first one sends."""

_THINGS = (
    ("TENT-2P", "Rondane 2 tent", "289.00", 1, {"Colour": "Moss", "Size": "2 persons"}),
    ("SOCK-M", "Merino hiking socks", "18.00", 3, {"Size": "M"}),
    ("STOVE-1", "Gas stove “Primus” & case", "74.50", 1, {}),
    ("MAP-PCT", "Trail map, Pacific Northwest", "9.00", 1, {}),
    ("PACK-45", "Backpack Dovre 45 l", "159.00", 1, {"Colour": "Slate", "Back length": "L"}),
    ("BOTTLE-1", "Steel bottle", "24.90", 2, {"Volume": "1 l"}),
    ("LAMP-H", "Head torch", "39.95", 1, {}),
    ("MAT-R", "Sleeping mat Røros", "119.00", 1, {"Length": "183 cm"}),
    ("BAG-3", "Sleeping bag, 3 seasons", "210.00", 1, {"Zip": "left"}),
    ("TARP-1", "Tarp 3 × 3 m", "68.00", 1, {"Colour": "Sand"}),
)


def an_order(n: int) -> dict[str, Any]:
    """The ``n``-th order: another order id, customer and address each time."""
    lines = [
        {
            "id": str(number),
            "sku": sku,
            "name": name,
            "quantity": quantity,
            "unit_price": price,
            "total": f"{float(price) * quantity:.2f}",
            "kind": "physical",
            "category": "outdoor",
            "options": [{"name": option, "value": value} for option, value in options.items()],
            "image_url": f"https://pictures.fjell-fjord.example/{sku.lower()}.jpg",
            "url": f"https://fjell-fjord.example/p/{sku.lower()}",
        }
        for number, (sku, name, price, quantity, options) in enumerate(_THINGS, 1)
    ]
    address = {
        "name": "Alice Moreno",
        "lines": ["48 Juniper Street"],
        "postcode": "97205",
        "city": "Portland",
        "region": "OR",
        "country": "US",
    }
    return {
        "type": "order_confirmation",
        "customer": {
            "id": f"C-{n}",
            "email": f"alice.moreno.{n}@example.com",
            "first_name": "Alice",
            "last_name": "Moreno",
            "locale": "en",
            "country": "US",
            "account": "registered",
            "orders_before": n % 3,
        },
        "order": {
            "id": f"FF-{n}",
            "number": f"FF-{n}",
            "placed_at": "2026-11-20T09:14:00-08:00",
            "currency": "USD",
            "lines": lines,
            "subtotal": "1072.25",
            "discounts": [{"label": "First order", "code": "HELLO10", "amount": "-10.00"}],
            "shipping_lines": [{"label": "Ground, 3 to 5 days", "amount": "7.90"}],
            "taxes": [{"label": "Sales tax", "rate": "0", "amount": "0.00"}],
            "total": "1070.15",
            "paid": "1070.15",
            "payment": {"method": "Visa •••• 4242"},
            "url": f"https://fjell-fjord.example/orders/FF-{n}",
            "channel": "web",
            "shipping_address": address,
            "billing_address": address,
        },
        "notices": [{"title": "Terms of sale", "url": "https://fjell-fjord.example/terms"}],
    }


def body(n: int) -> bytes:
    """The ``n``-th order as it is posted."""
    return orjson.dumps(an_order(n))


def the_shop() -> Shop:
    """The sending shop as the fill sees it, without a database."""
    described = tomllib.loads(_source(SHOPS[0]))
    controller = read_controller(described.pop("controller"), [])
    return read_shop({"link_base": "https://mail.fjell-fjord.example", **described}, controller, [])


@dataclass(frozen=True, slots=True)
class State:
    """A state folder with shops and blocks live in it, and an API key of the sending shop."""

    folder: Path
    key: str


async def prepare(folder: Path, shops: tuple[str, ...] = SHOPS) -> State:
    """Set an installation up as ``handraiser shops add`` and ``keys add`` do: everything compiled and kept."""
    async with open_service(settings(folder)) as service:
        for slug in shops:
            shop = await service.govern.add_shop(_source(slug))
            await service.publish.put_starter(shop.controller.id)
        await service.publish.refresh()
        if service.publish.faults:
            raise RuntimeError("\n".join(service.publish.faults))
        return State(folder, await service.govern.add_key(shops[0], ["emails"]))


def settings(folder: Path) -> Settings:
    """The settings of an installation on SQLite in ``folder``; secrets are generated there."""
    return load({}, state_dir=folder, templates_dir=TEMPLATES)


def _source(slug: str) -> str:
    return (TEMPLATES / "shops" / slug / "shop.toml").read_text(encoding="utf-8")
