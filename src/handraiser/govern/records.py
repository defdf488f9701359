"""Consents, refusals, withdrawals and objections from other systems: each kept once, older never over newer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from zoneinfo import ZoneInfo

from handraiser.core import mailbox
from handraiser.core.consent import ALL_PURPOSES, Answer, Entry, Event, Standing, State, dedup_key, evidence_commit
from handraiser.core.consent_record import Record, after_record, after_record_of_all, read_record
from handraiser.core.shop import Shop
from handraiser.errors import Fault, IdempotencyMismatch, Malformed, NotFound, Refused
from handraiser.store import blocks, consent_records, ledger, subjects, wordings
from handraiser.store.consent_records import Held, There, Who
from handraiser.store.database import Database, Transaction
from handraiser.store.ledger import Append, Appended, Change, Suppression
from handraiser.store.ledger_entries import Evidence
from handraiser.store.outbox import event_of
from handraiser.store.subjects import NewSubject, Sealer, Subject
from handraiser.store.wordings import StoredWording
from handraiser.store.writer import Writer

_LEAVES = frozenset({Event.WITHDRAWN, Event.OBJECTED})
_MEANS: Mapping[Event, frozenset[str]] = {
    Event.GRANTED: frozenset({"granted", "renewed", "imported"}),
    Event.REFUSED: frozenset({"refused", "withdrawn", "imported"}),
    Event.WITHDRAWN: frozenset({"withdrawn", "objected", "imported"}),
    Event.OBJECTED: frozenset({"objected", "imported"}),
}
"""Which entries a record can have led to."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One record that a shop tells. ``key`` is an idempotency key; ``subject`` is given where the record names a
    customer id without an address; ``touchpoint`` is ``api`` or ``import``."""

    shop: Shop
    record: Record
    touchpoint: str
    key: str = ""
    subject: Subject | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a record: the entry it is (None: nothing was worth one), the state it left, whether it moved
    that state, and if not, why: ``already``, ``older``, ``left``, ``suppressed``, ``test``."""

    event_id: bytes | None
    state: str
    applied: bool
    reason: str = ""
    mismatch: bool = False


