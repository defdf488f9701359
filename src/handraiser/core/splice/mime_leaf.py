"""One text part of a mail: what it says, and its bytes with something inserted, all others as they were."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from handraiser.core.splice.mime_charsets import Text, read_text
from handraiser.core.splice.mime_fields import structural
from handraiser.core.splice.mime_parts import Part
from handraiser.core.splice.mime_reasons import Doubt, Reason
from handraiser.core.splice.mime_words import writable

LINE_OCTETS = 998
"""Longest line that SMTP carries, without its end (RFC 5322 §2.1.1)."""

_IDENTITY = frozenset(("7bit", "8bit", "binary"))
# Every other use of = is read differently by different decoders.
_BAD_QUOTED = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n|\Z)")
_BASE64_WIDTH = 76


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A text part, decoded.

    ``text`` is what it says, without a byte order mark; bytes that are nothing in ``charset`` are U+FFFD. ``encoding``
    is the Content-Transfer-Encoding in lower case. ``line_end`` ends the lines of the text.
    """

    part: Part
    body: bytes
    charset: str
    encoding: str
    decoded: bytes
    line_end: str
    outer_line_end: bytes
    said: Text

    @property
    def text(self) -> str:
        """The decoded text; offsets count its characters."""
        return self.said.text

    @property
    def flowed(self) -> bool:
        """Whether lines that end with a blank go on in the next one (RFC 3676)."""
        return self.part.parameters.get("format", "").lower() == "flowed"

    def fitted(self, words: str) -> str:
        """``words`` with this leaf's line ends, in letters it can hold.

        Raises :class:`Doubt` where the charset, or a 7bit part, has no letters for them.
        """
        words = words.replace("\r\n", "\n").replace("\r", "\n")
        ascii_only = self.encoding == "7bit" and self.decoded.isascii()
        return writable(words, self.said.write_codec, ascii_only=ascii_only).replace("\n", self.line_end)

    def splice(self, offset: int, words: str) -> bytes:
        """The leaf's encoded bytes with ``words`` inserted before the character at ``offset``.

        Line ends in ``words`` become the leaf's own. Raises :class:`Doubt` where that cannot be done without changing
        another byte, or where the result would not decode to exactly the text with the words in it.
        """
        if not 0 <= offset <= len(self.text):
            raise Doubt(Reason.NO_SUCH_PART)
        if self.text[offset - 1 : offset + 1] == "\r\n":
            raise Doubt(Reason.UNSPLICEABLE_TEXT)
        words = self.fitted(words)
        try:
            block = words.encode(self.said.write_codec)
        except UnicodeEncodeError:
            raise Doubt(Reason.UNWRITABLE_TEXT) from None
        at = self.said.byte_offset(offset)
        decoded = self.decoded[:at] + block + self.decoded[at:]
        if not self.said.says(decoded, self.said.exact[:offset] + words + self.said.exact[offset:]):
            raise Doubt(Reason.UNSPLICEABLE_TEXT)
        spliced = self._encoded(at, block)
        if _longest_line(spliced) > LINE_OCTETS >= _longest_line(self.body):
            raise Doubt(Reason.LINE_TOO_LONG)
        return spliced

    def _encoded(self, at: int, block: bytes) -> bytes:
        if self.encoding == "quoted-printable":
            return _into_quoted(self.body, at, block, self.outer_line_end, lines=not self.said.wide)
        if self.encoding == "base64":
            return _into_base64(self.body, self.decoded, at, block, self.outer_line_end)
        return self.body[:at] + block + self.body[at:]


def open_leaf(part: Part, raw: bytes) -> Leaf:
    """A text part of the mail, decoded. Raises :class:`Doubt` where that cannot be done for certain."""
    if not part.separated:
        raise Doubt(Reason.BROKEN_HEADERS)
    body = raw[part.body : part.end]
    encoding = encoding_of(part)
    decoded = decode(body, encoding)
    charset = part.parameters.get("charset", "us-ascii")
    said = read_text(decoded, charset)
    outer = _line_end(body) or _line_end(raw) or b"\r\n"
    inner = "\r\n" if "\r\n" in said.text else "\n" if "\n" in said.text else outer.decode()
    return Leaf(part, body, charset, encoding, decoded, inner, outer, said)


