"""The confirmation mail of a consent that waits: itself a message, written when it leaves, and only while it waits."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

import jinja2

from handraiser.core import confirmation, consent
from handraiser.core.block import Promise
from handraiser.core.confirmation import Confirmation, Letter
from handraiser.core.consent import Standing, State
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.market import Markets
from handraiser.core.placement import Decision
from handraiser.core.shop import Shop
from handraiser.store import ledger, messages, shops, subjects, wordings
from handraiser.store.database import Database
from handraiser.store.messages import StoredMessage
from handraiser.store.outbox import OutboxRow
from handraiser.store.subjects import Sealer

CARRIER = "mail"


def confirmation_message(asked: StoredMessage, message_id: bytes, now: int) -> StoredMessage:
    """The message that asks once more what ``asked`` asked: to the same reader, under the same rules."""
    decision = Decision.from_json(asked.decision)
    asks = tuple(one for one in decision.placements if one.legal_class == "ask")
    kept = Decision(confirmation.TYPE, b"", asks)
    return replace(
        asked,
        id=message_id,
        type=confirmation.TYPE,
        touchpoint=confirmation.TOUCHPOINT,
        sent_at=now,
        decision=kept.to_json(),
        request={},
    )


def confirmation_row(message: StoredMessage) -> OutboxRow:
    """What makes the mail leave; it has the message's id."""
    return OutboxRow(
        id=message.id,
        controller_id=message.controller_id,
        event=confirmation.EVENT,
        payload={"message_id": str(uuid.UUID(bytes=message.id))},
        created_at=message.sent_at,
        due_at=message.sent_at,
        carrier=CARRIER,
        subject_id=message.subject_id,
    )


def template_of(text: str) -> jinja2.Template:
    """The template of a mail of our own, from its source."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)


class Confirming:
    """Writes confirmation mails from what the store holds; it changes nothing."""

    def __init__(
        self,
        *,
        database: Database,
        links: Links,
        markets: Markets,
        sealer: Sealer,
        template: jinja2.Template,
        words: Callable[[str], Mapping[str, str]],
        clock: Callable[[], int],
    ) -> None:
        """``template`` is the mail's HTML (:func:`template_of`); ``words`` gives a language's catalogue."""
        self._database, self._links, self._markets, self._sealer = database, links, markets, sealer
        self._words, self._clock = words, clock
        self._template = template

    async def letter(self, row: OutboxRow) -> Letter | None:
        """The mail of an outbox row; None when nothing waits for it any more: the reader said no, confirmed or was
        erased meanwhile, a newer mail took its place, or it lapsed. Raises :class:`StoreUnavailable`."""
        controller_id = row.controller_id
        async with self._database.reading() as session:
            (message,) = await messages.get(session, [(controller_id, row.id)])
            if message is None:
                return None
            (subject,) = await subjects.find(session, [(controller_id, message.subject_id)])
            if subject is None or subject.erased_at is not None or subject.address is None:
                return None
            (ask,) = Decision.from_json(message.decision).placements
            found = await ledger.standing_of(session, controller_id, subject.id)
            own = next((one for one in found if (one.purpose, one.channel) == (ask.purpose, "email")), None)
            if own is None or not consent.confirms(
                Standing(own.purpose, State(own.state), own.since), message.sent_at, self._clock()
            ):
                return None
            (wording,) = await wordings.get(session, [(controller_id, ask.wording_id or b"")])
            (shop,) = await shops.get(session, [(controller_id, message.shop_id)])
        if wording is None or shop is None:
            return None
        content = json.loads(wording.content)
        market = self._markets.under(shop.market_overrides).strictest(message.market.split("+"))
        asked = Confirmation(
            shop=shop,
            address=self._sealer.open(controller_id, subject.address),
            message_id=message.id,
            sent_at=message.sent_at,
            locale=message.locale,
            promise=Promise(**content["promise"]),
            language=wording.language,
            recipients=tuple(content["recipients"]),
            links=self._pages(shop, message),
            naked=market.confirm_mail == "naked",
        )
        return confirmation.write(asked, self._template, self._words(message.locale))

    def _pages(self, shop: Shop, message: StoredMessage) -> confirmation.Links:
        confirm = f"{shop.link_base}/o/{self._links.sign(Link(shop.number, message.id, LinkKind.CONFIRM))}"
        never = f"{shop.link_base}/u/{self._links.sign(Link(shop.number, message.subject_id, LinkKind.WITHDRAW))}"
        return confirmation.Links(confirm=confirm, decline=f"{confirm}?no", never=never)
