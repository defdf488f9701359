"""The catalogue: purposes, block versions, which of them are live, and their compiled programs.

Contents are JSON texts of the nouns in :mod:`handraiser.core.block`; the store does not look into them. Everything that
changes what is live raises the controller's revision, which every process polls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from handraiser.errors import Conflict, NotFound
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row


@dataclass(frozen=True, slots=True)
class PurposeRow:
    """One version of a purpose; one version of a slug is live."""

    controller_id: bytes
    slug: str
    version: int
    content: str
    created_at: int
    created_by: str = ""
    live: bool = True


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One immutable version of a block. ``legal_class`` is service, ask, advertising or feedback."""

    controller_id: bytes
    block_id: bytes
    slug: str
    version: int
    content: str
    hash: bytes
    legal_class: str
    created_at: int
    created_by: str = ""
    live: bool = False


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is live for a controller at one revision: contents of purposes and block versions as JSON texts."""

    controller_id: bytes
    revision: int
    purposes: tuple[str, ...]
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoLive:
    """Make a version of a block the live one; None takes the block off."""

    controller_id: bytes
    block_id: bytes
    version: int | None


async def put_purposes(tx: Transaction, rows: Sequence[PurposeRow]) -> list[bool]:
    """Keep versions of purposes, live where they say so; False where slug and version were there already."""
    await take_turns(tx, {row.controller_id for row in rows})
    new = []
    for row in rows:
        key = (row.controller_id, row.slug, row.version)
        made = await tx.fetch(
            "INSERT INTO purpose (controller_id, slug, version, content, live, created_at, created_by)"
            " VALUES ($1, $2, $3, $4, 0, $5, $6) ON CONFLICT DO NOTHING RETURNING version",
            (*key, row.content, row.created_at, row.created_by),
        )
        if made and row.live:
            await tx.execute("UPDATE purpose SET live = 0 WHERE controller_id = $1 AND slug = $2 AND live = 1", key[:2])
            await tx.execute("UPDATE purpose SET live = 1 WHERE controller_id = $1 AND slug = $2 AND version = $3", key)
            await raise_revision(tx, row.controller_id)
        new.append(bool(made))
    return new


async def put_versions(tx: Transaction, rows: Sequence[BlockRow]) -> list[bool]:
    """Keep block versions; False where block and version were there already. A version is immutable, so a changed block
    is a new version; ``live`` puts it live at once."""
    await take_turns(tx, {row.controller_id for row in rows})
    new = []
    for row in rows:
        await tx.execute(
            "INSERT INTO block (controller_id, block_id, slug) VALUES ($1, $2, $3)"
            " ON CONFLICT (controller_id, block_id) DO UPDATE SET slug = excluded.slug",
            (row.controller_id, row.block_id, row.slug),
        )
        made = await tx.fetch(
            "INSERT INTO block_version"
            " (controller_id, block_id, version, content, hash, legal_class, created_at, created_by)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING version",
            (
                row.controller_id,
                row.block_id,
                row.version,
                row.content,
                row.hash,
                row.legal_class,
                row.created_at,
                row.created_by,
            ),
        )
        if made and row.live:
            await go_live(tx, [GoLive(row.controller_id, row.block_id, row.version)])
        new.append(bool(made))
    return new


async def go_live(tx: Transaction, rows: Sequence[GoLive]) -> list[int]:
    """Change which versions are live and return the new revisions.

    Raises :class:`NotFound` for an unknown version, and :class:`Conflict` while a running test pins another one.
    """
    await take_turns(tx, {row.controller_id for row in rows})
    revisions = []
    for row in rows:
        version, key = (await _pinned(tx, row.controller_id)).get(row.block_id, (row.version, ""))
        if version != row.version:
            raise Conflict(f"the running test {key} pins version {version} of this block: stop it first")
        if not await tx.fetch(
            "UPDATE block SET live_version = $3 WHERE controller_id = $1 AND block_id = $2"
            " AND (CAST($3 AS bigint) IS NULL OR EXISTS (SELECT 1 FROM block_version b"
            " WHERE b.controller_id = $1 AND b.block_id = $2 AND b.version = $3)) RETURNING slug",
            (row.controller_id, row.block_id, row.version),
        ):
            raise NotFound("no such block version")
        revisions.append(await raise_revision(tx, row.controller_id))
    return revisions


async def _pinned(tx: Transaction, controller_id: bytes) -> dict[bytes, tuple[int, str]]:
    """The version that running tests pin, by block, with the test's key."""
    rows = await tx.fetch(
        "SELECT key, settings FROM experiment WHERE controller_id = $1 AND state = 'running' AND kind = 'test'",
        (controller_id,),
    )
    return {
        bytes.fromhex(arm["block_id"]): (arm["version"], row["key"])
        for row in rows
        for arm in orjson.loads(row["settings"])["arms"]
        if arm["block"]
    }


