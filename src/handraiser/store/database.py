"""One face for SQLite (aiosqlite) and PostgreSQL (asyncpg): sessions that read, transactions that write.

Driver errors do not leave this file: :class:`StoreUnavailable` says that the database cannot be reached or cannot
write now, :class:`RowRefused` that it does not take this data, :class:`StoreConflict` that another transaction was
in the way. Their texts never hold values, because values are personal data.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import aiosqlite

from handraiser.errors import StoreError, StoreUnavailable
from handraiser.store import schema
from handraiser.store.driver_errors import translated
from handraiser.store.lock import hold
from handraiser.store.sql import Dialect, Row, RowRefused, bind, render


class Session:
    """Statements on one connection; each is its own snapshot. SQL as described in :mod:`handraiser.store.sql`."""

    __slots__ = ("_run", "dialect")

    def __init__(self, dialect: Dialect, run: Any) -> None:
        self.dialect: Dialect = dialect
        self._run = run

    async def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """The rows of one statement."""
        return await self._statement(render(self.dialect, sql), list(params))

    async def fetch_rows(
        self, sql: str, columns: str, rows: Sequence[Sequence[Any]], params: Sequence[Any] = ()
    ) -> list[Row]:
        """The rows of one statement over the batch ``v``; ``columns`` declares it: ``"n int, lookup bytes"``."""
        if not rows:
            return []
        count = len(rows) if self.dialect == "sqlite" else 0
        return await self._statement(
            render(self.dialect, sql, columns, count), bind(self.dialect, columns, rows, params)
        )

    async def _statement(self, text: str, values: list[Any]) -> list[Row]:
        if self.dialect == "sqlite":
            # PostgreSQL refuses NUL in text and SQLite takes it: both must behave alike.
            for value in values:
                if type(value) is str and "\0" in value:
                    raise RowRefused("a text holds the character NUL")
        with translated():
            rows: list[Row] = await self._run(text, values)
        return rows


class Transaction(Session):
    """A session whose statements take effect together, or not at all."""

    __slots__ = ()

    async def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        """One statement without an answer."""
        await self._statement(render(self.dialect, sql), list(params))

    async def execute_rows(
        self, sql: str, columns: str, rows: Sequence[Sequence[Any]], params: Sequence[Any] = ()
    ) -> None:
        """One statement over the batch ``v`` without an answer; nothing happens for an empty batch."""
        await self.fetch_rows(sql, columns, rows, params)

    async def exclusive(self, name: str) -> None:
        """Wait until no other transaction holds ``name``; held until the end of this one."""
        if self.dialect == "postgresql":
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            await self.execute("SELECT pg_advisory_xact_lock($1)", (key,))

    async def script(self, text: str) -> None:
        """SQL of a migration as it stands: on PostgreSQL any number of statements, on SQLite one."""
        with translated():
            await self._run(text, None)


class Database(ABC):
    """An open database. Reads go to :meth:`fetch` (or :meth:`reading` for several), writes to :meth:`transaction`."""

    dialect: ClassVar[Dialect]

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @staticmethod
    async def open(
        url: str,
        *,
        migrate: bool = True,
        pooler: bool = False,
        seconds: float = 2.0,
        pool_size: int = 8,
        lock_seconds: float = 1.0,
    ) -> Database:
        """Open ``sqlite:///path`` or ``postgresql://…`` and apply missing migrations.

        ``seconds`` is the longest a statement or a connection may take before the database counts as down. ``pooler``
        says that a transaction pooler stands before PostgreSQL. There at most ``pool_size`` connections are held, and
        ``lock_seconds`` waited for another transaction's lock, then it is a :class:`StoreConflict`. Raises
        :class:`StoreError` (a URL that is none, an SQLite file that another process holds), :class:`StoreUnavailable`,
        :class:`SchemaTooNew`, :class:`SchemaChanged`.
        """
        database: Database
        if url.startswith("sqlite:///"):
            database = await _Sqlite.connect(Path(url.removeprefix("sqlite:///")), seconds)
        elif url.startswith(("postgresql://", "postgres://")):
            database = await _Postgres.connect(url, seconds, lock_seconds, pool_size, pooler=pooler)
        else:
            raise StoreError("database_url: write sqlite:///file or postgresql://user@host/name")
        try:
            if migrate:
                await schema.migrate(database)
            else:
                await schema.pending(database)
        except BaseException:
            await database.close()
            raise
        return database

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[Session]:
        """``async with database.reading() as session``: several reads on one connection."""

    @abstractmethod
    def transaction(
        self, *, seconds: float | None = None, brief: bool = False
    ) -> AbstractAsyncContextManager[Transaction]:
        """``async with database.transaction() as tx``: commits at the end, rolls back on any exception.

        ``brief`` says that its statements are small and that nothing but them is awaited in it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close every connection; may be called again."""

    async def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        """The rows of one reading statement."""
        async with self.reading() as session:
            return await session.fetch(sql, params)

    async def fetch_rows(
        self, sql: str, columns: str, rows: Sequence[Sequence[Any]], params: Sequence[Any] = ()
    ) -> list[Row]:
        """The rows of one reading statement over a batch."""
        async with self.reading() as session:
            return await session.fetch_rows(sql, columns, rows, params)

    async def ping(self) -> None:
        """Raise :class:`StoreUnavailable` unless the database answers within ``seconds``."""
        try:
            async with asyncio.timeout(self.seconds):
                await self.fetch("SELECT 1")
        except TimeoutError as error:
            raise StoreUnavailable("the database did not answer in time") from error

    async def answers(self) -> bool:
        """Whether it does."""
        try:
            await self.ping()
        except StoreUnavailable:
            return False
        return True


class _Sqlite(Database):
    """One writing connection, one that reads, and a lock file: SQLite before 3.51.3 can corrupt a WAL database when
    one connection checkpoints while another commits, and two writing processes starve each other."""

    dialect: ClassVar[Dialect] = "sqlite"

    def __init__(self, seconds: float, lock: int, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        super().__init__(seconds)
        self._lock = lock
        self._writer = writer
        self._reader = reader
        self._turn = asyncio.Lock()
        self._session = Session("sqlite", reader.execute_fetchall)
        self._closed = False

    @classmethod
    async def connect(cls, path: Path, seconds: float) -> _Sqlite:
        with translated():
            lock = hold(path)
        opened: list[aiosqlite.Connection] = []
        try:
            with translated():
                opened.append(await _sqlite_connection(path, seconds, "cache_size = -1000"))
                # What a reader has cached is void after every commit, so a large cache would only cost memory.
                opened.append(await _sqlite_connection(path, seconds, "cache_size = -500", "query_only = ON"))
        except BaseException:
            for connection in opened:
                await connection.close()
            os.close(lock)
            raise
        return cls(seconds, lock, *opened)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        yield self._session

    @asynccontextmanager
    async def transaction(
        self,
        *,
        seconds: float | None = None,  # noqa: ARG002 - busy_timeout is fixed
        brief: bool = False,
    ) -> AsyncIterator[Transaction]:
        async with self._turn:
            tx = Transaction("sqlite", self._at_once if brief else self._writing)
            try:
                await tx.script("BEGIN IMMEDIATE")
                yield tx
                await tx.script("COMMIT")
            except BaseException:
                await asyncio.shield(self._roll_back())
                raise

    async def _writing(self, text: str, values: list[Any] | None) -> list[Any]:
        return list(await self._writer.execute_fetchall(text, values or ()))

    async def _at_once(self, text: str, values: list[Any] | None) -> list[Any]:
        """Run a small statement on the event loop: the way to the driver's thread and back, and the two threads' fight
        for the interpreter, cost more. What may wait, for a lock or for the disk, takes that way."""
        if values is None:  # the beginning and the commit
            return await self._writing(text, values)
        return self._writer._conn.execute(text, values).fetchall()

    async def _roll_back(self) -> None:
        # After a full disk SQLite has rolled back by itself, and after close there is nothing to roll back.
        with suppress(sqlite3.Error, ValueError):
            if self._writer.in_transaction:
                await self._writer.execute_fetchall("ROLLBACK")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._reader.close()
        async with self._turn:
            await self._writer.close()
        os.close(self._lock)


async def _sqlite_connection(path: Path, seconds: float, *more: str) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=32, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        for pragma in (
            f"busy_timeout = {int(seconds * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "recursive_triggers = ON",  # else INSERT OR REPLACE would slip past the ledger's DELETE trigger
            "secure_delete = ON",  # what is erased is overwritten, not only forgotten; costs no more bytes
            "temp_store = MEMORY",  # else a statement over many rows notes in a file what it would take back
            "wal_autocheckpoint = 4000",  # 16 MB: pages that many commits touch are copied into the database once
            *more,
        ):
            await connection.execute_fetchall(f"PRAGMA {pragma}")
    except BaseException:
        await connection.close()
        raise
    return connection


class _Postgres(Database):
    """A pool of connections, each with durable commits and a statement timeout."""

    dialect: ClassVar[Dialect] = "postgresql"

    def __init__(self, seconds: float, lock_seconds: float, pool: Any, *, pooler: bool) -> None:
        super().__init__(seconds)
        self._lock_seconds = min(seconds, lock_seconds)
        self._pool = pool
        self._pooler = pooler

    @classmethod
    async def connect(cls, url: str, seconds: float, lock_seconds: float, size: int, *, pooler: bool) -> _Postgres:
        import asyncpg  # 3 MB that SQLite's users are spared

        settings = {} if pooler else {"application_name": "handraiser", "synchronous_commit": "on"}
        options: dict[str, Any] = {"statement_cache_size": 0} if pooler else {}
        with translated():
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                timeout=seconds,
                init=_speak_bytes,
                reset=_leave_no_transaction,
                server_settings=settings,
                **options,
            )
        return cls(seconds, lock_seconds, pool, pooler=pooler)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Session]:
        if self._pooler:  # a statement is prepared and run in two steps, which a pooler keeps together in a transaction
            async with self.transaction() as tx:
                yield tx
            return
        async with self._connection() as connection:
            yield Session("postgresql", self._runner(connection, self.seconds))

    @asynccontextmanager
    async def transaction(
        self,
        *,
        seconds: float | None = None,
        brief: bool = False,  # noqa: ARG002 - every statement is a round trip
    ) -> AsyncIterator[Transaction]:
        longest = self.seconds if seconds is None else seconds
        async with self._connection() as connection:
            tx = Transaction("postgresql", self._runner(connection, longest))
            limits = (
                f"statement_timeout = {int(longest * 1000)}; SET LOCAL lock_timeout = {int(self._lock_seconds * 1000)}"
            )
            await tx.script(f"BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL {limits}")
            try:
                yield tx
            except StoreUnavailable:
                raise
            except Exception:
                await tx.script("ROLLBACK")
                raise
            with translated():
                if await connection.execute("COMMIT", timeout=longest) != "COMMIT":
                    raise StoreError("the transaction had failed before its commit")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with translated():
            connection = await self._pool.acquire(timeout=self.seconds)
        try:
            yield connection
        except (StoreUnavailable, asyncio.CancelledError):
            # Its state is unknown, and asking a dead server for a rollback would hang. One that the driver saw die may
            # have left the pool by itself.
            with suppress(StoreError), translated():
                connection.terminate()
            raise
        finally:
            with translated():
                await self._pool.release(connection, timeout=self.seconds)

    @staticmethod
    def _runner(connection: Any, seconds: float) -> Any:
        async def run(text: str, values: list[Any] | None) -> Any:
            if values is None:
                return await connection.execute(text, timeout=seconds)
            return await connection.fetch(text, *values, timeout=seconds)

        return run

    async def close(self) -> None:
        try:
            with translated():
                async with asyncio.timeout(self.seconds):
                    await self._pool.close()
        except StoreError:
            self._pool.terminate()


async def _speak_bytes(connection: Any) -> None:
    """Ids are ``bytes`` in code and ``uuid`` in PostgreSQL."""
    async with connection.transaction():
        await connection.set_type_codec("uuid", encoder=bytes, decoder=bytes, schema="pg_catalog", format="binary")


async def _leave_no_transaction(connection: Any) -> None:
    """All a connection may carry over is an open transaction; asyncpg's own reset costs one more round trip a use."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")
