"""One block into finished HTML: one insertion, proven by a second engine, or the mail left alone with a reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

from handraiser.core.splice.document import Document, burden
from handraiser.core.splice.foreign import BEGIN, MARK, ForeignBlock, dressed
from handraiser.core.splice.mime_reasons import HtmlReason
from handraiser.core.splice.places import Anchor, PlaceRules, find_places
from handraiser.core.splice.verify import Witness

SIZE = 2_000_000
"""Characters of HTML that are read at most; both engines take about a second for as much."""
TRIED = 12
"""Places that are tried at most; each costs two readings of the mail."""


@dataclass(frozen=True, slots=True)
class Spliced:
    """``html`` is the given text with ``inserted`` (ASCII) at ``offset``; ``place`` says which kind of place it is."""

    html: str
    offset: int
    inserted: str
    place: Anchor


@dataclass(frozen=True, slots=True)
class Refused:
    """The mail is left as it is; ``objections`` holds what spoke against each place that was tried."""

    reason: HtmlReason
    objections: tuple[str, ...] = ()


_AS_SHIPPED = PlaceRules()
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def splice(
    html: str, block: ForeignBlock, rules: PlaceRules = _AS_SHIPPED, *, size: int = SIZE, newline: str = ""
) -> Spliced | Refused:
    """Put ``block`` into decoded HTML (a BOM and any line ends stay as they are); never raises for any text.

    ``size`` is the most characters read; ``newline`` what a line break in the block is, "" the mail's own. The caller
    bounds the time: HTML below the caps for size and depth can still be made to take seconds.
    """
    if len(html) > size:
        return Refused("too_large")
    if BEGIN in html or MARK in html:
        return Refused("already_enriched")
    too_much = burden(html)
    if too_much:
        return Refused(too_much)
    # The engines read UTF-8, in which half a surrogate pair has no place; the mail itself keeps it.
    read = _HALF_PAIR.sub("\ufffd", html)
    document = Document(read)
    if not document.seen:
        return Refused("empty")
    newline = newline or ("\r\n" if "\r\n" in html else "\n")
    witness = Witness(read)
    objections = []
    tried: set[int] = set()
    for place in find_places(read, rules, document):
        if len(tried) == TRIED:
            break
        at = place.offset
        if at in tried:
            continue
        tried.add(at)
        inserted = dressed(block, place, newline)
        objection = witness.objection(read[:at] + inserted + read[at:], inserted)
        if not objection:
            return Spliced(html[:at] + inserted + html[at:], at, inserted, place.name)
        objections.append(f"{place.name}: {objection}")
    return Refused("no_place", tuple(objections))
