"""What a rule reads out of a mail: a handful of values, each checked, none that a mail could hide something in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import unescape

import re2
from pydantic import TypeAdapter, ValidationError

from handraiser.core.payload_values import Country, Currency, Locale
from handraiser.core.rules.file import FIELDS, Rule, Source
from handraiser.core.rules.json_ld import Node, has_type, nodes, value_at
from handraiser.core.rules.match import Heading
from handraiser.core.rules.pattern import SEARCHED, find

_VALUE_LENGTH = 200
_HIDDEN = re2.compile(r"(?is)<!--.*?-->|<(?:script|style|title)\b.*?</(?:script|style|title)\s*>")
_LINE_END = re.compile(r"</(?:p|div|tr|table|li|h[1-6])\s*>|<br\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_BLANKS = re.compile(r"[ \t\r\f\v\xa0\u2007\u202f]+")
_AMOUNT = re.compile(r"[0-9]+(?:['\u2019 \xa0\u202f][0-9]{3}(?![0-9])|[.,][0-9]+)*")
_SIGNS = {"€": "EUR", "£": "GBP", "zł": "PLN", "₹": "INR", "₺": "TRY"}
_LOCALE, _COUNTRY, _CURRENCY = (TypeAdapter[str](kind) for kind in (Locale, Country, Currency))


@dataclass(frozen=True)
class Sight:
    """A mail as its rules see it. ``html`` and ``text`` are its body's parts, decoded, "" where there is none."""

    heading: Heading
    html: str = ""
    text: str = ""

    @cached_property
    def words(self) -> str:
        """The plain text, or what the HTML says, a line for each paragraph and table row."""
        return self.text if self.text.strip() else words_of(self.html)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return nodes(self.html)


def extract(rule: Rule, sight: Sight) -> dict[str, str]:
    """What the rule's sources give, by field; a field that no source gives is left out.

    Amounts come as decimal numbers with a point, languages as ``de-AT``, countries and currencies as their codes, the
    customer's kind as ``new`` or ``current``.
    """
    found = {}
    for name in FIELDS:
        for source in getattr(rule.extract, name):
            given = _look(source, rule, sight)
            value = _READERS[name](source.map.get(given, given)) if given else ""
            if value:
                found[name] = value
                break
    return found


def words_of(html: str) -> str:
    """The visible words of HTML, roughly: enough to search, not to show."""
    bare = _TAG.sub(" ", _LINE_END.sub("\n", _HIDDEN.sub(" ", html[:SEARCHED].encode("utf-8", "replace").decode())))
    return "\n".join(line for raw in unescape(bare).split("\n") if (line := _BLANKS.sub(" ", raw).strip()))


def amount(text: str) -> str:
    """The first number of a text, as ``1234.50``, whichever signs part its thousands and decimals; "" without one.

    One sign with exactly three digits behind it parts thousands.
    """
    number = _AMOUNT.search(text)
    if not number:
        return ""
    digits = re.sub(r"[' \xa0\u202f\u2019]", "", number[0])
    whole, sign, rest = (
        digits[: (at := max(digits.rfind("."), digits.rfind(",")))],
        digits[at : at + 1],
        digits[at + 1 :],
    )
    both = "." in digits and "," in digits
    if at < 0 or (not both and (digits.count(sign) > 1 or (len(rest) == 3 and whole != "0"))):
        return re.sub("[.,]", "", digits)
    return f"{re.sub('[.,]', '', whole)}.{rest}"


def _look(source: Source, rule: Rule, sight: Sight) -> str:
    if source.value is not None:
        return source.value
    if source.subject is not None:
        return _tidy(find(source.subject, sight.heading.only("subject")))
    if source.text is not None:
        return _tidy(find(source.text, sight.words))
    if source.html is not None:
        return _tidy(unescape(find(source.html, sight.html) or ""))
    for given in _fields(source, rule, sight):
        value = _tidy(find(source.pattern, given) if source.pattern is not None else given)
        if value:
            return value
    return ""


def _fields(source: Source, rule: Rule, sight: Sight) -> Iterator[str]:
    if source.header is not None:
        yield from sight.heading.all(source.header)
    elif source.json_ld is not None:
        kind = rule.match.json_ld
        for node in sight.nodes:
            value = value_at(node, source.json_ld) if not kind or has_type(node, kind) else None
            if value is not None:
                yield value


def _tidy(value: str | None) -> str:
    """One line of printable characters; "" for what is longer than any value."""
    line = " ".join("".join(one if one.isprintable() else " " for one in value or "").split())
    return line if len(line) <= _VALUE_LENGTH else ""


def _checked(adapter: TypeAdapter[str]) -> Callable[[str], str]:
    def read(value: str) -> str:
        try:
            return adapter.validate_python(value)
        except ValidationError:
            return ""

    return read


def _currency(value: str) -> str:
    return _checked(_CURRENCY)(_SIGNS.get(value, value))


def _kind(value: str) -> str:
    return value.lower() if value.lower() in ("new", "current") else ""


_READERS: Mapping[str, Callable[[str], str]] = {
    "order_number": str,
    "order_value": amount,
    "currency": _currency,
    "language": _checked(_LOCALE),
    "country": _checked(_COUNTRY),
    "customer_kind": _kind,
    "customer_id": lambda value: "" if value.lower() in ("0", "null", "guest") else value,
}
