"""What makes tampering with the ledger show: the hash of each entry, and the Merkle tree of RFC 6962 over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import orjson

Column = int | str | bytes | None

UNCOVERED = frozenset({"seq", "batch_no", "leaf_hash"})
"""``seq`` and ``batch_no`` are covered by the position of the leaf in its batch; the hash cannot cover itself."""

_LATER = {"preference": ""}
"""Columns that came later, and what stands in them for entries from before: left out then, so that those hash as they
did. Any other value is hashed, so it shows when one is put there or taken away."""

_HASH_BYTES = 32


def canonical(columns: Mapping[str, Column]) -> bytes:
    """The bytes that are hashed: JSON with sorted names, no spaces, UTF-8; ids and hashes as lower-case hex.

    Every name stands in it, with ``null`` where there is no value, so that no value can move to another column.
    """
    kept = {name: value for name, value in columns.items() if name not in UNCOVERED}
    for name, before in _LATER.items():
        if kept.get(name) == before:
            del kept[name]
    return orjson.dumps(kept, default=bytes.hex, option=orjson.OPT_SORT_KEYS)


def leaf_hash(columns: Mapping[str, Column]) -> bytes:
    """SHA-256(0x00 ‖ canonical columns): RFC 6962 §2.1, where 0x00 keeps leaves and nodes apart."""
    return leaf_of(canonical(columns))


def leaf_of(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data): a leaf of RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_of(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right): an inner node of RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The Merkle tree of RFC 6962 §2.1, grown leaf by leaf.

    It keeps the roots of its perfect subtrees alone (largest first, one for each bit of its size), which is all that
    growing and the root need: a tree of a million entries goes on from 640 bytes.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes] = []
        for leaf in leaves:
            self.append(leaf)

    @classmethod
    def unpacked(cls, size: int, packed: bytes) -> Tree:
        """The tree of ``size`` leaves that :attr:`packed` was taken of; raises :class:`ValueError` for another's."""
        if len(packed) != size.bit_count() * _HASH_BYTES:
            raise ValueError(f"a tree of {size} leaves is not kept in {len(packed)} bytes")
        tree = cls()
        tree.size = size
        tree._peaks = [packed[at : at + _HASH_BYTES] for at in range(0, len(packed), _HASH_BYTES)]
        return tree

    def append(self, leaf: bytes) -> None:
        """Put one more leaf hash at the end."""
        at = self.size
        while at & 1:
            leaf = node_of(self._peaks.pop(), leaf)
            at >>= 1
        self._peaks.append(leaf)
        self.size += 1

    @property
    def packed(self) -> bytes:
        """The roots of the perfect subtrees, one after the other."""
        return b"".join(self._peaks)

    @property
    def root(self) -> bytes:
        """The root over all leaves; of none it is the hash of nothing."""
        if not self._peaks:
            return hashlib.sha256().digest()
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_of(peak, root)
        return root
