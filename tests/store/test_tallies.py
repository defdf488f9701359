"""Tallies are a recount of the raw rows at every moment, on both databases."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from counted import EXPERIMENT, OTHER, an_experiment, expose, say, seal
from handraiser.core.outcome import DAY_MS
from handraiser.store import feedback, tallies
from handraiser.store.database import Database
from handraiser.store.feedback import StoredFeedback
from rows import DAY, NOW, TENT_SHOP, TENTS, an_id

TODAY = NOW // DAY_MS


async def catch_up(database: Database, limit: int = 100) -> int:
    """Every step, each in a transaction of its own; how many rows were looked at."""
    done = 0
    while True:
        async with database.transaction() as tx:
            step = await tallies.catch_up(tx, TENTS, limit)
        if not step:
            return done
        done += step


async def everybody(database: Database, experiment_id: bytes = EXPERIMENT) -> dict[int, tuple[int, ...]]:
    """By arm: exposed, converted, withdrawn, objected, not_me."""
    rows = await tallies.by_day(database, TENTS, experiment_id)
    found: dict[int, tuple[int, ...]] = {}
    for dimension, _, _, arm, _, *counts in rows:
        if dimension == "all":
            so_far = found.get(arm, (0,) * 5)
            found[arm] = tuple(a + b for a, b in zip(so_far, counts[:5], strict=True))
    return found


async def score(database: Database, subject: int, score: int, day: float, name: str = "") -> None:
    """A score of a subject, ``day`` days after NOW; not counted yet."""
    at = NOW + int(day * DAY)
    row = StoredFeedback(TENTS, TENT_SHOP, name or f"{subject}-{day}", an_id(subject), score, at, at)
    async with database.transaction() as tx:
        await feedback.put(tx, [row])


async def satisfaction(database: Database) -> dict[int, tuple[int, int]]:
    """By arm: how many gave a score, and a low one."""
    found: Counter[tuple[int, str]] = Counter()
    for dimension, _, _, arm, _, *counts in await tallies.by_day(database, TENTS, EXPERIMENT):
        if dimension == "all":
            found[arm, "scored"] += counts[5]
            found[arm, "unhappy"] += counts[6]
    return {arm: (found[arm, "scored"], found[arm, "unhappy"]) for arm in (0, 1)}


async def is_a_recount(database: Database, experiment_id: bytes = EXPERIMENT) -> bool:
    _, should = await tallies.recounted(database, TENTS, experiment_id)
    return should == await tallies.kept(database, TENTS, experiment_id)


async def test_exposures_and_what_came_of_them_are_counted_once_by_arm_day_lag_and_dimension(database: Database):
    await an_experiment(database)
    await expose(database, [2, 3])
    await expose(database, [5], at=NOW + 2 * DAY, customer_kind="current", segments='["gold", "vip"]')
    await say(database, 3, "granted", 1.5)
    await seal(database)

    assert await catch_up(database) == 3, "the first cursor stands after what is sealed"
    assert await catch_up(database) == 0
    assert await everybody(database) == {0: (1, 0, 0, 0, 0), 1: (2, 1, 0, 0, 0)}
    rows = await tallies.kept(database, TENTS, EXPERIMENT)
    of_kind = {(row[4], row[6], row[7] - TODAY, row[8], row[9], row[10]) for row in rows if row[3] == "customer_kind"}
    assert of_kind == {
        ("new", 0, 0, 0, 1, 0),
        ("new", 1, 0, 0, 1, 0),
        ("new", 1, 0, 1, 0, 1),
        ("current", 1, 2, 0, 1, 0),
    }
    assert {row[4] for row in rows if row[3] == "segment"} == {"gold", "vip"}, "a customer may be in several"


async def test_what_comes_later_is_added_and_what_is_taken_back_subtracted(database: Database):
    await an_experiment(database)
    await expose(database, [2, 3])
    await catch_up(database)
    await say(database, 3, "granted", 1)
    assert await catch_up(database) == 0, "an entry counts once it is sealed"
    await seal(database)
    assert await catch_up(database) == 2
    assert (await everybody(database))[1] == (1, 1, 0, 0, 0)

    await say(database, 3, "withdrawn", 3)
    await say(database, 2, "objected", 3, purpose="*")
    await seal(database)
    await catch_up(database)
    assert await everybody(database) == {0: (1, 0, 0, 1, 0), 1: (1, 1, 1, 0, 0)}

    await say(database, 3, "voided", 4)
    await seal(database)
    await catch_up(database)
    assert (await everybody(database))[1] == (1, 0, 0, 0, 1)
    assert await is_a_recount(database)


async def test_an_entry_of_another_purpose_or_of_nobody_who_was_exposed_counts_nowhere(database: Database):
    await an_experiment(database)
    await an_experiment(database, OTHER, purpose="offers")
    for experiment_id in (EXPERIMENT, OTHER):
        await expose(database, [3], experiment_id)
    await catch_up(database)
    await say(database, 3, "granted", 1)
    await say(database, 77, "granted", 1)
    await say(database, 3, "granted", 2, purpose="offers", pressed=False)
    await seal(database)
    await catch_up(database)
    assert await everybody(database) == {1: (1, 1, 0, 0, 0)}
    assert await everybody(database, OTHER) == {1: (1, 0, 0, 0, 0)}


async def test_an_exposure_that_commits_after_its_subjects_entry_was_passed_is_counted_with_it(database: Database):
    await an_experiment(database)
    await expose(database, [2])
    await catch_up(database)
    await say(database, 3, "granted", 1)
    await seal(database)
    await catch_up(database)
    await expose(database, [3])
    await catch_up(database)
    assert (await everybody(database))[1] == (1, 1, 0, 0, 0)


async def test_a_transaction_that_ends_in_the_middle_counts_nothing(database: Database):
    await an_experiment(database)
    await expose(database, [2, 3])

    async def cut_off() -> None:
        async with database.transaction() as tx:
            assert await tallies.catch_up(tx, TENTS, 1) == 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await cut_off()
    assert await everybody(database) == {}
    await catch_up(database)
    assert await everybody(database) == {0: (1, 0, 0, 0, 0), 1: (1, 0, 0, 0, 0)}


async def test_the_first_score_within_thirty_days_of_the_exposure_counts_once(database: Database):
    await an_experiment(database)
    await expose(database, [2, 4, 3, 5, 7])
    await catch_up(database)
    assert await satisfaction(database) == {0: (0, 0), 1: (0, 0)}

    await score(database, 2, 5, 1)
    await score(database, 4, 2, 3)
    await score(database, 3, 1, 0.5, "the same")
    await score(database, 3, 5, 0.5, "the same")
    await score(database, 3, 5, 2)
    await score(database, 5, 1, -1)
    await score(database, 7, 1, 30)
    assert await catch_up(database, 2) > 0
    assert await satisfaction(database) == {0: (2, 1), 1: (1, 1)}
    assert await is_a_recount(database)
    assert await catch_up(database) == 0

    await expose(database, [9])
    await score(database, 9, 3, 29)
    assert await is_a_recount(database), "what waits is in neither"
    await catch_up(database)
    assert await satisfaction(database) == {0: (2, 1), 1: (2, 1)}
    assert await is_a_recount(database)


async def test_after_any_history_in_any_steps_the_tallies_are_a_recount_and_a_rebuild_is_the_same(database: Database):
    chance = random.Random(5)
    await an_experiment(database)
    await an_experiment(database, OTHER, purpose="offers")
    unseen = {EXPERIMENT: list(range(60)), OTHER: list(range(30, 90))}
    for _ in range(40):
        for experiment_id, left in unseen.items():
            some = [left.pop(chance.randrange(len(left))) for _ in range(min(len(left), chance.randrange(4)))]
            await expose(
                database, some, experiment_id, at=NOW + chance.randrange(5 * DAY), country=chance.choice(("NL", "US"))
            )
        for _ in range(chance.randrange(8)):
            event = chance.choices(("granted", "withdrawn", "voided", "objected", "refused"), (8, 2, 1, 1, 1))[0]
            await say(
                database,
                chance.randrange(90),
                event,
                chance.random() * 40,
                purpose=chance.choice(("tips", "offers")),
                pressed=chance.random() < 0.9,
                actor=chance.choice(("subject", "system")),
            )
        if chance.random() < 0.5:
            await score(database, chance.randrange(90), chance.randrange(1, 6), chance.random() * 40)
        if chance.random() < 0.7:
            await seal(database)
        if chance.random() < 0.6:
            async with database.transaction() as tx:
                await tallies.catch_up(tx, TENTS, chance.randrange(1, 9))
        assert await is_a_recount(database)
        assert await is_a_recount(database, OTHER)
    await catch_up(database, 7)
    before = [await tallies.kept(database, TENTS, one) for one in (EXPERIMENT, OTHER)]
    assert sum(counts[0] for counts in (await everybody(database)).values()) == 60 - len(unseen[EXPERIMENT])
    assert sum(counts[1] for counts in (await everybody(database)).values()) > 5
    assert sum(scored for scored, _ in (await satisfaction(database)).values()) > 3
    async with database.transaction() as tx:
        for one in (EXPERIMENT, OTHER):
            await tallies.forget(tx, TENTS, one)
    assert await everybody(database) == {}
    await catch_up(database)
    assert [await tallies.kept(database, TENTS, one) for one in (EXPERIMENT, OTHER)] == before


async def test_a_tally_that_was_changed_is_no_recount(database: Database):
    await an_experiment(database)
    await expose(database, [2, 3])
    await catch_up(database)
    async with database.transaction() as tx:
        await tx.execute("UPDATE tally SET converted = converted + 1 WHERE arm = 1 AND dimension = 'all'")
    assert not await is_a_recount(database)
