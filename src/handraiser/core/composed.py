"""The finished email with everything decided on the way, and its form as a whole mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from handraiser.core import payload
from handraiser.core.experiment import Entry
from handraiser.core.mailbox import split_mailbox
from handraiser.core.message import compose
from handraiser.core.mjml.fill import Filled
from handraiser.core.placement import Decision
from handraiser.core.shop import Shop
from handraiser.core.value import dataclass
from handraiser.errors import Fault

NO_DOMAIN = "handraiser.invalid"
"""Stands for the sender's domain where a shop has no sender address (RFC 2606: never anybody's)."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The finished email; ``message_id`` is empty when nothing was kept, ``at`` is ms UTC.

    ``subject_id`` is whose withdraw link stands in it. ``skipped_reason`` says why the whole email went out unrecorded.
    ``drawn`` are the arms it stands for.
    """

    shop: Shop
    message_id: bytes
    subject_id: bytes
    at: int
    email: Mapping[str, Any]
    filled: Filled
    headers: Mapping[str, str]
    decision: Decision
    warnings: tuple[Fault, ...]
    replayed: bool = False
    skipped_reason: str = ""
    locale: str = ""
    drawn: tuple[Entry, ...] = ()

    def without(self, slot: str, reason: str, remedy: str) -> Composed:
        """The same blocks, but for the one in ``slot``."""
        slots = {name: parts for name, parts in self.filled.slots.items() if name != slot}
        decision = self.decision.without({slot}, reason, remedy)
        return replace(self, filled=replace(self.filled, slots=slots), decision=decision)


def mime(composed: Composed, unrecorded_id: str) -> bytes:
    """The whole mail as RFC 5322 bytes; ``unrecorded_id`` stands in its Message-ID when the message was not kept."""
    shop, email = composed.shop, composed.email
    customer = email["customer"]
    name = customer.get("name") or f"{customer.get('first_name', '')} {customer.get('last_name', '')}".strip()
    own_name, sender = split_mailbox(email.get("from") or shop.sender_address or f"orders@{NO_DOMAIN}")
    return compose(
        subject=composed.filled.subject,
        html=composed.filled.html,
        text=composed.filled.text,
        sender=(own_name or shop.sender_name or shop.name, sender),
        to=("" if "to" in email else name, payload.addressee(email)),
        reply_to=email.get("reply_to") or shop.reply_to,
        headers=composed.headers,
        attachments=email.get("attachments", ()),
        message_id=f"<{composed.message_id.hex() or unrecorded_id}@{sender.rpartition('@')[2]}>",
        sent_at=composed.at,
    )
