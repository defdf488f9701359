"""How a shop is doing now, read from its newest rows: every query is bounded by an index and a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from handraiser.store.sql import Reads

OWN_TYPES = ("confirmation", "preferences")


@dataclass(frozen=True, slots=True)
class Recent:
    """One of the newest emails; ``decision`` is what its row keeps."""

    message_id: bytes
    subject_id: bytes
    decision: Mapping[str, Any]


def _floor(at: int) -> bytes:
    """The lowest UUIDv7 of a moment (RFC 9562 §5.7); messages are found by time through their ids."""
    return (max(at, 0) & (2**48 - 1)).to_bytes(6) + bytes(10)


async def last_sent_at(reads: Reads, controller_id: bytes, shop_id: bytes) -> int | None:
    """When the shop's newest email passed (ms UTC)."""
    rows = await reads.fetch(
        "SELECT sent_at FROM message WHERE controller_id = $1 AND shop_id = $2 ORDER BY message_id DESC LIMIT 1",
        (controller_id, shop_id),
    )
    return rows[0]["sent_at"] if rows else None


async def sent_between(reads: Reads, controller_id: bytes, shop_id: bytes, since: int, until: int) -> int:
    """How many of the shop's emails passed in a span of time (ms UTC, the end excluded)."""
    rows = await reads.fetch(
        "SELECT COUNT(*) AS n FROM message WHERE controller_id = $1 AND shop_id = $2"
        " AND message_id >= $3 AND message_id < $4",
        (controller_id, shop_id, _floor(since), _floor(until)),
    )
    count: int = rows[0]["n"]
    return count


async def newest(reads: Reads, controller_id: bytes, shop_id: bytes, since: int, limit: int) -> list[Recent]:
    """The newest emails that the shop sent since a moment (ms UTC), test keys' and our own mails left out."""
    rows = await reads.fetch(
        "SELECT message_id, subject_id, decision FROM message WHERE controller_id = $1 AND shop_id = $2"
        " AND message_id >= $3 AND test = 0 AND type NOT IN ($4, $5) ORDER BY message_id DESC LIMIT $6",
        (controller_id, shop_id, _floor(since), *OWN_TYPES, limit),
    )
    return [Recent(row["message_id"], row["subject_id"], orjson.loads(row["decision"])) for row in rows]


async def verdicts(reads: Reads, controller_id: bytes, message_ids: Sequence[bytes]) -> dict[str, int]:
    """How many visits of these messages' links were judged what."""
    if not message_ids:
        return {}
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT c.verdict, COUNT(*) AS n FROM v JOIN click c"
        " ON c.controller_id = $1 AND c.message_id = v.message_id GROUP BY c.verdict",
        "message_id id",
        [(one,) for one in message_ids],
        (controller_id,),
    )
    return {row["verdict"]: row["n"] for row in rows}


async def answers(reads: Reads, controller_id: bytes, asked: Sequence[Recent]) -> dict[str, int]:
    """How many ledger entries of which event these messages led to."""
    if not asked:
        return {}
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT e.event, COUNT(*) AS n FROM v JOIN consent_entry e ON e.controller_id = $1"
        " AND e.subject_id = v.subject_id AND e.message_id = v.message_id GROUP BY e.event",
        "subject_id id, message_id id",
        [(one.subject_id, one.message_id) for one in asked],
        (controller_id,),
    )
    return {row["event"]: row["n"] for row in rows}


async def own_mails(
    reads: Reads, controller_id: bytes, shop_id: bytes, event: str, since: int, limit: int
) -> dict[str, int]:
    """What became of the newest mails of our own, by outcome; ``waiting`` are still to be sent."""
    rows = await reads.fetch(
        "SELECT x.outcome, COUNT(*) AS n FROM (SELECT controller_id, outbox_id, outcome FROM outbox"
        " WHERE controller_id = $1 AND event = $2 AND created_at >= $3 ORDER BY created_at DESC LIMIT $4) x"
        " JOIN message m ON m.controller_id = x.controller_id AND m.message_id = x.outbox_id AND m.shop_id = $5"
        " GROUP BY x.outcome",
        (controller_id, event, since, limit, shop_id),
    )
    return {row["outcome"] or "waiting": row["n"] for row in rows}


async def unsealed_since(reads: Reads, controller_id: bytes) -> int | None:
    """When the oldest ledger entry was recorded that no batch holds yet (ms UTC)."""
    rows = await reads.fetch(
        "SELECT e.recorded_at FROM ledger_waiting w JOIN consent_entry e ON e.controller_id = w.controller_id"
        " AND e.seq = w.seq WHERE w.controller_id = $1 ORDER BY w.seq LIMIT 1",
        (controller_id,),
    )
    return rows[0]["recorded_at"] if rows else None


async def catalogue_revision(reads: Reads, controller_id: bytes) -> int:
    """The revision of the company's catalogue: how often what is live was changed."""
    rows = await reads.fetch("SELECT revision FROM catalogue WHERE controller_id = $1", (controller_id,))
    return rows[0]["revision"] if rows else 0
