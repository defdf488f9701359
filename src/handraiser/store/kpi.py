"""What customers count as, and the tallies that reports are read from: at every commit these are the sum over those.

Who is to be counted anew is marked in the commit of what happened. Counting reads all that is known of a subject and
replaces what it counted as, and deletes the marks that it read, in one transaction: so what commits out of order, comes
twice or is cut off by a kill cannot make the tallies differ from a recount.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from handraiser.core.kpi import Bought, Customer, Exposed, Key, Place, count, see, tallied
from handraiser.core.outcome import Said
from handraiser.store.database import Transaction
from handraiser.store.shop_status import OWN_TYPES
from handraiser.store.sql import Reads, Row, to_json

CHUNK = 1_000
"""Rows of one statement: SQLite takes some 32,000 values."""

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "opt_in_tally": (
        "shop_id id, dimension text, day int, value text, customer_kind text, lag int",
        ("seen", "eligible", "asked", "asks", "would_have_asked", "opted_in", "left_30", "left_90"),
    ),
    "day_tally": ("shop_id id, day int", ("known", "gained", "lost", "purchases", "views")),
    "lifetime_tally": (
        "shop_id id, experiment_id id, weights_version int, arm int, day int, currency text, other text",
        ("customers", "orders", "amount", "high", "low"),
    ),
}
"""Each table of tallies: its key without the company, and its counts."""

T = TypeVar("T")
Deltas = dict[str, dict[Key, dict[str, int]]]
_WHOM = "controller_id id, subject_id id"
_ENTRY = "c.purpose, c.event, c.occurred_at, c.method, c.attestation, c.actor, c.state"


@dataclass(slots=True)
class _Known:
    """What the raw rows say of one subject."""

    sent: list[tuple[str, Place]] = field(default_factory=list)
    said: list[tuple[Said, str]] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)
    exposed: list[Exposed] = field(default_factory=list)


async def companies(reads: Reads) -> list[bytes]:
    """Every company."""
    return [row["controller_id"] for row in await reads.fetch("SELECT controller_id FROM controller ORDER BY 1")]


async def catch_up(tx: Transaction, controller_id: bytes, limit: int, now: int) -> int:
    """Count the subjects of the next ``limit`` marks anew; returns how many marks that were, 0 when none is left.

    Only one at a time may do this. ``now`` (ms) is kept as the moment up to which everything is counted.
    """
    await _begin(tx, controller_id)
    marks = await tx.fetch(
        "SELECT mark_id, subject_id, of_message FROM customer_waiting WHERE controller_id = $1"
        " ORDER BY mark_id LIMIT $2 {lock}",
        (controller_id, limit),
    )
    if len(marks) < limit:
        await tx.execute(
            "INSERT INTO customer_counted (controller_id, counted_at) VALUES ($1, $2)"
            " ON CONFLICT (controller_id) DO UPDATE SET counted_at = excluded.counted_at",
            (controller_id, now),
        )
    if not marks:
        return 0
    subjects = sorted({row["subject_id"] for row in marks})
    before, counted = await _customers(tx, controller_id, subjects)
    known = await _known(tx, controller_id, subjects)
    await _read_messages(tx, controller_id, [row["mark_id"] for row in marks if row["of_message"] == 1], known)
    await _take_back(tx, controller_id, [row for row in marks if row["of_message"] == 2], before)
    deltas: Deltas = defaultdict(dict)
    kept = []
    for subject_id in subjects:
        if subject_id in counted:
            _add(deltas, counted[subject_id], -1)
        was = before.get(subject_id, Customer())
        if (one := known.get(subject_id)) is not None:
            customer = count(see(was.places, one.sent), one.said, one.bought, one.exposed)
            _add(deltas, customer, 1)
            kept.append((subject_id, to_json(customer.to_json())))
    await _write(tx, controller_id, deltas)
    await _keep(tx, controller_id, kept, [one for one in subjects if one not in known])
    await tx.execute_rows(
        "WITH {rows} DELETE FROM customer_waiting WHERE (controller_id, mark_id)"
        " IN (SELECT controller_id, mark_id FROM v)",
        "controller_id id, mark_id id",
        [(controller_id, row["mark_id"]) for row in marks],
    )
    return len(marks)


async def _begin(tx: Transaction, controller_id: bytes) -> None:
    """Mark all that was there before a company is counted at all: a migration that did it would hold up emails."""
    if not await tx.fetch(
        "INSERT INTO customer_counted (controller_id, counted_at) VALUES ($1, 0) ON CONFLICT DO NOTHING RETURNING 1",
        (controller_id,),
    ):
        return
    for statement in (
        "SELECT controller_id, message_id, subject_id, 1 FROM message WHERE controller_id = $1 AND test = 0",
        "SELECT controller_id, subject_id, subject_id, 0 FROM subject WHERE controller_id = $1",
    ):
        await tx.execute(f"INSERT INTO customer_waiting {statement} ON CONFLICT DO NOTHING", (controller_id,))


async def _customers(
    tx: Transaction, controller_id: bytes, subjects: Sequence[bytes]
) -> tuple[dict[bytes, Customer], dict[bytes, Customer]]:
    """What these subjects counted as so far, and those of them that the tallies hold."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT c.subject_id, c.content, c.counted FROM v JOIN customer_count c"
        " ON c.controller_id = v.controller_id AND c.subject_id = v.subject_id",
        _WHOM,
        [(controller_id, one) for one in subjects],
    )
    found = {row["subject_id"]: Customer.from_json(orjson.loads(row["content"])) for row in rows}
    return found, {row["subject_id"]: found[row["subject_id"]] for row in rows if row["counted"]}


