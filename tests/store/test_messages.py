"""A message is decided with what the store knows and kept once, with everything that hangs on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from handraiser.store import messages, outbox, subjects
from handraiser.store.database import Database
from handraiser.store.messages import Ask, Known, Replay, look_up
from handraiser.store.outbox import OutboxRow
from handraiser.store.recording import Kept, Lost, Raced, Recording, record
from handraiser.store.writer import Reader, Writer
from rows import BOAT_SHOP, BOATS, DAY, NOW, TENT_SHOP, TENTS, a_recording, an_id, key, of

ASK = Ask(NOW, "newsletter", "welcome")


async def known(database: Database, *keys: messages.LookUp) -> list[Known]:
    async with database.reading() as session:
        return await look_up(session, keys)


async def count(database: Database, table: str) -> int:
    return (await database.fetch(f"SELECT COUNT(*) AS n FROM {table}"))[0]["n"]


async def test_nothing_is_known_of_a_new_reader(database: Database):
    assert await known(database, key(external_id="7", idempotency_key="k", order_id="1")) == [Known()]


async def test_a_message_is_kept_and_its_reader_known_afterwards(database: Database, writer: Writer):
    alice = a_recording(1, order_id="A-1", external_id="7", asks_added=(ASK,))
    assert await writer.write(record, alice) == Kept(alice.message.subject_id)
    assert await known(database, key(order_id="A-1"), key(order_id="A-2"), key("bob@example.com")) == [
        Known(alice.message.subject_id, 1, NOW + 1, 1, True, (ASK,)),
        Known(alice.message.subject_id, 1, NOW + 1, 1, False, (ASK,)),
        Known(),
    ]
    assert await messages.get(database, [(TENTS, an_id(1)), (TENTS, an_id(9)), (BOATS, an_id(1))]) == [
        alice.message,
        None,
        None,
    ]
    assert await messages.by_order(database, TENTS, TENT_SHOP, "A-1") == [alice.message]
    assert await messages.by_subject(database, TENTS, alice.message.subject_id) == [alice.message]


async def test_several_mails_of_one_order_count_once(database: Database, writer: Writer):
    first = a_recording(1, order_id="A-1")
    await writer.write(record, first)
    for n in (2, 3):
        await writer.write(record, a_recording(n, order_id="A-1", subject_id=first.message.subject_id))
    (alice,) = await known(database, key())
    assert (alice.orders_seen, alice.version) == (1, 0)
    assert [m.id for m in await messages.recent(database, TENTS, TENT_SHOP)] == [an_id(3), an_id(2), an_id(1)]


async def test_a_row_whose_subject_was_asked_meanwhile_is_lost_and_leaves_nothing(database: Database, writer: Writer):
    first = a_recording(1, asks_added=(ASK,))
    await writer.write(record, first)
    event = OutboxRow(an_id(77), TENTS, "message.sent", {}, NOW, NOW)
    late = a_recording(
        2,
        subject_id=first.message.subject_id,
        version=0,
        idempotency_key="k",
        order_id="B",
        external_id="7",
        outbox=(event,),
    )
    assert await writer.write(record, late) == Lost()
    tables = {"message": 1, "idempotency": 0, "orders": 0, "customer": 0, "outbox": 0}
    assert {table: await count(database, table) for table in tables} == tables
    assert await writer.write(record, replace(late, version_seen=1)) == Kept(first.message.subject_id)
    tables = {"message": 2, "idempotency": 1, "orders": 1, "customer": 1, "outbox": 1}
    assert {table: await count(database, table) for table in tables} == tables


async def test_of_two_that_keep_a_new_subject_one_is_lost_unless_it_writes_in_any_case(
    database: Database, writer: Writer
):
    first, second, third = await asyncio.gather(
        writer.write(record, a_recording(1)),
        writer.write(record, a_recording(2)),
        writer.write(record, a_recording(3, version=None)),
    )
    assert (first, second, third) == (Kept(an_id(1001)), Lost(), Kept(an_id(1001)))
    assert await count(database, "subject") == 1
    (kept,) = await messages.get(database, [(TENTS, an_id(3))])
    assert kept is not None
    assert kept.subject_id == an_id(1001)


async def test_two_rows_of_one_batch_that_ask_the_same_subject_ask_once(database: Database, writer: Writer):
    subject_id = an_id(1001)
    await writer.write(record, a_recording(1, subject_id=subject_id))
    outcomes = await asyncio.gather(
        *(writer.write(record, a_recording(n, subject_id=subject_id, asks_added=(ASK,))) for n in range(2, 12))
    )
    assert Counter(type(outcome) for outcome in outcomes) == {Kept: 1, Lost: 9}
    (alice,) = await known(database, key())
    assert alice.asks == (ASK,)


@pytest.mark.parametrize("replicas", [1, 2])
async def test_ten_in_parallel_with_one_key_keep_one_message(database: Database, database_url: str, replicas: int):
    others = [await Database.open(database_url) for _ in range(replicas - 1)] if database.dialect != "sqlite" else []
    writers = [Writer(one) for one in (database, *others)]
    rows = [a_recording(n, idempotency_key="order-1", request_hash=b"same", version=None) for n in range(10)]
    outcomes = await asyncio.gather(*(writers[n % len(writers)].write(record, row) for n, row in enumerate(rows)))
    assert Counter(type(outcome) for outcome in outcomes) == {Kept: 1, Raced: 9}
    assert await count(database, "message") == 1
    (winner,) = await messages.recent(database, TENTS, TENT_SHOP)
    assert {o.message for o in map(_Hashable, outcomes) if o.raced} == {winner.id}
    for opened in writers:
        await opened.close()
    for opened in others:
        await opened.close()


class _Hashable:
    def __init__(self, outcome: Kept | Lost | Raced) -> None:
        self.raced = isinstance(outcome, Raced)
        self.message = outcome.message.id if isinstance(outcome, Raced) else b""


async def test_a_key_is_replayed_with_the_hash_it_came_with(database: Database, writer: Writer, reader: Reader):
    row = a_recording(1, idempotency_key="order-1", request_hash=b"hash")
    await writer.write(record, row)
    found = await reader.read(look_up, key(idempotency_key="order-1"))
    assert found.replay == Replay(row.message, b"hash")
    assert await writer.write(record, a_recording(2, idempotency_key="order-1", request_hash=b"other")) == Raced(
        row.message, b"hash"
    )
    assert (await reader.read(look_up, key(idempotency_key="order-2"))).replay is None
    other_shop = key(shop_id=BOAT_SHOP, idempotency_key="order-1")
    assert (await reader.read(look_up, other_shop)).replay is None


async def test_a_subject_that_was_erased_meanwhile_loses_the_row(database: Database, writer: Writer):
    await writer.write(record, a_recording(1, asks_added=(ASK,)))
    async with database.transaction() as tx:
        await tx.execute("UPDATE subject SET lookup = NULL, address = NULL, erased_at = 1")
    assert await writer.write(record, a_recording(2, subject_id=an_id(1001), version=1)) == Lost()


async def test_three_guests_are_three_subjects_and_a_customer_who_changes_address_keeps_a_history(
    database: Database, writer: Writer
):
    for n, address in enumerate(("a@example.com", "b@example.com", "c@example.com")):
        await writer.write(record, a_recording(n, address))
    assert await count(database, "subject") == 3
    await writer.write(record, a_recording(10, "bob@old.example", external_id="7"))
    await writer.write(record, a_recording(11, "bob@new.example", external_id="7"))
    found = await subjects.by_external_id(database, TENTS, TENT_SHOP, "7")
    assert [subject.id for subject in found] == [an_id(1011), an_id(1010)]
    assert await subjects.external_ids(database, TENTS, an_id(1010)) == [(TENT_SHOP, "7")]
    await writer.write(record, a_recording(12, "bob@old.example", version=0, subject_id=an_id(1010), external_id="7"))
    assert [s.id for s in await subjects.by_external_id(database, TENTS, TENT_SHOP, "7")] == [an_id(1010), an_id(1011)]


@pytest.mark.parametrize("state", ["objected", "withdrawn"])
async def test_who_left_under_one_address_is_not_asked_under_another_of_the_same_customer(
    database: Database, writer: Writer, state: str
):
    await writer.write(record, a_recording(1, "bob@old.example", external_id="7"))
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO standing (controller_id, subject_id, purpose, channel, state, since, event_id)"
            " VALUES ($1, $2, 'newsletter', 'email', $3, 1, $2)",
            (TENTS, an_id(1001), state),
        )
    same, guest, old, elsewhere = await known(
        database,
        key("bob@new.example", external_id="7"),
        key("bob@new.example"),
        key("bob@old.example"),
        key("bob@new.example", shop_id=BOAT_SHOP, external_id="7"),
    )
    assert (same.barred, same.standing) == (state, {})
    assert (guest.barred, elsewhere.barred) == ("", "")
    assert (old.barred, old.standing) == (state, {"newsletter": state})


async def test_a_suppressed_address_is_barred_at_its_company_only(database: Database):
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO suppression (controller_id, lookup, scope, since, reason) VALUES ($1, $2, 'ask', 1, 'not_me')",
            (TENTS, of("alice@example.com")),
        )
    here, there = await known(database, key(), key(controller_id=BOATS, shop_id=BOAT_SHOP))
    assert (here.barred, there.barred) == ("suppressed", "")


async def test_one_company_never_sees_anothers_rows(database: Database, writer: Writer):
    alice = a_recording(1, order_id="1", external_id="7", idempotency_key="k", asks_added=(ASK,))
    charlie = a_recording(2, order_id="1", external_id="7", idempotency_key="k", controller_id=BOATS, shop_id=BOAT_SHOP)
    await asyncio.gather(writer.write(record, alice), writer.write(record, charlie))
    at_boats = key(controller_id=BOATS, shop_id=BOAT_SHOP, external_id="7", order_id="1", idempotency_key="k")
    (seen,) = await known(database, at_boats)
    assert seen.subject_id == charlie.message.subject_id
    assert seen.asks == ()
    assert seen.replay is not None
    assert seen.replay.message == charlie.message
    assert await messages.by_subject(database, BOATS, alice.message.subject_id) == []
    assert await subjects.find(database, [(BOATS, alice.message.subject_id)]) == [None]
    assert await messages.recent(database, BOATS, TENT_SHOP) == []


async def test_outbox_rows_are_written_with_the_message_and_taken_once(database: Database, writer: Writer):
    events = [OutboxRow(an_id(70 + n), TENTS, "consent.granted", {"n": n}, NOW + n, NOW) for n in range(3)]
    await writer.write(record, a_recording(1, outbox=tuple(events)))
    async with database.transaction() as tx:
        taken = await outbox.claim(tx, 2, NOW, 1000)
    async with database.transaction() as tx:
        rest = await outbox.claim(tx, 2, NOW, 1000)
    assert [row.payload["n"] for row in (*taken, *rest)] == [0, 1, 2]
    await writer.write(outbox.done, (TENTS, taken[0].id, NOW + 5, "sent", ""))
    await writer.write(outbox.failed, (TENTS, taken[1].id, NOW + DAY, "451"))
    async with database.transaction() as tx:
        assert [row.id for row in await outbox.claim(tx, 9, NOW + 2000, 1000)] == [rest[0].id]
    async with database.transaction() as tx:
        again = await outbox.claim(tx, 9, NOW + 2 * DAY, 1000)
    assert {row.id: row.attempts for row in again} == {taken[1].id: 2, rest[0].id: 3}
    assert [row.payload["n"] for row in await outbox.recent(database, TENTS, "consent.granted", 2)] == [2, 1]
    assert await outbox.recent(database, BOATS) == []


async def test_a_row_with_a_nul_fails_alone(database: Database, writer: Writer):
    bad = a_recording(2, "bob@example.com", order_id="a\0b")
    outcomes = await asyncio.gather(
        writer.write(record, a_recording(1)),
        writer.write(record, bad),
        writer.write(record, a_recording(3, "carol@example.com")),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Kept", "RowRefused", "Kept"]
    assert await count(database, "message") == 2


async def test_hundreds_of_messages_of_a_batch_are_all_kept(database: Database, writer: Writer):
    rows: list[Recording] = [a_recording(n, f"{n}@example.com", order_id=str(n)) for n in range(300)]
    outcomes = await asyncio.gather(*(writer.write(record, row) for row in rows))
    assert outcomes == [Kept(row.message.subject_id) for row in rows]
    assert await count(database, "message") == 300


async def test_two_replicas_that_ask_the_same_subject_at_once_ask_once(postgres_url: str):
    databases = [await Database.open(postgres_url) for _ in range(2)]
    writers = [Writer(database) for database in databases]
    people = [f"{n}@example.com" for n in range(30)]
    for n, address in enumerate(people):
        await writers[0].write(record, a_recording(n, address))
    asked = [
        writers[replica].write(
            record, a_recording(100 * (replica + 1) + n, address, subject_id=an_id(1000 + n), asks_added=(ASK,))
        )
        for replica in range(2)
        for n, address in sorted(enumerate(people), reverse=bool(replica))
    ]
    outcomes = await asyncio.gather(*asked)
    assert Counter(type(outcome) for outcome in outcomes) == {Kept: 30, Lost: 30}
    assert [len(one.asks) for one in await known(databases[0], *map(key, people))] == [1] * 30
    for opened in (*writers, *databases):
        await opened.close()
