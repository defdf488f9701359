"""Story 7: the ledger proven: whether it is still what it was, and that standings are what its entries add up to.

Erased customers and evidence that retention has deleted break nothing: the ledger holds neither.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from handraiser.core.consent import evidence_commit
from handraiser.core.ledger_proof import Tree, leaf_hash
from handraiser.errors import NotFound
from handraiser.store import kept_heads, ledger_audit, standings
from handraiser.store.database import Database
from handraiser.store.kept_heads import KeptHeads, KeptLine
from handraiser.store.ledger_entries import COLUMNS
from handraiser.store.seals import to_head
from handraiser.store.sql import Row

TOLD = 100
"""Most faults that are told one by one; the first is always among them."""

SUBJECTS = 200
STEP = 1_000

Moved = Callable[[int, int], None]
"""Told how many entries were looked at, and how many there were when it began."""


@dataclass(frozen=True, slots=True)
class Broken:
    """One thing that is not as it was. ``seq`` is the entry's number, None where no single entry can be named."""

    company: str
    seq: int | None
    event_id: bytes | None
    code: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {
            "company": self.company,
            "seq": self.seq,
            "event_id": str(uuid.UUID(bytes=self.event_id)) if self.event_id else None,
            "code": self.code,
            "detail": self.detail,
        }


@dataclass(slots=True)
class _Progress:
    """Counts entries, and tells of them now and then."""

    moved: Moved
    total: int
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        if self.done % STEP == 0 or self.done == self.total:
            self.moved(self.done, self.total)


def _nobody() -> None:
    """Nobody wants to know how far it is."""


@dataclass(slots=True)
class _Findings:
    """What verifying one company found; only the first faults are kept, all are counted."""

    company: str
    seen: Callable[[], None]
    waiting: int = 0
    sealed: int = 0
    batches: int = 0
    root: bytes = b""
    sealed_at: int | None = None
    broken: list[Broken] = field(default_factory=list)
    count: int = 0

    def add(self, code: str, detail: str, seq: int | None = None, event_id: bytes | None = None) -> None:
        self.count += 1
        self.broken.append(Broken(self.company, seq, event_id, code, detail))
        if len(self.broken) > 2 * TOLD:
            self.broken = self.first()

    def first(self) -> list[Broken]:
        """The faults of the first entries; a fault without an entry comes after those with one."""
        return sorted(self.broken, key=lambda one: (one.seq is None, one.seq or 0))[:TOLD]

    def as_json(self) -> dict[str, Any]:
        return {
            "company": self.company,
            "entries": self.sealed + self.waiting,
            "sealed": self.sealed,
            "waiting": self.waiting,
            "batches": self.batches,
            "root": self.root.hex(),
            "sealed_at": self.sealed_at,
        }


