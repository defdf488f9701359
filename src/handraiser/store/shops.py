"""Controllers and their shops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from handraiser.core.shop import Controller, Mode, Shop
from handraiser.errors import NotFound
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row, to_json

HIGHEST_NUMBER = 2**24 - 1

_SHOP = (
    "s.controller_id, s.shop_id, s.number, s.slug, s.name, s.mode, s.settings,"
    " c.slug AS controller_slug, c.name AS controller_name, c.settings AS controller_settings"
)
_FROM = "FROM shop s JOIN controller c ON c.controller_id = s.controller_id"


async def add_controllers(tx: Transaction, rows: Sequence[Controller]) -> list[None]:
    """Keep controllers; one that is there already (by id) gets the new name and settings."""
    for controller in rows:
        kept = asdict(controller)
        for name in ("id", "slug", "name"):
            del kept[name]
        await tx.execute(
            "INSERT INTO controller (controller_id, slug, name, settings) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (controller_id) DO UPDATE"
            " SET slug = excluded.slug, name = excluded.name, settings = excluded.settings",
            (controller.id, controller.slug, controller.name, to_json(kept)),
        )
    return [None] * len(rows)


async def add_shops(tx: Transaction, rows: Sequence[Shop]) -> list[Shop]:
    """Keep shops; ``number`` 0 gets the next free one. A shop that is there already (by id) keeps its number and gets
    everything else anew. Its controller must be there."""
    await tx.exclusive("shop numbers")
    kept = []
    for shop in rows:
        number = shop.number
        if not number:
            highest = await tx.fetch("SELECT COALESCE(MAX(number), 0) AS number FROM shop")
            number = highest[0]["number"] + 1
        answer = await tx.fetch(
            "INSERT INTO shop (controller_id, shop_id, number, slug, name, mode, settings)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT (controller_id, shop_id) DO UPDATE"
            " SET slug = excluded.slug, name = excluded.name, mode = excluded.mode, settings = excluded.settings"
            " RETURNING number",
            (shop.controller.id, shop.id, number, shop.slug, shop.name, shop.mode, to_json(shop.settings_json())),
        )
        kept.append(
            Shop.from_settings(
                shop.controller, shop.id, answer[0]["number"], shop.slug, shop.name, shop.mode, shop.settings_json()
            )
        )
    return kept


async def set_mode(tx: Transaction, rows: Sequence[tuple[bytes, bytes, Mode]]) -> list[None]:
    """(controller_id, shop_id, mode); raises :class:`NotFound`."""
    for controller_id, shop_id, mode in rows:
        if not await tx.fetch(
            "UPDATE shop SET mode = $3 WHERE controller_id = $1 AND shop_id = $2 RETURNING number",
            (controller_id, shop_id, mode),
        ):
            raise NotFound("no such shop")
    return [None] * len(rows)


async def list_controllers(reads: Reads) -> list[Controller]:
    """Every controller, by slug."""
    return [
        _controller(row["controller_id"], row["slug"], row["name"], row["settings"])
        for row in await reads.fetch("SELECT * FROM controller ORDER BY slug")
    ]


async def list_shops(reads: Reads, controller_id: bytes | None = None) -> list[Shop]:
    """The shops of a controller, or all of them (the operator's view), by number."""
    if controller_id is None:
        rows = await reads.fetch(f"SELECT {_SHOP} {_FROM} ORDER BY s.number")
    else:
        rows = await reads.fetch(
            f"SELECT {_SHOP} {_FROM} WHERE s.controller_id = $1 ORDER BY s.number", (controller_id,)
        )
    return [_shop(row) for row in rows]


async def get(tx: Reads, keys: Sequence[tuple[bytes, bytes]]) -> list[Shop | None]:
    """Shops by (controller_id, shop_id), in the order asked for."""
    rows = await tx.fetch_rows(
        f"WITH {{rows}} SELECT v.n, {_SHOP} FROM v JOIN shop s ON s.controller_id = v.controller_id"
        " AND s.shop_id = v.shop_id JOIN controller c ON c.controller_id = s.controller_id",
        "n int, controller_id id, shop_id id",
        [(n, *key) for n, key in enumerate(keys)],
    )
    found: list[Shop | None] = [None] * len(keys)
    for row in rows:
        found[row["n"]] = _shop(row)
    return found


async def by_number(reads: Reads, number: int) -> Shop | None:
    """The shop that a link token names."""
    rows = await reads.fetch(f"SELECT {_SHOP} {_FROM} WHERE s.number = $1", (number,))
    return _shop(rows[0]) if rows else None


async def by_slug(reads: Reads, slug: str) -> Shop | None:
    """The shop as an operator names it."""
    rows = await reads.fetch(f"SELECT {_SHOP} {_FROM} WHERE s.slug = $1", (slug,))
    return _shop(rows[0]) if rows else None


async def controller_by_slug(reads: Reads, slug: str) -> Controller | None:
    """The controller as an operator names it."""
    rows = await reads.fetch("SELECT * FROM controller WHERE slug = $1", (slug,))
    return _controller(rows[0]["controller_id"], slug, rows[0]["name"], rows[0]["settings"]) if rows else None


def _controller(controller_id: bytes, slug: str, name: str, settings: str) -> Controller:
    kept = orjson.loads(settings)
    kept["address_lines"] = tuple(kept.get("address_lines", ()))
    return Controller(id=controller_id, slug=slug, name=name, **kept)


def _shop(row: Row) -> Shop:
    controller = _controller(
        row["controller_id"], row["controller_slug"], row["controller_name"], row["controller_settings"]
    )
    return Shop.from_settings(
        controller,
        row["shop_id"],
        row["number"],
        row["slug"],
        row["name"],
        row["mode"],
        orjson.loads(row["settings"]),
    )
