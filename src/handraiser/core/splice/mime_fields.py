"""Header fields: the few that decide a mail's structure, read strictly; any other, decoded for rules to look at."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from email.errors import HeaderParseError
from email.header import decode_header

from handraiser.core.splice.mime_charsets import codec_of
from handraiser.core.splice.mime_reasons import Doubt, Reason

Field = tuple[str, bytes]
"""Name in lower case, and what stands behind the colon, folded as it came."""

STRUCTURAL_BYTES = 4096
"""Longest Content-Type, Content-Transfer-Encoding or Content-Disposition that is read."""
DECODED_BYTES = 4096
"""Longest header whose encoded words are decoded; of longer ones the beginning is given as it stands."""

_KIND = re.compile(r"[^\s/;,\"()<>@]+/[^\s/;,\"()<>@]+")
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)|[^"(;]+|.', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DECISIVE = frozenset(("boundary", "charset"))


def structural(fields: Sequence[Field], name: str) -> str | None:
    """The one field of this name, unfolded and stripped; bytes beyond ASCII as Latin-1.

    Raises :class:`Doubt` where it stands twice or is longer than :data:`STRUCTURAL_BYTES`.
    """
    found = [value for key, value in fields if key == name]
    if not found:
        return None
    if len(found) > 1:
        raise Doubt(Reason.DUPLICATE_CONTENT_TYPE)
    if len(found[0]) > STRUCTURAL_BYTES:
        raise Doubt(Reason.BROKEN_HEADERS)
    return found[0].decode("latin-1").replace("\r", "").replace("\n", "").strip(" \t")


def with_parameters(value: str) -> tuple[str, dict[str, str]]:
    """``text/html; charset="utf-8"`` as ("text/html", {"charset": "utf-8"}), names in lower case (RFC 2045 §5.1).

    Comments are left out. Raises :class:`Doubt` for what parsers read in different ways: a boundary or charset given
    twice or in pieces (RFC 2231).
    """
    first, *others = _split(value)
    parameters: dict[str, str] = {}
    for one in others:
        name, equals, given = (piece.strip() for piece in one.partition("="))
        name = name.lower()
        if name.partition("*")[0] in _DECISIVE and ("*" in name or name in parameters):
            raise Doubt(Reason.BROKEN_HEADERS)
        if len(given) > 1 and given[0] == given[-1] == '"':
            given = _ESCAPED.sub(r"\1", given[1:-1])
        if equals:
            parameters.setdefault(name, given)
    return first.strip().lower(), parameters


def content_type(fields: Sequence[Field], default: str) -> tuple[str, dict[str, str]]:
    """A part's type and parameters. Raises :class:`Doubt` where there are two, or none can be told."""
    value = structural(fields, "content-type")
    if value is None:
        return default, {}
    kind, parameters = with_parameters(value)
    if not _KIND.fullmatch(kind):
        raise Doubt(Reason.BROKEN_HEADERS)
    return kind, parameters


def decoded(value: bytes) -> str:
    """A header's value as people read it: unfolded, encoded words (RFC 2047) decoded, raw UTF-8 or Latin-1 told apart.

    What cannot be decoded stands as it came. At most :data:`DECODED_BYTES` of the value are looked at.
    """
    raw = value.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t")
    try:
        text = raw[:DECODED_BYTES].decode("utf-8")
    except UnicodeDecodeError:
        text = raw[:DECODED_BYTES].decode("latin-1")
    if "=?" not in text or len(raw) > DECODED_BYTES:
        return text
    try:
        words = decode_header(text)
        return "".join(word if isinstance(word, str) else _word(word, charset) for word, charset in words)
    except (HeaderParseError, binascii.Error, ValueError):
        return text


def _word(word: bytes, charset: str | None) -> str:
    # Between encoded words the library gives plain text back as raw-unicode-escape.
    return word.decode("raw_unicode_escape" if charset is None else codec_of(charset) or "latin-1", "replace")


def _split(value: str) -> list[str]:
    segments = [""]
    for piece in _PIECE.findall(value):
        if piece == ";":
            segments.append("")
        elif not piece.startswith("(") or len(piece) == 1:
            segments[-1] += piece
    return segments
