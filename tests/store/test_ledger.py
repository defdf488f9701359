"""An answer is written once with all that follows from it, and nothing that was written ever changes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from handraiser.core.consent import Entry
from handraiser.core.ledger_head import HeadKeys
from handraiser.core.ledger_proof import leaf_hash
from handraiser.store import ledger, ledger_entries, outbox, policies, seals, wordings
from handraiser.store.database import Database
from handraiser.store.ledger import Append, Appended, Change, Suppression, append
from handraiser.store.ledger_entries import Evidence
from handraiser.store.messages import look_up
from handraiser.store.outbox import OutboxRow
from handraiser.store.policies import Policy
from handraiser.store.recording import Lost, record
from handraiser.store.sql import RowRefused
from handraiser.store.wordings import StoredWording
from handraiser.store.writer import Reader, Writer
from rows import BOATS, NOW, TENTS, a_recording, an_id, key, of

ALICE = an_id(1001)


def an_entry(n: int, **given: Any) -> Entry:
    """The n-th entry: a press by Alice that granted the newsletter."""
    known: dict[str, Any] = {
        "seq": None,
        "event_id": an_id(500 + n),
        "controller_id": TENTS,
        "subject_id": ALICE,
        "purpose": "newsletter",
        "topic": "",
        "channel": "email",
        "event": "granted",
        "basis": "consent",
        "jurisdiction": "US",
        "rule_version": "1",
        "policy_snapshot_id": None,
        "touchpoint": "order_mail",
        "message_id": an_id(1),
        "link_kind": 1,
        "variant": "a",
        "wording_id": b"w" * 32,
        "notice_id": b"n" * 32,
        "privacy_policy_version": "",
        "method": "button",
        "attestation": "trusted_event",
        "verdict": "human",
        "verdict_reasons": ("press",),
        "actor": "subject",
        "actor_id": "",
        "occurred_at": NOW + n,
        "received_at": NOW + n,
        "recorded_at": NOW + n,
        "source_order_ref": None,
        "promised_value_id": "",
        "expires_at": None,
        "supersedes_seq": None,
        "dedup_key": b"press-%d" % n,
        "evidence_commit": b"e" * 32,
        "schema_version": 1,
        "leaf_hash": b"",
    }
    known |= given
    return Entry(**{field.name: known[field.name] for field in fields(Entry) if field.name in known})


def granted(n: int, **given: Any) -> Append:
    return Append((Change(an_entry(n, **given), "granted", NOW),))


@pytest.fixture
async def alice(writer: Writer) -> bytes:
    """Alice, who got one message."""
    await writer.write(record, a_recording(1))
    return ALICE


async def test_an_answer_is_in_the_ledger_with_its_standing_evidence_and_events(
    database: Database, writer: Writer, alice: bytes
):
    entry = an_entry(1)
    evidence = Evidence(b"salt" * 4, {"ip": "192.0.2.0/24"})
    event = OutboxRow(an_id(70), TENTS, "consent.granted", {"purpose": "newsletter"}, NOW, NOW, subject_id=alice)
    done = await writer.write(append, Append((Change(entry, "granted", NOW, evidence),), (event,)))
    assert isinstance(done, Appended)
    assert done.first
    assert await ledger_entries.of_subject(database, TENTS, alice) == [done.entry]
    assert replace(done.entry, seq=None, leaf_hash=b"") == replace(entry, state="granted", message_at=NOW)
    assert await ledger_entries.by_event_id(database, TENTS, entry.event_id) == done.entry
    assert await ledger_entries.by_dedup_key(database, TENTS, entry.dedup_key) == done.entry
    (standing,) = await ledger.standing_of(database, TENTS, alice)
    assert (standing.purpose, standing.channel, standing.state, standing.since) == (
        "newsletter",
        "email",
        "granted",
        entry.occurred_at,
    )
    assert (standing.event_id, standing.message_at) == (entry.event_id, NOW)
    assert await ledger_entries.evidence_of(database, TENTS, entry.event_id) == evidence
    assert await outbox.recent(database, TENTS, "consent.granted") == [event]
    async with database.reading() as session:
        (known,) = await look_up(session, [key()])
    assert (known.standing, known.version) == ({"newsletter": "granted"}, 1)


async def test_the_leaf_hash_is_over_the_columns_as_stored(database: Database, writer: Writer, alice: bytes):
    await writer.write(append, granted(1))
    (row,) = await database.fetch("SELECT * FROM consent_entry")
    columns = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a row is no mapping, iterating it gives values
    assert row["leaf_hash"] == leaf_hash(columns)


async def test_the_same_answer_again_gets_the_entry_that_is_there(database: Database, writer: Writer, alice: bytes):
    first = await writer.write(append, granted(1))
    event = OutboxRow(an_id(71), TENTS, "consent.granted", {}, NOW, NOW)
    again = await writer.write(append, replace(granted(1, event_id=an_id(999)), outbox=(event,)))
    assert isinstance(first, Appended)
    assert again == Appended(first.entries, False)
    assert await outbox.recent(database, TENTS) == []
    assert await ledger.version_of(database, TENTS, alice) == 1


@pytest.mark.parametrize("replicas", [1, 2])
async def test_ten_presses_at_once_are_one_entry(
    database: Database, database_url: str, writer: Writer, alice: bytes, replicas: int
):
    others = [await Database.open(database_url) for _ in range(replicas - 1)] if database.dialect != "sqlite" else []
    writers = [writer, *map(Writer, others)]
    answers = await asyncio.gather(
        *(
            writers[n % len(writers)].write(append, granted(1, event_id=an_id(600 + n), recorded_at=NOW + n))
            for n in range(10)
        )
    )
    assert Counter(answer.first for answer in answers if isinstance(answer, Appended)) == {True: 1, False: 9}
    assert len({answer.entry.event_id for answer in answers if isinstance(answer, Appended)}) == 1
    for opened in writers[1:]:
        await opened.close()
    for opened in others:
        await opened.close()


@pytest.mark.parametrize("replicas", [1, 2])
async def test_the_same_entry_of_an_erased_subject_is_written_once_by_two_replicas(
    database: Database, database_url: str, writer: Writer, replicas: int
):
    others = [await Database.open(database_url) for _ in range(replicas - 1)] if database.dialect != "sqlite" else []
    writers = [writer, *map(Writer, others)]
    answers = await asyncio.gather(
        *(writers[n % len(writers)].write(append, granted(1, event_id=an_id(600 + n))) for n in range(6))
    )
    assert Counter(answer.first for answer in answers if isinstance(answer, Appended)) == {True: 1, False: 5}
    for opened in writers[1:]:
        await opened.close()
    for opened in others:
        await opened.close()


async def test_an_answer_decided_with_an_older_state_is_lost(database: Database, writer: Writer, alice: bytes):
    withdrawal = Append(
        (Change(an_entry(2, event="withdrawn"), "withdrawn"),),
        suppress=Suppression(of("alice@example.com"), NOW, "withdrawn"),
    )
    outcomes = await asyncio.gather(
        writer.write(append, withdrawal), writer.write(append, replace(granted(1), version_seen=0))
    )
    assert isinstance(outcomes[0], Appended)
    assert outcomes[1] == Lost()
    assert [standing.state for standing in await ledger.standing_of(database, TENTS, alice)] == ["withdrawn"]
    assert len(await ledger_entries.of_subject(database, TENTS, alice)) == 1


async def test_leaving_everything_is_one_answer_and_bars_the_mailbox(
    database: Database, writer: Writer, reader: Reader, alice: bytes
):
    for n, purpose in enumerate(("newsletter", "offers")):
        await writer.write(append, granted(n, purpose=purpose))
    changes = tuple(
        Change(an_entry(10 + n, purpose=purpose, event="withdrawn"), "withdrawn")
        for n, purpose in enumerate(("newsletter", "offers"))
    )
    lookup = of("alice@example.com")
    left = Append(changes, suppress=Suppression(lookup, NOW, "withdrawn"))
    done = await writer.write(append, left)
    assert isinstance(done, Appended)
    assert len(done.entries) == 2
    assert {s.purpose: s.state for s in await ledger.standing_of(database, TENTS, alice)} == {
        "newsletter": "withdrawn",
        "offers": "withdrawn",
    }
    assert (await reader.read(look_up, key())).barred == "withdrawn"
    assert await ledger.suppressions_of(database, TENTS, lookup) == [left.suppress]
    undo = replace(granted(20), lift=(lookup, "ask"))
    await writer.write(append, undo)
    assert await ledger.suppressions_of(database, TENTS, lookup) == []


async def test_an_entry_written_while_a_mail_was_decided_makes_that_mail_lose(writer: Writer, alice: bytes):
    await writer.write(append, granted(1))
    assert await writer.write(record, a_recording(2, subject_id=alice, version=0)) == Lost()


async def test_one_companys_ledger_never_shows_in_anothers(database: Database, writer: Writer, alice: bytes):
    await writer.write(append, granted(1))
    done = await writer.write(append, granted(1, controller_id=BOATS))
    assert isinstance(done, Appended)
    assert done.first
    assert [entry.controller_id for entry in await ledger_entries.of_subject(database, BOATS, alice)] == [BOATS]
    assert [entry.controller_id for entry in await ledger_entries.of_subject(database, TENTS, alice)] == [TENTS]
    assert await ledger_entries.evidence_of(database, BOATS, an_id(501)) is None


CHANGES = [
    "UPDATE consent_entry SET event = 'withdrawn'",
    "DELETE FROM consent_entry",
    "UPDATE wording SET content = 'x'",
    "DELETE FROM wording",
    "UPDATE ledger_leaf SET batch_no = 2",
    "DELETE FROM ledger_leaf",
    "UPDATE ledger_head SET sealed_at = 2",
    "DELETE FROM ledger_head",
    "UPDATE policy_snapshot SET content = 'x'",
    "DELETE FROM policy_snapshot",
]


@pytest.mark.parametrize("statement", CHANGES)
async def test_what_was_said_and_shown_cannot_be_changed(
    database: Database, writer: Writer, alice: bytes, statement: str
):
    await writer.write(append, granted(1))
    await writer.write(wordings.put, StoredWording(TENTS, b"w" * 32, "en", "{}", NOW))
    await writer.write(policies.put, Policy(TENTS, b"p" * 32, "{}", NOW))
    async with database.transaction() as tx:
        await seals.seal(tx, TENTS, NOW, 10, HeadKeys([(1, b"k" * 40)]).sign)
    with pytest.raises(RowRefused, match="only grows"):
        async with database.transaction() as tx:
            await tx.execute(statement)
    assert len(await ledger_entries.of_subject(database, TENTS, alice)) == 1


@pytest.mark.parametrize("table", ["consent_entry", "wording", "policy_snapshot", "ledger_leaf", "ledger_head"])
async def test_postgresql_refuses_to_truncate(postgres_url: str, table: str):
    database = await Database.open(postgres_url)
    with pytest.raises(RowRefused, match="only grows"):
        async with database.transaction() as tx:
            await tx.execute(f"TRUNCATE {table}")
    await database.close()


@pytest.mark.parametrize("clash", ["seq", "event_id", "dedup_key"])
async def test_insert_or_replace_is_refused_even_to_other_programs(tmp_path: Path, clash: str):
    path = tmp_path / "one.db"
    database = await Database.open(f"sqlite:///{path}")
    writer = Writer(database)
    await writer.write(append, granted(1))
    names = [row["name"] for row in await database.fetch("SELECT name FROM pragma_table_info('consent_entry')")]
    fresh = {"seq": "99", "event_id": "randomblob(16)", "dedup_key": "randomblob(16)"}
    del fresh[clash]
    values = ", ".join(fresh.get(name, "'withdrawn'" if name == "event" else name) for name in names)
    statement = f"INSERT OR REPLACE INTO consent_entry SELECT {values} FROM consent_entry"
    with pytest.raises(RowRefused, match="only grows"):
        async with database.transaction() as tx:
            await tx.execute(statement)
    await writer.close()
    await database.close()
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        other.execute(statement)
    other.close()


@pytest.mark.parametrize(
    ("table", "changed"),
    [("wording", "content"), ("policy_snapshot", "content"), ("ledger_leaf", "leaf_hash"), ("ledger_head", "root")],
)
async def test_what_was_shown_and_sealed_cannot_be_replaced_even_by_other_programs(
    tmp_path: Path, table: str, changed: str
):
    path = tmp_path / "one.db"
    database = await Database.open(f"sqlite:///{path}")
    writer = Writer(database)
    await writer.write(append, granted(1))
    await writer.write(wordings.put, StoredWording(TENTS, b"w" * 32, "en", "{}", NOW))
    await writer.write(policies.put, Policy(TENTS, b"p" * 32, "{}", NOW))
    async with database.transaction() as tx:
        await seals.seal(tx, TENTS, NOW, 10, HeadKeys([(1, b"k" * 40)]).sign)
    names = [row["name"] for row in await database.fetch(f"SELECT name FROM pragma_table_info('{table}')")]
    await writer.close()
    await database.close()
    other = sqlite3.connect(path)
    value = "'x'" if changed == "content" else "X'00'"
    values = ", ".join(value if name == changed else name for name in names)
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        other.execute(f"INSERT OR REPLACE INTO {table} SELECT {values} FROM {table}")
    other.close()


async def test_an_entry_waits_to_be_sealed_from_its_own_commit_on(database: Database, writer: Writer, alice: bytes):
    done = await writer.write(append, granted(1))
    assert isinstance(done, Appended)
    await writer.write(append, granted(1))
    rows = await database.fetch("SELECT * FROM ledger_waiting")
    assert [tuple(row) for row in rows] == [(TENTS, done.entry.seq)]


async def test_evidence_can_be_deleted_and_the_entry_stays(database: Database, writer: Writer, alice: bytes):
    await writer.write(append, Append((Change(an_entry(1), "granted", None, Evidence(b"s" * 16, {"ip": "x"})),)))
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM evidence")
    (entry,) = await ledger_entries.of_subject(database, TENTS, alice)
    assert await ledger_entries.evidence_of(database, TENTS, entry.event_id) is None
    assert entry.leaf_hash == leaf_hash(ledger_entries.to_columns(entry))


async def test_wordings_are_kept_once_and_found_by_their_hash(database: Database, writer: Writer):
    wording = StoredWording(TENTS, b"w" * 32, "en", '{"ask":"May we write?"}', NOW)
    await writer.write(wordings.put, wording)
    await writer.write(wordings.put, replace(wording, created_at=NOW + 1))
    assert await wordings.get(database, [(TENTS, b"x" * 32), (TENTS, b"w" * 32), (BOATS, b"w" * 32)]) == [
        None,
        wording,
        None,
    ]


async def test_rules_are_kept_once_and_found_by_their_hash(database: Database, writer: Writer):
    rules = Policy(TENTS, b"p" * 32, '{"confirm":"attested_press"}', NOW)
    for again in (rules, replace(rules, created_at=NOW + 1)):
        await writer.write(policies.put, again)
    assert await policies.get(database, TENTS, rules.id) == rules
    assert await policies.get(database, BOATS, rules.id) is None


async def test_entries_keep_the_order_they_were_written_in(database: Database, writer: Writer, alice: bytes):
    await asyncio.gather(*(writer.write(append, granted(n, recorded_at=NOW - n)) for n in range(40)))
    entries = await ledger_entries.of_subject(database, TENTS, alice)
    assert [entry.dedup_key for entry in entries] == [b"press-%d" % n for n in range(40)]
    assert [entry.seq for entry in entries] == sorted(entry.seq or 0 for entry in entries)
