"""Consents that wait for their confirmation, and what is remembered of a subject that left."""

from __future__ import annotations

from handraiser.store.ledger import Standing, standing
from handraiser.store.sql import Reads


async def version_and_leaving(reads: Reads, controller_id: bytes, subject_id: bytes) -> tuple[int, int | None]:
    """The version that an answer must carry (read it before the standing), and when the subject last left by its
    entries (ms, None = never); one statement. An unknown or erased subject has version 0."""
    rows = await reads.fetch(
        "SELECT t.version, (SELECT max(e.occurred_at) FROM consent_entry e WHERE e.controller_id = t.controller_id"
        " AND e.subject_id = t.subject_id AND e.event IN ('withdrawn', 'objected', 'voided')) AS left_at"
        " FROM subject_state t WHERE t.controller_id = $1 AND t.subject_id = $2",
        (controller_id, subject_id),
    )
    return (rows[0]["version"], rows[0]["left_at"]) if rows else (0, None)


async def begun_since(reads: Reads, controller_id: bytes, subject_id: bytes, since: int) -> int:
    """How often a subject's consents began to wait since then (ms), whatever the purpose: a mail was sent each time."""
    rows = await reads.fetch(
        "SELECT count(*) AS n FROM consent_entry WHERE controller_id = $1 AND subject_id = $2"
        " AND event = 'pending' AND recorded_at > $3",
        (controller_id, subject_id, since),
    )
    return int(rows[0]["n"])


async def since_before(reads: Reads, before: int, limit: int) -> list[tuple[bytes, bytes, Standing]]:
    """(controller_id, subject_id, standing) of consents that wait since before then (ms), oldest first."""
    rows = await reads.fetch(
        "SELECT * FROM standing WHERE state = 'pending' AND since < $1 ORDER BY since LIMIT $2", (before, limit)
    )
    return [(row["controller_id"], row["subject_id"], standing(row)) for row in rows]


async def granted_until(reads: Reads, before: int, limit: int) -> list[tuple[bytes, bytes, Standing]]:
    """(controller_id, subject_id, standing) of grants whose time ended before then (ms), the earliest first."""
    rows = await reads.fetch(
        "SELECT * FROM standing WHERE expires_at IS NOT NULL AND expires_at < $1 AND state = 'granted'"
        " ORDER BY expires_at LIMIT $2",
        (before, limit),
    )
    return [(row["controller_id"], row["subject_id"], standing(row)) for row in rows]


async def pressed_in_a_mail(
    reads: Reads, controller_id: bytes, subject_id: bytes, shop_id: bytes, external_id: str
) -> bool:
    """Whether somebody whom the shop knows as ``external_id`` has said yes with a press in a mail to this mailbox, a
    confirmation mail among them; never for a guest, and no longer than the mail's message is kept."""
    rows = await reads.fetch(
        "SELECT 1 AS found FROM consent_entry e JOIN message m"
        " ON m.controller_id = e.controller_id AND m.message_id = e.message_id"
        " WHERE e.controller_id = $1 AND e.subject_id = $2 AND m.shop_id = $3 AND m.external_id = $4 AND $4 <> ''"
        " AND e.event IN ('granted', 'renewed') AND e.method = 'button' AND e.attestation <> 'none'"
        " AND e.touchpoint LIKE 'email:%' LIMIT 1",
        (controller_id, subject_id, shop_id, external_id),
    )
    return bool(rows)
