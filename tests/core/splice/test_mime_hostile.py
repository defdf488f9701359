"""Nothing that comes in makes reading or splicing fail, and nothing makes it take more than its time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.splice.mime import Mail, read, splice
from handraiser.core.splice.mime_reasons import Untouchable
from mails import PIECES, Made, differences, every_mail, html, html_of, leaf, mail, multipart

MADE = every_mail()
SIZE = 5_000_000
HEAD = b"From: a@lumen.example\r\nContent-Type: "


def put_into(found: Mail) -> bytes | Untouchable:
    return splice(
        found,
        html=(len(found.html.text) // 2, "<!--1\n-->") if found.html else None,
        text=(len(found.text.text) // 2, "Join us, é") if found.text else None,
    )


def survives(raw: bytes) -> None:
    found = read(raw)
    if isinstance(found, Mail):
        result = put_into(found)
        words = ({"text/html": "<!--1-->"} if found.html else {}) | ({"text/plain": "Join us,"} if found.text else {})
        if isinstance(result, bytes):
            assert differences(raw, result, words) == []


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes_can_be_read(raw: bytes):
    survives(raw)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
@settings(deadline=None)
def test_any_heap_of_pieces_of_mail_can_be_read(raw: bytes):
    survives(raw)


@given(st.sampled_from(MADE), st.data())
@settings(deadline=None)
def test_any_mail_with_some_bytes_changed_can_be_read(made: Made, data: st.DataObject):
    raw = made.raw
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        gone = data.draw(st.integers(0, 30))
        raw = raw[:at] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + raw[at + gone :]
    survives(raw)


def _nested(count: int, kind: str) -> bytes:
    heads = (f"Content-Type: {kind}; boundary=b{i}\r\n\r\n--b{i}\r\n" for i in range(count))
    return "".join(heads).encode()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "no line end": lambda: HEAD + b"text/html\r\n\r\n" + b"x" * SIZE,
    "no line end in quoted-printable": lambda: leaf("text/html", "=C3" * (SIZE // 9), "utf-8", "7bit").replace(
        b"7bit", b"quoted-printable"
    ),
    "one header without end": lambda: b"X: " + b"x" * SIZE,
    "one folded header": lambda: b"X: a\r\n" + b" b\r\n" * 400_000 + b"\r\n<p>",
    "headers alone": lambda: b"X: a\r\n" * 400_000 + b"\r\n<p>",
    "quotes and semicolons in a type": lambda: HEAD + b"text/html" + b';"' * SIZE + b"\r\n\r\n",
    "line ends alone": lambda: HEAD + b"text/html\r\n\r\n" + b"\n" * SIZE,
    "dashes alone": lambda: HEAD + b"multipart/mixed; boundary=a\r\n\r\n" + b"--\n" * 400_000,
    "one line of dashes": lambda: HEAD + b"multipart/mixed; boundary=a\r\n\r\n" + b"-" * SIZE,
    "boundaries that are almost one": lambda: HEAD + b"multipart/mixed; boundary=ab\r\n\r\n" + b"--a\n" * 400_000,
    "boundaries alone": lambda: HEAD + b"multipart/mixed; boundary=a\r\n\r\n" + b"--a\n" * 400_000,
    "parts without end": lambda: HEAD + b"multipart/mixed; boundary=a\r\n\r\n" + b"--a\n\nx\n" * 100_000,
    "multiparts in multiparts": lambda: _nested(50_000, "multipart/mixed"),
    "mails in mails": lambda: b"Content-Type: message/rfc822\r\n\r\n" * 100_000,
    "mails in mails behind a fold": lambda: b" x\nContent-Type: message/rfc822\n\n" * 100_000,
    "twenty levels and many lines": lambda: _nested(19, "multipart/mixed") + b"\r\n" + b"-- x\n" * 400_000,
    "base64 of blanks": lambda: HEAD + b"text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b" " * SIZE + b"!",
    "quoted soft breaks": lambda: leaf("text/html", "", "utf-8", "quoted-printable") + b"=\r\n" * 400_000 + b"x",
    "characters of several forms": lambda: leaf("text/plain", "", "shift_jis", "8bit") + b"\x87\x90" * (SIZE // 2),
    "signatures alone": lambda: leaf("text/plain", "-- \n" * 400_000, "utf-8", "8bit"),
    "a text of escapes": lambda: leaf("text/plain", "ü" * 700_000, "utf-8", "quoted-printable"),
    "a large picture": lambda: mail(multipart("mixed", html(), leaf("image/png", "x" * SIZE, "utf-8", "base64"))),
    "a large page": lambda: mail(leaf("text/html", html_of("größer " * 200_000), "utf-8", "base64")),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_five_megabytes_of_anything_take_seconds(name: str):
    raw = HOSTILE[name]()
    start = time.process_time()
    found = read(raw)
    result = put_into(found) if isinstance(found, Mail) else found

    assert isinstance(result, bytes | Untouchable)
    assert time.process_time() - start < 20
