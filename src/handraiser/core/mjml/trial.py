"""A compiled template tried out before it goes live: filled with everything, with nothing and with hostile data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jinja2
from jinja2 import nodes

from handraiser.core.mjml import tags
from handraiser.core.mjml.balance import unbalanced
from handraiser.core.mjml.fill import Engine
from handraiser.core.mjml.program import CompiledBlock, CompiledPage
from handraiser.core.mjml.source import parsed
from handraiser.errors import FillFailed

_TEXTS = ("https://example.com/?a=1&b=2", "</mj-text></td><script>alert(1)</script>{{ 7*7 }} \"'", "0")
_ASK = {
    "url": "https://example.com/o/yes",
    "decline_url": "https://example.com/o/yes?no",
    "never_url": "https://example.com/u/no",
    "promise": {"what": "What", "frequency": "How often", "benefit": "Benefit", "button": "Yes"},
    "market_line": "The line that the market locks: you can object at any time, free of charge.",
}
_LOCKED = {"never_url": "the link that objects", "market_line": "the market's locked line"}


def try_page(compiled: CompiledPage) -> list[tuple[str, str]]:
    """(code, detail) of everything that goes wrong when the page is filled."""
    if len(compiled.html) > tags.PROGRAM_BYTES:
        return [("too_large", f"compiled it has more than {tags.PROGRAM_BYTES} bytes")]
    try:
        shape = _shape(compiled.html)
        engine = Engine()
        page = engine.load_page(compiled)
        for context in _contexts(shape):
            fault = unbalanced(engine.fill(page, {}, context).html)
            if fault:
                return [("unbalanced", fault)]
    except (FillFailed, jinja2.TemplateError) as error:
        return [("fill", str(error))]
    return []


def try_block(compiled: CompiledBlock) -> list[tuple[str, str]]:
    """(code, detail) of everything that goes wrong when the block is filled.

    A block that asks must say the market's locked line and the link that objects, word for word in HTML and text,
    whatever the order holds: a condition of its own may hide neither (``ask_incomplete``).
    """
    if len(compiled.html) > tags.PROGRAM_BYTES:
        return [("too_large", f"compiled it has more than {tags.PROGRAM_BYTES} bytes")]
    try:
        shape = _shape(compiled.html)
        engine = Engine()
        block = engine.load_block(compiled)
        for context in _contexts(shape):
            html, _ = engine.fill_block(block, context)
            if fault := unbalanced(html):
                return [("unbalanced", fault)]
            if "ask" in shape.keys:
                for part, said in zip(
                    ("HTML", "text"), engine.fill_block(block, {**context, "ask": _ASK}), strict=True
                ):
                    for name, what in _LOCKED.items():
                        if str(_ASK[name]) not in " ".join(said.split()):
                            return [("ask_incomplete", f"{what} must stand in the {part}, whatever the order holds")]
    except (FillFailed, jinja2.TemplateError) as error:
        return [("fill", str(error))]
    return []


@dataclass(slots=True)
class _Shape:
    """What a program reads at one place of its data: keys, or the items of a list, or a value."""

    keys: dict[str, _Shape] = field(default_factory=dict)
    items: _Shape | None = None

    def value(self, text: str) -> Any:
        if self.items is not None:
            return [self.items.value(text)] * 2
        return {key: shape.value(text) for key, shape in self.keys.items()} or text


def _contexts(shape: _Shape) -> Iterator[Mapping[str, Any]]:
    yield {}
    for text in _TEXTS:
        yield {name: one.value(text) for name, one in shape.keys.items() if not name.startswith("_")}


def _shape(program: str) -> _Shape:
    shape = _Shape()
    _read(parsed(program), {}, shape)
    return shape


def _read(node: nodes.Node, scope: Mapping[str, _Shape], root: _Shape) -> None:
    if isinstance(node, nodes.For):
        assert isinstance(node.target, nodes.Name)
        items = node.iter.node if isinstance(node.iter, nodes.Filter) else node.iter
        whole = _at(items, scope, root) if items is not None else _Shape()
        whole.items = whole.items or _Shape()
        for child in node.body:
            _read(child, {**scope, node.target.name: whole.items}, root)
        return
    if isinstance(node, nodes.Name | nodes.Getattr):
        _at(node, scope, root)
        return
    for child in node.iter_child_nodes():
        _read(child, scope, root)


def _at(node: nodes.Node, scope: Mapping[str, _Shape], root: _Shape) -> _Shape:
    if isinstance(node, nodes.Name):
        return scope.get(node.name) or root.keys.setdefault(node.name, _Shape())
    if isinstance(node, nodes.Getattr):
        return _at(node.node, scope, root).keys.setdefault(node.attr, _Shape())
    return _Shape()
