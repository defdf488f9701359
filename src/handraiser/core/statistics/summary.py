"""What an experiment's tallies say, told for its page: by arm, comparison and segment, in numbers and in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from math import ceil, exp, isfinite
from typing import Any, NamedTuple

from handraiser.core.statistics import absolute, bayes, cohorts, label, planning, segments, split, verdict
from handraiser.core.statistics.cohorts import Count, Tally
from handraiser.core.statistics.verdict import Comparison, Design, Result

Json = dict[str, Any]

EVERYBODY = ("all", "")
"""The dimension and value that hold every subject once."""

RECENT = 14
"""Days whose traffic says how many days are left."""

MOST_SEGMENTS = 100
"""Segments that are looked at: those with most subjects. A shop may call its customers as it likes."""

GUARDRAILS = {"withdrawal": "withdrawn", "objection": "objected", "not_me": "not_me"}
VERDICTS = ("human", "suspect", "bot")
_FIRST = date(1970, 1, 1)
NOT_FOR_DECIDING = "For description only: looked at daily, a chance to win of 95 % is wrong half of the time."


class DayTally(NamedTuple):
    """Subjects of one arm, version of weights and segment that were first exposed on ``day``, and what came of them:
    days and versions as in :class:`Tally`, every lag within the window added up."""

    dimension: str
    value: str
    version: int
    arm: int
    day: int
    exposed: int
    converted: int
    withdrawn: int
    objected: int
    not_me: int
    scored: int = 0
    unhappy: int = 0

    @property
    def tally(self) -> Tally:
        return Tally(self.day, self.version, self.arm, 0, self.exposed, self.converted)


class Clicks(NamedTuple):
    """How many visits of an arm's links got a verdict (human, suspect or bot)."""

    arm: int
    verdict: str
    clicks: int


@dataclass(frozen=True, slots=True)
class Counted:
    """An experiment and everything that was counted of it; ``today`` is the day of the look, ``arms`` are their keys,
    the control's first, ``planned`` is how many subjects were planned for."""

    design: Design
    arms: tuple[str, ...]
    planned: int
    tallies: Sequence[DayTally]
    clicks: Sequence[Clicks]
    today: int


def summed_up(counted: Counted) -> Json:
    """The results as they are kept and told; numbers that are not known yet are None.

    Rates, intervals and comparisons are of matured cohorts; ``so_far`` is of everybody who has been in the test.
    ``bayes`` is told on request only.
    """
    design = counted.design
    everybody = [one.tally for one in counted.tallies if (one.dimension, one.value) == EVERYBODY]
    result = verdict.judged(design, everybody, counted.today)
    matured = cohorts.matured(everybody, design.window, counted.today)
    state = _state(result)
    by_arm = _by_arm(matured, len(counted.arms))
    return {
        "state": state,
        "words": _words(state, result, counted.arms),
        "better": _better(result, counted.arms),
        "days_left": _days_left(counted, everybody, state),
        "split": {
            "state": result.split,
            "evidence": exp(min(700.0, result.mismatch)),
            "p_of_one_look": _one_look(design, everybody),
        },
        "arms": [_arm(counted, arm, by_arm[arm], everybody) for arm in range(len(counted.arms))],
        "comparisons": [_comparison(one, counted.arms) for one in result.comparisons],
        "segments": _segments(counted, broken=result.split == "broken"),
        "bayes": _described(counted.arms, by_arm),
    }


def _state(result: Result) -> str:
    """One word for all comparisons: better where any arm is, worse where all are, undecided while any is."""
    states = [one.state for one in result.comparisons]
    for word in ("no_data", "broken_split", "b_better", "too_early", "any_difference_smaller_than"):
        if word in states:
            return word
    return "a_better"


def _better(result: Result, arms: Sequence[str]) -> list[str]:
    """The arms that are better than the control; the control where all are worse."""
    won = [arms[one.arm] for one in result.comparisons if one.state == "b_better"]
    return won or ([arms[0]] if all(one.state == "a_better" for one in result.comparisons) else [])


def _words(state: str, result: Result, arms: Sequence[str]) -> str:
    match state:
        case "no_data":
            return "no data"
        case "broken_split":
            return "broken: the split is off"
        case "too_early":
            return "too early"
        case "any_difference_smaller_than":
            bound = max(one.smaller_than or 0 for one in result.comparisons)
            return f"any difference is smaller than {ceil(bound * 100)} %"
    better = _better(result, arms)
    return f"{' and '.join(better)} {'is' if len(better) == 1 else 'are'} better"


def _days_left(counted: Counted, everybody: Sequence[Tally], state: str) -> int | None:
    """Days until the planned size has entered and matured, at the last days' traffic: 0 when there is nothing to wait
    for, None while nobody comes."""
    design = counted.design
    if state not in ("no_data", "too_early"):
        return 0
    first = min((one.day for one in everybody), default=counted.today)
    days = min(RECENT, counted.today - first)
    entered = sum(one.exposed for one in everybody)
    recent = sum(one.exposed for one in everybody if counted.today - days <= one.day < counted.today)
    return planning.days_for(counted.planned - entered, recent / days, design.window) if days else None


