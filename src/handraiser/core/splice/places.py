"""Places in foreign HTML where a block may stand, best first, and what stands around each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import turbohtml

from handraiser.core.splice.document import Document, Node, names
from handraiser.core.splice.footer import footer_beginnings

MARKER = "handraiser:slot"
"""``<!-- handraiser:slot -->`` in a shop's template says: here."""
Anchor = Literal["marker", "css", "before_footer", "body_end", "document_end"]
Side = Literal["before", "after", "prepend", "append"]
ANCHORS: tuple[Anchor, ...] = ("marker", "css", "before_footer", "body_end", "document_end")
MAIN_WIDTH = 600
"""Pixels: how wide a mail's column is when nothing in it tells."""
NARROW = 0.7
"""A column narrower than this share of the mail's is beside something."""

_PROBE = "handraiser:probe"
_TABLE_PARTS = names("table tbody thead tfoot")
_FLOW = names("article aside blockquote body center div footer form header main section td th")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(px|%)?\s*$")
_WIDTH = re.compile(r"(?:^|[;\s])(max-)?width\s*:\s*(\d+(?:\.\d+)?)(px|%)")
_BESIDE = re.compile(r"display\s*:\s*(?:inline-block|table-cell|inline-table)|float\s*:\s*(?:left|right)")
_DIRECTION = re.compile(r"(?:^|[;\s])direction\s*:\s*(ltr|rtl)")
_BODY_END = re.compile(r"</body[\s/>]", re.IGNORECASE)
_PAGE_END = re.compile(r"</html[\s/>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Selector:
    """Where a shop's rule puts the block: at one ``side`` of the first element that ``css`` finds."""

    css: str
    side: Side = "before"


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """What a shop says about places: selectors in their order, and which kinds of places may be used, best first."""

    selectors: tuple[Selector, ...] = ()
    anchors: tuple[Anchor, ...] = ANCHORS


@dataclass(frozen=True, slots=True)
class Place:
    """One place: ``offset`` in the given text, and what surrounds it.

    ``columns`` is how many cells a row there has, 0 where no row is wanted; ``direction`` is ``ltr``, ``rtl`` or "" for
    none told; ``width`` is the most pixels that a block may take, None where what surrounds it already holds it.
    """

    offset: int
    name: Anchor
    columns: int = 0
    direction: str = ""
    width: int | None = None


def selector_fault(css: str) -> str:
    """Why a selector cannot be used; "" when it can."""
    try:
        turbohtml.parse("").select(css)
    except turbohtml.SelectorSyntaxError as error:
        return str(error)
    return ""


def find_places(html: str, rules: PlaceRules, document: Document | None = None) -> Iterator[Place]:
    """Every place worth trying, best first; ``document`` is ``html`` when it was read before.

    A place is a guess: only splicing there and reading the result again tells whether it holds.
    """
    document = document or Document(html)
    main = _main_width(document)
    found = {
        "marker": _at_markers,
        "css": lambda one: _by_rules(one, rules),
        "before_footer": lambda one: _before_footer(one, main),
        "body_end": _at_body_end,
        "document_end": _at_document_end,
    }
    for name in rules.anchors:
        for at, parent in found[name](document):
            yield _place(document, at, parent, name, main)


Spot = tuple[int, Node]
"""An offset in the document's text, and the element whose child the block would become."""


def _at_markers(document: Document) -> Iterator[Spot]:
    for number, match in enumerate(re.finditer(rf"<!--\s*{MARKER}\s*-->", document.text)):
        if number == 3:
            return
        # The parser does not tell where comments stand: this one is made unlike all others and looked for in the tree.
        text = f"{document.text[: match.start()]}<!--{_PROBE}-->{document.text[match.end() :]}"
        parent = Document(text).parent_of_comment(_PROBE)
        if parent is not None:
            yield match.end(), parent


def _by_rules(document: Document, rules: PlaceRules) -> Iterator[Spot]:
    for rule in rules.selectors:
        for node in document.select(rule.css)[:1]:
            spot = _beside(node, rule.side)
            if spot is not None:
                yield spot


def _beside(node: Node, side: Side) -> Spot | None:
    if node.tag in ("td", "th") and side in ("before", "after") and node.parent is not None:
        node = node.parent
    if node.tag == "tr":
        side = "before" if side == "prepend" else "after" if side == "append" else side
    if node.tag in _TABLE_PARTS and side == "prepend":
        rows = _rows(node)
        return _beside(rows[0], "before") if rows else None
    if node.tag == "table" and side == "append":
        node = next((one for one in reversed(node.children) if one.tag in _TABLE_PARTS and one.end), node)
    at = _edge(node, side)
    parent = node.parent if side in ("before", "after") else node
    return None if at is None or parent is None else (at, parent)


def _edge(node: Node, side: Side) -> int | None:
    if side in ("before", "prepend"):
        return node.start[side == "prepend"] if node.start else None
    return node.end[side == "after"] if node.end else None


def _before_footer(document: Document, main: int) -> Iterator[Spot]:
    for levels in footer_beginnings(document):
        for node in levels:
            parent = node.parent
            if node.start is None or parent is None or _is_beside(node) or _is_narrow(parent, main):
                continue
            fits = node.tag == "tr" and parent.tag in _TABLE_PARTS and not _is_spanned(node, parent)
            if fits or (node.tag not in _TABLE_PARTS - {"table"} and parent.tag in _FLOW):
                yield node.start[0], parent


def _at_body_end(document: Document) -> Iterator[Spot]:
    """Before ``</body>``, the last one first: a mail put together from whole pages has several. Or before ``</html>``:
    what generates a page by hand often leaves the body's tags out."""
    ends = [match.start() for match in _BODY_END.finditer(document.text)]
    ends = ends or [match.start() for match in _PAGE_END.finditer(document.text)]
    for at in dict.fromkeys((*ends[:-3:-1], *ends[:1])):
        yield at, document.body


def _at_document_end(document: Document) -> Iterator[Spot]:
    """After everything, unless the page was closed before: some readers drop what follows its end."""
    if not any(one.end for one in (document.body, *document.body.ancestors())):
        yield len(document.text.rstrip()), document.body


def _place(document: Document, at: int, parent: Node, name: Anchor, main: int) -> Place:
    direction = ""
    width: float | None = None
    for node in (parent, *parent.ancestors()):
        told = _DIRECTION.search(node.style)
        direction = direction or node.attrs.get("dir", "").strip().lower() or (told.group(1) if told else "")
        width = width or _pixels(node)
    columns = _columns(parent) if parent.tag in _TABLE_PARTS else 0
    direction = direction if direction in ("ltr", "rtl") else ""
    return Place(document.offset(at), name, columns, direction, None if width and width <= main else main)


# --- rows, columns, widths -------------------------------------------------------------------------------------------


def _rows(table: Node) -> list[Node]:
    rows = []
    for child in table.children:
        if child.tag == "tr":
            rows.append(child)
        elif child.tag in _TABLE_PARTS - {"table"}:
            rows += [one for one in child.children if one.tag == "tr"]
    return rows


def _span(cell: Node, name: str) -> int:
    told = re.match(r"\s*(\d{1,3})", cell.attrs.get(name, ""))
    return max(1, int(told.group(1))) if told else 1


def _columns(part: Node) -> int:
    table = part if part.tag == "table" or part.parent is None else part.parent
    return max((sum(_span(cell, "colspan") for cell in row.children) for row in _rows(table)), default=1) or 1


def _is_spanned(row: Node, part: Node) -> bool:
    """Whether a cell of a row above reaches into ``row``, so that a row put before it would move cells."""
    rows = [one for one in part.children if one.tag == "tr"]
    at = rows.index(row)
    return any(
        _span(cell, "rowspan") > at - number for number in range(max(0, at - 50), at) for cell in rows[number].children
    )


def _is_beside(node: Node) -> bool:
    """Whether ``node``, or what holds it, has something to be seen at its side."""
    for one in (node, *node.ancestors()):
        siblings = [other for other in (one.parent.children if one.parent else ()) if other is not one and other.seen]
        if one.tag in ("td", "th") and siblings and one is not node:
            return True
        if _stands_beside(one) and any(map(_stands_beside, siblings)):
            return True
    return False


def _stands_beside(node: Node) -> bool:
    aligned = node.tag == "table" and node.attrs.get("align", "").lower() in ("left", "right")
    return aligned or bool(_BESIDE.search(node.style))


def _pixels(node: Node) -> float | None:
    if "width" not in node.style and "width" not in node.attrs:
        return None
    told = {kind: float(number) for kind, number, unit in _WIDTH.findall(node.style) if unit == "px"}
    if told:
        return told.get("max-", told.get(""))
    if "width:" in node.style and "%" in node.style:
        return None
    attribute = _NUMBER.match(node.attrs.get("width", ""))
    return float(attribute.group(1)) if attribute and attribute.group(2) != "%" else None


def _share(node: Node) -> float:
    told = [float(number) for kind, number, unit in _WIDTH.findall(node.style) if unit == "%" and not kind]
    attribute = _NUMBER.match(node.attrs.get("width", ""))
    if not told and attribute and attribute.group(2) == "%":
        told = [float(attribute.group(1))]
    return min(1.0, told[0] / 100) if told else 1.0


def _main_width(document: Document) -> int:
    """How wide the mail's column is: the widest told width whose elements together hold half of what can be seen."""
    held: dict[int, int] = {}
    around: dict[Node | None, frozenset[float]] = {}
    for node in document.nodes():  # parents come first
        above = around.get(node.parent, frozenset())
        width = _pixels(node)
        if width is not None and 280 <= width <= 1000 and width not in above:
            held[int(width)] = held.get(int(width), 0) + node.seen
            above |= {width}
        around[node] = above
    return max((width for width, seen in held.items() if seen * 2 >= document.seen), default=MAIN_WIDTH)


def _is_narrow(parent: Node, main: int) -> bool:
    share = 1.0
    for node in (parent, *parent.ancestors()):
        width = _pixels(node)
        if width is not None:
            return width * share < main * NARROW
        share *= _share(node)
    return share < NARROW
