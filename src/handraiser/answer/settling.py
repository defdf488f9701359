"""Grants that nobody pressed: provisional for two minutes, then firm and told to others, or void.

The outbox holds what is to be settled (carrier ``settle``), written in the grant's own commit; claiming it there is the
lease, so that one replica settles each.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from handraiser.answer.asks import Ask, standings_of
from handraiser.core import consent, person
from handraiser.core.consent import Entry, Event, State
from handraiser.core.person import BURST_MS, SETTLE_MS
from handraiser.store import clicks, ledger, ledger_entries, outbox
from handraiser.store.database import Database, Transaction
from handraiser.store.ledger import Append, Change
from handraiser.store.outbox import OutboxRow, event_of
from handraiser.store.recording import Lost

CARRIER = "settle"
AT_ONCE = 100
LEASE_MS = 30_000


class Settling:
    """Decides what becomes of provisional grants when their time has come."""

    def __init__(self, database: Database, clock: Callable[[], int], new_id: Callable[[int], bytes]) -> None:
        self._database, self._clock, self._new_id = database, clock, new_id

    def later(self, entry: Entry) -> OutboxRow:
        """What is written beside a provisional grant, in place of its event for others."""
        return OutboxRow(
            id=self._new_id(entry.recorded_at),
            controller_id=entry.controller_id,
            event="consent.settle",
            payload={"event_id": str(uuid.UUID(bytes=entry.event_id))},
            created_at=entry.recorded_at,
            due_at=entry.recorded_at + SETTLE_MS,
            carrier=CARRIER,
            subject_id=entry.subject_id,
        )

    async def provisional(self, ask: Ask) -> bool:
        """Whether what was granted stands on a visit alone."""
        if ask.grant != "auto_late" or ask.standing.state is not State.GRANTED or not ask.standing.event_id:
            return False
        entry = await ledger_entries.by_event_id(self._database, ask.shop.controller.id, ask.standing.event_id)
        return entry is not None and entry.method == "auto"

    async def settle(self) -> int:
        """Settle what is due; returns how many grants were decided. What a customer's answer came between waits for
        the next time. Raises :class:`StoreUnavailable`."""
        settled = 0
        while True:
            async with self._database.transaction() as tx:
                due = await outbox.claim(tx, AT_ONCE, self._clock(), LEASE_MS, (CARRIER,))
                done = [row for row in due if await self._decide(tx, row)]
                await outbox.done(tx, [(row.controller_id, row.id, self._clock(), "sent", "") for row in done])
            settled += len(done)
            if len(due) < AT_ONCE:
                return settled

    async def _decide(self, tx: Transaction, row: OutboxRow) -> bool:
        controller_id, now = row.controller_id, self._clock()
        event_id = uuid.UUID(row.payload["event_id"]).bytes
        entry = await ledger_entries.by_event_id(tx, controller_id, event_id)
        if entry is None or entry.message_id is None:
            return True
        version = await ledger.version_of(tx, controller_id, entry.subject_id)
        standings = await standings_of(tx, controller_id, entry.subject_id)
        own = consent.of_purpose(standings, entry.purpose)
        if own.event_id != event_id:
            return True  # pressed, left or erased since: there is nothing provisional any more
        since, until = entry.occurred_at - BURST_MS, entry.occurred_at + SETTLE_MS
        seen = await clicks.between(tx, controller_id, entry.message_id, entry.subject_id, since, until)
        reason = person.against(seen)
        if not reason:
            await outbox.put(tx, [event_of(entry, self._new_id(now))])
            return True
        voided = consent.by_the_system(
            entry, Event.VOIDED, event_id=self._new_id(now), now=now, why="settle", signals=(reason,)
        )
        void = Append((Change(voided, State.VOIDED, own.message_at),), version_seen=version)
        (result,) = await ledger.append(tx, [void])
        return not isinstance(result, Lost)
