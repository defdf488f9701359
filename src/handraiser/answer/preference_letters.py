"""The letter with a fresh preferences link, to the address on file alone: written when it leaves."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

import jinja2

from handraiser.core import preference_mail
from handraiser.core.confirmation import Letter
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.preference_mail import Requested
from handraiser.core.shop import Shop
from handraiser.store import shops, subjects
from handraiser.store.database import Database
from handraiser.store.outbox import OutboxRow
from handraiser.store.subjects import Sealer

EVENT = "preferences.mail"


def letter_row(shop: Shop, subject_id: bytes, locale: str, row_id: bytes, now: int) -> OutboxRow:
    """What makes the letter leave."""
    return OutboxRow(
        id=row_id,
        controller_id=shop.controller.id,
        event=EVENT,
        payload={"shop_id": str(uuid.UUID(bytes=shop.id)), "locale": locale},
        created_at=now,
        due_at=now,
        carrier="mail",
        subject_id=subject_id,
    )


class PreferenceLetters:
    """Writes these letters from what the store holds; it changes nothing."""

    def __init__(
        self,
        *,
        database: Database,
        links: Links,
        sealer: Sealer,
        template: jinja2.Template,
        words: Callable[[str], Mapping[str, str]],
    ) -> None:
        """``template`` is that of the confirmation mail; ``words`` gives a language's catalogue."""
        self._database, self._links, self._sealer = database, links, sealer
        self._template, self._words = template, words

    async def letter(self, row: OutboxRow) -> Letter | None:
        """The letter of an outbox row; None when its reader was erased meanwhile. Raises :class:`StoreUnavailable`."""
        controller_id, subject_id = row.controller_id, row.subject_id or b""
        async with self._database.reading() as session:
            (subject,) = await subjects.find(session, [(controller_id, subject_id)])
            (shop,) = await shops.get(session, [(controller_id, uuid.UUID(row.payload["shop_id"]).bytes)])
        if shop is None or subject is None or subject.erased_at is not None or subject.address is None:
            return None
        link = Link(shop.number, subject_id, LinkKind.PREFERENCES)
        never = self._links.sign(Link(shop.number, subject_id, LinkKind.WITHDRAW))
        requested = Requested(
            shop=shop,
            address=self._sealer.open(controller_id, subject.address),
            message_id=row.id,
            sent_at=row.created_at,
            locale=row.payload["locale"],
            link=f"{shop.link_base}/p/{self._links.dated(link, row.created_at)}",
            never=f"{shop.link_base}/u/{never}",
        )
        return preference_mail.write(requested, self._template, self._words(requested.locale))
