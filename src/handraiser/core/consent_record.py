"""A consent as another system records it: read leniently, checked, and set against where the customer stands. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from handraiser.core.consent import ALL_PURPOSES, LEFT, STICKY, Answer, Event, Standing, State, of_purpose
from handraiser.core.mailbox import read_address
from handraiser.errors import Fault

EVENTS = frozenset({"granted", "refused", "withdrawn", "objected"})
CHANNELS = frozenset({"email", "sms", "phone", "post"})
AHEAD_MS = 300_000
"""How far another system's clock may run before ours."""

_LENGTHS = {
    "customer_id": 255,
    "source": 200,
    "wording": 4000,
    "language": 35,
    "country": 2,
    "ip": 45,
    "proof_url": 2000,
}
_NAMES = frozenset({"email", "purpose", "channel", "event", "occurred_at", *_LENGTHS})
_NO_CUSTOMER = frozenset({"", "0", "null", "guest"})
_EARLIEST = 631_152_000_000  # 1990: nobody had consented by mail before
_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Record:
    """One consent, refusal, withdrawal or objection from elsewhere.

    ``occurred_at`` is ms UTC, or None when the other system gave none. ``evidence`` is what it knows beside the facts
    that stand in the ledger: source, shortened network, address of a proof.
    """

    email: str
    customer_id: str
    purpose: str
    channel: str
    event: Event
    occurred_at: int | None
    wording: str
    language: str
    country: str
    evidence: Mapping[str, str]


def says_nothing(given: Mapping[str, Any]) -> bool:
    """Whether a record tells no event at all: a blank cell is no answer, and never erases one."""
    event = given.get("event")
    return event is None or (isinstance(event, str) and not event.strip())


def read_record(
    given: object, purposes: Collection[str], now: int, zone: tzinfo = UTC, *, faults: list[Fault]
) -> Record | None:
    """The record of an object with the names of the API; None, and every fault, where it cannot be used.

    Empty texts count as absent. ``zone`` is that of times which name none. A grant must name its purpose and cannot be
    of all purposes; a moment may lie 5 minutes ahead of ``now`` (ms UTC) and no earlier than 1990.
    """
    if not isinstance(given, Mapping):
        faults.append(Fault("", "wrong_type", "an object"))
        return None
    before = len(faults)
    known = {name: value for name, value in given.items() if value is not None and value != ""}
    faults += [
        Fault(f"/{name}", "unknown_field", f"known are: {', '.join(sorted(_NAMES))}")
        for name in known
        if name not in _NAMES
    ]
    texts = {name: _text(known, name, most, faults) for name, most in _LENGTHS.items() if name != "customer_id"}
    email, customer_id = read_whose(known, faults)
    event = _choice(known, "event", EVENTS, "", faults)
    channel = _choice(known, "channel", CHANNELS, "email", faults)
    purpose = _purpose(known, event, purposes, faults)
    occurred_at = read_moment(known.get("occurred_at"), now, zone, faults)
    for name, pattern, meant in (
        ("country", _COUNTRY, "a country code such as NL"),
        ("language", _LANGUAGE, "a language tag such as nl or de-AT"),
    ):
        if texts[name] and not pattern.fullmatch(texts[name]):
            faults.append(Fault(f"/{name}", "bad_value", meant))
    evidence = {name: texts[name] for name in ("source", "proof_url") if texts[name]}
    if network := _network(texts["ip"], faults):
        evidence["network"] = network
    if len(faults) > before:
        return None
    return Record(
        email=email,
        customer_id=customer_id,
        purpose=purpose,
        channel=channel,
        event=Event(event),
        occurred_at=occurred_at,
        wording=texts["wording"],
        language=texts["language"],
        country=texts["country"],
        evidence=evidence,
    )


def _text(known: Mapping[str, Any], name: str, most: int, faults: list[Fault]) -> str:
    value = known.get(name, "")
    if name == "customer_id" and type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        faults.append(Fault(f"/{name}", "wrong_type", "a text"))
        return ""
    text = value.strip()
    if len(text) > most or _CONTROL.search(text):
        faults.append(Fault(f"/{name}", "bad_value", f"at most {most} characters, none of them a control character"))
        return ""
    return text


def _email(known: Mapping[str, Any], faults: list[Fault]) -> str:
    value = known.get("email")
    if value is None:
        return ""
    try:
        if isinstance(value, str):
            return read_address(value)
    except ValueError:
        pass
    faults.append(Fault("/email", "bad_value", "one address such as alice@example.com"))
    return ""


def read_whose(known: Mapping[str, Any], faults: list[Fault]) -> tuple[str, str]:
    """The fields ``email`` and ``customer_id``, "" where absent; one of them must be there."""
    email = _email(known, faults)
    told = _text(known, "customer_id", _LENGTHS["customer_id"], faults)
    customer_id = "" if told.lower() in _NO_CUSTOMER else told
    if not known.get("email") and not customer_id:
        faults.append(Fault("/email", "missing", "whose it is: email, or a customer_id that is known already"))
    return email, customer_id


