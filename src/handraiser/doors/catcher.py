"""The demo's carrier: it catches composed emails and confirmation mails for the inbox, and delivers nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import jinja2

from handraiser.core.composed import Composed
from handraiser.core.consent import ALL_PURPOSES, Entry, State
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.mailbox import lookup
from handraiser.core.payload import addressee, countries
from handraiser.core.shop import Shop
from handraiser.doors.demo import Caught, Mailbox, Status
from handraiser.store import ledger, messages, outbox
from handraiser.store.database import Database
from handraiser.store.messages import Known, LookUp
from handraiser.store.outbox import OutboxRow

CARRIER = "mail"
CONFIRMATIONS = 100
_STRONGEST = (State.GRANTED, State.PENDING, State.OBJECTED, State.WITHDRAWN, State.REFUSED, State.VOIDED, State.LAPSED)
_WORDS = {
    "en": (
        "Please confirm your wish",
        "One press is still missing: do you want to hear from {shop}?",
        "Yes, I want this",
        "If this was not you, do nothing. You will not hear from us about it again.",
    ),
    "nl": (
        "Bevestig uw wens",
        "Er ontbreekt nog één druk op de knop: wilt u iets van {shop} horen?",
        "Ja, dat wil ik",
        "Was u dit niet? Dan hoeft u niets te doen. U hoort er niets meer van.",
    ),
    "de": (
        "Bitte bestätigen Sie Ihren Wunsch",
        "Ein Druck auf den Knopf fehlt noch: möchten Sie von {shop} hören?",
        "Ja, das möchte ich",
        "Waren Sie das nicht? Dann müssen Sie nichts tun. Sie hören nichts mehr davon.",
    ),
    "ar": (
        "يرجى تأكيد رغبتكم",
        "بقيت ضغطة واحدة: هل تريدون أن تصلكم رسائل من {shop}؟",
        "نعم، أريد ذلك",
        "لم يكن هذا أنتم؟ إذن لا داعي لفعل أي شيء، ولن يصلكم شيء بعدها.",
    ),
}
"""Subject, question, button, and what a stranger does: nothing that advertises stands in such a mail."""


class Catcher:
    """Keeps every composed email and every confirmation mail of some shops, and knows where their readers stand."""

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        database: Database,
        links: Links,
        shops: Sequence[Shop],
        pepper: bytes,
        confirmation: str,
    ) -> None:
        self._mailbox = mailbox
        self._database = database
        self._links = links
        self._shops = {shop.id: shop for shop in shops}
        self._pepper = pepper
        self._confirmation = jinja2.Environment(autoescape=True).from_string(confirmation)

    def composed(self, composed: Composed) -> None:
        """Take in one email; what is only tried (``dry_run``) or could not be recorded has no id and is left out."""
        if composed.message_id:
            self._mailbox.keep(caught(composed))

    async def collect(self) -> None:
        """Take in the confirmation mails that wait in the outbox; they stay there, for a carrier that delivers."""
        for controller_id in {shop.controller.id for shop in self._shops.values()}:
            rows = await outbox.recent(self._database, controller_id, limit=CONFIRMATIONS, carrier=CARRIER)
            fresh = [row for row in rows if str(uuid.UUID(bytes=row.id)) not in self._mailbox]
            for row in reversed(fresh):
                if (mail := await self._confirmation_of(row)) is not None:
                    self._mailbox.keep(mail)

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
        found = await ledger.entries_of(self._database, controller_id, known.subject_id)
        keys = [(controller_id, entry.wording_id) for entry in found if entry.wording_id]
        texts = await ledger.wordings(self._database, keys) if keys else []
        shown = {text.id: text.content for text in texts if text is not None}
        return [_told(entry, shown.get(entry.wording_id or b"", "")) for entry in found]

    async def _confirmation_of(self, row: OutboxRow) -> Caught | None:
        """The mail that an outbox row stands for; None when its message is gone."""
        message_id = uuid.UUID(row.payload["message_id"])
        found = (await messages.get(self._database, [(row.controller_id, message_id.bytes)]))[0]
        shop = self._shops.get(found.shop_id) if found else None
        if found is None or shop is None or str(message_id) not in self._mailbox:
            return None
        asked = self._mailbox.get(str(message_id))
        url = f"{shop.link_base}/o/{self._links.sign(Link(shop.number, found.id, LinkKind.CONFIRM))}"
        locale = found.locale.partition("-")[0]
        subject, ask, button, otherwise = _WORDS.get(locale, _WORDS["en"])
        ask = ask.format(shop=shop.name)
        owner = shop.controller
        lines = [owner.legal_name or owner.name, *owner.address_lines, owner.email]
        sender_lines = " · ".join(line for line in lines if line)
        html = self._confirmation.render(
            locale=locale if locale in _WORDS else "en",
            direction="rtl" if locale == "ar" else "ltr",
            subject=subject,
            ask=ask,
            button=button,
            url=url,
            otherwise=otherwise,
            sender_lines=sender_lines,
        )
        return Caught(
            id=str(uuid.UUID(bytes=row.id)),
            kind="confirmation",
            controller_id=row.controller_id.hex(),
            shop_id=shop.id.hex(),
            shop=shop.slug,
            shop_name=shop.name,
            sender=_sender(shop),
            to=asked.to,
            subject=subject,
            type="confirmation",
            at=row.created_at,
            html=html,
            text=f"{subject}\n\n{ask}\n\n{button}: {url}\n\n{otherwise}\n\n{sender_lines}\n",
            locale=found.locale,
            country=found.country,
            purpose=str(row.payload.get("purpose", asked.purpose)),
            ask_url=url,
        )


def caught(composed: Composed) -> Caught:
    """A composed email as the inbox keeps it."""
    shop, email = composed.shop, composed.email
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
        to=addressee(email),
        subject=composed.filled.subject,
        type=email["type"],
        at=composed.at,
        html=composed.filled.html,
        text=composed.filled.text,
        locale=email["customer"].get("locale") or shop.default_locale,
        country=next(iter(countries(email)), shop.default_country),
        purpose=ask.get("purpose") or "",
        ask_url=ask.get("url") or "",
        placements=placements,
        skipped=[skip.as_json() for skip in composed.decision.skipped],
        warnings=[warning.as_json() for warning in composed.warnings],
        payload=as_payload(email),
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
