"""Retention: rows older than a moment go, a bite at a time, so that no lock and no transaction lasts long."""

from __future__ import annotations

from collections.abc import Sequence

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row

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


async def old_evidence(reads: Reads, controller_id: bytes, after: bytes, before: bytes, limit: int) -> list[Row]:
    """Evidence of a company's entries between two event ids, which are in the order of time, in their order:
    ``event_id``, ``policy`` (the rules it was given under, None: none), and ``state`` and ``since`` of what its
    customer stands at with its purpose (None: nothing any more)."""
    return await reads.fetch(
        "SELECT x.event_id, p.content AS policy, s.state, s.since FROM evidence x"
        " JOIN consent_entry e ON e.controller_id = x.controller_id AND e.event_id = x.event_id"
        " LEFT JOIN policy_snapshot p ON p.controller_id = e.controller_id"
        " AND p.policy_snapshot_id = e.policy_snapshot_id"
        " LEFT JOIN standing s ON s.controller_id = e.controller_id AND s.subject_id = e.subject_id"
        " AND s.purpose = e.purpose AND s.channel = e.channel"
        " WHERE x.controller_id = $1 AND x.event_id > $2 AND x.event_id < $3 ORDER BY x.event_id LIMIT $4",
        (controller_id, after, before, limit),
    )


async def drop_evidence(tx: Transaction, controller_id: bytes, event_ids: Sequence[bytes]) -> None:
    """Delete the evidence of these entries; the ledger holds its commitment and verifies without it."""
    await tx.execute_rows(
        "WITH {rows} DELETE FROM evidence WHERE controller_id = $1 AND event_id IN (SELECT event_id FROM v)",
        "event_id id",
        [(event_id,) for event_id in event_ids],
        (controller_id,),
    )
