"""Migrations: numbered files, applied once, in order, under a lock, and remembered with their checksum."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Protocol

from handraiser.errors import SchemaChanged, SchemaTooNew, StoreError
from handraiser.store.sql import Dialect, Row, StoreConflict, for_dialect

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_LONGEST = 600.0
_TABLE = """CREATE TABLE IF NOT EXISTS schema_migration (
  number bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at bigint NOT NULL)"""


class _Migrating(Protocol):
    @property
    def dialect(self) -> Dialect: ...
    async def fetch(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...
    async def execute(self, sql: str, params: Sequence[object] = ()) -> None: ...
    async def exclusive(self, name: str) -> None: ...
    async def script(self, text: str) -> None: ...


class Migratable(Protocol):
    """What a database must offer to be migrated."""

    def transaction(self, *, seconds: float | None = None) -> AbstractAsyncContextManager[_Migrating]: ...


@dataclass(frozen=True, slots=True)
class Script:
    """One migration: ``NNNN_name.sql``."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def scripts() -> tuple[Script, ...]:
    """The migrations that came with this version, in order."""
    found = [
        Script(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in resources.files("handraiser.store").joinpath("migrations").iterdir()
        if (match := _NAME.fullmatch(file.name))
    ]
    return tuple(sorted(found, key=lambda script: script.number))


async def migrate(database: Migratable, known: Sequence[Script] | None = None) -> list[str]:
    """Apply what is missing and return the names applied, oldest first.

    Several processes may call it at once: one applies, the others wait and find nothing to do. A running service is
    not held up: who cannot have a lock in time lets go of all and tries again, for ten minutes. Raises
    :class:`SchemaTooNew`, :class:`SchemaChanged`, :class:`StoreConflict` or :class:`StoreUnavailable`; then nothing was
    changed.
    """
    patience = time.monotonic() + _LONGEST
    while True:
        try:
            return await _migrate(database, known)
        except StoreConflict:
            if time.monotonic() > patience:
                raise
            await asyncio.sleep(0.2)


async def _migrate(database: Migratable, known: Sequence[Script] | None) -> list[str]:
    applied = []
    async with database.transaction(seconds=_LONGEST) as tx:
        await tx.exclusive("schema migration")
        await tx.execute(_TABLE)
        for script in _missing(known or scripts(), await _applied(tx)):
            for statement in _statements(for_dialect(script.text, tx.dialect), tx.dialect):
                await tx.script(statement)
            await tx.execute(
                "INSERT INTO schema_migration (number, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
                (script.number, script.name, script.checksum, time.time_ns() // 1_000_000),
            )
            applied.append(f"{script.number:04}_{script.name}")
    return applied


async def pending(database: Migratable, known: Sequence[Script] | None = None) -> list[str]:
    """The names of migrations that this version has and the database lacks; raises like :func:`migrate`."""
    async with database.transaction() as tx:
        exists = (
            "SELECT name FROM sqlite_master WHERE name = 'schema_migration'"
            if tx.dialect == "sqlite"
            else "SELECT 1 FROM pg_class WHERE oid = to_regclass('schema_migration')"
        )
        done = await _applied(tx) if await tx.fetch(exists) else {}
    return [f"{script.number:04}_{script.name}" for script in _missing(known or scripts(), done)]


async def _applied(tx: _Migrating) -> dict[int, tuple[str, str]]:
    rows = await tx.fetch("SELECT number, name, checksum FROM schema_migration ORDER BY number")
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


def _missing(known: Sequence[Script], applied: dict[int, tuple[str, str]]) -> list[Script]:
    by_number = {script.number: script for script in known}
    for number, (name, checksum) in applied.items():
        if number not in by_number:
            raise SchemaTooNew(
                f"The database has migration {number:04}_{name}, which this version does not know: "
                "it was migrated by a newer version. Start that version, or restore a backup."
            )
        if by_number[number].checksum != checksum:
            raise SchemaChanged(f"Migration {number:04}_{name} was applied with another text than the file now holds.")
    missing = [script for script in known if script.number not in applied]
    if missing and applied and missing[0].number < max(applied):
        raise StoreError(f"Migration {missing[0].number:04}_{missing[0].name} is older than the newest one applied.")
    return missing


def _statements(text: str, dialect: Dialect) -> Iterator[str]:
    """SQLite runs one statement at a time, and its own ``executescript`` would commit first."""
    if dialect == "postgresql":
        yield text
        return
    gathered = ""
    for line in text.splitlines():
        gathered += line + "\n"
        if sqlite3.complete_statement(gathered):
            if gathered.strip():
                yield gathered
            gathered = ""
