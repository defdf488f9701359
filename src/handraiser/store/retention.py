"""Retention: rows older than a moment go, a bite at a time, so that no lock and no transaction lasts long."""

from __future__ import annotations

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads

_AGED = {
    "idempotency": ("created_at", "controller_id, shop_id, key"),
    "click": ("at", "controller_id, message_id, at, kind, method"),
}


async def controllers(reads: Reads) -> list[bytes]:
    """Every company, for what is pruned company by company."""
    return [row["controller_id"] for row in await reads.fetch("SELECT controller_id FROM controller")]


async def prune(tx: Transaction, table: str, before: int, limit: int) -> int:
    """Delete about ``limit`` rows of a small table older than ``before`` (ms UTC); returns how many went."""
    column, key = _AGED[table]
    rows = await tx.fetch(
        f"DELETE FROM {table} WHERE ({key}) IN"
        f" (SELECT {key} FROM {table} WHERE {column} < $1 ORDER BY {column} LIMIT $2) RETURNING controller_id",
        (before, limit),
    )
    return len(rows)


async def prune_messages(tx: Transaction, controller_id: bytes, before: int, limit: int) -> int:
    """Delete about ``limit`` messages of a company sent before a moment; their ids are in the order of time. On
    PostgreSQL those that are in no monthly partition: such a one goes as a whole."""
    table = "message" if tx.dialect == "sqlite" else "message_default"
    rows = await tx.fetch(
        f"DELETE FROM {table} WHERE controller_id = $1 AND message_id IN (SELECT message_id FROM {table}"
        " WHERE controller_id = $1 AND message_id < $2 ORDER BY message_id LIMIT $3) RETURNING controller_id",
        (controller_id, (before << 80).to_bytes(16), limit),
    )
    return len(rows)
