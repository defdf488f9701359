"""The demo's mailbox: it catches composed emails, and over SMTP our own mails, for the inbox; nothing is delivered."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from handraiser.core.composed import Composed
from handraiser.core.consent import ALL_PURPOSES, Entry, State
from handraiser.core.mailbox import lookup
from handraiser.core.payload import addressee, countries
from handraiser.core.placement import Decision
from handraiser.core.shop import Shop
from handraiser.doors.demo import Caught, Mailbox, Status
from handraiser.errors import StoreError
from handraiser.store import ledger_entries, messages, wordings
from handraiser.store.database import Database
from handraiser.store.messages import Known, LookUp, StoredMessage

log = logging.getLogger("handraiser.demo")

_STRONGEST = (State.GRANTED, State.PENDING, State.OBJECTED, State.WITHDRAWN, State.REFUSED, State.VOIDED, State.LAPSED)
_MESSAGE_ID = re.compile(r"<([0-9a-f]{32})@[^>]*>")
_CONFIRM = re.compile(r"https?://\S+/o/[A-Za-z0-9_.-]{51}")


class Loopback:
    """A real SMTP server on this machine alone: the hop of the demo's own mails. Its mail waits until somebody takes
    it; it takes any recipient, and delivers nothing."""

    def __init__(self) -> None:
        self._taker: asyncio.Future[Callable[[bytes], Awaitable[None]]] = asyncio.get_running_loop().create_future()

    def taken_by(self, taker: Callable[[bytes], Awaitable[None]]) -> None:
        """Say who takes each mail (its RFC 5322 bytes)."""
        self._taker.set_result(taker)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it so
        taker = await asyncio.shield(self._taker)
        try:
            await taker(envelope.content if isinstance(envelope.content, bytes) else b"")
        except StoreError:
            return "451 4.3.0 try again"
        return "250 2.0.0 caught"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Listen on a free port; gives the ``smtp_url``."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="demo", enable_SMTPUTF8=True), "127.0.0.1", 0)
        try:
            yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await server.wait_closed()


class Catcher:
    """Keeps every composed email and every mail of our own of some shops, and knows where their readers stand."""

    def __init__(self, mailbox: Mailbox, *, database: Database, shops: Sequence[Shop], pepper: bytes) -> None:
        self._mailbox = mailbox
        self._database = database
        self._shops = {shop.id: shop for shop in shops}
        self._pepper = pepper

    def composed(self, composed: Composed) -> None:
        """Take in one email; what is only tried (``dry_run``) or could not be recorded has no id, what
        a page of the shop shows is no email: both are left out."""
        if composed.message_id and composed.filled.html:
            self._mailbox.keep(caught(composed))

    async def received(self, content: bytes) -> None:
        """Take in one of our own mails as it came over SMTP; one that names no message of these shops is left out."""
        mail = email.message_from_bytes(content, policy=email.policy.default)
        message = await self._message_of(str(mail["Message-ID"]))
        html, text = mail.get_body(("html",)), mail.get_body(("plain",))
        if message is None or html is None or text is None:
            log.warning("a mail came that belongs to no message")
            return
        shop = self._shops[message.shop_id]
        words = str(text.get_content())
        link = _CONFIRM.search(words)
        asks = Decision.from_json(message.decision).placements
        self._mailbox.keep(
            Caught(
                id=str(uuid.UUID(bytes=message.id)),
                kind="confirmation",
                controller_id=message.controller_id.hex(),
                shop_id=shop.id.hex(),
                shop=shop.slug,
                shop_name=shop.name,
                sender=str(mail["From"]),
                to=str(mail["To"]),
                subject=str(mail["Subject"]),
                type=message.type,
                at=message.sent_at,
                html=str(html.get_content()),
                text=words,
                locale=message.locale,
                country=message.country,
                purpose=next((one.purpose for one in asks if one.purpose), ""),
                ask_url=link[0] if link else "",
            )
        )

    async def _message_of(self, message_id: str) -> StoredMessage | None:
        """The message that a Message-ID of ours names."""
        named = _MESSAGE_ID.fullmatch(message_id.strip())
        if named is None:
            return None
        wanted = bytes.fromhex(named[1])
        controllers = {shop.controller.id for shop in self._shops.values()}
        found = await messages.get(self._database, [(one, wanted) for one in sorted(controllers)])
        return next((one for one in found if one is not None and one.shop_id in self._shops), None)

    async def statuses(self, mails: Sequence[Caught], entries: bool) -> list[Status]:
        """Where each mail's reader stands now, in one statement; with their ledger entries where asked for."""
        keys = [
            LookUp(bytes.fromhex(m.controller_id), bytes.fromhex(m.shop_id), self._lookup(m), order_id="")
            for m in mails
        ]
        async with self._database.reading() as session:
            known = await messages.look_up(session, keys) if keys else []
        return [
            Status(_state(mail, one), await self._entries(mail, one) if entries else ())
            for mail, one in zip(mails, known, strict=True)
        ]

    def _lookup(self, mail: Caught) -> bytes:
        return lookup(self._pepper, bytes.fromhex(mail.controller_id), mail.to)

    async def _entries(self, mail: Caught, known: Known) -> list[dict[str, Any]]:
        if known.subject_id is None:
            return []
        controller_id = bytes.fromhex(mail.controller_id)
        found = await ledger_entries.of_subject(self._database, controller_id, known.subject_id)
        keys = [(controller_id, entry.wording_id) for entry in found if entry.wording_id]
        texts = await wordings.get(self._database, keys) if keys else []
        shown = {text.id: text.content for text in texts if text is not None}
        return [_told(entry, shown.get(entry.wording_id or b"", "")) for entry in found]


