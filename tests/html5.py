"""HTML as html5lib reads it: slow, in pure Python, and made by nobody who made the other two engines."""

from __future__ import annotations

from typing import Any

import html5lib

from handraiser.core.splice.foreign import BEGIN, END, MARK


def tree_without_block(html: str) -> list[object]:
    """The tree as a list of what is entered, left and said, without our block and its comments."""
    told: list[object] = []
    _tell(html5lib.parse(html, treebuilder="dom"), told)
    return told


def _tell(node: Any, told: list[object]) -> None:
    for child in node.childNodes:
        if child.nodeType == child.TEXT_NODE:
            if told and isinstance(told[-1], str):
                told[-1] += child.data
            else:
                told.append(child.data)
        elif child.nodeType == child.COMMENT_NODE:
            if child.data.strip() not in (BEGIN, END):
                told.append(("comment", child.data))
        elif child.nodeType != child.ELEMENT_NODE or not child.hasAttribute(MARK):
            told.append((child.nodeName, sorted(child.attributes.items()) if child.attributes else ()))
            _tell(child, told)
            told.append(("end", child.nodeName))
