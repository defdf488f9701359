"""Whether subjects were split as the weights say: if not, something loses them, and no result can be trusted.

Source: Lindon & Malek, NeurIPS 2022, arXiv:2011.03567 (sequential test of sample ratio mismatch).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, pi, sqrt

WARN = log(100)
"""ln of the evidence from which a result carries a warning: one sound experiment in 100 at most ever gets there."""

BROKEN = log(1_000)
"""ln of the evidence from which there is no result."""

_STRENGTHS = (1e3, 1e5, 1e7)
"""Gross, small and tiny mismatches; the evidence is the mean over the three."""


def log_e(exposed: Sequence[int], parts: Sequence[int], strengths: Sequence[float] = _STRENGTHS) -> float:
    """ln of the evidence that first exposures do not follow the weights ``parts``; of several versions the sum counts.

    An e-process, so it may be looked at daily. A subject of an arm without weight is proof: infinite.
    """
    if any(count and not part for count, part in zip(exposed, parts, strict=True)):
        return float("inf")
    shares = [(count, part / sum(parts)) for count, part in zip(exposed, parts, strict=True) if part]
    expected = sum(count * log(share) for count, share in shares)
    total = sum(exposed)
    logs = []
    for k in strengths:
        drawn = sum(lgamma(k * share + count) - lgamma(k * share) for count, share in shares)
        logs.append(lgamma(k) - lgamma(k + total) + drawn - expected)
    top = max(logs)
    return top + log(sum(exp(one - top) for one in logs) / len(logs))


def chi_square_p(exposed: Sequence[int], parts: Sequence[int]) -> float:
    """Pearson's chi-square p-value of the same counts: right at one look only, shown because people know it."""
    total, whole = sum(exposed), sum(parts)
    pairs = [(count, total * part / whole) for count, part in zip(exposed, parts, strict=True) if part]
    if not total or len(pairs) < 2:
        return 1.0
    return _chi_square_tail(sum((count - mean) ** 2 / mean for count, mean in pairs), len(pairs) - 1)


def _chi_square_tail(x: float, freedom: int) -> float:
    """P(χ² > x), by the recurrence in steps of two degrees of freedom (Abramowitz & Stegun 26.4.8)."""
    covered = freedom % 2
    tail = erfc(sqrt(x / 2)) if covered else 0.0
    term = exp(-x / 2) * (sqrt(2 * x / pi) if covered else 1.0)
    while covered < freedom:
        tail += term
        covered += 2
        term *= x / covered
    return min(1.0, tail)
