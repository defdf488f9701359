"""Wordings: the immutable texts that were or will be shown, by the hash of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads


@dataclass(frozen=True, slots=True)
class StoredWording:
    """An immutable text that was shown; ``id`` is the SHA-256 of ``content``."""

    controller_id: bytes
    id: bytes
    language: str
    content: str
    created_at: int


async def put(tx: Transaction, rows: Sequence[StoredWording]) -> list[None]:
    """Keep texts that are or will be shown; the same id is the same text."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO wording (controller_id, wording_id, language, content, created_at)"
        " SELECT controller_id, wording_id, language, content, created_at FROM v"
        " WHERE NOT EXISTS (SELECT 1 FROM wording w"
        " WHERE w.controller_id = v.controller_id AND w.wording_id = v.wording_id) ON CONFLICT DO NOTHING",
        "controller_id id, wording_id bytes, language text, content text, created_at int",
        [
            (w.controller_id, w.id, w.language, w.content, w.created_at)
            for _, w in sorted({(w.controller_id, w.id): w for w in rows}.items())
        ],
    )
    return [None] * len(rows)


async def get(tx: Reads, keys: Sequence[tuple[bytes, bytes]]) -> list[StoredWording | None]:
    """Texts by (controller_id, wording_id), in the order asked for."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT v.n, w.* FROM v JOIN wording w"
        " ON w.controller_id = v.controller_id AND w.wording_id = v.wording_id",
        "n int, controller_id id, wording_id bytes",
        [(n, *key) for n, key in enumerate(keys)],
    )
    found: list[StoredWording | None] = [None] * len(keys)
    for row in rows:
        found[row["n"]] = StoredWording(
            row["controller_id"], row["wording_id"], row["language"], row["content"], row["created_at"]
        )
    return found
