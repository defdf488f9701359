"""How satisfied customers were, told by the system that asked them: the guardrail of every experiment."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from handraiser.core import mailbox
from handraiser.core.feedback import Feedback as Told
from handraiser.core.feedback import read_feedback
from handraiser.core.shop import Shop
from handraiser.errors import NotFound
from handraiser.store import feedback, subjects
from handraiser.store.database import Database
from handraiser.store.feedback import StoredFeedback
from handraiser.store.subjects import Subject
from handraiser.store.writer import Writer


class Feedback:
    """Takes scores of customers that are known already; ``pepper`` finds mailboxes."""

    def __init__(self, database: Database, writer: Writer, pepper: bytes, clock: Callable[[], int]) -> None:
        self._database, self._writer, self._pepper, self._clock = database, writer, pepper, clock

    async def take(self, shop: Shop, body: object, *, test: bool = False) -> str:
        """Keep one score: ``recorded``, ``unchanged`` where its id came before, ``test`` where it is only checked.

        Raises :class:`Refused` naming every fault, :class:`NotFound` for a customer whom nobody knows or who was
        erased, and :class:`StoreUnavailable`.
        """
        now = self._clock()
        told = read_feedback(body, now, ZoneInfo(shop.time_zone))
        subject = await self._whose(shop, told)
        if test:
            return "test"
        row = StoredFeedback(shop.controller.id, shop.id, told.id, subject.id, told.score, told.occurred_at, now)
        return "recorded" if await self._writer.write(feedback.put, row) else "unchanged"

    async def _whose(self, shop: Shop, told: Told) -> Subject:
        found: list[Subject | None] = []
        if told.customer_id:
            found += await subjects.by_external_id(self._database, shop.controller.id, shop.id, told.customer_id)
        if told.email and not found:
            lookup = mailbox.lookup(self._pepper, shop.controller.id, told.email)
            found += await subjects.find_by_lookup(self._database, [(shop.controller.id, lookup)])
        subject = next(iter(found), None)
        if subject is None or subject.erased_at is not None:
            raise NotFound("nothing is known of this customer")
        return subject