class Prove:
    """Verifies the ledger against itself, its signed heads and heads kept outside, and makes standings anew."""

    COMMANDS = frozenset({"consents.verify", "consents.verified", "consents.rebuild"})

    def __init__(self, database: Database, kept: KeptHeads) -> None:
        """``kept`` is where the sealer keeps heads, with the keys that prove them."""
        self._database, self._kept, self._keys = database, kept.path, kept.keys
        self._done = (0, 0)

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, answered in JSON's types."""
        if name == "consents.verify":
            self._done = (0, 0)
            return await self.verify(Path(arguments["head"]) if arguments["head"] else None, self._note)
        if name == "consents.verified":
            return self._done
        return await self.rebuild()

    def _note(self, done: int, total: int) -> None:
        self._done = (done, total)

    async def verify(self, head: Path | None = None, moved: Moved | None = None) -> dict[str, Any]:
        """Whether every entry is as it was written, and none is missing.

        Each entry's hash over its columns, the order of the leaves, every head's root and signature, evidence and
        wordings against their hashes, and the heads in the file ``head`` (without it: the sealer's own file) against
        the tree. ``broken`` names what is not so, the first entry first. ``moved`` is told now and then how many
        entries were looked at, and of how many sealed ones. Raises :class:`NotFound` for a file that cannot be read.
        """
        companies = await ledger_audit.companies(self._database)
        seen = _nobody if moved is None else _Progress(moved, sum([await self._sealed(one) for one in companies]))
        found = [await self._company(controller_id, name, seen) for controller_id, name in companies.items()]
        compared, unlike = await self._compare(head, companies)
        broken = [one for findings in found for one in findings.first()] + unlike[:TOLD]
        count = sum(findings.count for findings in found) + len(unlike)
        notes = []
        if compared is None:
            notes.append(
                "no kept head is at hand: a dropped last batch cannot be found; give a file of heads with --head"
            )
        return {
            "ok": not count,
            "companies": [findings.as_json() for findings in found],
            "heads_compared": compared or 0,
            "broken_count": count,
            "broken": [one.as_json() for one in broken],
            "notes": notes,
        }

    async def _sealed(self, controller_id: bytes) -> int:
        return (await ledger_audit.sizes(self._database, controller_id))[0]

    async def _company(self, controller_id: bytes, name: str, seen: Callable[[], None]) -> _Findings:
        findings = _Findings(name, seen)
        _, size = await ledger_audit.sizes(self._database, controller_id)
        await self._tree(controller_id, size, findings)
        await self._outside(controller_id, findings)
        await self._texts(controller_id, findings)
        return findings

    async def _outside(self, controller_id: bytes, findings: _Findings) -> None:
        """Entries in no batch: each must wait for one, and be what was written."""
        async for row in ledger_audit.outside(self._database, controller_id):
            findings.waiting += 1
            _check_entry(row, findings)
            if row["waits"] is None:
                findings.add("unsealed", "this entry is in no batch and waits for none", row["seq"], row["event_id"])
        for seq in await ledger_audit.waiting_for_nothing(self._database, controller_id):
            findings.add("gone", "this entry waited to be sealed and is gone", seq)

    async def _tree(self, controller_id: bytes, size: int, findings: _Findings) -> None:
        """The entries up to ``size``, in the order they were sealed in, against every head."""
        leaves = ledger_audit.leaves(self._database, controller_id, size)
        tree, batch_no = Tree(), 0
        async for row in ledger_audit.heads(self._database, controller_id):
            head = to_head(row)
            if head.tree_size > size:
                break  # sealed since verifying began
            batch_no += 1
            if head.batch_no != batch_no:
                findings.add("head_gone", f"the head of batch {batch_no} is gone")
                batch_no = head.batch_no
            if not self._keys.proves(head):
                findings.add("signature", f"the head of batch {batch_no} was not signed by us as it stands")
            first = await self._batch(leaves, tree, head.tree_size, batch_no, findings)
            if (tree.size, tree.root, tree.packed) != (head.tree_size, head.root, row["peaks"]):
                findings.add("root", f"the entries of batch {batch_no} do not give the root that was signed", first)
                break  # all later heads differ by the same
            findings.batches, findings.root, findings.sealed_at = batch_no, head.root, head.sealed_at
        async for row in leaves:
            findings.add("head_gone", "this entry was sealed, and no head is over it", row["leaf_seq"], row["event_id"])
            break
        by_leaves, by_heads = await ledger_audit.sizes(self._database, controller_id)
        if by_leaves != by_heads:
            findings.add("head_gone", f"{by_leaves} entries are sealed, and the last head is over {by_heads}")

    async def _batch(
        self, leaves: AsyncIterator[Row], tree: Tree, size: int, batch_no: int, findings: _Findings
    ) -> int | None:
        """Grow the tree to ``size``; returns the number of the first entry of the batch."""
        first = before = None
        while tree.size < size:
            row = await anext(leaves, None)
            if row is None:
                findings.add("leaf_gone", f"leaves of batch {batch_no} are gone", first)
                break
            seq = row["leaf_seq"]
            first = seq if first is None else first
            if row["leaf_index"] != tree.size or row["batch_no"] != batch_no:
                findings.add("leaf_gone", f"leaf {tree.size} of batch {batch_no} is not in its place", seq)
            if before is not None and seq <= before:
                findings.add("order", "this entry is not in the order in which it was sealed", seq)
            if row["seq"] is None:
                findings.add("gone", "this entry was sealed and is gone, or has another number", seq)
            else:
                findings.sealed += 1
                _check_entry(row, findings, row["sealed_hash"])
            before = seq
            tree.append(row["sealed_hash"])
        return first

    async def _texts(self, controller_id: bytes, findings: _Findings) -> None:
        """Evidence that is still kept, every wording and every set of rules against their hashes."""
        async for row in ledger_audit.evidence(self._database, controller_id):
            place = (row["seq"], row["event_id"])
            if row["evidence_commit"] is None:
                findings.add("evidence", "this evidence belongs to no entry", *place)
            elif _commit(row) != row["evidence_commit"]:
                findings.add("evidence", "the evidence of this entry is not what was written", *place)
        async for row in ledger_audit.wordings(self._database, controller_id):
            told = _language(row["content"])
            if hashlib.sha256(row["content"].encode()).digest() != row["wording_id"] or told != row["language"]:
                findings.add("wording", f"the text {row['wording_id'].hex()} is not what was shown")

        async for row in ledger_audit.policies(self._database, controller_id):
            policy_id = row["policy_snapshot_id"]
            if hashlib.sha256(row["content"].encode()).digest() != policy_id:
                findings.add("policy", f"the rules {policy_id.hex()} are not what they were")

    async def _compare(self, head: Path | None, companies: dict[bytes, str]) -> tuple[int | None, list[Broken]]:
        """How many kept heads were compared (None: there are none), and those that the ledger does not hold."""
        path = head or self._kept
        if not await asyncio.to_thread(path.is_file):
            if head is not None:
                raise NotFound(f"there is no file {head}")
            return None, []
        compared = 0
        unlike: list[Broken] = []
        lines = kept_heads.read_lines(path)
        while chunk := await asyncio.to_thread(_some, lines):
            keys = [(one.head.controller_id, one.head.tree_size) for one in chunk if one.head is not None]
            there = await ledger_audit.heads_of_sizes(self._database, keys)
            for line in chunk:
                compared += 1
                if fault := await self._unlike(line, there, companies):
                    unlike.append(fault)
        return (compared or None), unlike

    async def _unlike(
        self, line: KeptLine, there: dict[tuple[bytes, int], Row], companies: dict[bytes, str]
    ) -> Broken | None:
        """What is wrong with one kept head; None where the ledger holds it."""
        kept = line.head
        if kept is None or not self._keys.proves(kept):
            return Broken("", None, None, "kept_head", f"line {line.number} of the kept heads is not what we wrote")
        company = companies.get(kept.controller_id, kept.controller_id.hex())
        row = there.get((kept.controller_id, kept.tree_size))
        if row is not None and to_head(row) == kept:
            return None
        _, size = await ledger_audit.sizes(self._database, kept.controller_id)
        if size < kept.tree_size:
            return Broken(
                company,
                None,
                None,
                "dropped",
                f"a kept head tells of {kept.tree_size} sealed entries, the ledger holds {size}: the last are gone",
            )
        return Broken(
            company, None, None, "rewritten", f"the first {kept.tree_size} entries are not those of a kept head"
        )

    async def rebuild(self) -> dict[str, Any]:
        """Make every standing anew from the entries; ``changed`` says how many were not what they should be."""
        subjects = changed = 0
        for controller_id in await ledger_audit.companies(self._database):
            for table in ("consent_entry", "standing"):
                after = bytes(16)
                while page := await standings.subjects(self._database, table, controller_id, after, SUBJECTS):
                    async with self._database.transaction() as tx:
                        changed += await standings.rebuild(tx, controller_id, page)
                    subjects += len(page) if table == "consent_entry" else 0
                    after = page[-1]
        return {"customers": subjects, "changed": changed}


