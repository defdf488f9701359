"""Which arm stands in a message: decided for all arms alike, drawn by the weights, the same one every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from choices import COMPANY, DAY, NOW, block, situation
from handraiser.core.assignment import Draw, Weights
from handraiser.core.block import BlockVersion, Targeting
from handraiser.core.choice import Choice, choose
from handraiser.core.eligibility import Asked
from handraiser.core.experiment import (
    Arm,
    Design,
    Entry,
    Experiment,
    Running,
    as_holdout,
    entries,
    read_draft,
    unequal,
)
from handraiser.errors import Refused

EVEN = Weights(1, (5000, 5000))
FIRST, SECOND, LOWER = (
    block("first", n=1, priority=9),
    block("second", n=2, priority=5),
    block("lower", n=3, priority=1),
)
LINE = block("line", "service_message", n=4)


def a_test(*shown: BlockVersion | None, weights: Weights = EVEN, seed: str = "seed", **design: Any) -> Running:
    """A running test whose arms show these blocks."""
    arms = tuple(
        Arm(f"arm-{n}", one.slug, one.block_id.hex(), one.version, "a") if one else Arm(f"arm-{n}")
        for n, one in enumerate(shown)
    )
    made = Experiment(
        controller_id=COMPANY,
        id=seed.encode().ljust(16),
        shop_id=None,
        kind="test",
        key=seed,
        name=seed,
        state="running",
        design=Design("offers", arms, seed=seed, **design),
        weights=weights,
        plan={},
        created_at=NOW,
    )
    return Running(made, shown)


def in_arm(running: Running, arm: int) -> Entry:
    return Entry(running, Draw(arm, 1), new=True)


def chosen(blocks: list[BlockVersion], *tests: Entry, holdout: Entry | None = None, **given: Any) -> Choice:
    return choose(situation(**given), blocks, lambda _: True, tests, holdout)


def told(choice: Choice) -> dict[str, str]:
    return {skip.block: skip.reason for skip in choice.skipped}


@pytest.mark.parametrize(
    ("parts", "coverage"),
    [((5000, 5000), 10_000), ((9000, 1000), 10_000), ((2500, 2500, 5000), 10_000), ((7000, 3000), 4000)],
)
def test_over_thousands_of_subjects_the_arms_have_their_weights_of_the_coverage(parts: tuple[int, ...], coverage: int):
    running = a_test(FIRST, *[None] * (len(parts) - 1), weights=Weights(1, parts, coverage))
    drawn = Counter(
        one.draw.arm for n in range(4000) for one in entries([running], str(n), "email:order_confirmation", {})
    )
    for arm, part in enumerate(parts):
        expected = 4000 * part * coverage / 1e8
        assert abs(drawn[arm] - expected) < 4 * expected**0.5  # four standard deviations, and the seed is fixed


def test_a_subject_enters_at_the_tests_touchpoints_and_then_keeps_its_arm_everywhere():
    running = a_test(FIRST, None, touchpoints=("email:order_confirmation",))
    assert entries([running], "7", "email:delivered", {}) == ()
    (entered,) = entries([running], "7", "email:order_confirmation", {})
    assert entered.new
    other = Draw(1 - entered.draw.arm, 3)
    assert entries([running], "7", "email:delivered", {running.experiment.id: other}) == (Entry(running, other, False),)


@pytest.mark.parametrize("arm", [0, 1])
def test_an_arm_stands_where_its_test_would_and_the_rest_of_the_mail_is_the_same(arm: int):
    running = a_test(FIRST, SECOND)
    choice = chosen([FIRST, LOWER, LINE], in_arm(running, arm))
    shown = (FIRST, SECOND)[arm]
    assert choice.placed == {"ask": shown, "service": LINE}
    assert told(choice) == {(SECOND, FIRST)[arm].slug: "experiment", "lower": "one_ask"}
    assert choice.arms["ask"].arm.block == shown.slug
    assert [one.draw.arm for one in choice.drawn] == [arm]


def test_an_arm_of_nothing_keeps_its_slot_empty_and_is_drawn_all_the_same():
    choice = chosen([FIRST, LOWER], in_arm(a_test(FIRST, None), 1))
    assert (choice.placed, told(choice)) == ({}, {"first": "experiment", "lower": "one_ask"})
    assert [one.arm.key for one in choice.drawn] == ["arm-1"]


@pytest.mark.parametrize("arm", [0, 1])
def test_where_one_arm_could_not_be_shown_none_is_and_nobody_is_counted(arm: int):
    running = a_test(FIRST, SECOND)
    entry = in_arm(running, arm)
    choice = choose(situation(), [FIRST, LOWER], lambda one: one is not SECOND, [entry])
    assert (choice.placed, choice.drawn) == ({"ask": LOWER}, ())
    assert told(choice) == {"first": "no_slot", "second": "no_slot"}
    for given in ({"mode": "observe"}, {"store_ok": False}, {"standing": {"offers": "granted"}}):
        assert chosen([FIRST, LINE], entry, **given).drawn == ()


@pytest.mark.parametrize("arm", [0, 1])
@pytest.mark.parametrize("asked_by", ["first", "second"])
def test_a_cap_counts_the_asks_of_all_arms(arm: int, asked_by: str):
    capped = [replace(one, targeting=Targeting(cap=1)) for one in (FIRST, SECOND)]
    asks = [Asked(NOW - 30 * DAY, "offers", asked_by)]
    assert set(told(chosen([], in_arm(a_test(*capped), arm), asks=asks)).values()) == {"cap"}


def test_the_holdout_takes_everything_away_and_counts_who_would_have_seen_something():
    held = replace(a_test(FIRST, None, seed="holdout").experiment, kind="holdout", design=as_holdout("salt"))
    entry = in_arm(a_test(FIRST, None), 0)
    nothing, everything = (Entry(Running(held), Draw(arm, 1), new=True) for arm in (0, 1))
    choice = chosen([FIRST, LINE], entry, holdout=nothing)
    assert (choice.placed, set(told(choice).values())) == ({}, {"holdout"})
    assert choice.drawn == (nothing,)
    assert chosen([FIRST, LINE], entry, holdout=everything).drawn == (entry, everything)
    assert chosen([], holdout=nothing).drawn == ()


def test_arms_whose_blocks_meet_other_people_are_unequal():
    assert unequal([FIRST, None, SECOND]) == []
    assert unequal([FIRST, replace(SECOND, targeting=Targeting(countries=("NL",)))]) == ["targeting"]
    assert unequal([FIRST, LINE]) == ["kind", "slot", "legal_class", "purpose"]


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("/key", {"key": "No spaces"}),
    ("/key", {"key": "holdout-tents"}),
    ("/name", {"name": "a\nb"}),
    ("/purpose", {"purpose": None}),
    ("/all_shops", {"all_shops": "yes"}),
    ("/touchpoints", {"touchpoints": ["order_confirmation"]}),
    ("/guardrails", {"guardrails": ["complaints"]}),
    ("/window", {"window": 91}),
    ("/window", {"window": True}),
    ("/mde", {"mde": "0.2"}),
    ("/rate", {"rate": 1}),
    ("/coverage", {"coverage": 10_001}),
    ("/weights", {"weights": [10_000, 0]}),
    ("/weights", {"weights": [5000, 5000, 0]}),
    ("/arms", {"arms": [{"key": "a", "block": None}]}),
    ("/arms", {"arms": [{"key": "a", "block": "x"}, {"key": "b", "block": "x"}]}),
    ("/arms", {"arms": [{"key": "a"}, {"key": "b"}]}),
    ("/arms/1/key", {"arms": [{"key": "a", "block": "x"}, {"key": "a", "block": "y"}]}),
    ("/arms/1/weight", {"arms": [{"key": "a", "block": "x"}, {"key": "b", "weight": 1}]}),
    ("/seed", {"seed": "mine"}),
]


@pytest.mark.parametrize(("pointer", "given"), FAULTS)
def test_what_is_wrong_with_a_test_is_named(pointer: str, given: dict[str, Any]):
    right = {"key": "one", "purpose": "offers", "arms": [{"key": "a", "block": "x"}, {"key": "b"}]}
    assert read_draft(right).weights.parts == (5000, 5000)
    with pytest.raises(Refused) as refused:
        read_draft(right | given)
    assert pointer in [fault.pointer for fault in refused.value.faults]


def test_a_design_is_read_back_as_it_was_kept():
    design = a_test(FIRST, None, touchpoints=("email:delivered",)).experiment.design
    assert Design.from_json({**design.to_json(), "plan": {}, "later": 1}) == design
