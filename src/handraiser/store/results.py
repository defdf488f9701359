"""What experiments' results are computed from, beside the tallies, and where they are kept."""

from __future__ import annotations

from typing import NamedTuple

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads


class Due(NamedTuple):
    """Results that are to be computed; ``tallied`` is what they will have been computed from."""

    controller_id: bytes
    experiment_id: bytes
    tallied: int


class Kept(NamedTuple):
    """Results as they were computed at ``computed_at`` (ms UTC), as JSON."""

    computed_at: int
    content: str


async def clicks_of(reads: Reads, controller_id: bytes, experiment_id: bytes) -> list[tuple[int, str, int]]:
    """(arm, verdict, visits)."""
    rows = await reads.fetch(
        "SELECT arm, verdict, clicks FROM click_tally WHERE controller_id = $1 AND experiment_id = $2"
        " ORDER BY arm, verdict",
        (controller_id, experiment_id),
    )
    return [tuple(row) for row in rows]


async def due(reads: Reads, today_ms: int, since_ms: int) -> list[Due]:
    """Experiments whose results are older than their tallies, or than today's beginning (ms UTC).

    Those that were stopped before ``since_ms`` no longer mature; only a change of their tallies counts.
    """
    rows = await reads.fetch(
        "SELECT x.controller_id, x.experiment_id, COALESCE(r.tallied, 0) AS tallied FROM experiment x"
        " LEFT JOIN results r ON r.controller_id = x.controller_id AND r.experiment_id = x.experiment_id"
        " WHERE x.started_at IS NOT NULL AND x.kind = 'test'"
        " AND (r.tallied <> r.computed OR (COALESCE(r.computed_at, 0) < $1 AND COALESCE(x.stopped_at, $1) >= $2))"
        " ORDER BY x.controller_id, x.experiment_id",
        (today_ms, since_ms),
    )
    return [Due(*row) for row in rows]


async def put(tx: Transaction, one: Due, now: int, content: str) -> None:
    """Keep results; tallies that have changed meanwhile leave them due."""
    await tx.execute(
        "INSERT INTO results (controller_id, experiment_id, tallied, computed, computed_at, content)"
        " VALUES ($1, $2, $3, $3, $4, $5) ON CONFLICT (controller_id, experiment_id) DO UPDATE"
        " SET computed = excluded.computed, computed_at = excluded.computed_at, content = excluded.content",
        (one.controller_id, one.experiment_id, one.tallied, now, content),
    )


async def get(reads: Reads, controller_id: bytes, experiment_id: bytes) -> Kept | None:
    """The results that were computed last."""
    rows = await reads.fetch(
        "SELECT computed_at, content FROM results WHERE controller_id = $1 AND experiment_id = $2 AND content <> ''",
        (controller_id, experiment_id),
    )
    return Kept(*rows[0]) if rows else None


async def started(reads: Reads) -> list[tuple[bytes, bytes, str]]:
    """(controller_id, experiment_id, key) of every experiment that was ever started, holdouts too."""
    rows = await reads.fetch(
        "SELECT controller_id, experiment_id, key FROM experiment WHERE started_at IS NOT NULL"
        " ORDER BY controller_id, experiment_id"
    )
    return [tuple(row) for row in rows]
