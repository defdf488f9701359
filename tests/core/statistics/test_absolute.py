"""Rates and differences: the golden values, and what must hold for any counts."""

from __future__ import annotations

from math import inf, sqrt
from statistics import fmean, variance
from typing import Any

import pytest
from golden import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.statistics.absolute import Difference, Mean, asymptotic_p, difference, half_width, wilson

RATES = st.integers(1, 10**9).flatmap(lambda n: st.builds(Mean.of_conversions, st.integers(0, n), st.just(n)))


def found(strata: list[tuple[Mean, Mean]], alpha: float = 0.05) -> Difference:
    result = difference(strata, alpha)
    assert result
    return result


@pytest.mark.parametrize("case", GOLDEN["acs_growthbook"])
def test_the_golden_widths_of_the_confidence_sequence(case: dict[str, Any]):
    assert half_width(case["se"], case["n"], tuned_for=case["nstar"]) == pytest.approx(case["halfwidth"], abs=1e-9)
    assert asymptotic_p(case["est"], case["se"], case["n"], case["nstar"]) == pytest.approx(case["p"], abs=1e-9)


@pytest.mark.parametrize("case", GOLDEN["wilson"])
def test_the_golden_intervals_of_one_rate(case: dict[str, Any]):
    assert wilson(case["c"], case["n"]) == pytest.approx(case["ci"], abs=1e-9)


def test_of_nobody_the_rate_is_anything():
    assert wilson(0, 0) == (0, 1)
    assert difference([(Mean.of_conversions(0, 0), Mean.of_conversions(3, 50))]) is None


@given(st.lists(st.integers(0, 10**7), min_size=2, max_size=50))
def test_mean_and_variance_of_amounts_come_from_their_exact_sums(amounts: list[int]):
    mean = Mean.of_amounts(len(amounts), sum(amounts), sum(one * one for one in amounts))
    assert mean.value == pytest.approx(fmean(amounts))
    assert mean.variance == pytest.approx(variance(amounts), abs=1e-9)


def test_squares_of_large_amounts_lose_nothing():
    subjects, amount = 10**9, 10**7
    total, squares = subjects * amount + 1, subjects * amount**2 + 2 * amount + 1
    assert Mean.of_amounts(subjects, total, squares).variance == pytest.approx(1e-9, rel=1e-6)


@given(st.lists(st.tuples(RATES, RATES), min_size=1, max_size=4), st.floats(0.001, 0.2))
def test_the_interval_surrounds_the_estimate_and_turns_over_with_the_arms(
    strata: list[tuple[Mean, Mean]], alpha: float
):
    one = found(strata, alpha)
    other = found([(control, arm) for arm, control in strata], alpha)
    assert one.low < one.estimate < one.high
    assert (other.estimate, other.low, other.high) == pytest.approx((-one.estimate, -one.high, -one.low))
    assert found(strata, alpha / 2).high > one.high


@given(st.lists(st.tuples(RATES, RATES), min_size=1, max_size=4))
def test_the_p_value_says_whether_zero_is_left_out(strata: list[tuple[Mean, Mean]]):
    one = found(strata)
    assert (one.p < 0.05) == (one.low > 0 or one.high < 0)


def test_equal_arms_stay_equal_when_weights_change_while_the_base_rate_moves():
    low, high = (
        (Mean.of_conversions(50, 1_000), Mean.of_conversions(50, 1_000)),
        (
            Mean.of_conversions(900, 9_000),
            Mean.of_conversions(100, 1_000),
        ),
    )
    assert found([low, high]).estimate == 0
    assert found([(Mean.of_conversions(950, 10_000), Mean.of_conversions(150, 2_000))]).estimate == pytest.approx(0.02)


def test_strata_weigh_as_much_as_they_have_subjects():
    small = (Mean.of_conversions(30, 100), Mean.of_conversions(10, 100))
    large = (Mean.of_conversions(90, 900), Mean.of_conversions(90, 900))
    assert found([small, large]).estimate == pytest.approx(0.2 * 200 / 2_000)
    error = sqrt(
        0.1**2 * (small[0].variance + small[1].variance) / 100 + 0.9**2 * (large[0].variance + large[1].variance) / 900
    )
    assert found([small, large]).high == pytest.approx(0.02 + half_width(error, 2_000))


def test_none_of_forty_is_not_taken_for_certain():
    assert found([(Mean.of_conversions(0, 40), Mean.of_conversions(0, 40))]).high > 0.02


def test_amounts_of_which_nothing_is_known_yet_could_be_anything():
    one, none = Mean.of_amounts(1, 500, 250_000), Mean.of_amounts(9, 0, 0)
    assert (found([(one, none)]).low, found([(one, none)]).high) == (-inf, inf)
    assert (found([(none, none)]).low, found([(none, none)]).p) == (-inf, 1)
