"""What all tests share: both databases, each test with an empty one of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

import postgres
from handraiser.store.database import Database
from handraiser.store.writer import Reader, Writer
from programs import Programs

settings.register_profile("long", max_examples=3_000, deadline=None)
"""What ``make fuzz`` tries."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of one PostgreSQL for the whole run."""
    with postgres.server() as url:
        yield url


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """A URL whose connections live in an empty schema of their own."""
    schema = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_server)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}search_path={schema}"
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind; a test that uses it runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'handraiser.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open, migrated database of each kind."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def writer(database: Database) -> AsyncIterator[Writer]:
    opened = Writer(database)
    yield opened
    await opened.close()


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[Reader]:
    opened = Reader(database)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Programs that earlier tests of this run compiled, in whichever of its processes."""
    folder = tmp_path_factory.getbasetemp()
    return Programs((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "programs.ndjson")
