"""Two replicas on one PostgreSQL, and several stories on one database: nothing waits crosswise, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from handraiser.core.consent import Entry
from handraiser.store import blocks, ledger_entries
from handraiser.store.blocks import BlockRow, PurposeRow
from handraiser.store.database import Database, Transaction
from handraiser.store.ledger import Append, Appended, Change, append
from handraiser.store.messages import Ask, look_up
from handraiser.store.recording import Kept, Lost, Raced, record
from handraiser.store.writer import Writer
from rows import NOW, TENTS, a_recording, an_id, key

PEOPLE = 20


def yes(n: int, who: int, **given: Any) -> Append:
    """The n-th entry: the who-th person said yes."""
    entry = Entry(
        event_id=an_id(5000 + n),
        controller_id=TENTS,
        subject_id=an_id(1000 + who),
        purpose="newsletter",
        event="granted",
        occurred_at=NOW,
        received_at=NOW,
        recorded_at=NOW,
        dedup_key=b"yes-%d" % n,
    )
    return Append((Change(entry, "granted"),), **given)


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[list[Writer]]:
    """Two replicas' writers; twenty people are known."""
    databases = [await Database.open(postgres_url) for _ in range(2)]
    writers = [Writer(database) for database in databases]
    await asyncio.gather(
        *(writers[0].write(record, a_recording(n, f"{n}@example.com", idempotency_key=f"k{n}")) for n in range(PEOPLE))
    )
    yield writers
    for opened in (*writers, *databases):
        await opened.close()


