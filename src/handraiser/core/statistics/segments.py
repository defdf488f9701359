"""Which of many segments show a difference, when looking at many makes some shine by chance."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import log
from typing import TypeVar

Segment = TypeVar("Segment", bound=Hashable)


def discoveries(log_es: Mapping[Segment, float], alpha: float = 0.05) -> set[Segment]:
    """The segments whose evidence stands out: at most ``alpha`` of what is named is expected to be chance.

    Takes the evidence of now, not its maximum (which is no e-value); so a mark may go again. Segments may overlap.
    Source: Wang & Ramdas, "False discovery rate control with e-values" (e-BH), JRSS B 84, 2022, arXiv:2009.02824.
    """
    ranked = sorted(log_es, key=lambda segment: -log_es[segment])
    bar = log(len(ranked) / alpha) if ranked else 0.0
    found = [n for n, segment in enumerate(ranked, 1) if log_es[segment] >= bar - log(n)]
    return set(ranked[: max(found, default=0)])
