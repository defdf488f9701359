"""Foreign HTML as a tree whose elements know where in the source they stand; and whether it is safe to parse at all."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import turbohtml

from handraiser.core.splice.outlook import without_data

TAGS = 60_000
"""Most tags that are read: about two seconds' work."""
DEPTH = 256
"""Most elements that may stand inside one another: both engines take quadratic time over deep nesting."""
REOPENED = 200_000
"""Most formatting elements that a parser may have to open anew: ``<font>`` unclosed before many paragraphs."""


def names(told: str) -> frozenset[str]:
    """A set of names, written as words in one line."""
    return frozenset(told.split())


_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:]*)")
_VOID = names("area base br col embed hr img input link meta source wbr")
_CLOSED_BY_NEIGHBOURS = names("body dd dt head html li option p tbody td tfoot th thead tr")
_FORMATTING = names("a b big code em font i nobr s small strike strong tt u")
_SCOPES = names("table caption template object marquee applet")
_UNSEEN = names("head script style template title noscript textarea select iframe")
_PICTURES = names("img svg video picture object canvas")
_INLINE = _FORMATTING | names(
    "abbr bdi bdo br cite del dfn img ins kbd label mark q samp span sub sup svg time var wbr"
)
_HIDING = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|(?:content-)?visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all"
    r"|opacity\s*:\s*(?:0|0?\.0\d*)\s*(?:;|!|$)|(?:max-)?(?:height|width)\s*:\s*0(?:px|em|pt|%)?\s*(?:;|!|$)"
    r"|max-height\s*:\s*1px|(?:left|top|(?:margin|text)-[a-z]+)\s*:\s*-\d{3}|clip(?:-path)?\s*:"
    r"|transform\s*:\s*scale[xy]?\(0\s*[,)])"
)
_SHORT = 1_000
_CLIPPED = re.compile(r"(?:^|;)\s*(?:height|width)\s*:\s*1px")


def hides(style: str) -> bool:
    """Whether an inline style keeps its element from being seen."""
    # A mail has few styles, many times over.
    return bool(style) and (_hides_kept if len(style) <= _SHORT else _hides)(style.lower())


def _hides(style: str) -> bool:
    return bool(_HIDING.search(style)) or ("overflow" in style and bool(_CLIPPED.search(style)))


_hides_kept = lru_cache(maxsize=1024)(_hides)


