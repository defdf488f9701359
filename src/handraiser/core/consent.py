"""Consent: the ledger's entry, the states entries add up to, and which answer leads to which state. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from handraiser.core.links import LINK_LIFE_MS, NONCE_LIFE_MS

CONFIRM_LIFE_MS = 7 * 86_400_000
"""How long a pending consent waits for its confirmation."""

CONFIRMATIONS_A_DAY = 3
"""How many confirmation mails one mailbox gets within 24 hours, whoever presses: nobody can be flooded."""

UNDO_MS = NONCE_LIFE_MS
"""How long who left by mistake can take it back: as long as the page that said so holds its button."""

LEAVE_PAGE = "withdraw_page"
"""The touchpoint of what is said there."""

SCHEMA_VERSION = 1


class State(StrEnum):
    """What a subject's entries for one purpose and channel add up to."""

    NONE = "none"
    ASKED = "asked"
    PENDING = "pending"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"
    LAPSED = "lapsed"
    VOIDED = "voided"
    ERASED = "erased"


class Event(StrEnum):
    """What an entry says happened."""

    REQUESTED = "requested"
    PENDING = "pending"
    GRANTED = "granted"
    RENEWED = "renewed"
    WITHDRAWN = "withdrawn"
    REFUSED = "refused"
    OBJECTED = "objected"
    VOIDED = "voided"
    LAPSED = "lapsed"
    ERASED = "erased"
    IMPORTED = "imported"
    PREFERRED = "preferred"
    PAUSED = "paused"
    RESUMED = "resumed"


LEFT = frozenset({State.WITHDRAWN, State.OBJECTED})
"""States of a subject who has left already."""

STICKY = LEFT | {State.VOIDED}
"""States that a link in an older message cannot turn into a grant."""

PROVISIONAL = "provisional"
"""The reason of a grant that nobody pressed: it counts for others once it has settled."""

ALL_PURPOSES = "*"
"""Stands for every purpose: what a subject who was never asked objects to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the append-only ledger. Times in ms UTC; hashes are SHA-256; "" and None stand for "none".

    ``wording_id`` is the ask as shown in the mail, ``notice_id`` the page as served with its nonces blank,
    ``dedup_key`` what makes the same answer the same entry, ``leaf_hash`` what makes tampering show. ``state`` is where
    the entry takes its purpose and channel ("" leaves it where it is) and ``message_at`` when the message that led to
    it was sent: the standing can be folded from these alone, long after the message is gone. ``preference`` is what a
    subject chose within a purpose (JSON), ``expires_at`` when a break ends, or a grant that has an end.
    """

    event_id: bytes
    controller_id: bytes
    subject_id: bytes
    purpose: str
    event: str
    occurred_at: int
    received_at: int
    recorded_at: int
    dedup_key: bytes
    topic: str = ""
    channel: str = "email"
    basis: str = "consent"
    jurisdiction: str = ""
    rule_version: str = ""
    policy_snapshot_id: bytes | None = None
    touchpoint: str = ""
    message_id: bytes | None = None
    link_kind: int | None = None
    variant: str = ""
    wording_id: bytes | None = None
    notice_id: bytes | None = None
    privacy_policy_version: str = ""
    method: str = ""
    attestation: str = "none"
    verdict: str = ""
    verdict_reasons: tuple[str, ...] = ()
    actor: str = "subject"
    actor_id: str = ""
    source_order_ref: bytes | None = None
    promised_value_id: str = ""
    expires_at: int | None = None
    supersedes_seq: int | None = None
    evidence_commit: bytes | None = None
    schema_version: int = SCHEMA_VERSION
    state: str = ""
    message_at: int | None = None
    preference: str = ""
    leaf_hash: bytes = b""
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one purpose, and when it came to be (ms); ``message_at`` is when the message that led to it was
    sent, ``event_id`` the entry it comes from."""

    purpose: str
    state: State = State.NONE
    since: int = 0
    message_at: int | None = None
    event_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a press leads to: the entry's event and the state after it, or ``already`` when nothing changes."""

    event: Event | None
    state: State
    reason: str = ""

    @property
    def already(self) -> bool:
        """Whether the press changes nothing."""
        return self.event is None


def folded(entries: Iterable[Entry]) -> dict[tuple[str, str], Entry]:
    """What one subject's entries, oldest first, add up to: by purpose and channel the entry its standing comes from.

    An erasure ends all that was before it.
    """
    standing: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.event == Event.ERASED:
            standing.clear()
        if entry.state:
            standing[entry.purpose, str(entry.channel)] = entry
    return standing


def of_purpose(standings: Iterable[Standing], purpose: str) -> Standing:
    """A purpose's own standing; ``none`` where it has none."""
    return next((one for one in standings if one.purpose == purpose), Standing(purpose))