async def _known(reads: Reads, controller_id: bytes, subjects: Sequence[bytes]) -> dict[bytes, _Known]:
    """What entries, orders and exposures say of those subjects that were not erased."""

    whom = [(controller_id, one) for one in subjects]

    async def rows(text: str) -> Iterable[Sequence[Any]]:
        text = f"WITH {{rows}} SELECT v.subject_id, {text}"
        return [tuple(row) for row in await reads.fetch_rows(text, _WHOM, whom)]

    of_subject = "ON {0}.controller_id = v.controller_id AND {0}.subject_id = v.subject_id"
    alive = await rows(f"1 FROM v JOIN subject s {of_subject.format('s')} AND s.erased_at IS NULL")
    known = {subject_id: _Known() for subject_id, _ in alive}
    for subject_id, *said, state in await rows(
        f"{_ENTRY} FROM v JOIN consent_entry c {of_subject.format('c')} WHERE c.channel = 'email'"
        " ORDER BY v.subject_id, c.seq"
    ):
        if subject_id in known:
            known[subject_id].said.append((Said(*said), state))
    for subject_id, shop_id, placed_at, currency, value, refunded, status in await rows(
        "o.shop_id, o.placed_at, o.currency, o.value_minor, o.refunded_minor, o.status"
        f" FROM v JOIN orders o {of_subject.format('o')}"
    ):
        if subject_id in known:
            net = (value or 0) - refunded
            known[subject_id].bought.append(Bought(shop_id.hex(), placed_at, currency, net, status))
    for subject_id, shop_id, experiment_id, *rest in await rows(
        "e.shop_id, e.experiment_id, e.weights_version, e.arm, e.exposed_at"
        f" FROM v JOIN exposure e {of_subject.format('e')}"
    ):
        if subject_id in known:
            known[subject_id].exposed.append(Exposed(shop_id.hex(), experiment_id.hex(), *rest))
    return known


async def _read_messages(
    tx: Transaction, controller_id: bytes, message_ids: Sequence[bytes], known: Mapping[bytes, _Known]
) -> None:
    """What these messages make of their readers; our own mails make nothing of them."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT m.* FROM v JOIN message m ON m.controller_id = v.controller_id"
        " AND m.message_id = v.message_id WHERE m.type NOT IN ($1, $2)",
        "controller_id id, message_id id",
        [(controller_id, one) for one in message_ids],
        OWN_TYPES,
    )
    for row, place in await _places(tx, controller_id, rows):
        if row["subject_id"] in known:
            known[row["subject_id"]].sent.append((row["shop_id"].hex(), place))


async def _places(reads: Reads, controller_id: bytes, rows: Sequence[Row]) -> list[tuple[Row, Place]]:
    asks = await _asks(reads, controller_id) if rows else set()
    return [
        (row, Place.of(dict(row), orjson.loads(row["decision"]), orjson.loads(row["request"]), asks)) for row in rows
    ]


async def _take_back(
    tx: Transaction, controller_id: bytes, marks: Sequence[Row], before: dict[bytes, Customer]
) -> None:
    """Take the asks of messages that went out without them from what their readers were, one by one."""
    for mark in marks:
        rows = await tx.fetch(
            "SELECT * FROM message WHERE controller_id = $1 AND subject_id = $2 AND test = 0 AND type NOT IN ($3, $4)",
            (controller_id, mark["subject_id"], *OWN_TYPES),
        )
        own = next((row for row in rows if row["message_id"] == mark["mark_id"]), None)
        customer = before.get(mark["subject_id"])
        if own is None or customer is None or (shop := own["shop_id"].hex()) not in customer.places:
            continue
        kept = await _places(tx, controller_id, [row for row in rows if row["shop_id"] == own["shop_id"]])
        place = customer.places[shop].without_ask(own["sent_at"], [one for _, one in kept])
        before[mark["subject_id"]] = Customer({**customer.places, shop: place})


async def _asks(reads: Reads, controller_id: bytes) -> set[str]:
    """The slugs of the blocks that ask."""
    rows = await reads.fetch(
        "SELECT DISTINCT b.slug FROM block b JOIN block_version v ON v.controller_id = b.controller_id"
        " AND v.block_id = b.block_id WHERE b.controller_id = $1 AND v.legal_class = 'ask'",
        (controller_id,),
    )
    return {row["slug"] for row in rows}


def _add(deltas: Deltas, customer: Customer, sign: int) -> None:
    for table, rows in tallied(customer).items():
        for key, counts in rows.items():
            held = deltas[table].setdefault(key, {})
            for name, by in counts.items():
                held[name] = held.get(name, 0) + sign * by


def _rows(deltas: Deltas, table: str, company: bytes) -> list[tuple[Any, ...]]:
    """A table's deltas as its rows, in the order of their key; what adds up to nothing is left out."""
    declared, columns = TABLES[table]
    ids = [part.split()[1] == "id" for part in declared.split(", ")]
    return sorted(
        (
            *(bytes.fromhex(str(one)) or company if is_id else one for one, is_id in zip(key, ids, strict=True)),
            *(counts.get(name, 0) for name in columns),
        )
        for key, counts in deltas.get(table, {}).items()
        if any(counts.values())
    )


