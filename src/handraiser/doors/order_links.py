"""``GET /k/{shop}/{order}.{sig}``: the link that a shop's own mail template signs; it leads to the page of ``/o``."""

from __future__ import annotations

from aiohttp import web

from handraiser.answer import OrderDoor
from handraiser.doors import page_notices as notices
from handraiser.doors.page_frame import Frame
from handraiser.errors import NotFound, StoreUnavailable


class OrderLinkPage:
    """Nothing is answered here: opening the link counts as an ask that was shown, and is no press."""

    def __init__(self, orders: OrderDoor, frame: Frame) -> None:
        self._orders = orders
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        return [web.get(r"/k/{shop:[a-z0-9-]{1,40}}/{order:[\s\S]*}", self.open)]

    async def open(self, request: web.Request) -> web.Response:
        """To the page, by 303; what is unknown gets the bytes of any other unknown link."""
        order_id, _, signature = request.match_info["order"].rpartition(".")
        try:
            page = await self._orders.open(
                request.match_info["shop"], order_id, signature, request.headers.get("Host", "")
            )
        except NotFound:
            return self._frame.unknown(request)
        except StoreUnavailable:
            return self._frame.plain(request, None, notices.unavailable, 503)
        if page is None:
            return self._frame.plain(request, None, notices.nothing_to_ask, 200)
        return web.Response(
            status=303, headers={"Location": page, "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}
        )
