"""A second engine's word on a splice: the block is there once, can be seen, and nothing else has moved."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from handraiser.core.splice.document import hides, names
from handraiser.core.splice.foreign import BEGIN, END, MARK
from handraiser.core.splice.outlook import outlook_view

_NEVER_IN = names(
    "a applet audio button canvas caption details dialog frameset head iframe label legend map marquee math meter "
    "noembed noframes noscript object option plaintext pre progress rt ruby script select style svg template textarea "
    "title video xmp"
)
_BRACE = re.compile(r"([{}])")
_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|<!--|-->", re.DOTALL)
_NAMES = re.compile(r"[.#]([\w-]+)")
_LAST = re.compile(r"[\s>+~]")
_RULES_READ, _RULES_ASKED = 2000, 100


class Witness:
    """The mail as it was, read once in the normal and in the Outlook view; each try is held against it."""

    def __init__(self, html: str) -> None:
        seen, for_outlook = _serialised(html), outlook_view(html)
        self._before = (seen, seen if for_outlook == html else _serialised(for_outlook))

    def objection(self, spliced: str, inserted: str) -> str:
        """Why ``spliced``, the mail with ``inserted`` in it, must not go out; "" when it may."""
        views = (spliced, inserted, "browsers"), (outlook_view(spliced), outlook_view(inserted), "Outlook")
        for before, (html, alone, seen_by) in zip(self._before, views, strict=True):
            fault = _fault(before, LexborHTMLParser(html), alone)
            if fault:
                return f"{fault} (as {seen_by} read it)"
        return ""


def _serialised(html: str) -> str:
    return LexborHTMLParser(html).html or ""


def _fault(before: str, after: LexborHTMLParser, inserted: str) -> str:
    found = after.css(f"[{MARK}]")
    if len(found) != 1:
        return f"the block is there {len(found)} times"
    block = found[0]
    own, whole = block.html or "", after.html or ""
    pieces = [f"<!--{piece}\n-->" for piece in (BEGIN, END)]
    pieces.insert(1, own)
    if own != _alone(inserted):
        return "the block is changed by what is around it"
    rest, at = [], 0
    for piece in pieces:
        start = whole.find(piece, at)
        if start < 0 or whole.count(piece) != 1:
            return "the block is torn apart"
        rest.append(whole[at:start])
        at = start + len(piece)
    if "".join(rest) + whole[at:] != before:
        return "something else has moved"
    return _hidden(block, after)


def _alone(inserted: str) -> str:
    """The block as the engine writes it when nothing is around it."""
    tree = LexborHTMLParser(f"<!doctype html><table><tbody>{inserted}" if "<tr " in inserted[:80] else inserted)
    block = tree.css_first(f"[{MARK}]")
    return (block.html if block is not None else None) or ""


def _hidden(block: LexborNode, tree: LexborHTMLParser) -> str:
    around: list[LexborNode] = []
    node = block.parent
    while node is not None and node.tag != "-document":
        around.append(node)
        node = node.parent
    tags = {one.tag or "" for one in around}
    if "body" not in tags:
        return "the block is not in the body"
    wrong = tags & _NEVER_IN
    if wrong:
        return f"the block is inside <{min(wrong)}>"
    if any("hidden" in one.attributes or hides(one.attributes.get("style") or "") for one in around):
        return "the block is hidden"
    hiding = _hiding_rules(tree)
    if not hiding:
        return ""
    ids = {one.mem_id for one in (*around, block, *block.css("*"))}
    named = {name for one in around for name in (one.id or "", *(one.attributes.get("class") or "").split())}
    rules = [one for one in hiding if not (told := _NAMES.findall(_LAST.split(one)[-1])) or named & {*told}]
    if any(_finds(rule, tree, ids) for rule in rules[:_RULES_ASKED]):
        return "a style sheet hides the block"
    return ""


def _hiding_rules(tree: LexborHTMLParser) -> list[str]:
    """Selectors of rules that hide something, on any screen: what is hidden on telephones only is hidden to most."""
    selectors: list[str] = []
    for sheet in tree.css("style"):
        pieces = _BRACE.split(_CSS_COMMENT.sub(" ", (sheet.text() or "")[:200_000]))
        for told, opening, declarations, closing in zip(pieces, pieces[1:], pieces[2:], pieces[3:], strict=False):
            if opening == "{" and closing == "}" and hides(declarations):
                selectors += [one.strip() for one in told.split(",") if one.strip()]
    return selectors[:_RULES_READ]


def _finds(selector: str, tree: LexborHTMLParser, ids: set[int]) -> bool:
    try:
        return any(one.mem_id in ids for one in tree.css(selector))
    except SelectolaxError:
        return False
