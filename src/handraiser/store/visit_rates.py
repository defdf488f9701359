"""How often networks visited in a minute, all processes together."""

from __future__ import annotations

from handraiser.store.database import Transaction


async def add(tx: Transaction, network_hash: bytes, minute: int, visits: int) -> int:
    """Add visits of a network in a minute (minutes since 1970); returns how many all processes have told of."""
    rows = await tx.fetch(
        "INSERT INTO visit_rate (network_hash, minute, visits) VALUES ($1, $2, $3)"
        " ON CONFLICT (network_hash, minute) DO UPDATE SET visits = visit_rate.visits + excluded.visits"
        " RETURNING visits",
        (network_hash, minute, visits),
    )
    return int(rows[0]["visits"])


async def forget(tx: Transaction, before: int) -> int:
    """Drop the counts of minutes before this one; returns how many."""
    return len(await tx.fetch("DELETE FROM visit_rate WHERE minute < $1 RETURNING minute", (before,)))
