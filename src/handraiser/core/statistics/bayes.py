"""Bayesian numbers, to describe and never to decide: looked at daily, "95 % chance to win" is wrong half the time.

Each arm's rate has a Beta posterior. The integrals run over the log odds, where these are bells (see calculus).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, log, sqrt

from handraiser.core.statistics.calculus import area, bell, crossing, log_sigmoid

PRIOR = (1.0, 19.0)
"""Beta(1, 19): a rate about 5 %, worth 20 customers."""


@dataclass(frozen=True, slots=True)
class Description:
    """The chance that the arm's rate is higher; the rate lost on average by taking the arm, or by keeping the control;
    and where the relative lift lies with 95 % probability (0.1 = 10 % more)."""

    chance_to_win: float
    loss_if_taken: float
    loss_if_kept: float
    lift_low: float
    lift_high: float


class _Posterior:
    """A Beta(a, b) rate, as a bell over its log odds."""

    def __init__(self, a: float, b: float) -> None:
        self._a, self._b = a, b
        self.mean = a / (a + b)
        mode = log(a / b)
        self.curvature = a * b / (a + b)
        self._top = self._log_height(mode)
        self._panel = 1 / (2 * sqrt(self.curvature))
        nodes = bell(self._log_height, mode, self.curvature)
        total = sum(height for _, height in nodes)
        self._nodes = [(x, height / total) for x, height in nodes]
        self._scale = total / (3 * sqrt(self.curvature))

    def _log_height(self, x: float) -> float:
        return self._a * log_sigmoid(x) + self._b * log_sigmoid(-x)

    def _density(self, x: float) -> float:
        return exp(self._log_height(x) - self._top) / self._scale

    def mean_below(self, other: _Posterior, beta: float) -> float:
        """P(other < e^beta · self)."""
        total = reached = 0.0
        at, end = other._nodes[0][0], other._nodes[-1][0]
        for x, weight in self._nodes:
            log_rate = log_sigmoid(x) + beta
            place = min(end, log_rate - log(-expm1(log_rate))) if log_rate < 0 else end
            if place > at:
                reached += area(other._density, at, place, other._panel)
                at = place
            total += weight * reached
        return min(1.0, total)


def described(
    arm: tuple[int, int], control: tuple[int, int], prior: tuple[float, float] = PRIOR, level: float = 0.95
) -> Description:
    """The description of an arm against the control, each (converted, subjects).

    Sources: Miller, "Formulas for Bayesian A/B Testing", 2015; the losses by E[(B-A)+] = E[B]·P(B'>A) - E[A]·P(B>A'),
    where a prime counts one conversion more.
    """
    (a_arm, b_arm), (a_control, b_control) = (
        (prior[0] + converted, prior[1] + subjects - converted) for converted, subjects in (arm, control)
    )
    treated, kept = _Posterior(a_arm, b_arm), _Posterior(a_control, b_control)
    treated_more, kept_more = _Posterior(a_arm + 1, b_arm), _Posterior(a_control + 1, b_control)
    tail = (1 - level) / 2

    def lift(quantile: float) -> float:
        return exp(crossing(lambda beta: 1 - quantile - _exceeds(treated, kept, beta), -40.0, 40.0, 1e-9)) - 1

    return Description(
        chance_to_win=_exceeds(treated, kept),
        loss_if_taken=max(0.0, kept.mean * _exceeds(kept_more, treated) - treated.mean * _exceeds(kept, treated_more)),
        loss_if_kept=max(0.0, treated.mean * _exceeds(treated_more, kept) - kept.mean * _exceeds(treated, kept_more)),
        lift_low=lift(tail),
        lift_high=lift(1 - tail),
    )


def _exceeds(one: _Posterior, other: _Posterior, beta: float = 0.0) -> float:
    """P(one > e^beta · other), as a mean over the narrower bell, between whose nodes the other one hardly bends."""
    if one.curvature < other.curvature:
        return 1 - other.mean_below(one, beta)
    return one.mean_below(other, -beta)
