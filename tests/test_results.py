"""Experiments counted and told, on both databases: by one replica at a time, and the same after a rebuild."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import experiment_check
import results_check
from asked import BOAT, TENT
from counted import EXPERIMENT, WINDOW, an_experiment, expose, say, seal
from handraiser.core.links import LinkKind
from handraiser.errors import Busy, NotFound
from handraiser.isolate import Isolate
from handraiser.results import LEASE, Results
from handraiser.store import clicks, recording
from handraiser.store.clicks import Click
from handraiser.store.database import Database
from programs import Programs
from rows import DAY, NOW, TENTS, a_recording, an_id


class Clock:
    now = NOW + DAY

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module")
def isolate() -> Iterator[Isolate]:
    one = Isolate()
    yield one
    one.close()


@pytest.fixture
async def clock(database: Database) -> Clock:
    await an_experiment(database)
    return Clock()


@pytest.fixture
def results(database: Database, isolate: Isolate, clock: Clock) -> Results:
    return Results(database, isolate, clock, "a")


async def told(results: Results, **asked: Any) -> dict[str, Any]:
    return await results.of(TENT, str(uuid.UUID(bytes=EXPERIMENT)), **asked)


async def test_before_the_first_count_there_is_no_data_and_no_moment(results: Results):
    found = await told(results)
    assert (found["state"], found["computed_at"]) == ("no_data", None)
    assert [one["arm"] for one in found["arms"]] == ["plain", "bold"]


async def test_what_was_counted_is_told_with_its_moment_until_more_happens(
    database: Database, results: Results, clock: Clock
):
    await expose(database, range(40))
    await results.refresh()
    await say(database, 3, "granted", 0.5)
    await seal(database)
    first = await told(results)
    assert (first["state"], first["computed_at"]) == ("too_early", clock.now)
    assert [one["so_far"] for one in first["arms"]] == [{"customers": 20, "opt_ins": 0}] * 2

    clock.now += 300_000
    await results.refresh()
    second = await told(results)
    assert second["computed_at"] == clock.now
    assert second["arms"][1]["so_far"] == {"customers": 20, "opt_ins": 1}
    assert second["arms"][1]["customers"] == 0, "nobody's window is over"

    clock.now += 300_000
    await results.refresh()
    assert await told(results) == second, "nothing happened, nothing is computed"


async def test_cohorts_mature_with_the_days_although_nothing_happens(
    database: Database, results: Results, clock: Clock
):
    await expose(database, range(40))
    await results.refresh()
    clock.now = NOW + (WINDOW + 2) * DAY
    await results.refresh()
    assert [one["customers"] for one in (await told(results))["arms"]] == [20, 20]


async def test_bayesian_numbers_are_told_on_request_alone(database: Database, results: Results, clock: Clock):
    await expose(database, range(40))
    clock.now = NOW + (WINDOW + 2) * DAY
    await results.refresh()
    assert "bayes" not in await told(results)
    assert (await told(results, bayes=True))["bayes"]["arms"][0]["chance_to_win"] == pytest.approx(0.5, abs=0.01)


async def test_another_companys_experiment_is_none(results: Results):
    with pytest.raises(NotFound):
        await results.of(BOAT, str(uuid.UUID(bytes=EXPERIMENT)))
    with pytest.raises(NotFound):
        await results.of(TENT, str(uuid.uuid4()))


async def test_one_replica_counts_at_a_time_and_the_next_when_that_one_died(
    database: Database, results: Results, clock: Clock
):
    await expose(database, range(4))
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO lease (name, holder, until) VALUES ($1, 'b', $2)", (LEASE, clock.now + 1))
    await results.refresh()
    assert (await told(results))["computed_at"] is None
    with pytest.raises(Busy):
        await results.command("tallies.verify")

    clock.now += 1
    await results.refresh()
    assert (await told(results))["computed_at"] == clock.now
    assert await database.fetch("SELECT * FROM lease") == []


async def test_tallies_are_verified_and_made_anew(database: Database, results: Results):
    await expose(database, range(40))
    await say(database, 3, "granted", 0.5)
    await seal(database)
    await results.refresh()
    assert await results.command("tallies.verify") == {"ok": True, "exposures": 40, "wrong": []}
    rows = sorted(tuple(row) for row in await database.fetch("SELECT * FROM tally"))

    async with database.transaction() as tx:
        await tx.execute("UPDATE tally SET converted = 7 WHERE dimension = 'country'")
        await tx.execute("DELETE FROM tally WHERE dimension = 'all'")
    found = await results.command("tallies.verify")
    assert (found["ok"], len(found["wrong"])) == (False, 1)

    assert await results.command("tallies.rebuild") == {"experiments": 1}
    assert sorted(tuple(row) for row in await database.fetch("SELECT * FROM tally")) == rows
    assert (await results.command("tallies.verify"))["ok"]


async def test_visits_are_counted_for_the_arm_that_their_reader_was_in_by_then(
    database: Database, results: Results, clock: Clock
):
    async with database.transaction() as tx:
        await recording.record(tx, [a_recording(n, f"{n}@example.com", subject_id=an_id(n)) for n in (2, 3, 5)])
    await expose(database, [2, 3])
    await expose(database, [5], at=NOW + DAY)
    visits = [(2, LinkKind.OPT_IN, "bot"), (2, LinkKind.OPT_IN, "human"), (3, LinkKind.HONEYPOT, "bot")]
    visits += [(5, LinkKind.OPT_IN, "bot"), (2, LinkKind.WITHDRAW, "bot"), (7, LinkKind.OPT_IN, "bot")]
    async with database.transaction() as tx:
        await clicks.record(tx, [Click(TENTS, an_id(n), NOW, int(kind), "GET", word) for n, kind, word in visits])
        await clicks.record(tx, [Click(TENTS, an_id(2), NOW, int(LinkKind.OPT_IN), "GET", "human")])
    await results.refresh()
    plain, bold = (one["clicks"] for one in (await told(results))["arms"])
    assert plain == {"human": 2, "suspect": 0, "bot": 1, "machine_share": 1 / 3}
    assert bold == {"human": 0, "suspect": 0, "bot": 1, "machine_share": 1.0}, "who came later was in no arm yet"


async def test_a_holdout_is_counted_and_has_no_results_of_its_own(database: Database, results: Results):
    async with database.transaction() as tx:
        await tx.execute("UPDATE experiment SET kind = 'holdout', purpose = ''")
    await expose(database, range(10))
    await results.refresh()
    assert (await results.command("tallies.verify"))["exposures"] == 10
    with pytest.raises(NotFound):
        await told(results)


async def test_all_results_of_many_experiments_come_from_the_api_at_once(tmp_path: Path, compiled: Programs):
    found = await results_check.check(tmp_path, f"sqlite:///{tmp_path / 'h.db'}", 4_000, compiled)
    assert (found.ok, found.counted) == (True, 4_000)
    assert len(found.answered) == results_check.EXPERIMENTS
    assert min(found.segments) >= 10
    assert found.opt_ins > 100


async def test_the_better_arm_is_named_though_it_is_slower_and_scanners_count_nowhere(
    tmp_path: Path, compiled: Programs
):
    url = f"sqlite:///{tmp_path / 'h.db'}"
    found = await experiment_check.check(tmp_path, url, compiled, 240, experiment_check.SHORT)
    assert found.faults() == []
    only_scanned = {n for n in found.world.scanned if n % 2} - found.world.said["yes"]
    assert len(only_scanned) > 20, "scanners sent the form of customers who never pressed"
    assert found.world.emails > 2 * len(found.world.arms)