class Records:
    """Takes records one by one, or many in one commit."""

    def __init__(
        self,
        *,
        database: Database,
        writer: Writer,
        sealer: Sealer,
        pepper: tuple[int, bytes],
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        """``pepper`` is (id, secret), as it finds mailboxes."""
        self._database, self._writer, self._sealer = database, writer, sealer
        self._pepper, self._clock, self._new_id = pepper, clock, new_id

    async def purposes(self, shop: Shop) -> frozenset[str]:
        """The names of the company's live purposes."""
        rows = await blocks.purposes(self._database, shop.controller.id)
        return frozenset(row.slug for row in rows if row.live)

    async def take(self, shop: Shop, body: object, *, key: str = "", test: bool = False) -> Taken:
        """One record of ``POST /v1/consents``.

        The same record, or the same ``key``, again is the same entry. With ``test`` it is checked and nothing is kept.
        Raises :class:`Refused` naming every fault, :class:`NotFound` for a customer id nobody knows,
        :class:`IdempotencyMismatch` and :class:`StoreUnavailable`.
        """
        faults: list[Fault] = []
        if not isinstance(body, dict):
            raise Malformed([Fault("", "wrong_type", "send one object")])
        record = read_record(body, await self.purposes(shop), self._clock(), ZoneInfo(shop.time_zone), faults=faults)
        if record is None:
            raise Refused(faults)
        subject = None if record.email else await self._known(shop, record.customer_id)
        if test:
            return Taken(None, State.NONE, applied=False, reason="test")
        taken: Taken = await self._writer.write(self._take, Telling(shop, record, "api", key, subject))
        if taken.mismatch:
            raise IdempotencyMismatch("this key came with another record")
        return taken

    async def _known(self, shop: Shop, customer_id: str) -> Subject:
        found = await subjects.by_external_id(self._database, shop.controller.id, shop.id, customer_id)
        if not found or found[0].erased_at is not None:
            raise NotFound("nothing is known of this customer; send the email address with it")
        return found[0]

    async def _take(self, tx: Transaction, tellings: Sequence[Telling]) -> list[Taken]:
        taken = await self.take_all(tx, tellings)
        await consent_records.keep_told(tx, {one.shop.controller.id for one in tellings}, self._clock())
        return taken

    async def take_all(self, tx: Transaction, tellings: Sequence[Telling]) -> list[Taken]:
        """Keep these records, in this order, in the caller's transaction."""
        now = self._clock()
        lookups = [self._lookup(one) for one in tellings]
        barred = await consent_records.suppressed(
            tx, [(t.shop.controller.id, lookup) for t, lookup in zip(tellings, lookups, strict=True) if lookup]
        )
        ids = await self._subjects(tx, tellings, lookups, barred, now)
        whose = [(t.shop.controller.id, one) for t, one in zip(tellings, ids, strict=True) if one]
        keeping = _Keeping(await consent_records.standings(tx, whose), barred)
        there = await consent_records.there(
            tx, [key for t, one in zip(tellings, ids, strict=True) if one and (key := _dedup(t, one, keeping))]
        )
        answers: list[Taken | int] = []
        for telling, lookup, subject_id in zip(tellings, lookups, ids, strict=True):
            if subject_id is None:
                answers.append(Taken(None, State.OBJECTED, applied=False, reason="suppressed"))
                continue
            found = there.get(_dedup(telling, subject_id, keeping))
            answers.append(
                _repeated(telling, subject_id, found, keeping)
                if found
                else self._decide(telling, subject_id, lookup, keeping, now)
            )
        await wordings.put(tx, [*keeping.wordings.values()])
        await ledger.suppress(tx, keeping.suppressions)
        written = await ledger.append(tx, keeping.appends)
        await consent_records.name_customers(tx, _names(tellings, ids, now))
        return [one if isinstance(one, Taken) else _taken(written[one], keeping.outcomes[one]) for one in answers]

    def _lookup(self, telling: Telling) -> bytes | None:
        if telling.subject is not None:
            return telling.subject.lookup
        return mailbox.lookup(self._pepper[1], telling.shop.controller.id, telling.record.email)

    async def _subjects(
        self,
        tx: Transaction,
        tellings: Sequence[Telling],
        lookups: Sequence[bytes | None],
        barred: set[tuple[bytes, bytes]],
        now: int,
    ) -> list[bytes | None]:
        """Whose each record is. Of an unknown mailbox that nobody may ask nothing more is kept: it may have been
        erased, and an old list must not bring its address back."""
        wanted = [(t.shop.controller.id, lookup or b"") for t, lookup in zip(tellings, lookups, strict=True)]
        known = await subjects.find_by_lookup(tx, wanted)
        fresh = {
            who: telling.record.email
            for who, telling, one in zip(wanted, tellings, known, strict=True)
            if one is None and telling.subject is None and who not in barred
        }
        rows = [
            NewSubject(who[0], self._new_id(now), who[1], self._pepper[0], self._sealer.seal(who[0], address), now)
            for who, address in fresh.items()
        ]
        made = dict(zip(fresh, await subjects.ensure(tx, rows), strict=True)) if rows else {}
        return [
            t.subject.id if t.subject else one.id if one else made.get(who)
            for who, t, one in zip(wanted, tellings, known, strict=True)
        ]

    def _decide(
        self, telling: Telling, subject_id: bytes, lookup: bytes | None, keeping: _Keeping, now: int
    ) -> Taken | int:
        """What a record leads to now: an answer, or the number of the append that will answer it."""
        record, controller_id = telling.record, telling.shop.controller.id
        who = (controller_id, subject_id)
        at = now if record.occurred_at is None else record.occurred_at
        standings = keeping.standings(who, record.channel)
        barred = lookup is not None and (controller_id, lookup) in keeping.barred
        answers: tuple[tuple[str, Answer], ...]
        if record.purpose == ALL_PURPOSES:
            answers = after_record_of_all(standings, record.event, at)
        else:
            answers = ((record.purpose, after_record(standings, record.purpose, record.event, at, suppressed=barred)),)
        kept = [(purpose, answer) for purpose, answer in answers if answer.event is not None]
        suppress = None
        leaves = record.event is Event.OBJECTED or (record.purpose == ALL_PURPOSES and record.event in _LEAVES)
        if leaves and record.channel == "email" and lookup and not any(a.reason == "older" for _, a in answers):
            suppress = Suppression(lookup, at, record.event)
            keeping.barred.add((controller_id, lookup))
        if not kept:
            if suppress is not None:
                keeping.suppressions.append((controller_id, suppress))
            return _unchanged(standings, answers)
        changes = tuple(
            self._change(telling, subject_id, purpose, answer, at, now, keeping) for purpose, answer in kept
        )
        told = tuple(
            event_of(change.entry, self._new_id(now))
            for change in changes
            if change.entry.event != Event.IMPORTED and (telling.touchpoint == "api" or change.entry.event in _LEAVES)
        )
        return keeping.add(Append(changes, told, suppress), kept[0][1])

    def _change(
        self,
        telling: Telling,
        subject_id: bytes,
        purpose: str,
        answer: Answer,
        at: int,
        now: int,
        keeping: _Keeping,
    ) -> Change:
        assert answer.event is not None
        record, controller_id = telling.record, telling.shop.controller.id
        own = keeping.held((controller_id, subject_id), record.channel, purpose)
        applied = answer.event is not Event.IMPORTED
        evidence = Evidence(secrets.token_bytes(16), dict(record.evidence)) if record.evidence else None
        entry = Entry(
            event_id=self._new_id(now),
            controller_id=controller_id,
            subject_id=subject_id,
            purpose=purpose,
            channel=record.channel,
            event=answer.event,
            occurred_at=at,
            received_at=now,
            recorded_at=now,
            dedup_key=_dedup(telling, subject_id, keeping, purpose)[1],
            jurisdiction=record.country or telling.shop.default_country,
            touchpoint=telling.touchpoint,
            wording_id=keeping.wording(controller_id, record, now),
            method="import",
            verdict_reasons=() if applied else (record.event, answer.reason),
            actor="agent",
            actor_id=telling.shop.slug,
            supersedes_seq=own.seq if own and applied else None,
            evidence_commit=evidence_commit(evidence.salt, evidence.content) if evidence else None,
            state=answer.state if applied else "",
        )
        if applied:
            standing = Standing(purpose, answer.state, at, None, entry.event_id)
            keeping.move((controller_id, subject_id), Held(record.channel, standing, None))
        return Change(entry, answer.state if applied else None, None, evidence)


@dataclass(slots=True)
class _Keeping:
    """What one transaction knows and is going to write; a record is decided on what those before it led to."""

    known: dict[Who, list[Held]]
    barred: set[tuple[bytes, bytes]]
    appends: list[Append] = field(default_factory=list)
    outcomes: list[Answer] = field(default_factory=list)
    wordings: dict[tuple[bytes, bytes], StoredWording] = field(default_factory=dict)
    suppressions: list[tuple[bytes, Suppression]] = field(default_factory=list)

    def standings(self, who: Who, channel: str) -> list[Standing]:
        return [one.standing for one in self.known[who] if one.channel == channel]

    def held(self, who: Who, channel: str, purpose: str) -> Held | None:
        mine = (one for one in self.known[who] if one.channel == channel and one.standing.purpose == purpose)
        return next(mine, None)

    def move(self, who: Who, held: Held) -> None:
        old = self.held(who, held.channel, held.standing.purpose)
        self.known[who] = [one for one in self.known[who] if one is not old] + [held]

    def add(self, append: Append, answer: Answer) -> int:
        self.appends.append(append)
        self.outcomes.append(answer)
        return len(self.appends) - 1

    def wording(self, controller_id: bytes, record: Record, now: int) -> bytes | None:
        if not record.wording:
            return None
        content = json.dumps({"text": record.wording, "language": record.language}, ensure_ascii=False, sort_keys=True)
        identity = sha256(content.encode()).digest()
        self.wordings[controller_id, identity] = StoredWording(controller_id, identity, record.language, content, now)
        return identity


def _dedup(telling: Telling, subject_id: bytes, keeping: _Keeping, purpose: str = "") -> tuple[bytes, bytes]:
    """What makes a record the same: its key, else what it says and when, else what it says after what."""
    record, shop = telling.record, telling.shop
    of = purpose or record.purpose
    if telling.key:
        return (shop.controller.id, dedup_key(shop.id, "key", telling.key, *([of] if record.purpose == "*" else [])))
    if record.occurred_at is not None:
        last: bytes | str = str(record.occurred_at)
    else:
        held = keeping.held((shop.controller.id, subject_id), record.channel, of)
        last = held.standing.event_id if held else b""
    return (shop.controller.id, dedup_key(subject_id, "record", of, record.channel, record.event, last))


def _repeated(telling: Telling, subject_id: bytes, found: There, keeping: _Keeping) -> Taken:
    record = telling.record
    same = (found.subject_id, found.channel) == (subject_id, record.channel) and found.event in _MEANS[record.event]
    if record.purpose != ALL_PURPOSES:
        same = same and found.purpose == record.purpose
    held = keeping.held((telling.shop.controller.id, subject_id), found.channel, found.purpose)
    state = held.standing.state if held else State.NONE
    return Taken(found.event_id, state, found.event != Event.IMPORTED, "already", mismatch=not same)


def _taken(appended: object, answer: Answer) -> Taken:
    assert isinstance(appended, Appended)
    return Taken(appended.entry.event_id, answer.state, answer.event is not Event.IMPORTED, answer.reason)


def _unchanged(standings: Sequence[Standing], answers: Sequence[tuple[str, Answer]]) -> Taken:
    """The answer to a record that changes nothing."""
    if not answers:
        stay = any(one.state is State.GRANTED for one in standings)
        return Taken(None, State.GRANTED if stay else State.OBJECTED, False, "older" if stay else "already")
    purpose, answer = answers[0]
    event_id = next((one.event_id for one in standings if one.purpose == purpose and one.event_id), None)
    return Taken(event_id, answer.state, False, answer.reason)


def _names(
    tellings: Sequence[Telling], ids: Sequence[bytes | None], now: int
) -> list[tuple[bytes, bytes, str, bytes, int]]:
    named = {
        (t.shop.controller.id, t.shop.id, t.record.customer_id): one
        for t, one in zip(tellings, ids, strict=True)
        if one and t.record.customer_id and t.subject is None
    }
    return [(*key, one, now) for key, one in named.items()]
