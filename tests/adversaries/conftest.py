"""One service under siege for each file of adversaries, on each database; every test brings customers of its own."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from programs import Programs
from running import running, settings_for
from siege import Clock, Siege


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def siege(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, compiled: Programs
) -> AsyncIterator[Siege]:
    folder = tmp_path_factory.mktemp("siege")
    if request.param == "sqlite":
        async for opened in _siege(folder, f"sqlite:///{folder / 'h.db'}", compiled):
            yield opened
        return
    server = request.getfixturevalue("postgres_server")
    schema = f"siege_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        async for opened in _siege(folder, f"{server}{'&' if '?' in server else '?'}search_path={schema}", compiled):
            yield opened
        await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    finally:
        await connection.close()


async def _siege(folder: Path, database_url: str, compiled: Programs) -> AsyncIterator[Siege]:
    clock = Clock(time.time_ns() // 1_000_000)
    settings = settings_for(folder, database_url, trusted_proxies="127.0.0.1", hosting_networks="9.9.9.0/24")
    async with (
        running(settings, compiled, clock=clock) as it,
        aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=["User-Agent", "Content-Type", "Accept"]
        ) as raw,
    ):
        yield Siege(it, clock, raw)
