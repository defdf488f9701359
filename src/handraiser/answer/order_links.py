"""A link that the shop's own mail template signed leads to the page of an ask, about an order that was told before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from handraiser.answer.asks import same_host
from handraiser.core import payload
from handraiser.core.composed import Composed
from handraiser.core.letter import WEB, Options
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.order_links import OrderLinks
from handraiser.core.order_record import CANCELLED
from handraiser.core.placement import Decision
from handraiser.core.shop import Shop
from handraiser.errors import NotFound
from handraiser.store import messages, orders, shops
from handraiser.store.database import Database
from handraiser.store.orders import StoredOrder
from handraiser.store.subjects import Sealer

PLACE = "order_link"
View = Callable[[Shop, str, object, Options], Awaitable[Composed]]


class OrderDoor:
    """Opens such links. Nothing is decided here but which message the page belongs to."""

    def __init__(
        self, *, database: Database, links: Links, order_links: OrderLinks, sealer: Sealer, view: View
    ) -> None:
        """``view`` decides and records what a page of the shop may show (:meth:`handraiser.enrich.Enrich.view`)."""
        self._database, self._links, self._order_links = database, links, order_links
        self._sealer, self._view = sealer, view

    async def open(self, slug: str, order_id: str, signature: str, host: str) -> str | None:
        """The address of the order's page, the same each time; None when there is nothing to ask now.

        Raises :class:`NotFound` for an unknown shop, another shop's host, a signature that is not the shop's, and an
        order that is not known (yet); and :class:`StoreUnavailable`.
        """
        shop = await shops.by_slug(self._database, slug)
        if shop is None or not same_host(shop.link_base, host) or not self._order_links.fits(shop, order_id, signature):
            raise NotFound("no such link")
        order = await orders.find(self._database, shop.controller.id, shop.id, order_id)
        if order is None:
            raise NotFound("no such link")
        if order.status == CANCELLED:
            return None
        return await self._shown_before(shop, order) or await self._shown_now(shop, order)

    async def _shown_before(self, shop: Shop, order: StoredOrder) -> str | None:
        for message in await messages.by_order(self._database, shop.controller.id, shop.id, order.order_id):
            asks = Decision.from_json(message.decision).placements
            mine = message.touchpoint == f"{WEB}{PLACE}" and message.subject_id == order.subject_id
            if mine and any(one.purpose for one in asks):
                return f"{shop.link_base}/o/{self._links.sign(Link(shop.number, message.id, LinkKind.OPT_IN))}"
        return None

    async def _shown_now(self, shop: Shop, order: StoredOrder) -> str | None:
        body = _body(order, self._sealer.open(shop.controller.id, order.address))
        composed = await self._view(shop, PLACE, body, Options())
        return next((one.url for one in composed.decision.placements if one.url), None)


def _body(order: StoredOrder, address: str) -> dict[str, Any]:
    """The order as the payload of a page view: what an ask may depend on."""
    facts = order.facts
    customer, *others = facts.get("countries") or [order.country]
    told: dict[str, Any] = {
        "id": order.order_id,
        "currency": order.currency,
        "placed_at": datetime.fromtimestamp(order.placed_at / 1000, UTC).isoformat(),
        "lines": [{"name": name, "category": name} for name in facts.get("categories", ())],
        **{f"{of}_address": {"country": one} for of, one in zip(("billing", "shipping"), others, strict=False)},
    }
    if order.value_minor is not None:
        told["total"] = payload.amount_of(order.value_minor, order.currency)
    who = {"id": facts.get("customer_id"), "locale": facts.get("locale"), "segments": facts.get("segments")}
    return {"customer": {"email": address, "country": customer or None, "kind": order.kind, **who}, "order": told}
