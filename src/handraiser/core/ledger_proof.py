"""What makes tampering with the ledger show: the hash of each entry, a leaf of the Merkle tree of RFC 6962."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

Column = int | str | bytes | None

UNCOVERED = frozenset({"seq", "batch_no", "leaf_hash"})
"""``seq`` and ``batch_no`` are covered by the position of the leaf in its batch; the hash cannot cover itself."""


def canonical(columns: Mapping[str, Column]) -> bytes:
    """The bytes that are hashed: JSON with sorted names, no spaces, UTF-8; ids and hashes as lower-case hex.

    Every name stands in it, with ``null`` where there is no value, so that no value can move to another column.
    """
    kept = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in columns.items()
        if name not in UNCOVERED
    }
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def leaf_hash(columns: Mapping[str, Column]) -> bytes:
    """SHA-256(0x00 ‖ canonical columns): RFC 6962 §2.1, where 0x00 keeps leaves and nodes apart."""
    return hashlib.sha256(b"\x00" + canonical(columns)).digest()
