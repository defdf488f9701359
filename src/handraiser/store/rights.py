"""What the law lets a customer demand: everything that is held of a subject, and that it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads

_OF_SUBJECT = "controller_id = $1 AND subject_id = $2"
_OF_MESSAGES = (
    "controller_id = $1 AND message_id IN (SELECT message_id FROM message WHERE controller_id = $1 AND subject_id = $2)"
)
_OF_ENTRIES = (
    "controller_id = $1 AND event_id IN"
    " (SELECT event_id FROM consent_entry WHERE controller_id = $1 AND subject_id = $2)"
)

HELD: Mapping[str, tuple[str, str]] = {
    "customer_history": (_OF_SUBJECT, "since"),
    "subject_state": (_OF_SUBJECT, "subject_id"),
    "standing": (_OF_SUBJECT, "purpose, channel"),
    "preference": (_OF_SUBJECT, "purpose"),
    "consent_entry": (_OF_SUBJECT, "seq"),
    "evidence": (_OF_ENTRIES, "created_at"),
    "exposure": (_OF_SUBJECT, "exposed_at"),
    "customer_count": (_OF_SUBJECT, "subject_id"),
    "feedback": (_OF_SUBJECT, "occurred_at"),
    "orders": (_OF_SUBJECT, "placed_at"),
    "message": (_OF_SUBJECT, "message_id"),
    "click": (_OF_MESSAGES, "at"),
    "outbox": (_OF_SUBJECT, "created_at"),
}
"""Every table that holds something of a subject beside its own row: which rows, in which order."""

ERASED: tuple[tuple[str, str], ...] = (
    ("click", _OF_MESSAGES),
    ("idempotency", _OF_MESSAGES),
    ("evidence", _OF_ENTRIES),
    ("message", _OF_SUBJECT),
    ("orders", _OF_SUBJECT),
    ("customer", _OF_SUBJECT),
    ("customer_history", _OF_SUBJECT),
    # What other systems are still to be told stays: it names no more than the pseudonym. A mail holds the address.
    ("outbox", f"{_OF_SUBJECT} AND carrier <> 'webhook'"),
    ("standing", _OF_SUBJECT),
    ("preference", _OF_SUBJECT),
)
"""What goes at erasure, in an order in which each finds its rows. The ledger's entries stay, under a pseudonym, and so
do first exposures, without their message, and scores: results must not change because somebody has left."""


async def held(reads: Reads, controller_id: bytes, subject_id: bytes) -> dict[str, list[dict[str, Any]]]:
    """Every row of a subject, by table, as the database has it."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table, (which, order) in HELD.items():
        rows = await reads.fetch(
            f"SELECT * FROM {table} WHERE {which} ORDER BY {order}",
            (controller_id, subject_id),
        )
        found[table] = [dict(row) for row in rows]
    return found


async def erase(tx: Transaction, controller_id: bytes, subject_id: bytes, now: int) -> None:
    """Take away the subject's address, look-up and everything else but its entries in the ledger, and its arms."""
    await tx.fetch(
        f"SELECT version FROM subject_state WHERE {_OF_SUBJECT} {{lock}}",
        (controller_id, subject_id),
    )
    for table, which in ERASED:
        await tx.execute(f"DELETE FROM {table} WHERE {which}", (controller_id, subject_id))
    await tx.execute(f"UPDATE exposure SET message_id = NULL WHERE {_OF_SUBJECT}", (controller_id, subject_id))
    await tx.execute(
        f"UPDATE subject SET lookup = NULL, address = NULL, erased_at = $3 WHERE {_OF_SUBJECT}",
        (controller_id, subject_id, now),
    )


async def forget_state(tx: Transaction, controller_id: bytes, subject_id: bytes) -> None:
    """Take away the counters that locked the subject, once its last entry is written."""
    await tx.execute(f"DELETE FROM subject_state WHERE {_OF_SUBJECT}", (controller_id, subject_id))
