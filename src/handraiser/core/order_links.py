"""Links that a shop's own mail template signs: HMAC-SHA256 (RFC 2104) of its order id with the shop's link secret.

A secret follows from a signing key, the shop and a generation, so nothing is stored but the generation's number. The
one before stays good, as its links stand in mails that were sent.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

from handraiser.core.links import SigningKey
from handraiser.core.shop import Shop

_SIGNATURE = re.compile(r"[0-9a-f]{64}")


class OrderLinks:
    """Gives the secrets of all shops, and checks what was signed with them; keys come oldest first."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self._secrets = [key.secret for key in reversed(keys) if not key.withdraw_only]

    def secret(self, shop: Shop) -> str:
        """What the shop's template signs with: 64 hexadecimal digits."""
        return _secret(self._secrets[0], shop, shop.link_generation)

    def fits(self, shop: Shop, order_id: str, signature: str) -> bool:
        """Whether the shop signed this order id, with its secret or the one before."""
        if not _SIGNATURE.fullmatch(signature):
            return False
        message = order_id.encode("utf-8", "surrogatepass")
        generations = range(shop.link_generation, max(shop.link_generation - 2, 0), -1)
        wanted = [
            hmac.digest(_secret(key, shop, generation).encode(), message, "sha256").hex()
            for generation in generations
            for key in self._secrets
        ]
        return any(hmac.compare_digest(one, signature) for one in wanted)


def _secret(key: bytes, shop: Shop, generation: int) -> str:
    return hmac.digest(key, b"handraiser.order_link" + shop.id + generation.to_bytes(8, "big"), "sha256").hex()
