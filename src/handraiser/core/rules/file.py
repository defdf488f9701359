"""A shop's rules file: read strictly, all faults at once, each with its line.

The first rule that matches a mail counts; a mail that none matches passes as it is.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from handraiser.core.mailbox import normalise_address, read_address
from handraiser.core.payload_values import Code
from handraiser.core.rules.pattern import pattern_fault
from handraiser.errors import TemplateFault, TemplateRefused

RULES_BYTES = 200_000
"""The longest rules file."""
MAX_RULES = 200
FIELDS = ("order_number", "order_value", "currency", "language", "country", "customer_kind", "customer_id")
"""What can be read out of a mail."""

Anchor = Literal["marker", "css", "before_footer", "body_end", "document_end"]


def _pattern(text: str) -> str:
    if fault := pattern_fault(text):
        raise ValueError(fault)
    return text


def _sender(text: str) -> str:
    domain = text.startswith("@")
    address = normalise_address(read_address(f"x{text}" if domain else text))
    return address[1:] if domain else address


def _one_or_more(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _present(value: object) -> object:
    return (
        {name: "" if wanted is True else wanted for name, wanted in value.items()} if isinstance(value, dict) else value
    )


Pattern = Annotated[str, AfterValidator(_pattern)]
HeaderName = Annotated[str, Field(pattern=r"^[!-9;-~]{1,80}$")]
Sender = Annotated[str, AfterValidator(_sender)]
Address = Annotated[str, AfterValidator(lambda text: normalise_address(read_address(text)))]
Type = Annotated[str, Field(pattern=r"^[A-Za-z]{0,60}$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Match(_Table):
    """Which mail it is; every condition that is given must hold.

    ``from`` and ``envelope_from`` name addresses, or ``@domain`` for every address there; ``subject`` and ``header``
    are searched with a pattern (``true``: the header is there); ``json_ld`` is a schema.org type in the HTML.
    """

    sender: Annotated[tuple[Sender, ...], BeforeValidator(_one_or_more)] = Field(
        (), validation_alias=AliasChoices("from")
    )
    envelope_from: Annotated[tuple[Sender, ...], BeforeValidator(_one_or_more)] = ()
    subject: Pattern = ""
    header: Annotated[dict[HeaderName, Pattern], BeforeValidator(_present)] = {}
    json_ld: Type = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.sender, self.envelope_from, self.subject, self.header, self.json_ld)):
            raise ValueError("at least one condition: from, envelope_from, subject, header, json_ld")
        return self


class Source(_Table):
    """Where a value stands: in ``subject``, ``text`` or ``html`` (a pattern: its first group, else all of it), in a
    ``header`` or a field of the ``json_ld`` (both with a ``pattern`` if need be), or always the same ``value``.

    ``map`` translates what was found.
    """

    subject: Pattern | None = None
    text: Pattern | None = None
    html: Pattern | None = None
    header: HeaderName | None = None
    json_ld: Annotated[str, Field(pattern=r"^[A-Za-z@.]{1,100}$")] | None = None
    value: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    pattern: Pattern | None = None
    map: dict[str, str] = {}

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = [
            name
            for name in ("subject", "text", "html", "header", "json_ld", "value")
            if getattr(self, name) is not None
        ]
        if len(places) != 1:
            raise ValueError("exactly one of subject, text, html, header, json_ld, value")
        if self.pattern is not None and places[0] not in ("header", "json_ld"):
            raise ValueError("pattern belongs to header or json_ld")
        return self


Sources = Annotated[tuple[Source, ...], BeforeValidator(_one_or_more)]


class Extract(_Table):
    """What to read out, each from the first of its sources that gives something usable."""

    order_number: Sources = ()
    order_value: Sources = ()
    currency: Sources = ()
    language: Sources = ()
    country: Sources = ()
    customer_kind: Sources = ()
    customer_id: Sources = ()


class Selector(_Table):
    """An element of the HTML, and at which side of it the block stands."""

    selector: Annotated[str, Field(min_length=1, max_length=300)]
    position: Literal["before", "after", "prepend", "append"] = "before"


class Place(_Table):
    """Where the block may stand: kinds of places, best first; ``text`` is where in the plain text."""

    anchors: tuple[Anchor, ...] = get_args(Anchor)
    css: tuple[Selector, ...] = ()
    text: Literal["before_signature", "end", "none"] = "before_signature"

    @field_validator("anchors")
    @classmethod
    def _some(cls, value: tuple[Anchor, ...]) -> tuple[Anchor, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("each at most once, and at least one")
        return value


class SoftOptIn(_Table):
    """What was told where the address was collected (Directive 2002/58/EC, Article 13(2)), who answers for it, since
    when, and in which version of the check-out's text; each entry of the ledger keeps it."""

    notice_at_collection: bool
    similar_goods: bool
    approved_by: Annotated[str, Field(min_length=1, max_length=200)]
    approved_on: date
    checkout_text: Annotated[str, Field(min_length=1, max_length=100)]


