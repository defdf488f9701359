"""Source text on its way in: parts put in, translations folded in, Jinja turned into tokens.

Each step keeps for every character where an author wrote it, so that a fault found late still names a line of a file.
"""

from __future__ import annotations

import difflib
import html
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from xml.sax.saxutils import escape

import jinja2
from jinja2 import nodes

from handraiser.errors import TemplateFault, TemplateRefused

INCLUDE = re.compile(r"""<mj-include\s+path=["']([^"']+)["']\s*/>""")
CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
TOKEN = re.compile(r"zq([esau])(\d+)xzq")
"""Jinja code as a word: e an expression, s a statement; in the text part u what stands in a link, a a whole link."""
PARSER = jinja2.Environment(autoescape=True, keep_trailing_newline=True)  # only parses; nothing is run
PARTS_DEEP = 8
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)(\w+);")
_OPENING_TAG = re.compile(r"<[A-Za-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


@lru_cache(maxsize=1)
def parsed(program: str) -> nodes.Template:
    """The tree of a program, to be read only: a trial and the code generator read the same one after the other.

    Raises :class:`jinja2.TemplateSyntaxError`.
    """
    return PARSER.parse(program)


class _Span(NamedTuple):
    """From ``start`` on, the text is a copy of ``file`` from ``origin`` on, or all of it was made from that place."""

    start: int
    file: str
    origin: int
    copied: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A text that knows where each of its characters was written."""

    text: str
    spans: tuple[_Span, ...]
    files: Mapping[str, str]

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        return cls(text, (_Span(0, name, 0, True),), {name: text})

    def replaced(self, pattern: re.Pattern[str], make: Callable[[re.Match[str]], str | Source]) -> Source:
        """The text with every match replaced by what ``make`` returns."""
        pieces: list[str] = []
        spans: list[_Span] = []
        files = dict(self.files)
        length = at = 0

        def copy(start: int, end: int) -> None:
            nonlocal length
            if start < end:
                spans.extend(_Span(length + span.start - start, *span[1:]) for span in self._cut(start, end))
                pieces.append(self.text[start:end])
                length += end - start

        for match in pattern.finditer(self.text):
            copy(at, match.start())
            made = make(match)
            if isinstance(made, Source):
                spans.extend(_Span(length + span.start, *span[1:]) for span in made.spans)
                files |= made.files
                made = made.text
            elif made == match.group(0):
                at = match.start()
                copy(at, match.end())
                at = match.end()
                continue
            else:
                file, origin = self._origin(match.start())
                spans.append(_Span(length, file, origin, False))
            pieces.append(made)
            length += len(made)
            at = match.end()
        copy(at, len(self.text))
        return Source("".join(pieces), tuple(spans) or self.spans[:1], files)

    def _cut(self, start: int, end: int) -> list[_Span]:
        first = self._index(start)
        file, origin = self._origin(start)
        cut = [_Span(start, file, origin, self.spans[first].copied)]
        cut.extend(span for span in self.spans[first + 1 :] if span.start < end)
        return cut

    def _index(self, offset: int) -> int:
        return max(0, bisect_right(self.spans, offset, key=lambda span: span.start) - 1)

    def _origin(self, offset: int) -> tuple[str, int]:
        span = self.spans[self._index(offset)]
        return span.file, span.origin + (offset - span.start if span.copied else 0)

    def fault(self, offset: int, code: str, detail: str, suggestion: str = "") -> TemplateFault:
        """A fault at a place of this text, told by the file, line and column (both from 1) where that was written."""
        file, origin = self._origin(offset)
        before = self.files[file][:origin]
        line, column = before.count("\n") + 1, origin - (before.rfind("\n") + 1) + 1
        return TemplateFault(file, line, column, code, detail, suggestion)


@dataclass(slots=True)
class Tokens:
    """The Jinja code of a source, by number; kind ``e`` is an expression, ``s`` a statement.

    ``link_pieces`` are the expressions that continue a link; ``attributes`` the statements of each attribute or title.
    """

    code: list[tuple[str, str]] = field(default_factory=list)
    link_pieces: set[int] = field(default_factory=set)
    attributes: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, kind: str, text: str) -> str:
        self.code.append((kind, text))
        return f"zq{kind}{len(self.code) - 1}xzq"


def near(word: str, known: Mapping[str, object] | frozenset[str], form: str = "{}") -> str:
    """The suggestion for a word that is not known, or ""."""
    found = difflib.get_close_matches(word, known, 1, 0.65)
    return f"did you mean {form.format(found[0])}?" if found else ""


def put_parts_in(source: Source, parts: Mapping[str, str], depth: int = 0) -> Source:
    """Replace every ``<mj-include path="…" />`` by the part of that name; unknown parts and circles are refused."""

    def part(match: re.Match[str]) -> Source:
        path = match.group(1)
        if path not in parts:
            fault = source.fault(match.start(), "unknown_part", f"there is no part {path}", near(path, parts))
            raise TemplateRefused([fault])
        if depth == PARTS_DEEP:
            fault = source.fault(match.start(), "include_depth", "parts include each other too deeply")
            raise TemplateRefused([fault])
        return put_parts_in(Source.of(path, parts[path]), parts, depth + 1)

    return source.replaced(INCLUDE, part)


def fold_words(source: Source, words: Mapping[str, str]) -> Source:
    """Replace ``{{ _("…", name=path) }}`` by the translated text with ``{{ path }}`` in its places."""

    def fold(match: re.Match[str]) -> str:
        code = match.group(0)
        if not re.match(r"\{\{-?\s*_\(", code):
            return code
        try:
            msgid, given = _words_call(code)
        except (ValueError, RecursionError, jinja2.TemplateSyntaxError):
            detail = '_("text {name}", name=path) takes one text and paths, and stands alone'
            raise TemplateRefused([source.fault(match.start(), "bad_words", detail)]) from None
        text = []
        for n, piece in enumerate(_PLACEHOLDER.split(words.get(msgid) or msgid)):
            if n % 2 == 0:
                text.append(escape(piece, {'"': "&quot;"}))
            elif piece in given:
                text.append("{{ " + given[piece] + " }}")
            else:
                detail = f"the text names {{{piece}}}, which is not given"
                raise TemplateRefused([source.fault(match.start(), "bad_words", detail, near(piece, given))])
        return "".join(text)

    return source.replaced(CODE, fold)


def _words_call(code: str) -> tuple[str, dict[str, str]]:
    (output,) = PARSER.parse(code).body
    call = output.nodes[0] if isinstance(output, nodes.Output) else None
    if not isinstance(call, nodes.Call) or len(call.args) != 1 or not isinstance(call.args[0], nodes.Const):
        raise ValueError("only a call with one text")
    return str(call.args[0].value), {keyword.key: _path(keyword.value) for keyword in call.kwargs}


def _path(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_path(node.node)}.{node.attr}"
    raise ValueError("only a path")


def tokenise(source: Source, tokens: Tokens) -> Source:
    """Every Jinja tag as an ASCII token, so that nothing inside it can disturb the MJML parser; Jinja comments go."""

    def token(match: re.Match[str]) -> str:
        code = match.group(0)
        if code.startswith("{#"):
            return ""
        return tokens.add("e" if code.startswith("{{") else "s", code)

    return source.replaced(CODE, token)


def named_entities_as_characters(source: Source) -> Source:
    """HTML's named entities as characters: XML knows five."""
    return source.replaced(_ENTITY, lambda match: html.unescape(match.group(0)))


def engine_ready(text: str) -> str:
    """Token text as the MJML engine takes it unharmed.

    It prints attribute values the way its language prints strings for debugging: a line break, a backslash or an
    unusual character would come out as an escape, and a quote in a value in single quotes would end it.
    """

    def value(match: re.Match[str]) -> str:
        inner = match.group(1) if match.group(1) is not None else match.group(2)
        inner = re.sub(r"[\r\n\t]+", " ", inner).replace('"', "&quot;").replace("\\", "&#92;")
        return f'"{inner}"'

    text = _OPENING_TAG.sub(lambda tag: _QUOTED.sub(value, tag.group(0)), text)
    return text.encode("ascii", "xmlcharrefreplace").decode()
