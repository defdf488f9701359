"""A wrong split shows, a right one does not: golden values, and the mean evidence by enumeration."""

from __future__ import annotations

from math import comb, exp, factorial, inf, isfinite
from typing import Any

import pytest
from golden import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.statistics.split import BROKEN, chi_square_p, log_e

PARTS = {2: (5_000, 5_000), 3: (1, 1, 1)}


def parts_of(shares: list[float]) -> tuple[int, ...]:
    return tuple(round(share * 30_000) for share in shares)


@pytest.mark.parametrize("case", GOLDEN["srm"])
def test_the_golden_evidence_and_chi_square(case: dict[str, Any]):
    parts = parts_of(case["w"])
    assert log_e(case["counts"], parts, [1_000]) == pytest.approx(case["log_e_k1000"], abs=1e-8)
    assert chi_square_p(case["counts"], parts) == pytest.approx(case["chi2_p"], rel=1e-9)


@given(st.integers(0, 60), st.integers(1, 9_999))
def test_of_a_right_split_the_mean_evidence_is_one(n: int, part: int):
    share = part / 10_000
    mean = sum(
        comb(n, c) * share**c * (1 - share) ** (n - c) * exp(log_e((c, n - c), (part, 10_000 - part)))
        for c in range(n + 1)
    )
    assert mean == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 12))
def test_of_a_right_split_of_three_the_mean_evidence_is_one(n: int):
    mean = sum(
        factorial(n)
        / (factorial(a) * factorial(b) * factorial(n - a - b))
        / 3**n
        * exp(log_e((a, b, n - a - b), (1, 1, 1)))
        for a in range(n + 1)
        for b in range(n - a + 1)
    )
    assert mean == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("freedom", "at_five_per_cent"), [(1, 3.841459), (2, 5.991465), (3, 7.814728), (4, 9.487729), (7, 14.067140)]
)
def test_the_tail_of_chi_square_is_that_of_the_tables(freedom: int, at_five_per_cent: float):
    arms, each = freedom + 1, 1_000_000
    step = (at_five_per_cent * each / 2) ** 0.5
    exposed = [each + step, each - step, *[each] * (arms - 2)]
    assert chi_square_p(exposed, (1,) * arms) == pytest.approx(0.05, abs=1e-6)


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=5))
def test_a_thousand_million_subjects_do_not_overflow_and_the_order_of_arms_does_not_matter(exposed: list[int]):
    parts = (1,) * len(exposed)
    assert isfinite(log_e(exposed, parts))
    assert log_e(exposed[::-1], parts) == pytest.approx(log_e(exposed, parts), rel=1e-6, abs=1e-3)


@given(st.integers(0, 5_000), st.integers(0, 5_000))
def test_the_more_lopsided_the_more_evidence(gap: int, more: int):
    assert log_e((10_000 + gap + more, 10_000 - gap - more + 10_000), (1, 1)) >= log_e((15_000, 15_000), (1, 1)) - 1e-6


def test_a_lost_tenth_is_broken_and_a_fair_coin_is_not():
    assert log_e((10_000, 9_000), (1, 1)) > BROKEN
    assert log_e((10_000, 10_100), (1, 1)) < 0


def test_a_subject_of_an_arm_without_weight_is_proof():
    assert log_e((100, 1), (10_000, 0)) == inf
    assert log_e((100, 0), (10_000, 0)) == pytest.approx(0, abs=1e-9)
    assert chi_square_p((100, 0), (10_000, 0)) == 1


def test_of_nobody_there_is_no_evidence():
    assert log_e((0, 0), (1, 1)) == pytest.approx(0)
    assert chi_square_p((0, 0), (1, 1)) == 1
