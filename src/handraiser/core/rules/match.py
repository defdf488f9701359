"""Which rule a mail falls under, and why not under the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handraiser.core.mailbox import normalise_address, sole_address
from handraiser.core.rules.file import Rule
from handraiser.core.rules.json_ld import has_type, nodes
from handraiser.core.rules.pattern import find
from handraiser.core.splice.mime_fields import Field, decoded
from handraiser.core.splice.mime_parts import after_mbox_line

HEADER_LENGTH = 1000
"""How much of a header is searched."""

_FIELD = re.compile(rb"([!-9;-~]+):([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Heading:
    """What of a mail is known before its body is read: the envelope's sender ("" is the null sender), and the header
    fields in their order."""

    sender: str
    fields: Sequence[Field]

    def all(self, name: str) -> list[str]:
        """All values of a header, decoded."""
        return [decoded(value)[:HEADER_LENGTH] for key, value in self.fields if key == name.lower()]

    def only(self, name: str) -> str:
        """The value of a header that stands there once, else ""."""
        found = self.all(name)
        return found[0] if len(found) == 1 else ""


def heading_of(raw: bytes, sender: str) -> Heading:
    """The heading of a mail as it came, without a look at its body. Of broken headers what comes first is told."""
    fields: list[Field] = []
    at = after_mbox_line(raw)
    while match := _FIELD.match(raw, at):
        fields.append((match[1].decode("ascii").lower(), match[2]))
        at = match.end()
    return Heading(sender, fields)


@dataclass(frozen=True, slots=True)
class ShopRule:
    """A rule and the shop whose it is, by its slug."""

    shop: str
    rule: Rule


def objection(rule: Rule, heading: Heading) -> str:
    """Why a mail does not fall under a rule, as far as its heading tells; "" where nothing speaks against it."""
    match = rule.match
    if not rule.enabled:
        return "switched off"
    if match.sender and not _is_one_of(_normal(sole_address(heading.only("from"))), match.sender):
        return "another From"
    if match.envelope_from and not _is_one_of(_normal(heading.sender), match.envelope_from):
        return "another envelope sender"
    if match.subject and find(match.subject, heading.only("subject")) is None:
        return "another Subject"
    for name, pattern in match.header.items():
        if not any(find(pattern, value) is not None for value in heading.all(name)):
            return f"another {name}" if heading.all(name) else f"no {name}"
    return ""


def candidates(rules: Sequence[ShopRule], heading: Heading) -> tuple[ShopRule, ...]:
    """The rules that the mail may fall under, best first: what is left to ask of each is its ``json_ld``."""
    return tuple(_until_sure(rules, heading))


def _until_sure(rules: Sequence[ShopRule], heading: Heading) -> Iterator[ShopRule]:
    for one in rules:
        if not objection(one.rule, heading):
            yield one
            if not one.rule.match.json_ld:
                return


def settle(found: Sequence[ShopRule], html: str) -> ShopRule | None:
    """The first of the candidates whose ``json_ld`` the HTML holds (or that asks for none)."""
    marked = nodes(html) if any(one.rule.match.json_ld for one in found) else ()
    for one in found:
        wanted = one.rule.match.json_ld
        if not wanted or any(has_type(node, wanted) for node in marked):
            return one
    return None


def _normal(address: str) -> str:
    try:
        return normalise_address(address)
    except ValueError:
        return ""


def _is_one_of(address: str, wanted: Sequence[str]) -> bool:
    domain = address.rpartition("@")[2]
    return bool(address) and any(one in (address, f"@{domain}") for one in wanted)
