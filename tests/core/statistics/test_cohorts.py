"""Tallies by day become matured cohorts, strata, and the evidence of every past look."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.assignment import Weights
from handraiser.core.statistics import label, split
from handraiser.core.statistics.cohorts import (
    Count,
    Tally,
    conversion_means,
    counts,
    looks,
    matured,
    split_evidence,
)
from handraiser.core.statistics.label import Prior, Stratum

FIRST, SECOND = Weights(1, (5_000, 5_000)), Weights(2, (1_000, 9_000))
WEIGHTS = {1: FIRST, 2: SECOND}
PRIOR = Prior.tuned(0.2)
TALLIES = st.lists(
    st.builds(
        Tally,
        st.integers(0, 20),
        st.sampled_from([1, 2]),
        st.sampled_from([0, 1]),
        st.integers(0, 6),
        st.integers(0, 500),
        st.integers(0, 40),
    ),
    max_size=60,
)


def test_a_cohort_counts_once_its_last_subject_has_had_the_whole_window():
    cohort = Tally(day=100, version=1, arm=1, lag=0, exposed=10, converted=1)
    # Exposed in the last minute of day 100, a subject has until the last minute of day 107.
    assert matured([cohort], window=7, today=107) == []
    assert matured([cohort], window=7, today=108) == [cohort]


def test_what_comes_after_the_window_does_not_count():
    within, beyond = (Tally(100, 1, 1, lag, 0, 1) for lag in (6, 7))
    assert matured([within, beyond], window=7, today=200) == [within]


def test_what_is_taken_back_is_as_if_it_had_never_been():
    kept = [Tally(1, 1, 0, 0, 50, 4), Tally(1, 1, 1, 0, 50, 9)]
    voided = [*kept, Tally(1, 1, 1, 2, 0, 3), Tally(1, 1, 1, 2, 0, -3)]
    assert counts(voided) == counts(kept) == {(1, 0): Count(50, 4), (1, 1): Count(50, 9)}
    assert looks(voided, WEIGHTS, 1, PRIOR) == looks(kept, WEIGHTS, 1, PRIOR)


@settings(deadline=None, max_examples=50)
@given(TALLIES, st.randoms(use_true_random=False))
def test_the_order_of_tallies_does_not_matter(tallies: list[Tally], random: Random):
    shuffled = random.sample(tallies, len(tallies))
    assert [(one.day, sorted(one.strata)) for one in looks(shuffled, WEIGHTS, 1, PRIOR)] == [
        (one.day, sorted(one.strata)) for one in looks(tallies, WEIGHTS, 1, PRIOR)
    ]
    assert split_evidence(shuffled, WEIGHTS) == split_evidence(tallies, WEIGHTS)


@settings(deadline=None, max_examples=50)
@given(TALLIES)
def test_each_look_is_the_test_of_all_cohorts_until_its_day(tallies: list[Tally]):
    for look in looks(tallies, WEIGHTS, 1, PRIOR):
        sums = counts(one for one in tallies if one.day <= look.day)
        strata = [
            Stratum(sums.get((version, 1), Count(0, 0)).converted, sums.get((version, 0), Count(0, 0)).converted, share)
            for version, share in ((1, 0.5), (2, 0.9))
        ]
        assert look.log_e == pytest.approx(label.log_e(strata, PRIOR), abs=1e-9)


def test_other_arms_do_not_enter_a_comparison():
    three = {1: Weights(1, (5_000, 2_500, 2_500))}
    pair = [Tally(1, 1, 0, 0, 50, 20), Tally(1, 1, 2, 0, 25, 20)]
    found = looks([*pair, Tally(2, 1, 1, 0, 25, 25)], three, 2, PRIOR)
    assert [(look.day, look.strata) for look in found] == [(1, [Stratum(20, 20, 1 / 3)])]


@settings(deadline=None, max_examples=50)
@given(TALLIES)
def test_the_evidence_about_the_split_is_the_largest_of_all_days(tallies: list[Tally]):
    expected = 0.0
    for day in range(21):
        sums = counts(one for one in tallies if one.day <= day)
        logs = [
            split.log_e([sums.get((version, arm), Count(0, 0)).exposed for arm in (0, 1)], WEIGHTS[version].parts)
            for version in WEIGHTS
        ]
        expected = max(expected, sum(logs))
    assert split_evidence(tallies, WEIGHTS) == pytest.approx(expected, abs=1e-7)


def test_arms_are_compared_within_each_version():
    tallies = [Tally(1, 1, 0, 0, 10, 1), Tally(1, 1, 1, 0, 20, 4), Tally(2, 2, 1, 0, 90, 9)]
    (arm, control), (later, nobody) = conversion_means(tallies, 1)
    assert (arm.subjects, arm.value, control.subjects, control.value) == (20, 0.2, 10, 0.1)
    assert (later.subjects, nobody.subjects) == (90, 0)
