"""``/v1/shops/status``: how the key's shop is doing, or with an administrator's key every shop of its company."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation
from handraiser.doors.web import json_response
from handraiser.govern import Status


class ShopStatus:
    """What passes, what is asked and answered, and where something is stuck."""

    def __init__(self, status: Status, keys: Keys) -> None:
        self._status, self._keys = status, keys

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/shops/status",
                self.status,
                "reports",
                "How a shop is doing",
                "The newest email, emails an hour beside the same hour last week, what stood in the newest thousand "
                "and why nothing did, what their links led to, the confirmation mails of the last day, and what waits "
                "for a seal. A key with the scope “admin” sees every shop of its company.",
                answer="ShopStatuses",
            ),
        )

    async def status(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "reports")
        if "admin" in caller.key.scopes:
            return json_response({"shops": await self._status.of_company(caller.shop.controller)})
        return json_response({"shops": [await self._status.of(caller.shop)]})
