"""The test of two arms is exact: its mean is 1 by enumeration, and looking after every conversion stays within α."""

from __future__ import annotations

from math import comb, exp, inf, log
from typing import Any

import pytest
from golden import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.statistics.label import (
    Prior,
    Stratum,
    always_valid_p,
    log_e,
    log_likelihood,
    log_ratio,
    ratio_interval,
)

UNHURRIED = settings(deadline=None)
COUNT = st.integers(0, 10**9)
SHARE = st.sampled_from([0.1, 0.25, 0.5, 0.8, 0.9])
STRATA = st.lists(st.builds(Stratum, st.integers(0, 5_000), st.integers(0, 5_000), SHARE), max_size=4)
PRIORS = st.builds(Prior.tuned, st.sampled_from([0.05, 0.2, 0.5, 2.0]), SHARE)


@pytest.mark.parametrize("case", GOLDEN["label_test"])
def test_the_golden_values_of_the_test_and_its_interval(case: dict[str, Any]):
    strata, prior = [Stratum(case["c_t"], case["c_c"], case["pi"])], Prior(case["pi"], case["k"])
    found = log_e(strata, prior, case["r0"])
    assert found == pytest.approx(case["log_e"], abs=1e-9)
    assert always_valid_p(found) == pytest.approx(case["p"], abs=1e-9)
    low, high = case["ratio_ci95"]
    assert ratio_interval(strata, prior) == pytest.approx((low, inf if high is None else high), abs=1e-7)


@pytest.mark.parametrize("case", GOLDEN["k_from_mde"])
def test_the_golden_strength_of_a_prior(case: dict[str, float]):
    assert Prior.tuned(case["mde"], case["pi"]).strength == pytest.approx(case["k"], abs=1e-6)


def test_the_golden_values_of_several_strata_under_their_prior_of_steps():
    case = GOLDEN["strata"]
    strata = [Stratum(*one) for one in case["strata"]]
    steps = [(n / 100, exp(-((n / 100) ** 2) / (2 * case["tau"] ** 2))) for n in range(-300, 301)]
    whole = sum(weight for _, weight in steps)
    base = log_likelihood(strata, 0)
    mixture = log(sum(weight / whole * exp(log_likelihood(strata, beta) - base) for beta, weight in steps))
    assert mixture == pytest.approx(case["log_e"], abs=1e-9)
    for end in case["ci"]:
        assert log_likelihood(strata, log(end)) - base == pytest.approx(mixture - log(20), abs=1e-4)
    # Ours is the smooth prior of the same width: almost the same numbers, without the steps.
    smooth = Prior.tuned(exp(case["tau"]) - 1, 0.5)
    assert log_e(strata, smooth) == pytest.approx(case["log_e"], abs=0.01)
    assert ratio_interval(strata, smooth) == pytest.approx(case["ci"], abs=0.001)


@UNHURRIED
@given(st.integers(0, 40), SHARE, st.sampled_from([0.5, 1.0, 1.7]), PRIORS)
def test_under_the_hypothesis_the_mean_evidence_is_one(n: int, share: float, ratio: float, prior: Prior):
    theta = share * ratio / (share * ratio + 1 - share)
    mean = sum(
        comb(n, c) * theta**c * (1 - theta) ** (n - c) * exp(log_e([Stratum(c, n - c, share)], prior, ratio))
        for c in range(n + 1)
    )
    assert mean == pytest.approx(1, abs=1e-9)


@UNHURRIED
@given(st.integers(0, 8), st.integers(0, 8), SHARE, SHARE, PRIORS)
def test_the_mean_evidence_is_one_when_weights_changed(m: int, n: int, before: float, after: float, prior: Prior):
    mean = sum(
        comb(m, c)
        * before**c
        * (1 - before) ** (m - c)
        * comb(n, d)
        * after**d
        * (1 - after) ** (n - d)
        * exp(log_e([Stratum(c, m - c, before), Stratum(d, n - d, after)], prior))
        for c in range(m + 1)
        for d in range(n + 1)
    )
    assert mean == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_look_after_every_single_conversion_stays_within_alpha(share: float):
    prior = Prior.tuned(0.2, share)
    undecided, decided = {0: 1.0}, 0.0
    for n in range(1, 301):
        reached: dict[int, float] = {}
        for c, mass in undecided.items():
            reached[c + 1] = reached.get(c + 1, 0.0) + mass * share
            reached[c] = reached.get(c, 0.0) + mass * (1 - share)
        crossed = {c for c in reached if log_e([Stratum(c, n - c, share)], prior) >= log(20)}
        decided += sum(reached[c] for c in crossed)
        undecided = {c: mass for c, mass in reached.items() if c not in crossed}
    assert decided + sum(undecided.values()) == pytest.approx(1)
    assert 0.0001 < decided <= 0.05


