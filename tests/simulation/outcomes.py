"""What must come of the trials, line by line: measured beside the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import trials

RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
TRAFFIC = (100, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Outcome:
    """One measured number; ``limit`` is the most it may be, or with ``at_least`` the least."""

    name: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def outcomes(
    scale: float = 1.0, rates: tuple[float, ...] = RATES, traffic: tuple[int, ...] = TRAFFIC
) -> Iterator[Outcome]:
    """All of them, each from a seed of its own; ``scale`` makes the number of experiments behind each smaller."""

    def reps(most: int) -> int:
        return int(most * scale)

    for rate in rates:
        for per_day in traffic:
            name = f"false winners, {rate:.1%}, {per_day:,} a day"
            yield Outcome(name, trials.false_winners(Random(name), rate, per_day, reps(3_000)), 0.05)
    for rate in (0.005, 0.1):
        for ratio in (0.7, 1.0, 1.5):
            name = f"interval covers, {rate:.1%}, ratio {ratio}"
            yield Outcome(name, trials.covered(Random(name), rate, ratio, reps(3_000)), 0.95, at_least=True)
    for rate in rates:
        name = f"+20 % found, {rate:.1%}: "
        size, power = trials.sizes(Random(name), rate, reps(3_000))
        yield Outcome(name + "mean size over one-look size", size, 1.35)
        yield Outcome(name + "within the planned size", power, 0.78, at_least=True)
    name = "false winners, four arms"
    yield Outcome(name, trials.false_winners_of_four(Random(name), reps(1_000)), 0.05)
    marked, bare = trials.false_segments(Random("segments"), reps(1_000))
    yield Outcome("false segments of ten, e-BH", marked, 0.05)
    yield Outcome("… and without it", bare, 0.05, at_least=True)
    yield from _split(reps)
    yield from _moving(reps)
    for rate in (0.005, 0.1):
        name = f"false extra opt-ins, {rate:.1%}, 1,000 a day"
        yield Outcome(name, trials.false_extra(Random(name), rate, 1_000, reps(3_000)), 0.05)
    for buyers in (0.005, 0.02):
        name = f"false extra revenue, {buyers:.1%} buy"
        yield Outcome(name, trials.false_revenue(Random(name), buyers, reps(1_500)), 0.05)


def _split(reps: Callable[[int], int]) -> Iterator[Outcome]:
    alarms, _ = trials.split_alarms(Random("split"), reps(8_000))
    yield Outcome("false alarms about the split", alarms, 0.005)
    found, day = trials.split_alarms(Random("split, lost"), max(300, reps(1_500)), lost=0.05)
    yield Outcome("5 % of an arm lost, 1,000 a day: found in 60 days", found, 0.9, at_least=True)
    yield Outcome("… median day", day, 25)


def _moving(reps: Callable[[int], int]) -> Iterator[Outcome]:
    named, pooled = trials.drifting(Random("drift"), reps(600))
    yield Outcome("weights changed, base rate doubled: false winners", named, 0.05)
    yield Outcome("… by a pooled z-test", pooled, 0.35, at_least=True)
    matured, so_far = trials.hasty(Random("hasty"), reps(300))
    yield Outcome("one arm only converts sooner: false winners", matured, 0.05)
    yield Outcome("… counting all conversions so far", so_far, 0.5, at_least=True)
    yield Outcome(
        "the usual test, 2.0%, 1,000 a day: false winners",
        trials.peeked_z(Random("z"), 0.02, 1_000, reps(3_000)),
        0.2,
        at_least=True,
    )