def _choice(known: Mapping[str, Any], name: str, choices: Collection[str], usual: str, faults: list[Fault]) -> str:
    value = known.get(name, usual)
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in choices:
        code = "missing" if name not in known else "bad_value"
        faults.append(Fault(f"/{name}", code, f"one of: {', '.join(sorted(choices))}"))
    return word


def _purpose(known: Mapping[str, Any], event: str, purposes: Collection[str], faults: list[Fault]) -> str:
    value = known.get("purpose")
    word = value.strip() if isinstance(value, str) else ""
    if word in purposes or (word == ALL_PURPOSES and event in ("withdrawn", "objected")):
        return word
    all_of_them = f"; {ALL_PURPOSES} withdraws or objects for all" if word == ALL_PURPOSES else ""
    code = "missing" if "purpose" not in known else "unknown_purpose"
    faults.append(Fault("/purpose", code, f"one of: {', '.join(sorted(purposes))}{all_of_them}"))
    return ""


def read_moment(value: object, now: int, zone: tzinfo, faults: list[Fault]) -> int | None:
    """A moment (ms UTC) of the field ``occurred_at``, no later than ``now``; None where it is absent or at fault."""
    if value is None:
        return None
    at: int | None = None
    try:
        if type(value) is int:
            at = value
        elif isinstance(value, str) and value.strip().isdecimal():
            at = int(value.strip()[:20])
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
            at = int((moment if moment.tzinfo else datetime.combine(moment, moment.time(), zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    if at is None:
        faults.append(Fault("/occurred_at", "bad_value", "a time such as 2026-11-24T09:30:00+01:00, or ms since 1970"))
    elif at > now + AHEAD_MS:
        faults.append(Fault("/occurred_at", "in_the_future", "nobody has answered yet at that time"))
    elif at < _EARLIEST:
        faults.append(Fault("/occurred_at", "bad_value", "a time from 1990 on; is it given in seconds instead of ms?"))
    else:
        return min(at, now)
    return None


def _network(ip: str, faults: list[Fault]) -> str:
    """The network of an address, as evidence keeps it: /24 of IPv4, /48 of IPv6."""
    if not ip:
        return ""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        faults.append(Fault("/ip", "bad_value", "an IP address"))
        return ""
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def after_record(standings: Sequence[Standing], purpose: str, event: Event, at: int, *, suppressed: bool) -> Answer:
    """What a record of ``at`` (ms UTC) leads to; an answer without an event changes nothing, ``imported`` is only kept.

    ``standings`` are those of the record's channel. Older never overwrites newer, and of two answers of one moment the
    one that leaves counts. A grant from elsewhere never ends a withdrawal, an objection, a "not me" or a suppression:
    only the customer can.
    """
    own = of_purpose(standings, purpose)
    everything = of_purpose(standings, ALL_PURPOSES)
    if event is Event.GRANTED:
        if suppressed or own.state in STICKY or everything.state in STICKY | {State.ERASED}:
            return Answer(Event.IMPORTED, own.state, "left")
        if own.state is not State.NONE and at <= own.since:
            return _kept(own, State.GRANTED)
        return Answer(Event.RENEWED if own.state is State.GRANTED else Event.GRANTED, State.GRANTED)
    if event is Event.REFUSED:
        if own.state in STICKY:
            return Answer(None, own.state, "already_left")
        if own.state is not State.NONE and at < own.since:
            return _kept(own, State.REFUSED)
        # Who declines what was once given takes it back.
        if own.state in (State.GRANTED, State.PENDING):
            return Answer(Event.WITHDRAWN, State.WITHDRAWN)
        return Answer(None, own.state, "already") if own.state is State.REFUSED else Answer(event, State.REFUSED)
    if own.state is State.OBJECTED or (own.state is State.WITHDRAWN and event is Event.WITHDRAWN):
        return Answer(None, own.state, "already")
    if own.state is not State.NONE and at < own.since:
        return _kept(own, State(event))
    return Answer(event, State(event))


def after_record_of_all(standings: Sequence[Standing], event: Event, at: int) -> tuple[tuple[str, Answer], ...]:
    """What leaving everything leads to, by purpose: what was given no later than ``at`` ends; where nothing is held
    the customer objects."""
    held = [one for one in standings if one.state in (State.GRANTED, State.PENDING)]
    ended = [one for one in held if one.since <= at]
    if ended:
        return tuple((one.purpose, Answer(event, State(event))) for one in ended)
    if held or any(one.state in LEFT for one in standings):
        return ()
    return ((ALL_PURPOSES, Answer(Event.OBJECTED, State.OBJECTED)),)


def _kept(own: Standing, said: State) -> Answer:
    if own.state is said:
        return Answer(None, own.state, "already")
    return Answer(Event.IMPORTED, own.state, "older")
