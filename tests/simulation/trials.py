"""Made-up experiments whose truth is known, looked at every day, as marketers do; each function tells what came of it.

Every count is drawn exactly (no normal approximation), from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import accumulate
from math import exp, inf, lgamma, log, sqrt
from random import Random
from statistics import NormalDist, fmean, median

from handraiser.core.assignment import Weights
from handraiser.core.statistics import absolute, label, planning, segments, split
from handraiser.core.statistics.absolute import Mean
from handraiser.core.statistics.cohorts import Tally
from handraiser.core.statistics.label import Prior, Stratum
from handraiser.core.statistics.planning import Question
from handraiser.core.statistics.verdict import Design, judged

DAYS = 60
ALPHA = 0.05
BAR = -log(ALPHA)
PRIOR = Prior.tuned(0.2)
EVEN = Weights(1, (5_000, 5_000))
Z = NormalDist().inv_cdf(1 - ALPHA / 2)


@lru_cache(maxsize=5_000)
def _binomial(n: int, rate: float) -> tuple[range, list[float]]:
    """The counts that have any weight in a double, and their cumulative weights."""
    spread = 10 * sqrt(n * rate * (1 - rate)) + 20
    counts = range(max(0, int(n * rate - spread)), min(n, int(n * rate + spread)) + 1)
    whole = lgamma(n + 1)
    weights = (exp(whole - lgamma(c + 1) - lgamma(n - c + 1) + c * log(rate) + (n - c) * log(1 - rate)) for c in counts)
    return counts, list(accumulate(weights))


def converted(random: Random, n: int, rate: float, days: int = 1) -> list[int]:
    """How many of ``n`` convert, on each of some days."""
    counts, weights = _binomial(n, rate)
    return random.choices(counts, cum_weights=weights, k=days)


def half_of(random: Random, n: int) -> int:
    """How many of ``n`` fair coins fall one way."""
    return random.getrandbits(n).bit_count() if n else 0


def share(reps: int, happens: Callable[[], bool]) -> float:
    return sum(happens() for _ in range(reps)) / reps


# --- the label test --------------------------------------------------------------------------------------------------


def false_winners(random: Random, rate: float, per_day: int, reps: int) -> float:
    """Two equal arms: how often daily looks ever name a better one."""

    def named() -> bool:
        seen = Stratum(0, 0, 0.5)
        for both in converted(random, per_day, rate, DAYS):
            one = half_of(random, both)
            seen = Stratum(seen.treated + one, seen.control + both - one, 0.5)
            if label.log_e([seen], PRIOR) >= BAR:
                return True
        return False

    return share(reps, named)


def peeked_z(random: Random, rate: float, per_day: int, reps: int) -> float:
    """The same arms under the usual test, looked at as often."""

    def named() -> bool:
        one = other = 0
        for day, both in enumerate(converted(random, per_day, rate, DAYS), 1):
            half = half_of(random, both)
            one, other = one + half, other + both - half
            if abs(_z(one, other, day * per_day // 2, day * per_day // 2)) > Z:
                return True
        return False

    return share(reps, named)


def _z(one: int, other: int, n_one: int, n_other: int) -> float:
    pooled = (one + other) / (n_one + n_other)
    variance = pooled * (1 - pooled) * (1 / n_one + 1 / n_other)
    return (one / n_one - other / n_other) / sqrt(variance) if variance else 0.0


def covered(random: Random, rate: float, ratio: float, reps: int) -> float:
    """How often the interval holds the true ratio at every one of the daily looks (1,000 a day)."""

    def always() -> bool:
        seen = Stratum(0, 0, 0.5)
        pairs = zip(converted(random, 500, rate * ratio, DAYS), converted(random, 500, rate, DAYS), strict=True)
        for one, other in pairs:
            seen = Stratum(seen.treated + one, seen.control + other, 0.5)
            if label.log_e([seen], PRIOR, ratio) >= BAR:
                return False
        return True

    return share(reps, always)


def sizes(random: Random, rate: float, reps: int) -> tuple[float, float]:
    """At a true +20 %: the mean size at the stop over the size with one look, and the power at the planned size."""
    question = Question(rate, 0.2, 14)
    fixed, plan = planning.fixed_horizon(question), planning.planned(question, EVEN, 1_000)
    step = fixed // 50
    stops = []
    for _ in range(reps):
        treated = control = taken = 0
        while label.log_e([Stratum(treated, control, 0.5)], PRIOR) < BAR and taken < 10 * fixed:
            treated += converted(random, step, rate * 1.2)[0]
            control += converted(random, step, rate)[0]
            taken += step
        stops.append(taken)
    return fmean(stops) / fixed, sum(2 * stop <= plan.subjects for stop in stops) / reps


def false_winners_of_four(random: Random, reps: int) -> float:
    """Four equal arms, 1,000 a day at 3 %, through the verdict: how often any is named better or worse."""
    quarters = Weights(1, (2_500,) * 4)

    def named() -> bool:
        tallies = [
            Tally(day, 1, arm, 0, 250, count)
            for arm in range(4)
            for day, count in enumerate(converted(random, 250, 0.03, DAYS))
        ]
        return _winner(Design((quarters,), 1, 0.2), tallies)

    return share(reps, named)


def false_segments(random: Random, reps: int) -> tuple[float, float]:
    """Ten segments without a difference: how often daily looks ever mark one, by e-BH and without it."""
    marked = bare = 0
    for _ in range(reps):
        seen = [Stratum(0, 0, 0.5)] * 10
        days = [converted(random, 1_000, 0.03, DAYS) for _ in seen]
        chosen = any_one = False
        for day in range(DAYS):
            for at, counts in enumerate(days):
                one = half_of(random, counts[day])
                seen[at] = Stratum(seen[at].treated + one, seen[at].control + counts[day] - one, 0.5)
            log_es = {at: label.log_e([one], PRIOR) for at, one in enumerate(seen)}
            chosen = chosen or bool(segments.discoveries(log_es, ALPHA))
            any_one = any_one or max(log_es.values()) >= BAR
        marked += chosen
        bare += any_one
    return marked / reps, bare / reps


# --- the split -------------------------------------------------------------------------------------------------------


def split_alarms(random: Random, reps: int, lost: float = 0.0) -> tuple[float, float]:
    """1,000 a day, of one arm a share is lost: how often the split is doubted within the days, and the median day."""

    def first_alarm() -> float:
        one = other = 0
        for day in range(1, DAYS + 1):
            kept = half_of(random, 1_000)
            one += kept
            other += converted(random, 1_000 - kept, 1 - lost)[0] if lost else 1_000 - kept
            if split.log_e((one, other), EVEN.parts) >= split.WARN:
                return day
        return inf

    days = [first_alarm() for _ in range(reps)]
    return sum(day < inf for day in days) / reps, median(days)


# --- what moves meanwhile --------------------------------------------------------------------------------------------


def _winner(design: Design, tallies: list[Tally], today: int = DAYS + 30) -> bool:
    result = judged(design, tallies, today)
    return any(one.state in ("a_better", "b_better") for one in result.comparisons)


def drifting(random: Random, reps: int) -> tuple[float, float]:
    """Equal arms at 50/50, then 90/10 as the base rate doubles: false winners, by verdict and by pooled z-test."""
    first, second = Weights(1, (5_000, 5_000)), Weights(2, (1_000, 9_000))
    design = Design((first, second), 1, 0.2)
    named = pooled = 0
    for _ in range(reps):
        tallies: list[Tally] = []
        for weights, rate, start in ((first, 0.03, 0), (second, 0.06, DAYS // 2)):
            for arm, part in enumerate(weights.parts):
                counts = converted(random, part // 10, rate, DAYS // 2)
                tallies += [
                    Tally(day, weights.version, arm, 0, part // 10, count) for day, count in enumerate(counts, start)
                ]
        named += _winner(design, tallies)
        (other, n_other), (one, n_one) = (
            (sum(t.converted for t in tallies if t.arm == arm), sum(t.exposed for t in tallies if t.arm == arm))
            for arm in (0, 1)
        )
        pooled += abs(_z(one, other, n_one, n_other)) > Z
    return named / reps, pooled / reps


def hasty(random: Random, reps: int) -> tuple[float, float]:
    """Equal arms, one of which only converts sooner (a day against six): false winners, matured and of all so far."""
    window = 30
    design = Design((EVEN,), window, 0.2)
    matured = so_far = 0
    for _ in range(reps):
        tallies = [one for arm, lag in ((0, 6.0), (1, 1.0)) for one in _lagging(random, arm, lag, window)]
        matured += _winner(design, tallies, DAYS)
        so_far += _ever_so_far(tallies)
    return matured / reps, so_far / reps


def _lagging(random: Random, arm: int, mean_lag: float, window: int) -> Iterator[Tally]:
    """2,500 a day at 5 %, converting after a geometric lag."""
    for day, count in enumerate(converted(random, 2_500, 0.05, DAYS)):
        lags = [0] * window
        for _ in range(count):
            lags[min(window - 1, int(log(1 - random.random()) / log(mean_lag / (1 + mean_lag))))] += 1
        yield from (Tally(day, 1, arm, lag, 2_500 * (lag == 0), lags[lag]) for lag in range(window))


def _ever_so_far(tallies: list[Tally]) -> bool:
    """Whether the same test names a winner when it takes every conversion on the day it happens."""
    by_day = [[0, 0] for _ in range(DAYS)]
    for one in tallies:
        if one.day + one.lag < DAYS:
            by_day[one.day + one.lag][one.arm] += one.converted
    seen = accumulate(by_day, lambda so_far, new: [so_far[0] + new[0], so_far[1] + new[1]])
    return any(label.log_e([Stratum(one, other, 0.5)], PRIOR) >= BAR for other, one in seen)


def false_revenue(random: Random, buyers: float, reps: int) -> float:
    """Equal arms of 1,000 a day, a share of whom buys for skewed amounts: how often a daily look sees a difference."""

    def named() -> bool:
        arms = [[0, 0, 0], [0, 0, 0]]
        for _ in range(DAYS):
            for sums in arms:
                amounts = [int(random.lognormvariate(8.5, 0.8)) for _ in range(converted(random, 500, buyers)[0])]
                sums[0] += 500
                sums[1] += sum(amounts)
                sums[2] += sum(amount * amount for amount in amounts)
            seen = absolute.difference([(Mean.of_amounts(*arms[1]), Mean.of_amounts(*arms[0]))])
            if seen and not seen.low <= 0 <= seen.high:
                return True
        return False

    return share(reps, named)


def false_extra(random: Random, rate: float, per_day: int, reps: int) -> float:
    """Equal arms: how often the interval of the rates' difference ever leaves zero out."""

    def named() -> bool:
        one = other = 0
        for day, both in enumerate(converted(random, per_day, rate, DAYS), 1):
            half = half_of(random, both)
            one, other = one + half, other + both - half
            exposed = day * per_day // 2
            seen = absolute.difference([(Mean.of_conversions(one, exposed), Mean.of_conversions(other, exposed))])
            if seen and not seen.low <= 0 <= seen.high:
                return True
        return False

    return share(reps, named)
