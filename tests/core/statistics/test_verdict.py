"""One of six words, and when each is said."""

from __future__ import annotations

from math import inf

import pytest

from handraiser.core.assignment import Weights
from handraiser.core.statistics.cohorts import Tally
from handraiser.core.statistics.verdict import Comparison, Design, Result, judged

EVEN = Weights(1, (5_000, 5_000))
DESIGN = Design((EVEN,), window=7, mde=0.2)
TODAY = 1_000


def day(number: int, *arms: tuple[int, int], version: int = 1) -> list[Tally]:
    """A cohort: for each arm its subjects and those that converted, on the day after."""
    return [
        tally
        for arm, (exposed, converted) in enumerate(arms)
        for tally in (Tally(number, version, arm, 0, exposed, 0), Tally(number, version, arm, 1, 0, converted))
    ]


def only(result: Result) -> Comparison:
    (comparison,) = result.comparisons
    return comparison


def test_before_the_first_customer_there_is_no_data():
    found = only(judged(DESIGN, [], TODAY))
    assert (found.state, found.ratio, found.low, found.high, found.p) == ("no_data", None, 0, inf, 1)
    assert found.extra is None


def test_before_the_windows_are_over_it_is_too_early_whatever_the_counts():
    found = only(judged(DESIGN, day(TODAY - 7, (1_000, 10), (1_000, 500)), TODAY))
    assert (found.state, found.low, found.high) == ("too_early", 0, inf)


def test_a_few_conversions_are_too_early():
    found = only(judged(DESIGN, day(1, (100, 5), (100, 7)), TODAY))
    assert found.state == "too_early"
    assert found.ratio == pytest.approx(1.4)
    assert found.low < 1 < found.high
    assert found.smaller_than is None


@pytest.mark.parametrize(("control", "arm", "state"), [(480, 650, "b_better"), (650, 480, "a_better")])
def test_the_arm_that_converts_more_is_better_since_the_day_that_decided(control: int, arm: int, state: str):
    found = only(judged(DESIGN, [*day(1, (10, 1), (10, 1)), *day(2, (10_000, control), (10_000, arm))], TODAY))
    assert (found.state, found.since) == (state, 2)
    assert found.p < 0.001
    assert found.extra is not None
    assert found.extra.estimate == pytest.approx((arm - control) / 10_010)
    assert found.low > 1 or found.high < 1


def test_what_was_decided_stays_decided():
    early, late = day(1, (10_000, 480), (10_000, 650)), day(2, (10_000, 650), (10_000, 480))
    found = only(judged(DESIGN, [*early, *late], TODAY))
    assert (found.state, found.since, found.ratio) == ("b_better", 1, pytest.approx(1))
    assert found.p < 0.001
    assert only(judged(DESIGN, late, TODAY)).state == "a_better"


@pytest.mark.parametrize(("arm", "bound"), [(2_600, "high"), (2_400, "low")])
def test_enough_of_the_same_means_that_any_difference_is_small(arm: int, bound: str):
    found = only(judged(DESIGN, day(1, (50_000, 2_500), (50_000, arm)), TODAY))
    assert found.state == "any_difference_smaller_than"
    assert found.smaller_than == pytest.approx(found.high - 1 if bound == "high" else 1 - found.low)
    assert 0.05 < found.smaller_than < 0.2


def test_customers_that_are_missing_in_one_arm_break_every_result():
    result = judged(DESIGN, day(1, (10_000, 480), (9_000, 650)), TODAY)
    assert (result.split, only(result).state) == ("broken", "broken_split")


def test_a_doubtful_split_is_a_warning_beside_the_result():
    result = judged(DESIGN, day(1, (10_000, 480), (9_420, 650)), TODAY)
    assert (result.split, only(result).state) == ("doubtful", "b_better")


def test_a_split_that_follows_changed_weights_is_sound():
    design = Design((EVEN, Weights(2, (1_000, 9_000))), window=7, mde=0.2)
    tallies = [*day(1, (50_000, 1_500), (50_000, 1_500)), *day(2, (5_000, 300), (45_000, 2_700), version=2)]
    result = judged(design, tallies, TODAY)
    assert result.split == "sound"
    assert only(result).ratio == pytest.approx(1)
    assert only(result).state == "any_difference_smaller_than"
    assert only(result).extra is not None
    assert only(result).extra.estimate == pytest.approx(0)


def test_of_several_arms_each_needs_more_evidence():
    counts = day(1, (10_000, 480), (10_000, 590))
    four = Design((Weights(1, (2_500,) * 4),), window=7, mde=0.2)
    assert only(judged(DESIGN, counts, TODAY)).state == "b_better"
    result = judged(four, [*counts, *(Tally(1, 1, arm, 0, 10_000, 0) for arm in (2, 3))], TODAY)
    first, *others = result.comparisons
    assert first.state == "too_early"
    assert first.low < 1 < first.high
    assert [one.state for one in others] == ["a_better", "a_better"]
    assert [one.ratio for one in others] == [None, None]


def test_an_arm_that_joins_later_is_compared_from_then_on():
    design = Design((Weights(1, (10_000, 0)), Weights(2, (5_000, 5_000))), window=7, mde=0.2)
    tallies = [*day(1, (10_000, 100)), *day(2, (10_000, 480), (10_000, 650), version=2)]
    found = only(judged(design, tallies, TODAY))
    assert (found.state, found.ratio) == ("b_better", pytest.approx(650 / 480))


def test_a_thousand_million_customers_are_counted():
    found = only(judged(DESIGN, day(1, (10**9, 10**8), (10**9, 10**8 + 10**6)), TODAY))
    assert found.state == "b_better"
    assert found.low < 1.01 < found.high
