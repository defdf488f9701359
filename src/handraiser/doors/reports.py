"""``/v1/reports``: opt-in rate, the baseline before the first ask, lifetime value; JSON, or CSV by Accept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from handraiser.core.kpi_report import BY
from handraiser.core.shop import Shop
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.sheet import Rows, sheet, wants_csv
from handraiser.doors.web import Problem, json_response
from handraiser.kpi import Kpi

_DAY = {"type": "string", "format": "date"}
_SPAN = (
    Parameter("from", "query", "The first day (UTC) of the first asks to look at", _DAY),
    Parameter("to", "query", "The last day", _DAY),
    Parameter(
        "shop", "query", "Another shop of the company, by its slug; needs a key of an administrator", {"type": "string"}
    ),
)
_FORMS = "`Accept: text/csv` gives a table. Read from counts that a job keeps (`counted_at`)."

Answer = Callable[[Shop, Mapping[str, str]], Awaitable[dict[str, Any]]]


class Reports:
    """Reads counts; asking often costs little."""

    def __init__(self, kpi: Kpi, keys: Keys) -> None:
        self._kpi, self._keys = kpi, keys

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/reports/opt-in-rate",
                self.opt_in_rate,
                "reports",
                "How many of those asked opted in",
                "Opt-ins that a person pressed, of the customers asked, of those who could have been asked, and of all "
                "seen; how many asks that took; how many still stand after 30 and 90 days. A customer counts once, on "
                f"the day of the first ask, as it was then. {_FORMS}",
                parameters=(
                    Parameter(
                        "by", "query", f"One of {', '.join(BY)}; besides it month and customer_kind", {"type": "string"}
                    ),
                    *_SPAN,
                ),
                answer="OptInRate",
                csv=True,
            ),
            Operation(
                "GET",
                "/v1/reports/baseline",
                self.baseline,
                "reports",
                "What was before the first ask",
                "Consented or not among the customers that the company knew, and opt-ins beside purchases and views of "
                f"the thank-you page, until the day before the shop's first ask. {_FORMS}",
                parameters=_SPAN,
                answer="Baseline",
                csv=True,
            ),
            Operation(
                "GET",
                "/v1/reports/lifetime_value",
                self.lifetime_value,
                "reports",
                "What customers bought since",
                "Orders and revenue (net of refunds, in the shop's currency) per customer since the first exposure, by "
                "arm of every test and of the holdout, each with the difference from the control; and of those who "
                f"opted in beside those who did not, which says nothing about the cause. {_FORMS}",
                parameters=_SPAN,
                answer="LifetimeValue",
                csv=True,
            ),
        )

    async def opt_in_rate(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._kpi.opt_in_rate, lambda told: told["rows"] or [told["total"]])

    async def baseline(self, request: web.Request) -> web.Response:
        return await self._answer(
            request,
            self._kpi.baseline,
            lambda told: [{"first_ask_on": told["first_ask_on"], **told["customers"], **told["purchases"]}],
        )

    async def lifetime_value(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._kpi.lifetime_value, _arms)

    async def _answer(self, request: web.Request, ask: Answer, rows: Callable[[dict[str, Any]], Rows]) -> web.Response:
        caller = await self._keys.caller(request, "reports")
        given = dict(request.query)
        shop = given.get("shop", "")
        if shop not in ("", caller.shop.slug) and "admin" not in caller.key.scopes:
            raise Problem(403, "This key reads its own shop's reports; another shop's need the scope “admin”.")
        told = await ask(await self._kpi.sister(caller.shop, shop), given)
        if wants_csv(request):
            return sheet(rows(told))
        return json_response(told)


def _arms(told: Mapping[str, Any]) -> Rows:
    """Every arm as a row, those who opted in first; the difference from the control beside it."""
    rows: Rows = [{"experiment": "opted_in (not causal)", **one} for one in told["opted_in"]["arms"]]
    for experiment in told["experiments"]:
        rows += [{"experiment": experiment["key"], **one} for one in experiment["arms"]]
    more = {(one["key"], arm["arm"]): arm for one in told["experiments"] for arm in one["differences"]}
    for row in rows:
        found = more.get((row["experiment"], row["arm"]), {})
        row |= {"currency": told["currency"]}
        row |= {name: found.get(name) for name in ("control", "revenue_per_customer_more", "low", "high")}
    return rows
