"""Monthly partitions of messages and clicks on PostgreSQL: made two months ahead, dropped when all in them is too old.

What no partition takes (rows from before there were any, and whatever comes should this job not run) goes into the
default one, so a late job costs no email. SQLite has one file and no partitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from handraiser.store.database import Database, Transaction

AHEAD = 2
PARTITIONED = {"message": "message_id", "click": "at"}
_MONTH = re.compile(r"[a-z]+_(\d{4})_(\d\d)")
_VALIDATE_SECONDS = 300.0


async def make_ahead(database: Database, now: int) -> list[str]:
    """Make the partitions of this month (while there is nothing in the default one) and the two after it; the names of
    those made. Raises :class:`StoreConflict` where a lock could not be had in time: the next run goes on."""
    made: list[str] = []
    if database.dialect == "sqlite":
        return made
    for table in PARTITIONED:
        there = set(await _partitions(database, table))
        for n, (name, low, high) in enumerate(_months(table, now)):
            if name not in there and await (_this_month if n == 0 else _later)(database, table, name, low, high):
                made.append(name)
    return made


async def make_since(database: Database, table: str, at: int, now: int) -> None:
    """Make the partitions of the months from ``at`` to ``now`` (ms UTC) in a database whose default one is empty."""
    there = set(await _partitions(database, table))
    while at <= now:
        name, low, high = next(_months(table, at))
        if name not in there:
            await _this_month(database, table, name, low, high)
        at = _ms(_next(datetime.fromtimestamp(at / 1000, UTC).replace(day=1, hour=0, minute=0, second=0)))


async def drop(database: Database, table: str, before: int) -> list[str]:
    """Drop the partitions of ``table`` whose months had ended at ``before`` (ms UTC); their names."""
    gone: list[str] = []
    if database.dialect == "sqlite":
        return gone
    for name in await _partitions(database, table):
        if (month := _MONTH.fullmatch(name)) and _ms(
            _next(datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC))
        ) <= before:
            async with database.transaction() as tx:
                await tx.execute(f"DROP TABLE {name}")
            gone.append(name)
    return gone


async def _partitions(database: Database, table: str) -> list[str]:
    rows = await database.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass($1) ORDER BY c.relname",
        (table,),
    )
    return [row["relname"] for row in rows]


async def _this_month(database: Database, table: str, name: str, low: str, high: str) -> bool:
    """Only where the default partition is empty: moving rows out of it would hold up every email."""
    async with database.transaction() as tx:
        await tx.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        if await tx.fetch(f"SELECT 1 FROM {table}_default LIMIT 1"):
            return False
        await tx.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')")
    return True


async def _later(database: Database, table: str, name: str, low: str, high: str) -> bool:
    """Attach a month that has not begun. PostgreSQL would read the whole default partition under its strictest lock to
    see that nothing in it belongs there; a constraint, proven under a lock that lets everyone work, spares that."""
    column = PARTITIONED[table]
    async with database.transaction() as tx:
        await _let_go(tx, table, name)
        await tx.execute(
            f"ALTER TABLE {table}_default ADD CONSTRAINT {name}_apart"
            f" CHECK ({column} < '{low}' OR {column} >= '{high}') NOT VALID"
        )
    async with database.transaction(seconds=_VALIDATE_SECONDS) as tx:
        await tx.execute(f"ALTER TABLE {table}_default VALIDATE CONSTRAINT {name}_apart")
    async with database.transaction() as tx:
        await tx.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')")
        await _let_go(tx, table, name)
    return True


async def _let_go(tx: Transaction, table: str, name: str) -> None:
    """Also what a run that was killed has left."""
    await tx.execute(f"ALTER TABLE {table}_default DROP CONSTRAINT IF EXISTS {name}_apart")


def _months(table: str, now: int) -> Iterator[tuple[str, str, str]]:
    """Name and bounds, as PostgreSQL reads them, of this month and the next ones; ids are UUIDv7, in order of time."""
    month = datetime.fromtimestamp(now / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(AHEAD + 1):
        after = _next(month)
        low, high = (
            (_ms(one) << 80).to_bytes(16).hex() if table == "message" else str(_ms(one)) for one in (month, after)
        )
        yield f"{table}_{month:%Y_%m}", low, high
        month = after


def _next(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
