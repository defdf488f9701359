"""Messages a second on PostgreSQL (fsync on): group commit against a transaction for each, by turns in one run.

``make commit-check`` fails below three times. 64 callers, each with one message at a time; no HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from handraiser.store.database import Database
from handraiser.store.recording import record
from handraiser.store.writer import Writer
from postgres import killable_server
from rows import a_recording

CALLERS = 64
SECONDS = 3.0
TURNS = 5
WANTED = 3.0

Write = Callable[[Any], Awaitable[object]]


async def rate(write: Write, numbers: itertools.count[int]) -> tuple[float, float]:
    """Messages a second, and this process's CPU µs for each."""
    written, began, used = 0, time.monotonic(), time.process_time()

    async def caller() -> None:
        nonlocal written
        while time.monotonic() < began + SECONDS:
            n = next(numbers)
            await write(a_recording(n, f"{n}@example.com", version=None, order_id=f"{n}", idempotency_key=f"{n}"))
            written += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return written / (time.monotonic() - began), (time.process_time() - used) / written * 1e6


async def check() -> float:
    """How many times faster group commit is, by the medians of the turns."""
    with killable_server(fsync=True) as server:
        database = await Database.open(server.url, seconds=20.0, lock_seconds=20.0)
        writer = Writer(database)

        async def alone(row: Any) -> None:
            async with database.transaction(brief=True) as tx:
                await record(tx, [row])

        async def together(row: Any) -> None:
            await writer.write(record, row)

        numbers = itertools.count()
        rates: dict[str, list[float]] = {}
        for _ in range(TURNS):
            for name, write in (("a transaction each", alone), ("group commit", together)):
                found, used = await rate(write, numbers)
                rates.setdefault(name, []).append(found)
                sys.stdout.write(f"{name}: {found:.0f} messages/s, {used:.0f} µs of CPU each\n")
        await writer.close()
        await database.close()
    return statistics.median(rates["group commit"]) / statistics.median(rates["a transaction each"])


if __name__ == "__main__":
    times = asyncio.run(check())
    sys.stdout.write(f"group commit: {times:.1f} times a transaction each\n")
    sys.exit(0 if times >= WANTED else 1)
