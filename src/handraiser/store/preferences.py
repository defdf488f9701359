"""Preferences as a projection of the ledger, beside the standings: topics and frequency by purpose, and the break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handraiser.core.consent import ALL_PURPOSES, Entry
from handraiser.core.preference import PREFERS, Preference
from handraiser.store import outbox
from handraiser.store.database import Transaction
from handraiser.store.outbox import OutboxRow
from handraiser.store.sql import Reads

LETTERS_A_DAY = 3
"""How many letters with a fresh link one mailbox gets within 24 hours, whoever asks for them."""
_DAY_MS = 86_400_000
_NAMES = "controller_id, subject_id, purpose, content, paused_until, since, event_id"
_DECLARED = "controller_id id, subject_id id, purpose text, content text, paused_until int, since int, event_id id"


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one subject prefers: by purpose, each with its entry, and until when (ms) it takes a break (0 = none)."""

    chosen: Mapping[str, Preference]
    paused_until: int
    event_ids: Mapping[str, bytes]


async def of_subject(reads: Reads, controller_id: bytes, subject_id: bytes) -> Preferences:
    """What a subject prefers; a break may be over."""
    rows = await reads.fetch(
        "SELECT purpose, content, paused_until, event_id FROM preference WHERE controller_id = $1 AND subject_id = $2"
        " ORDER BY purpose",
        (controller_id, subject_id),
    )
    return Preferences(
        {row["purpose"]: Preference.from_json(row["content"]) for row in rows if row["purpose"] != ALL_PURPOSES},
        max((row["paused_until"] or 0 for row in rows), default=0),
        {row["purpose"]: row["event_id"] for row in rows},
    )


async def project(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Let what these new entries prefer hold from now on."""
    latest = {(e.controller_id, e.subject_id, e.purpose): _row(e) for e in entries if e.event in PREFERS}
    await tx.execute_rows(
        f"WITH {{rows}} INSERT INTO preference ({_NAMES}) SELECT {_NAMES} FROM v WHERE true"
        " ON CONFLICT (controller_id, subject_id, purpose) DO UPDATE SET content = excluded.content,"
        " paused_until = excluded.paused_until, since = excluded.since, event_id = excluded.event_id",
        _DECLARED,
        [row for _, row in sorted(latest.items())],
    )


async def rebuild(tx: Transaction, controller_id: bytes, subject_ids: Sequence[bytes], holding: Sequence[Entry]) -> int:
    """Give these subjects, which are locked, the preferences that their entries add up to; how many were different."""
    wanted = {_row(entry) for entry in holding}
    found = await tx.fetch_rows(
        f"WITH {{rows}} SELECT {', '.join(f'p.{name}' for name in _NAMES.split(', '))} FROM v JOIN preference p"
        " ON p.controller_id = v.controller_id AND p.subject_id = v.subject_id",
        "controller_id id, subject_id id",
        [(controller_id, one) for one in subject_ids],
    )
    different = wanted ^ {tuple(row) for row in found}
    wrong = sorted({row[:3] for row in different})
    await tx.execute_rows(
        "WITH {rows} DELETE FROM preference WHERE (controller_id, subject_id, purpose)"
        " IN (SELECT controller_id, subject_id, purpose FROM v)",
        "controller_id id, subject_id id, purpose text",
        wrong,
    )
    await project(tx, [entry for entry in holding if _row(entry) in different])
    return len(wrong)


async def request_letter(tx: Transaction, rows: Sequence[OutboxRow]) -> list[bool]:
    """Let letters with a fresh link leave, one row each; False where the mailbox got all that it gets in a day."""
    accepted = []
    for row in rows:
        await tx.fetch(
            "SELECT version FROM subject_state WHERE controller_id = $1 AND subject_id = $2 {lock}",
            (row.controller_id, row.subject_id),
        )
        (sent,) = await tx.fetch(
            "SELECT count(*) AS n FROM outbox WHERE controller_id = $1 AND event = $2 AND created_at > $3"
            " AND subject_id = $4",
            (row.controller_id, row.event, row.created_at - _DAY_MS, row.subject_id),
        )
        accepted.append(sent["n"] < LETTERS_A_DAY)
        if accepted[-1]:
            await outbox.put(tx, [row])
    return accepted


def _row(entry: Entry) -> tuple[bytes, bytes, str, str, int | None, int, bytes]:
    return (
        entry.controller_id,
        entry.subject_id,
        entry.purpose,
        entry.preference,
        entry.expires_at,
        entry.occurred_at,
        entry.event_id,
    )
