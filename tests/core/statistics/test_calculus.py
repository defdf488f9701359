"""Roots and integrals are what mathematics says."""

from __future__ import annotations

from math import erf, exp, inf, log, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.statistics.calculus import area, bell, crossing, log_integral, log_sigmoid


@given(st.floats(-50, 50), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_the_integral_of_a_normal_bell_is_known(mode: float, spread: float, height: float):
    found = log_integral(lambda x: height - ((x - mode) / spread) ** 2 / 2, mode, 1 / spread**2)
    assert found == pytest.approx(height + log(spread * sqrt(2 * pi)), abs=1e-12)


def test_the_nodes_of_a_bell_stand_in_order_around_its_mode():
    nodes = bell(lambda x: -x * x / 2, 0.0, 1.0)
    assert [x for x, _ in nodes] == sorted(x for x, _ in nodes)
    assert max(nodes, key=lambda node: node[1]) == (0.0, 1.0)
    assert nodes[0][1] < 1e-16


@given(st.floats(-4, 4), st.floats(0, 8))
def test_the_area_below_a_normal_curve_is_the_error_function(low: float, width: float):
    found = area(lambda x: exp(-x * x / 2) / sqrt(2 * pi), low, low + width, 0.5)
    assert found == pytest.approx((erf((low + width) / sqrt(2)) - erf(low / sqrt(2))) / 2, abs=1e-14)


@given(st.floats(-30, 30), st.sampled_from([-1, 1]))
def test_a_crossing_is_found_whichever_way_the_function_goes(root: float, way: int):
    assert crossing(lambda x: way * (x - root), -40, 40) == pytest.approx(root, abs=1e-10)


@given(st.floats(-700, 700))
def test_a_sigmoid_and_its_mirror_are_one(x: float):
    assert exp(log_sigmoid(x)) + exp(log_sigmoid(-x)) == pytest.approx(1)


def test_a_sigmoid_does_not_overflow():
    assert log_sigmoid(-1e308) == -1e308
    assert log_sigmoid(inf) == 0