def caught(composed: Composed) -> Caught:
    """A composed email as the inbox keeps it."""
    shop, order = composed.shop, composed.email
    placements = [placement.as_json() for placement in composed.decision.placements]
    ask = next((one for one in placements if one.get("url")), {})
    return Caught(
        id=str(uuid.UUID(bytes=composed.message_id)),
        kind="email",
        controller_id=shop.controller.id.hex(),
        shop_id=shop.id.hex(),
        shop=shop.slug,
        shop_name=shop.name,
        sender=_sender(shop),
        to=addressee(order),
        subject=composed.filled.subject,
        type=order["type"],
        at=composed.at,
        html=composed.filled.html,
        text=composed.filled.text,
        locale=order["customer"].get("locale") or shop.default_locale,
        country=next(iter(countries(order)), shop.default_country),
        purpose=ask.get("purpose") or "",
        ask_url=ask.get("url") or "",
        placements=placements,
        skipped=[skip.as_json() for skip in composed.decision.skipped],
        warnings=[warning.as_json() for warning in composed.warnings],
        payload=as_payload(order),
    )


def as_payload(value: Any) -> Any:
    """An email's normal form as the JSON it was read from, so that it can be posted again."""
    match value:
        case Mapping():
            return {name: as_payload(one) for name, one in value.items() if name != "attachments"}
        case list() | tuple():
            return [as_payload(one) for one in value]
        case Decimal():
            return format(value, "f")
        case date():
            return value.isoformat()
        case _:
            return value


def _sender(shop: Shop) -> str:
    name = shop.sender_name or shop.name
    return f"{name} <{shop.sender_address}>" if shop.sender_address else name


def _state(mail: Caught, known: Known) -> str:
    standing = known.standing
    if mail.purpose:
        return str(standing.get(mail.purpose) or standing.get(ALL_PURPOSES) or known.barred or State.ASKED)
    states = set(standing.values())
    for state in _STRONGEST:
        if state in states:
            return str(state)
    if known.barred:
        return str(State.OBJECTED)
    return str(State.ASKED if known.asks else State.NONE)


def _told(entry: Entry, wording: str) -> dict[str, Any]:
    """An entry for people: what, when, how, and the promise under which it was given."""
    how = [entry.method.replace("_", " "), entry.attestation.replace("_", " ") if entry.attestation != "none" else ""]
    how += [reason.replace("_", " ") for reason in entry.verdict_reasons]
    promise = json.loads(wording).get("promise", {}) if wording else {}
    shown = " · ".join(text for text in (promise.get("what"), promise.get("frequency"), promise.get("button")) if text)
    return {
        "event": entry.event,
        "purpose": "" if entry.purpose == ALL_PURPOSES else entry.purpose,
        "at": entry.occurred_at,
        "how": ", ".join(part for part in how if part),
        "words": shown,
    }
