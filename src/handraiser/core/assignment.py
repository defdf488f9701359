"""Which arm a subject gets: the same one every time, on every replica, and in any GrowthBook SDK."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import accumulate

WHOLE = 10_000
"""Weights, coverage and shares are counted in ten-thousandths: what one step of the hash can tell apart."""

_UTF_16 = f"utf-16-{sys.byteorder[0]}e"

HELD_OUT = 0
"""The arm of a holdout (:func:`holdout`) whose subjects see nothing."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One version of an experiment's weights; it never changes, a change is the next version.

    ``parts`` are the arms' weights in ten-thousandths, in the order of the arms (arm 0 is the control); they sum to
    10,000. ``coverage`` is the share of every arm's subjects that takes part, 0 to 10,000. Raises :class:`ValueError`
    for anything else.
    """

    version: int
    parts: tuple[int, ...]
    coverage: int = WHOLE

    def __post_init__(self) -> None:
        if len(self.parts) < 2 or min(self.parts) < 0 or sum(self.parts) != WHOLE:
            raise ValueError("the weights of two or more arms sum to 10,000")
        if not 0 <= self.coverage <= WHOLE:
            raise ValueError("coverage is between 0 and 10,000")

    def followed_by(self, parts: tuple[int, ...], coverage: int) -> Weights:
        """The next version; raises :class:`ValueError` when it has other arms."""
        if len(parts) != len(self.parts):
            raise ValueError("an experiment keeps its arms")
        return Weights(self.version + 1, parts, coverage)

    def share(self, arm: int) -> float:
        """The expected share of ``arm`` among the subjects of ``arm`` and the control; 0 where neither has weight."""
        pair = self.parts[arm] + self.parts[0]
        return self.parts[arm] / pair if pair else 0.0


@dataclass(frozen=True, slots=True)
class Draw:
    """What a subject's first exposure keeps: the arm, and the version of the weights it was drawn under."""

    arm: int
    weights_version: int


def drawn(subject: str, seed: str, weights: Weights, stored: Draw | None = None) -> Draw | None:
    """The arm of a subject, or None for one that coverage leaves out (it may take part once coverage is raised).

    ``subject`` is the key that is hashed, ``seed`` the experiment's own. A ``stored`` first exposure wins over whatever
    the hash says now, so a change of weights moves nobody. Without one, raising coverage alone moves nobody either:
    every arm's range grows at its upper end (GrowthBook's ``getBucketRanges``). The sums are floats, as in the SDKs,
    because a subject on the edge of a range must fall on the same side there.
    """
    if stored is not None:
        return stored
    at = bucket(seed, subject) / WHOLE
    shares = [part / WHOLE for part in weights.parts]
    starts = accumulate(shares, initial=0.0)
    for arm, (start, share) in enumerate(zip(starts, shares, strict=False)):
        if start <= at < start + weights.coverage / WHOLE * share:
            return Draw(arm, weights.version)
    return None


def holdout(version: int, share: int) -> Weights:
    """The weights of a holdout: :data:`HELD_OUT` gets ``share`` ten-thousandths, the other arm takes part in the rest.

    It is drawn like any experiment, with a seed of its own, so its exposures and results are counted the same way.
    """
    return Weights(version, (share, WHOLE - share))


def bucket(seed: str, subject: str) -> int:
    """0 to 9,999: GrowthBook's hash, version 2, as a count of ten-thousandths.

    FNV-1a (32 bit) twice, over UTF-16 code units as JavaScript sees them; version 1 correlates between experiments.
    Source: GrowthBook SDK specification 0.8.0, ``hash``.
    """
    return _fnv1a(str(_fnv1a(seed + subject))) % WHOLE


def _fnv1a(text: str) -> int:
    """FNV-1a with 32 bits; lone surrogates are hashed as they stand."""
    hashed = 0x811C9DC5
    for unit in memoryview(text.encode(_UTF_16, "surrogatepass")).cast("H"):
        hashed = ((hashed ^ unit) * 0x01000193) & 0xFFFFFFFF
    return hashed
