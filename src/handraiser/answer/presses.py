"""One press in, one consent or refusal kept: the face that the customer's pages speak to."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from handraiser.answer.asks import Ask, Asks, Opened, Visit
from handraiser.answer.centre import Centres
from handraiser.answer.confirming import confirmation_message, confirmation_row
from handraiser.answer.lapsing import Lapsing
from handraiser.answer.leaving import TRIES, Leaving
from handraiser.answer.preferences import PreferenceCentre
from handraiser.answer.rates import Rates
from handraiser.answer.settling import Settling
from handraiser.answer.undoing import Outcome, Undoing
from handraiser.answer.visits import Visits, network_of, shown
from handraiser.core import consent
from handraiser.core.consent import Entry, Event, State
from handraiser.core.links import OUTLIVE_KEYS, LinkKind, Links
from handraiser.core.market import Market, Markets
from handraiser.core.person import GATE_MS, Judgement
from handraiser.errors import NotFound, StoreError, StoreUnavailable
from handraiser.store import ledger, messages, policies, waiting
from handraiser.store.database import Database
from handraiser.store.journal import Journal
from handraiser.store.ledger import Append, Appended, Change, Suppression
from handraiser.store.ledger_entries import Evidence
from handraiser.store.messages import StoredMessage
from handraiser.store.outbox import event_of
from handraiser.store.policies import Policy
from handraiser.store.subjects import Sealer
from handraiser.store.writer import Writer

_DAY_MS = 86_400_000
_POLICIES = 2_000


class Action(StrEnum):
    """What a reader can answer on the page."""

    YES = "yes"
    FRESH = "fresh"
    NO = "no"
    NEVER = "never"
    NOT_ME = "not_me"
    UNDO = "undo"


GIVES = frozenset({Action.YES, Action.FRESH})
"""Answers that may lead to a consent: they need the database, and are never kept in the journal."""

_BARS = frozenset({Action.NEVER, Action.NOT_ME})
"""Answers after which a mailbox is asked no more."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of an answer. ``outcome`` is a state, ``already``, ``expired``, ``too_often`` or ``test``; ``ask`` is
    None when the answer was kept in the journal."""

    outcome: str
    ask: Ask | None
    since: int
    reason: str = ""


class Answer:
    """Takes the answers of all shops' customers.

    ``observers`` are told (shop slug, outcome) of each answer, ``visit_observers`` (shop slug, verdict) of each visit.
    """

    def __init__(
        self,
        *,
        database: Database,
        writer: Writer,
        links: Links,
        markets: Markets,
        journal: Journal,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
        pepper: bytes = b"",
        hosting: Sequence[str] = (),
        sealer: Sealer | None = None,
    ) -> None:
        """``pepper`` keys what stands for an order or a network (without it neither is kept); ``hosting`` are networks
        of data centres; ``sealer`` opens the addresses that Enrich sealed."""
        self._database, self._writer, self._links, self._markets = database, writer, links, markets
        self._clock, self._new_id = clock, new_id
        self._asks = Asks(database, links, markets, sealer or Sealer(), clock)
        self._visits = Visits(writer, pepper, clock, hosting)
        self._lapsing = Lapsing(database, writer, clock, new_id)
        self._leaving = Leaving(
            database=database, writer=writer, asks=self._asks, journal=journal, clock=clock, new_id=new_id
        )
        self._undoing = Undoing(database, writer, self._visits, markets, clock, new_id)
        self._rates = Rates(database, self._visits.keyed)
        self._settling = Settling(database, clock, new_id)
        self.preferences = PreferenceCentre(
            centres=Centres(database, self._asks, links, markets, sealer or Sealer(), clock),
            writer=writer,
            asks=self._asks,
            visits=self._visits,
            rates=self._rates,
            leaving=self._leaving,
            press=self._yes,
            clock=clock,
            new_id=new_id,
        )
        self._policies: set[tuple[bytes, bytes]] = set()
        self.observers: list[Callable[[str, str], None]] = []
        self.visit_observers = self._visits.observers

    async def close(self) -> None:
        """Wait for the click log."""
        await self._visits.close()

    async def open(self, token: str, visit: Visit, kinds: frozenset[LinkKind]) -> Opened:
        """The link of a token; see :meth:`handraiser.answer.asks.Asks.open`.

        A visit of a link that leaves is logged here, and nothing follows from its verdict. A honeypot is logged too,
        and is no link to whoever opens it.
        """
        opened = await self._asks.open(token, visit, kinds | {LinkKind.HONEYPOT})
        kind = opened.link.kind
        if opened.shop is not None and kind in (LinkKind.WITHDRAW, LinkKind.HONEYPOT):
            self._visits.judge(opened, visit)
        if kind not in kinds:
            raise NotFound("no such link")
        return opened

    def grants_by_itself(self, ask: Ask) -> bool:
        """Whether this ask may be granted by a visit alone: its promise says so, every country of the message lets it,
        nobody has answered yet, and the mail is older than scanners are fast."""
        age = self._clock() - ask.message.sent_at
        fresh = ask.standing.state in (State.NONE, State.ASKED) and ask.left_at is None
        in_mail = ask.opened.link.kind is LinkKind.OPT_IN and not ask.on_page
        offered = ask.grant == "auto_late" and in_mail and not ask.message.test
        return offered and fresh and not ask.expired and age >= GATE_MS and self._market(ask).grants_by_itself

    def _market(self, ask: Ask) -> Market:
        markets = self._markets.under(ask.shop.market_overrides)
        return markets.strictest(ask.message.market.split("+"))

    async def look(self, opened: Opened, visit: Visit) -> Ask:
        """The ask behind an opt-in or confirmation link; the visit is logged and changes nothing else.

        Raises :class:`NotFound` when its message, ask or subject is gone, :class:`TooMany`, and
        :class:`StoreUnavailable`.
        """
        await self._rates.visit(network_of(visit.remote), self._clock())
        try:
            ask = await self._asks.ask(opened)
        except NotFound:
            self._visits.judge(opened, visit)
            raise
        self._visits.judge(opened, visit, ask)
        return ask

    def nonce(self, opened: Opened, notice_id: bytes) -> str:
        """What the page's form must send back, within 60 minutes; bound to the link and the page as served."""
        return self._links.nonce(opened.link.id + notice_id, self._clock())

    def check_nonce(self, opened: Opened, nonce: str, notice_id: bytes) -> None:
        """Raise :class:`BadNonce` unless the form is one that was served for this link within the last 60 minutes."""
        self._links.check_nonce(nonce, opened.link.id + notice_id, self._clock())

    async def press(self, opened: Opened, visit: Visit, action: Action, notice_id: bytes | None) -> Told:
        """Take an answer and keep it; the same answer again is the same entry.

        ``notice_id`` is the hash of the page it was given on. Raises :class:`NotFound` as :meth:`look` does; for a
        "yes" :class:`TooMany`, and :class:`StoreUnavailable` when it was not kept. Any other answer is then journalled.
        """
        if action is Action.YES:
            await self._rates.visit(network_of(visit.remote), self._clock())
        try:
            told = await self._press(partial(self._asks.ask, opened), opened, visit, action, notice_id)
        except StoreUnavailable:
            if action in GIVES:
                raise
            at = await self._leaving.keep(opened)
            told = Told(State.WITHDRAWN if action is Action.UNDO else State.OBJECTED, None, at)
        self._tell(opened, told.outcome)
        return told

    async def _yes(
        self, load: Callable[[], Awaitable[Ask]], opened: Opened, visit: Visit, notice_id: bytes | None
    ) -> tuple[str, str]:
        """A yes from the preference centre."""
        told = await self._press(load, opened, visit, Action.YES, notice_id)
        self._tell(opened, told.outcome)
        return told.outcome, told.reason

    async def _press(
        self,
        load: Callable[[], Awaitable[Ask]],
        opened: Opened,
        visit: Visit,
        action: Action,
        notice_id: bytes | None,
    ) -> Told:
        """``load`` reads the ask as it stands now."""
        judgement = None
        for attempt in range(TRIES):
            ask = await load()
            if judgement is None:
                judgement = self._visits.judge(opened, visit, ask)
            now = self._clock()
            if action is Action.YES:
                self._rates.press(ask)
            if ask.message.test:
                return Told("test", ask, now)
            if ask.expired and (action is Action.YES or (action is Action.FRESH and judgement.verdict == "bot")):
                return Told("expired", ask, ask.message.sent_at)
            provisional = await self._settling.provisional(ask) if action is Action.YES else False
            by_itself = visit.evidence.automatic and judgement.verdict == "human" and self.grants_by_itself(ask)
            answer = self._decide(ask, action, judgement, now, by_itself=by_itself, provisional=provisional)
            if answer.event is Event.PENDING and await self._mailed_enough(ask, now):
                return Told("too_often", ask, now)
            if answer.event is None:
                if action in _BARS and ask.subject.lookup is not None:
                    suppression = Suppression(ask.subject.lookup, now, action)
                    await self._writer.write(ledger.suppress, (ask.shop.controller.id, suppression))
                outcome = "already" if answer.state is State.GRANTED else answer.state
                return Told(outcome, ask, ask.standing.since or now, answer.reason)
            row = await self._append(ask, action, answer, judgement, visit, notice_id, now)
            if attempt == TRIES - 1 and action not in GIVES:
                row = replace(row, version_seen=None)
            result = await self._writer.write(ledger.append, row)
            if isinstance(result, Appended):
                return Told(answer.state, ask, result.entry.occurred_at, answer.reason)
        raise StoreUnavailable("the customer's other answers did not settle")

    def _decide(
        self, ask: Ask, action: Action, judgement: Judgement, now: int, *, by_itself: bool, provisional: bool
    ) -> consent.Answer:
        attested, bot = judgement.attested, judgement.verdict == "bot"
        match action:
            case Action.YES if ask.opened.link.kind is LinkKind.CONFIRM:
                sent_at = ask.message.sent_at
                return consent.after_confirm(
                    ask.standings, ask.purpose, attested=judgement.confirms, bot=bot, sent_at=sent_at, now=now
                )
            case Action.YES:
                return consent.after_yes(
                    ask.standings,
                    ask.purpose,
                    attested=attested,
                    bot=bot,
                    sent_at=ask.message.sent_at,
                    double_opt_in=ask.double_opt_in,
                    unproven=ask.unproven,
                    now=now,
                    left=ask.left,
                    by_itself=by_itself,
                    provisional=provisional,
                )
            case Action.FRESH:
                return consent.after_fresh(ask.standing, bot=bot, now=now)
            case Action.NO:
                return consent.after_no(ask.standing)
            case Action.NEVER:
                return consent.after_never(ask.standing)
            case Action.NOT_ME:
                return consent.after_not_me(ask.standing)
            case Action.UNDO:
                return consent.after_undo(ask.standing)

    async def _append(
        self,
        ask: Ask,
        action: Action,
        answer: consent.Answer,
        judgement: Judgement,
        visit: Visit,
        notice_id: bytes | None,
        now: int,
    ) -> Append:
        """What one answer on the page writes."""
        assert answer.event is not None
        message, controller_id = ask.message, ask.shop.controller.id
        market = self._market(ask)
        evidence = Evidence(secrets.token_bytes(16), shown(visit, market.store_ip))
        entry = Entry(
            event_id=self._new_id(now),
            controller_id=controller_id,
            subject_id=ask.subject.id,
            purpose=ask.purpose,
            event=answer.event,
            occurred_at=now,
            received_at=now,
            recorded_at=now,
            dedup_key=consent.dedup_key(message.id, "ask", ask.purpose, action, ask.standing.event_id),
            jurisdiction=message.market,
            rule_version=message.rule_version,
            policy_snapshot_id=await self._policy(
                controller_id, market.with_declared(message.decision.get("declared")), now
            ),
            privacy_policy_version=ask.shop.controller.privacy_version,
            touchpoint=message.touchpoint,
            message_id=message.id if ask.opened.link.kind not in OUTLIVE_KEYS else None,
            link_kind=int(ask.opened.link.kind),
            variant=ask.placement.variant,
            wording_id=ask.placement.wording_id,
            notice_id=notice_id,
            method="auto" if answer.reason == consent.PROVISIONAL else "button",
            attestation=judgement.attestation,
            verdict=judgement.verdict,
            verdict_reasons=(*judgement.reasons, *([answer.reason] if answer.reason else ())),
            source_order_ref=self._order_ref(message),
            promised_value_id=ask.promised_value_id,
            expires_at=market.granted_until(now) if answer.state is State.GRANTED else None,
            supersedes_seq=await self._asks.seq_of(controller_id, ask.standing),
            evidence_commit=consent.evidence_commit(evidence.salt, evidence.content),
        )
        if answer.reason == consent.PROVISIONAL:
            events = [self._settling.later(entry)]
        else:
            events = [event_of(entry, self._new_id(now))]
        mail = None
        if answer.event is Event.PENDING:
            mail = confirmation_message(message, self._new_id(now), now)
            events.append(confirmation_row(mail))
        suppress = None
        if action in _BARS and ask.subject.lookup is not None:
            suppress = Suppression(ask.subject.lookup, now, action)
        change = Change(entry, answer.state, message.sent_at, evidence)
        return Append((change,), tuple(events), suppress, version_seen=ask.version, message=mail)

    async def _mailed_enough(self, ask: Ask, now: int) -> bool:
        """Whether the mailbox got all the confirmation mails that anybody may cause within a day."""
        begun = await waiting.begun_since(self._database, ask.shop.controller.id, ask.subject.id, now - _DAY_MS)
        return begun >= consent.CONFIRMATIONS_A_DAY

    def _order_ref(self, message: StoredMessage) -> bytes | None:
        if not message.order_id:
            return None
        return self._visits.keyed(b"order", message.controller_id, message.shop_id, message.order_id.encode())

    async def _policy(self, controller_id: bytes, content: str, now: int) -> bytes:
        """The hash of the rules that the answer was taken under; they are written when they are met for the first time,
        so that a press costs no further round trip."""
        policy_id = hashlib.sha256(content.encode()).digest()
        if (controller_id, policy_id) not in self._policies:
            await self._writer.write(policies.put, Policy(controller_id, policy_id, content, now))
            if len(self._policies) >= _POLICIES:
                self._policies.clear()
            self._policies.add((controller_id, policy_id))
        return policy_id

    async def leave(self, opened: Opened, *, one_click: bool) -> int:
        """Withdraw everything; see :meth:`handraiser.answer.leaving.Leaving.leave`."""
        at = await self._leaving.leave(opened, one_click=one_click)
        self._tell(opened, State.WITHDRAWN)
        return at

    async def undo_offered(self, opened: Opened) -> bool:
        """Whether what the reader of a withdraw link ended just now can be taken back."""
        return await self._undoing.offered(opened)

    async def undo(self, opened: Opened, visit: Visit, notice_id: bytes) -> Outcome:
        """Take a withdrawal back; see :meth:`handraiser.answer.undoing.Undoing.undo`. Raises :class:`TooMany`."""
        await self._rates.visit(network_of(visit.remote), self._clock())
        outcome = await self._undoing.undo(opened, visit, notice_id)
        if outcome == "back":
            self._tell(opened, State.GRANTED)
        return outcome

    async def settle(self) -> int:
        """Settle what was granted without a press; see :meth:`handraiser.answer.settling.Settling.settle`."""
        return await self._settling.settle()

    async def apply_journal(self) -> int:
        """Write journalled withdrawals into the ledger; see :meth:`handraiser.answer.leaving.Leaving.apply_journal`."""
        return await self._leaving.apply_journal()

    async def lapse(self) -> int:
        """End what waited too long; see :meth:`handraiser.answer.lapsing.Lapsing.lapse`."""
        return await self._lapsing.lapse()

    async def locale_of(self, opened: Opened) -> str | None:
        """The language of the newest email to the subject of a withdraw link; None when that cannot be known now."""
        if opened.shop is None:
            return None
        try:
            found = await messages.by_subject(self._database, opened.shop.controller.id, opened.link.id, limit=1)
        except StoreError:
            return None
        return found[0].locale if found else None

    def _tell(self, opened: Opened, outcome: str) -> None:
        if opened.shop is not None:
            for observer in self.observers:
                observer(opened.shop.slug, str(outcome))
