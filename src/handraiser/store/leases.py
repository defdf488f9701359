"""Leases: rows that say who does a job until when; no session locks, which a transaction pooler would lose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from handraiser.errors import Busy
from handraiser.store.database import Database, Transaction

T = TypeVar("T")


async def take(tx: Transaction, name: str, holder: str, now: int, lease_ms: int) -> bool:
    """Take or renew a lease; False while another holder's runs.

    One that runs for more than twice as long was taken before the clock was set back, and counts no more.
    """
    rows = await tx.fetch(
        "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $4)"
        " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
        " WHERE lease.holder = excluded.holder OR lease.until <= $3 OR lease.until > $5 RETURNING holder",
        (name, holder, now, now + lease_ms, now + 2 * lease_ms),
    )
    return bool(rows)


async def give_back(tx: Transaction, name: str, holder: str) -> None:
    """End one's own lease early."""
    await tx.execute("DELETE FROM lease WHERE name = $1 AND holder = $2", (name, holder))


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is written in every transaction of the work it guards, so that two holders could only take turns."""

    database: Database
    name: str
    holder: str
    clock: Callable[[], int]
    lease_ms: int

    async def alone(self, work: Callable[[Transaction], Awaitable[T]], seconds: float | None = None) -> T:
        """One transaction of the holder, of at most ``seconds`` where given; raises :class:`Busy` while another replica
        holds the lease."""
        async with self.database.transaction(seconds=seconds) as tx:
            if not await take(tx, self.name, self.holder, self.clock(), self.lease_ms):
                raise Busy("another process is counting")
            return await work(tx)

    async def renew(self) -> None:
        """Take the lease, or hold it for longer; raises :class:`Busy`."""

        async def nothing(_tx: Transaction) -> None:
            return

        await self.alone(nothing)

    async def give_back(self) -> None:
        """End the lease early."""
        async with self.database.transaction() as tx:
            await give_back(tx, self.name, self.holder)
