"""Both databases behave alike: statements, batches, transactions, refusals, migrations, coming and going."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from handraiser.errors import SchemaChanged, SchemaTooNew, StoreError, StoreUnavailable
from handraiser.store import schema
from handraiser.store.database import Database
from handraiser.store.sql import RowRefused, render, to_json

FIRST = schema.Script(1, "first", "CREATE TABLE thing (n {int} PRIMARY KEY, t {text} NOT NULL) {strict};\n")
SECOND = schema.Script(2, "second", "CREATE TABLE other (n {int} PRIMARY KEY) {strict};\n")


@pytest.fixture
async def empty(database_url: str):
    """A database with nothing but a table ``thing``."""
    known, schema_scripts = (FIRST,), schema.scripts
    schema.scripts = lambda: known
    try:
        opened = await Database.open(database_url)
    finally:
        schema.scripts = schema_scripts
    yield opened
    await opened.close()


def test_the_same_text_becomes_values_on_sqlite_and_arrays_on_postgresql():
    sql = "WITH {rows} SELECT v.a FROM v WHERE v.b = $1 {lock:t} {claim}"
    assert render("sqlite", sql, "a id, b int", 2).rstrip() == (
        "WITH v(a,b) AS (VALUES (?,?),(?,?)) SELECT v.a FROM v WHERE v.b = ?5"
    )
    assert render("postgresql", sql, "a id, b int") == (
        "WITH v(a,b) AS (SELECT * FROM unnest($1::uuid[],$2::bigint[])) SELECT v.a FROM v WHERE v.b = $3"
        " FOR UPDATE OF t FOR UPDATE SKIP LOCKED"
    )


def test_a_column_of_no_known_kind_is_refused():
    with pytest.raises(ValueError, match="declare a column"):
        render("sqlite", "WITH {rows} SELECT 1", "a float", 1)


async def test_a_batch_reads_and_writes_and_nulls_pass(database: Database):
    identifier = bytes(range(16))
    rows = await database.fetch_rows(
        "WITH {rows} SELECT a, b, c, d, e FROM v WHERE b <> $1 ORDER BY b",
        "a id, b int, c bytes, d text, e small",
        [(identifier, 2**62, b"\0x", "ä", 1), (None, 7, None, None, None), (identifier, 5, b"", "", 0)],
        (5,),
    )
    assert [tuple(row) for row in rows] == [(None, 7, None, None, None), (identifier, 2**62, b"\0x", "ä", 1)]


async def test_an_exception_rolls_everything_back(empty: Database):
    async def break_off() -> None:
        async with empty.transaction() as tx:
            await tx.execute("INSERT INTO thing (n, t) VALUES ($1, $2)", (1, "a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await empty.fetch("SELECT n FROM thing") == []


async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(empty: Database):
    async def hang() -> None:
        async with empty.transaction() as tx:
            await tx.execute("INSERT INTO thing (n, t) VALUES (1, 'a')")
            await asyncio.sleep(60)

    task = asyncio.create_task(hang())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with empty.transaction() as tx:
        await tx.execute("INSERT INTO thing (n, t) VALUES (2, 'b')")
    assert [row["n"] for row in await empty.fetch("SELECT n FROM thing")] == [2]


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["NUL", "lone surrogate"])
async def test_text_that_one_database_would_refuse_is_refused_by_both(empty: Database, text: str):
    with pytest.raises(RowRefused):
        async with empty.transaction() as tx:
            await tx.execute_rows(
                "WITH {rows} INSERT INTO thing (n, t) SELECT n, t FROM v", "n int, t text", [(1, text)]
            )
    assert await empty.fetch("SELECT n FROM thing") == []


@pytest.mark.parametrize("number", [2**63, 2**80])
async def test_a_number_beyond_64_bits_is_refused_by_both(empty: Database, number: int):
    with pytest.raises(RowRefused):
        async with empty.transaction() as tx:
            await tx.execute_rows(
                "WITH {rows} INSERT INTO thing (n, t) SELECT n, t FROM v", "n int, t text", [(number, "")]
            )


async def test_a_refusal_names_no_value(empty: Database):
    async with empty.transaction() as tx:
        await tx.execute("INSERT INTO thing (n, t) VALUES (1, 'alice@example.com')")
    for values in ((1, "alice@example.com"), (2, None)):
        with pytest.raises(RowRefused) as caught:
            async with empty.transaction() as tx:
                await tx.execute("INSERT INTO thing (n, t) VALUES ($1, $2)", values)
        assert "alice" not in str(caught.value)


def test_json_with_a_lone_surrogate_is_refused_and_nul_is_escaped():
    assert to_json({"a": "\0"}) == '{"a":"\\u0000"}'
    with pytest.raises(RowRefused):
        to_json({"a": "\ud800"})


async def test_migrating_twice_changes_nothing(database: Database):
    assert await schema.migrate(database) == []
    assert await schema.pending(database) == []


async def test_pending_names_what_migrate_would_apply(empty: Database):
    assert await schema.pending(empty, (FIRST, SECOND)) == ["0002_second"]
    assert await schema.migrate(empty, (FIRST, SECOND)) == ["0002_second"]
    assert await schema.pending(empty, (FIRST, SECOND)) == []


async def test_four_replicas_migrate_at_once_and_one_of_them_applies(postgres_url: str):
    databases = await asyncio.gather(*(Database.open(postgres_url, migrate=False) for _ in range(4)))
    try:
        applied = await asyncio.gather(*(schema.migrate(database) for database in databases))
        assert sorted(map(len, applied)) == [0, 0, 0, len(schema.scripts())]
    finally:
        await asyncio.gather(*(database.close() for database in databases))


async def test_a_newer_schema_is_refused(empty: Database):
    await schema.migrate(empty, (FIRST, SECOND))
    with pytest.raises(SchemaTooNew, match="0002_second"):
        await schema.migrate(empty, (FIRST,))
    with pytest.raises(SchemaTooNew):
        await schema.pending(empty, (FIRST,))


async def test_a_changed_migration_is_refused(empty: Database):
    with pytest.raises(SchemaChanged, match="0001_first"):
        await schema.migrate(empty, (schema.Script(1, "first", FIRST.text + "-- another text\n"),))


async def test_a_migration_that_fails_leaves_nothing(empty: Database):
    broken = schema.Script(2, "broken", SECOND.text + "CREATE TABLE thing (n {int});\n")
    with pytest.raises(StoreError):
        await schema.migrate(empty, (FIRST, broken))
    assert await schema.migrate(empty, (FIRST, SECOND)) == ["0002_second"]


async def test_an_older_migration_may_not_come_later(empty: Database):
    await schema.migrate(empty, (FIRST, schema.Script(3, "third", "CREATE TABLE c (n {int});\n")))
    with pytest.raises(StoreError, match="0002_second"):
        await schema.migrate(empty, (FIRST, SECOND, schema.Script(3, "third", "CREATE TABLE c (n {int});\n")))


async def test_a_second_opening_of_one_sqlite_file_is_refused_with_a_sentence(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'one.db'}"
    database = await Database.open(url)
    with pytest.raises(StoreError, match="PostgreSQL"):
        await Database.open(url)
    await database.close()
    again = await Database.open(url)
    await again.ping()
    await again.close()


async def test_sqlite_is_durable_private_and_has_one_writer(tmp_path: Path):
    path = tmp_path / "one.db"
    database = await Database.open(f"sqlite:///{path}")
    async with database.transaction() as tx:
        values = {
            name: (await tx.fetch(f"PRAGMA {name}"))[0][0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "secure_delete")
        }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "secure_delete": 1,
    }
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(StoreUnavailable):
        await database.fetch("INSERT INTO lease (name, holder, until) VALUES ('a', 'b', 1) RETURNING 1")
    await database.close()


async def test_another_program_that_locks_the_sqlite_file_makes_the_store_unavailable_for_a_while(tmp_path: Path):
    path = tmp_path / "one.db"
    database = await Database.open(f"sqlite:///{path}", seconds=0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM lease")
    other.execute("ROLLBACK")
    other.close()
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM lease")
    await database.close()


async def test_after_close_everything_is_unavailable(database: Database):
    await database.close()
    await database.close()
    with pytest.raises(StoreUnavailable):
        await database.ping()
    with pytest.raises(StoreUnavailable):
        async with database.transaction() as tx:
            await tx.fetch("SELECT 1")


async def test_postgresql_commits_durably_and_limits_statements(postgres_url: str):
    database = await Database.open(postgres_url, seconds=0.3)
    async with database.transaction() as tx:
        assert (await tx.fetch("SELECT current_setting('synchronous_commit') AS s"))[0]["s"] == "on"
    with pytest.raises(StoreUnavailable):
        async with database.transaction() as tx:
            await tx.fetch("SELECT pg_sleep(5)")
    await database.ping()
    await database.close()


async def test_a_postgresql_that_was_restarted_is_found_again(postgres_url: str):
    database = await Database.open(postgres_url)
    killer = await Database.open(postgres_url)
    await killer.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND application_name = 'handraiser' AND backend_type = 'client backend'"
    )
    await asyncio.sleep(0.1)
    await database.ping()
    await database.close()
    await killer.close()


async def test_a_transaction_pooler_gets_no_session_settings_and_no_statement_cache(postgres_url: str):
    database = await Database.open(postgres_url, pooler=True)
    assert [row["n"] for row in await database.fetch("SELECT 1 AS n")] == [1]
    async with database.transaction() as tx:
        assert (await tx.fetch("SELECT current_setting('statement_timeout') AS s"))[0]["s"] == "2s"
    await database.close()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite:x", ""])
async def test_another_url_is_refused(url: str):
    with pytest.raises(StoreError, match="database_url"):
        await Database.open(url)


async def test_a_postgresql_that_is_not_there_is_unavailable_at_once(tmp_path: Path):
    with pytest.raises(StoreUnavailable):
        await Database.open(f"postgresql://x@/x?host={tmp_path}")
