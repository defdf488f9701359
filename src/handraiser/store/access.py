"""API keys: ``hr_<keyid>_<secret>`` (``hr_test_…`` for tests); only the SHA-256 of the secret is stored.

A secret has 256 random bits, so a plain hash is enough: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row

SCOPES = frozenset({"emails", "consents", "reports", "blocks", "admin"})
_TOUCH_EVERY_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a shop, or of the operator (``controller_id`` and ``shop_id`` None)."""

    key_id: str
    secret_hash: bytes
    controller_id: bytes | None
    shop_id: bytes | None
    name: str
    scopes: frozenset[str]
    test: bool
    created_at: int
    revoked_at: int | None = None
    last_used_at: int | None = None

    def fits(self, secret: str) -> bool:
        """Whether this is the key's secret (compared in constant time) and the key is not revoked."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(digest, self.secret_hash) and self.revoked_at is None

    def needs_touch(self, now: int) -> bool:
        """Whether ``last_used_at`` is more than an hour old, so that it is written at most once an hour."""
        return self.last_used_at is None or now - self.last_used_at > _TOUCH_EVERY_MS


def make(
    *,
    controller_id: bytes | None,
    shop_id: bytes | None,
    name: str = "",
    scopes: Iterable[str] = SCOPES,
    test: bool = False,
    now: int,
) -> tuple[str, ApiKey]:
    """A new key: the text to show once, and what to store with :func:`add`. Raises :class:`ValueError` for a scope."""
    chosen = frozenset(scopes)
    if unknown := chosen - SCOPES:
        raise ValueError(f"unknown scopes: {', '.join(sorted(unknown))}")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    text = f"hr_test_{key_id}_{secret}" if test else f"hr_{key_id}_{secret}"
    digest = hashlib.sha256(secret.encode()).digest()
    return text, ApiKey(key_id, digest, controller_id, shop_id, name, chosen, test, now)


def split(text: str) -> tuple[str, str] | None:
    """(key id, secret) of a key's text, or None for what is no key of ours."""
    for prefix in ("hr_test_", "hr_"):
        if text.startswith(prefix) and len(text) <= 200:
            key_id, _, secret = text.removeprefix(prefix).partition("_")
            return (key_id, secret) if key_id and secret and "\0" not in key_id else None
    return None


async def add(tx: Transaction, rows: Sequence[ApiKey]) -> list[None]:
    """Store new keys."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO api_key (key_id, secret_hash, controller_id, shop_id, name, scopes, test, created_at)"
        " SELECT key_id, secret_hash, controller_id, shop_id, name, scopes, test, created_at FROM v",
        "key_id text, secret_hash bytes, controller_id id, shop_id id, name text, scopes text, test small,"
        " created_at int",
        [
            (
                key.key_id,
                key.secret_hash,
                key.controller_id,
                key.shop_id,
                key.name,
                " ".join(sorted(key.scopes)),
                int(key.test),
                key.created_at,
            )
            for key in rows
        ],
    )
    return [None] * len(rows)


async def find_all(tx: Reads, key_ids: Sequence[str]) -> list[ApiKey | None]:
    """Keys by id, revoked ones too, in the order asked for."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT v.n, k.* FROM v JOIN api_key k ON k.key_id = v.key_id",
        "n int, key_id text",
        list(enumerate(key_ids)),
    )
    found: list[ApiKey | None] = [None] * len(key_ids)
    for row in rows:
        found[row["n"]] = _key(row)
    return found


async def find(reads: Reads, key_id: str) -> ApiKey | None:
    """One live key by its id; None when unknown or revoked. The caller compares the secret with :meth:`ApiKey.fits`."""
    rows = await reads.fetch("SELECT * FROM api_key WHERE key_id = $1 AND revoked_at IS NULL", (key_id,))
    return _key(rows[0]) if rows else None


async def list_keys(reads: Reads, controller_id: bytes | None = None) -> list[ApiKey]:
    """A company's keys, or all of them (the operator's view), oldest first."""
    if controller_id is None:
        rows = await reads.fetch("SELECT * FROM api_key ORDER BY created_at, key_id")
    else:
        rows = await reads.fetch(
            "SELECT * FROM api_key WHERE controller_id = $1 ORDER BY created_at, key_id", (controller_id,)
        )
    return [_key(row) for row in rows]


async def revoke(tx: Transaction, rows: Sequence[tuple[str, int]]) -> list[bool]:
    """Revoke (key id, now); True where a live key was found."""
    done = await tx.fetch_rows(
        "WITH {rows} UPDATE api_key SET revoked_at = v.at FROM v"
        " WHERE api_key.key_id = v.key_id AND api_key.revoked_at IS NULL RETURNING api_key.key_id",
        "key_id text, at int",
        sorted(dict(rows).items()),
    )
    revoked = {row["key_id"] for row in done}
    return [key_id in revoked for key_id, _ in rows]


async def touch(tx: Transaction, rows: Sequence[tuple[str, int]]) -> list[None]:
    """Remember (key id, now) as last used; call it only when :meth:`ApiKey.needs_touch`."""
    await tx.execute_rows(
        "WITH {rows} UPDATE api_key SET last_used_at = v.at FROM v"
        " WHERE api_key.key_id = v.key_id AND (api_key.last_used_at IS NULL OR api_key.last_used_at < v.at)",
        "key_id text, at int",
        sorted(dict(rows).items()),
    )
    return [None] * len(rows)


def _key(row: Row) -> ApiKey:
    return ApiKey(
        row["key_id"],
        row["secret_hash"],
        row["controller_id"],
        row["shop_id"],
        row["name"],
        frozenset(row["scopes"].split()),
        bool(row["test"]),
        row["created_at"],
        row["revoked_at"],
        row["last_used_at"],
    )