@dataclass(slots=True, eq=False)
class Node:
    """One element; ``style`` is its inline style in lower case.

    ``start`` and ``end`` are its tags' spans in the source, None where the parser added them itself; ``parsed`` is what
    the parser made of it. ``first`` and
    ``last`` count what can be seen (characters, pictures) from the document's beginning to the element's start and end.
    """

    tag: str
    attrs: Mapping[str, str]
    parent: Node | None
    style: str = ""
    parsed: turbohtml.Element | None = None
    children: list[Node] = field(default_factory=list)
    first: int = 0
    last: int = 0

    @property
    def start(self) -> tuple[int, int] | None:
        place = self.parsed.source_location if self.parsed is not None else None
        return (place.start_tag.start_offset, place.start_tag.end_offset) if place is not None else None

    @property
    def end(self) -> tuple[int, int] | None:
        place = self.parsed.source_location if self.parsed is not None else None
        tag = place.end_tag if place is not None else None
        return (tag.start_offset, tag.end_offset) if tag is not None else None

    @property
    def seen(self) -> int:
        """How much of it can be seen; 0 for what is empty or hidden."""
        return self.last - self.first

    def ancestors(self) -> Iterator[Node]:
        """From its parent up to the root."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


@dataclass(frozen=True, slots=True)
class Words:
    """What can be read in one block-level element without a break: where it begins (as ``Node.first``) and the text."""

    node: Node
    first: int
    text: str


class Document:
    """A parsed source; ``seen`` is how much can be seen in it.

    Nodes tell places in ``text``, the source without BOM and with LF for CRLF; :meth:`offset` tells them in the source.
    """

    def __init__(self, html: str) -> None:
        self._shift = int(html.startswith("\ufeff"))
        self.text = html[self._shift :].replace("\r\n", "\n")
        self._lines: list[int] = []
        if len(self.text) + self._shift < len(html):
            at = html.find("\r\n")
            while at >= 0:
                self._lines.append(at - self._shift - len(self._lines))
                at = html.find("\r\n", at + 2)
        self._parsed = turbohtml.parse(self.text, source_locations=True)
        self._nodes: dict[turbohtml.Node, Node] = {}
        self._texts: list[tuple[Node, int, str]] = []
        self.root = self._walk()
        self.body = next((one for one in self._nodes.values() if one.tag == "body"), self.root)
        self.seen = self.root.last

    def offset(self, at: int) -> int:
        """Where in the given text stands what is at ``at`` of ``text``, in which CRLF is one character."""
        return at + self._shift + bisect_left(self._lines, at)

    def select(self, css: str) -> list[Node]:
        """The elements that a selector finds, in document order; none for a selector that cannot be read."""
        try:
            found = self._parsed.select(css)
        except turbohtml.SelectorSyntaxError:
            return []
        return [self._nodes[one] for one in found if one in self._nodes]

    def nodes(self) -> Iterator[Node]:
        """Every element in document order."""
        return iter(self._nodes.values())

    def parent_of_comment(self, data: str) -> Node | None:
        """The element that holds the first comment of exactly this text."""
        for one in self._parsed.descendants:
            if isinstance(one, turbohtml.Comment) and one.data == data and isinstance(one.parent, turbohtml.Element):
                return self._nodes.get(one.parent)
        return None

    def words(self) -> list[Words]:
        """What can be read, block after block."""
        found: list[tuple[Node, int, list[str]]] = []
        for node, first, text in self._texts:
            block = node
            while block.tag in _INLINE and block.parent is not None:
                block = block.parent
            if not found or found[-1][0] is not block:
                found.append((block, first, []))
            found[-1][2].append(text)
        return [Words(block, first, " ".join(texts)) for block, first, texts in found]

    def _walk(self) -> Node:
        root = Node("#document", {}, None)
        seen = 0
        stack: list[tuple[turbohtml.Node, Node, bool] | Node] = [(self._parsed, root, False)]
        while stack:
            step = stack.pop()
            if isinstance(step, Node):
                step.last = seen
                continue
            raw, parent, hidden = step
            if isinstance(raw, turbohtml.Text):
                if not hidden and (length := len("".join(raw.data.split()))):
                    self._texts.append((parent, seen, raw.data))
                    seen += length
                continue
            node = parent
            if isinstance(raw, turbohtml.Element):
                node = self._entered(raw, parent)
                node.first = node.last = seen
                hidden = hidden or node.tag in _UNSEEN or "hidden" in node.attrs or hides(node.style)
                if node.tag in _PICTURES and not hidden:
                    seen += not _is_pixel(node)
                    hidden = True
                stack.append(node)
            stack.extend((child, node, hidden) for child in reversed(raw.children))
        root.last = seen
        return root

    def _entered(self, raw: turbohtml.Element, parent: Node) -> Node:
        attrs = {name: value if isinstance(value, str) else " ".join(value or ()) for name, value in raw.attrs.items()}
        node = Node(raw.tag, attrs, parent, attrs.get("style", "").lower(), raw)
        parent.children.append(node)
        self._nodes[raw] = node
        return node


def _is_pixel(node: Node) -> bool:
    """Whether a picture is one that counts readers rather than one to be seen."""
    return node.attrs.get("width", "").strip() in ("0", "1") or node.attrs.get("height", "").strip() in ("0", "1")


def burden(html: str) -> Literal["", "too_large", "too_deep"]:
    """Why a parser should not be given this: more than ``TAGS`` tags, nested deeper than ``DEPTH``, or formatting that
    is opened anew more than ``REOPENED`` times; "" for everyday mail.

    One pass over the tags without a tree, so an estimate; what it lets through wrongly ends at the worker's time limit.
    """
    tags = _TAG.findall(without_data(html))
    if len(tags) > TAGS:
        return "too_large"
    opened: list[str] = []
    formatting: dict[str, int] = {}
    unclosed = reopened = 0
    for closing, name in tags:
        tag = name.lower()
        if tag in _FORMATTING:
            step = -1 if closing else 1
            if formatting.get(tag, 0) + step >= 0:
                formatting[tag] = formatting.get(tag, 0) + step
                unclosed += step
        elif not closing:
            reopened += unclosed
        if tag in _VOID or tag in _CLOSED_BY_NEIGHBOURS:
            continue
        if not closing:
            opened.append(tag)
            if len(opened) > DEPTH or unclosed > DEPTH or reopened > REOPENED:
                return "too_deep"
        elif opened:
            _close(opened, tag)
    return "too_deep" if reopened > REOPENED else ""


def _close(opened: list[str], tag: str) -> None:
    for at in range(len(opened) - 1, -1, -1):
        if opened[at] == tag:
            del opened[at:]
            return
        if opened[at] in _SCOPES:
            return
