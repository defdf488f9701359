"""Sizes and days before a start, and what would make them fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from golden import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.assignment import WHOLE, Weights
from handraiser.core.statistics.planning import LONGEST, Plan, Question, days_for, fixed_horizon, planned

EVEN = Weights(1, (5_000, 5_000))
THREE_PER_CENT = Question(0.03, 0.2, window=14)


@pytest.mark.parametrize("case", GOLDEN["sample_size_per_arm"])
def test_the_golden_sizes_of_a_test_with_one_look(case: dict[str, float]):
    assert fixed_horizon(Question(case["p0"], case["lift"], 14)) == case["n"]


@pytest.mark.parametrize(("rate", "times"), [(0.005, 1.75), (0.01, 1.8), (0.03, 1.8), (0.05, 1.85), (0.1, 1.96)])
def test_looking_at_any_time_costs_what_was_measured(rate: float, times: float):
    question = Question(rate, 0.2, 14)
    assert planned(question, EVEN, 10**9).subjects / (2 * fixed_horizon(question)) == pytest.approx(times, rel=0.03)


def test_days_are_those_of_entering_and_those_of_the_last_subjects_window():
    plan = planned(THREE_PER_CENT, EVEN, 1_000)
    assert plan == Plan(plan.subjects, -(-plan.subjects // 1_000) + 14)


def test_half_the_coverage_takes_twice_the_days():
    whole = planned(THREE_PER_CENT, EVEN, 2_000)
    half = planned(THREE_PER_CENT, replace(EVEN, coverage=5_000), 4_000)
    assert half == whole


def test_uneven_weights_and_more_arms_take_longer():
    even = planned(THREE_PER_CENT, EVEN, 10**6).subjects
    assert planned(THREE_PER_CENT, Weights(1, (9_000, 1_000)), 10**6).subjects == pytest.approx(even / 0.36, rel=0.001)
    assert planned(THREE_PER_CENT, Weights(1, (2_500,) * 4), 10**6).subjects > 2 * even
    scarce, fair = (
        planned(THREE_PER_CENT, Weights(1, (5_000, part, 5_000 - part)), 10**6).subjects for part in (4_000, 2_500)
    )
    assert scarce / fair == pytest.approx(2, rel=0.001)


def test_without_traffic_there_are_no_days_and_only_traffic_helps():
    plan = planned(THREE_PER_CENT, EVEN, 0)
    assert plan.days is None
    assert [one.kind for one in plan.proposals] == ["more_touchpoints", "pool_shops"]


def test_a_plan_of_more_than_four_months_says_what_would_fit():
    question, weights, per_day = Question(0.005, 0.2, 14), Weights(1, (2_500,) * 4), 1_000
    plan = planned(question, weights, per_day)
    assert plan.days is not None
    assert plan.days > LONGEST
    values = {one.kind: one.value for one in plan.proposals}
    assert list(values) == ["fewer_arms", "bolder_difference", "more_touchpoints", "pool_shops"]
    assert values["fewer_arms"] == planned(question, EVEN, per_day).days
    bolder = values["bolder_difference"]
    assert days_of(planned(replace(question, mde=bolder), weights, per_day)) <= LONGEST
    assert days_of(planned(replace(question, mde=bolder - 0.01), weights, per_day)) > LONGEST
    needed = values["more_touchpoints"]
    assert days_of(planned(question, weights, needed)) <= LONGEST < days_of(planned(question, weights, needed - 1))
    assert values["pool_shops"] == needed


def test_where_no_difference_is_bold_enough_none_is_proposed():
    assert [one.kind for one in planned(Question(0.001, 1.9, 14), EVEN, 1).proposals] == [
        "more_touchpoints",
        "pool_shops",
    ]


def days_of(plan: Plan) -> int:
    assert plan.days is not None
    return plan.days


@given(st.floats(0.001, 0.3), st.floats(0.02, 1.5), st.floats(1, 10**6))
def test_a_bolder_difference_never_takes_longer(rate: float, mde: float, per_day: float):
    question = Question(rate, mde, 7)
    bolder = replace(question, mde=mde * 1.2)
    assert days_of(planned(bolder, EVEN, per_day)) <= days_of(planned(question, EVEN, per_day))


def test_the_days_that_are_left_end_with_the_window():
    assert days_for(1_001, 100, 14) == 11 + 14
    assert days_for(-5, 100, 14) == 14
    assert days_for(5, 0, 14) is None


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": 1}, {"mde": 0}, {"mde": 2.1}, {"rate": 0.6, "mde": 0.7}, {"window": 0}, {"window": 91}],
)
def test_what_cannot_be_found_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=r"are needed|a window is"):
        Question(**{"rate": 0.03, "mde": 0.2, "window": 14} | wrong)


def test_an_arm_without_weight_cannot_be_planned_for():
    with pytest.raises(ValueError, match="needs weight"):
        planned(THREE_PER_CENT, Weights(1, (WHOLE, 0)), 1_000)
