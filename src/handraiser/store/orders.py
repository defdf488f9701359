"""Orders as order systems tell them: each as it stands, newer over older, counted once for its subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from handraiser.core.order_record import CANCELLED, OrderRecord
from handraiser.store import consent_records, subjects
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, StoreConflict, to_json
from handraiser.store.subjects import NewSubject

_KEY = "controller_id id, shop_id id, order_id text"
_TOLD = (
    "placed_at int, value_minor int, currency text, status text, channel text, purchase_type text, country text,"
    " refunded_minor int, facts text, version int"
)
_NEW = f"{_KEY}, subject_id id, kind text, historical small, first_message_at int, {_TOLD}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One telling of an order. ``subject`` is its customer's mailbox, kept as new where it is unknown; the record's
    ``kind`` "" leaves ``new`` or ``current`` to what is known of the subject. ``told_at`` is in ms."""

    controller_id: bytes
    shop_id: bytes
    subject: NewSubject
    record: OrderRecord
    told_at: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a telling: ``recorded``, ``updated``, ``unchanged``, ``older`` (nothing was changed) or
    ``suppressed`` (history of a mailbox that is unknown and barred, of which nothing is kept)."""

    outcome: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it is kept, with its customer's mailbox; ``address`` is sealed."""

    order_id: str
    subject_id: bytes
    address: str
    placed_at: int
    value_minor: int | None
    currency: str
    status: str
    country: str
    kind: str
    facts: Mapping[str, Any]


async def find(reads: Reads, controller_id: bytes, shop_id: bytes, order_id: str) -> StoredOrder | None:
    """The order of this id."""
    names = "o.order_id, o.subject_id, s.address, o.placed_at, o.value_minor, o.currency, o.status, o.country, o.kind"
    rows = await reads.fetch(
        f"SELECT {names}, o.facts FROM orders o JOIN subject s"
        " ON s.controller_id = o.controller_id AND s.subject_id = o.subject_id"
        " WHERE o.controller_id = $1 AND o.shop_id = $2 AND o.order_id = $3 AND s.address IS NOT NULL",
        (controller_id, shop_id, order_id),
    )
    if not rows:
        return None
    told = {name: rows[0][name] for name in StoredOrder.__slots__}
    return StoredOrder(**{**told, "facts": orjson.loads(told["facts"])})


_Key = tuple[bytes, bytes, str]


@dataclass(slots=True)
class _Order:
    """One order within a batch: as the database has it (``counted``), and the newest telling (None: no newer one)."""

    subject_id: bytes
    version: int
    kind: str
    counted: bool
    there: bool
    newest: OrderRow | None = None


@dataclass(slots=True)
class _Batch:
    orders: dict[_Key, _Order]
    first: dict[tuple[bytes, bytes], int]


async def put(tx: Transaction, rows: Sequence[OrderRow]) -> list[Taken]:
    """Keep each order as its newest telling has it; rows of one order take their turns in the order given.

    The order stays with the subject of its first telling, and with its kind unless the shop says another. Raises
    :class:`StoreConflict` when another transaction told of the same order first.
    """
    whose = await _subjects(tx, rows)
    first = await _locked(tx, whose, rows)
    batch = _Batch(await _known(tx, {_key(row) for row in rows}), first)
    taken = [
        Taken("suppressed") if subject_id is None else _take(batch, row, subject_id)
        for row, subject_id in zip(rows, whose, strict=True)
    ]
    await _write(tx, batch)
    await consent_records.name_customers(
        tx,
        [
            (row.controller_id, row.shop_id, row.record.customer_id, one, row.told_at)
            for row, one in _last_of_customer(rows, whose)
        ],
    )
    return taken


def _key(row: OrderRow) -> _Key:
    return (row.controller_id, row.shop_id, row.record.order_id)


async def _subjects(tx: Transaction, rows: Sequence[OrderRow]) -> list[bytes | None]:
    """Whose each order is. Of history, nothing is kept of an unknown mailbox that nobody may ask: it may have been
    erased, and an old list must not bring its address back."""
    lookups = [(row.controller_id, row.subject.lookup) for row in rows]
    known = await subjects.find_by_lookup(tx, lookups)
    strange = [at for at, row, one in zip(lookups, rows, known, strict=True) if row.record.historical and one is None]
    barred = await consent_records.suppressed(tx, strange) if strange else set()
    left_out = [
        row.record.historical and one is None and at in barred
        for at, row, one in zip(lookups, rows, known, strict=True)
    ]
    wanted = [row.subject for row, out in zip(rows, left_out, strict=True) if not out]
    ids = iter(await subjects.ensure(tx, wanted) if wanted else ())
    return [None if out else next(ids) for out in left_out]


