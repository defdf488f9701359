"""How a shop is doing: what passes, what is asked and answered, and where something is stuck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from handraiser.core.confirmation import EVENT
from handraiser.core.shop import Controller, Shop
from handraiser.errors import NotFound
from handraiser.store import shop_status as store
from handraiser.store import shops
from handraiser.store.database import Database
from handraiser.store.shop_status import Recent

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NEWEST = 1_000
"""So many of the newest emails are looked into, none older than a week."""
REASONS_TOLD = 5
_BY_MACHINES = ("bot", "suspect")


class Status:
    """Reads a few bounded queries a shop; it may be asked every minute."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database, self._clock = database, clock

    async def command(self, slug: str) -> list[dict[str, Any]]:
        """The figures of one shop, or of every shop where ``slug`` is empty; raises :class:`NotFound`."""
        found = [one for one in await shops.list_shops(self._database) if slug in ("", one.slug)]
        if slug and not found:
            raise NotFound(f"there is no shop “{slug}”")
        return [await self.of(one) for one in found]

    async def of_company(self, company: Controller) -> list[dict[str, Any]]:
        """The figures of every shop of a company."""
        return [await self.of(one) for one in await shops.list_shops(self._database, company.id)]

    async def of(self, shop: Shop) -> dict[str, Any]:
        """The shop's figures, in JSON's types; shares are between 0 and 1, None where there is nothing to divide by.

        ``newest`` tells of the newest emails (at most :data:`NEWEST`, none older than a week) and what their links led
        to, ``confirmation_mails`` of the newest thousand of the company's last day.
        """
        now, company = self._clock(), shop.controller.id
        async with self._database.reading() as reads:
            recent = await store.newest(reads, company, shop.id, now - 7 * DAY_MS, NEWEST)
            verdicts = await store.verdicts(reads, company, [one.message_id for one in recent])
            week_ago = now - 7 * DAY_MS
            unsealed = await store.unsealed_since(reads, company)
            return {
                "shop": shop.slug,
                "mode": shop.mode,
                "last_sent_at": await store.last_sent_at(reads, company, shop.id),
                "last_hour": await store.sent_between(reads, company, shop.id, now - HOUR_MS, now + 1),
                "same_hour_last_week": await store.sent_between(reads, company, shop.id, week_ago - HOUR_MS, week_ago),
                "newest": _shares(recent)
                | {
                    "visits": sum(verdicts.values()),
                    "machine_share": _share(sum(verdicts.get(one, 0) for one in _BY_MACHINES), sum(verdicts.values())),
                    "answers": await store.answers(reads, company, recent),
                },
                "confirmation_mails": await store.own_mails(reads, company, shop.id, EVENT, now - DAY_MS, NEWEST),
                "template_revision": recent[0].decision.get("page", "")[:12] if recent else "",
                "catalogue_revision": await store.catalogue_revision(reads, company),
                "unsealed_seconds": 0 if unsealed is None else max(0, now - unsealed) // 1000,
            }


def _shares(recent: Sequence[Recent]) -> dict[str, Any]:
    """What stood in the newest emails, and why nothing did."""
    decisions = [one.decision for one in recent]
    placed = [one["placements"] for one in decisions]
    reasons = Counter(reason for one in decisions for reason in {skip["reason"] for skip in one["skipped"]})
    count = len(recent)
    return {
        "messages": count,
        "with_ask": _share(sum(any(p["legal_class"] == "ask" for p in one) for one in placed), count),
        "would_ask": _share(sum(bool(one.get("would_ask")) for one in decisions), count),
        "unchanged": _share(sum(not one for one in placed), count),
        "skipped": [{"reason": reason, "messages": n} for reason, n in reasons.most_common(REASONS_TOLD)],
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
