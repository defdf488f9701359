"""Consents lapse that waited too long for their confirmation, and grants whose time is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from handraiser.core import consent
from handraiser.core.consent import CONFIRM_LIFE_MS, Event, State
from handraiser.store import ledger, ledger_entries, waiting
from handraiser.store.database import Database
from handraiser.store.ledger import Append, Appended, Change, Standing
from handraiser.store.outbox import event_of
from handraiser.store.writer import Writer

AT_ONCE = 200


class Lapsing:
    """Ends waits and grants. Even two replicas at it would write each end once: its ``dedup_key`` is made of what it
    ends."""

    def __init__(
        self, database: Database, writer: Writer, clock: Callable[[], int], new_id: Callable[[int], bytes]
    ) -> None:
        self._database, self._writer, self._clock, self._new_id = database, writer, clock, new_id

    async def lapse(self) -> int:
        """End every wait older than seven days, and every grant whose market set it an end that has come; returns how
        many this process ended. What its subject answers just now is left to that answer, and looked at again the next
        time. Raises :class:`StoreUnavailable`."""
        waits = await self._all(lambda now: waiting.since_before(self._database, now - CONFIRM_LIFE_MS, AT_ONCE))
        return waits + await self._all(lambda now: waiting.granted_until(self._database, now, AT_ONCE))

    async def _all(self, find: Callable[[int], Awaitable[list[tuple[bytes, bytes, Standing]]]]) -> int:
        lapsed = 0
        while True:
            due = await find(self._clock())
            ended = [await self._end(*one) for one in due]
            lapsed += sum(ended)
            if len(due) < AT_ONCE or not any(ended):
                return lapsed

    async def _end(self, controller_id: bytes, subject_id: bytes, own: Standing) -> bool:
        async with self._database.reading() as session:
            version = await ledger.version_of(session, controller_id, subject_id)
            # The standing again, behind the version: an answer may have come since the list was read.
            found = await ledger.standing_of(session, controller_id, subject_id)
            began = await ledger_entries.by_event_id(session, controller_id, own.event_id)
        if own not in found or began is None:
            return False
        now = self._clock()
        entry = consent.by_the_system(began, Event.LAPSED, event_id=self._new_id(now), now=now, why="lapse")
        change = Change(entry, State.LAPSED, own.message_at)
        event = event_of(entry, self._new_id(now))
        result = await self._writer.write(ledger.append, Append((change,), (event,), version_seen=version))
        return isinstance(result, Appended) and result.first
