"""One finished mail, or the HTML and text of one, given back with a block in it.

It runs in an isolated process with a time limit: a mail that parsers choke on must cost nobody but itself. Nothing
here raises for any mail; what must be left alone comes back as a :class:`Passes` with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handraiser.core.rules.file import Place
from handraiser.core.splice import mime
from handraiser.core.splice.mime_reasons import Untouchable
from handraiser.core.splice.mime_words import paragraph, place_text

if TYPE_CHECKING:
    from handraiser.core.splice.html import Spliced


ANYWHERE = Place()
PARSERS = ("handraiser.core.splice.html", "handraiser.core.splice.foreign", "handraiser.core.rules.extract")
"""What a process that calls these functions should have imported before: it takes longer than a mail."""


@dataclass(frozen=True, slots=True)
class Passes:
    """The mail passes as it is; ``reason`` is one word, ``detail`` what else there is to say."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Blocks:
    """What is put in: filled HTML and text, and the colours and fonts of its shop (CSS)."""

    html: str
    text: str
    background: str
    color: str
    link_color: str
    font: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The HTML and the plain text of a mail; None where there is none."""

    html: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A mail with its blocks; ``where`` they stand, in words, by part (``html``, ``text``)."""

    content: bytes
    where: dict[str, str]


def put_into_mail(raw: bytes, blocks: Blocks, place: Place = ANYWHERE, *, signed_ok: bool = False) -> bytes | Passes:
    """The mail with the blocks in its HTML and in its text, everything else byte for byte as it was.

    ``signed_ok`` also takes mail whose signature this breaks.
    """
    made = placed_in_mail(raw, blocks, place, signed_ok=signed_ok)
    return made if isinstance(made, Passes) else made.content


def placed_in_mail(raw: bytes, blocks: Blocks, place: Place = ANYWHERE, *, signed_ok: bool = False) -> Placed | Passes:
    """As :func:`put_into_mail`, and where in each part the blocks stand."""
    where: dict[str, str] = {}
    mail = mime.read(raw, signed_ok=signed_ok)
    if isinstance(mail, Untouchable):
        return Passes(mail.reason)
    html = text = None
    if mail.html is not None:
        spliced = _spliced(mail.html.text, blocks, place)
        if isinstance(spliced, Passes):
            return spliced
        html = (spliced.offset, spliced.inserted)
        where["html"] = f"{spliced.place}, {_before(mail.html.text, spliced.offset)}"
    if mail.text is not None and (place.text != "none" or mail.html is None):
        text = (_in_text(mail.text.text, place), blocks.text)
        where["text"] = _before(mail.text.text, text[0])
    result = mime.splice(mail, html=html, text=text)
    return Passes(result.reason) if isinstance(result, Untouchable) else Placed(result, where)


def _before(text: str, at: int) -> str:
    """What a place stands before, in its own words."""
    following = " ".join(text[at : at + 200].split())[:60]
    return f"before {following}" if following else "at the end"


def put_into_parts(parts: Finished, blocks: Blocks, place: Place = ANYWHERE) -> Finished | Passes:
    """The same for HTML and text that some other program makes a mail of."""
    html, text = parts.html, parts.text
    if html is not None:
        spliced = _spliced(html, blocks, place)
        if isinstance(spliced, Passes):
            return spliced
        html = spliced.html
    if text is not None and place.text != "none":
        at = _in_text(text, place)
        words = paragraph(blocks.text, text, at, flowed=False)
        if "\r\n" in text:
            words = words.replace("\n", "\r\n")
        text = text[:at] + words + text[at:]
    return Finished(html, text)


def _in_text(text: str, place: Place) -> int:
    return len(text) if place.text == "end" else place_text(text)


def _spliced(html: str, blocks: Blocks, place: Place) -> Spliced | Passes:
    # The parsers are loaded in the isolated process alone: the serving process imports this module for its words.
    from handraiser.core.splice.foreign import foreign_block, insists
    from handraiser.core.splice.html import Refused, splice
    from handraiser.core.splice.places import PlaceRules, Selector

    block = foreign_block(
        blocks.html,
        blocks.text,
        background=blocks.background,
        color=blocks.color,
        link_color=blocks.link_color,
        font=blocks.font,
        firm=insists(html),
    )
    rules = PlaceRules(tuple(Selector(one.selector, one.position) for one in place.css), place.anchors)
    spliced = splice(html, block, rules)
    return Passes(spliced.reason, "; ".join(spliced.objections)) if isinstance(spliced, Refused) else spliced
