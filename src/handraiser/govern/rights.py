"""Access and erasure (GDPR Art. 15 and 17): everything that is held of a customer, and that it goes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from handraiser.core.consent import ALL_PURPOSES, Entry, Event, State, dedup_key
from handraiser.core.mailbox import lookup
from handraiser.core.shop import Shop
from handraiser.errors import NotFound
from handraiser.store import ledger, rights, shops, subjects, wordings
from handraiser.store.database import Database, Transaction
from handraiser.store.ledger import Append, Change, Suppression
from handraiser.store.outbox import event_of
from handraiser.store.sql import Reads
from handraiser.store.subjects import Sealer, Subject
from handraiser.store.writer import Writer

_JSON = frozenset(
    {"decision", "request", "content", "payload", "asks", "reasons", "verdict_reasons", "preference", "segments"}
)
"""Columns that hold JSON."""
_OURS = frozenset({"controller_id", "subject_id", "dedup_key", "leaf_hash"})
"""Columns that say nothing of the customer."""


class Rights:
    """Answers what a customer demands of a company, whichever of its shops is asked."""

    def __init__(
        self,
        *,
        database: Database,
        writer: Writer,
        sealer: Sealer,
        pepper: bytes,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self._database, self._writer, self._sealer, self._pepper = database, writer, sealer, pepper
        self._clock, self._new_id = clock, new_id

    async def held_of_customer(self, shop: Shop, customer_id: str) -> dict[str, Any]:
        """Everything held of a customer of the shop, under every address it has had; raises :class:`NotFound`."""
        return await self._held(shop, await self._by_id(shop, customer_id))

    async def held_of(self, shop: Shop, address: str) -> dict[str, Any]:
        """Everything held of a mailbox, guests included; raises :class:`NotFound`."""
        return await self._held(shop, await self._by_address(shop, address))

    async def erase_customer(self, shop: Shop, customer_id: str) -> int:
        """Erase a customer of the shop under every address it has had; how many. Raises :class:`NotFound`."""
        return await self._erase(await self._by_id(shop, customer_id))

    async def erase(self, shop: Shop, address: str) -> int:
        """Erase a mailbox, guests included; how many (1). Raises :class:`NotFound`."""
        return await self._erase(await self._by_address(shop, address))

    async def _by_id(self, shop: Shop, customer_id: str) -> list[Subject]:
        found = await subjects.by_external_id(self._database, shop.controller.id, shop.id, customer_id)
        return _living(found)

    async def _by_address(self, shop: Shop, address: str) -> list[Subject]:
        try:
            wanted = lookup(self._pepper, shop.controller.id, address)
        except ValueError:
            return _living([])
        found = await subjects.find_by_lookup(self._database, [(shop.controller.id, wanted)])
        return _living([one for one in found if one is not None])

    async def _held(self, shop: Shop, whose: Sequence[Subject]) -> dict[str, Any]:
        slugs = {one.id: one.slug for one in await shops.list_shops(self._database, shop.controller.id)}
        async with self._database.reading() as session:
            return {
                "company": shop.controller.name,
                "subjects": [await self._told(session, one, slugs) for one in whose],
            }

    async def _told(self, session: Reads, subject: Subject, slugs: dict[bytes, str]) -> dict[str, Any]:
        rows = await rights.held(session, subject.controller_id, subject.id)
        found = await ledger.suppressions_of(session, subject.controller_id, subject.lookup or b"")
        texts = {row["wording_id"] for row in rows["consent_entry"] if row["wording_id"]}
        shown = await wordings.get(session, [(subject.controller_id, one) for one in sorted(texts)])
        told = {name: [_row(one, slugs) for one in some] for name, some in rows.items()}
        return {
            "subject_id": str(uuid.UUID(bytes=subject.id)),
            "email": self._sealer.open(subject.controller_id, subject.address) if subject.address else None,
            "first_seen": subject.created_at,
            "customer_ids": told["customer_history"],
            "standing": told["standing"],
            "preferences": told["preference"],
            "entries": told["consent_entry"],
            "evidence": told["evidence"],
            "wordings": [
                {"wording_id": one.id.hex(), "language": one.language, "content": orjson.loads(one.content)}
                for one in shown
                if one is not None
            ],
            "suppressions": [{"scope": one.scope, "since": one.since, "reason": one.reason} for one in found],
            "exposures": told["exposure"],
            "counted_as": told["customer_count"],
            "orders": told["orders"],
            "messages": told["message"],
            "visits": told["click"],
            "counters": told["subject_state"],
            "outgoing": told["outbox"],
        }

    async def _erase(self, whose: Sequence[Subject]) -> int:
        for subject in whose:
            await self._writer.write(self._erase_subjects, subject)
        return len(whose)

    async def _erase_subjects(self, tx: Transaction, whose: Sequence[Subject]) -> list[None]:
        """The ledger keeps its entries and gains one that says so; the keyed hash goes on standing for "do not ask"."""
        now = self._clock()
        for subject in whose:
            await rights.erase(tx, subject.controller_id, subject.id, now)
            entry = Entry(
                event_id=self._new_id(now),
                controller_id=subject.controller_id,
                subject_id=subject.id,
                purpose=ALL_PURPOSES,
                event=Event.ERASED,
                occurred_at=now,
                received_at=now,
                recorded_at=now,
                dedup_key=dedup_key(subject.id, "erased"),
                touchpoint="api",
                method="form",
                actor="agent",
            )
            suppress = Suppression(subject.lookup, now, "erased") if subject.lookup else None
            change = Change(entry, State.ERASED)
            await ledger.append(tx, [Append((change,), (event_of(entry, self._new_id(now)),), suppress)])
            await rights.forget_state(tx, subject.controller_id, subject.id)
        return [None] * len(whose)


def _living(found: Sequence[Subject]) -> list[Subject]:
    living = [one for one in found if one.erased_at is None]
    if not living:
        raise NotFound("nothing is known of this customer")
    return living


def _row(row: dict[str, Any], slugs: dict[bytes, str]) -> dict[str, Any]:
    """A stored row as people and machines read it: ids with hyphens, hashes in hex, JSON as such, a shop by name."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        if name in _OURS:
            continue
        if name == "shop_id":
            told["shop"] = slugs.get(value, "")
        elif name in _JSON and isinstance(value, str):
            told[name] = orjson.loads(value) if value else None
        elif isinstance(value, bytes):
            told[name] = str(uuid.UUID(bytes=value)) if len(value) == 16 and name != "salt" else value.hex()
        else:
            told[name] = value
    return told
