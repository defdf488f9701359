"""What an experiment's counts say, in one of six words, and what stands behind the word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log
from typing import Literal

from handraiser.core.assignment import Weights
from handraiser.core.statistics import absolute, cohorts, label, split
from handraiser.core.statistics.cohorts import Tally
from handraiser.core.statistics.label import Prior

State = Literal["no_data", "too_early", "a_better", "b_better", "any_difference_smaller_than", "broken_split"]


@dataclass(frozen=True, slots=True)
class Design:
    """What an experiment fixed before its first exposure, and every version of its weights so far, the first one first.

    ``mde`` is the smallest relative difference worth finding (0.2 = 20 %), ``window`` the days a subject has to
    convert, ``alpha`` the probability of ever naming a better arm where none is.
    """

    weights: tuple[Weights, ...]
    window: int
    mde: float
    alpha: float = 0.05

    @property
    def comparisons(self) -> int:
        """How many arms are compared with the control; they share ``alpha`` evenly (Bonferroni)."""
        return len(self.weights[0].parts) - 1

    def prior(self, arm: int) -> Prior:
        """The prior of ``arm``, by the first weights that let it and the control be compared."""
        shares = (one.share(arm) for one in self.weights)
        return Prior.tuned(self.mde, next((share for share in shares if 0 < share < 1), 0.5))


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm (B) against the control (A): the state, the ratio of their rates with its interval, and the evidence.

    ``ratio`` is None while one of them has no conversion. The interval holds at any look, for all arms at once; it
    runs from 0 to infinity before the first conversion. ``since`` is the day whose cohort decided, ``smaller_than``
    the bound of ``any_difference_smaller_than`` (0.1 = 10 %). ``extra`` is the difference of the rates themselves.
    """

    arm: int
    state: State
    ratio: float | None
    low: float
    high: float
    p: float
    since: int | None
    smaller_than: float | None
    extra: absolute.Difference | None


@dataclass(frozen=True, slots=True)
class Result:
    """All comparisons, and how the split was: ``sound``, ``doubtful`` (a warning) or ``broken`` (no result counts).

    ``mismatch`` is ln of the evidence that it was not as the weights say.
    """

    split: Literal["sound", "doubtful", "broken"]
    mismatch: float
    comparisons: tuple[Comparison, ...]


def judged(design: Design, tallies: Iterable[Tally], today: int) -> Result:
    """The result on the morning of ``today``, from all tallies of the experiment (days as in :class:`Tally`).

    May be called as often as one likes. What was once decided stays decided, unless the tallies themselves change.
    """
    everything = list(tallies)
    weights = {one.version: one for one in design.weights}
    mismatch = cohorts.split_evidence(everything, weights)
    word: Literal["sound", "doubtful", "broken"] = (
        "broken" if mismatch >= split.BROKEN else "doubtful" if mismatch >= split.WARN else "sound"
    )
    fixed: State | None = (
        "no_data" if not sum(one.exposed for one in everything) else "broken_split" if word == "broken" else None
    )
    matured = cohorts.matured(everything, design.window, today)
    return Result(
        word,
        mismatch,
        tuple(_compared(design, weights, matured, arm, fixed) for arm in range(1, design.comparisons + 1)),
    )


def _compared(
    design: Design, weights: dict[int, Weights], matured: list[Tally], arm: int, fixed: State | None
) -> Comparison:
    alpha = design.alpha / design.comparisons
    prior = design.prior(arm)
    path = cohorts.looks(matured, weights, arm, prior)
    strata = path[-1].strata if path else []
    low, high = label.ratio_interval(strata, prior, alpha)
    bound = max(high - 1, 1 - low)
    decided = next((look for look in path if look.log_e >= -log(alpha)), None)
    if fixed:
        state = fixed
    elif decided:
        state = "b_better" if label.log_ratio(decided.strata) > 0 else "a_better"
    else:
        state = "any_difference_smaller_than" if bound <= design.mde else "too_early"
    both = all(sum(stratum[side] for stratum in strata) for side in (0, 1))
    return Comparison(
        arm=arm,
        state=state,
        ratio=exp(label.log_ratio(strata)) if both else None,
        low=low,
        high=high,
        p=label.always_valid_p(max((look.log_e for look in path), default=0.0)),
        since=decided.day if decided else None,
        smaller_than=bound if state == "any_difference_smaller_than" else None,
        extra=absolute.difference(cohorts.conversion_means(matured, arm), alpha),
    )
