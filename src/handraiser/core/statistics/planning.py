"""How many subjects and days an experiment needs, said before it starts, and what would make it shorter."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import Literal

from handraiser.core.assignment import WHOLE, Weights

LONGEST = 120
"""Days beyond which an experiment needs another plan: seasons, staff and shops change meanwhile."""

_PEEKING = 1.75
"""Times the size of a test with one look, for 80 % power at any look, where conversions are rare (measured)."""

_MOST = 2.0
"""The boldest difference that is planned for: three times the rate."""


Shorter = Literal["fewer_arms", "bolder_difference", "more_touchpoints", "pool_shops"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would bring a plan below :data:`LONGEST` days.

    ``value``: of ``fewer_arms`` the days with two even arms; of ``bolder_difference`` the smallest relative difference
    that fits, in whole per cent (0.3); of ``more_touchpoints`` and ``pool_shops`` the subjects a day that are needed.
    """

    kind: Shorter
    value: float


@dataclass(frozen=True, slots=True)
class Plan:
    """First exposures needed over all arms, days at the given traffic (None: nobody comes), and what is shorter."""

    subjects: int
    days: int | None
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found: ``mde`` (0.2 = 20 % more or less) at a control's ``rate``, within ``window`` days each.

    Found with probability ``power`` if it is there, and with at most ``alpha`` if nothing is. Raises
    :class:`ValueError` unless 0 < rate < 1, 0 < mde <= 2, rate·(1+mde) < 1 and the window is 1 to 90 days.
    """

    rate: float
    mde: float
    window: int
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1 or not 0 < self.mde <= _MOST or self.rate * (1 + self.mde) >= 1:
            raise ValueError("a rate and a difference whose product stays a rate are needed")
        if not 1 <= self.window <= 90:
            raise ValueError("a window is 1 to 90 days")


def planned(question: Question, weights: Weights, per_day: float) -> Plan:
    """The plan of an experiment that ``per_day`` new subjects could enter; coverage lets its share of them in."""
    size = _subjects(question, weights.parts)
    entering = per_day * weights.coverage / WHOLE
    days = days_for(size, entering, question.window)
    if days is not None and days <= LONGEST:
        return Plan(size, days)
    proposals = []
    if len(weights.parts) > 2:
        two = days_for(_subjects(question, (WHOLE // 2, WHOLE // 2)), entering, question.window)
        proposals += [Proposal("fewer_arms", two)] if two is not None else []
    room = entering * (LONGEST - question.window)
    bolder = next((mde for mde in _bolder(question) if _subjects(mde, weights.parts) <= room), None)
    proposals += [Proposal("bolder_difference", bolder.mde)] if bolder else []
    needed = ceil(size / (LONGEST - question.window))
    return Plan(size, days, (*proposals, Proposal("more_touchpoints", needed), Proposal("pool_shops", needed)))


def days_for(subjects: int, entering: float, window: int) -> int | None:
    """Days until ``subjects`` more have entered and matured; None when nobody enters."""
    return ceil(max(0, subjects) / entering) + window if entering > 0 else None


def fixed_horizon(question: Question) -> int:
    """Subjects of each of two even arms for a pooled z-test with one look (Fleiss, Levin & Paik, 2003, §4)."""
    rate, other = question.rate, question.rate * (1 + question.mde)
    mean = (rate + other) / 2
    sure, strong = NormalDist().inv_cdf(1 - question.alpha / 2), NormalDist().inv_cdf(question.power)
    spread = sure * sqrt(2 * mean * (1 - mean)) + strong * sqrt(rate * (1 - rate) + other * (1 - other))
    return ceil((spread / (other - rate)) ** 2)


def _subjects(question: Question, parts: tuple[int, ...]) -> int:
    """First exposures over all arms, so that the scarcest pair of an arm and the control has enough.

    Looking at any time costs a factor, and seeing conversions alone another 1 / (1 - rate); of a pair with shares π and
    1-π a subject tells π(1-π) as much. Several arms share ``alpha`` (Bonferroni). Raises :class:`ValueError` for an arm
    without weight.
    """
    if not all(parts):
        raise ValueError("every arm that is planned for needs weight")
    mean = question.rate * (1 + question.mde / 2)
    each = fixed_horizon(
        Question(question.rate, question.mde, question.window, question.alpha / (len(parts) - 1), question.power)
    )
    information = min(part * parts[0] / (part + parts[0]) for part in parts[1:]) / WHOLE
    return ceil(_PEEKING / (1 - mean) * each / 2 / information)


def _bolder(question: Question) -> list[Question]:
    """The same question with bolder differences, in whole per cent."""
    first = int(question.mde * 100) + 1
    most = min(_MOST, (1 - question.rate) / question.rate - 1e-9)
    return [
        Question(question.rate, percent / 100, question.window, question.alpha, question.power)
        for percent in range(first, int(most * 100) + 1)
    ]
