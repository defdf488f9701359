"""Signed links: 51 characters that say which shop, which message or subject, and what a press means. No personal data.

``b64url(kid u8 | shop u24 | id 16 | kind u8)`` ``.`` ``b64url(HMAC-SHA-256 cut to 128 bits)``, made with itsdangerous.
Only the canonical spelling is a token: base64 lets several spellings decode to the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache

from itsdangerous import BadSignature, Signer
from itsdangerous.signer import SigningAlgorithm

from handraiser.core.value import dataclass
from handraiser.errors import BadLink, BadNonce

LINK_LIFE_MS = 30 * 24 * 3_600_000
"""How long an opt-in link can grant; a withdraw link lives for ever."""

NONCE_LIFE_MS = 60 * 60_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]{28}\.[A-Za-z0-9_-]{22}")
_NONCE = re.compile(r"([0-9a-f]{1,12})\.([A-Za-z0-9_-]{22})")
_TAG_BYTES = 16
_DATED = b"dated"


class LinkKind(IntEnum):
    """What a link does. ``WITHDRAW`` and ``PREFERENCES`` carry a subject id, the others a message id. ``HONEYPOT`` is
    seen by programs only: it opens nothing, and tells what else they open apart from a person's presses."""

    OPT_IN = 1
    CONFIRM = 2
    UNDO = 3
    NOT_ME = 4
    WITHDRAW = 5
    PREFERENCES = 6
    HONEYPOT = 7


MAILED = frozenset({LinkKind.OPT_IN, LinkKind.WITHDRAW, LinkKind.NOT_ME, LinkKind.HONEYPOT})
"""Links that stand side by side; the others are handed out one after another, when something was answered."""

OUTLIVE_KEYS = frozenset({LinkKind.WITHDRAW, LinkKind.PREFERENCES})
"""Links of a subject: they leave, whatever became of the message that they stood in."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says: the shop's number, a message or subject id (16 bytes), and what a press means."""

    shop_number: int
    id: bytes
    kind: LinkKind


@dataclass(frozen=True, slots=True)
class SigningKey:
    """``kid`` 0 to 255, never used again for another secret; ``withdraw_only`` keys only verify links that leave."""

    kid: int
    secret: bytes
    withdraw_only: bool = False


@lru_cache(maxsize=64)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def mac(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104): 32 bytes. A key is made ready once, which takes longer than a message."""
    made = _keyed(key).copy()
    made.update(message)
    return made.digest()


class _Cut(SigningAlgorithm):
    """HMAC-SHA-256 cut to its first 128 bits (RFC 2104 §5)."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return mac(key, value)[:_TAG_BYTES]

    def verify_signature(self, key: bytes, value: bytes, sig: bytes) -> bool:
        return hmac.compare_digest(sig, self.get_signature(key, value))


class Links:
    """Signs with the newest key, reads with all of them; keys come oldest first."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        signing = [key for key in keys if not key.withdraw_only]
        if not signing:
            raise ValueError("at least one signing key is needed")
        self._newest = signing[-1]
        self._keys = {key.kid: key for key in keys}
        self._signers = {
            # Derived here, once: deriving takes as long as signing.
            (key.kid, kind): Signer(
                hmac.digest(key.secret, b"handraiser.link." + kind.name.lower().encode(), "sha256"),
                key_derivation="none",
                digest_method=hashlib.sha256,
                algorithm=_Cut(),
            )
            for key in keys
            for kind in LinkKind
        }
        self._nonce_keys = [hmac.digest(key.secret, b"handraiser.nonce", "sha256") for key in reversed(signing)]

    def sign(self, link: Link) -> str:
        """The token of a link: 51 URL-safe characters."""
        packed = bytes([self._newest.kid]) + link.shop_number.to_bytes(3, "big") + link.id + bytes([link.kind])
        payload = base64.urlsafe_b64encode(packed)
        return self._signers[self._newest.kid, link.kind].sign(payload).decode()

    def read(self, token: str) -> Link:
        """What a token says; raises :class:`BadLink` for anything but the canonical spelling of one we signed."""
        if not _TOKEN.fullmatch(token):
            raise BadLink("not a link of ours")
        packed = base64.urlsafe_b64decode(token[:28])
        tag = base64.urlsafe_b64decode(token[29:] + "==")
        if base64.urlsafe_b64encode(tag).rstrip(b"=").decode() != token[29:]:
            raise BadLink("not a link of ours")
        key = self._keys.get(packed[0])
        try:
            kind = LinkKind(packed[20])
        except ValueError:
            raise BadLink("not a link of ours") from None
        if key is None or (key.withdraw_only and kind not in OUTLIVE_KEYS):
            raise BadLink("not a link of ours")
        try:
            self._signers[key.kid, kind].unsign(token)
        except BadSignature:
            raise BadLink("not a link of ours") from None
        return Link(int.from_bytes(packed[1:4], "big"), packed[4:20], kind)

    def dated(self, link: Link, at: int) -> str:
        """The token of a link, and as its query the moment (ms) of the mail that it stands in: what a link of a subject
        may do beside leaving depends on its age."""
        return f"{self.sign(link)}?{_nonce(self._nonce_keys[0], _DATED + link.id, f'{at:x}')}"

    def date_of(self, link: Link, query: str) -> int | None:
        """The moment (ms) that :meth:`dated` wrote into the query of a link; None for any other query."""
        match = _NONCE.fullmatch(query)
        if match is None or not self._ours(query, _DATED + link.id, match[1]):
            return None
        return int(match[1], 16)

    def _ours(self, nonce: str, bound: bytes, at: str) -> bool:
        # Every key is tried: pages served just before a rotation are still open.
        return any(hmac.compare_digest(_nonce(key, bound, at), nonce) for key in self._nonce_keys)

    def nonce(self, bound: bytes, now: int) -> str:
        """A form nonce bound to ``bound`` (a message and the page that was served) and this moment (ms); nothing is
        stored for it."""
        return _nonce(self._nonce_keys[0], bound, f"{now:x}")

    def check_nonce(self, nonce: str, bound: bytes, now: int) -> None:
        """Raise :class:`BadNonce` unless ``nonce`` was made for ``bound`` within the last 60 minutes."""
        match = _NONCE.fullmatch(nonce)
        if match is None or not self._ours(nonce, bound, match[1]):
            raise BadNonce("the form is not ours")
        age = now - int(match[1], 16)
        if not -60_000 <= age <= NONCE_LIFE_MS:
            raise BadNonce("the form is too old")


def _nonce(key: bytes, bound: bytes, at: str) -> str:
    tag = hmac.digest(key, bound + b"." + at.encode(), "sha256")[:_TAG_BYTES]
    return f"{at}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"
