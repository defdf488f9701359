"""The one record of a message: with its Idempotency-Key, its order, its asks and its outbox rows, in one transaction.

The look-up that decided the message carried a version of the subject's state. If that moved (another email asked, or
the customer answered), or another email meanwhile exposed the subject to another arm of the same test, the row is
:class:`Lost`, nothing of it is written, and the caller decides again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from handraiser.core.value import dataclass
from handraiser.store import experiments, messages, outbox
from handraiser.store.database import Transaction
from handraiser.store.experiments import Exposed, Exposure
from handraiser.store.messages import Ask, StoredMessage, get, read_asks
from handraiser.store.outbox import OutboxRow
from handraiser.store.sql import to_json
from handraiser.store.subjects import NewSubject, insert

ASKS_KEPT = 32
"""Enough for every cap: a subject is asked a few times a year."""


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """The order of a message, counted once whatever the number of its mails. ``value_minor`` in minor units."""

    order_id: str
    placed_at: int
    value_minor: int | None = None
    currency: str = ""
    kind: str = "new"
    channel: str = "web"
    purchase_type: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """One message to keep.

    ``message.subject_id`` is the subject as the links in the mail name it: what the look-up found, or a fresh random
    id, which is kept if the look-up's hash is still unknown. ``version_seen`` is the look-up's version; None says
    "write in any case" (then the subject may turn out to be another than the message said). ``address`` is sealed.
    """

    message: StoredMessage
    lookup: bytes
    pepper_id: int
    address: str
    version_seen: int | None
    external_id: str | None = None
    asks_added: tuple[Ask, ...] = ()
    order: OrderFacts | None = None
    idempotency_key: str | None = None
    request_hash: bytes = b""
    outbox: tuple[OutboxRow, ...] = ()
    exposures: tuple[Exposure, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """Written; ``subject_id`` is the subject that the message hangs on."""

    subject_id: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Not written: the subject's state is newer than what the message was decided with."""


@dataclass(frozen=True, slots=True)
class Raced:
    """Not written: the Idempotency-Key has this message already."""

    message: StoredMessage
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class NotShown:
    """A kept message whose reader never got its blocks; ``decision`` is what is to stand in it, without them."""

    controller_id: bytes
    message_id: bytes
    decision: Mapping[str, Any]


Outcome = Kept | Lost | Raced
_Key = tuple[bytes, bytes, str]


@dataclass(slots=True)
class _State:
    subject_id: bytes
    version: int
    orders_seen: int
    asks: list[Ask]
    changed: bool = False


async def record(tx: Transaction, rows: Sequence[Recording]) -> list[Outcome]:
    """Keep each message, or say why not; rows of the same subject or key take their turns in the order given."""
    outcomes: list[Outcome | None] = [None] * len(rows)
    leaders: dict[_Key, int] = {}
    followers: dict[int, int] = {}
    for n, row in enumerate(rows):
        if row.idempotency_key is not None and (first := leaders.setdefault(_key(row), n)) != n:
            followers[n] = first
    taken = await _claim_keys(tx, rows, leaders)
    for n, replay in (await _winners(tx, rows, sorted(taken))).items():
        outcomes[n] = replay
    open_rows = [n for n in range(len(rows)) if outcomes[n] is None and n not in followers]
    states = await _states(tx, [rows[n] for n in open_rows])
    drawn = await _drawn(tx, [rows[n] for n in open_rows], states)
    kept: list[tuple[Recording, _State]] = []
    for n in open_rows:
        row = rows[n]
        state = states.get((row.message.controller_id, row.lookup))
        if state is None or _moved(row, state) or not _same_arms(row, state, drawn):
            outcomes[n] = Lost()
            continue
        if row.asks_added:
            state.asks = [*state.asks, *row.asks_added][-ASKS_KEPT:]
            state.version += 1
            state.changed = True
        kept.append((row, state))
        outcomes[n] = Kept(state.subject_id)
    await _release_keys(tx, [rows[n] for n in leaders.values() if isinstance(outcomes[n], Lost)])
    await _write(tx, kept)
    for n, first in followers.items():
        outcomes[n] = _after(rows[first], outcomes[first])
    return [outcome for outcome in outcomes if outcome is not None]


def _key(row: Recording) -> _Key:
    return (row.message.controller_id, row.message.shop_id, row.idempotency_key or "")


def _moved(row: Recording, state: _State) -> bool:
    return row.version_seen is not None and (
        row.version_seen != state.version or row.message.subject_id != state.subject_id
    )


async def _drawn(
    tx: Transaction, rows: Sequence[Recording], states: Mapping[tuple[bytes, bytes], _State]
) -> dict[tuple[bytes, bytes, bytes], int]:
    """The arms that the subjects of new exposures have already; theirs stay locked with their states."""
    exposed = [(row.message.controller_id, row.lookup) for row in rows if row.exposures]
    return await experiments.stored(tx, [(key[0], states[key].subject_id) for key in exposed if key in states])


