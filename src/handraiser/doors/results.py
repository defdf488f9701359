"""``GET /v1/experiments/{id}/results``: what an experiment's counts say, as the job computed them last."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import Problem, json_response
from handraiser.errors import Fault
from handraiser.results import Results as Story

_DETAILS = ("", "bayes")


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
                "and do not decide.",
                parameters=(
                    Parameter("experiment_id", "path", "The test's key or id", {"type": "string"}),
                    Parameter("detail", "query", "bayes: a description besides", {"enum": list(_DETAILS)}),
                ),
                answer="Results",
                answers=frozenset({404}),
            ),
        )

    async def of(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "reports")
        detail = request.query.get("detail", "")
        if detail not in _DETAILS:
            raise Problem(422, faults=[Fault("detail", "bad_value", "bayes, or leave it out")])
        name = request.match_info["experiment_id"]
        return json_response(await self._results.of(caller.shop, name, bayes=detail == "bayes"))
