"""Filling a compiled page with one email's data: synchronous, no sandbox needed, because data is never code."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from markupsafe import escape

from handraiser.core.mjml import code
from handraiser.core.mjml.code import Program, text
from handraiser.core.mjml.program import CompiledBlock, CompiledPage
from handraiser.core.mjml.text import tidy
from handraiser.core.value import dataclass
from handraiser.errors import FillFailed

_URL = re.compile(r"(?:https?|mailto|tel):[^\s<>\"'`{}|\\^]*", re.IGNORECASE)
_CSS = re.compile(r"[A-Za-z0-9 #%.,()_-]*")
_CSS_CODE = re.compile(r"expression|url\(", re.IGNORECASE)
_BETWEEN = "\x1e"
"""Stands between values while they are escaped; no text of an email holds it."""


def _escaped(value: str) -> str:
    """HTML in ASCII: a single other character would make the whole email four times as slow to encode."""
    made = str(escape(value))
    return made if made.isascii() else made.encode("ascii", "xmlcharrefreplace").decode()


def _said_in_html(value: Any) -> str:
    return _escaped(text(value))


def _said_in_text(value: Any) -> str:
    return " ".join(text(value).split())


def _finish_html(out: list[Any]) -> str:
    values = out[1::2]
    try:
        together = _BETWEEN.join(values)
    except TypeError:  # numbers, or nothing
        together = _BETWEEN.join(map(text, values))
    escaped = _escaped(together).split(_BETWEEN)
    out[1::2] = escaped if len(escaped) == len(values) else map(_said_in_html, values)
    return "".join(out)


def _finish_text(out: list[Any]) -> str:
    values = out[1::2]
    try:
        lines = "\n" in "".join(values)
    except TypeError:
        lines = True
    if lines:
        out[1::2] = [v if type(v) is str and "\n" not in v else _said_in_text(v) for v in values]
    return tidy("".join(out))


@lru_cache(maxsize=1024)
def _url(link: str) -> str:
    return link if _URL.fullmatch(link) else ""


def _piece(value: Any) -> str:
    """A piece of a link, after its scheme: everything that could end or turn it is percent-encoded."""
    return quote(text(value), safe="@", errors="replace")


def _css(value: Any) -> str:
    return _checked_css(value if type(value) is str else text(value))


@lru_cache(maxsize=1024)
def _checked_css(style: str) -> str:
    return style if _CSS.fullmatch(style) and not _CSS_CODE.search(style) else ""


def _css_url(value: Any) -> str:
    return quote(_url(text(value)), safe=":/?#[]@!$&*+,;=~%-._", errors="replace")


def _lines_html(value: Any) -> str:
    return "<br>".join(_escaped(line) for line in text(value).splitlines())


def _lines_text(value: Any) -> str:
    return "\n".join(text(value).splitlines())


def _list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else ()


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _join(value: Any, between: object = "") -> str:
    return text(between).join(map(text, _list(value)))


def _default(value: Any, otherwise: object = "", boolean: object = False) -> Any:
    return otherwise if value is None or (boolean and not value) else value


_FILTERS = {
    "default": _default,
    "length": _length,
    "upper": lambda value: text(value).upper(),
    "lower": lambda value: text(value).lower(),
    "join": _join,
    "_piece": _piece,
    "_css": _css,
    "_css_url": _css_url,
    "_after": lambda link: f": {link}" if link else "",
}


@lru_cache(maxsize=1024)
def _url_html(link: str) -> str:
    return _escaped(link) if _URL.fullmatch(link) else ""


def _html_program(source: str) -> Program:
    filters = {**_FILTERS, "lines": _lines_html}
    return code.program(source, filters=filters, of_text={"_url": _url_html}, said=_said_in_html, finish=_finish_html)


def _text_program(source: str) -> Program:
    filters = {**_FILTERS, "lines": _lines_text}
    return code.program(source, filters=filters, of_text={"_url": _url}, said=_said_in_text, finish=_finish_text)


class _Unloaded:
    """A program kept as packed text until its first fill: of many shops' pages most are never filled."""

    __slots__ = ("_load", "_loaded", "_packed")

    def __init__(self, load: Callable[[str], Program], source: str) -> None:
        self._load = load
        self._packed = zlib.compress(source.encode())
        self._loaded: Program | None = None

    def __call__(self, data: Mapping[str, Any]) -> str:
        if self._loaded is None:
            self._loaded = self._load(zlib.decompress(self._packed).decode())
            self._packed = b""
        return self._loaded(data)


@dataclass(frozen=True, slots=True)
class Page:
    """A loaded page, ready to be filled."""

    name: str
    html: Program
    text: Program
    title: Program
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A loaded block, ready to be filled."""

    name: str
    html: Program
    text: Program
    head: str


@dataclass(frozen=True, slots=True)
class Filled:
    """One email's parts. ``slots`` holds each placed block alone; ``failed`` (slot, why) those that were dropped."""

    html: str
    text: str
    subject: str
    slots: Mapping[str, tuple[str, str]]
    failed: tuple[tuple[str, str], ...] = ()


class Engine:
    """Loads compiled programs and fills them."""

    def load_page(self, compiled: CompiledPage) -> Page:
        """The page's programs, which become code when they are first filled."""
        return Page(
            compiled.name,
            _Unloaded(_html_program, compiled.html),
            _Unloaded(_text_program, compiled.text),
            _Unloaded(_text_program, compiled.title),
            compiled.slots,
        )

    def load_block(self, compiled: CompiledBlock) -> Block:
        """The block's programs as code."""
        return Block(compiled.name, _html_program(compiled.html), _text_program(compiled.text), compiled.head)

    def fill_block(self, block: Block, context: Mapping[str, Any]) -> tuple[str, str]:
        """A block alone as (HTML, text); raises :class:`FillFailed`."""
        try:
            return block.html(context), block.text(context)
        except Exception as error:
            raise FillFailed(f"the block {block.name} cannot be filled ({type(error).__name__})") from error

    def fill_blocks(self, blocks: Mapping[str, tuple[Block, Mapping[str, Any]]], context: Mapping[str, Any]) -> Filled:
        """The blocks alone, for a mail that is not ours; one that fails is dropped and named in ``failed``."""
        slots: dict[str, tuple[str, str]] = {}
        failed = []
        for slot, (block, extra) in blocks.items():
            try:
                slots[slot] = self.fill_block(block, {**context, **extra})
            except FillFailed as error:
                failed.append((slot, str(error)))
        return Filled("", "", "", slots, tuple(failed))

    def fill(
        self,
        page: Page,
        blocks: Mapping[str, tuple[Block, Mapping[str, Any]]],
        context: Mapping[str, Any],
        *,
        head_extra: str = "",
    ) -> Filled:
        """Fill a page and the blocks in its slots.

        A block that fails is dropped and named in ``failed``; raises :class:`FillFailed` when the page itself fails.
        """
        alone = self.fill_blocks(blocks, context)
        slots = alone.slots
        heads = dict.fromkeys([head_extra, *(blocks[slot][0].head for slot in slots)])
        html = {f"_slot_{slot}": parts[0] for slot, parts in slots.items()}
        words = {f"_slot_{slot}": parts[1] for slot, parts in slots.items()}
        try:
            return Filled(
                page.html({**context, **html, "_head": "".join(heads)}),
                page.text({**context, **words}) + "\n",
                " ".join(page.title(context).split()),
                slots,
                alone.failed,
            )
        except Exception as error:
            raise FillFailed(f"the page {page.name} cannot be filled ({type(error).__name__})") from error