async def test_answers_and_messages_of_two_replicas_never_wait_for_each_other_crosswise(replicas: list[Writer]):
    """One answers for the first ten and writes to the others, the other the reverse: each holds what both need."""
    runs: Counter[str] = Counter()

    async def answered(tx: Transaction, rows: Sequence[Append]) -> Sequence[Any]:
        runs["answers"] += 1
        return await append(tx, rows)

    async def kept(tx: Transaction, rows: Sequence[Any]) -> Sequence[Any]:
        runs["messages"] += 1
        return await record(tx, rows)

    for turn in range(5):
        first, second = range(PEOPLE // 2), range(PEOPLE // 2, PEOPLE)
        work = []
        for replica, (answer, write) in enumerate(((first, second), (second, first))):
            at = 1000 * (turn * 2 + replica + 1)
            work += [replicas[replica].write(answered, yes(at + n, n)) for n in answer]
            work += [
                replicas[replica].write(
                    kept, a_recording(at + n, f"{n}@example.com", subject_id=an_id(1000 + n), version=None)
                )
                for n in write
            ]
        outcomes = await asyncio.gather(*work)
        assert Counter(type(outcome) for outcome in outcomes) == {Appended: PEOPLE, Kept: PEOPLE}
    # A transaction that lost a deadlock would have run once more.
    assert runs == {"answers": 10, "messages": 10}


async def test_messages_that_share_everything_are_written_by_two_replicas_without_waiting_crosswise(
    replicas: list[Writer],
):
    """New subjects, customers, orders and keys, in opposite orders; nobody is counted twice."""
    runs = 0

    async def kept(tx: Transaction, rows: Sequence[Any]) -> Sequence[Any]:
        nonlocal runs
        runs += 1
        return await record(tx, rows)

    for turn in range(4):
        rows = [
            [
                a_recording(
                    10_000 * (replica + 1) + 100 * turn + n,
                    f"new-{turn}-{n}@example.com",
                    version=None,
                    order_id=f"{turn}-{n}",
                    external_id=f"{turn}-{n % 7}",
                    idempotency_key=f"{turn}-{n}" if n % 3 else f"{turn}-{n}-{replica}",
                )
                for n in range(30)
            ]
            for replica in range(2)
        ]
        outcomes = await asyncio.gather(
            *(replicas[0].write(kept, row) for row in rows[0]),
            *(replicas[1].write(kept, row) for row in reversed(rows[1])),
        )
        assert Counter(type(outcome) for outcome in outcomes) == {Kept: 40, Raced: 20}
    assert runs == 8
    async with replicas[0]._database.reading() as session:
        known = await look_up(session, [key(f"new-{t}-{n}@example.com") for t in range(4) for n in range(30)])
    assert [one.orders_seen for one in known] == [1] * 120


async def test_a_yes_and_an_ask_at_the_same_moment_leave_one_consistent_state(replicas: list[Writer]):
    """Both were decided with version 0: the one that comes second must know of the first."""
    ask = Ask(NOW, "newsletter", "welcome")
    asks = [
        a_recording(100 + n, f"{n}@example.com", subject_id=an_id(1000 + n), asks_added=(ask,)) for n in range(PEOPLE)
    ]
    outcomes = await asyncio.gather(
        *(replicas[0].write(record, row) for row in asks),
        *(replicas[1].write(append, yes(n, n, version_seen=0)) for n in reversed(range(PEOPLE))),
    )
    messages, answers = outcomes[:PEOPLE], outcomes[: PEOPLE - 1 : -1]
    for n in range(PEOPLE):
        assert {type(messages[n]), type(answers[n])} in ({Kept, Lost}, {Lost, Appended}), n
    async with replicas[0]._database.reading() as session:
        known = await look_up(session, [key(f"{n}@example.com") for n in range(PEOPLE)])
    for n, one in enumerate(known):
        assert one.version == 1
        assert bool(one.asks) is isinstance(messages[n], Kept)
        assert (one.standing == {"newsletter": "granted"}) is isinstance(answers[n], Appended)


async def test_a_withdrawal_is_never_lost_to_whatever_else_is_written(replicas: list[Writer]):
    """It carries no version: it writes in any case."""
    ask = Ask(NOW, "newsletter", "welcome")
    outcomes = await asyncio.gather(
        *(
            replicas[n % 2].write(
                record,
                a_recording(200 + n, "1@example.com", subject_id=an_id(1001), asks_added=(ask,)),
            )
            for n in range(10)
        ),
        *(replicas[n % 2].write(append, yes(300 + n, 1)) for n in range(10)),
    )
    assert all(isinstance(one, Appended) for one in outcomes[10:])
    assert len(await ledger_entries.of_subject(replicas[0]._database, TENTS, an_id(1001))) == 10


async def test_two_replicas_that_publish_at_once_leave_one_live_version(replicas: list[Writer]):
    def purpose(version: int) -> PurposeRow:
        return PurposeRow(TENTS, "newsletter", version, f'{{"v":{version}}}', NOW)

    def block(version: int) -> BlockRow:
        return BlockRow(TENTS, an_id(3), "welcome", version, f"{version}", bytes(32), "ask", NOW, live=True)

    await replicas[0].write(blocks.put_purposes, purpose(1))
    made = await asyncio.gather(*(replicas[n % 2].write(blocks.put_purposes, purpose(2 + n // 2)) for n in range(8)))
    assert made.count(True) == 4
    made = await asyncio.gather(*(replicas[n % 2].write(blocks.put_versions, block(1 + n // 2)) for n in range(8)))
    assert made.count(True) == 4
    live = await blocks.catalogue(replicas[0]._database, TENTS)
    assert (live.revision, len(live.purposes), len(live.blocks)) == (9, 1, 1)


async def test_stories_of_several_kinds_at_once_are_all_answered(database: Database, writer: Writer):
    await writer.write(record, a_recording(1))
    work: list[Any] = []
    for n in range(60):
        work.append(writer.write(record, a_recording(100 + n, f"{n}@example.org")))
        work.append(writer.write(append, yes(n, 1)))
        work.append(writer.write(blocks.put_compiled, (b"%032d" % n, "program", NOW)))
    outcomes = await asyncio.gather(*work)
    assert Counter(type(outcome) for outcome in outcomes) == {Kept: 60, Appended: 60, type(None): 60}
