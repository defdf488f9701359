"""The ledger read from end to end, page by page, for whoever verifies it; each page is one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from handraiser.store.sql import Reads, Row

PAGE = 500
_LEAST = -(2**63)


async def companies(reads: Reads) -> dict[bytes, str]:
    """Every company that the ledger may know, with its name in commands: its slug, or its id where it has none."""
    rows = await reads.fetch(
        "SELECT k.controller_id, c.slug FROM (SELECT controller_id FROM controller"
        " UNION SELECT controller_id FROM ledger_head UNION SELECT controller_id FROM ledger_waiting) k"
        " LEFT JOIN controller c ON c.controller_id = k.controller_id ORDER BY k.controller_id"
    )
    return {row["controller_id"]: row["slug"] or row["controller_id"].hex() for row in rows}


async def leaves(reads: Reads, controller_id: bytes, size: int) -> AsyncIterator[Row]:
    """The leaves of a tree up to ``size`` in their order, each with its entry: ``seq`` is None where that is gone,
    ``wording_there`` and ``policy_there`` where the text and the rules are."""
    sql = (
        "SELECT l.leaf_index, l.seq AS leaf_seq, l.leaf_hash AS sealed_hash, l.batch_no, e.*,"
        " t.wording_id AS wording_there, p.policy_snapshot_id AS policy_there FROM ledger_leaf l"
        " LEFT JOIN consent_entry e ON e.controller_id = l.controller_id AND e.seq = l.seq"
        " LEFT JOIN wording t ON t.controller_id = e.controller_id AND t.wording_id = e.wording_id"
        " LEFT JOIN policy_snapshot p ON p.controller_id = e.controller_id"
        " AND p.policy_snapshot_id = e.policy_snapshot_id"
        " WHERE l.controller_id = $1 AND l.leaf_index {after} $2 AND l.leaf_index < $4 ORDER BY l.leaf_index LIMIT $3"
    )
    async for row in _paged(reads, sql, controller_id, "leaf_index", _LEAST, size):
        yield row


async def outside(reads: Reads, controller_id: bytes) -> AsyncIterator[Row]:
    """Entries that are in no batch; ``waits`` is None for those that do not wait for one either."""
    sql = (
        "SELECT e.*, l.seq AS sealed, w.seq AS waits, t.wording_id AS wording_there,"
        " p.policy_snapshot_id AS policy_there FROM consent_entry e"
        " LEFT JOIN ledger_leaf l ON l.controller_id = e.controller_id AND l.seq = e.seq"
        " LEFT JOIN ledger_waiting w ON w.controller_id = e.controller_id AND w.seq = e.seq"
        " LEFT JOIN wording t ON t.controller_id = e.controller_id AND t.wording_id = e.wording_id"
        " LEFT JOIN policy_snapshot p ON p.controller_id = e.controller_id"
        " AND p.policy_snapshot_id = e.policy_snapshot_id"
        " WHERE e.controller_id = $1 AND e.event_id {after} $2 ORDER BY e.event_id LIMIT $3"
    )
    async for row in _paged(reads, sql, controller_id, "event_id", _first_id(reads)):
        if row["sealed"] is None:
            yield row


async def heads(reads: Reads, controller_id: bytes) -> AsyncIterator[Row]:
    """The heads of a tree, oldest first."""
    sql = "SELECT * FROM ledger_head WHERE controller_id = $1 AND batch_no {after} $2 ORDER BY batch_no LIMIT $3"
    async for row in _paged(reads, sql, controller_id, "batch_no", _LEAST):
        yield row


async def sizes(reads: Reads, controller_id: bytes) -> tuple[int, int]:
    """How large the tree is by its leaves and by its heads, at one moment."""
    rows = await reads.fetch(
        "SELECT (SELECT MAX(leaf_index) + 1 FROM ledger_leaf WHERE controller_id = $1) AS leaves,"
        " (SELECT MAX(tree_size) FROM ledger_head WHERE controller_id = $1) AS heads",
        (controller_id,),
    )
    return rows[0]["leaves"] or 0, rows[0]["heads"] or 0


async def waiting_for_nothing(reads: Reads, controller_id: bytes) -> list[int]:
    """The numbers of entries that wait to be sealed and are gone."""
    rows = await reads.fetch(
        "SELECT w.seq FROM ledger_waiting w"
        " LEFT JOIN consent_entry e ON e.controller_id = w.controller_id AND e.seq = w.seq"
        " WHERE w.controller_id = $1 AND e.seq IS NULL ORDER BY w.seq LIMIT $2",
        (controller_id, PAGE),
    )
    return [row["seq"] for row in rows]


async def evidence(reads: Reads, controller_id: bytes) -> AsyncIterator[Row]:
    """The evidence that is still kept, with its entry's ``seq`` and commitment."""
    sql = (
        "SELECT x.event_id, x.salt, x.content, e.seq, e.evidence_commit FROM evidence x"
        " LEFT JOIN consent_entry e ON e.controller_id = x.controller_id AND e.event_id = x.event_id"
        " WHERE x.controller_id = $1 AND x.event_id {after} $2 ORDER BY x.event_id LIMIT $3"
    )
    async for row in _paged(reads, sql, controller_id, "event_id", _first_id(reads)):
        yield row


async def wordings(reads: Reads, controller_id: bytes) -> AsyncIterator[Row]:
    """The texts that were shown."""
    sql = "SELECT * FROM wording WHERE controller_id = $1 AND wording_id {after} $2 ORDER BY wording_id LIMIT $3"
    async for row in _paged(reads, sql, controller_id, "wording_id", b""):
        yield row


async def policies(reads: Reads, controller_id: bytes) -> AsyncIterator[Row]:
    """The rules that answers were taken under."""
    sql = (
        "SELECT * FROM policy_snapshot WHERE controller_id = $1 AND policy_snapshot_id {after} $2"
        " ORDER BY policy_snapshot_id LIMIT $3"
    )
    async for row in _paged(reads, sql, controller_id, "policy_snapshot_id", b""):
        yield row


async def heads_of_sizes(reads: Reads, keys: Sequence[tuple[bytes, int]]) -> dict[tuple[bytes, int], Row]:
    """Heads by (controller_id, tree_size)."""
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT h.* FROM v JOIN ledger_head h"
        " ON h.controller_id = v.controller_id AND h.tree_size = v.tree_size",
        "controller_id id, tree_size int",
        sorted(set(keys)),
    )
    return {(row["controller_id"], row["tree_size"]): row for row in rows}


def _first_id(reads: Reads) -> bytes:
    """What no id lies before: a tampered one in SQLite may be shorter than an id is."""
    return b"" if reads.dialect == "sqlite" else bytes(16)


async def _paged(
    reads: Reads, sql: str, controller_id: bytes, key: str, start: int | bytes, *more: Any
) -> AsyncIterator[Row]:
    """All rows in the order of ``key``; the first page begins with ``start`` itself, so nothing can lie before it."""
    after, compare = start, ">="
    while rows := await reads.fetch(sql.replace("{after}", compare), (controller_id, after, PAGE, *more)):
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after, compare = rows[-1][key], ">"
