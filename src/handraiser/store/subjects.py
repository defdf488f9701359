"""Subjects: mailboxes under a controller, found by a keyed hash; their addresses are sealed where keys are given."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from typing import Any

from handraiser.core.value import dataclass
from handraiser.errors import StoreError
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row

_NONCE = 12
_PLAIN = "p:"


@dataclass(frozen=True, slots=True)
class Subject:
    """A mailbox under a controller. ``lookup`` and ``address`` (as it was stored) are None once erased."""

    controller_id: bytes
    id: bytes
    lookup: bytes | None
    pepper_id: int
    address: str | None
    created_at: int
    erased_at: int | None


@dataclass(frozen=True, slots=True)
class NewSubject:
    """A mailbox that may be new: kept under ``id`` unless ``lookup`` is known already."""

    controller_id: bytes
    id: bytes
    lookup: bytes
    pepper_id: int
    address: str
    created_at: int


class Sealer:
    """Seals addresses with AES-256-GCM under the newest of ``keys`` (kid, secret), oldest first; any of them opens.

    Without keys an address is kept as it is. The sealed text is bound to the controller and names its kid, so keys can
    be added at any time. Sealing twice gives two texts: only the look-up finds a mailbox.
    """

    def __init__(self, keys: Sequence[tuple[int, bytes]] = ()) -> None:
        self._ciphers: dict[int, Any] = {}
        if keys:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 8 MB that only sealing needs

            self._ciphers = {
                kid: AESGCM(hashlib.sha256(b"handraiser data key" + secret).digest()) for kid, secret in keys
            }
            self._newest = keys[-1][0]

    def seal(self, controller_id: bytes, address: str) -> str:
        """The text to store."""
        if not self._ciphers:
            return _PLAIN + address
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._ciphers[self._newest].encrypt(nonce, address.encode(), controller_id)
        return f"k{self._newest}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, controller_id: bytes, stored: str) -> str:
        """The address again; raises :class:`StoreError` without its key or when the text was altered."""
        if stored.startswith(_PLAIN):
            return stored.removeprefix(_PLAIN)
        kid, _, sealed = stored.partition(":")
        cipher = self._ciphers.get(int(kid[1:])) if kid[1:].isdigit() else None
        if cipher is None:
            raise StoreError(f"An address is sealed with the data key {kid[1:]}, which data_keys does not hold.")
        from cryptography.exceptions import InvalidTag

        raw = base64.b64decode(sealed)
        try:
            opened: bytes = cipher.decrypt(raw[:_NONCE], raw[_NONCE:], controller_id)
        except InvalidTag:
            raise StoreError("A sealed address was altered, or belongs to another company.") from None
        return opened.decode()


_COLUMNS = "s.controller_id, s.subject_id, s.lookup, s.pepper_id, s.address, s.created_at, s.erased_at"


async def find(tx: Reads, keys: Sequence[tuple[bytes, bytes]]) -> list[Subject | None]:
    """Subjects by (controller_id, subject_id), in the order asked for."""
    rows = await tx.fetch_rows(
        f"WITH {{rows}} SELECT v.n, {_COLUMNS} FROM v JOIN subject s"
        " ON s.controller_id = v.controller_id AND s.subject_id = v.subject_id",
        "n int, controller_id id, subject_id id",
        [(n, *key) for n, key in enumerate(keys)],
    )
    return _in_order(rows, len(keys))


async def find_by_lookup(tx: Reads, keys: Sequence[tuple[bytes, bytes]]) -> list[Subject | None]:
    """Subjects by (controller_id, lookup), in the order asked for."""
    rows = await tx.fetch_rows(
        f"WITH {{rows}} SELECT v.n, {_COLUMNS} FROM v JOIN subject s"
        " ON s.controller_id = v.controller_id AND s.lookup = v.lookup",
        "n int, controller_id id, lookup bytes",
        [(n, *key) for n, key in enumerate(keys)],
    )
    return _in_order(rows, len(keys))


async def by_external_id(reads: Reads, controller_id: bytes, shop_id: bytes, external_id: str) -> list[Subject]:
    """Every subject that this customer of the shop has been, the current one first."""
    rows = await reads.fetch(
        f"SELECT {_COLUMNS} FROM customer_history h JOIN subject s"
        " ON s.controller_id = h.controller_id AND s.subject_id = h.subject_id"
        " LEFT JOIN customer c ON c.controller_id = h.controller_id AND c.shop_id = h.shop_id"
        " AND c.external_id = h.external_id AND c.subject_id = h.subject_id"
        " WHERE h.controller_id = $1 AND h.shop_id = $2 AND h.external_id = $3"
        " ORDER BY CASE WHEN c.subject_id IS NULL THEN 1 ELSE 0 END, h.since DESC",
        (controller_id, shop_id, external_id),
    )
    return [_subject(row) for row in rows]


async def external_ids(reads: Reads, controller_id: bytes, subject_id: bytes) -> list[tuple[bytes, str]]:
    """The (shop_id, customer id) pairs that a subject has had, oldest first."""
    rows = await reads.fetch(
        "SELECT shop_id, external_id FROM customer_history WHERE controller_id = $1 AND subject_id = $2"
        " ORDER BY since, external_id",
        (controller_id, subject_id),
    )
    return [(row["shop_id"], row["external_id"]) for row in rows]


async def ensure(tx: Transaction, rows: Sequence[NewSubject]) -> list[bytes]:
    """The ids of these mailboxes, kept as new where their look-up was unknown (imports; mail goes through messages)."""
    ordered = sorted({(row.controller_id, row.lookup): row for row in reversed(rows)}.items())
    await insert(tx, [row for _, row in ordered])
    known = await find_by_lookup(tx, [(row.controller_id, row.lookup) for row in rows])
    return [subject.id for subject in known if subject is not None]


async def insert(tx: Transaction, rows: Sequence[NewSubject]) -> None:
    """Keep those whose look-up is unknown, each with a fresh state; the others are left as they are."""
    made = await tx.fetch_rows(
        "WITH {rows} INSERT INTO subject (controller_id, subject_id, lookup, pepper_id, address, created_at)"
        " SELECT controller_id, subject_id, lookup, pepper_id, address, created_at FROM v WHERE true"
        " ON CONFLICT DO NOTHING RETURNING controller_id, subject_id, created_at",
        "controller_id id, subject_id id, lookup bytes, pepper_id small, address text, created_at int",
        [(r.controller_id, r.id, r.lookup, r.pepper_id, r.address, r.created_at) for r in rows],
    )
    await tx.execute_rows(
        "WITH {rows} INSERT INTO subject_state (controller_id, subject_id, version, first_seen, orders_seen, asks)"
        " SELECT controller_id, subject_id, 0, first_seen, 0, '[]' FROM v WHERE true ON CONFLICT DO NOTHING",
        "controller_id id, subject_id id, first_seen int",
        [(row["controller_id"], row["subject_id"], row["created_at"]) for row in made],
    )


def _in_order(rows: Sequence[Row], count: int) -> list[Subject | None]:
    found: list[Subject | None] = [None] * count
    for row in rows:
        found[row["n"]] = _subject(row)
    return found


def _subject(row: Row) -> Subject:
    return Subject(
        row["controller_id"],
        row["subject_id"],
        row["lookup"],
        row["pepper_id"],
        row["address"],
        row["created_at"],
        row["erased_at"],
    )
