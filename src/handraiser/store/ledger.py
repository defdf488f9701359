"""The consent ledger: entries that only grow, and the standing they add up to, written in one transaction.

An entry's ``dedup_key`` makes it happen once: a replay, a second click or another replica gets the entry that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from handraiser.core.consent import Entry
from handraiser.core.ledger_proof import leaf_hash
from handraiser.store import messages, outbox, preferences
from handraiser.store.database import Transaction
from handraiser.store.ledger_entries import DECLARED, LIST, Evidence, to_columns, to_entry
from handraiser.store.messages import StoredMessage
from handraiser.store.outbox import OutboxRow
from handraiser.store.recording import Lost
from handraiser.store.sql import Reads, Row, StoreConflict, to_json


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one purpose on one channel, since when, by which entry; ``message_at`` is when the message that led
    to it was sent (for "a link older than the withdrawal")."""

    purpose: str
    channel: str
    state: str
    since: int
    event_id: bytes
    message_at: int | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    """Do not ask this mailbox any more."""

    lookup: bytes
    since: int
    reason: str
    scope: str = "ask"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry and what follows from it. ``state`` None leaves the standing as it is."""

    entry: Entry
    state: str | None = None
    message_at: int | None = None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Append:
    """What one answer writes, all or nothing; every entry is of the same subject.

    ``version_seen`` is the :attr:`~handraiser.store.messages.Known.version` (or :func:`version_of`) that the answer was
    decided with: if it moved the result is :class:`Lost` and nothing is written. None writes in any case, as a
    withdrawal must. ``suppress`` bars the mailbox from asks, ``lift`` ends a suppression (look-up, scope); ``message``
    is a mail that the answer causes. An answer whose entries are all there already writes nothing at all.
    """

    changes: tuple[Change, ...]
    outbox: tuple[OutboxRow, ...] = ()
    suppress: Suppression | None = None
    lift: tuple[bytes, str] | None = None
    version_seen: int | None = None
    message: StoredMessage | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The entries as they stand in the ledger; ``first`` is False when all of them were there before."""

    entries: tuple[Entry, ...]
    first: bool

    @property
    def entry(self) -> Entry:
        """The first entry: the only one of most answers."""
        return self.entries[0]


_Who = tuple[bytes, bytes]


async def append(tx: Transaction, rows: Sequence[Append]) -> list[Appended | Lost]:
    """Write each answer once; rows of the same subject take their turns in the order given."""
    versions = await _versions(tx, {_who(row) for row in rows})
    there = await _by_dedup(tx, {_dedup(change.entry) for row in rows for change in row.changes})
    bumped: set[_Who] = set()
    written: dict[tuple[bytes, bytes], Change] = {}
    accepted: list[Append] = []
    lost: set[int] = set()
    first: set[int] = set()
    for n, row in enumerate(rows):
        new = [_told(c) for c in row.changes if _dedup(c.entry) not in there and _dedup(c.entry) not in written]
        if not new:
            continue
        if row.version_seen is not None and row.version_seen != versions.get(_who(row), 0):
            lost.add(n)
            continue
        versions[_who(row)] = versions.get(_who(row), 0) + 1
        bumped.add(_who(row))
        written |= {_dedup(change.entry): change for change in new}
        accepted.append(replace(row, changes=tuple(new)))
        first.add(n)
    there |= await _insert(tx, [change.entry for change in written.values()])
    await _project(tx, [change for row in accepted for change in row.changes])
    await preferences.project(tx, [change.entry for change in written.values()])
    await _follow(tx, accepted)
    await _bump(tx, {who: versions[who] for who in bumped})
    return [
        Lost() if n in lost else Appended(tuple(there[_dedup(c.entry)] for c in row.changes), n in first)
        for n, row in enumerate(rows)
    ]


def _told(change: Change) -> Change:
    """The change whose entry says itself where it leads, so that the standing can be made anew from entries alone."""
    state = str(change.state or "")
    if (change.entry.state, change.entry.message_at) == (state, change.message_at):
        return change
    return replace(change, entry=replace(change.entry, state=state, message_at=change.message_at))


def _who(row: Append) -> _Who:
    return (row.changes[0].entry.controller_id, row.changes[0].entry.subject_id)


def _dedup(entry: Entry) -> tuple[bytes, bytes]:
    return (entry.controller_id, entry.dedup_key)


async def _versions(tx: Transaction, subjects: set[_Who]) -> dict[_Who, int]:
    """Lock the subjects' states, in key order; an erased subject has none."""
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT t.controller_id, t.subject_id, t.version FROM v JOIN subject_state t"
        " ON t.controller_id = v.controller_id AND t.subject_id = v.subject_id"
        " ORDER BY t.controller_id, t.subject_id {lock:t}",
        "controller_id id, subject_id id",
        sorted(subjects),
    )
    return {(row["controller_id"], row["subject_id"]): row["version"] for row in rows}


async def _bump(tx: Transaction, versions: Mapping[_Who, int]) -> None:
    await tx.execute_rows(
        "WITH {rows} UPDATE subject_state SET version = v.version FROM v"
        " WHERE subject_state.controller_id = v.controller_id AND subject_state.subject_id = v.subject_id",
        "controller_id id, subject_id id, version int",
        [(*who, version) for who, version in sorted(versions.items())],
    )


async def _by_dedup(tx: Transaction, keys: set[tuple[bytes, bytes]]) -> dict[tuple[bytes, bytes], Entry]:
    rows = await tx.fetch_rows(
        "WITH {rows} SELECT e.* FROM v JOIN consent_entry e"
        " ON e.controller_id = v.controller_id AND e.dedup_key = v.dedup_key",
        "controller_id id, dedup_key bytes",
        sorted(keys),
    )
    return {(row["controller_id"], row["dedup_key"]): to_entry(row) for row in rows}


