"""The rules that answers were taken under, word for word: immutable, found by their hash, kept like the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads


@dataclass(frozen=True, slots=True)
class Policy:
    """The switches of one market as they stood; ``id`` is the SHA-256 of ``content``."""

    controller_id: bytes
    id: bytes
    content: str
    created_at: int


async def put(tx: Transaction, rows: Sequence[Policy]) -> list[None]:
    """Keep rules; the same id is the same rules."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO policy_snapshot (controller_id, policy_snapshot_id, content, created_at)"
        " SELECT controller_id, policy_snapshot_id, content, created_at FROM v"
        " WHERE NOT EXISTS (SELECT 1 FROM policy_snapshot p"
        " WHERE p.controller_id = v.controller_id AND p.policy_snapshot_id = v.policy_snapshot_id)"
        " ON CONFLICT DO NOTHING",
        "controller_id id, policy_snapshot_id bytes, content text, created_at int",
        [
            (row.controller_id, row.id, row.content, row.created_at)
            for _, row in sorted({(row.controller_id, row.id): row for row in rows}.items())
        ],
    )
    return [None] * len(rows)


async def get(reads: Reads, controller_id: bytes, policy_id: bytes) -> Policy | None:
    """The rules of this hash."""
    rows = await reads.fetch(
        "SELECT content, created_at FROM policy_snapshot WHERE controller_id = $1 AND policy_snapshot_id = $2",
        (controller_id, policy_id),
    )
    return Policy(controller_id, policy_id, rows[0]["content"], rows[0]["created_at"]) if rows else None