def left_at(standings: Iterable[Standing]) -> int | None:
    """When the subject last left, whatever the purpose (ms); None when it never did.

    Not before the message that it left: a clock may have been set back in between.
    """
    return max((max(one.since, one.message_at or 0) for one in standings if one.state in STICKY), default=None)


def expired(sent_at: int, now: int) -> bool:
    """Whether an opt-in link is too old to be pressed (30 days)."""
    return now - sent_at > LINK_LIFE_MS


def waiting(standing: Standing, now: int) -> bool:
    """Whether a consent is pending and can still be confirmed (7 days)."""
    return standing.state is State.PENDING and now - standing.since <= CONFIRM_LIFE_MS


def after_yes(
    standings: Sequence[Standing],
    purpose: str,
    *,
    attested: bool,
    bot: bool,
    sent_at: int,
    double_opt_in: bool,
    now: int,
    unproven: bool = False,
    left: int | None = None,
    by_itself: bool = False,
    provisional: bool = False,
) -> Answer:
    """What "yes" leads to.

    A person's attested press grants. Anything doubtful, a market that wants double opt-in, a press outside mail of whom
    nothing proves that the mailbox is theirs (``unproven``), or a message no newer than the last time the subject left
    leads to pending, which only the mailbox itself can turn into a grant. ``left`` is
    when the subject last left by its entries (ms): a standing forgets that once it is pending again.

    ``by_itself`` says that nobody has to press here: then the grant is provisional. ``provisional`` says that what was
    granted before still is: a person's press makes it firm.
    """
    own = of_purpose(standings, purpose)
    if own.state is State.GRANTED:
        if provisional and attested and not bot:
            return Answer(Event.GRANTED, State.GRANTED)
        return Answer(None, State.GRANTED, "already_granted")
    last = max((at for at in (left, left_at(standings)) if at is not None), default=None)
    if last is not None and sent_at <= last:
        return _pending(own, now, "after_withdrawal")
    if bot:
        return _pending(own, now, "bot")
    if not attested and not by_itself:
        return _pending(own, now, "not_attested")
    if unproven or double_opt_in:
        return _pending(own, now, "unproven_mailbox" if unproven else "double_opt_in")
    if not attested:
        return Answer(Event.GRANTED, State.GRANTED, PROVISIONAL)
    return Answer(Event.GRANTED, State.GRANTED)


def confirms(own: Standing, sent_at: int, now: int) -> bool:
    """Whether a confirmation mail sent at ``sent_at`` (ms) belongs to what waits now, and is no earlier one."""
    return waiting(own, now) and sent_at >= own.since


def after_confirm(
    standings: Sequence[Standing], purpose: str, *, attested: bool, bot: bool, sent_at: int, now: int
) -> Answer:
    """What "yes" in a confirmation mail leads to: a person's attested press grants what is waiting for it.

    A press that could be a script's leaves it waiting. Nothing is granted where nothing waits (it lapsed, or the
    subject has left since), or by an earlier mail than the one that is waited for.
    """
    own = of_purpose(standings, purpose)
    if own.state is State.GRANTED:
        return Answer(None, State.GRANTED, "already_granted")
    if not confirms(own, sent_at, now):
        return Answer(None, own.state, "newer_mail" if waiting(own, now) else "not_waiting")
    if bot or not attested:
        return Answer(None, State.PENDING, "bot" if bot else "not_attested")
    return Answer(Event.GRANTED, State.GRANTED)


def after_fresh(own: Standing, *, bot: bool, now: int) -> Answer:
    """What asking for a fresh link leads to: a new wait, whose mail holds it. What is certainly a machine gets none."""
    if own.state is State.GRANTED:
        return Answer(None, State.GRANTED, "already_granted")
    if bot:
        return Answer(None, own.state, "bot")
    return _pending(own, now, "fresh")


def _pending(own: Standing, now: int, reason: str) -> Answer:
    return Answer(None if waiting(own, now) else Event.PENDING, State.PENDING, reason)


def after_no(own: Standing) -> Answer:
    """What "no thanks" leads to: ``withdrawn`` where something was given, else ``refused``, which ends with time."""
    if own.state in LEFT:
        return Answer(None, own.state, "already_left")
    if own.state is State.REFUSED:
        return Answer(None, State.REFUSED, "already_refused")
    if own.state is State.GRANTED:
        return Answer(Event.WITHDRAWN, State.WITHDRAWN)
    return Answer(Event.REFUSED, State.REFUSED)