def encoding_of(part: Part) -> str:
    """The Content-Transfer-Encoding in lower case, 7bit where none is given."""
    return (structural(part.fields, "content-transfer-encoding") or "7bit").lower()


def decode(body: bytes, encoding: str) -> bytes:
    """An encoded body's bytes. Raises :class:`Doubt` for an unknown encoding, or where decoders would differ."""
    if encoding in _IDENTITY:
        return body
    if encoding == "quoted-printable":
        if _BAD_QUOTED.search(body):
            raise Doubt(Reason.BROKEN_ENCODING)
        return binascii.a2b_qp(body)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(body.translate(None, b" \t\r\n"), strict_mode=True)
        except binascii.Error:
            raise Doubt(Reason.BROKEN_ENCODING) from None
    raise Doubt(Reason.UNKNOWN_ENCODING)


def _line_end(data: bytes) -> bytes:
    at = data.find(b"\n")
    return b"" if at < 0 else b"\r\n" if data[at - 1 : at] == b"\r" else b"\n"


def _longest_line(data: bytes) -> int:
    return max(len(line.removesuffix(b"\r")) for line in data.split(b"\n"))


def _into_quoted(body: bytes, at: int, block: bytes, line_end: bytes, *, lines: bool) -> bytes:
    """A block between soft line breaks; ``lines`` says whether its line ends are line ends of the encoding too."""
    cut = _quoted_offset(body, at)
    pieces = block.split(line_end) if lines else [block]
    quoted = line_end.join(binascii.b2a_qp(piece, istext=False).replace(b"=\n", b"=" + line_end) for piece in pieces)
    soft = b"=" + line_end
    before = soft if cut and body[cut - 1 : cut] != b"\n" else b""
    after = soft if body[cut:] and not quoted.endswith(b"\n") else b""
    return body[:cut] + before + quoted + after + body[cut:]


def _quoted_offset(body: bytes, at: int) -> int:
    """Where in the encoded bytes what follows the first ``at`` decoded ones begins; behind a soft break there."""
    start = 0
    for line in body.splitlines(keepends=True):
        width = len(binascii.a2b_qp(line))
        if at < width:
            break
        at -= width
        start += len(line)
    while at:
        escape = body.find(b"=", start)
        if escape < 0 or escape - start >= at:
            return start + at
        at -= escape - start
        start = escape
        start, at = start + 3, at - 1
    return start - 1 if start == len(body) and body.endswith(b"=") else start


def _into_base64(body: bytes, decoded: bytes, at: int, block: bytes, line_end: bytes) -> bytes:
    """The encoded lines before the block stay; what comes behind is encoded anew in lines of the same width."""
    lines = body.splitlines(keepends=True)
    kept = digits = counted = 0
    position = 0
    for line in lines:
        digits += len(line.translate(None, b" \t\r\n"))
        position += len(line)
        if digits // 4 * 3 > at:
            break
        if digits % 4 == 0 and line.endswith(b"\n"):
            kept, counted = position, digits // 4 * 3
    first = len(lines[0].strip()) if len(lines) > 1 else _BASE64_WIDTH
    width = first if 4 <= first <= LINE_OCTETS and first % 4 == 0 else _BASE64_WIDTH
    tail = decoded[counted:at] + block + decoded[at:]
    digits_left = binascii.b2a_base64(tail, newline=False)
    anew = line_end.join(digits_left[i : i + width] for i in range(0, len(digits_left), width))
    blanks = body[len(body.rstrip(b" \t\r\n")) :]
    return body[:kept] + anew + blanks
