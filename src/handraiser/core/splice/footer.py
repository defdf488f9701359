"""Where the footer of a shop's HTML mail begins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from handraiser.core.splice.document import Document, Node
from handraiser.core.splice.footer_words import EARLIEST, FOOTER_TEXT, STILL_THE_ORDER

TRIED, LEVELS = 3, 6
"""How many passages that look like a footer's beginning are tried, and how many elements around each."""

_FOOTER_NAME = re.compile(
    r"footer|(?<![a-z])foot(?![a-z])|unsubscribe|(?<![a-z])legal|(?<![a-z])credits?(?![a-z-])|imprint|impressum",
    re.IGNORECASE,
)


def footer_beginnings(document: Document) -> Iterator[list[Node]]:
    """Elements before which the footer begins, the outermost first, for each passage that looks like its beginning.

    An element stands in the list when nothing that can be seen comes before the passage in it.
    """
    found = 0
    named: set[Node] = set()
    for node in document.nodes():  # parents come first
        if node.parent in named or (node.tag not in ("body", "html") and _is_named_footer(node)):
            named.add(node)
    words = document.words()
    last_of_order = max(
        (at for at, one in enumerate(words) if len(one.text) <= 60 and STILL_THE_ORDER.search(one.text)),
        default=-1,
    )
    for at, one in enumerate(words):
        if at <= last_of_order or one.first < document.seen * EARLIEST:
            continue
        if not FOOTER_TEXT.search(one.text) and one.node not in named:
            continue
        around = (one.node, *one.node.ancestors())
        levels = [node for node in around if node.first == one.first and node.tag not in ("body", "html", "#document")]
        if levels:
            yield levels[: -LEVELS - 1 : -1]
            found += 1
        if found == TRIED:
            return


def _is_named_footer(node: Node) -> bool:
    return node.tag == "footer" or any(
        (told := node.attrs.get(name)) and _FOOTER_NAME.search(told) for name in ("id", "class")
    )
