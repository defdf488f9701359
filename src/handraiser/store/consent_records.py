"""What records from elsewhere are set against: standings under their subjects' locks, suppressions, entries there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from handraiser.core.consent import Standing, State
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads

TOLD_GRAIN_MS = 3_600_000
"""How exactly it is kept when a company last told anything: one row for each, which not every commit may lock."""

Who = tuple[bytes, bytes]
"""(controller_id, subject_id)."""


@dataclass(frozen=True, slots=True)
class Held:
    """Where a subject stands with one purpose on one channel, and the number of the entry that says so."""

    channel: str
    standing: Standing
    seq: int | None


@dataclass(frozen=True, slots=True)
class There:
    """An entry that is in the ledger already, as far as a repeated record must know it."""

    event_id: bytes
    subject_id: bytes
    purpose: str
    channel: str
    event: str
    occurred_at: int


async def standings(tx: Transaction, subjects: Collection[Who]) -> dict[Who, list[Held]]:
    """Every standing of these subjects, whose states stay locked to the end of the transaction."""
    batch = sorted(set(subjects))
    await tx.fetch_rows(
        "WITH {rows} SELECT t.subject_id FROM v JOIN subject_state t"
        " ON t.controller_id = v.controller_id AND t.subject_id = v.subject_id"
        " ORDER BY t.controller_id, t.subject_id {lock:t}",
        "controller_id id, subject_id id",
        batch,
    )
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT s.*, e.seq FROM v JOIN standing s"
        " ON s.controller_id = v.controller_id AND s.subject_id = v.subject_id"
        " LEFT JOIN consent_entry e ON e.controller_id = s.controller_id AND e.event_id = s.event_id",
        "controller_id id, subject_id id",
        batch,
    )
    found: dict[Who, list[Held]] = {who: [] for who in batch}
    for row in rows:
        standing = Standing(row["purpose"], State(row["state"]), row["since"], row["message_at"], row["event_id"])
        found[row["controller_id"], row["subject_id"]].append(Held(row["channel"], standing, row["seq"]))
    return found


async def suppressed(reads: Reads, lookups: Collection[tuple[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
    """Which of these mailboxes (controller_id, look-up) nobody may ask."""
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT DISTINCT x.controller_id, x.lookup FROM v JOIN suppression x"
        " ON x.controller_id = v.controller_id AND x.lookup = v.lookup",
        "controller_id id, lookup bytes",
        sorted(set(lookups)),
    )
    return {(row["controller_id"], row["lookup"]) for row in rows}


async def there(reads: Reads, keys: Collection[tuple[bytes, bytes]]) -> dict[tuple[bytes, bytes], There]:
    """The entries of these (controller_id, dedup_key) that are in the ledger."""
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT e.controller_id, e.dedup_key, e.event_id, e.subject_id, e.purpose, e.channel, e.event,"
        " e.occurred_at FROM v JOIN consent_entry e"
        " ON e.controller_id = v.controller_id AND e.dedup_key = v.dedup_key",
        "controller_id id, dedup_key bytes",
        sorted(set(keys)),
    )
    return {
        (row["controller_id"], row["dedup_key"]): There(
            row["event_id"], row["subject_id"], row["purpose"], row["channel"], row["event"], row["occurred_at"]
        )
        for row in rows
    }


async def keep_told(tx: Transaction, controllers: Collection[bytes], now: int) -> None:
    """Keep that these companies' other systems told what they know; what is less than an hour old stays as it is."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO consent_feed (controller_id, told_at) SELECT controller_id, told_at FROM v"
        " WHERE NOT EXISTS (SELECT 1 FROM consent_feed f WHERE f.controller_id = v.controller_id AND f.told_at > $1)"
        " ON CONFLICT (controller_id) DO UPDATE SET told_at = excluded.told_at",
        "controller_id id, told_at int",
        [(controller_id, now) for controller_id in sorted(set(controllers))],
        (now - TOLD_GRAIN_MS,),
    )


async def name_customers(tx: Transaction, rows: Sequence[tuple[bytes, bytes, str, bytes, int]]) -> None:
    """Keep (controller_id, shop_id, customer id, subject_id, since) where the customer is not known yet: mail, which
    goes to the customer's address of today, may have named it since."""
    names = "controller_id, shop_id, external_id, subject_id, since"
    for table in ("customer", "customer_history"):
        await tx.execute_rows(
            f"WITH {{rows}} INSERT INTO {table} ({names}) SELECT {names} FROM v WHERE true ON CONFLICT DO NOTHING",
            "controller_id id, shop_id id, external_id text, subject_id id, since int",
            sorted(rows),
        )
