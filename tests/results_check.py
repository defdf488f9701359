"""Fill EXPOSURES first exposures of 50 experiments, count them by the real job, and ask the API for all results.

``make results-check`` runs this by hand with ten million (on SQLite, or with DATABASE=postgresql there); the tests run
it with a few thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import postgres
from counted import WINDOW, Exposed, an_entry, an_experiment, append, look_around, put, seal
from handraiser.results import WHOLESALE
from handraiser.store.database import Database
from programs import Programs
from rows import DAY, an_id
from running import TENTS, Running, running, settings_for
from siege import Clock

EXPERIMENTS = 50
TOGETHER = 10
"""Experiments that one subject is in."""

DAYS = 60
NOW = 1_790_000_000_000
STEP = 2_000
SEGMENTS = ("gold", "silver", "outdoor", "winter", "b2b", "loyal")
"""With two kinds of customer and two touchpoints: ten segments."""


@dataclass
class Checked:
    """What came of it; seconds of each part, and milliseconds of each answer."""

    exposures: int
    counted: int = 0
    filled: float = 0.0
    caught_up: float = 0.0
    computed: float = 0.0
    answered: list[float] = field(default_factory=list)
    segments: set[int] = field(default_factory=set)
    opt_ins: int = 0
    ok: bool = False

    @property
    def asked(self) -> float:
        """Seconds that all experiments' results took, one after another."""
        return sum(self.answered) / 1000


def experiment_id(n: int) -> bytes:
    return an_id(9_000_000_000 + n)


def exposures_of(subjects: range, group: int) -> Iterator[Exposed]:
    """The subjects' first exposures to every experiment of a group."""
    chance = random.Random(subjects.start)
    for n in subjects:
        facts = (
            chance.choice(("new", "current")),
            chance.choice(("email:order_confirmation", "email:shipping_confirmation")),
            "product",
            f'["{chance.choice(SEGMENTS)}"]',
            chance.choice(("NL", "DE", "US")),
        )
        at = NOW - DAYS * DAY + chance.randrange(DAYS * DAY)
        for one in range(group * TOGETHER, (group + 1) * TOGETHER):
            yield (experiment_id(one), an_id(n), chance.randrange(2), at, *facts)


async def fill(database: Database, exposures: int, whose: tuple[bytes, bytes]) -> None:
    """The raw rows, as the doors write them: exposures, and a yes of each twentieth subject."""
    for n in range(EXPERIMENTS):
        await an_experiment(database, experiment_id(n), at=NOW - DAYS * DAY, whose=whose)
    each = exposures // EXPERIMENTS
    starts = [(group, n) for group in range(EXPERIMENTS // TOGETHER) for n in range(0, each, STEP // TOGETHER)]
    for group, n in starts:
        some = range(group * each + n, group * each + min(each, n + STEP // TOGETHER))
        rows = list(exposures_of(some, group))
        await put(database, rows, whose)
        said = {row[1]: row[3] + n % WINDOW * DAY for n, row in enumerate(rows[:: TOGETHER * 20])}
        await append(
            database, [an_entry(subject, "granted", at, controller_id=whose[0]) for subject, at in said.items()]
        )
    await seal(database, whose[0])
    await look_around(database)


async def check(folder: Path, database_url: str, exposures: int, compiled: Programs) -> Checked:
    """Fill, count, compute, ask; what came of it."""
    found = Checked(exposures)
    settings = settings_for(folder, database_url, results_seconds=86_400, seal_seconds=3_600)
    async with running(settings, compiled, [TENTS], Clock(NOW)) as it:
        shop = await it.service.govern.shop("tents")
        begun = time.monotonic()
        await fill(it.service.database, exposures, (shop.controller.id, shop.id))
        found.filled = time.monotonic() - begun
        await _count(it, found)
        for n in range(EXPERIMENTS):
            await _ask(it, n, found)
        told = await it.service.command("tallies.verify", {})
        found.ok, found.counted = told["ok"], told["exposures"]
    return found


async def _count(it: Running, found: Checked) -> None:
    begun = time.monotonic()
    await it.service.results.catch_up(WHOLESALE)
    found.caught_up = time.monotonic() - begun
    await it.service.results.compute()
    found.computed = time.monotonic() - begun - found.caught_up


async def _ask(it: Running, n: int, found: Checked) -> None:
    begun = time.monotonic()
    status, told = await it.get(f"/v1/experiments/{experiment_id(n).hex()}/results")
    found.answered.append(1000 * (time.monotonic() - begun))
    assert (status, told["computed_at"]) == (200, NOW), told
    found.segments.add(sum(one["dimension"] not in ("country", "purchase_type") for one in told["segments"]))
    found.opt_ins += sum(one["so_far"]["opt_ins"] for one in told["arms"])


def main() -> None:
    """Check with EXPOSURES exposures and print the figures; exit code 1 when the tallies are no recount, or all results
    take a second or more."""
    exposures = int(os.environ.get("EXPOSURES", "10000000"))
    on_postgres = os.environ.get("DATABASE") == "postgresql"
    with (
        tempfile.TemporaryDirectory(prefix="handraiser-results-") as name,
        postgres.server() if on_postgres else contextlib.nullcontext(f"sqlite:///{name}/handraiser.db") as url,
    ):
        found = asyncio.run(check(Path(name), url, exposures, Programs(Path(name) / "programs.ndjson")))
    say = sys.stdout.write
    kind = "PostgreSQL" if on_postgres else "SQLite"
    say(f"{kind}: {found.exposures} exposures of {EXPERIMENTS} experiments, written in {found.filled:.0f} s\n")
    say(f"counted by the job in {found.caught_up:.0f} s: {found.exposures / found.caught_up:.0f} a second\n")
    say(f"results of all experiments computed in {found.computed:.1f} s, in the isolated process\n")
    worst = max(found.answered)
    say(f"results of all experiments, ten segments each, from the API: {found.asked:.2f} s, worst {worst:.0f} ms\n")
    if not found.ok or found.counted != exposures or found.asked >= 1 or min(found.segments) < 10:
        sys.exit(f"the tallies are {'' if found.ok else 'not '}a recount of {found.counted} exposures")


if __name__ == "__main__":
    main()
