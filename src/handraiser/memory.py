"""How the process holds its memory: one heap, given back, and garbage looked for less often."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from asyncio import selector_events

READING_BYTES = 16_384
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # from malloc.h


def keep_memory_small() -> None:
    """One heap for all threads, large blocks given back, small blocks to read into.

    glibc's defaults hold on to 25 MB that nobody uses; other C libraries have no such switches, and need none.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 131_072)
    # asyncio reads into 256 kB, a block that would be fetched and given back for every request; it has no setting.
    selector_events._SelectorTransport.max_size = READING_BYTES  # type: ignore[attr-defined]  # private, so untyped


def leave_garbage() -> None:
    """Look for circles of garbage less often: requests leave hardly any, and looking costs a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