def _same_arms(row: Recording, state: _State, drawn: dict[tuple[bytes, bytes, bytes], int]) -> bool:
    """Whether the first exposures are no other than those there are; from now on they are there."""
    keys = {(row.message.controller_id, state.subject_id, one.experiment_id): one.draw.arm for one in row.exposures}
    same = all(drawn.get(key, arm) == arm for key, arm in keys.items())
    if same:
        drawn.update(keys)
    return same


def _after(leader: Recording, outcome: Outcome | None) -> Outcome:
    """What a row gets whose key an earlier row of the same batch holds."""
    if isinstance(outcome, Kept):
        return Raced(_placed(leader.message, outcome.subject_id), leader.request_hash)
    assert outcome is not None
    return outcome


def _placed(message: StoredMessage, subject_id: bytes) -> StoredMessage:
    return message if message.subject_id == subject_id else replace(message, subject_id=subject_id)


async def _claim_keys(tx: Transaction, rows: Sequence[Recording], leaders: dict[_Key, int]) -> set[int]:
    """Insert the keys, in key order against deadlocks; the rows whose key was there already.

    PostgreSQL waits here for another transaction that holds the same key: there is no half-claimed state to see.
    """
    made = await tx.fetch_rows(
        "WITH {rows} INSERT INTO idempotency (controller_id, shop_id, key, request_hash, message_id, created_at)"
        " SELECT controller_id, shop_id, key, request_hash, message_id, created_at FROM v WHERE true"
        " ON CONFLICT DO NOTHING RETURNING controller_id, shop_id, key",
        "controller_id id, shop_id id, key text, request_hash bytes, message_id id, created_at int",
        [
            (*key, rows[n].request_hash, rows[n].message.id, rows[n].message.sent_at)
            for key, n in sorted(leaders.items())
        ],
    )
    new = {(row["controller_id"], row["shop_id"], row["key"]) for row in made}
    return {n for key, n in leaders.items() if key not in new}


async def _winners(tx: Transaction, rows: Sequence[Recording], taken: Sequence[int]) -> dict[int, Outcome]:
    found = await tx.fetch_rows(
        "WITH {rows} SELECT v.n, i.controller_id, i.message_id, i.request_hash FROM v JOIN idempotency i"
        " ON i.controller_id = v.controller_id AND i.shop_id = v.shop_id AND i.key = v.key",
        "n int, controller_id id, shop_id id, key text",
        [(n, *_key(rows[n])) for n in taken],
    )
    holders = await get(tx, [(row["controller_id"], row["message_id"]) for row in found])
    return {
        row["n"]: Raced(message, row["request_hash"])
        for row, message in zip(found, holders, strict=True)
        if message is not None
    }


async def _release_keys(tx: Transaction, rows: Sequence[Recording]) -> None:
    await tx.execute_rows(
        "WITH {rows} DELETE FROM idempotency WHERE (controller_id, shop_id, key, message_id)"
        " IN (SELECT controller_id, shop_id, key, message_id FROM v)",
        "controller_id id, shop_id id, key text, message_id id",
        sorted((*_key(row), row.message.id) for row in rows),
    )


async def _states(tx: Transaction, rows: Sequence[Recording]) -> dict[tuple[bytes, bytes], _State]:
    """The locked state of every subject in the batch, kept as new where the look-up is unknown."""
    new: dict[tuple[bytes, bytes], NewSubject] = {}
    for row in rows:
        if not row.version_seen:
            message = row.message
            subject = NewSubject(
                message.controller_id, message.subject_id, row.lookup, row.pepper_id, row.address, message.sent_at
            )
            new.setdefault((message.controller_id, row.lookup), subject)
    await insert(tx, [subject for _, subject in sorted(new.items())])
    found = await tx.fetch_rows(
        "WITH {rows} SELECT s.controller_id, s.lookup, s.subject_id, t.version, t.orders_seen, t.asks FROM v"
        " JOIN subject s ON s.controller_id = v.controller_id AND s.lookup = v.lookup"
        " JOIN subject_state t ON t.controller_id = s.controller_id AND t.subject_id = s.subject_id"
        " ORDER BY t.controller_id, t.subject_id {lock:t}",
        "controller_id id, lookup bytes",
        sorted({(row.message.controller_id, row.lookup) for row in rows}),
    )
    return {
        (row["controller_id"], row["lookup"]): _State(
            row["subject_id"], row["version"], row["orders_seen"], list(read_asks(row["asks"]))
        )
        for row in found
    }


async def _write(tx: Transaction, kept: Sequence[tuple[Recording, _State]]) -> None:
    await _write_customers(tx, kept)
    await _count_orders(tx, kept)
    changed = {(row.message.controller_id, state.subject_id): state for row, state in kept if state.changed}
    await _keep_states(tx, changed)
    await experiments.expose(tx, [one for row, state in kept for one in _exposed(row, state)])
    await messages.insert(tx, [(row.message, state.subject_id) for row, state in kept])
    events = [event for row, _ in kept for event in row.outbox]
    if events:
        await outbox.put(tx, events)


