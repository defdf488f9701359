"""Who of two arms converts more, right at every look: an exact test and interval for the ratio of their rates.

Among the subjects that converted, the arm is a coin whose odds are the arms' weights times the ratio of their rates.
So counts of conversions alone decide; how many were asked, and how the base rate moved meanwhile, drops out.
Source: Lindon & Malek, "Anytime-Valid Inference for Multinomial Count Data", NeurIPS 2022, arXiv:2011.03567.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf, lgamma, log
from typing import NamedTuple

from handraiser.core.statistics.calculus import crossing, log_integral, log_sigmoid

_FAR = 60.0
"""A log ratio beyond every count: e^60."""


class Stratum(NamedTuple):
    """Conversions of the arm and of the control under one split; ``share`` is the arm's of the subjects of both."""

    treated: float
    control: float
    share: float


@dataclass(frozen=True, slots=True)
class Prior:
    """What is expected before the first conversion, fixed at the start: the arm's part is Beta(k·share, k·(1-share)).

    It decides where the test is sharpest, never whether it is right. ``share`` is the arm's under the first weights,
    ``strength`` is k.
    """

    share: float
    strength: float

    @classmethod
    def tuned(cls, mde: float, share: float = 0.5) -> Prior:
        """The prior that finds a relative difference of ``mde`` (0.2 = 20 %) soonest: k = 1 / (π (1-π) ln²(1+mde)) - 1.

        Raises :class:`ValueError` unless ``mde`` is in (0, 2] and ``share`` strictly between 0 and 1.
        """
        if not 0 < share < 1 or not 0 < mde <= 2:
            raise ValueError("a prior needs a difference in (0, 2] and two arms with weight")
        return cls(share, 1 / (share * (1 - share) * log(1 + mde) ** 2) - 1)


def log_e(strata: Iterable[Stratum], prior: Prior, ratio: float = 1.0) -> float:
    """ln of the evidence against "the arm's rate is ``ratio`` times the control's"; 0 before the first conversion.

    An e-process: under that hypothesis its mean is at most 1 whenever one looks, so it ever reaches 1/α with
    probability at most α (Ville's inequality). It stays one when weights change: each stratum has its own split.
    """
    split = _informative(strata)
    return _log_mixture(split, prior) - log_likelihood(split, log(ratio))


def always_valid_p(peak_log_e: float) -> float:
    """The p-value that holds at any look: 1 over the largest evidence so far, at most 1."""
    return exp(-max(0.0, peak_log_e))


def ratio_interval(strata: Iterable[Stratum], prior: Prior, alpha: float = 0.05) -> tuple[float, float]:
    """The ratios that are not rejected at ``alpha``: with probability 1-α it holds the true one at every look at once.

    From 0 to infinity: (0, inf) before the first conversion.
    """
    split = _informative(strata)
    floor = _log_mixture(split, prior) + log(alpha)

    def above(beta: float) -> float:
        return log_likelihood(split, beta) - floor

    top = max(-_FAR, min(_FAR, log_ratio(split)))
    ends = []
    for side, count in ((-1, sum(s.treated for s in split)), (1, sum(s.control for s in split))):
        step = 1.0
        while count and above(top + side * step) > 0:
            step *= 2
        ends.append(crossing(above, *sorted((top, top + side * step))) if count else side * inf)
    return _exp(ends[0]), _exp(ends[1])


def log_ratio(strata: Iterable[Stratum]) -> float:
    """ln of the likeliest ratio; minus or plus infinity while one arm has no conversions, 0 while both have none."""
    split = _informative(strata)
    treated, control = sum(s.treated for s in split), sum(s.control for s in split)
    if not treated or not control:
        return inf if treated else -inf if control else 0.0
    return crossing(lambda beta: _slope(split, beta), -_FAR, _FAR)


def log_likelihood(strata: Sequence[Stratum], beta: float) -> float:
    """ln of the probability of the converted subjects' arms, the ratio of rates being e^beta; shares within 0 and 1."""
    total = 0.0
    for treated, control, share in strata:
        logit = _logit(share) + beta
        total += treated * log_sigmoid(logit) + control * log_sigmoid(-logit)
    return total


def _log_mixture(split: Sequence[Stratum], prior: Prior) -> float:
    """ln of the same probability, averaged over the prior.

    The prior is as if k conversions had been seen before. Under one split the average is a quotient of Beta functions;
    under several it is an integral of the same kind, so the process goes on as it began when weights change.
    """
    a, b = prior.strength * prior.share, prior.strength * (1 - prior.share)
    if not split:
        return 0.0
    if len(split) == 1 and split[0].share == prior.share:
        return _log_beta(a + split[0].treated, b + split[0].control) - _log_beta(a, b)
    seen = [*split, Stratum(a, b, prior.share)]
    mode = crossing(lambda beta: _slope(seen, beta), -_FAR, _FAR, tolerance=1e-9)
    curvature = sum((t + c) * exp(log_sigmoid(x := _logit(s) + mode) + log_sigmoid(-x)) for t, c, s in seen)
    return log_integral(lambda beta: log_likelihood(seen, beta), mode, curvature) - _log_beta(a, b)


def _informative(strata: Iterable[Stratum]) -> list[Stratum]:
    """One stratum per split, of those that tell anything: both arms have weight and somebody converted."""
    treated: dict[float, float] = defaultdict(float)
    control: dict[float, float] = defaultdict(float)
    for stratum in strata:
        treated[stratum.share] += stratum.treated
        control[stratum.share] += stratum.control
    return [Stratum(treated[s], control[s], s) for s in treated if 0 < s < 1 and treated[s] + control[s]]


def _slope(strata: Sequence[Stratum], beta: float) -> float:
    """The derivative of the log-likelihood, which falls as ``beta`` grows."""
    return sum(t - (t + c) * exp(log_sigmoid(_logit(s) + beta)) for t, c, s in strata)


def _logit(share: float) -> float:
    return log(share / (1 - share))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _exp(x: float) -> float:
    return inf if x > 700 else exp(x)
