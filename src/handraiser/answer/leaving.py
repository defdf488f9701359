"""Leaving: it needs a link and nothing else, and while the database is gone it is kept in the journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from handraiser.answer.asks import Asks, Opened, standings_of
from handraiser.core import consent
from handraiser.core.consent import Entry, Standing
from handraiser.core.links import OUTLIVE_KEYS, Link, LinkKind
from handraiser.core.preference import TOUCHPOINT
from handraiser.errors import NotFound, StoreError, StoreUnavailable
from handraiser.store import ledger, subjects
from handraiser.store.database import Database
from handraiser.store.journal import Journal, Left
from handraiser.store.ledger import Append, Appended, Change, Suppression
from handraiser.store.outbox import event_of
from handraiser.store.writer import Writer

log = logging.getLogger("handraiser.answer")

TRIES = 6
"""How often an answer is decided again because the customer's other answers and emails came between."""


class Leaving:
    """Withdraws, objects, and applies what was journalled."""

    def __init__(
        self,
        *,
        database: Database,
        writer: Writer,
        asks: Asks,
        journal: Journal,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self._database, self._writer, self._asks, self._journal = database, writer, asks, journal
        self._clock, self._new_id = clock, new_id
        self._applying = asyncio.Lock()

    async def leave(self, opened: Opened, *, one_click: bool, purpose: str = "") -> int:
        """Withdraw everything the subject of a withdraw or preferences link gave, and ask it no more; returns when that
        was (ms). With ``purpose`` that one alone ends, and nothing is said of asking.

        Repeating it changes nothing; an unknown or erased subject is answered like any other. While the database is
        gone the link is journalled. Raises :class:`StoreUnavailable` only when the journal cannot take it either.
        """
        assert opened.link.kind in OUTLIVE_KEYS
        at = self._clock()
        try:
            if opened.shop is None:
                raise StoreUnavailable("the shop is not known now")
            method = "one_click" if one_click else "form"
            await self._leave(opened.shop.controller.id, opened.link.id, opened.link, purpose, method=method)
        except StoreError:
            at = await self.keep(opened, purpose)
        return at

    async def apply_journal(self) -> int:
        """Write journalled withdrawals into the ledger; returns how many there were.

        Nothing to do costs nothing. Raises :class:`StoreUnavailable` while the database is still gone; the rest then
        waits on.
        """
        if self._journal.oldest is None:
            return 0
        async with self._applying:
            waiting = await asyncio.to_thread(self._journal.pending)
            applied: list[Left] = []
            try:
                for left in waiting:
                    await self._apply(left)
                    applied.append(left)
            finally:
                await asyncio.to_thread(self._journal.discard, applied)
            return len(applied)

    async def _apply(self, left: Left) -> None:
        shop = await self._asks.shop(left.link.shop_number)
        controller_id = left.controller_id or (shop.controller.id if shop else None)
        if controller_id is None:
            log.error("a journalled withdrawal names no shop", extra={"facts": {"shop": left.link.shop_number}})
        elif left.link.kind in OUTLIVE_KEYS:
            await self._leave(controller_id, left.link.id, left.link, left.purpose, method="journal", at=left.at)
        elif shop is not None:
            try:
                ask = await self._asks.ask(Opened("", left.link, shop))
            except NotFound:
                return
            if not ask.message.test:
                await self._leave(controller_id, ask.subject.id, left.link, ask.purpose, method="journal", at=left.at)

    async def keep(self, opened: Opened, purpose: str = "") -> int:
        """Journal a link whose reader wants to leave; raises :class:`StoreUnavailable` when even that fails."""
        at = self._clock()
        left = Left(opened.link, at, opened.shop.controller.id if opened.shop else None, purpose)
        try:
            await asyncio.to_thread(self._journal.append, left)
        except OSError as error:
            log.error("the withdrawal journal cannot be written", exc_info=error)
            raise StoreUnavailable("neither the database nor the journal takes it") from None
        return at

    async def _leave(
        self,
        controller_id: bytes,
        subject_id: bytes,
        link: Link,
        purpose: str = "",
        *,
        method: str,
        at: int | None = None,
    ) -> None:
        """``purpose`` "" means all; ``at`` is given for what was journalled."""
        for attempt in range(TRIES):
            async with self._database.reading() as session:
                (subject,) = await subjects.find(session, [(controller_id, subject_id)])
                if subject is None or subject.erased_at is not None:
                    return
                version = await ledger.version_of(session, controller_id, subject_id)
                standings = await standings_of(session, controller_id, subject_id)
            now = self._clock()
            # Who turns one of several off still has something; an ask's reader who takes its yes back wants none.
            one_of_several = bool(purpose) and link.kind is LinkKind.PREFERENCES
            suppress = None
            if subject.lookup is not None and not one_of_several:
                suppress = Suppression(subject.lookup, at or now, "left")
            own = [consent.of_purpose(standings, purpose)] if purpose else standings
            ended = consent.after_leaving(own, at, now)
            if one_of_several:
                ended = tuple(one for one in ended if one[0] == purpose)
            changes = [
                await self._leaving(
                    controller_id,
                    standings,
                    purpose if name == consent.ALL_PURPOSES and purpose else name,
                    answer,
                    link,
                    subject_id,
                    method,
                    # Everything at once is the withdraw page's answer wherever its button stands, and is undone there.
                    TOUCHPOINT if one_of_several else consent.LEAVE_PAGE,
                    at or now,
                    now,
                )
                for name, answer in ended
            ]
            if not changes:
                if suppress is not None:
                    await self._writer.write(ledger.suppress, (controller_id, suppress))
                return
            row = Append(
                tuple(changes),
                tuple(event_of(change.entry, self._new_id(now)) for change in changes),
                suppress,
                version_seen=version if attempt < TRIES - 1 else None,
            )
            if isinstance(await self._writer.write(ledger.append, row), Appended):
                return

    async def _leaving(
        self,
        controller_id: bytes,
        standings: Sequence[Standing],
        purpose: str,
        answer: consent.Answer,
        link: Link,
        subject_id: bytes,
        method: str,
        page: str,
        at: int,
        now: int,
    ) -> Change:
        assert answer.event is not None
        own = consent.of_purpose(standings, purpose)
        entry = Entry(
            event_id=self._new_id(now),
            controller_id=controller_id,
            subject_id=subject_id,
            purpose=purpose,
            event=answer.event,
            occurred_at=at,
            received_at=at,
            recorded_at=now,
            dedup_key=consent.dedup_key(subject_id, "leave", purpose, own.event_id),
            touchpoint="list_unsubscribe" if method == "one_click" else page,
            message_id=link.id if link.kind not in OUTLIVE_KEYS else None,
            link_kind=int(link.kind),
            method=method,
            supersedes_seq=await self._asks.seq_of(controller_id, own),
        )
        return Change(entry, answer.state, own.message_at)
