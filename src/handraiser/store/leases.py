"""Leases: rows that say who does a job until when; no session locks, which a transaction pooler would lose."""

from __future__ import annotations

from handraiser.store.database import Transaction


async def take(tx: Transaction, name: str, holder: str, now: int, lease_ms: int) -> bool:
    """Take or renew a lease; False while another holder's runs."""
    rows = await tx.fetch(
        "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $4)"
        " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
        " WHERE lease.holder = excluded.holder OR lease.until <= $3 RETURNING holder",
        (name, holder, now, now + lease_ms),
    )
    return bool(rows)


async def give_back(tx: Transaction, name: str, holder: str) -> None:
    """End one's own lease early."""
    await tx.execute("DELETE FROM lease WHERE name = $1 AND holder = $2", (name, holder))
