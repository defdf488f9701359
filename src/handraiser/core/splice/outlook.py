"""What Outlook for Windows reads of a mail: conditional comments decided as Word's HTML engine decides them.

Source: Microsoft, "About conditional comments" (the grammar); Outlook 2016 and later call themselves mso 16.
"""

from __future__ import annotations

import re

MSO = 16.0

_CONDITION = re.compile(
    r"<!--\[if(?P<hidden>[^\]>]{0,200})\]>(?P<opened><!-->|-->|<!--\s{0,9}-->)?"
    r"|<!\[if(?P<revealed>[^\]>]{0,200})\]>"
    r"|(?:<!--\s{0,9})?<!\[endif\](?:--)?>"
    r"|(?P<closed>-->)",
    re.IGNORECASE,
)
_PIECE = re.compile(
    r"\s*(?:(lte|gte|lt|gt)\s+)?(mso|ie|vml|true|false)(?:\s+(\d+(?:\.\d+)?))?|\s*([!&|()])", re.IGNORECASE
)


def without_data(html: str) -> str:
    """``html`` without the ``<xml>`` passages in conditional comments: lists of settings that Word writes into every
    mail and reads as data. As tags of HTML they would count as hundreds of elements inside one another."""
    parts: list[str] = []
    at = 0
    while (start := html.find("<!--[if", at)) >= 0 and (end := html.find("-->", start)) >= 0:
        comment = html[start:end]
        first, last = comment.lower().find("<xml"), comment.lower().rfind("</xml>")
        if 0 <= first < last:
            parts += [html[at : start + first], comment[last + len("</xml>") :]]
        else:
            parts.append(html[at:end])
        at = end
    return "".join((*parts, html[at:]))


def outlook_view(html: str) -> str:
    """The HTML that Outlook shows: what is for it opened, what is kept from it left out. Linear in the length."""
    begins = min((at for one in ("[if", "[If", "[iF", "[IF") if (at := html.find(one)) >= 0), default=-1)
    if begins < 0:
        return html
    html = without_data(html)
    parts: list[str] = []
    opened: list[tuple[bool, bool]] = []
    """Of each passage begun: whether Outlook shows it, and whether other readers take it for a comment."""
    hidden = at = 0
    for match in _CONDITION.finditer(html, max(0, begins - len("<!--"))):
        if match.group("closed") is not None and (not opened or opened[-1] != (False, True)):
            continue  # an ordinary comment's end: of these passages it ends only one that lacks its own
        told = match.group("revealed") if match.group("hidden") is None else match.group("hidden")
        if told is None and not opened:
            continue
        if not hidden:
            parts.append(html[at : match.start()])
        at = match.end()
        if told is None:
            hidden -= not opened.pop()[0]
        else:
            opened.append((holds(told), match.group("hidden") is not None and match.group("opened") is None))
            hidden += not opened[-1][0]
    if not hidden:
        parts.append(html[at:])
    return "".join(parts)


def holds(condition: str) -> bool:
    """Whether a condition such as ``gte mso 9`` or ``!mso`` is true for Outlook; False for what cannot be read."""
    pieces: list[str | bool] = []
    at = 0
    while condition[at:].strip():
        match = _PIECE.match(condition, at)
        if match is None:
            return False
        pieces.append(match.group(4) or _is_true(*match.group(1, 2, 3)))
        at = match.end()
    value, rest = _any_of(pieces)
    return value and not rest


def _is_true(comparison: str | None, feature: str, version: str | None) -> bool:
    feature = feature.lower()
    if feature not in ("mso", "vml", "true"):
        return False
    if feature != "mso" or version is None:
        return True
    told = float(version)
    return {"lt": told > MSO, "lte": told >= MSO, "gt": told < MSO, "gte": told <= MSO}.get(
        (comparison or "").lower(), told == MSO
    )


def _any_of(pieces: list[str | bool]) -> tuple[bool, list[str | bool]]:
    value, rest = _all_of(pieces)
    while rest and rest[0] == "|":
        other, rest = _all_of(rest[1:])
        value = value or other
    return value, rest


def _all_of(pieces: list[str | bool]) -> tuple[bool, list[str | bool]]:
    value, rest = _one(pieces)
    while rest and rest[0] == "&":
        other, rest = _one(rest[1:])
        value = value and other
    return value, rest


def _one(pieces: list[str | bool]) -> tuple[bool, list[str | bool]]:
    if not pieces:
        return False, []
    first, rest = pieces[0], pieces[1:]
    if first == "!":
        value, rest = _one(rest)
        return not value, rest
    if first == "(":
        value, rest = _any_of(rest)
        return value, rest[1:] if rest[:1] == [")"] else [")"]
    return first is True, rest
