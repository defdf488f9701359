"""One finished mail set against the rules it may fall under: which one, what it says, or why it passes as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handraiser.core.rules.file import Rule
from handraiser.core.rules.match import Heading, ShopRule, candidates, settle
from handraiser.core.splice.mime import SIGNING, read
from handraiser.core.splice.mime_reasons import Reason, Untouchable


@dataclass(frozen=True, slots=True)
class Recognised:
    """A mail that may be touched: the shop's slug, the rule it falls under, what was read out of it (see
    :func:`extract`), and whether it carries a signature that a change breaks."""

    shop: str
    rule: Rule
    values: dict[str, str]
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A mail that passes as it is. ``reason`` is ``no_rule``, or one of :class:`Reason`; ``shop`` and ``rule`` name the
    rule that it would have fallen under, "" where none can be told."""

    reason: str
    shop: str = ""
    rule: str = ""


def recognise(raw: bytes, sender: str, rules: Sequence[ShopRule], *, max_bytes: int) -> Recognised | Unrecognised:
    """What a mail is. Never raises, but takes time: whoever calls it bounds that."""
    # RE2 is loaded in the isolated process alone: the serving process imports this module for its words.
    from handraiser.core.rules.extract import Sight, extract

    mail = read(raw, signed_ok=True, max_bytes=max_bytes)
    if isinstance(mail, Untouchable):
        return Unrecognised(mail.reason)
    heading = Heading(sender, mail.root.fields)
    html, text = (leaf.text if leaf else "" for leaf in (mail.html, mail.text))
    found = settle(candidates(rules, heading), html)
    if found is None:
        return Unrecognised("no_rule")
    signed = any(name in SIGNING for name, _ in mail.root.fields)
    if signed and found.rule.dkim.policy == "pass":
        return Unrecognised(Reason.DKIM_SIGNED, found.shop, found.rule.id)
    return Recognised(found.shop, found.rule, extract(found.rule, Sight(heading, html, text)), signed)
