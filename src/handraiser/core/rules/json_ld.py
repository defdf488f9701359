"""The schema.org JSON-LD that stands in a mail's HTML, read leniently."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

SCRIPTS = 20
SCRIPT_LENGTH = 100_000
NODES = 200

_BEGIN = re.compile(r"<script\b[^<>]{0,500}\bapplication/ld\+json\b[^<>]{0,500}>", re.IGNORECASE)
_END = re.compile(r"</script", re.IGNORECASE)

Node = Mapping[str, Any]


def nodes(html: str) -> tuple[Node, ...]:
    """The objects of all JSON-LD scripts, those in lists and in a ``@graph`` too, in their order; numbers as they are
    written. What is no JSON is left out; at most 20 scripts of 100,000 characters and 200 objects are read."""
    found: list[Node] = []
    at = 0
    for _ in range(SCRIPTS):
        begin = _BEGIN.search(html, at)
        end = _END.search(html, begin.end()) if begin else None
        if begin is None or end is None:
            break
        at = end.end()
        if end.start() - begin.end() <= SCRIPT_LENGTH:
            found += _read(html[begin.end() : end.start()])
    return tuple(found[:NODES])


def has_type(node: Node, name: str) -> bool:
    """Whether a node is of a schema.org type, named with or without its address."""
    kinds = node.get("@type")
    return any(
        isinstance(kind, str) and kind.rpartition("/")[2] == name
        for kind in (kinds if isinstance(kinds, list) else [kinds])
    )


def value_at(node: Node, path: str) -> str | None:
    """What stands at a path of names with dots between them, of lists the first; None where that is no plain value."""
    value: Any = node
    for name in path.split("."):
        value = value[0] if isinstance(value, list) and value else value
        value = value.get(name) if isinstance(value, Mapping) else None
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else None


def _read(text: str) -> Iterator[Node]:
    try:
        given = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, dict):
            yield one
            graph = one.get("@graph")
            yield from (inner for inner in (graph if isinstance(graph, list) else ()) if isinstance(inner, dict))
