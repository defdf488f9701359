"""The withdrawal journal: what the database could not take is kept in a file until it can. No personal data."""

from __future__ import annotations

import fcntl
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from handraiser.core.links import Link, LinkKind

log = logging.getLogger("handraiser.journal")


@dataclass(frozen=True, slots=True)
class Left:
    """One verified link whose reader wants to leave, and when it was pressed (ms).

    ``controller_id`` is None where the shop was not known at that moment; the link names the shop in any case.
    ``purpose`` is the one that a preferences link leaves, "" for all.
    """

    link: Link
    at: int
    controller_id: bytes | None = None
    purpose: str = ""


class Journal:
    """An append-only file, one line an entry, each fsynced before it counts.

    Several processes may share it. A line that is not whole (the machine stopped while it was written, so it was never
    acknowledged) is passed over and moved aside. Every method waits for the disk: call it outside the event loop.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(path.name + ".lock")
        self._damaged = path.with_name(path.name + ".damaged")
        self._known: tuple[tuple[int, int, int] | None, int | None] = (None, None)

    @property
    def oldest(self) -> int | None:
        """When the oldest entry was made that waits (ms UTC), None for none. The file is read only where it is another
        than the last time: entries of all processes that share it count, and looking costs microseconds."""
        try:
            file = self._path.stat()
        except FileNotFoundError:
            return None
        state = (file.st_ino, file.st_size, file.st_mtime_ns)
        if self._known[0] != state:
            self._known = state, min((left.at for left in self.pending()), default=None)
        return self._known[1]

    def append(self, left: Left) -> None:
        """Keep an entry for good; raises :class:`OSError` when it is not kept."""
        with self._alone():
            new = not self._path.exists()
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                _write(file, (b"" if _ends_whole(file) else b"\n") + _line(left))
                os.fsync(file)
            finally:
                os.close(file)
            if new:
                self._sync_folder()

    def pending(self) -> list[Left]:
        """What waits to be applied, oldest first."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [left for line in lines if (left := _left(line)) is not None]

    def discard(self, applied: Sequence[Left]) -> None:
        """Forget what was applied; a crash on the way leaves the file as it was, so it is only applied again."""
        gone = {_line(left).strip() for left in applied}
        with self._alone():
            lines = self._path.read_bytes().split(b"\n") if self._path.exists() else []
            kept = [line for line in lines if line and line not in gone]
            damaged = [line for line in kept if _left(line) is None]
            if damaged:
                log.error("damaged lines in the withdrawal journal", extra={"facts": {"lines": len(damaged)}})
                with self._damaged.open("ab") as aside:
                    aside.write(b"".join(line + b"\n" for line in damaged))
            fresh = self._path.with_name(self._path.name + ".new")
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                _write(file, b"".join(line + b"\n" for line in kept if line not in damaged))
                os.fsync(file)
            finally:
                os.close(file)
            fresh.replace(self._path)
            self._sync_folder()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock beside the file: no other process appends or discards meanwhile."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _ends_whole(file: int) -> bool:
    size = os.fstat(file).st_size
    return size == 0 or os.pread(file, 1, size - 1) == b"\n"


def _line(left: Left) -> bytes:
    link = left.link
    controller = left.controller_id.hex() if left.controller_id else "-"
    text = f"1 {left.at} {link.kind:d} {link.shop_number} {controller} {link.id.hex()}"
    text += f" {left.purpose}" if left.purpose else ""
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


def _left(line: bytes) -> Left | None:
    """The entry of a line; None for one that is not whole or not of this format."""
    text, _, check = line.decode("ascii", "replace").rpartition(" ")
    parts = text.split(" ")
    if len(parts) not in (6, 7) or check != f"{zlib.crc32(text.encode()):08x}" or parts[0] != "1":
        return None
    link = Link(int(parts[3]), bytes.fromhex(parts[5]), LinkKind(int(parts[2])))
    return Left(link, int(parts[1]), None if parts[4] == "-" else bytes.fromhex(parts[4]), *parts[6:])
