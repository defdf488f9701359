"""The Jinja of a template against the allowed subset. Nothing is run, and no constant is folded."""

from __future__ import annotations

import re

import jinja2
from jinja2 import nodes

from handraiser.core.mjml import tags
from handraiser.core.mjml.source import CODE, PARSER, Source, near
from handraiser.errors import TemplateFault

SLOT = re.compile(r"""\{\{-?\s*slot\(["'](\w+)["']\)\s*-?\}\}""")
STATEMENT = re.compile(r"\{%[-+]?\s*(\w*)")
_OPENING = re.compile(r"\{[{%#]")


class CodeLint:
    """Goes through all code of a source; what it finds is in ``faults``."""

    def __init__(self, source: Source, *, block: bool) -> None:
        self.faults: list[TemplateFault] = []
        self._source = source
        self._block = block
        self._places: list[int] = []
        self._codes: list[str] = []
        self._slots: set[str] = set()
        end = 0
        for match in CODE.finditer(source.text):
            self._gap(end, match.start())
            end = match.end()
            if not match.group(0).startswith("{#"):
                self._places.append(match.start())
                self._codes.append(match.group(0))
                self._word(match)
        self._gap(end, len(source.text))
        if not self.faults:
            self._parse()

    def _gap(self, start: int, end: int) -> None:
        opened = _OPENING.search(self._source.text, start, end)
        if opened:
            self._add(opened.start(), "syntax", f"{opened.group(0)} is never closed")

    def _add(self, offset: int, code: str, detail: str, suggestion: str = "") -> None:
        self.faults.append(self._source.fault(offset, code, detail, suggestion))

    def _word(self, match: re.Match[str]) -> None:
        found = STATEMENT.match(match.group(0))
        if found and found.group(1) not in tags.STATEMENTS:
            word = found.group(1) or match.group(0)
            self._add(
                match.start(),
                "not_allowed",
                f"{word} is not part of the template language",
                near(word, tags.STATEMENTS),
            )

    def _parse(self) -> None:
        """Parse the code alone, one tag a line, so that Jinja's line number is the number of the tag."""
        try:
            tree = PARSER.parse("\n".join(code.replace("\n", " ").replace("\r", " ") for code in self._codes))
            self._walk(tree, frozenset(tags.ROOTS | ({"ask"} if self._block else set())), 0)
            self._check_ask(tree)
        except jinja2.TemplateSyntaxError as error:
            self._add(self._place(error.lineno), "syntax", error.message or "cannot be read")
        except RecursionError:
            self._add(0, "too_deep", "the code is nested too deeply")

    def _check_ask(self, tree: nodes.Template) -> None:
        if not any(name.name == "ask" for name in tree.find_all(nodes.Name)):
            return
        said = {_dotted(node) for output in tree.find_all(nodes.Output) for node in output.find_all(nodes.Getattr)}
        for path in tags.ASK_SAYS:
            if f"ask.{path}" not in said:
                self._add(0, "ask_incomplete", f"a block that asks also says {{{{ ask.{path} }}}}")

    def _place(self, line: int) -> int:
        return self._places[min(max(line, 1), len(self._places)) - 1] if self._places else 0

    def _walk(self, node: nodes.Node, known: frozenset[str], loops: int) -> None:
        fault = self._node_fault(node, known, loops)
        if fault:
            self._add(self._place(node.lineno), *fault)
            return
        if isinstance(node, nodes.Call):
            return
        if isinstance(node, nodes.For):
            self._walk(node.iter, known, loops)
            assert isinstance(node.target, nodes.Name)
            for child in node.body:
                self._walk(child, known | {node.target.name, "loop"}, loops + 1)
            return
        for child in node.iter_child_nodes():
            if isinstance(node, nodes.Output) and isinstance(child, nodes.Filter) and child.name == "lines":
                child = child.node or child
            self._walk(child, known, loops)

    def _node_fault(self, node: nodes.Node, known: frozenset[str], loops: int) -> tuple[str, ...] | None:
        kind = type(node).__name__
        if type(node) not in tags.NODES:
            return ("not_allowed", f"{kind} is not part of the template language")
        if isinstance(node, nodes.For):
            return _loop_fault(node, loops)
        if isinstance(node, nodes.Call):
            return self._call_fault(node)
        if isinstance(node, nodes.Filter) and node.name not in tags.FILTERS:
            return ("unknown_filter", f"there is no filter {node.name}", near(node.name, tags.FILTERS))
        if isinstance(node, nodes.Filter) and node.name == "lines":
            return ("lines_place", "the filter lines stands last in its tag, and alone")
        if isinstance(node, nodes.Name) and node.name not in known:
            return ("no_such_name", f"{node.name} is not known here", near(node.name, known))
        if isinstance(node, nodes.Getattr):
            return _key_fault(node)
        if isinstance(node, nodes.Const) and isinstance(node.value, str) and re.search(r"[{}]", node.value):
            return ("braces", "a text in a tag may not hold braces")
        return None

    def _call_fault(self, node: nodes.Call) -> tuple[str, ...] | None:
        slot = SLOT.fullmatch(self._codes[min(node.lineno, len(self._codes)) - 1])
        if slot is None:
            return ("no_calls", 'only slot("name") and _("text") can be called, each alone in its tag')
        if self._block:
            return ("no_slots", "a block has no slots of its own")
        if slot.group(1) not in tags.SLOTS:
            return ("unknown_slot", f"there is no slot {slot.group(1)}", near(slot.group(1), tags.SLOTS))
        if slot.group(1) in self._slots:
            return ("slot_twice", f"the slot {slot.group(1)} stands in the page already")
        self._slots.add(slot.group(1))
        return None


def _dotted(node: nodes.Node) -> str:
    if isinstance(node, nodes.Getattr):
        return f"{_dotted(node.node)}.{node.attr}"
    return node.name if isinstance(node, nodes.Name) else ""


def _loop_fault(node: nodes.For, loops: int) -> tuple[str, ...] | None:
    if loops >= tags.LOOP_DEPTH:
        return ("loop_depth", f"loops may be nested {tags.LOOP_DEPTH} deep")
    if not isinstance(node.iter, nodes.Name | nodes.Getattr) or node.test or node.recursive or node.else_:
        return ("bad_loop", "a loop runs over a path, without if, else or recursive")
    if not isinstance(node.target, nodes.Name) or node.target.name.startswith("_") or node.target.name == "loop":
        return ("bad_loop", "a loop has one name, which does not begin with _")
    return None


def _key_fault(node: nodes.Getattr) -> tuple[str, ...] | None:
    if node.attr.startswith("_"):
        return ("private", "names that begin with _ cannot be read")
    of_loop = isinstance(node.node, nodes.Name) and node.node.name == "loop"
    if of_loop and node.attr not in tags.LOOP_FACTS:
        return ("no_such_name", f"loop.{node.attr} is not known here", near(node.attr, tags.LOOP_FACTS, "loop.{}"))
    return None