async def _keep_states(tx: Transaction, states: Mapping[tuple[bytes, bytes], _State]) -> None:
    await tx.execute_rows(
        "WITH {rows} UPDATE subject_state SET version = v.version, orders_seen = v.orders_seen, asks = v.asks FROM v"
        " WHERE subject_state.controller_id = v.controller_id AND subject_state.subject_id = v.subject_id",
        "controller_id id, subject_id id, version int, orders_seen int, asks text",
        [
            (*key, state.version, state.orders_seen, to_json([(a.at, a.purpose, a.block) for a in state.asks]))
            for key, state in sorted(states.items())
        ],
    )


async def put_right(tx: Transaction, rows: Sequence[NotShown]) -> list[None]:
    """Take back that each message's blocks were shown: from its decision, and its asks from what its subject was asked.

    Orders stay counted, and so do first exposures: an arm counts from its draw, shown or not.
    """
    keys = "controller_id id, message_id id"
    found = await tx.fetch_rows(
        "WITH {rows} SELECT m.controller_id, m.sent_at, m.decision, t.subject_id, t.version, t.orders_seen, t.asks"
        " FROM v JOIN message m ON m.controller_id = v.controller_id AND m.message_id = v.message_id"
        " JOIN subject_state t ON t.controller_id = m.controller_id AND t.subject_id = m.subject_id"
        " ORDER BY t.controller_id, t.subject_id {lock:t}",
        keys,
        sorted({(row.controller_id, row.message_id) for row in rows}),
    )
    states: dict[tuple[bytes, bytes], _State] = {}
    for row in found:
        state = states.setdefault(
            (row["controller_id"], row["subject_id"]),
            _State(row["subject_id"], row["version"] + 1, row["orders_seen"], list(read_asks(row["asks"]))),
        )
        for placed in orjson.loads(row["decision"])["placements"]:
            ask = Ask(row["sent_at"], placed["purpose"] or "", placed["block"])
            if ask in state.asks:
                state.asks.remove(ask)
    await _keep_states(tx, states)
    await tx.execute_rows(
        "WITH {rows} UPDATE message SET decision = v.decision FROM v"
        " WHERE message.controller_id = v.controller_id AND message.message_id = v.message_id",
        f"{keys}, decision text",
        sorted((row.controller_id, row.message_id, to_json(row.decision)) for row in rows),
    )
    return [None] * len(rows)


def _exposed(row: Recording, state: _State) -> list[Exposed]:
    message = row.message
    how = (message.sent_at, message.id, message.shop_id, message.customer_kind, message.touchpoint, message.country)
    return [Exposed(message.controller_id, state.subject_id, one, *how) for one in row.exposures]


async def _write_customers(tx: Transaction, kept: Sequence[tuple[Recording, _State]]) -> None:
    current = {
        (row.message.controller_id, row.message.shop_id, row.external_id): (state.subject_id, row.message.sent_at)
        for row, state in kept
        if row.external_id
    }
    columns = "controller_id id, shop_id id, external_id text, subject_id id, since int"
    names = "controller_id, shop_id, external_id, subject_id, since"
    values = sorted((*key, *value) for key, value in current.items())
    history = sorted(
        {
            (row.message.controller_id, row.message.shop_id, row.external_id, state.subject_id): row.message.sent_at
            for row, state in reversed(kept)
            if row.external_id
        }.items()
    )
    await tx.execute_rows(
        f"WITH {{rows}} INSERT INTO customer ({names}) SELECT {names} FROM v WHERE true"
        " ON CONFLICT (controller_id, shop_id, external_id) DO UPDATE"
        " SET subject_id = excluded.subject_id, since = excluded.since"
        " WHERE customer.subject_id <> excluded.subject_id",
        columns,
        values,
    )
    await tx.execute_rows(
        f"WITH {{rows}} INSERT INTO customer_history ({names}) SELECT {names} FROM v WHERE true ON CONFLICT DO NOTHING",
        columns,
        [(*key, since) for key, since in history],
    )


async def _count_orders(tx: Transaction, kept: Sequence[tuple[Recording, _State]]) -> None:
    orders = {
        (row.message.controller_id, row.message.shop_id, row.order.order_id): (row, row.order, state)
        for row, state in reversed(kept)
        if row.order is not None
    }
    names = (
        "controller_id, shop_id, order_id, subject_id, placed_at, value_minor, currency, kind, channel, purchase_type,"
        " country, first_message_at"
    )
    made = await tx.fetch_rows(
        f"WITH {{rows}} INSERT INTO orders ({names}) SELECT {names} FROM v WHERE true ON CONFLICT DO NOTHING"
        " RETURNING controller_id, shop_id, order_id",
        "controller_id id, shop_id id, order_id text, subject_id id, placed_at int, value_minor int, currency text,"
        " kind text, channel text, purchase_type text, country text, first_message_at int",
        [
            (
                *key,
                state.subject_id,
                order.placed_at,
                order.value_minor,
                order.currency,
                order.kind,
                order.channel,
                order.purchase_type,
                order.country,
                row.message.sent_at,
            )
            for key, (row, order, state) in sorted(orders.items(), key=lambda item: item[0])
        ],
    )
    for row in made:
        state = orders[row["controller_id"], row["shop_id"], row["order_id"]][2]
        state.orders_seen += 1
        state.changed = True
