"""Subject, parts and headers as an RFC 5322 message, written by hand so that every byte is known.

The standard library's generator folds a ``List-Unsubscribe`` link into an encoded word that no mail provider reads,
and sends a subject that looks like an encoded word as one. Texts travel as quoted-printable, in which neither of our
boundaries can occur.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import idna

from handraiser.core.mailbox import split_mailbox

_UNSAFE = re.compile(r"""[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>"\\]|=\?+|\?+=""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,76}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*")
_DOT_ATOM = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+)*"
)
_LINE_LIMIT = 998
_WORD_BYTES = 42
_NAME_LIMIT = 64
_FILENAME_BYTES = 180


def compose(
    *,
    subject: str,
    html: str,
    text: str,
    sender: tuple[str, str],
    to: tuple[str, str],
    reply_to: str = "",
    headers: Mapping[str, str],
    attachments: Sequence[Mapping[str, Any]] = (),
    message_id: str,
    sent_at: int,
) -> bytes:
    """The whole mail, with CRLF line ends.

    ``sender`` and ``to`` are (display name, address), ``reply_to`` is an address or ``Name <address>``, ``sent_at`` ms
    UTC; ``headers`` (ASCII) are written verbatim, one line each. An international domain is written in IDNA form; an
    international local part stays UTF-8 and needs a mail system with SMTPUTF8. Raises :class:`ValueError` for a header
    that does not fit one line of 998 characters.
    """
    tag = hashlib.sha256(message_id.encode()).hexdigest()[:24]
    head = [
        "From: " + mailbox(*sender),
        "To: " + mailbox(*to),
        "Subject: " + _unstructured(subject),
        "Date: " + format_datetime(datetime.fromtimestamp(sent_at / 1000, UTC)),
        "Message-ID: " + message_id,
        "MIME-Version: 1.0",
        *([] if not reply_to else ["Reply-To: " + mailbox(*split_mailbox(reply_to))]),
        *(_verbatim(name, value) for name, value in headers.items()),
    ]
    alternative = _multipart("alternative", f"=_alternative_{tag}", [_text("plain", text), _text("html", html)])
    if not attachments:
        return _joined(head) + alternative
    parts = [alternative, *(_attachment(one) for one in attachments)]
    return _joined(head) + _multipart("mixed", f"=_mixed_{tag}", parts)


def display(text: str) -> str:
    """A name fit for a header: no control characters, quotes or brackets, no encoded words of somebody's making,
    64 characters at most."""
    return " ".join(_UNSAFE.sub(" ", text).split())[:_NAME_LIMIT].strip()


def mailbox(name: str, address: str) -> str:
    """``Name <address>`` as it stands in a header; without a name the bare address."""
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode("ascii")
    if not _DOT_ATOM.fullmatch(local):
        local = f'"{local}"'
    shown = display(name)
    if not shown:
        return f"{local}@{domain}"
    if _PLAIN_NAME.fullmatch(shown):
        return f"{shown} <{local}@{domain}>"
    quoted = f'"{shown}"' if shown.isascii() else "\r\n ".join(_encoded_words(shown))
    return f"{quoted} <{local}@{domain}>"


def _joined(lines: Sequence[str]) -> bytes:
    return "\r\n".join([*lines, ""]).encode("utf-8")


def _verbatim(name: str, value: str) -> str:
    line = f"{name}: {value}"
    if not _HEADER_NAME.fullmatch(name) or not value.isascii() or not value.isprintable() or len(line) > _LINE_LIMIT:
        raise ValueError(f"the header {name} does not fit one plain line")
    return line


def _unstructured(text: str) -> str:
    """A text that reads as it was given: as it is where nobody can misread it, else in encoded words of our own."""
    text = _CONTROL.sub(" ", text)
    plain = text.isascii() and "=?" not in text and text == text.strip() and len(text) < _LINE_LIMIT - 20
    return text if plain else "\r\n ".join(_encoded_words(text))


def _encoded_words(text: str) -> Iterator[str]:
    """RFC 2047 words of at most 75 characters, cut between characters."""
    word = b""
    for character in text:
        encoded = character.encode()
        if len(word) + len(encoded) > _WORD_BYTES:
            yield _encoded_word(word)
            word = b""
        word += encoded
    yield _encoded_word(word)


def _encoded_word(word: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(word).decode()}?="


def _multipart(kind: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    head = f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    mark = b"--" + boundary.encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


def _text(kind: str, content: str) -> bytes:
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + _quoted_printable(content)


def _quoted_printable(content: str) -> bytes:
    """Lines of at most 76 characters; a lone CR is told as such, so that the text comes back as it was."""
    lines = content.replace("\r\n", "\n").encode("utf-8", "replace").split(b"\n")
    quoted = (binascii.b2a_qp(line, istext=False) for line in lines)
    return b"\r\n".join(quoted).replace(b"=\n", b"=\r\n")


def _attachment(one: Mapping[str, Any]) -> bytes:
    main = one["content_type"].partition("/")[0]
    # These two would be parsed as parts of our mail, and may not be base64 (RFC 2045 §6.4).
    kind = "application/octet-stream" if main in ("multipart", "message") else one["content_type"]
    content = base64.encodebytes(base64.b64decode(one["base64"], validate=True)).replace(b"\n", b"\r\n")
    head = (
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {_filename(one['filename'])}\r\n\r\n"
    )
    return head.encode() + content


def _filename(name: str) -> str:
    """A file's own name, never a path, short enough for one line; its ending is kept."""
    name = re.split(r"[/\\]", name)[-1]
    name = " ".join(_UNSAFE.sub(" ", name).split()).lstrip(".") or "attachment"
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending.encode()) > 20:
        stem, dot, ending = name, "", ""
    stem = stem.encode()[: _FILENAME_BYTES - len(ending.encode())].decode("utf-8", "ignore")
    name = stem + dot + ending
    return f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name, safe='')}"
