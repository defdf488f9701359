"""``GET /v1/experiments/{id}/results``: what an experiment's counts say, as the job computed them; JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.sheet import Rows, sheet, wants_csv
from handraiser.doors.web import Problem, json_response
from handraiser.errors import Fault
from handraiser.results import Results as Story

_DETAILS = ("", "bayes")
_COLUMNS = (
    *("experiment", "state", "dimension", "value", "arm", "customers", "opt_ins", "rate", "rate_low", "rate_high"),
    *("control_customers", "control_opt_ins", "lift", "lift_low", "lift_high", "p"),
    *("extra_per_1000", "extra_low", "extra_high", "stands_out"),
)


class Results:
    """Results of the company's experiments that this shop takes part in."""

    def __init__(self, results: Story, keys: Keys) -> None:
        self._results = results
        self._keys = keys

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/experiments/{experiment_id}/results",
                self.of,
                "reports",
                "What an experiment says",
                "Who converts more, right at every look: each arm's customers and human opt-ins, lift and extra "
                "opt-ins per 1,000 with intervals that always hold, guardrails, machines, segments, and one of six "
                "words. Computed by a job every few minutes (`computed_at`). `detail=bayes` adds numbers that describe "
                "and do not decide. `Accept: text/csv` gives a table: a row for each arm, then for each segment.",
                parameters=(
                    Parameter("experiment_id", "path", "The test's key or id", {"type": "string"}),
                    Parameter("detail", "query", "bayes: a description besides", {"enum": list(_DETAILS)}),
                ),
                answer="Results",
                csv=True,
                answers=frozenset({404}),
            ),
        )

    async def of(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "reports")
        detail = request.query.get("detail", "")
        if detail not in _DETAILS:
            raise Problem(422, faults=[Fault("detail", "bad_value", "bayes, or leave it out")])
        name = request.match_info["experiment_id"]
        told = await self._results.of(caller.shop, name, bayes=detail == "bayes")
        return sheet(_rows(told)) if wants_csv(request) else json_response(told)


def _rows(told: Mapping[str, Any]) -> Rows:
    """Each arm of all customers, then of each segment, with the lift over the control beside it."""
    whole = {"experiment": told["key"], "state": told["state"]}
    lifts = {one["arm"]: one for one in told["comparisons"]}
    rows = [
        {**_named(whole | {"dimension": "", "value": ""} | lifts.get(one["arm"], {}) | one), **_beside(one)}
        for one in told["arms"]
    ]
    rows += [{**_named(whole | one), **dict.fromkeys(_beside(told["arms"][0]))} for one in told["segments"]]
    return rows


def _named(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given.get(name) for name in _COLUMNS}


def _beside(arm: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of all customers of an arm alone."""
    guardrails = {name: one["count"] for name, one in arm["guardrails"].items()}
    return {
        "so_far_customers": arm["so_far"]["customers"],
        "so_far_opt_ins": arm["so_far"]["opt_ins"],
        **guardrails,
        "machine_share": arm["clicks"]["machine_share"],
    }