async def _insert(tx: Transaction, entries: Sequence[Entry]) -> dict[tuple[bytes, bytes], Entry]:
    """Insert in the order given. Only another transaction for a subject without a state (erased), which therefore could
    not be locked, can have been faster: then the whole is tried again and finds its entry."""
    columns = [to_columns(entry) for entry in entries]
    hashes = [leaf_hash(one) for one in columns]
    rows = await tx.fetch_rows(
        f"WITH {{rows}} INSERT INTO consent_entry ({LIST}) SELECT {LIST} FROM v WHERE true"
        " ON CONFLICT (controller_id, dedup_key) DO NOTHING RETURNING seq, controller_id, dedup_key",
        DECLARED,
        [tuple((one | {"leaf_hash": made}).values()) for one, made in zip(columns, hashes, strict=True)],
    )
    if len(rows) < len(entries):
        raise StoreConflict("another transaction wrote the same entry")
    seqs = {(row["controller_id"], row["dedup_key"]): row["seq"] for row in rows}
    return {
        _dedup(entry): replace(entry, seq=seqs[_dedup(entry)], leaf_hash=made)
        for entry, made in zip(entries, hashes, strict=True)
    }


async def _project(tx: Transaction, changes: Sequence[Change]) -> None:
    standing = {
        (c.entry.controller_id, c.entry.subject_id, c.entry.purpose, str(c.entry.channel)): (
            str(c.state),
            c.entry.occurred_at,
            c.entry.event_id,
            c.message_at,
            c.entry.expires_at,
        )
        for c in changes
        if c.state is not None
    }
    names = "controller_id, subject_id, purpose, channel, state, since, event_id, message_at, expires_at"
    await tx.execute_rows(
        f"WITH {{rows}} INSERT INTO standing ({names}) SELECT {names} FROM v WHERE true"
        " ON CONFLICT (controller_id, subject_id, purpose, channel) DO UPDATE SET state = excluded.state,"
        " since = excluded.since, event_id = excluded.event_id, message_at = excluded.message_at,"
        " expires_at = excluded.expires_at",
        "controller_id id, subject_id id, purpose text, channel text, state text, since int, event_id id,"
        " message_at int, expires_at int",
        [(*key, *value) for key, value in sorted(standing.items())],
    )
    await tx.execute_rows(
        "WITH {rows} INSERT INTO evidence (controller_id, event_id, salt, content, created_at)"
        " SELECT controller_id, event_id, salt, content, created_at FROM v",
        "controller_id id, event_id id, salt bytes, content text, created_at int",
        [
            (c.entry.controller_id, c.entry.event_id, c.evidence.salt, to_json(c.evidence.content), c.entry.recorded_at)
            for c in changes
            if c.evidence is not None
        ],
    )


async def _follow(tx: Transaction, rows: Sequence[Append]) -> None:
    for row in rows:
        controller_id = row.changes[0].entry.controller_id
        if row.lift is not None:
            await tx.execute(
                "DELETE FROM suppression WHERE controller_id = $1 AND lookup = $2 AND scope = $3",
                (controller_id, *row.lift),
            )
        if row.suppress is not None:
            await suppress(tx, [(controller_id, row.suppress)])
    if caused := [(row.message, row.changes[0].entry.subject_id) for row in rows if row.message is not None]:
        await messages.insert(tx, caused)
    if events := [event for row in rows for event in row.outbox]:
        await outbox.put(tx, events)


async def suppress(tx: Transaction, rows: Sequence[tuple[bytes, Suppression]]) -> list[None]:
    """Bar mailboxes (controller_id, suppression) from asks; the earlier one stays."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO suppression (controller_id, lookup, scope, since, reason)"
        " SELECT controller_id, lookup, scope, since, reason FROM v WHERE true ON CONFLICT DO NOTHING",
        "controller_id id, lookup bytes, scope text, since int, reason text",
        sorted((controller_id, s.lookup, s.scope, s.since, s.reason) for controller_id, s in rows),
    )
    return [None] * len(rows)


async def suppressions_of(reads: Reads, controller_id: bytes, lookup: bytes) -> list[Suppression]:
    """Why a mailbox is not asked."""
    rows = await reads.fetch(
        "SELECT * FROM suppression WHERE controller_id = $1 AND lookup = $2 ORDER BY scope", (controller_id, lookup)
    )
    return [Suppression(row["lookup"], row["since"], row["reason"], row["scope"]) for row in rows]


async def version_of(reads: Reads, controller_id: bytes, subject_id: bytes) -> int:
    """The version that an answer must carry; read it before the standing. 0 for an unknown or erased subject."""
    rows = await reads.fetch(
        "SELECT version FROM subject_state WHERE controller_id = $1 AND subject_id = $2", (controller_id, subject_id)
    )
    return rows[0]["version"] if rows else 0


async def standing_of(reads: Reads, controller_id: bytes, subject_id: bytes) -> list[Standing]:
    """Every purpose and channel that the subject has a state for."""
    rows = await reads.fetch(
        "SELECT * FROM standing WHERE controller_id = $1 AND subject_id = $2 ORDER BY purpose, channel",
        (controller_id, subject_id),
    )
    return [standing(row) for row in rows]


def standing(row: Row) -> Standing:
    """A row of the projection."""
    return Standing(row["purpose"], row["channel"], row["state"], row["since"], row["event_id"], row["message_at"])
