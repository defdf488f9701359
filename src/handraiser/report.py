"""Story 4: what was shown and answered, told back: why an email looks as it does, and where a customer stands."""

from __future__ import annotations

import uuid
from typing import Any

from handraiser.core import confirmation
from handraiser.core.consent import Entry, Event
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.mailbox import lookup
from handraiser.core.placement import Decision
from handraiser.core.preference import Preference
from handraiser.core.shop import Shop
from handraiser.errors import NotFound
from handraiser.store import clicks, ledger, ledger_entries, messages, outbox, preferences, shops, subjects
from handraiser.store.database import Database
from handraiser.store.messages import StoredMessage
from handraiser.store.outbox import OutboxRow
from handraiser.store.subjects import Subject

EMAIL = "email"


class Report:
    """Reads; it never writes. Every method sees one company only."""

    def __init__(self, database: Database, pepper: bytes, links: Links) -> None:
        self._database = database
        self._pepper = pepper
        self._links = links

    async def message(self, shop: Shop, message_id: bytes) -> dict[str, Any]:
        """One email of this shop: every slot's decision with its reason and remedy, and what was pressed.

        Raises :class:`NotFound` for an unknown id and for another shop's message.
        """
        async with self._database.reading() as session:
            (found,) = await messages.get(session, [(shop.controller.id, message_id)])
        if found is None or found.shop_id != shop.id:
            raise NotFound("there is no message of this id")
        return await self._told(found)

    async def messages_of_order(self, shop: Shop, order_id: str) -> list[dict[str, Any]]:
        """The emails of one order, newest first."""
        found = await messages.by_order(self._database, shop.controller.id, shop.id, order_id)
        return [await self._told(one) for one in found]

    async def messages_to(self, shop: Shop, address: str) -> list[dict[str, Any]]:
        """This shop's emails to one address, newest first; none for an address nobody knows."""
        subject = await self._subject(shop, address)
        if subject is None:
            return []
        found = await messages.by_subject(self._database, shop.controller.id, subject.id)
        return [await self._told(one) for one in found if one.shop_id == shop.id]

    async def why(self, message_id: str) -> dict[str, Any]:
        """One email of any company, for the operator; raises :class:`NotFound`."""
        try:
            wanted = uuid.UUID(message_id).bytes
        except ValueError:
            raise NotFound(f"“{message_id}” is no message id") from None
        companies = await shops.list_controllers(self._database)
        async with self._database.reading() as session:
            found = await messages.get(session, [(company.id, wanted) for company in companies])
        for one in found:
            if one is not None:
                return await self._told(one)
        raise NotFound("there is no message of this id")

    async def consents_of_customer(self, shop: Shop, customer_id: str) -> dict[str, Any]:
        """Where a customer of the shop stands, by the shop's own id; raises :class:`NotFound`."""
        found = await subjects.by_external_id(self._database, shop.controller.id, shop.id, customer_id)
        if not found:
            raise NotFound("nothing is known of this customer")
        return await self._consents(shop, found[0])

    async def consents_of(self, shop: Shop, address: str) -> dict[str, Any]:
        """Where a mailbox stands with the shop's company; raises :class:`NotFound`."""
        subject = await self._subject(shop, address)
        if subject is None:
            raise NotFound("nothing is known of this customer")
        return await self._consents(shop, subject)

    async def _subject(self, shop: Shop, address: str) -> Subject | None:
        try:
            wanted = lookup(self._pepper, shop.controller.id, address)
        except ValueError:
            return None
        async with self._database.reading() as session:
            (found,) = await subjects.find_by_lookup(session, [(shop.controller.id, wanted)])
        return found

    async def _consents(self, shop: Shop, subject: Subject) -> dict[str, Any]:
        if subject.erased_at is not None:
            raise NotFound("nothing is known of this customer")
        controller_id = shop.controller.id
        standing = await ledger.standing_of(self._database, controller_id, subject.id)
        entries = await ledger_entries.of_subject(self._database, controller_id, subject.id)
        known_as = await subjects.external_ids(self._database, controller_id, subject.id)
        prefers = await preferences.of_subject(self._database, controller_id, subject.id)
        # Undated: whoever holds it may take less, and for more gets a fresh link by mail.
        page = self._links.sign(Link(shop.number, subject.id, LinkKind.PREFERENCES))
        channels: dict[str, dict[str, str]] = {}
        for one in standing:
            if one.channel != EMAIL:
                channels.setdefault(one.channel, {})[one.purpose] = one.state
        return {
            "standing": {one.purpose: one.state for one in standing if one.channel == EMAIL},
            "channels": channels,
            "preferences": {purpose: one.as_json() for purpose, one in prefers.chosen.items()},
            "paused_until": prefers.paused_until or None,
            "preferences_url": f"{shop.link_base}/p/{page}",
            "entries": [entry_json(entry) for entry in entries],
            "customer_ids": [external_id for shop_id, external_id in known_as if shop_id == shop.id],
        }

    async def _told(self, message: StoredMessage) -> dict[str, Any]:
        decision = Decision.from_json(message.decision)
        visits = await clicks.of_message(self._database, message.controller_id, message.id, message.subject_id)
        entries = await ledger_entries.of_subject(self._database, message.controller_id, message.subject_id)
        return {
            "message_id": str(uuid.UUID(bytes=message.id)),
            "type": message.type,
            "touchpoint": message.touchpoint,
            "sent_at": message.sent_at,
            "locale": message.locale,
            "order_id": message.order_id,
            "country": message.country,
            "market": message.market,
            "rule_version": message.rule_version,
            "customer_kind": message.customer_kind,
            "test": message.test,
            "would_ask": decision.would_ask,
            "arms": dict(decision.arms),
            "placements": [placement.as_json() for placement in decision.placements],
            "skipped": [skip.as_json() for skip in decision.skipped],
            "delivery": await self._delivery(message),
            "presses": [
                _press(entry, await self._confirmation(message, entry))
                for entry in entries
                if entry.message_id == message.id
            ],
            "visits": [
                {
                    "at": one.at,
                    "link": LinkKind(one.kind).name.lower(),
                    "method": one.method,
                    "verdict": one.verdict,
                    "reasons": list(one.reasons),
                }
                for one in visits
            ],
        }

    async def _confirmation(self, message: StoredMessage, entry: Entry) -> dict[str, Any] | None:
        """The confirmation mail that a press led to, and what became of it."""
        if entry.event != Event.PENDING:
            return None
        sent = await messages.by_subject(self._database, message.controller_id, message.subject_id)
        ours = (one for one in sent if one.type == confirmation.TYPE and one.sent_at == entry.occurred_at)
        mail = next(ours, None)
        if mail is None:
            return None
        return {"message_id": str(uuid.UUID(bytes=mail.id)), "delivery": await self._delivery(mail)}

    async def _delivery(self, message: StoredMessage) -> dict[str, Any] | None:
        """What became of a mail that we send ourselves; None for one that the shop sends."""
        row = await outbox.of_message(self._database, message.controller_id, message.id)
        return None if row is None else _delivery_json(row)


