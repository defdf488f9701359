"""How far each file was imported, moved in the commit that holds its rows: a kill costs no row and doubles none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import orjson

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, to_json

EXPORTED = 1_000


@dataclass(frozen=True, slots=True)
class Run:
    """Where an import of a file stands: how many bytes and rows are done, and what became of the rows.

    ``faults`` are those of the last commit, for whoever died before writing them down.
    """

    bytes_done: int = 0
    rows_done: int = 0
    applied: int = 0
    unchanged: int = 0
    blank: int = 0
    refused: int = 0
    faults: Sequence[dict[str, Any]] = ()


_NAMES = tuple(field.name for field in fields(Run))


async def find(reads: Reads, controller_id: bytes, import_id: bytes) -> Run:
    """How far the file came; nothing done for one that never was begun."""
    rows = await reads.fetch(
        "SELECT * FROM import_run WHERE controller_id = $1 AND import_id = $2", (controller_id, import_id)
    )
    if not rows:
        return Run()
    kept = {name: rows[0][name] for name in _NAMES}
    return Run(**{**kept, "faults": orjson.loads(kept["faults"])})


async def move(tx: Transaction, controller_id: bytes, import_id: bytes, run: Run, now: int) -> None:
    """Keep how far the file came."""
    names = ", ".join(_NAMES)
    places = ", ".join(f"${n}" for n in range(5, 5 + len(_NAMES)))
    await tx.execute(
        f"INSERT INTO import_run (controller_id, import_id, started_at, updated_at, {names})"
        f" VALUES ($1, $2, $3, $4, {places}) ON CONFLICT (controller_id, import_id) DO UPDATE SET"
        + ", ".join(f" {name} = excluded.{name}" for name in ("updated_at", *_NAMES)),
        (
            controller_id,
            import_id,
            now,
            now,
            *(to_json(list(run.faults)) if name == "faults" else getattr(run, name) for name in _NAMES),
        ),
    )


async def exported(reads: Reads, controller_id: bytes, after: bytes) -> list[dict[str, Any]]:
    """The standings of the next mailboxes after a subject id (b"" begins), with their addresses as stored."""
    rows = await reads.fetch(
        "SELECT s.subject_id, s.address, t.purpose, t.channel, t.state, t.since FROM"
        " (SELECT controller_id, subject_id, address FROM subject WHERE controller_id = $1 AND subject_id > $2"
        " AND address IS NOT NULL ORDER BY subject_id LIMIT $3) s LEFT JOIN standing t"
        " ON t.controller_id = s.controller_id AND t.subject_id = s.subject_id"
        " ORDER BY s.subject_id, t.purpose, t.channel",
        (controller_id, after or bytes(16), EXPORTED),
    )
    return [dict(row) for row in rows]
