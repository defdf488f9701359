"""A fill program as straight Python, generated from the small part of Jinja that templates may use.

Made for data that is only ever plain JSON: ``a.b`` is a dictionary look-up and nothing else, what is not there is
None, comparing what cannot be compared is false. So no data, whatever its shape, can reach code or make a fill fail.

Literals and values alternate, so that all values are looked at in one go at the end. Literals that only a shop's
brand completes (colours, fonts) are completed once per brand.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes

from handraiser.core.mjml.source import parsed

Program = Callable[[Mapping[str, Any]], str]
BRANDS_KEPT = 8
"""Of so many brands a program keeps its completed literals."""

_READY = ("_slot_", "_head")
_SIGNS = {"eq": "==", "ne": "!="}
_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda one, many: one in many,
    "notin": lambda one, many: one not in many,
}


def program(
    source: str,
    *,
    filters: Mapping[str, Callable[..., Any]],
    of_text: Mapping[str, Callable[[str], str]],
    said: Callable[[Any], str],
    finish: Callable[[list[Any]], str],
) -> Program:
    """``source`` as a function from data to text.

    ``of_text`` are filters that only see texts, of anything else say nothing, and whose result stands in the output as
    it is. ``said`` makes one value fit to stand in a literal. ``finish`` gets what came out: literals and values in
    turn, the values as they are, from a literal to a literal. Raises :class:`jinja2.TemplateError` for what is not
    part of the language.
    """
    writer = _Writer(parsed(source), filters, of_text)
    literals = writer.literals
    checks = [_check(check, filters, of_text, said) for _, check in writer.brand]

    @lru_cache(maxsize=BRANDS_KEPT)
    def completed(*brand: Any) -> list[str]:
        ready = [check(value) for check, value in zip(checks, brand, strict=True)]
        return ["".join(ready[part] if isinstance(part, int) else part for part in parts) for parts in literals]

    def completed_for(*brand: Any) -> list[str]:
        try:
            return completed(*brand)
        except TypeError:  # something that cannot be looked up, so nothing of ours
            return completed(*map(text, brand))

    last: list[Any] = [object(), None]
    names: dict[str, Any] = {
        "last": last,
        **{f"f_{name}": function for name, function in {**filters, **of_text}.items()},
        "compare": _compare,
        "completed": completed_for,
        "finish": finish,
        "nothing": {},
    }
    exec(compile(writer.python(), "<template>", "exec"), names)  # noqa: S102 - our own code, from a checked tree
    fill: Program = names["fill"]
    return fill


def _check(
    name: str,
    filters: Mapping[str, Callable[..., Any]],
    of_text: Mapping[str, Callable[[str], str]],
    said: Callable[[Any], str],
) -> Callable[[Any], str]:
    """What makes a shop's value fit for its place in a literal."""
    if name in of_text:
        ready = of_text[name]
        return lambda value: ready(value) if type(value) is str else ""
    filtered: Callable[[Any], Any] = filters.get(name, text)
    return lambda value: said(filtered(value))


def text(value: Any) -> str:
    """A value as text; what is no single value says nothing."""
    if value is None or isinstance(value, dict | list | tuple):
        return ""
    return str(value)


def _compare(left: Any, *rest: Any) -> bool:
    """A chain of comparisons; false where the values cannot be compared."""
    try:
        for operation, right in zip(rest[::2], rest[1::2], strict=True):
            if not _COMPARE[operation](left, right):
                return False
            left = right
    except (TypeError, ArithmeticError):
        return False
    return True


