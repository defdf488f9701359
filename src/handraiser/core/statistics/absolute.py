"""Absolute numbers: one arm's rate, and the difference of two arms' means with an interval that holds at any look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import NormalDist
from typing import NamedTuple


class Mean(NamedTuple):
    """The mean of one number per subject: how many subjects, their mean, and the variance between subjects."""

    subjects: int
    value: float
    variance: float

    @classmethod
    def of_conversions(cls, converted: int, subjects: int) -> Mean:
        """The share of subjects that converted.

        The variance adds half a conversion and half a refusal, so that "none of 40" is not taken for certain.
        """
        smoothed = (converted + 0.5) / (subjects + 1)
        return cls(subjects, converted / subjects if subjects else 0.0, smoothed * (1 - smoothed))

    @classmethod
    def of_amounts(cls, subjects: int, total: int, squares: int) -> Mean:
        """The mean amount (minor units) of subjects, from the exact sums of amounts and of their squares."""
        if subjects < 2:
            return cls(subjects, float(total), inf)
        return cls(subjects, total / subjects, (subjects * squares - total * total) / (subjects * (subjects - 1)))


@dataclass(frozen=True, slots=True)
class Difference:
    """Arm minus control: the estimate, the interval's ends, and the p-value that holds at any look."""

    estimate: float
    low: float
    high: float
    p: float


def difference(strata: Iterable[tuple[Mean, Mean]], alpha: float = 0.05, tuned_for: float = 5_000) -> Difference | None:
    """The difference of means (arm, control) over strata, each weighted by its subjects; None before there are any.

    One stratum per version of weights: under each the arms are compared with their contemporaries, so a moving base
    rate does not pass for an effect. Asymptotic: right for large numbers; ``tuned_for`` is the number of subjects at
    which the interval is narrowest.
    """
    pairs = [pair for pair in strata if pair[0].subjects and pair[1].subjects]
    subjects = sum(arm.subjects + control.subjects for arm, control in pairs)
    if not subjects:
        return None
    estimate = variance = 0.0
    for arm, control in pairs:
        weight = (arm.subjects + control.subjects) / subjects
        estimate += weight * (arm.value - control.value)
        variance += weight**2 * (arm.variance / arm.subjects + control.variance / control.subjects)
    if not 0 < variance < inf:
        return Difference(estimate, -inf, inf, 1.0)
    half = half_width(sqrt(variance), subjects, alpha, tuned_for)
    return Difference(
        estimate, estimate - half, estimate + half, asymptotic_p(estimate, sqrt(variance), subjects, tuned_for)
    )


def half_width(error: float, subjects: int, alpha: float = 0.05, tuned_for: float = 5_000) -> float:
    """Half the width of the asymptotic confidence sequence for an estimate with this standard error.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics 2024, arXiv:2103.06476, in GrowthBook's parametrisation.
    """
    spread = subjects * _rho_squared(alpha, tuned_for)
    return error * sqrt(2 * (spread + 1) / spread * log(sqrt(spread + 1) / alpha))


def asymptotic_p(estimate: float, error: float, subjects: int, tuned_for: float = 5_000) -> float:
    """The smallest α whose interval (tuned at 5 %) leaves zero out, at most 1."""
    spread = subjects * _rho_squared(0.05, tuned_for)
    return min(1.0, sqrt(spread + 1) * exp(-((estimate / error) ** 2) * spread / (2 * (spread + 1))))


def _rho_squared(alpha: float, tuned_for: float) -> float:
    return (-2 * log(alpha) + log(1 - 2 * log(alpha))) / tuned_for


def wilson(converted: int, subjects: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of one arm's rate at one look (not for comparing arms): Wilson, JASA 22, 1927; (0, 1) of nobody."""
    if not subjects:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate, spread = converted / subjects, z * z / subjects
    middle = rate + spread / 2
    half = z * sqrt(rate * (1 - rate) / subjects + spread / (4 * subjects))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