def _one_look(design: Design, everybody: Sequence[Tally]) -> float:
    """The chi-square p-value of the version that most subjects came under."""
    seen: dict[int, list[int]] = {one.version: [0] * len(one.parts) for one in design.weights}
    for one in everybody:
        seen[one.version][one.arm] += one.exposed
    widest = max(design.weights, key=lambda one: sum(seen[one.version]))
    return split.chi_square_p(seen[widest.version], widest.parts)


def _by_arm(tallies: Iterable[Tally], arms: int) -> list[Count]:
    sums = [Count(0, 0)] * arms
    for (_, arm), count in cohorts.counts(tallies).items():
        sums[arm] = Count(sums[arm].exposed + count.exposed, sums[arm].converted + count.converted)
    return sums


def _arm(counted: Counted, arm: int, matured: Count, everybody: Sequence[Tally]) -> Json:
    mine = [one for one in counted.tallies if (one.dimension, one.value) == EVERYBODY and one.arm == arm]
    so_far = _by_arm(everybody, len(counted.arms))[arm]
    clicks = {word: sum(n for of, said, n in counted.clicks if (of, said) == (arm, word)) for word in VERDICTS}
    return {
        "arm": counted.arms[arm],
        **_rate(matured.exposed, matured.converted, "opt_ins"),
        "so_far": {"customers": so_far.exposed, "opt_ins": so_far.converted},
        "guardrails": {
            name: _rate(so_far.exposed, sum(getattr(one, column) for one in mine), "count")
            for name, column in GUARDRAILS.items()
        }
        | {"feedback": _rate(sum(one.scored for one in mine), sum(one.unhappy for one in mine), "count")},
        "clicks": {**clicks, "machine_share": clicks["bot"] / sum(clicks.values()) if any(clicks.values()) else None},
    }


def _rate(customers: int, of_them: int, name: str) -> Json:
    low, high = absolute.wilson(of_them, customers)
    rate = of_them / customers if customers else None
    return {"customers": customers, name: of_them, "rate": rate, "rate_low": low, "rate_high": high}


def _comparison(one: Comparison, arms: Sequence[str]) -> Json:
    extra = one.extra
    return {
        "arm": arms[one.arm],
        "control": arms[0],
        "state": one.state,
        "lift": None if one.ratio is None else one.ratio - 1,
        "lift_low": one.low - 1,
        "lift_high": _number(one.high - 1),
        "p": one.p,
        "since": None if one.since is None else (_FIRST + timedelta(one.since)).isoformat(),
        "smaller_than": one.smaller_than,
        "extra_per_1000": None if extra is None else extra.estimate * 1000,
        "extra_low": None if extra is None else _number(extra.low * 1000),
        "extra_high": None if extra is None else _number(extra.high * 1000),
    }


def _segments(counted: Counted, *, broken: bool) -> list[Json]:
    """Every segment of every arm, by dimension and value; ``stands_out`` by e-BH over all of them."""
    design = counted.design
    weights = {one.version: one for one in design.weights}
    tallies: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    for one in counted.tallies:
        if (one.dimension, one.value) != EVERYBODY:
            tallies[one.dimension, one.value].append(one.tally)
    largest = sorted(tallies, key=lambda segment: -sum(one.exposed for one in tallies[segment]))[:MOST_SEGMENTS]
    log_es: dict[tuple[str, str, int], float] = {}
    told: dict[tuple[str, str, int], Json] = {}
    for segment in sorted(largest):
        matured = cohorts.matured(tallies[segment], design.window, counted.today)
        sums = _by_arm(matured, len(counted.arms))
        for arm in range(1, len(counted.arms)):
            prior, strata = design.prior(arm), cohorts.strata(matured, weights, arm)
            low, high = label.ratio_interval(strata, prior, design.alpha)
            ratio = exp(label.log_ratio(strata)) if sums[arm].converted and sums[0].converted else None
            log_es[(*segment, arm)] = label.log_e(strata, prior)
            told[(*segment, arm)] = {
                **dict(zip(("dimension", "value", "arm"), (*segment, counted.arms[arm]), strict=True)),
                "customers": sums[arm].exposed,
                "opt_ins": sums[arm].converted,
                "control_customers": sums[0].exposed,
                "control_opt_ins": sums[0].converted,
                "lift": None if ratio is None else ratio - 1,
                "lift_low": low - 1,
                "lift_high": _number(high - 1),
            }
    found = set() if broken else segments.discoveries(log_es, design.alpha)
    return [one | {"stands_out": key in found} for key, one in told.items()]


def _described(arms: Sequence[str], by_arm: Sequence[Count]) -> Json:
    told = []
    if all(one.exposed for one in by_arm):
        for arm, count in enumerate(by_arm[1:], 1):
            numbers = bayes.described((count.converted, count.exposed), (by_arm[0].converted, by_arm[0].exposed))
            told.append({"arm": arms[arm], "control": arms[0]} | {n: _number(x) for n, x in asdict(numbers).items()})
    return {"note": NOT_FOR_DECIDING, "arms": told}


def _number(x: float) -> float | None:
    """A number as JSON can hold it; None for one without an end."""
    return x if isfinite(x) else None