def after_never(own: Standing) -> Answer:
    """What "don't ask again" leads to: ``withdrawn`` where something was given, else ``objected``, for good."""
    if own.state in LEFT:
        return Answer(None, own.state, "already_left")
    if own.state is State.GRANTED:
        return Answer(Event.WITHDRAWN, State.WITHDRAWN)
    return Answer(Event.OBJECTED, State.OBJECTED)


def after_not_me(own: Standing) -> Answer:
    """What "this is not me" leads to: whatever was said for this mailbox does not count."""
    if own.state is State.VOIDED:
        return Answer(None, State.VOIDED, "already_voided")
    return Answer(Event.VOIDED, State.VOIDED)


def after_undo(own: Standing) -> Answer:
    """What taking a "yes" back leads to; where there is nothing to take back nothing changes."""
    if own.state in (State.GRANTED, State.PENDING):
        return Answer(Event.WITHDRAWN, State.WITHDRAWN)
    return Answer(None, own.state, "nothing_to_undo")


def after_leaving(standings: Sequence[Standing], at: int | None = None, now: int = 0) -> tuple[tuple[str, Answer], ...]:
    """What leaving altogether leads to, by purpose: everything given or waiting ends; who never gave anything objects.

    Never refused. ``at`` (ms) is given for a withdrawal that is applied later than it was made, ``now``: what a newer
    message led to since then stays. A message of the future only tells that the clock was set back, so it is not newer.
    """
    held = [one for one in standings if one.state in (State.GRANTED, State.PENDING)]
    ended = [
        one for one in held if at is None or not at < (one.since if one.message_at is None else one.message_at) <= now
    ]
    if ended:
        return tuple((one.purpose, Answer(Event.WITHDRAWN, State.WITHDRAWN)) for one in ended)
    if held or any(one.state in LEFT for one in standings):
        return ()
    return ((ALL_PURPOSES, Answer(Event.OBJECTED, State.OBJECTED)),)


def retractable(entries: Sequence[Entry], now: int) -> tuple[tuple[Entry, Entry], ...]:
    """Which withdrawals a person may take back now, each with the grant that it ended: those made on the withdraw page,
    or by the preference page's button that leaves all, within the last 60 minutes, by which their purpose still stands
    withdrawn. What nobody had pressed does not come back. ``entries`` are all of one subject."""
    by_seq = {entry.seq: entry for entry in entries}
    found = []
    for left in folded(entries).values():
        gave = by_seq.get(left.supersedes_seq) if left.supersedes_seq is not None else None
        here = left.event == Event.WITHDRAWN and left.touchpoint == LEAVE_PAGE and now - left.occurred_at <= UNDO_MS
        if here and gave is not None and gave.state == State.GRANTED and gave.method != "auto":
            found.append((left, gave))
    return tuple(found)


def ended_at(state: str | None, since: int | None, written_at: int) -> int | None:
    """When what an entry proves has ended (ms): with what its subject stands at now, ``since`` when; None while that is
    given or waits. An entry that no standing comes from any more ended as it was written (``written_at``)."""
    if state is None or since is None:
        return written_at
    return None if state in (State.GRANTED, State.PENDING) else max(since, written_at)


def by_the_system(
    began: Entry, event: Event, *, event_id: bytes, now: int, why: str, signals: tuple[str, ...] = ()
) -> Entry:
    """The entry by which time, or a program's traces (``signals``), end what ``began`` opened: under the same rules,
    about the same message and promise, once for each reason ``why``."""
    return Entry(
        event_id=event_id,
        controller_id=began.controller_id,
        subject_id=began.subject_id,
        purpose=began.purpose,
        topic=began.topic,
        channel=began.channel,
        event=event,
        occurred_at=now,
        received_at=now,
        recorded_at=now,
        dedup_key=dedup_key(began.event_id, why),
        jurisdiction=began.jurisdiction,
        rule_version=began.rule_version,
        policy_snapshot_id=began.policy_snapshot_id,
        privacy_policy_version=began.privacy_policy_version,
        touchpoint=began.touchpoint,
        message_id=began.message_id,
        link_kind=began.link_kind,
        variant=began.variant,
        wording_id=began.wording_id,
        method="signal" if signals else "",
        verdict="bot" if signals else "",
        verdict_reasons=signals,
        actor="system",
        promised_value_id=began.promised_value_id,
        supersedes_seq=began.seq,
    )


def dedup_key(*parts: bytes | str) -> bytes:
    """What makes the same answer the same entry: SHA-256 over the parts, each with its length before it."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(4) + raw)
    return digest.digest()


def evidence_commit(salt: bytes, content: Mapping[str, object]) -> bytes:
    """SHA-256(salt ‖ content as JSON with sorted names, no spaces, UTF-8): it proves evidence and reveals none."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(salt + text.encode()).digest()
