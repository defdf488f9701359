"""The click log: every visit of a signed link, with the verdict and its reasons. It is no consent and is pruned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, to_json


@dataclass(frozen=True, slots=True)
class Click:
    """One visit: ``kind`` is the link's, ``method`` the HTTP method, ``network_hash`` None or a salted hash."""

    controller_id: bytes
    message_id: bytes
    at: int
    kind: int
    method: str
    verdict: str
    reasons: tuple[str, ...] = ()
    network_hash: bytes | None = None


async def record(tx: Transaction, rows: Sequence[Click]) -> list[None]:
    """Keep visits."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO click (controller_id, message_id, at, kind, method, verdict, reasons, network_hash)"
        " SELECT controller_id, message_id, at, kind, method, verdict, reasons, network_hash FROM v",
        "controller_id id, message_id id, at int, kind small, method text, verdict text, reasons text,"
        " network_hash bytes",
        [
            (r.controller_id, r.message_id, r.at, r.kind, r.method, r.verdict, to_json(r.reasons), r.network_hash)
            for r in rows
        ],
    )
    return [None] * len(rows)


async def of_message(reads: Reads, controller_id: bytes, message_id: bytes, limit: int = 200) -> list[Click]:
    """The newest visits of one message's links, newest first."""
    rows = await reads.fetch(
        "SELECT * FROM click WHERE controller_id = $1 AND message_id = $2 ORDER BY at DESC LIMIT $3",
        (controller_id, message_id, limit),
    )
    return [
        Click(
            row["controller_id"],
            row["message_id"],
            row["at"],
            row["kind"],
            row["method"],
            row["verdict"],
            tuple(orjson.loads(row["reasons"])),
            row["network_hash"],
        )
        for row in rows
    ]
