"""Sealing the ledger: entries become leaves of their company's Merkle tree, batch by batch, under a signed head."""

from __future__ import annotations

from collections.abc import Callable

from handraiser.core.ledger_head import Head
from handraiser.core.ledger_proof import Tree
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row


async def waiting(reads: Reads) -> list[bytes]:
    """The companies that have entries which no batch holds yet."""
    rows = await reads.fetch("SELECT DISTINCT controller_id FROM ledger_waiting ORDER BY controller_id")
    return [row["controller_id"] for row in rows]


async def seal(
    tx: Transaction, controller_id: bytes, now: int, limit: int, sign: Callable[[Head], Head]
) -> Head | None:
    """Put up to ``limit`` waiting entries of a company, in the order of their ``seq``, into its tree as one batch.

    Returns the signed head; None when nothing waits. An entry that waits and is gone stays waiting, for verifying to
    name it. Two that seal the same company take turns.
    """
    await tx.exclusive(f"ledger seal {controller_id.hex()}")
    rows = await tx.fetch(
        "SELECT e.seq, e.leaf_hash FROM ledger_waiting w JOIN consent_entry e"
        " ON e.controller_id = w.controller_id AND e.seq = w.seq"
        " WHERE w.controller_id = $1 ORDER BY w.seq LIMIT $2",
        (controller_id, limit),
    )
    if not rows:
        return None
    last = await tx.fetch(
        "SELECT * FROM ledger_head WHERE controller_id = $1 ORDER BY batch_no DESC LIMIT 1", (controller_id,)
    )
    tree = Tree.unpacked(last[0]["tree_size"], last[0]["peaks"]) if last else Tree()
    batch_no = last[0]["batch_no"] + 1 if last else 1
    leaves = []
    for row in rows:
        leaves.append((controller_id, tree.size, row["seq"], row["leaf_hash"], batch_no))
        tree.append(row["leaf_hash"])
    head = sign(Head(controller_id, batch_no, tree.size, tree.root, now))
    await tx.execute_rows(
        "WITH {rows} INSERT INTO ledger_leaf (controller_id, leaf_index, seq, leaf_hash, batch_no)"
        " SELECT controller_id, leaf_index, seq, leaf_hash, batch_no FROM v",
        "controller_id id, leaf_index int, seq int, leaf_hash bytes, batch_no int",
        leaves,
    )
    await tx.execute(
        "INSERT INTO ledger_head (controller_id, batch_no, tree_size, root, sealed_at, kid, signature, peaks)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        (controller_id, batch_no, tree.size, tree.root, now, head.kid, head.signature, tree.packed),
    )
    await tx.execute_rows(
        "WITH {rows} DELETE FROM ledger_waiting WHERE controller_id = $1 AND seq IN (SELECT seq FROM v)",
        "seq int",
        [(row["seq"],) for row in rows],
        (controller_id,),
    )
    return head


async def newest(reads: Reads) -> list[Head]:
    """The last head of each company."""
    rows = await reads.fetch(
        "SELECT h.* FROM ledger_head h JOIN (SELECT controller_id, MAX(batch_no) AS batch_no FROM ledger_head"
        " GROUP BY controller_id) last ON last.controller_id = h.controller_id AND last.batch_no = h.batch_no"
        " ORDER BY h.controller_id"
    )
    return [to_head(row) for row in rows]


def to_head(row: Row) -> Head:
    """A row of ``ledger_head``."""
    return Head(
        row["controller_id"],
        row["batch_no"],
        row["tree_size"],
        row["root"],
        row["sealed_at"],
        row["kid"],
        row["signature"],
    )
