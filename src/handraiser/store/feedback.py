"""Scores that customers gave: kept once, and told to the tallies of experiments."""

from __future__ import annotations

from collections.abc import Sequence

from handraiser.core.value import dataclass
from handraiser.store.database import Transaction

_NAMES = "controller_id, shop_id, feedback_id, subject_id, score, occurred_at, recorded_at"


@dataclass(frozen=True, slots=True)
class StoredFeedback:
    """One score; ``feedback_id`` is the name that its shop's system gave it. Times in ms UTC."""

    controller_id: bytes
    shop_id: bytes
    feedback_id: str
    subject_id: bytes
    score: int
    occurred_at: int
    recorded_at: int


async def put(tx: Transaction, rows: Sequence[StoredFeedback]) -> list[bool]:
    """Keep scores; whether each is new. One that is there stays as it is, whatever comes under its name."""
    first = {(row.controller_id, row.shop_id, row.feedback_id): row for row in reversed(rows)}
    made = await tx.fetch_rows(
        f"WITH {{rows}} INSERT INTO feedback ({_NAMES}) SELECT {_NAMES} FROM v WHERE true ON CONFLICT DO NOTHING"
        " RETURNING controller_id, shop_id, feedback_id",
        "controller_id id, shop_id id, feedback_id text, subject_id id, score small, occurred_at int, recorded_at int",
        [
            (*key, row.subject_id, row.score, row.occurred_at, row.recorded_at)
            for key, row in sorted(first.items(), key=lambda one: one[0])
        ],
    )
    new = {tuple(row) for row in made}
    return [(key := (row.controller_id, row.shop_id, row.feedback_id)) in new and first[key] is row for row in rows]


async def begin_counting(tx: Transaction, controller_id: bytes, limit: int) -> list[bytes]:
    """The subjects of up to ``limit`` scores that no tally knows yet; from now on they count."""
    rows = await tx.fetch(
        "UPDATE feedback SET counted = 1 WHERE controller_id = $1 AND (shop_id, feedback_id) IN"
        " (SELECT shop_id, feedback_id FROM feedback WHERE controller_id = $1 AND counted = 0"
        " ORDER BY recorded_at LIMIT $2) RETURNING subject_id",
        (controller_id, limit),
    )
    return [row["subject_id"] for row in rows]
