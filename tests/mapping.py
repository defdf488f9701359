"""Reads the mapping tables of docs/guide/payload.md and applies them to another system's JSON, as the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs/guide/payload.md"
_ROW = re.compile(r"^\| `(?P<ours>[^`]+)` \| `(?P<theirs>[^`]+)` \| (?P<note>.*)\|$")
_TOKEN = re.compile(
    r'\s*(?:(?P<text>"[^"]*")|(?P<number>\d+)|(?P<call>\w+)\(|(?P<path>[/^]?[\w.]+(?:\[[^\]]*\][\w.]*)*)|(?P<end>[,)]))'
)
_STEP = re.compile(r"(\w+)|\[([^\]]*)\]")
_TEST = re.compile(r"(!?)(\w+)$|(\w+)(=|!=|!~)(\^?)(.*)$")


@dataclass(frozen=True)
class Entry:
    """One entry of a list, what is around it, and its position."""

    value: Any
    around: Entry | None
    position: int = 0

    @property
    def root(self) -> Entry:
        return self if self.around is None else self.around.root


def tables() -> dict[str, list[tuple[str, str]]]:
    """Every table of the mapping chapter: heading -> rows (ours, theirs)."""
    found: dict[str, list[tuple[str, str]]] = {}
    heading = ""
    for line in PAGE.read_text(encoding="utf-8").partition("## From your shop system")[2].splitlines():
        if line.startswith("###"):
            heading = line.lstrip("# ")
        elif match := _ROW.fullmatch(line):
            found.setdefault(heading, []).append((match["ours"], match["theirs"]))
        else:
            assert not line.startswith("| `"), f"no row of a mapping table: {line}"
    return found


def apply(rows: list[tuple[str, str]], source: Any) -> dict[str, Any]:
    """The payload that the rows make of ``source``."""
    made: dict[str, Any] = {}
    contexts: dict[str, list[tuple[Entry, Any]]] = {"": [(Entry(source, None), made)]}
    for ours, theirs in rows:
        if ours.endswith("[]"):
            head, _, field = ours[:-2].rpartition("[].")
            contexts[ours] = []
            for entry, target in contexts[f"{head}[]" if head else ""]:
                entries = _as_list(evaluate(theirs, entry))
                put = [Entry(one, entry, n) for n, one in enumerate(entries)]
                targets: list[dict[str, Any]] = [{} for _ in put]
                if put:
                    _put(target, field, targets)
                contexts[ours] += zip(put, targets, strict=True)
        else:
            head, _, field = ours.rpartition("[].")
            for entry, target in contexts[f"{head}[]" if head else ""]:
                value = evaluate(theirs, entry)
                if _is_there(value):
                    _put(target, field, value)
    return made


def _put(target: dict[str, Any], field: str, value: Any) -> None:
    *way, last = field.split(".")
    for step in way:
        target = target.setdefault(step, {})
    target[last] = value


def evaluate(text: str, entry: Entry) -> Any:
    """The value of one cell of the column "theirs"."""
    tokens = _tokens(text)
    value = _expression(next(tokens), tokens, entry)
    assert next(tokens, None) is None, f"cannot be read to its end: {text}"
    return value


def _tokens(text: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match, f"cannot be read: {text[position:]}"
        yield match
        position = match.end()


def _expression(token: re.Match[str], tokens: Iterator[re.Match[str]], entry: Entry) -> Any:
    if token["text"]:
        return token["text"][1:-1]
    if token["number"]:
        return int(token["number"])
    if token["path"]:
        return True if token["path"] == "true" else _path(token["path"], entry)
    assert token["call"], f"unexpected {token.group()}"
    values = []
    for one in tokens:
        values.append(_expression(one, tokens, entry))
        if next(tokens)["end"] == ")":
            break
    return _CALLS[token["call"]](*values)


def _path(path: str, entry: Entry) -> Any:
    at = entry.root if path.startswith("/") else entry.around if path.startswith("^") else entry
    assert at is not None
    value = at.value
    for name, test in _STEP.findall(path):
        if name == "this" and value is at.value:
            continue
        if name:
            value = (
                [one for item in value if (one := _field(item, name)) is not None]
                if type(value) is list
                else _field(value, name)
            )
        elif test.isdigit() or test == "#":
            number = entry.position if test == "#" else int(test)
            value = value[number] if isinstance(value, list) and number < len(value) else None
        elif test:
            value = [one for one in value or () if _holds(one, test, entry)]
        else:
            value = _as_list(value)
    return value


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _holds(one: Any, test: str, entry: Entry) -> bool:
    match = _TEST.match(test)
    assert match, f"no test: [{test}]"
    negated, exists, field, sign, around, wanted = match.groups()
    if exists:
        return _counts(_field(one, exists)) is not bool(negated)
    have = str(_field(one, field))
    if sign == "!~":
        return not have.startswith(wanted)
    if around:
        wanted = str(_field(entry.value, wanted))
    return (have == wanted) is (sign == "=")


def _is_there(value: Any) -> bool:
    return value is not None and value != "" and value != []


def _counts(value: Any) -> bool:
    if not _is_there(value) or value is False:
        return False
    try:
        return Decimal(str(value)) != 0
    except ArithmeticError:
        return True


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if _is_there(value) else []


def _flat(values: tuple[Any, ...]) -> list[Any]:
    return [one for value in values for one in _as_list(value) if _is_there(one)]


def _sum(*values: Any) -> str | None:
    amounts = [Decimal(str(one)) for one in _flat(values)]
    return format(sum(amounts, Decimal(0)), "f") if amounts else None


def _times(a: Any, b: Any) -> str | None:
    return format(Decimal(str(a)) * Decimal(str(b)), "f") if _is_there(a) and _is_there(b) else None


def _abs(value: Any) -> str | None:
    return format(abs(Decimal(str(value))), "f") if _is_there(value) else None


def _switch(value: Any, *cases: Any) -> Any:
    return next((then for case, then in zip(cases[::2], cases[1::2], strict=True) if str(case) == str(value)), None)


def _utc(value: str | None) -> str | None:
    return value and value.replace(" ", "T") + "Z"


_CALLS = {
    "first": lambda *values: next(filter(_is_there, values), None),
    "join": lambda *values: " ".join(map(str, _flat(values))),
    "list": lambda *values: _flat(values),
    "when": lambda value, then: then if _counts(value) else None,
    "switch": _switch,
    "sum": _sum,
    "times": _times,
    "abs": _abs,
    "utc": _utc,
}
