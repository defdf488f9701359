"""The outbox: what must happen outside because of a commit, written in that commit; delivered at least once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from handraiser.core.consent import Entry
from handraiser.core.preference import PREFERS, Preference
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row, to_json


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event for one carrier (``webhook``, ``mail``, …); ``due_at`` is when it may be taken next.

    ``outcome`` is "" while it waits, else ``sent``, ``refused``, ``overtaken`` or ``given_up``; ``reason`` is the code
    of the last failure, without an address or a server's words.
    """

    id: bytes
    controller_id: bytes
    event: str
    payload: Mapping[str, Any]
    created_at: int
    due_at: int
    carrier: str = "webhook"
    subject_id: bytes | None = None
    attempts: int = 0
    done_at: int | None = None
    outcome: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The next system has it."""


@dataclass(frozen=True, slots=True)
class Later:
    """It could not be handed over now; ``reason`` is a code without personal data."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The next system will never take it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Nobody wants it any more."""


Outcome = Sent | Later | Refused | Overtaken
"""What a carrier says of one event."""

_COLUMNS = (
    "controller_id, outbox_id, event, subject_id, payload, carrier, created_at, due_at, attempts, done_at,"
    " outcome, reason"
)


async def put(tx: Transaction, rows: Sequence[OutboxRow]) -> list[None]:
    """Write events into the transaction that makes them true; an id that is there already stays as it is."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO outbox (controller_id, outbox_id, event, subject_id, payload, carrier, created_at,"
        " due_at, attempts) SELECT controller_id, outbox_id, event, subject_id, payload, carrier, created_at, due_at, 0"
        " FROM v WHERE true ON CONFLICT DO NOTHING",
        "controller_id id, outbox_id id, event text, subject_id id, payload text, carrier text, created_at int,"
        " due_at int",
        [
            (r.controller_id, r.id, r.event, r.subject_id, to_json(r.payload), r.carrier, r.created_at, r.due_at)
            for r in rows
        ],
    )
    return [None] * len(rows)


async def claim(
    tx: Transaction, limit: int, now: int, lease_ms: int, carriers: Sequence[str] = ("webhook", "mail")
) -> list[OutboxRow]:
    """Take at most ``limit`` due events for ``lease_ms``; whoever does not say done or failed by then loses them."""
    names = ", ".join(f"${n}" for n in range(4, 4 + len(carriers)))
    rows = await tx.fetch(
        "UPDATE outbox SET due_at = $2, attempts = attempts + 1 WHERE (controller_id, outbox_id) IN ("
        "SELECT controller_id, outbox_id FROM outbox WHERE done_at IS NULL AND due_at <= $1"
        f" AND carrier IN ({names}) ORDER BY due_at LIMIT $3 {{claim}}) RETURNING {_COLUMNS}",
        (now, now + lease_ms, limit, *carriers),
    )
    return sorted((_row(row) for row in rows), key=lambda row: (row.created_at, row.id))


async def done(tx: Transaction, rows: Sequence[tuple[bytes, bytes, int, str, str]]) -> list[None]:
    """(controller_id, id, now, outcome, reason) of events that are not to be tried again."""
    await tx.execute_rows(
        "WITH {rows} UPDATE outbox SET done_at = v.at, outcome = v.outcome, reason = v.reason FROM v"
        " WHERE outbox.controller_id = v.controller_id AND outbox.outbox_id = v.outbox_id AND outbox.done_at IS NULL",
        "controller_id id, outbox_id id, at int, outcome text, reason text",
        sorted(rows),
    )
    return [None] * len(rows)


async def failed(tx: Transaction, rows: Sequence[tuple[bytes, bytes, int, str]]) -> list[None]:
    """(controller_id, id, retry_at, reason) of events that were not delivered and are to be tried again."""
    await tx.execute_rows(
        "WITH {rows} UPDATE outbox SET due_at = v.at, reason = v.reason FROM v"
        " WHERE outbox.controller_id = v.controller_id AND outbox.outbox_id = v.outbox_id AND outbox.done_at IS NULL",
        "controller_id id, outbox_id id, at int, reason text",
        sorted(rows),
    )
    return [None] * len(rows)


async def of_message(reads: Reads, controller_id: bytes, message_id: bytes) -> OutboxRow | None:
    """The delivery of a mail of our own, whose row has the message's id."""
    rows = await reads.fetch(
        f"SELECT {_COLUMNS} FROM outbox WHERE controller_id = $1 AND outbox_id = $2", (controller_id, message_id)
    )
    return _row(rows[0]) if rows else None


async def recent(
    reads: Reads, controller_id: bytes, event: str = "", limit: int = 50, *, carrier: str = ""
) -> list[OutboxRow]:
    """The newest events of a company, of one name and one carrier where given."""
    rows = await reads.fetch(
        f"SELECT {_COLUMNS} FROM outbox WHERE controller_id = $1 AND ($2 = '' OR event = $2)"
        " AND ($3 = '' OR carrier = $3) ORDER BY created_at DESC, outbox_id DESC LIMIT $4",
        (controller_id, event, carrier, limit),
    )
    return [_row(row) for row in rows]


def _row(row: Row) -> OutboxRow:
    return OutboxRow(
        id=row["outbox_id"],
        controller_id=row["controller_id"],
        event=row["event"],
        payload=orjson.loads(row["payload"]),
        created_at=row["created_at"],
        due_at=row["due_at"],
        carrier=row["carrier"],
        subject_id=row["subject_id"],
        attempts=row["attempts"],
        done_at=row["done_at"],
        outcome=row["outcome"],
        reason=row["reason"],
    )


def event_of(entry: Entry, event_id: bytes) -> OutboxRow:
    """What other systems are told of a ledger entry, under a fresh id; due at once.

    ``preference`` and ``paused_until`` stand in it where the entry says how a subject is written to.
    """
    payload: dict[str, Any] = {
        "event_id": str(uuid.UUID(bytes=entry.event_id)),
        "subject_id": str(uuid.UUID(bytes=entry.subject_id)),
        "purpose": entry.purpose,
        "channel": entry.channel,
        "event": str(entry.event),
        "occurred_at": entry.occurred_at,
        "wording_id": entry.wording_id.hex() if entry.wording_id else None,
    }
    if entry.preference:
        payload["preference"] = Preference.from_json(entry.preference).as_json()
    elif entry.event in PREFERS:
        payload["paused_until"] = entry.expires_at
    return OutboxRow(
        id=event_id,
        controller_id=entry.controller_id,
        event=f"consent.{entry.event}",
        payload=payload,
        created_at=entry.recorded_at,
        due_at=entry.recorded_at,
        subject_id=entry.subject_id,
    )
