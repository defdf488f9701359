"""One process to one SQLite file: a lock on a file beside it, which the kernel lets go when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from handraiser.errors import StoreError


def hold(path: Path) -> int:
    """Create the database file if need be, for its owner alone, and lock it for this process.

    Returns the descriptor to close when done. Raises :class:`StoreError` when another process holds it, and
    :class:`OSError` when the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        os.close(lock)
        who = f"Process {holder}" if holder.isdigit() else "Another process"
        raise StoreError(
            f"{who} has {path.name} open. SQLite serves one process: stop it, or use PostgreSQL for several."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
