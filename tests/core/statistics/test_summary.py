"""What an experiment's page is told, from tallies in to words out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handraiser.core.assignment import Weights
from handraiser.core.statistics.summary import Clicks, Counted, DayTally, summed_up
from handraiser.core.statistics.verdict import Design

EVEN = Weights(1, (5_000, 5_000))
TODAY = 1_000
OLD = TODAY - 30
WINDOW = 7


def tallies(*arms: tuple[int, int], day: int = OLD, dimension: str = "all", value: str = "", **guards: int):
    of = {"withdrawn": 0, "objected": 0, "not_me": 0} | guards
    return [DayTally(dimension, value, 1, arm, day, n, yes, **of) for arm, (n, yes) in enumerate(arms)]


def told(*rows: DayTally, clicks: tuple[Clicks, ...] = (), arms: int = 2) -> dict[str, Any]:
    parts = (10_000 - 3_333 * (arms - 1), *[3_333] * (arms - 1)) if arms > 2 else EVEN.parts
    design = Design((Weights(1, parts),), WINDOW, mde=0.2)
    found = summed_up(Counted(design, ("plain", "bold", "calm")[:arms], 30_000, rows, clicks, TODAY))
    assert json.loads(json.dumps(found, allow_nan=False)) == found, "whatever it is, JSON can hold it"
    return found


def test_of_nothing_it_says_so_and_nothing_else():
    found = told()
    assert (found["state"], found["words"], found["better"], found["days_left"]) == ("no_data", "no data", [], None)
    assert [(one["customers"], one["rate"]) for one in found["arms"]] == [(0, None), (0, None)]
    assert found["comparisons"][0]["lift_high"] is None
    assert found["segments"] == []
    assert found["bayes"]["arms"] == []


@pytest.mark.parametrize(
    ("plain", "bold", "state", "words", "better"),
    [
        (480, 650, "b_better", "bold is better", ["bold"]),
        (650, 480, "a_better", "plain is better", ["plain"]),
        (20, 26, "too_early", "too early", []),
    ],
)
def test_it_names_the_better_arm(plain: int, bold: int, state: str, words: str, better: list[str]):
    found = told(*tallies((10_000, plain), (10_000, bold)))
    assert (found["state"], found["words"], found["better"]) == (state, words, better)
    (one,) = found["comparisons"]
    assert one["lift"] == pytest.approx(bold / plain - 1)
    assert one["lift_low"] < one["lift"] < one["lift_high"]
    assert one["extra_per_1000"] == pytest.approx((bold - plain) / 10)
    assert one["extra_low"] < one["extra_per_1000"] < one["extra_high"]


def test_it_bounds_what_can_be_left_to_find():
    found = told(*tallies((50_000, 2_500), (50_000, 2_520)))
    assert found["state"] == "any_difference_smaller_than"
    bound = found["comparisons"][0]["smaller_than"]
    assert found["words"] == f"any difference is smaller than {-int(-bound * 100 // 1)} %"
    assert found["days_left"] == 0


def test_a_split_that_is_off_leaves_no_result_and_marks_no_segment():
    found = told(*tallies((10_000, 300), (9_000, 900)), *tallies((900, 10), (90, 90), dimension="country", value="NL"))
    assert (found["state"], found["words"], found["better"]) == ("broken_split", "broken: the split is off", [])
    assert found["split"]["state"] == "broken"
    assert found["split"]["evidence"] > 1_000
    assert found["split"]["p_of_one_look"] < 1e-6
    assert [one["stands_out"] for one in found["segments"]] == [False]


def test_decisions_count_those_whose_window_is_over_and_the_rest_is_told_beside_them():
    found = told(*tallies((1_000, 50), (1_000, 60)), *tallies((400, 3), (400, 200), day=TODAY - 1))
    assert found["state"] == "too_early"
    assert [(one["customers"], one["opt_ins"]) for one in found["arms"]] == [(1_000, 50), (1_000, 60)]
    assert [one["so_far"] for one in found["arms"]] == [
        {"customers": 1_400, "opt_ins": 53},
        {"customers": 1_400, "opt_ins": 260},
    ]
    rate = found["arms"][0]
    assert rate["rate_low"] < rate["rate"] == 0.05 < rate["rate_high"]


def test_days_left_are_those_of_the_planned_size_at_the_last_days_traffic():
    few = [row for day in range(TODAY - 20, TODAY) for row in tallies((500, 25), (500, 25), day=day)]
    more = [row for day in range(TODAY - 20, TODAY) for row in tallies((700, 35), (700, 35), day=day)]
    assert 0 < told(*more)["days_left"] < told(*few)["days_left"]
    assert told(*tallies((100, 5), (100, 5), day=TODAY))["days_left"] is None, "nobody knows before a day is over"


def test_guardrails_and_machines_stand_beside_each_arm():
    clicks = (Clicks(0, "human", 30), Clicks(0, "bot", 10), Clicks(1, "suspect", 5))
    found = told(*tallies((1_000, 50), (1_000, 60), withdrawn=4, not_me=1), clicks=clicks)
    assert found["arms"][0]["guardrails"]["withdrawal"]["count"] == 4
    assert found["arms"][0]["guardrails"]["not_me"]["rate"] == 0.001
    assert found["arms"][0]["clicks"] == {"human": 30, "suspect": 0, "bot": 10, "machine_share": 0.25}
    assert found["arms"][1]["clicks"]["machine_share"] == 0
    assert told(*tallies((10, 0), (10, 0)))["arms"][0]["clicks"]["machine_share"] is None


def test_a_segment_is_marked_when_it_stands_out_beside_all_others():
    rows = tallies((20_000, 1_000), (20_000, 1_090))
    rows += tallies((5_000, 250), (5_000, 450), dimension="customer_kind", value="new")
    rows += tallies((5_000, 250), (5_000, 254), dimension="customer_kind", value="current")
    for n in range(8):
        rows += tallies((2_000, 100), (2_000, 100 + n), dimension="segment", value=f"s{n}")
    marked = {one["value"] for one in told(*rows)["segments"] if one["stands_out"]}
    assert marked == {"new"}
    assert len(told(*rows)["segments"]) == 10


def test_every_further_arm_is_compared_with_the_control_and_needs_more():
    two = told(*tallies((10_000, 500), (10_000, 606)))
    three = told(*tallies((10_000, 500), (9_990, 606), (9_990, 500)), arms=3)
    assert [one["arm"] for one in three["comparisons"]] == ["bold", "calm"]
    assert three["comparisons"][0]["lift_low"] < two["comparisons"][0]["lift_low"]
    won = told(*tallies((10_000, 400), (9_990, 700), (9_990, 400)), arms=3)
    assert (won["state"], won["better"], won["words"]) == ("b_better", ["bold"], "bold is better")
    both = told(*tallies((10_000, 400), (9_990, 700), (9_990, 680)), arms=3)
    assert both["words"] == "bold and calm are better"


def test_bayesian_numbers_say_that_they_do_not_decide():
    found = told(*tallies((1_000, 50), (1_000, 60)))["bayes"]
    assert "description only" in found["note"]
    assert found["arms"][0]["chance_to_win"] == pytest.approx(0.84, abs=0.03)
