"""A composed mail says, after any parser has read it, exactly what was put in, to one reader."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.mailbox import read_address
from handraiser.core.message import compose, display, mailbox

AT = 1_795_474_800_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def composed(**more: Any) -> bytes:
    return compose(
        **{
            "subject": "Your order 1001",
            "html": "<p>Thank you</p>",
            "text": "Thank you",
            "sender": ("Lamp & Lumen", "orders@lumen.example"),
            "to": ("Alice", "alice@example.com"),
            "headers": {},
            "message_id": "<1@lumen.example>",
            "sent_at": AT,
            **more,
        }
    )


def parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def test_a_mail_has_a_text_and_an_html_part_and_the_headers_a_mail_needs():
    message = parsed(composed())

    assert message["Subject"] == "Your order 1001"
    assert message["From"] == '"Lamp & Lumen" <orders@lumen.example>'.replace('"', "")
    assert message["To"] == "Alice <alice@example.com>"
    assert message["Message-ID"] == "<1@lumen.example>"
    assert message["Date"].datetime.timestamp() * 1000 == AT
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body(message, "plain") == "Thank you"
    assert body(message, "html") == "<p>Thank you</p>"


@pytest.mark.parametrize("length", [40, 60, 76, 100, 300, 900])
def test_the_way_to_leave_stands_verbatim_in_the_bytes(length: int):
    link = f"<https://mail.lumen.example/u/{'a' * length}>"
    headers = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    raw = composed(headers=headers)

    assert f"\r\nList-Unsubscribe: {link}\r\n".encode() in raw
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw


@pytest.mark.parametrize("value", ["a\r\nBcc: b@example.com", "a\nb", "ü", "a\x00", "x" * 990])
def test_a_header_that_is_not_one_plain_line_is_refused(value: str):
    with pytest.raises(ValueError, match="one plain line"):
        composed(headers={"List-Unsubscribe": value})
    with pytest.raises(ValueError, match="one plain line"):
        composed(headers={"Bad: name": "x"})


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Bestelling №1001 bevestigd – dank je wel!",
        "=?utf-8?b?SGVsbG8=?=",
        "50 % off = ?",
        "  spaces  ",
        "two  spaces",
        "x" * 2000,
        "注文" * 200,
        "🎁" * 30,
        'Order: 1001; "quoted" <b>',
    ],
)
def test_the_subject_is_read_as_it_was_given(subject: str):
    raw = composed(subject=subject)

    assert parsed(raw)["Subject"] == subject
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "name",
    [
        "Alice",
        "Müller, Hans",
        "=?utf-8?b?SGVsbG8=?=",
        "==??utf-8?q?x?==",
        'Bob" <bob@example.com>, "Eve',
        "Bob\r\nBcc: bob@example.com",
        "Bob <bob@example.com>, Eve",
        "(comment) Bob\\",
        "x" * 500,
        "注文 太郎",
        "a@b.example",
        "Group: bob@example.com;",
    ],
)
def test_a_display_name_never_becomes_a_second_reader_or_an_encoded_word(name: str):
    raw = composed(to=(name, "alice@example.com"))
    message = parsed(raw)

    assert [one.addr_spec for one in message["To"].addresses] == ["alice@example.com"]
    assert [address for _, address in getaddresses([str(message["To"])])] == ["alice@example.com"]
    assert message["To"].addresses[0].display_name == display(name)
    assert "=?" not in display(name)
    assert message["Bcc"] is None
    assert len(message.get_all("To", [])) == 1


def test_international_addresses_are_written_so_that_mail_systems_take_them():
    assert mailbox("", "alice@bücher.example") == "alice@xn--bcher-kva.example"
    assert mailbox("", "jörg@example.com") == "jörg@example.com"
    assert mailbox("", "taro..yamada@docomo.example") == '"taro..yamada"@docomo.example'
    assert "\r\nTo: jörg@xn--bcher-kva.example\r\n" in composed(to=("", "jörg@bücher.example")).decode()
    assert "Reply-To: Help <help@xn--bcher-kva.example>" in composed(reply_to="Help <help@bücher.example>").decode()


def test_attachments_come_back_byte_for_byte_with_their_names():
    contents = {
        "terms.pdf": bytes(range(256)) * 9,
        "Ümläut ✓.txt": b"plain\r\ntext",
        "mail.eml": b"Subject: x\r\n\r\ny",
    }
    kinds = dict(zip(contents, ("application/pdf", "text/plain", "message/rfc822"), strict=True))
    message = parsed(
        composed(
            attachments=[
                {"filename": name, "content_type": kinds[name], "base64": base64.b64encode(content).decode()}
                for name, content in contents.items()
            ]
        )
    )

    assert message.get_content_type() == "multipart/mixed"
    found = list(message.iter_attachments())
    assert {part.get_filename(): part.get_payload(decode=True) for part in found} == contents
    assert [part.get_content_type() for part in found] == ["application/pdf", "text/plain", "application/octet-stream"]
    assert body(message, "html") == "<p>Thank you</p>"


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\terms.pdf", "terms.pdf"),
        ('a"b\r\nX: y.pdf', "a b X: y.pdf"),
        ("", "attachment"),
        (".htaccess", "htaccess"),
        ("文" * 300 + ".pdf", "文" * 59 + ".pdf"),
    ],
)
def test_a_file_name_is_never_a_path_and_fits_a_line(given_name: str, shown: str):
    raw = composed(attachments=[{"filename": given_name, "content_type": "application/pdf", "base64": "AA=="}])
    (part,) = parsed(raw).iter_attachments()

    assert part.get_filename() == shown
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@settings(max_examples=150, deadline=None)
@given(subject=TEXT, text=TEXT, html=TEXT, name=TEXT, address=st.emails())
def test_whatever_is_put_in_comes_back_and_goes_to_one_reader(
    subject: str, text: str, html: str, name: str, address: str
):
    if "=?" in address:
        return
    raw = composed(
        subject=subject, text=text, html=html, to=(name, read_address(address)), sender=(name, "a@b.example")
    )
    message = parsed(raw)

    shown = subject
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029):
        shown = shown.replace(chr(code), "\0")
    while "\0\0" in shown:
        shown = shown.replace("\0\0", "\0")
    assert message["Subject"] == shown.replace("\0", " ")
    assert body(message, "plain") == text.replace("\r\n", "\n")
    assert body(message, "html") == html.replace("\r\n", "\n")
    assert [one.addr_spec for one in message["To"].addresses] == [address]
    assert len(message["From"].addresses) == 1
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert [str(defect) for part in message.walk() for defect in part.defects] == []
