"""Entries of the ledger as rows: read back, and turned into what their hashes cover. Written by ``ledger.py`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import orjson

from handraiser.core.consent import Entry
from handraiser.store.sql import Reads, Row, to_json


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves an entry, deletable on its own: ``entry.evidence_commit`` = SHA-256(salt ‖ canonical content)."""

    salt: bytes
    content: Mapping[str, Any]


_KINDS = {
    **dict.fromkeys(("event_id", "controller_id", "subject_id", "message_id"), "id"),
    **dict.fromkeys(
        (
            "policy_snapshot_id",
            "wording_id",
            "notice_id",
            "source_order_ref",
            "dedup_key",
            "evidence_commit",
            "leaf_hash",
        ),
        "bytes",
    ),
    **dict.fromkeys(("link_kind", "schema_version"), "small"),
    **dict.fromkeys(("occurred_at", "received_at", "recorded_at", "expires_at", "supersedes_seq", "message_at"), "int"),
}
COLUMNS = tuple(field.name for field in fields(Entry) if field.name != "seq")
DECLARED = ", ".join(f"{name} {_KINDS.get(name, 'text')}" for name in COLUMNS)
LIST = ", ".join(COLUMNS)
"""Every column but ``seq``, which the database gives; ``DECLARED`` has their kinds beside them."""
_VALUES = attrgetter(*COLUMNS)
_PLAIN = frozenset({int, str, bytes, type(None)})


async def of_subject(reads: Reads, controller_id: bytes, subject_id: bytes) -> list[Entry]:
    """A subject's entries, oldest first."""
    rows = await reads.fetch(
        "SELECT * FROM consent_entry WHERE controller_id = $1 AND subject_id = $2 ORDER BY seq",
        (controller_id, subject_id),
    )
    return [to_entry(row) for row in rows]


async def by_event_id(reads: Reads, controller_id: bytes, event_id: bytes) -> Entry | None:
    """One entry."""
    rows = await reads.fetch(
        "SELECT * FROM consent_entry WHERE controller_id = $1 AND event_id = $2", (controller_id, event_id)
    )
    return to_entry(rows[0]) if rows else None


async def by_dedup_key(reads: Reads, controller_id: bytes, dedup_key: bytes) -> Entry | None:
    """The entry that a repeated answer would get."""
    rows = await reads.fetch(
        "SELECT * FROM consent_entry WHERE controller_id = $1 AND dedup_key = $2", (controller_id, dedup_key)
    )
    return to_entry(rows[0]) if rows else None


async def evidence_of(reads: Reads, controller_id: bytes, event_id: bytes) -> Evidence | None:
    """The evidence of an entry, while it is kept."""
    rows = await reads.fetch(
        "SELECT salt, content FROM evidence WHERE controller_id = $1 AND event_id = $2", (controller_id, event_id)
    )
    return Evidence(rows[0]["salt"], orjson.loads(rows[0]["content"])) if rows else None


def to_columns(entry: Entry) -> dict[str, int | str | bytes | None]:
    """An entry as the database holds it, without ``seq``: what its leaf hash covers."""
    named = zip(COLUMNS, _VALUES(entry), strict=True)
    return {name: value if type(value) in _PLAIN else _plain(value) for name, value in named}


def _plain(value: Any) -> Any:
    return to_json(value) if isinstance(value, tuple) else value.value


def to_entry(row: Row) -> Entry:
    """A row of ``consent_entry``."""
    kept = {name: row[name] for name in COLUMNS}
    kept["verdict_reasons"] = tuple(orjson.loads(kept["verdict_reasons"]))
    return Entry(seq=row["seq"], **kept)