class _Writer:
    """Walks the tree once and writes the function's lines."""

    def __init__(
        self,
        tree: nodes.Template,
        filters: Mapping[str, Callable[..., Any]],
        of_text: Mapping[str, Callable[[str], str]],
    ) -> None:
        self.literals: list[list[str | int]] = []
        self.brand: dict[tuple[str, str], int] = {}
        self._filters = filters
        self._of_text = of_text
        self._reads = _reads(tree)
        self._looked_into: set[str] = set()
        self._kept: dict[str, dict[str, str]] = {}
        self._roots: dict[str, str] = {}
        self._lines: list[str] = []
        self._loops = 0
        self._body(tree.body, {}, 1)

    def python(self) -> str:
        """The whole function."""
        opening = ["def fill(data):"]
        for name, variable in self._roots.items():
            opening.append(f" {variable} = data.get({name!r})")
            opening += self._look_into(variable, 1)
        brand, shop = self._complete(), self._roots.get("shop")
        opening.append(f" of = last[1] if {shop} is last[0] else complete({shop})" if brand else " of = completed()")
        opening += [" out = []", " t = ''"]
        return "\n".join([*brand, *opening, *self._lines, " out.append(t)", " return finish(out)"])

    def _complete(self) -> list[str]:
        """The function that completes the literals for a shop; the shop of the last fill is told by being the same."""
        if not self.brand:
            return []
        shop = self._roots["shop"]
        return [
            f"def complete({shop}):",
            f" {shop}_get = ({shop} if type({shop}) is dict else nothing).get",
            f" of = completed({', '.join(looked_up for looked_up, _ in self.brand)})",
            f" last[:] = ({shop}, of)",
            " return of",
        ]

    def _look_into(self, variable: str, depth: int) -> list[str]:
        """The line that a variable needs before its keys are read, if they are."""
        if variable not in self._looked_into:
            return []
        lines = [f"{variable}_get = ({variable} if type({variable}) is dict else nothing).get"]
        lines += [f"{local} = {variable}_get({key!r})" for key, local in self._kept.get(variable, {}).items()]
        return [" " * depth + line for line in lines]

    def _keep(self, variable: str, name: str, reads: Mapping[tuple[str, str], int]) -> None:
        """Keys that are read more than once are read once, when their variable is set."""
        often = [key for (read, key), times in reads.items() if read == name and times > 1]
        self._kept[variable] = {key: f"{variable}_{n}" for n, key in enumerate(often)}

    def _line(self, depth: int, text: str) -> None:
        self._lines.append(" " * depth + text)

    def _body(self, body: Sequence[nodes.Node], scope: Mapping[str, str], depth: int) -> None:
        self._line(depth, "pass")
        pending: list[nodes.Expr] = []
        for node in body:
            if isinstance(node, nodes.Output):
                pending += node.nodes
                continue
            self._output(pending, scope, depth)
            pending = []
            if isinstance(node, nodes.If):
                self._if(node, scope, depth)
            elif isinstance(node, nodes.For):
                self._for(node, scope, depth)
            else:
                raise jinja2.TemplateError(f"{type(node).__name__} is not part of the template language")
        self._output(pending, scope, depth)

    def _if(self, node: nodes.If, scope: Mapping[str, str], depth: int) -> None:
        word = "if"
        for branch in (node, *node.elif_):
            self._line(depth, f"{word} {self._expression(branch.test, scope)}:")
            self._body(branch.body, scope, depth + 1)
            word = "elif"
        if node.else_:
            self._line(depth, "else:")
            self._body(node.else_, scope, depth + 1)

    def _for(self, node: nodes.For, scope: Mapping[str, str], depth: int) -> None:
        if not isinstance(node.target, nodes.Name):
            raise jinja2.TemplateError("a loop has one name")
        self._loops += 1
        item, loop = f"i{self._loops}", f"loop{self._loops}"
        counted = any(name.name == "loop" for name in node.find_all(nodes.Name))
        over = self._expression(node.iter, scope)
        self._line(depth, f"{loop} = v if type(v := {over}) is list or type(v) is tuple else ()")
        if counted:
            self._line(depth, f"for {loop}_n, {item} in enumerate({loop}):")
        else:
            self._line(depth, f"for {item} in {loop}:")
        at = len(self._lines)
        self._keep(item, node.target.name, _reads(node))
        self._body(node.body, {**scope, node.target.name: item, "loop": loop}, depth + 1)
        self._lines[at:at] = self._look_into(item, depth + 1)

    def _output(self, said: Sequence[nodes.Expr], scope: Mapping[str, str], depth: int) -> None:
        """Everything between two branches or loops. ``t`` is the literal that is being written."""
        literals: list[list[str]] = [[]]
        values: list[str] = []
        for kind, written in self._pieces(said, scope):
            if kind == "literal":
                literals[-1].append(written)
            else:
                values.append(written)
                literals.append([])
        if not values:
            for written in literals[0]:
                self._line(depth, f"t += {written}")
        else:
            between = [" + ".join(one) or "''" for one in literals[1:]]
            put = [one for pair in zip(values, between, strict=True) for one in pair]
            self._line(depth, f"out += ({' + '.join(['t', *literals[0]])}, {', '.join(put[:-1])},)")
            self._line(depth, f"t = {put[-1]}")

    def _pieces(self, said: Sequence[nodes.Expr], scope: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        literal: list[str | int] = []

        def literal_so_far() -> Iterator[tuple[str, str]]:
            if all(isinstance(part, str) for part in literal):
                if literal:
                    yield "literal", repr("".join(map(str, literal)))
            else:
                self.literals.append(list(literal))
                yield "literal", f"of[{len(self.literals) - 1}]"
            literal.clear()

        for node in said:
            if isinstance(node, nodes.TemplateData):
                literal.append(node.data)
            elif isinstance(node, nodes.Const) and node.value == "{":
                literal.append("{")
            elif of_shop := _of_shop(node, scope):
                key = (self._expression(of_shop[0], scope), of_shop[1])
                literal.append(self.brand.setdefault(key, len(self.brand)))
            else:
                yield from literal_so_far()
                if isinstance(node, nodes.Filter) and node.name in self._of_text:
                    yield "literal", self._expression(node, scope)
                elif _is_ready(node):
                    yield "literal", f"(v if type(v := {self._expression(node, scope)}) is str else '')"
                else:
                    yield "value", self._expression(node, scope)
        yield from literal_so_far()

    def _expression(self, node: nodes.Node | None, scope: Mapping[str, str]) -> str:
        match node:
            case nodes.Name():
                return self._variable(node.name, scope)
            case nodes.Getattr():
                return self._getattr(node, scope)
            case nodes.Const():
                return repr(node.value)
            case nodes.Not():
                return f"(not {self._expression(node.node, scope)})"
            case nodes.And() | nodes.Or():
                word = "and" if isinstance(node, nodes.And) else "or"
                return f"({self._expression(node.left, scope)} {word} {self._expression(node.right, scope)})"
            case nodes.CondExpr():
                otherwise = self._expression(node.expr2, scope) if node.expr2 else "None"
                return (
                    f"({self._expression(node.expr1, scope)} if {self._expression(node.test, scope)} else {otherwise})"
                )
            case nodes.Compare():
                return self._comparison(node, scope)
            case nodes.Filter() if node.name in self._of_text:
                return f"(f_{node.name}(v) if type(v := {self._expression(node.node, scope)}) is str else '')"
            case nodes.Filter() if node.name in self._filters:
                given = [self._expression(one, scope) for one in (node.node, *node.args)]
                given += [f"{one.key}={self._expression(one.value, scope)}" for one in node.kwargs]
                return f"f_{node.name}({', '.join(given)})"
        raise jinja2.TemplateError(f"{type(node).__name__} is not part of the template language")

    def _variable(self, name: str, scope: Mapping[str, str]) -> str:
        if name in scope:
            return scope[name]
        if name not in self._roots:
            self._roots[name] = f"r{len(self._roots)}"
            if name != "shop":  # its literals are completed apart
                self._keep(self._roots[name], name, self._reads)
        return self._roots[name]

    def _getattr(self, node: nodes.Getattr, scope: Mapping[str, str]) -> str:
        if not isinstance(node.node, nodes.Name):
            return f"(d.get({node.attr!r}) if type(d := {self._expression(node.node, scope)}) is dict else None)"
        variable = self._variable(node.node.name, scope)
        if node.node.name == "loop" and "loop" in scope:
            facts = {
                "first": f"({variable}_n == 0)",
                "last": f"({variable}_n == len({variable}) - 1)",
                "index": f"({variable}_n + 1)",
            }
            return facts[node.attr]
        self._looked_into.add(variable)
        return self._kept.get(variable, {}).get(node.attr) or f"{variable}_get({node.attr!r})"

    def _comparison(self, node: nodes.Compare, scope: Mapping[str, str]) -> str:
        left = self._expression(node.expr, scope)
        rest = [(one.op, self._expression(one.expr, scope)) for one in node.ops]
        if len(rest) == 1 and rest[0][0] in _SIGNS:
            return f"({left} {_SIGNS[rest[0][0]]} {rest[0][1]})"
        return f"compare({left}, {', '.join(f'{op!r}, {right}' for op, right in rest)})"


def _reads(within: nodes.Node) -> Counter[tuple[str, str]]:
    """How often each key of a name is read."""
    return Counter(
        (one.node.name, one.attr) for one in within.find_all(nodes.Getattr) if isinstance(one.node, nodes.Name)
    )


def _is_ready(node: nodes.Expr) -> bool:
    """What is finished output already: filled blocks, the head, lines joined by breaks."""
    if isinstance(node, nodes.Name):
        return node.name.startswith(_READY)
    return isinstance(node, nodes.Filter) and node.name == "lines"


def _of_shop(node: nodes.Expr, scope: Mapping[str, str]) -> tuple[nodes.Expr, str] | None:
    """What only depends on the shop, with the filter that checks it: ``shop.brand.text``, ``(shop.url)|_url``."""
    check = ""
    if isinstance(node, nodes.Filter) and node.name in ("_css", "_css_url", "_url", "_piece") and node.node:
        check = node.name
        node = node.node
    base: nodes.Node = node
    while isinstance(base, nodes.Getattr):
        base = base.node
    if base is node or not isinstance(base, nodes.Name) or base.name != "shop" or "shop" in scope:
        return None
    return node, check
