"""A mail's parts and where their bytes begin and end.

Lines end with CRLF, LF or a lone CR, as the standard library's parser has it, so that the two can be compared; where a
lone CR would decide anything the mail is left alone. One pass over the lines that begin with ``--``; no byte is copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from handraiser.core.splice.mime_fields import Field, content_type
from handraiser.core.splice.mime_reasons import Doubt, Reason

HEADERS = 1000
HEADER_BYTES = 256 * 2**10
"""Most headers of one part, and the bytes of all of them."""

_FIELD = re.compile(rb"([!-9;-~]+):([^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*)(?:\r\n|\r|\n|\Z)")
# What the standard library takes for a line of headers, though it is none.
_HEADERLIKE = re.compile(rb"From |[ \t:]")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LINE = re.compile(rb"[^\r\n]*")
_DASHES = re.compile(rb"--[^\r\n]*")
_BARE_CR = re.compile(rb"\r(?!\n)")


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part: its headers are ``raw[start:body]``, with the blank line, its content is ``raw[body:end]``.

    The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1). ``separated`` is False where no blank line
    follows the headers. A ``message/*`` part has the mail inside as its one child.
    """

    kind: str
    parameters: dict[str, str]
    fields: tuple[Field, ...]
    start: int
    body: int
    end: int
    separated: bool
    children: tuple[Part, ...]

    def walk(self) -> Iterator[Part]:
        """This part and all below it, those of mails inside too."""
        yield self
        for child in self.children:
            yield from child.walk()


class _Delimiter(NamedTuple):
    mark: bytes
    closing: bool
    line: int
    after: int


_END = _Delimiter(b"", False, -1, -1)


def scan(raw: bytes, *, max_parts: int, max_depth: int) -> Part:
    """The mail as a tree of parts. Raises :class:`Doubt` where readers could see another tree, or a limit is passed."""
    return _Scanner(raw, max_parts, max_depth).part(after_mbox_line(raw), 0, "text/plain", inside=False)


def after_mbox_line(raw: bytes) -> int:
    """Where the headers begin: behind the ``From `` line of a mail that was taken from an mbox file."""
    if not raw.startswith(b"From "):
        return 0
    end = _LINE_END.search(raw)
    return end.end() if end else len(raw)


class _Scanner:
    def __init__(self, raw: bytes, max_parts: int, max_depth: int) -> None:
        self._raw = raw
        self._parts_left = max_parts
        self._max_depth = max_depth
        self._open: list[bytes] = []
        self._seen: tuple[bytes, ...] = ()
        self._ahead: _Delimiter | None = None

    def part(self, start: int, depth: int, default: str, *, inside: bool) -> Part:
        """The part that begins at ``start``; ``inside`` a mail within the mail headers need not be whole."""
        self._parts_left -= 1
        if self._parts_left < 0:
            raise Doubt(Reason.TOO_MANY_PARTS)
        if depth > self._max_depth:
            raise Doubt(Reason.TOO_DEEP)
        fields, body, separated = self._fields(start, inside=inside)
        kind, parameters = content_type(fields, default)
        children: tuple[Part, ...] = ()
        if kind == "message/delivery-status":
            raise Doubt(Reason.REPORT)
        if kind.startswith("multipart/"):
            children = tuple(self._children(kind, parameters, body, depth, inside=inside))
        elif kind.startswith("message/"):
            children = (self.part(body, depth + 1, "text/plain", inside=True),)
        return Part(kind, parameters, tuple(fields), start, body, self._end(body), separated, children)

    def _fields(self, start: int, *, inside: bool) -> tuple[list[Field], int, bool]:
        raw, at = self._raw, start
        fields: list[Field] = []
        while (match := _FIELD.match(raw, at)) and not self._delimiter_at(at):
            fields.append((match[1].decode("ascii").lower(), match[2]))
            at = match.end()
            if len(fields) > HEADERS or at - start > HEADER_BYTES:
                raise Doubt(Reason.BROKEN_HEADERS)
        blank = _LINE_END.match(raw, at)
        body = blank.end() if blank else at
        if not blank and at < len(raw) and (not inside or _HEADERLIKE.match(raw, at)) and not self._delimiter_at(at):
            raise Doubt(Reason.BROKEN_HEADERS)
        if not inside and _BARE_CR.search(raw, start, body):
            raise Doubt(Reason.BARE_CR)
        return fields, body, blank is not None

    def _children(
        self, kind: str, parameters: dict[str, str], body: int, depth: int, *, inside: bool
    ) -> Iterator[Part]:
        boundary = parameters.get("boundary", "").rstrip()
        if not boundary or not boundary.isascii():
            raise Doubt(Reason.BROKEN_BOUNDARIES)
        mark = b"--" + boundary.encode()
        if mark in self._seen:
            raise Doubt(Reason.BOUNDARY_REUSED)
        self._seen = (*self._seen, mark)
        self._open.append(mark)
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        found, count = self._next(body), 0
        while found.mark == mark and not found.closing:
            self._ahead = None
            yield self.part(found.after, depth + 1, default, inside=inside)
            found, count = self._next(found.after), count + 1
        if found.mark != mark or not count:
            raise Doubt(Reason.BROKEN_BOUNDARIES)
        self._open.pop()
        self._ahead = None
        self._next(found.after)

    def _end(self, body: int) -> int:
        """Where the content that begins at ``body`` ends: before the next delimiter and the line end in front of it."""
        found = self._next(body)
        if found is _END:
            return len(self._raw)
        width = 2 if self._raw[found.line - 2 : found.line] == b"\r\n" else 1
        return max(body, found.line - width)

    def _next(self, at: int) -> _Delimiter:
        """The next line from ``at`` on that is a boundary; it stays the next one until ``_ahead`` is emptied."""
        if self._ahead is None:
            self._ahead = _END
            for match in _DASHES.finditer(self._raw, at):
                if match.start() > at and self._raw[match.start() - 1] not in b"\r\n":
                    continue
                if delimiter := self._delimiter_at(match.start()):
                    self._ahead = delimiter
                    break
        return self._ahead

    def _delimiter_at(self, line: int) -> _Delimiter | None:
        raw = self._raw
        if not raw.startswith(self._seen, line):
            return None
        whole = _LINE.match(raw, line)
        assert whole is not None, "it matches the empty line too"
        end = whole.end()
        text = raw[line:end].rstrip(b" \t")
        for mark, closing in ((text, False), (text[:-2], True)):
            if mark in self._seen and (not closing or text.endswith(b"--")):
                return self._checked(mark, closing, line, end)
        if text.startswith(tuple(self._open)):
            raise Doubt(Reason.BROKEN_BOUNDARIES)
        return None

    def _checked(self, mark: bytes, closing: bool, line: int, end: int) -> _Delimiter:
        if mark not in self._open:
            raise Doubt(Reason.BROKEN_BOUNDARIES)
        raw = self._raw
        line_end = raw[end : end + 2]
        if raw[line - 1 : line] == b"\r" or (line_end[:1] == b"\r" and line_end != b"\r\n"):
            raise Doubt(Reason.BARE_CR)
        return _Delimiter(mark, closing, line, end + (2 if line_end == b"\r\n" else len(line_end[:1])))
