"""What proves one consent: the entry with the text that was shown and the evidence kept, and its receipts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from handraiser.core import receipt
from handraiser.core.block import Purpose
from handraiser.core.consent import Entry
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.receipt import Shown
from handraiser.core.shop import Shop
from handraiser.errors import NotFound
from handraiser.store import blocks, ledger_entries, wordings
from handraiser.store.database import Database


class Proof:
    """Reads one company's ledger; it never writes."""

    def __init__(self, database: Database, links: Links, clock: Callable[[], int]) -> None:
        self._database, self._links, self._clock = database, links, clock

    async def entry(
        self, shop: Shop, event_id: bytes
    ) -> tuple[Entry, Mapping[str, Any] | None, Mapping[str, Any] | None]:
        """An entry of the shop's company, the wording that was shown and the evidence, where they are kept.

        Raises :class:`NotFound` for an unknown id and another company's.
        """
        controller_id = shop.controller.id
        entry = await ledger_entries.by_event_id(self._database, controller_id, event_id)
        if entry is None:
            raise NotFound("there is no entry of this id")
        wording = None
        if entry.wording_id:
            (found,) = await wordings.get(self._database, [(controller_id, entry.wording_id)])
            if found is not None:
                wording = {"language": found.language, "content": orjson.loads(found.content)}
        evidence = await ledger_entries.evidence_of(self._database, controller_id, event_id)
        return entry, wording, evidence.content if evidence else None

    async def kantara(self, shop: Shop, event_id: bytes) -> dict[str, Any]:
        """The Kantara receipt of an entry; raises what :meth:`entry` and :func:`handraiser.core.receipt.kantara` do."""
        entry, wording, _ = await self.entry(shop, event_id)
        return receipt.kantara(entry, shop.controller, await self._shown(shop, entry, wording))

    async def dpv(self, shop: Shop, event_id: bytes) -> dict[str, Any]:
        """The ISO/IEC TS 27560 receipt of an entry; raises what :meth:`entry` does."""
        entry, wording, _ = await self.entry(shop, event_id)
        return receipt.dpv(entry, shop.controller, await self._shown(shop, entry, wording), self._clock())

    async def _shown(self, shop: Shop, entry: Entry, wording: Mapping[str, Any] | None) -> Shown:
        """The purpose in the words the customer saw; where none were kept, in those of today's promise."""
        leave = self._links.sign(Link(shop.number, entry.subject_id, LinkKind.WITHDRAW))
        url = f"{shop.link_base}/u/{leave}"
        content = wording["content"] if wording else {}
        if "promise" in content:
            promise = content["promise"]
            words = f"{promise['what']} ({promise['frequency']})"
            return Shown(words, wording["language"] if wording else "", tuple(content["recipients"]), url)
        purpose = await self._purpose(shop, entry.purpose)
        recipients = purpose.recipients if purpose else ()
        if content.get("text"):
            return Shown(content["text"], content["language"] or shop.default_locale, recipients, url)
        promised = purpose.promise(shop.default_locale, shop.default_locale).what if purpose else entry.purpose
        return Shown(promised, shop.default_locale, recipients, url)

    async def _purpose(self, shop: Shop, slug: str) -> Purpose | None:
        rows = await blocks.purposes(self._database, shop.controller.id)
        return next((Purpose.from_json(row.content) for row in rows if row.slug == slug and row.live), None)
