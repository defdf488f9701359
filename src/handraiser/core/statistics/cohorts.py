"""Tallies by day in; matured cohorts, their strata and the evidence of every past look out.

Decisions count subjects whose conversion window is over: an arm that only converts sooner would win otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from handraiser.core.assignment import Weights
from handraiser.core.statistics import label, split
from handraiser.core.statistics.absolute import Mean
from handraiser.core.statistics.label import Prior, Stratum


class Tally(NamedTuple):
    """Subjects of one arm and version of weights first exposed on ``day``, and how many converted ``lag`` days later.

    ``day`` counts from 1970-01-01 in UTC, whatever the shops' zones; ``lag`` is whole days (24 h) from first exposure
    to conversion. Exposures stand at lag 0. What is taken back is a negative count with the day and lag of what it
    takes back. Shops that run the same experiment under the same weights may be added up: their base rates drop out of
    the test.
    """

    day: int
    version: int
    arm: int
    lag: int
    exposed: int
    converted: int


class Count(NamedTuple):
    """Subjects exposed, and those of them that converted."""

    exposed: int
    converted: int


class Look(NamedTuple):
    """What had been seen once the cohort of ``day`` had matured, and the evidence against "no difference" in it."""

    day: int
    strata: list[Stratum]
    log_e: float


def matured(tallies: Iterable[Tally], window: int, today: int) -> list[Tally]:
    """The cohorts whose last subject had ``window`` whole days before ``today`` began, and what came within them."""
    return [one for one in tallies if one.day + window < today and one.lag < window]


def counts(tallies: Iterable[Tally]) -> dict[tuple[int, int], Count]:
    """The sums by (version, arm)."""
    sums: dict[tuple[int, int], Count] = defaultdict(lambda: Count(0, 0))
    for one in tallies:
        so_far = sums[one.version, one.arm]
        sums[one.version, one.arm] = Count(so_far.exposed + one.exposed, so_far.converted + one.converted)
    return dict(sums)


def looks(tallies: Iterable[Tally], weights: Mapping[int, Weights], arm: int, prior: Prior) -> list[Look]:
    """The evidence for ``arm`` against the control at each day's look, in order.

    It is made anew from the tallies every time: nothing is kept that a rebuilt tally could contradict.
    """
    seen: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    path = []
    for day, cohort in groupby(sorted(one for one in tallies if one.arm in (0, arm)), key=lambda one: one.day):
        for one in cohort:
            seen[one.version][one.arm == 0] += one.converted
        so_far = [Stratum(treated, control, weights[v].share(arm)) for v, (treated, control) in seen.items()]
        path.append(Look(day, so_far, label.log_e(so_far, prior)))
    return path


def strata(tallies: Iterable[Tally], weights: Mapping[int, Weights], arm: int) -> list[Stratum]:
    """All conversions of ``arm`` and the control, by version of the weights."""
    sums = counts(tallies)
    nobody = Count(0, 0)
    return [
        Stratum(sums.get((v, arm), nobody).converted, sums.get((v, 0), nobody).converted, weights[v].share(arm))
        for v in sorted({version for version, _ in sums})
    ]


def split_evidence(tallies: Iterable[Tally], weights: Mapping[int, Weights]) -> float:
    """ln of the largest evidence, at any day's end, that subjects were not split by the weights; 0 before the first.

    Every first exposure counts, matured or not.
    """
    seen = {version: [0] * len(one.parts) for version, one in weights.items()}
    logs: dict[int, float] = {}
    peak = 0.0
    for _, cohort in groupby(sorted(tallies), key=lambda one: one.day):
        changed = set()
        for one in cohort:
            seen[one.version][one.arm] += one.exposed
            changed.add(one.version)
        logs |= {version: split.log_e(seen[version], weights[version].parts) for version in changed}
        peak = max(peak, sum(logs.values()))
    return peak


def conversion_means(tallies: Iterable[Tally], arm: int) -> list[tuple[Mean, Mean]]:
    """The conversion rates of ``arm`` and the control under each version, for :func:`absolute.difference`."""
    sums = counts(tallies)
    nobody = Count(0, 0)
    return [
        (_rate(sums.get((version, arm), nobody)), _rate(sums.get((version, 0), nobody)))
        for version in sorted({version for version, _ in sums})
    ]


def _rate(count: Count) -> Mean:
    return Mean.of_conversions(count.converted, count.exposed)
