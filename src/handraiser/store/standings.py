"""Standings and preferences made anew from the ledger: they are a projection, and this is how one sees that they are
nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from handraiser.core.consent import Entry, folded
from handraiser.core.preference import preferred
from handraiser.store import preferences
from handraiser.store.database import Transaction
from handraiser.store.ledger_entries import to_entry
from handraiser.store.sql import Reads

_Key = tuple[bytes, str, str]
_Value = tuple[str, int, bytes, int | None, int | None]


async def subjects(
    reads: Reads, table: Literal["consent_entry", "standing"], controller_id: bytes, after: bytes, limit: int
) -> list[bytes]:
    """The next subjects that have entries, or standings, in the order of their ids."""
    rows = await reads.fetch(
        f"SELECT DISTINCT subject_id FROM {table} WHERE controller_id = $1 AND subject_id > $2"
        " ORDER BY subject_id LIMIT $3",
        (controller_id, after, limit),
    )
    return [row["subject_id"] for row in rows]


async def rebuild(tx: Transaction, controller_id: bytes, subject_ids: Sequence[bytes]) -> int:
    """Give these subjects the standings and preferences that their entries add up to; returns how many were different.

    Answers to the same subjects wait meanwhile.
    """
    batch = [(controller_id, subject_id) for subject_id in sorted(subject_ids)]
    await tx.fetch_rows(
        "WITH {rows} SELECT t.subject_id FROM v JOIN subject_state t"
        " ON t.controller_id = v.controller_id AND t.subject_id = v.subject_id ORDER BY t.subject_id {lock:t}",
        "controller_id id, subject_id id",
        batch,
    )
    entries = await _entries(tx, batch)
    wanted: dict[_Key, _Value] = {
        (subject_id, purpose, channel): (
            entry.state,
            entry.occurred_at,
            entry.event_id,
            entry.message_at,
            entry.expires_at,
        )
        for subject_id, own in entries.items()
        for (purpose, channel), entry in folded(own).items()
    }
    found = await tx.fetch_rows(
        "WITH {rows} SELECT s.* FROM v JOIN standing s"
        " ON s.controller_id = v.controller_id AND s.subject_id = v.subject_id",
        "controller_id id, subject_id id",
        batch,
    )
    held: dict[_Key, _Value] = {
        (row["subject_id"], row["purpose"], row["channel"]): (
            row["state"],
            row["since"],
            row["event_id"],
            row["message_at"],
            row["expires_at"],
        )
        for row in found
    }
    too_many = sorted(held.keys() - wanted.keys())
    different = sorted((key, value) for key, value in wanted.items() if held.get(key) != value)
    await tx.execute_rows(
        "WITH {rows} DELETE FROM standing WHERE controller_id = $1"
        " AND (subject_id, purpose, channel) IN (SELECT subject_id, purpose, channel FROM v)",
        "subject_id id, purpose text, channel text",
        [*too_many, *(key for key, _ in different)],
        (controller_id,),
    )
    await tx.execute_rows(
        "WITH {rows} INSERT INTO standing"
        " (controller_id, subject_id, purpose, channel, state, since, event_id, message_at, expires_at)"
        " SELECT $1, subject_id, purpose, channel, state, since, event_id, message_at, expires_at FROM v",
        "subject_id id, purpose text, channel text, state text, since int, event_id id, message_at int, expires_at int",
        [(*key, *value) for key, value in different],
        (controller_id,),
    )
    holding = [entry for own in entries.values() for entry in preferred(own).values()]
    moved = await preferences.rebuild(tx, controller_id, sorted(subject_ids), holding)
    return len(too_many) + len(different) + moved


async def _entries(tx: Transaction, batch: Sequence[tuple[bytes, bytes]]) -> dict[bytes, list[Entry]]:
    """Each subject's entries, oldest first."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT e.* FROM v JOIN consent_entry e"
        " ON e.controller_id = v.controller_id AND e.subject_id = v.subject_id ORDER BY e.subject_id, e.seq",
        "controller_id id, subject_id id",
        batch,
    )
    return {
        subject_id: list(entries)
        for subject_id, entries in groupby(map(to_entry, rows), key=lambda entry: entry.subject_id)
    }
