"""Signed heads of the ledger: what it held at a moment, told so that nobody without the key can tell it otherwise.

A head pins every entry before it. Kept outside the database, it shows that entries were dropped or rewritten since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_PREFIX = b"handraiser ledger head 1\x00"


@dataclass(frozen=True, slots=True)
class Head:
    """The state of one company's tree after one batch: its size, its root, and when it was sealed (ms UTC).

    ``batch_no`` counts from 1 without a gap; ``kid`` names the key that signed.
    """

    controller_id: bytes
    batch_no: int
    tree_size: int
    root: bytes
    sealed_at: int
    kid: int = 0
    signature: bytes = b""

    @property
    def signed_bytes(self) -> bytes:
        """What the signature is over: every field before it, each of a fixed length."""
        numbers = b"".join(number.to_bytes(8) for number in (self.batch_no, self.tree_size, self.sealed_at, self.kid))
        return _PREFIX + self.controller_id + numbers + self.root


class HeadKeys:
    """Ed25519 keys (RFC 8032) for heads, derived from the signing keys (kid, secret), oldest first; the newest signs.

    ``withdraw-only`` keys go on proving what they signed.
    """

    def __init__(self, keys: Sequence[tuple[int, bytes]]) -> None:
        self._keys = tuple(keys)

    def sign(self, head: Head) -> Head:
        """The head with its ``kid`` and signature; the same head always gets the same."""
        kid = self._keys[-1][0]
        unsigned = Head(head.controller_id, head.batch_no, head.tree_size, head.root, head.sealed_at, kid)
        signature: bytes = self._private[kid].sign(unsigned.signed_bytes)
        return Head(head.controller_id, head.batch_no, head.tree_size, head.root, head.sealed_at, kid, signature)

    def proves(self, head: Head) -> bool:
        """Whether one of the keys signed this head as it stands; False too for a key that is not known any more."""
        from cryptography.exceptions import InvalidSignature

        private = self._private.get(head.kid)
        if private is None:
            return False
        try:
            private.public_key().verify(head.signature, head.signed_bytes)
        except (InvalidSignature, OverflowError):
            return False
        return True

    def public_key(self, kid: int) -> bytes:
        """The public key (32 bytes) with which anybody can check a head of this ``kid``."""
        raw: bytes = self._private[kid].public_key().public_bytes_raw()
        return raw

    @cached_property
    def _private(self) -> dict[int, Any]:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # only sealing needs it

        return {
            kid: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"handraiser ledger head key" + secret).digest())
            for kid, secret in self._keys
        }


def to_line(head: Head, public_key: bytes) -> str:
    """A head as one line of JSON, with the public key that checks it."""
    return json.dumps(
        {
            "controller": head.controller_id.hex(),
            "batch": head.batch_no,
            "size": head.tree_size,
            "root": head.root.hex(),
            "at": head.sealed_at,
            "kid": head.kid,
            "key": public_key.hex(),
            "signature": head.signature.hex(),
        },
        separators=(",", ":"),
    )


def from_line(line: str) -> Head | None:
    """The head of a line; None for what is none."""
    try:
        told = json.loads(line)
        numbers = [told["batch"], told["size"], told["at"], told["kid"]]
        controller_id, root, signature = (bytes.fromhex(told[name]) for name in ("controller", "root", "signature"))
    except (ValueError, KeyError, TypeError):
        return None
    if any(type(number) is not int or not 0 <= number < 2**63 for number in numbers):
        return None
    if (len(controller_id), len(root)) != (16, 32):
        return None
    batch_no, tree_size, sealed_at, kid = numbers
    return Head(controller_id, batch_no, tree_size, root, sealed_at, kid, signature)
