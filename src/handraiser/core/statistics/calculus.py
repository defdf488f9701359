"""The little calculus the rest needs: roots by bisection, integrals of bell-shaped functions by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import copysign, exp, inf, log, log1p, sqrt

Function = Callable[[float], float]

_NEGLIGIBLE = 40.0
"""Where a density has fallen by e^40 from its top, nothing of it is left that a double could hold beside the top."""


def log_sigmoid(x: float) -> float:
    """ln(1 / (1 + e^-x)), without overflow."""
    return -log1p(exp(-x)) if x >= 0 else x - log1p(exp(x))


def crossing(function: Function, low: float, high: float, tolerance: float = 1e-12) -> float:
    """Where a monotone function crosses zero between ``low`` and ``high``, to ``tolerance`` (relative beyond 1).

    Source: Ridders, "A new algorithm for computing a single root", IEEE Trans. Circuits Syst. 26, 1979: each step at
    least halves what is left, and soon does far better.
    """
    at_low, at_high = function(low), function(high)
    found = inf
    while high - low > (near := tolerance * max(1.0, abs(low), abs(high))):
        middle = (low + high) / 2
        at_middle = function(middle)
        if at_middle == 0:
            return middle
        way = copysign(at_middle, (at_low - at_high) * at_middle)
        last, found = found, middle + (middle - low) * way / sqrt(at_middle * at_middle - at_low * at_high)
        at_found = function(found)
        if at_found == 0 or abs(found - last) < near:
            return found
        points = sorted(((low, at_low), (middle, at_middle), (found, at_found), (high, at_high)))
        (low, at_low), (high, at_high) = next(
            (one, other) for one, other in pairwise(points) if (one[1] > 0) != (other[1] > 0)
        )
    return (low + high) / 2


def bell(log_density: Function, mode: float, curvature: float) -> list[tuple[float, float]]:
    """Nodes of the trapezoid rule under a log-concave bell: places in order, and its height there relative to the mode.

    ``curvature`` is minus the second derivative of ``log_density`` at its ``mode``. For analytic bells the rule
    converges faster than any power of the step (Trefethen & Weideman, SIAM Review 56, 2014).
    """
    step = 1 / (3 * sqrt(curvature))
    top = log_density(mode)
    nodes = [(mode, 1.0)]
    for side in (-step, step):
        x = mode
        while (fall := top - log_density(x := x + side)) < _NEGLIGIBLE:
            nodes.append((x, exp(-fall)))
    return sorted(nodes)


def log_integral(log_density: Function, mode: float, curvature: float) -> float:
    """ln of the integral of e^log_density, a log-concave bell as for :func:`bell`."""
    total = sum(height for _, height in bell(log_density, mode, curvature))
    return log_density(mode) + log(total / (3 * sqrt(curvature)))


_GAUSS = (
    (0.1834346424956498, 0.3626837833783620),
    (0.5255324099163290, 0.3137066458778873),
    (0.7966664774136267, 0.2223810344533745),
    (0.9602898564975363, 0.1012285362903763),
)
"""Nodes and weights of the Gauss–Legendre rule with eight points (Abramowitz & Stegun, table 25.4); both signs."""


def area(function: Function, low: float, high: float, panel: float) -> float:
    """The integral of a smooth function, in panels no wider than ``panel`` (half a standard deviation: 1e-14)."""
    panels = max(1, int((high - low) / panel) + 1)
    half = (high - low) / panels / 2
    total = 0.0
    for n in range(panels):
        middle = low + (2 * n + 1) * half
        total += sum(weight * (function(middle - half * x) + function(middle + half * x)) for x, weight in _GAUSS)
    return total * half