def _delivery_json(row: OutboxRow) -> dict[str, Any]:
    return {
        "outcome": row.outcome or ("retrying" if row.reason else "waiting"),
        "reason": row.reason,
        "attempts": row.attempts,
        "next_at": row.due_at if row.done_at is None else None,
        "done_at": row.done_at,
    }


def _press(entry: Entry, mail: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "at": entry.occurred_at,
        "event": entry.event,
        "purpose": entry.purpose,
        "verdict": entry.verdict,
        "reasons": list(entry.verdict_reasons),
        "attestation": entry.attestation,
        "confirmation": mail,
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """A ledger entry as the consent endpoints tell it."""
    return {
        "event_id": str(uuid.UUID(bytes=entry.event_id)),
        "event": entry.event,
        "purpose": entry.purpose,
        "channel": entry.channel,
        "basis": entry.basis,
        "occurred_at": entry.occurred_at,
        "recorded_at": entry.recorded_at,
        "touchpoint": entry.touchpoint,
        "message_id": str(uuid.UUID(bytes=entry.message_id)) if entry.message_id else None,
        "variant": entry.variant,
        "wording_id": entry.wording_id.hex() if entry.wording_id else None,
        "notice_id": entry.notice_id.hex() if entry.notice_id else None,
        "method": entry.method,
        "attestation": entry.attestation,
        "verdict": entry.verdict,
        "verdict_reasons": list(entry.verdict_reasons),
        "jurisdiction": entry.jurisdiction,
        "rule_version": entry.rule_version,
        "preference": Preference.from_json(entry.preference).as_json() if entry.preference else None,
        "expires_at": entry.expires_at,
        "leaf_hash": entry.leaf_hash.hex(),
    }