async def _locked(
    tx: Transaction, whose: Sequence[bytes | None], rows: Sequence[OrderRow]
) -> dict[tuple[bytes, bytes], int]:
    """When each subject first bought (ms); their states stay locked to the end of the transaction.

    Before the orders, as emails lock them: the email and the telling of one order often come at the same moment.
    """
    batch = sorted({(row.controller_id, one) for row, one in zip(rows, whose, strict=True) if one is not None})
    await tx.fetch_rows(
        "WITH {rows} SELECT t.subject_id FROM v JOIN subject_state t"
        " ON t.controller_id = v.controller_id AND t.subject_id = v.subject_id"
        " ORDER BY t.controller_id, t.subject_id {lock:t}",
        "controller_id id, subject_id id",
        batch,
    )
    found = await tx.fetch_rows(
        "WITH {rows} SELECT o.controller_id, o.subject_id, min(o.placed_at) AS first FROM v JOIN orders o"
        " ON o.controller_id = v.controller_id AND o.subject_id = v.subject_id"
        f" WHERE o.status <> '{CANCELLED}'"
        " GROUP BY o.controller_id, o.subject_id",
        "controller_id id, subject_id id",
        batch,
    )
    return {(row["controller_id"], row["subject_id"]): row["first"] for row in found}


async def _known(tx: Transaction, keys: set[_Key]) -> dict[_Key, _Order]:
    found = await tx.fetch_rows(
        "WITH {rows} SELECT o.controller_id, o.shop_id, o.order_id, o.subject_id, o.version, o.kind, o.status FROM v"
        " JOIN orders o ON o.controller_id = v.controller_id AND o.shop_id = v.shop_id AND o.order_id = v.order_id"
        " ORDER BY o.controller_id, o.shop_id, o.order_id {lock:o}",
        _KEY,
        sorted(keys),
    )
    return {
        (row["controller_id"], row["shop_id"], row["order_id"]): _Order(
            row["subject_id"], row["version"], row["kind"], row["status"] != CANCELLED, there=True
        )
        for row in found
    }


def _take(batch: _Batch, row: OrderRow, subject_id: bytes) -> Taken:
    who = (row.controller_id, subject_id)
    order = batch.orders.get(_key(row))
    if order is None:
        first = batch.first.get(who)
        kind = row.record.kind or ("current" if first is not None and first < row.record.placed_at else "new")
        batch.orders[_key(row)] = _Order(subject_id, row.record.version, kind, counted=False, there=False, newest=row)
        if row.record.status != CANCELLED:
            batch.first[who] = min(first or row.record.placed_at, row.record.placed_at)
        return Taken("recorded", kind)
    if row.record.version <= order.version:
        return Taken("unchanged" if row.record.version == order.version else "older", order.kind)
    order.version, order.newest = row.record.version, row
    order.kind = row.record.kind or order.kind
    return Taken("updated", order.kind)


async def _write(tx: Transaction, batch: _Batch) -> None:
    new, changed = [], []
    moved: dict[tuple[bytes, bytes], int] = {}
    for key, order in sorted(batch.orders.items()):
        row = order.newest
        if row is None:
            continue
        told = (
            row.record.placed_at,
            row.record.value_minor,
            row.record.currency,
            row.record.status,
            row.record.channel,
            row.record.purchase_type,
            row.record.country,
            row.record.refunded_minor,
            to_json(row.record.facts),
            row.record.version,
        )
        if order.there:
            changed.append((*key, order.kind, *told))
        else:
            new.append((*key, order.subject_id, order.kind, int(row.record.historical), row.told_at, *told))
        by = (row.record.status != CANCELLED) - order.counted
        if by:
            moved[key[0], order.subject_id] = moved.get((key[0], order.subject_id), 0) + by
    names = ", ".join(part.split()[0] for part in _NEW.split(","))
    made = await tx.fetch_rows(
        f"WITH {{rows}} INSERT INTO orders ({names}) SELECT {names} FROM v WHERE true ON CONFLICT DO NOTHING"
        " RETURNING order_id",
        _NEW,
        new,
    )
    if len(made) < len(new):
        raise StoreConflict("another transaction told of an order first")
    sets = ", ".join(f"{part.split()[0]} = v.{part.split()[0]}" for part in f"kind text, {_TOLD}".split(","))
    await tx.execute_rows(
        f"WITH {{rows}} UPDATE orders SET {sets} FROM v WHERE orders.controller_id = v.controller_id"
        " AND orders.shop_id = v.shop_id AND orders.order_id = v.order_id",
        f"{_KEY}, kind text, {_TOLD}",
        changed,
    )
    await tx.execute_rows(
        "WITH {rows} UPDATE subject_state SET orders_seen = subject_state.orders_seen + v.moved FROM v"
        " WHERE subject_state.controller_id = v.controller_id AND subject_state.subject_id = v.subject_id",
        "controller_id id, subject_id id, moved int",
        [(*who, by) for who, by in sorted(moved.items())],
    )


def _last_of_customer(rows: Sequence[OrderRow], whose: Sequence[bytes | None]) -> list[tuple[Any, bytes]]:
    named = {
        (row.controller_id, row.shop_id, row.record.customer_id): (row, one)
        for row, one in zip(rows, whose, strict=True)
        if row.record.customer_id and one is not None
    }
    return [*named.values()]