async def _write(tx: Transaction, controller_id: bytes, deltas: Deltas) -> None:
    for table, (declared, columns) in TABLES.items():
        key = _names(declared)
        names = f"{key}, {', '.join(columns)}"
        for some in _chunks(_rows(deltas, table, controller_id)):
            await tx.execute_rows(
                f"WITH {{rows}} INSERT INTO {table} (controller_id, {names}) SELECT $1, {names} FROM v WHERE true"
                f" ON CONFLICT (controller_id, {key})"
                f" DO UPDATE SET {', '.join(f'{one} = {table}.{one} + excluded.{one}' for one in columns)}",
                f"{declared}, {', '.join(f'{one} int' for one in columns)}",
                some,
                (controller_id,),
            )


async def _keep(
    tx: Transaction, controller_id: bytes, kept: Sequence[tuple[bytes, str]], gone: Sequence[bytes]
) -> None:
    await tx.execute_rows(
        "WITH {rows} INSERT INTO customer_count (controller_id, subject_id, content, counted)"
        " SELECT $1, subject_id, content, 1 FROM v WHERE true"
        " ON CONFLICT (controller_id, subject_id) DO UPDATE SET content = excluded.content, counted = 1",
        "subject_id id, content text",
        kept,
        (controller_id,),
    )
    await tx.execute_rows(
        "WITH {rows} DELETE FROM customer_count WHERE (controller_id, subject_id)"
        " IN (SELECT controller_id, subject_id FROM v)",
        _WHOM,
        [(controller_id, one) for one in gone],
    )


def _names(declared: str) -> str:
    return ", ".join(part.split()[0] for part in declared.split(", "))


def _chunks(rows: list[T]) -> Iterator[list[T]]:
    return (rows[n : n + CHUNK] for n in range(0, len(rows), CHUNK))


async def forget(tx: Transaction, controller_id: bytes) -> None:
    """Take a company's tallies away and let :func:`catch_up` count every customer again."""
    for table in TABLES:
        await tx.execute(f"DELETE FROM {table} WHERE controller_id = $1", (controller_id,))
    await tx.execute("UPDATE customer_count SET counted = 0 WHERE controller_id = $1", (controller_id,))
    await tx.execute(
        "INSERT INTO customer_waiting (controller_id, mark_id, subject_id, of_message)"
        " SELECT controller_id, subject_id, subject_id, 0 FROM customer_count WHERE controller_id = $1"
        " ON CONFLICT DO NOTHING",
        (controller_id,),
    )


async def _pages(reads: Reads, controller_id: bytes) -> AsyncIterator[dict[bytes, Customer]]:
    after = bytes(16)
    while page := await reads.fetch(
        "SELECT subject_id, content FROM customer_count WHERE controller_id = $1 AND subject_id > $2 AND counted = 1"
        " ORDER BY subject_id LIMIT $3",
        (controller_id, after, CHUNK),
    ):
        yield {row["subject_id"]: Customer.from_json(orjson.loads(row["content"])) for row in page}
        after = page[-1]["subject_id"]


async def differing(reads: Reads, controller_id: bytes) -> tuple[int, int]:
    """How many customers are counted, and how many rows of tallies are not what a recount of the raw rows gives.

    Whoever is marked to be counted anew is taken as counted last. Nobody may count meanwhile.
    """
    customers, wrong = 0, 0
    deltas: Deltas = defaultdict(dict)
    async for page in _pages(reads, controller_id):
        customers += len(page)
        marked = await _marked(reads, controller_id, list(page))
        known = await _known(reads, controller_id, [one for one in page if one not in marked])
        for subject_id, kept in page.items():
            one = known.get(subject_id)
            _add(deltas, kept if one is None else count(kept.places, one.said, one.bought, one.exposed), 1)
    for table, (declared, columns) in TABLES.items():
        rows = await reads.fetch(
            f"SELECT {_names(declared)}, {', '.join(columns)} FROM {table} WHERE controller_id = $1", (controller_id,)
        )
        held = {tuple(row) for row in rows if any(row[name] for name in columns)}
        wrong += len(held ^ set(_rows(deltas, table, controller_id)))
    return customers, wrong


async def _marked(reads: Reads, controller_id: bytes, subjects: Sequence[bytes]) -> set[bytes]:
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT DISTINCT v.subject_id FROM v JOIN customer_waiting w"
        " ON w.controller_id = $1 AND w.subject_id = v.subject_id",
        "subject_id id",
        [(one,) for one in subjects],
        (controller_id,),
    )
    return {row["subject_id"] for row in rows}
