"""Taking back a withdrawal that was a mistake: on the page that confirmed it, by a person's judged press alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from handraiser.answer.asks import Opened, Visit
from handraiser.answer.leaving import TRIES
from handraiser.answer.visits import Visits, shown
from handraiser.core import consent
from handraiser.core.consent import Entry, Event, State
from handraiser.core.market import Markets
from handraiser.core.person import Judgement
from handraiser.errors import StoreError, StoreUnavailable
from handraiser.store import ledger, ledger_entries, subjects
from handraiser.store.database import Database
from handraiser.store.ledger import Append, Appended, Change
from handraiser.store.ledger_entries import Evidence
from handraiser.store.outbox import event_of
from handraiser.store.sql import Reads
from handraiser.store.writer import Writer

Outcome = Literal["back", "doubtful", "late"]


class Undoing:
    """Grants again what a withdrawal of the last hour ended; the withdrawal stays in the ledger."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        visits: Visits,
        markets: Markets,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self._database, self._writer, self._visits = database, writer, visits
        self._markets, self._clock, self._new_id = markets, clock, new_id

    async def offered(self, opened: Opened) -> bool:
        """Whether there is anything to take back; False while the database is gone."""
        if opened.shop is None:
            return False
        try:
            entries = await ledger_entries.of_subject(self._database, opened.shop.controller.id, opened.link.id)
        except StoreError:
            return False
        return bool(consent.retractable(entries, self._clock()))

    async def undo(self, opened: Opened, visit: Visit, notice_id: bytes) -> Outcome:
        """Grant again: ``back``, also when it was done before; ``doubtful`` when the press may be a script's; ``late``
        when there is nothing to take back any more. Raises :class:`StoreUnavailable` when it was not kept."""
        assert opened.shop is not None
        judgement = self._visits.judge(opened, visit)
        controller_id, subject_id = opened.shop.controller.id, opened.link.id
        for _ in range(TRIES):
            async with self._database.reading() as session:
                version = await ledger.version_of(session, controller_id, subject_id)
                entries = await ledger_entries.of_subject(session, controller_id, subject_id)
                ended = consent.retractable(entries, self._clock())
                lift = await _lift(session, controller_id, subject_id, {left.occurred_at for left, _ in ended})
            if not ended:
                granted = any(one.state == State.GRANTED for one in consent.folded(entries).values())
                return "back" if granted else "late"
            if not judgement.attested or judgement.verdict == "bot":
                return "doubtful"
            now = self._clock()
            changes = tuple(self._change(left, gave, opened, visit, judgement, notice_id, now) for left, gave in ended)
            told = tuple(event_of(change.entry, self._new_id(now)) for change in changes)
            row = Append(changes, told, lift=lift, version_seen=version)
            if isinstance(await self._writer.write(ledger.append, row), Appended):
                return "back"
        raise StoreUnavailable("the customer's other answers did not settle")

    def _change(
        self,
        left: Entry,
        gave: Entry,
        opened: Opened,
        visit: Visit,
        judgement: Judgement,
        notice_id: bytes,
        now: int,
    ) -> Change:
        """The grant once more: the same text and rules, this press and page."""
        assert opened.shop is not None
        market = self._markets.under(opened.shop.market_overrides).strictest(gave.jurisdiction.split("+"))
        evidence = Evidence(secrets.token_bytes(16), shown(visit, market.store_ip))
        entry = replace(
            gave,
            event_id=self._new_id(now),
            event=Event.GRANTED,
            occurred_at=now,
            received_at=now,
            recorded_at=now,
            dedup_key=consent.dedup_key(left.event_id, "undo"),
            touchpoint=consent.LEAVE_PAGE,
            link_kind=int(opened.link.kind),
            notice_id=notice_id,
            method="button",
            attestation=judgement.attestation,
            verdict=judgement.verdict,
            verdict_reasons=(*judgement.reasons, "undo"),
            actor="subject",
            actor_id="",
            supersedes_seq=left.seq,
            evidence_commit=consent.evidence_commit(evidence.salt, evidence.content),
            seq=None,
        )
        return Change(entry, State.GRANTED, gave.message_at, evidence)


async def _lift(reads: Reads, controller_id: bytes, subject_id: bytes, times: set[int]) -> tuple[bytes, str] | None:
    """The suppression that came with a withdrawal of one of these times; one that has stood for longer stays."""
    (subject,) = await subjects.find(reads, [(controller_id, subject_id)])
    if subject is None or subject.lookup is None:
        return None
    standing = await ledger.suppressions_of(reads, controller_id, subject.lookup)
    own = (one for one in standing if one.reason == "left" and one.since in times)
    return next(((one.lookup, one.scope) for one in own), None)