@UNHURRIED
@given(STRATA, PRIORS, st.floats(0.2, 5))
def test_swapping_the_arms_turns_the_ratio_over(strata: list[Stratum], prior: Prior, ratio: float):
    turned = [Stratum(one.control, one.treated, 1 - one.share) for one in strata]
    mirror = Prior(1 - prior.share, prior.strength)
    assert log_e(turned, mirror, 1 / ratio) == pytest.approx(log_e(strata, prior, ratio), abs=1e-6, rel=1e-9)
    assert log_ratio(turned) == pytest.approx(-log_ratio(strata), abs=1e-6)
    low, high = ratio_interval(strata, prior)
    expected = (1 / high if high else inf, 1 / low if low else inf)
    assert ratio_interval(turned, mirror) == pytest.approx(expected, rel=1e-6)


@UNHURRIED
@given(STRATA, PRIORS)
def test_the_interval_holds_the_likeliest_ratio_and_is_wider_for_more_certainty(strata: list[Stratum], prior: Prior):
    low, high = ratio_interval(strata, prior)
    lower, higher = ratio_interval(strata, prior, 0.01)
    likeliest = log_ratio(strata)
    assert lower <= low <= high <= higher
    assert low <= (inf if likeliest == inf else exp(likeliest)) <= high


@UNHURRIED
@given(STRATA, PRIORS)
def test_the_interval_leaves_out_what_the_test_rejects(strata: list[Stratum], prior: Prior):
    low, high = ratio_interval(strata, prior)
    for end, outward in ((low, 0.999), (high, 1.001)):
        if 0 < end < inf:
            assert log_e(strata, prior, end * outward) >= log(20) >= log_e(strata, prior, end / outward)


@UNHURRIED
@given(st.integers(0, 500), st.integers(0, 500), PRIORS)
def test_one_more_conversion_of_an_arm_speaks_for_it(treated: int, control: int, prior: Prior):
    less, more = (ratio_interval([Stratum(treated + extra, control, prior.share)], prior) for extra in (0, 1))
    assert more[0] >= less[0] * (1 - 1e-9)
    assert more[1] >= less[1] * (1 - 1e-9)
    assert log_ratio([Stratum(treated + 1, control, 0.5)]) >= log_ratio([Stratum(treated, control, 0.5)])


@UNHURRIED
@given(st.lists(st.builds(Stratum, COUNT, COUNT, SHARE), max_size=3), PRIORS)
def test_a_thousand_million_conversions_do_not_overflow(strata: list[Stratum], prior: Prior):
    low, high = ratio_interval(strata, prior)
    assert 0 <= low <= high
    assert log_e(strata, prior) == log_e(strata, prior)


@UNHURRIED
@given(st.integers(0, 10**6), st.integers(0, 10**6), SHARE, PRIORS)
def test_splitting_the_counts_of_one_version_changes_nothing(c_t: int, c_c: int, share: float, prior: Prior):
    whole = [Stratum(c_t, c_c, share)]
    parts = [Stratum(c_t // 3, c_c, share), Stratum(c_t - c_t // 3, 0, share)]
    assert log_e(parts, prior) == log_e(whole, prior)


@pytest.mark.parametrize(("treated", "control", "share"), [(570, 500, 0.5), (12, 0, 0.1), (0, 40, 0.9), (5, 7, 0.25)])
def test_the_process_goes_on_as_it_began_when_weights_change(treated: int, control: int, share: float):
    before, prior = Stratum(treated, control, share), Prior.tuned(0.2, share)
    almost = Stratum(1e-9, 1e-9, 0.7)
    assert log_e([before, almost], prior) == pytest.approx(log_e([before], prior), abs=1e-7)


@UNHURRIED
@given(PRIORS)
def test_who_got_an_arm_that_had_no_alternative_tells_nothing(prior: Prior):
    assert log_e([Stratum(500, 0, 1.0), Stratum(0, 300, 0.0)], prior) == 0
    assert ratio_interval([Stratum(500, 0, 1.0)], prior) == (0, inf)


@pytest.mark.parametrize(("mde", "share"), [(0, 0.5), (-0.1, 0.5), (2.1, 0.5), (0.2, 0), (0.2, 1)])
def test_a_prior_without_a_difference_or_an_arm_is_refused(mde: float, share: float):
    with pytest.raises(ValueError, match="a prior needs"):
        Prior.tuned(mde, share)