async def take_turns(tx: Transaction, controllers: set[bytes]) -> None:
    """One change of a company's catalogue at a time, in every process."""
    for controller_id in sorted(controllers):
        await tx.exclusive(f"catalogue {controller_id.hex()}")


async def raise_revision(tx: Transaction, controller_id: bytes) -> int:
    rows = await tx.fetch(
        "INSERT INTO catalogue (controller_id, revision) VALUES ($1, 1)"
        " ON CONFLICT (controller_id) DO UPDATE SET revision = catalogue.revision + 1 RETURNING revision",
        (controller_id,),
    )
    revision: int = rows[0]["revision"]
    return revision


async def catalogue(reads: Reads, controller_id: bytes) -> Catalogue:
    """What is live. The revision is read first: what follows is at least as new, so a poller never misses a change."""
    revision = await reads.fetch("SELECT revision FROM catalogue WHERE controller_id = $1", (controller_id,))
    purposes = await reads.fetch(
        "SELECT content FROM purpose WHERE controller_id = $1 AND live = 1 ORDER BY slug", (controller_id,)
    )
    live = await reads.fetch(
        "SELECT v.content FROM block b JOIN block_version v ON v.controller_id = b.controller_id"
        " AND v.block_id = b.block_id AND v.version = b.live_version WHERE b.controller_id = $1 ORDER BY b.slug",
        (controller_id,),
    )
    return Catalogue(
        controller_id,
        revision[0]["revision"] if revision else 0,
        tuple(row["content"] for row in purposes),
        tuple(row["content"] for row in live),
    )


async def contents(reads: Reads, controller_id: bytes, pins: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The contents of block versions, by (slug, version); what there is none of is left out."""
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT b.slug, t.version, t.content FROM v"
        " JOIN block b ON b.controller_id = $1 AND b.slug = v.slug"
        " JOIN block_version t ON t.controller_id = b.controller_id AND t.block_id = b.block_id"
        " AND t.version = v.version",
        "slug text, version int",
        sorted(set(pins)),
        (controller_id,),
    )
    return {(row["slug"], row["version"]): row["content"] for row in rows}


async def revisions(reads: Reads) -> dict[bytes, int]:
    """The revision of every controller's catalogue, for the poll of each second."""
    return {
        row["controller_id"]: row["revision"]
        for row in await reads.fetch("SELECT controller_id, revision FROM catalogue")
    }


async def versions(reads: Reads, controller_id: bytes, slug: str = "") -> list[BlockRow]:
    """All block versions of a controller, or those of one block, newest first."""
    rows = await reads.fetch(
        "SELECT b.slug, b.live_version, v.* FROM block b JOIN block_version v ON v.controller_id = b.controller_id"
        " AND v.block_id = b.block_id WHERE b.controller_id = $1 AND ($2 = '' OR b.slug = $2)"
        " ORDER BY b.slug, v.version DESC",
        (controller_id, slug),
    )
    return [_block(row) for row in rows]


async def purposes(reads: Reads, controller_id: bytes) -> list[PurposeRow]:
    """All versions of a controller's purposes, newest first."""
    rows = await reads.fetch(
        "SELECT * FROM purpose WHERE controller_id = $1 ORDER BY slug, version DESC", (controller_id,)
    )
    return [
        PurposeRow(
            row["controller_id"],
            row["slug"],
            row["version"],
            row["content"],
            row["created_at"],
            row["created_by"],
            bool(row["live"]),
        )
        for row in rows
    ]


async def get_compiled(tx: Reads, hashes: Sequence[bytes]) -> list[str | None]:
    """Compiled programs by content address, in the order asked for."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT v.n, c.program FROM v JOIN compiled c ON c.hash = v.hash",
        "n int, hash bytes",
        list(enumerate(hashes)),
    )
    found: list[str | None] = [None] * len(hashes)
    for row in rows:
        found[row["n"]] = row["program"]
    return found


async def put_compiled(tx: Transaction, rows: Sequence[tuple[bytes, str, int]]) -> list[None]:
    """Keep (hash, program, now); the same hash is the same program."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO compiled (hash, program, created_at) SELECT hash, program, created_at FROM v"
        " WHERE true ON CONFLICT DO NOTHING",
        "hash bytes, program text, created_at int",
        sorted(rows),
    )
    return [None] * len(rows)


def _block(row: Row) -> BlockRow:
    return BlockRow(
        row["controller_id"],
        row["block_id"],
        row["slug"],
        row["version"],
        row["content"],
        row["hash"],
        row["legal_class"],
        row["created_at"],
        row["created_by"],
        row["live_version"] == row["version"],
    )
