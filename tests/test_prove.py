"""Whoever changes the ledger behind the service's back is found; who is erased leaves it whole. On both databases."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from handraiser.commands import verify
from handraiser.core.consent import Entry, evidence_commit
from handraiser.core.ledger_head import HeadKeys
from handraiser.core.ledger_proof import Tree, leaf_hash
from handraiser.core.market import MONTH_MS
from handraiser.core.shop import Controller
from handraiser.doors.control import Control
from handraiser.errors import NotFound
from handraiser.jobs import EVIDENCE_EVERY_MS, Jobs
from handraiser.prove import Prove
from handraiser.settings import load
from handraiser.store import ledger, policies, seals, shops, wordings
from handraiser.store.database import Database, Transaction
from handraiser.store.kept_heads import FILE_NAME, KeptHeads
from handraiser.store.ledger import Append, Change
from handraiser.store.ledger_entries import COLUMNS, Evidence
from handraiser.store.policies import Policy
from handraiser.store.recording import record
from handraiser.store.wordings import StoredWording
from handraiser.store.writer import Writer
from rows import BOATS, NOW, TENTS, a_recording, an_id

KEYS = HeadKeys([(1, b"k" * 40)])
ALICE, BOB, CHARLIE = an_id(1001), an_id(1002), an_id(1003)
TEXT = json.dumps({"language": "en", "text": "May we write to you?"}, sort_keys=True)
TEXT_ID = hashlib.sha256(TEXT.encode()).digest()
RULES = '{"ask_in_mail":"allowed"}'
RULES_ID = hashlib.sha256(RULES.encode()).digest()
TABLES = ("consent_entry", "ledger_leaf", "ledger_head")


def press(n: int, subject_id: bytes, controller_id: bytes = TENTS, **more: Any) -> Append:
    """The n-th press: granted, with evidence, under the text that was shown."""
    seen = Evidence(n.to_bytes(16), {"user-agent": f"Browser {n}", "network": "192.0.2.0/24"})
    evidence = more.pop("evidence", seen)
    state = more.pop("state", "granted")
    known: dict[str, Any] = {
        "event_id": an_id(500 + n),
        "purpose": "newsletter",
        "event": state or "requested",
        "occurred_at": NOW + n,
        "received_at": NOW + n,
        "recorded_at": NOW + n,
        "message_id": an_id(n),
        "link_kind": 1,
        "variant": "a",
        "policy_snapshot_id": RULES_ID,
        "wording_id": TEXT_ID,
        "notice_id": b"n" * 32,
        "verdict": "human",
        "verdict_reasons": ("press",),
        "dedup_key": b"press-%d" % n,
        "evidence_commit": evidence_commit(seen.salt, seen.content),
    }
    message_at = more.pop("message_at", NOW)
    entry = Entry(controller_id=controller_id, subject_id=subject_id, **(known | more))
    return Append((Change(entry, state, message_at, evidence),))


class Ledger:
    """A ledger of two companies in three batches, with one entry that waits; and its attacker, who may do anything."""

    def __init__(self, database: Database, writer: Writer, folder: Path) -> None:
        self.database, self.writer, self.file = database, writer, folder / FILE_NAME
        self.jobs = Jobs(
            database=database,
            settings=load({}, state_dir=folder),
            clock=lambda: NOW + 60_000,
            holder="a",
            kept=KeptHeads(self.file, KEYS),
        )
        self.prove = Prove(database, KeptHeads(self.file, KEYS))

    async def fill(self) -> None:
        await self.writer.write(shops.add_controllers, Controller(TENTS, "tents", "Tents"))
        await self.writer.write(shops.add_controllers, Controller(BOATS, "boats", "Boats"))
        for controller_id in (TENTS, BOATS):
            await self.writer.write(wordings.put, StoredWording(controller_id, TEXT_ID, "en", TEXT, NOW))
            await self.writer.write(policies.put, Policy(controller_id, RULES_ID, RULES, NOW))
        await self.writer.write(record, a_recording(1, subject_id=ALICE))
        await self.add(press(1, ALICE), press(2, BOB), press(3, CHARLIE, BOATS))
        await self.jobs.seal()
        await self.add(press(4, ALICE, state="withdrawn"), press(5, ALICE, state=None), press(6, BOB))
        await self.jobs.seal()
        await self.add(press(7, ALICE), press(8, BOB))
        await self.jobs.seal()
        await self.add(press(9, BOB, state="objected"))

    async def add(self, *presses: Append) -> None:
        for one in presses:
            await self.writer.write(ledger.append, one)

    async def attack(self, *statements: str) -> None:
        """What an owner of the database can do: triggers off, then anything."""
        async with self.database.transaction() as tx:
            await drop_triggers(tx)
            for statement in statements:
                await tx.execute(statement)

    async def codes(self, head: Path | None = None) -> set[str]:
        """What verifying finds, and that it says so."""
        found = await self.prove.verify(head)
        assert found["ok"] == (not found["broken"])
        assert found["broken_count"] == len(found["broken"])
        return {one["code"] for one in found["broken"]}

    async def first(self) -> tuple[str, int | None, str]:
        """The first broken entry that is named."""
        one = (await self.prove.verify())["broken"][0]
        return one["company"], one["seq"], one["code"]

    async def seqs(self, controller_id: bytes = TENTS) -> list[int]:
        rows = await self.database.fetch(
            "SELECT seq FROM consent_entry WHERE controller_id = $1 ORDER BY seq", (controller_id,)
        )
        return [row["seq"] for row in rows]


async def drop_triggers(tx: Transaction) -> None:
    if tx.dialect == "sqlite":
        for row in await tx.fetch("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            await tx.execute(f"DROP TRIGGER {row['name']}")
        return
    for table in (*TABLES, "wording", "policy_snapshot"):
        await tx.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    await tx.execute("ALTER TABLE consent_entry ALTER seq SET GENERATED BY DEFAULT")


@pytest.fixture
async def kept(database: Database, writer: Writer, tmp_path: Path) -> Ledger:
    made = Ledger(database, writer, tmp_path)
    await made.fill()
    return made


async def columns(database: Database, table: str) -> list[tuple[str, str, bool]]:
    """The columns of a table as the database has them: name, kind, whether it may be empty."""
    if database.dialect == "sqlite":
        rows = await database.fetch(
            f"SELECT name, type, \"notnull\" = 0 AND pk = 0 AS empty FROM pragma_table_info('{table}')"
        )
    else:
        rows = await database.fetch(
            "SELECT column_name AS name, data_type AS type, is_nullable = 'YES' AS empty"
            " FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1",
            (table,),
        )
    return [(row["name"], row["type"], bool(row["empty"])) for row in rows]


def others(value: Any, kind: str, *, empty: bool) -> list[Any]:
    """Values that the column could hold instead."""
    found: list[Any] = [None] if empty and value is not None else []
    if kind in ("BLOB", "bytea", "uuid"):
        found += [bytes([(value or b"\0" * 16)[0] ^ 1]) + (value or b"\0" * 16)[1:]]
        if kind == "BLOB":
            found += [b""]
    elif kind in ("TEXT", "text"):
        found += [(value or "") + "x", *([""] if value else [])]
    else:
        found += [(value or 0) + 1000, -1]
    return [one for one in found if one != value]


async def test_a_ledger_that_nobody_touched_is_whole(kept: Ledger):
    found = await kept.prove.verify()

    assert found["ok"]
    assert found["broken"] == found["notes"] == []
    assert [(c["company"], c["entries"], c["sealed"], c["waiting"], c["batches"]) for c in found["companies"]] == [
        ("tents", 8, 7, 1, 3),
        ("boats", 1, 1, 0, 1),
    ]
    assert found["heads_compared"] == 4


async def test_the_root_is_that_of_rfc_6962_over_the_entries_as_they_stand(kept: Ledger):
    rows = await kept.database.fetch("SELECT * FROM consent_entry WHERE controller_id = $1 ORDER BY seq", (TENTS,))
    tree = Tree(leaf_hash({name: row[name] for name in row.keys()}) for row in rows[:7])  # noqa: SIM118 - a row is no mapping
    assert (await kept.prove.verify())["companies"][0]["root"] == tree.root.hex()


@pytest.mark.parametrize("table", TABLES)
async def test_any_other_value_in_any_column_of_any_row_is_found(kept: Ledger, table: str):
    schema = await columns(kept.database, table)
    if table == "consent_entry":
        assert {name for name, _, _ in schema} == {"seq", *COLUMNS}
    await kept.attack()
    key = {"consent_entry": "seq", "ledger_leaf": "leaf_index", "ledger_head": "batch_no"}[table]
    rows = await kept.database.fetch(f"SELECT * FROM {table} WHERE controller_id = $1 ORDER BY {key}", (TENTS,))
    missed = []
    tried = 0
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        for name, kind, empty in schema:
            for other in others(row[name], kind, empty=empty):
                change = f"UPDATE {table} SET {name} = $1 WHERE controller_id = $2 AND {key} = $3"
                keys = {"controller_id": row["controller_id"], key: row[key]}
                async with kept.database.transaction() as tx:
                    await tx.execute(change, (other, *keys.values()))
                if (await kept.prove.verify())["ok"]:
                    missed.append((row[key], name, other))
                changed = keys | ({name: other} if name in keys else {})
                async with kept.database.transaction() as tx:
                    await tx.execute(change, (row[name], *changed.values()))
                tried += 1
    assert missed == []
    assert tried >= 3 * len(schema)
    assert await kept.codes() == set(), "everything was put back"


async def test_a_changed_entry_is_named_and_so_is_its_company(kept: Ledger):
    third = (await kept.seqs())[2]
    await kept.attack(f"UPDATE consent_entry SET event = 'granted' WHERE seq >= {third}")
    assert await kept.first() == ("tents", third, "changed")


async def test_hashing_a_forged_entry_anew_does_not_help(kept: Ledger):
    third = (await kept.seqs())[2]
    (row,) = await kept.database.fetch("SELECT * FROM consent_entry WHERE seq = $1", (third,))
    forged = {name: row[name] for name in COLUMNS} | {"event": "granted"}
    fresh = leaf_hash(forged)
    await kept.attack(f"UPDATE consent_entry SET event = 'granted' WHERE seq = {third}")
    async with kept.database.transaction() as tx:
        await tx.execute("UPDATE consent_entry SET leaf_hash = $1 WHERE seq = $2", (fresh, third))
    assert await kept.first() == ("tents", third, "changed")

    async with kept.database.transaction() as tx:
        await tx.execute("UPDATE ledger_leaf SET leaf_hash = $1 WHERE seq = $2", (fresh, third))
    assert await kept.first() == ("tents", third, "root"), "the first entry of the batch whose root it is not"

    # Even with every root of the tree computed anew: nobody without the key can sign it.
    rows = await kept.database.fetch("SELECT * FROM ledger_leaf WHERE controller_id = $1 ORDER BY leaf_index", (TENTS,))
    for size, batch_no in ((5, 2), (7, 3)):
        tree = Tree(row["leaf_hash"] for row in rows[:size])
        async with kept.database.transaction() as tx:
            await tx.execute(
                "UPDATE ledger_head SET root = $1, peaks = $2 WHERE controller_id = $3 AND batch_no = $4",
                (tree.root, tree.packed, TENTS, batch_no),
            )
    assert await kept.codes() == {"signature", "rewritten"}


async def test_a_deleted_entry_is_named(kept: Ledger):
    second = (await kept.seqs())[1]
    await kept.attack("DELETE FROM evidence", f"DELETE FROM consent_entry WHERE seq = {second}")
    assert await kept.first() == ("tents", second, "gone")


async def test_a_deleted_entry_that_waited_is_named(kept: Ledger):
    last = (await kept.seqs())[-1]
    await kept.attack("DELETE FROM evidence", f"DELETE FROM consent_entry WHERE seq = {last}")
    assert await kept.first() == ("tents", last, "gone")
    await kept.jobs.seal()
    assert await kept.first() == ("tents", last, "gone"), "sealing what is gone does not hide it"


async def test_an_entry_put_in_the_place_of_another_is_named(kept: Ledger):
    second, third = (await kept.seqs())[1:3]
    names = ", ".join(name for name in COLUMNS if name not in ("event_id", "dedup_key", "leaf_hash"))
    values = ", ".join(f"o.{name}" for name in names.split(", "))
    await kept.attack(
        "DELETE FROM evidence",
        f"CREATE TABLE taken AS SELECT event_id, dedup_key, leaf_hash FROM consent_entry WHERE seq = {second}",
        f"DELETE FROM consent_entry WHERE seq = {second}",
        f"INSERT INTO consent_entry (seq, event_id, dedup_key, leaf_hash, {names})"
        f" SELECT {second}, t.event_id, t.dedup_key, t.leaf_hash, {values}"
        f" FROM taken t, consent_entry o WHERE o.seq = {third}",
    )
    assert await kept.first() == ("tents", second, "changed")


async def test_who_waits_for_a_proof_is_told_how_far_it_is(kept: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("handraiser.prove.STEP", 2)
    await kept.jobs.seal()
    told: list[tuple[int, int]] = []

    await kept.prove.verify(moved=lambda done, total: told.append((done, total)))

    assert told == [(2, 9), (4, 9), (6, 9), (8, 9), (9, 9)], "of both companies"


async def test_an_entry_slipped_in_past_the_triggers_is_named(kept: Ledger):
    last = (await kept.seqs())[-1]
    names = ", ".join(name for name in COLUMNS if name not in ("event_id", "dedup_key"))
    await kept.attack(
        f"INSERT INTO consent_entry (seq, event_id, dedup_key, {names})"
        f" SELECT 1000, message_id, evidence_commit, {names} FROM consent_entry WHERE seq = {last}"
    )
    assert ("tents", 1000) in [(one["company"], one["seq"]) for one in (await kept.prove.verify())["broken"]]


async def test_two_entries_that_change_places_are_found(kept: Ledger):
    first, second = (await kept.seqs())[:2]
    swap = [
        f"UPDATE {table} SET seq = {to} WHERE seq = {of}"
        for table in ("consent_entry", "ledger_leaf")
        for of, to in ((first, 1000), (second, first), (1000, second))
    ]
    await kept.attack(*swap)
    assert "order" in await kept.codes()


LAST_BATCH = (
    "DELETE FROM evidence",
    "DELETE FROM ledger_waiting",
    "DELETE FROM consent_entry WHERE seq IN (SELECT seq FROM ledger_leaf WHERE batch_no = 3)",
    "DELETE FROM consent_entry WHERE seq NOT IN (SELECT seq FROM ledger_leaf)",
    "DELETE FROM ledger_leaf WHERE batch_no = 3",
    "DELETE FROM ledger_head WHERE batch_no = 3",
)


async def test_a_dropped_last_batch_is_found_by_the_kept_heads_and_by_nothing_else(kept: Ledger, tmp_path: Path):
    elsewhere = tmp_path / "safe" / "heads"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(kept.file.read_bytes())
    await kept.attack(*LAST_BATCH)

    (fault,) = (await kept.prove.verify())["broken"]
    assert (fault["company"], fault["code"]) == ("tents", "dropped")
    assert "tells of 7 sealed entries, the ledger holds 5" in fault["detail"]

    kept.file.unlink()
    found = await kept.prove.verify()
    assert found["ok"]
    assert "no kept head is at hand" in found["notes"][0], "what cannot be found without heads is said"
    assert await kept.codes(elsewhere) == {"dropped"}


async def test_a_ledger_that_grew_on_after_its_last_batch_was_dropped_is_found(
    kept: Ledger, caplog: pytest.LogCaptureFixture
):
    await kept.attack(*LAST_BATCH)
    again = Ledger(kept.database, kept.writer, kept.file.parent)
    await again.add(press(20, ALICE), press(21, BOB))
    async with kept.database.transaction() as tx:  # its triggers are gone
        await tx.execute(
            "INSERT INTO ledger_waiting SELECT controller_id, seq FROM consent_entry WHERE occurred_at >= $1",
            (NOW + 20,),
        )
    await again.jobs.seal()
    assert "the ledger is shorter than a kept head" in caplog.text
    assert await again.codes() == {"rewritten"}


@pytest.mark.parametrize("table", ["ledger_head", "ledger_leaf"])
@pytest.mark.parametrize("batch_no", [1, 3])
async def test_a_dropped_head_or_leaf_is_found_even_without_kept_heads(kept: Ledger, table: str, batch_no: int):
    kept.file.unlink()
    await kept.attack(f"DELETE FROM {table} WHERE batch_no = {batch_no}")
    assert await kept.codes()


async def test_taking_the_whole_tree_away_is_found_even_without_kept_heads(kept: Ledger):
    kept.file.unlink()
    await kept.attack("DELETE FROM ledger_head", "DELETE FROM ledger_leaf", "DELETE FROM ledger_waiting")
    assert await kept.codes() == {"unsealed"}


async def test_an_emptied_database_is_found_by_the_kept_heads(kept: Ledger):
    tables = ("evidence", "consent_entry", "ledger_leaf", "ledger_head", "ledger_waiting", "controller")
    await kept.attack(*(f"DELETE FROM {table}" for table in tables))
    assert await kept.codes() == {"dropped"}


async def test_deleted_evidence_breaks_nothing_and_edited_evidence_does(kept: Ledger):
    await kept.attack(
        "DELETE FROM evidence WHERE event_id IN (SELECT event_id FROM consent_entry WHERE message_at > 0 AND seq < 3)"
    )
    assert await kept.codes() == set()
    await kept.attack('UPDATE evidence SET content = \'{"user-agent":"another"}\'')
    assert await kept.codes() == {"evidence"}
    await kept.attack("UPDATE evidence SET content = 'no JSON'")
    assert await kept.codes() == {"evidence"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE wording SET content = '{}'", "wording"),
        ("UPDATE wording SET content = 'no JSON'", "wording"),
        ("UPDATE wording SET language = 'nl'", "wording"),
        ("DELETE FROM wording", "wording_gone"),
        ("UPDATE policy_snapshot SET content = '{}'", "policy"),
        ("DELETE FROM policy_snapshot", "policy_gone"),
    ],
)
async def test_a_text_or_rule_that_is_no_longer_what_was_shown_is_found(kept: Ledger, change: str, code: str):
    await kept.attack(change)
    assert await kept.codes() == {code}


async def test_erasing_a_customer_leaves_the_ledger_whole(kept: Ledger):
    async with kept.database.transaction() as tx:
        await tx.execute(
            "UPDATE subject SET lookup = NULL, address = NULL, erased_at = $1 WHERE subject_id = $2", (NOW, ALICE)
        )
        for table in ("subject_state", "customer", "customer_history", "standing"):
            await tx.execute(f"DELETE FROM {table} WHERE subject_id = $1", (ALICE,))
        await tx.execute(
            "DELETE FROM evidence WHERE event_id IN (SELECT event_id FROM consent_entry WHERE subject_id = $1)",
            (ALICE,),
        )
    erased = press(30, ALICE, event="erased", state=None, evidence=None, evidence_commit=None, wording_id=None)
    await kept.add(erased)
    await kept.jobs.seal()
    assert (await kept.prove.verify())["companies"][0]["sealed"] == 9
    assert await kept.codes() == set()


async def test_evidence_that_belongs_to_no_entry_is_found(kept: Ledger):
    await kept.add(press(31, BOB, evidence_commit=None))
    assert await kept.codes() == {"evidence"}


# --- the file of kept heads


async def test_a_file_that_was_tampered_with_is_said_to_be(kept: Ledger):
    kept.file.write_text(kept.file.read_text().replace('"size":7', '"size":6'))
    assert await kept.codes() == {"kept_head"}


async def test_a_line_that_a_crash_cut_short_is_passed_over_and_swallows_nothing(kept: Ledger):
    whole = kept.file.read_bytes()
    kept.file.write_bytes(whole + whole[:40])
    assert await kept.codes() == set()

    await kept.jobs.seal()
    lines = kept.file.read_bytes().split(b"\n")
    assert json.loads(lines[-2])["size"] == 8
    assert [one["code"] for one in (await kept.prove.verify())["broken"]] == ["kept_head"], "the torn line is told"


async def test_a_head_that_was_committed_and_not_yet_kept_is_kept_at_the_next_start(kept: Ledger):
    lines = kept.file.read_text().splitlines(keepends=True)
    kept.file.write_text("".join(lines[:-1]))  # the process ended between the commit and the file
    await Ledger(kept.database, kept.writer, kept.file.parent).jobs.seal()
    assert kept.file.read_text().splitlines(keepends=True)[:4] == lines


async def test_a_head_that_the_disk_refused_is_kept_as_soon_as_it_can_be(kept: Ledger):
    before = kept.file.read_text()
    kept.file.unlink()
    kept.file.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        await kept.jobs.seal()
    kept.file.rmdir()
    kept.file.write_text(before)

    assert await kept.jobs.seal() == 0, "the batch itself was sealed"
    assert json.loads(kept.file.read_text().splitlines()[-1])["size"] == 8
    assert await kept.codes() == set()


async def test_a_file_of_heads_that_is_not_there_is_said(kept: Ledger, tmp_path: Path):
    with pytest.raises(NotFound, match="there is no file"):
        await kept.prove.verify(tmp_path / "none")


# --- sealing


async def test_sealing_waits_for_the_replica_that_is_at_it(kept: Ledger, tmp_path: Path):
    async with kept.database.transaction() as tx:
        await tx.execute("INSERT INTO lease (name, holder, until) VALUES ('sealing', 'b', $1)", (NOW + 61_000,))
    assert await kept.jobs.seal() == 0
    async with kept.database.transaction() as tx:
        await tx.execute("DELETE FROM lease")
    assert await kept.jobs.seal() == 1
    assert await kept.database.fetch("SELECT * FROM lease") == []
    assert await kept.jobs.seal() == 0


async def test_a_large_backlog_becomes_several_batches(kept: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("handraiser.jobs.BATCH", 3)
    await kept.add(*(press(n, BOB) for n in range(100, 110)))
    assert await kept.jobs.seal() == 4
    assert await kept.codes() == set()
    assert (await kept.prove.verify())["companies"][0]["batches"] == 7


async def test_verifying_beside_a_service_that_writes_and_seals_finds_nothing_wrong(kept: Ledger):
    async def work() -> None:
        for n in range(300, 380):
            await kept.add(press(n, BOB))
            if n % 7 == 0:
                await kept.jobs.seal()

    working = asyncio.create_task(work())
    rounds = 0
    while not working.done():
        assert (await kept.prove.verify())["broken"] == []
        rounds += 1
    await working
    assert rounds > 3
    assert (await kept.prove.verify())["companies"][0]["entries"] == 88


async def test_two_that_seal_at_once_make_one_tree(kept: Ledger, database_url: str):
    others = [kept.database]
    if kept.database.dialect == "postgresql":
        others += [await Database.open(database_url) for _ in range(2)]

    async def seal(database: Database) -> int:
        batches = 0
        while True:
            async with database.transaction() as tx:
                if await seals.seal(tx, TENTS, NOW, 2, KEYS.sign) is None:
                    return batches
            batches += 1

    await kept.add(*(press(n, BOB) for n in range(400, 430)))
    made = await asyncio.gather(*(seal(database) for database in others for _ in range(2)))
    assert sum(made) >= 16
    found = await kept.prove.verify()
    assert (found["broken"], found["companies"][0]["sealed"], found["companies"][0]["waiting"]) == ([], 38, 0)
    for database in others[1:]:
        await database.close()


# --- standing


async def standing(database: Database) -> list[tuple[Any, ...]]:
    rows = await database.fetch("SELECT * FROM standing ORDER BY controller_id, subject_id, purpose, channel")
    return [tuple(row) for row in rows]


def history(seed: int) -> Sequence[Append]:
    """Answers of twenty customers of two companies, in an order and with outcomes of chance."""
    chance = random.Random(seed)
    states = ("asked", "pending", "granted", "refused", "withdrawn", "objected", "lapsed", "voided", None)
    return [
        press(
            n,
            an_id(2000 + chance.randrange(20)),
            chance.choice((TENTS, BOATS)),
            state=chance.choice(states),
            purpose=chance.choice(("newsletter", "offers", "*")),
            channel=chance.choice(("email", "sms")),
            message_at=chance.choice((None, NOW - chance.randrange(1000))),
            occurred_at=NOW + chance.randrange(-500, 500),
        )
        for n in range(40, 240)
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_rebuilding_gives_the_standing_that_the_answers_gave(kept: Ledger, seed: int):
    await kept.add(*history(seed))
    before = await standing(kept.database)
    assert await kept.prove.rebuild() == {"customers": 43, "changed": 0}
    assert await standing(kept.database) == before

    chance = random.Random(seed)
    async with kept.database.transaction() as tx:
        for row in chance.sample(before, len(before) // 2):
            of = (row[0], row[1], row[2], row[3])
            change = chance.choice(
                ("DELETE FROM standing", "UPDATE standing SET state = 'x'", "UPDATE standing SET message_at = 5")
            )
            await tx.execute(
                f"{change} WHERE controller_id = $1 AND subject_id = $2 AND purpose = $3 AND channel = $4", of
            )
        await tx.execute(
            "INSERT INTO standing (controller_id, subject_id, purpose, channel, state, since, event_id)"
            " VALUES ($1, $2, 'newsletter', 'email', 'granted', 5, $2)",
            (TENTS, an_id(9999)),
        )
    assert await standing(kept.database) != before
    assert (await kept.prove.rebuild())["changed"] == len(before) // 2 + 1
    assert await standing(kept.database) == before


async def test_an_erasure_ends_every_standing_that_was_before_it(kept: Ledger):
    await kept.add(press(50, BOB, event="erased", state=None, purpose="*"))
    await kept.prove.rebuild()
    assert {row[1] for row in await standing(kept.database)} == {ALICE, CHARLIE}


async def test_evidence_goes_three_years_after_what_it_proves_ended_and_the_ledger_is_whole(kept: Ledger, monkeypatch):
    """Alice signed up, left and signed up again; Bob signed up and objected at last; Charlie signed up."""
    monkeypatch.setattr("handraiser.jobs.BITE", 2)
    end = NOW + 9 + 36 * MONTH_MS
    assert (await kept.jobs.prune(end))["evidence"] == 0
    assert (await kept.jobs.prune(end + EVIDENCE_EVERY_MS))["evidence"] == 4

    rows = await kept.database.fetch(
        "SELECT e.subject_id FROM evidence x JOIN consent_entry e"
        " ON e.controller_id = x.controller_id AND e.event_id = x.event_id"
    )
    assert {row["subject_id"] for row in rows} == {ALICE, CHARLIE}
    assert await kept.codes() == set()
    (entry,) = await kept.database.fetch("SELECT * FROM consent_entry WHERE event_id = $1", (an_id(509),))
    assert entry["evidence_commit"] is not None


async def test_who_verifies_through_a_running_service_sees_how_far_it_is(kept: Ledger, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("handraiser.commands.MOVED_SECONDS", 0.001)
    monkeypatch.setattr("handraiser.prove.STEP", 1)
    monkeypatch.setattr("handraiser.store.ledger_audit.PAGE", 1)
    await kept.add(*(press(n, BOB, dedup_key=b"more-%d" % n) for n in range(20, 80)))
    await kept.jobs.seal()
    settings, seen = load({}, state_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/held.db"), []
    service = Control(tmp_path, kept.prove.command)
    await service.open()
    try:
        found = await verify(settings, None, lambda done, total: seen.append((done, total)))
    finally:
        await service.close()
    assert found["ok"]
    assert seen
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {69}  # 9 of the beginning and 60, sealed
