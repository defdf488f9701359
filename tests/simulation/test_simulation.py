"""``make simulate`` in short: few experiments of each kind, the same limits."""

from __future__ import annotations

from outcomes import outcomes


def test_daily_looks_keep_their_promises_and_the_usual_test_does_not():
    assert [
        one for one in outcomes(scale=0.05, rates=(0.005, 0.1), traffic=(100, 1_000, 10_000)) if not one.holds
    ] == []
