"""The click log: every visit of a signed link, with the verdict and its reasons. It is no consent and is pruned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from handraiser.core.links import MAILED, OUTLIVE_KEYS, LinkKind
from handraiser.core.person import Seen
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, to_json

HOUR_MS = 3_600_000
_GROUPS = 500
_VISITS = 10_000
_OF_MESSAGES = MAILED - OUTLIVE_KEYS


@dataclass(frozen=True, slots=True)
class Click:
    """One visit: ``kind`` is the link's, ``method`` the HTTP method, ``network_hash`` None or a salted hash.

    ``message_id`` is the id in the link: the subject's for links that leave.
    """

    controller_id: bytes
    message_id: bytes
    at: int
    kind: int
    method: str
    verdict: str
    reasons: tuple[str, ...] = ()
    network_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """What was seen of a message's links before a visit: its ``honeypot`` touched, other links opened a moment ago, the
    networks that pressed, and the presses of the last hour."""

    honeypot: bool = False
    other_kinds: frozenset[int] = frozenset()
    networks: frozenset[bytes] = frozenset()
    presses: int = 0


async def trail(
    reads: Reads, controller_id: bytes, message_id: bytes, subject_id: bytes, *, kind: int, now: int, burst_ms: int
) -> Trail:
    """The trail of a message as a visit of its link of ``kind`` finds it at ``now`` (ms UTC)."""
    rows = await reads.fetch(
        "SELECT kind, method, network_hash, MAX(at) AS at, SUM(CASE WHEN at >= $4 THEN 1 ELSE 0 END) AS lately,"
        " MAX(CASE WHEN reasons LIKE '%\"honeypot\"%' THEN 1 ELSE 0 END) AS trapped"
        " FROM click WHERE controller_id = $1 AND message_id IN ($2, $3)"
        " AND (method = 'POST' OR kind = $5 OR at >= $6) GROUP BY kind, method, network_hash LIMIT $7",
        (controller_id, message_id, subject_id, now - HOUR_MS, int(LinkKind.HONEYPOT), now - burst_ms, _GROUPS),
    )
    # What a subject's own links did says nothing of a message's, and leaving is never counted.
    counted = {kind} if kind == LinkKind.PREFERENCES else set(LinkKind) - OUTLIVE_KEYS
    pressed = [row for row in rows if row["method"] == "POST" and row["kind"] in counted]
    return Trail(
        honeypot=any(row["kind"] == LinkKind.HONEYPOT and row["trapped"] for row in rows),
        other_kinds=frozenset(
            row["kind"] for row in rows if row["kind"] in MAILED - {kind} and row["at"] >= now - burst_ms
        ),
        networks=frozenset(bytes(row["network_hash"]) for row in pressed if row["network_hash"] is not None),
        presses=sum(row["lately"] for row in pressed),
    )


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
    await _count_by_arm(tx, rows)
    return [None] * len(rows)


async def _count_by_arm(tx: Transaction, rows: Sequence[Click]) -> None:
    """Add visits of messages' links to the arms that their readers were in by then."""
    visited = [(n, one.controller_id, one.message_id) for n, one in enumerate(rows) if one.kind in _OF_MESSAGES]
    found = await tx.fetch_rows(
        "WITH {rows} SELECT v.n, e.controller_id, e.experiment_id, e.arm FROM v JOIN message m"
        " ON m.controller_id = v.controller_id AND m.message_id = v.message_id JOIN exposure e"
        " ON e.controller_id = m.controller_id AND e.subject_id = m.subject_id AND e.exposed_at <= m.sent_at",
        "n int, controller_id id, message_id id",
        visited,
    )
    counts = Counter((one["controller_id"], one["experiment_id"], one["arm"], rows[one["n"]].verdict) for one in found)
    await tx.execute_rows(
        "WITH {rows} INSERT INTO click_tally (controller_id, experiment_id, arm, verdict, clicks)"
        " SELECT controller_id, experiment_id, arm, verdict, clicks FROM v WHERE true"
        " ON CONFLICT (controller_id, experiment_id, arm, verdict) DO UPDATE"
        " SET clicks = click_tally.clicks + excluded.clicks",
        "controller_id id, experiment_id id, arm int, verdict text, clicks int",
        [(*key, clicks) for key, clicks in sorted(counts.items())],
    )


async def between(
    reads: Reads, controller_id: bytes, message_id: bytes, subject_id: bytes, since: int, until: int
) -> list[Seen]:
    """The visits of a message's links within a time (ms UTC, both ends counted)."""
    rows = await reads.fetch(
        "SELECT at, kind, reasons FROM click WHERE controller_id = $1 AND message_id IN ($2, $3)"
        " AND at BETWEEN $4 AND $5 ORDER BY at LIMIT $6",
        (controller_id, message_id, subject_id, since, until, _VISITS),
    )
    return [Seen(row["at"], row["kind"], tuple(orjson.loads(row["reasons"]))) for row in rows]


async def of_message(
    reads: Reads, controller_id: bytes, message_id: bytes, subject_id: bytes, limit: int = 200
) -> list[Click]:
    """The newest visits of one message's links and of its reader's links that leave, newest first."""
    rows = await reads.fetch(
        "SELECT * FROM click WHERE controller_id = $1 AND message_id IN ($2, $3) ORDER BY at DESC LIMIT $4",
        (controller_id, message_id, subject_id, limit),
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
