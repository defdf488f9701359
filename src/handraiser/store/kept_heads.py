"""Signed heads of the ledger in a file outside the database: how a dropped last batch is found. No personal data."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handraiser.core.ledger_head import Head, HeadKeys, from_line, to_line

FILE_NAME = "ledger-heads.log"


@dataclass(frozen=True, slots=True)
class KeptLine:
    """One line of the file: its number, and its head; None where the line is none."""

    number: int
    head: Head | None


class KeptHeads:
    """An append-only file, one signed head a line, fsynced; several processes may share it.

    Every method waits for the disk: call it outside the event loop.
    """

    def __init__(self, path: Path, keys: HeadKeys) -> None:
        self.path, self.keys = path, keys

    def append(self, heads: Sequence[Head]) -> None:
        """Keep heads for good; raises :class:`OSError` when they are not kept."""
        lines = "".join(to_line(head, self.keys.public_key(head.kid)) + "\n" for head in heads).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            # A line that a crash cut short must not swallow the next one.
            if size and os.pread(file, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            while lines:
                lines = lines[os.write(file, lines) :]
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def largest(self) -> dict[bytes, int]:
        """The largest tree that the file tells of, by company."""
        sizes: dict[bytes, int] = {}
        if self.path.exists():
            for kept in (line.head for line in read_lines(self.path)):
                if kept is not None:
                    sizes[kept.controller_id] = max(kept.tree_size, sizes.get(kept.controller_id, 0))
        return sizes


def read_lines(path: Path) -> Iterator[KeptLine]:
    """The whole lines of a file of heads, one at a time. A last line without its end was never acknowledged."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n") and line.strip():
                yield KeptLine(number, from_line(line.decode("utf-8", "replace")))
