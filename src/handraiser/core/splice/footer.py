"""Where the footer of a shop's HTML mail begins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handraiser.core.splice.document import Document, Node
from handraiser.core.splice.footer_words import EARLIEST, FOOTER_TEXT, STILL_THE_ORDER

TRIED = 3
"""How many passages that look like a footer's beginning are tried."""

_FOOTER_NAME = re.compile(
    r"footer|(?<![a-z])foot(?![a-z])|unsubscribe|(?<![a-z])legal|(?<![a-z])credits?(?![a-z-])|imprint|impressum",
    re.IGNORECASE,
)


def footer_beginnings(document: Document) -> Iterator[list[Node]]:
    """Elements before which the footer begins, the outermost first, for each passage that looks like its beginning.

    An element stands in the list when nothing that can be seen comes before the passage in it.
    """
    found = 0
    words = document.words()
    last_of_order = max(
        (at for at, one in enumerate(words) if len(one.text) <= 60 and STILL_THE_ORDER.search(one.text)),
        default=-1,
    )
    for at, one in enumerate(words):
        if at <= last_of_order or one.first < document.seen * EARLIEST:
            continue
        if not FOOTER_TEXT.search(one.text) and not _named_footer(one.node):
            continue
        levels = []
        node: Node | None = one.node
        while node is not None and node.tag not in ("body", "html", "#document") and node.first == one.first:
            levels.append(node)
            node = node.parent
        if levels:
            yield levels[::-1]
            found += 1
        if found == TRIED:
            return


def _named_footer(node: Node) -> bool:
    return any(
        one.tag == "footer" or _FOOTER_NAME.search(f"{one.attrs.get('id', '')} {one.attrs.get('class', '')}")
        for one in (node, *node.ancestors())
        if one.tag not in ("body", "html")
    )