def _check_entry(row: Row, findings: _Findings, sealed: bytes | None = None) -> None:
    """One entry against the hash that was written with it, and the one that was sealed."""
    findings.seen()
    place = (row["seq"], row["event_id"])
    if leaf_hash({name: row[name] for name in COLUMNS}) != row["leaf_hash"]:
        findings.add("changed", "a column of this entry is not what was written", *place)
    elif sealed is not None and sealed != row["leaf_hash"]:
        findings.add("changed", "this entry is not the one that was sealed", *place)
    if row["wording_id"] is not None and row["wording_there"] is None:
        findings.add("wording_gone", "the text that this entry was given for is gone", *place)
    if row["policy_snapshot_id"] is not None and row["policy_there"] is None:
        findings.add("policy_gone", "the rules that this entry was written under are gone", *place)


def _some(lines: Iterator[KeptLine]) -> list[KeptLine]:
    return list(islice(lines, ledger_audit.PAGE))


def _commit(row: Row) -> bytes | None:
    try:
        return evidence_commit(row["salt"], json.loads(row["content"]))
    except ValueError:
        return None


def _language(content: str) -> Any:
    """The language that a wording says it is in; None for what is no wording any more."""
    try:
        return json.loads(content)["language"]
    except (ValueError, KeyError, TypeError):
        return None
