"""The descriptions agree with golden values and with the closed form for whole numbers."""

from __future__ import annotations

from math import exp, lgamma, log
from typing import Any

import pytest
from golden import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.statistics.bayes import described

ARM = st.integers(0, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize("case", GOLDEN["bayes"])
def test_the_golden_descriptions(case: dict[str, Any]):
    found = described((case["c_t"], case["n_t"]), (case["c_c"], case["n_c"]), tuple(case["prior"]))
    assert found.chance_to_win == pytest.approx(case["ctw"], abs=1e-9)
    assert found.loss_if_taken == pytest.approx(case["loss_ship_t"], abs=1e-10)
    assert found.loss_if_kept == pytest.approx(case["loss_keep_c"], abs=1e-10)
    assert (found.lift_low, found.lift_high) == pytest.approx(case["rel_ci95"], abs=1e-6, rel=1e-6)


def miller(a_a: int, b_a: int, a_b: int, b_b: int) -> float:
    """P(B > A) as the finite sum of Miller (2015), for whole parameters."""

    def log_beta(a: float, b: float) -> float:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    return sum(
        exp(log_beta(a_a + i, b_b + b_a) - log(b_b + i) - log_beta(1 + i, b_b) - log_beta(a_a, b_a)) for i in range(a_b)
    )


@settings(max_examples=20, deadline=None)
@given(ARM, ARM)
def test_the_chance_to_win_is_the_closed_form(arm: tuple[int, int], control: tuple[int, int]):
    expected = miller(1 + control[0], 19 + control[1] - control[0], 1 + arm[0], 19 + arm[1] - arm[0])
    assert described(arm, control).chance_to_win == pytest.approx(expected, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(ARM, ARM)
def test_swapping_the_arms_swaps_the_description(arm: tuple[int, int], control: tuple[int, int]):
    one, other = described(arm, control), described(control, arm)
    assert one.chance_to_win + other.chance_to_win == pytest.approx(1, abs=1e-9)
    assert one.loss_if_taken == pytest.approx(other.loss_if_kept, abs=1e-10)
    assert (1 + one.lift_low) * (1 + other.lift_high) == pytest.approx(1, rel=1e-5)
    difference = one.loss_if_kept - one.loss_if_taken
    means = [(1 + converted) / (20 + subjects) for converted, subjects in (arm, control)]
    assert difference == pytest.approx(means[0] - means[1], abs=1e-9)


def test_a_small_arm_beside_a_large_one_is_described_as_exactly():
    assert described((3, 100), (50_000, 10**6)).chance_to_win == pytest.approx(
        miller(50_001, 19 + 950_000, 4, 19 + 97), abs=1e-9
    )


def test_a_thousand_million_subjects_do_not_overflow():
    found = described((10**8 + 10**5, 10**9), (10**8, 10**9))
    assert found.chance_to_win == pytest.approx(1, abs=1e-9)
    assert found.lift_low < 0.001 < found.lift_high
