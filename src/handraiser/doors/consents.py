"""``/v1/consents``: where a customer stands, for the shop's other systems."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from handraiser.doors.api import read_address
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import Problem, json_response
from handraiser.errors import Fault
from handraiser.report import Report
from handraiser.settings import Settings


class Consents:
    """Standing and ledger entries of one customer; 404 for one nobody knows, or who was erased."""

    def __init__(self, report: Report, keys: Keys, settings: Settings) -> None:
        self._report = report
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/consents",
                self.by_customer,
                "consents",
                "Where a customer stands",
                "The standing of each purpose (email channel), other channels, and every entry of the ledger.",
                parameters=(
                    Parameter("customer_id", "query", "Your own id of the customer", {"type": "string"}, required=True),
                ),
                answer="Consents",
            ),
            Operation(
                "POST",
                "/v1/consents/search",
                self.by_address,
                "consents",
                "Where an address stands",
                "The same by address, guests included. The address stands in the body, never in a URL.",
                request="Search",
                answer="Consents",
            ),
        )

    async def by_customer(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        customer_id = request.query.get("customer_id", "")
        if not customer_id:
            raise Problem(422, faults=[Fault("customer_id", "missing", "name the customer: ?customer_id=…")])
        return json_response(await self._report.consents_of_customer(caller.shop, customer_id))

    async def by_address(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        return json_response(await self._report.consents_of(caller.shop, await read_address(request, self._settings)))
