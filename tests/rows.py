"""Rows for tests. Alice is new, Bob buys again, Charlie is another company's; all ids are fixed and readable."""

from __future__ import annotations

from typing import Any

from handraiser.core.mailbox import lookup
from handraiser.store.messages import LookUp, StoredMessage
from handraiser.store.recording import OrderFacts, Recording

NOW = 1_790_000_000_000
DAY = 86_400_000
PEPPER = b"pepper" * 8
TENTS = bytes.fromhex("0a" * 16)
"""The company of Alice and Bob."""
BOATS = bytes.fromhex("0b" * 16)
"""The company of Charlie."""
TENT_SHOP = bytes.fromhex("1a" * 16)
BOAT_SHOP = bytes.fromhex("1b" * 16)


def an_id(n: int) -> bytes:
    """The n-th id, in the order of UUIDv7."""
    return (0x0199_0000_0000_7000_8000_0000_0000_0000 + n).to_bytes(16)


def of(address: str, controller_id: bytes = TENTS) -> bytes:
    """The look-up of an address."""
    return lookup(PEPPER, controller_id, address)


def key(
    address: str = "alice@example.com", controller_id: bytes = TENTS, shop_id: bytes = TENT_SHOP, **rest: Any
) -> LookUp:
    return LookUp(controller_id, shop_id, of(address, controller_id), **rest)


def a_message(n: int, subject_id: bytes, **rest: Any) -> StoredMessage:
    given: dict[str, Any] = {
        "controller_id": TENTS,
        "shop_id": TENT_SHOP,
        "type": "order_confirmation",
        "touchpoint": "email:order_confirmation",
        "locale": "en",
        "country": "US",
        "market": "US",
        "rule_version": "1",
        "customer_kind": "new",
        "sent_at": NOW + n,
        "decision": {"slots": {"ask": {"block": "welcome", "version": 1}}},
        "request": {},
    }
    return StoredMessage(id=an_id(n), subject_id=subject_id, **(given | rest))


def a_recording(
    n: int, address: str = "alice@example.com", *, subject_id: bytes | None = None, version: int | None = 0, **rest: Any
) -> Recording:
    """The n-th message; ``subject_id`` defaults to a fresh one."""
    of_message = {name: rest.pop(name) for name in tuple(rest) if name in StoredMessage.__slots__}
    message = a_message(n, subject_id or an_id(1000 + n), **of_message)
    if message.order_id:
        rest.setdefault("order", OrderFacts(message.order_id, NOW, 1999, "EUR"))
    return Recording(
        message=message,
        lookup=of(address, message.controller_id),
        pepper_id=1,
        address=f"p:{address}",
        version_seen=version,
        external_id=message.external_id or None,
        **rest,
    )