class Dkim(_Table):
    """Signed mail: ``pass`` leaves it as it is, ``resign`` takes its signatures off and signs with the shop's key."""

    policy: Literal["pass", "resign"] = "pass"
    domain: Annotated[str, Field(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)+)?$", max_length=253)] = ""
    selector: Annotated[str, Field(pattern=r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$", max_length=100)] = ""
    key_file: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.policy == "resign" and not (self.domain and self.selector and self.key_file):
            raise ValueError("resign needs domain, selector and key_file")
        return self


class Rule(_Table):
    """One kind of mail. ``type`` is the touchpoint's, as in the API; ``copies`` are recipients beside the customer that
    get the original bytes."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    type: Code
    enabled: bool = True
    match: Match
    extract: Extract = Extract()
    place: Place = Place()
    soft_opt_in: SoftOptIn | None = None
    copies: Annotated[tuple[Address, ...], BeforeValidator(_one_or_more)] = ()
    dkim: Dkim = Dkim()


class _File(_Table):
    version: Literal[1]
    rules: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES)]

    @field_validator("rules")
    @classmethod
    def _names_once(cls, value: tuple[Rule, ...]) -> tuple[Rule, ...]:
        ids = [rule.id for rule in value]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise ValueError(f"each id once; twice: {', '.join(twice)}")
        return value


_TABLES: dict[str, type[_Table]] = {
    "": _File,
    "rules": Rule,
    "match": Match,
    "extract": Extract,
    "place": Place,
    "css": Selector,
    "soft_opt_in": SoftOptIn,
    "dkim": Dkim,
    **dict.fromkeys(FIELDS, Source),
}


def read_rules(source: str, name: str = "rules.toml") -> tuple[Rule, ...]:
    """The rules of a file's text, in their order; those switched off too.

    Raises :class:`TemplateRefused` with every fault; ``name`` is what the file is called there.
    """
    if len(source) > RULES_BYTES:
        raise TemplateRefused([TemplateFault(name, 1, 1, "too_large", f"more than {RULES_BYTES} characters")])
    try:
        given = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(at[1]), int(at[2])) if at else (source.count("\n") + 1, 1)
        raise TemplateRefused([TemplateFault(name, line, column, "no_toml", str(error).partition(" (at")[0])]) from None
    try:
        return _File(**given).rules
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise TemplateRefused(list(_faults(source, name, found))) from None


def _faults(source: str, name: str, found: list[Any]) -> Iterator[TemplateFault]:
    lines = source.splitlines()
    for one in found:
        where = one["loc"]
        pointer = "/" + "/".join(map(str, where))
        detail, suggestion = one["msg"].removeprefix("Value error, "), ""
        if one["type"] == "extra_forbidden":
            names = _known(where)
            near = difflib.get_close_matches(str(where[-1]), names, 1)
            detail, suggestion = f"there is no such name; known are {', '.join(names)}", near[0] if near else ""
        yield TemplateFault(name, _line(lines, where), 1, one["type"], f"{pointer}: {detail}", suggestion)


def _known(where: tuple[int | str, ...]) -> list[str]:
    table = next((part for part in reversed(where[:-1]) if part in _TABLES), "")
    return ["from" if name == "sender" else name for name in _TABLES[str(table)].model_fields]


def _line(lines: list[str], where: tuple[int | str, ...]) -> int:
    """The line on which a value stands: the last of its names that is found, below the header of its rule."""
    at, end = 0, len(lines)
    headers = [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*rules\s*\]\]", line)]
    if len(where) > 1 and isinstance(where[1], int) and where[1] < len(headers):
        at, end = headers[where[1]], next(iter(headers[where[1] + 1 :]), len(lines))
    for part in where[2:] if len(where) > 1 else where:
        named = re.compile(
            rf"\s*(?:\[+.*?\b)?[\"']?{re.escape(str(part))}\b|.*[{{,.]\s*[\"']?{re.escape(str(part))}\s*="
        )
        at = next((number for number in range(at, end) if named.match(lines[number])), at)
    return at + 1
