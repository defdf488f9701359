"""Finished mails as shops, mailers and broken programs write them, of every structure, charset, encoding and fault; and
an independent judge of what became of one.

``every_mail()`` gives some hundreds, each with what must come of it. Nothing here uses the code that is tested: mails
are put together from bytes, and :func:`differences` reads with the standard library alone.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message

HEADERS = (
    ("From", "Lamp & Lumen <orders@lumen.example>"),
    ("To", "Alice <alice@example.com>"),
    ("Subject", "=?utf-8?q?Ihre_Bestellung_1001_=C3=BCber_89=2C00?="),
    ("Date", "Fri, 27 Nov 2026 05:00:00 +0100"),
    ("Message-ID", "<1001@lumen.example>"),
    ("MIME-Version", "1.0"),
)
ENCODINGS = ("7bit", "8bit", "binary", "quoted-printable", "base64")
WORDS = {
    "us-ascii": "Thank you for your order 1001, total 89.00 = paid.",
    "utf-8": "Danke für die Bestellung 1001 – 89,00 € – شكرا لك 🎁",
    "iso-8859-1": "Danke für Ihre Bestellung, größer als äöüß.",
    "iso-8859-2": "Dziękujemy za zamówienie łódź.",
    "iso-8859-15": "Danke, 89,00 € für größere Lampen.",
    "iso-8859-8": "תודה על ההזמנה",
    "windows-1251": "Спасибо за заказ 1001.",
    "windows-1252": "Danke – „größer“ für 89,00 €.",
    "windows-1256": "شكرا لطلبك رقم",
    "koi8-r": "Спасибо за заказ 1001.",
    "gb2312": "感谢您的订单",
    "gbk": "感謝您的訂單",
    "gb18030": "感谢您的订单€𠀀",
    "big5": "感謝您的訂單功蓋",
    "shift_jis": "ご注文ありがとうございます表ソ",
    "euc-jp": "ご注文ありがとうございます",
    "euc-kr": "주문해 주셔서 감사합니다",
    "iso-2022-jp": "ご注文ありがとうございます",
    "iso-2022-kr": "주문해 주셔서 감사합니다",
    "hz": "感谢您的订单",
    "utf-7": "Danke für die Bestellung + 89 €",
    "utf-16": "Danke für 89 € شكرا",
    "utf-16le": "Danke für 89 € شكرا",
    "utf-16be": "Danke für 89 € شكرا",
    "utf-32": "Danke für 89 €",
}
SEVEN_BIT = ("us-ascii", "iso-2022-jp", "hz", "utf-7")
WIDE = ("utf-16", "utf-16le", "utf-16be", "utf-32")

PIECES = (
    b"Content-Type: multipart/mixed; boundary=a", b"Content-Type: multipart/alternative; boundary=b",
    b"Content-Type: multipart/digest; boundary=c", b"Content-Type: text/html", b"Content-Type: message/rfc822",
    b"Content-Type: text/plain; charset=utf-16", b"; charset=iso-2022-jp", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable", b"--a", b"--b", b"--c", b"--a--", b"--b--", b"-- ", b"From ", b": ",
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"QUJD", b"=C3=A4", b"=\r\n", b"<p>x</p>", b"\xc3\xa4", b"\0",
    b"begin 644 x",
)  # fmt: skip
"""What mail is made of, good and bad."""

_BLANK_LINE = re.compile(rb"(?:\A|(?<=\n|\r))(?:\r\n|\n|\r)")


@dataclass(frozen=True)
class Made:
    """One mail; ``reason`` is why it must be left alone, None where it can be enriched in the parts that are named."""

    name: str
    raw: bytes
    reason: str | None = None
    html: bool = False
    text: bool = False


# --- putting mails together ------------------------------------------------------------------------------------------


def html_of(words: str) -> str:
    rows = "\n".join(f'<tr><td style="color: #333">{i}. {words}</td></tr>' for i in range(3))
    return f"<!DOCTYPE html>\n<html><head><title>1001</title></head>\n<body><table>\n{rows}\n</table>\n</body></html>\n"


def text_of(words: str) -> str:
    return f"{words}\n\n1 x Lamp = 89.00\n\n-- \nLamp & Lumen\n{words}\n"


def encoded(data: bytes, encoding: str, eol: bytes = b"\r\n") -> bytes:
    """A body in a Content-Transfer-Encoding; lines of ``data`` end with ``eol``."""
    if encoding == "base64":
        return base64.encodebytes(data).replace(b"\n", eol)
    if encoding == "quoted-printable":
        lines = (binascii.b2a_qp(line, istext=False) for line in data.split(eol))
        return eol.join(lines).replace(b"=\n", b"=" + eol)
    return data


def head(fields: Sequence[tuple[str, str]], eol: bytes = b"\r\n") -> bytes:
    lines = (
        f"{name}: {value}".replace("\n", eol.decode()).encode("utf-8", "surrogateescape") for name, value in fields
    )
    return b"".join(line + eol for line in lines)


def leaf(
    kind: str,
    words: str,
    charset: str = "utf-8",
    encoding: str = "quoted-printable",
    eol: bytes = b"\r\n",
    fields: Sequence[tuple[str, str]] = (),
    parameters: str = "",
) -> bytes:
    """A text part: headers, blank line and encoded body."""
    data = words.replace("\n", eol.decode()).encode(charset)
    if charset in WIDE and encoding == "quoted-printable":
        body = binascii.b2a_qp(data, istext=False).replace(b"=\n", b"=" + eol)
    else:
        body = encoded(data, encoding, eol)
    own = [("Content-Type", f"{kind}; charset={charset}{parameters}"), ("Content-Transfer-Encoding", encoding)]
    return head([*own, *fields], eol) + eol + body


def html(
    words: str = WORDS["utf-8"], charset: str = "utf-8", encoding: str = "quoted-printable", **more: object
) -> bytes:
    return leaf("text/html", html_of(words), charset, encoding, **more)


def text(
    words: str = WORDS["utf-8"], charset: str = "utf-8", encoding: str = "quoted-printable", **more: object
) -> bytes:
    return leaf("text/plain", text_of(words), charset, encoding, **more)


def file(kind: str = "application/pdf", name: str = "invoice.pdf", data: bytes = bytes(range(256)) * 3) -> bytes:
    fields = [
        ("Content-Type", f'{kind}; name="{name}"'),
        ("Content-Transfer-Encoding", "base64"),
        ("Content-Disposition", f'attachment; filename="{name}"'),
    ]
    return head(fields) + b"\r\n" + encoded(data, "base64")


_boundaries = itertools.count(1)


def multipart(
    subtype: str,
    *parts: bytes,
    boundary: str | None = None,
    eol: bytes = b"\r\n",
    preamble: bytes = b"",
    epilogue: bytes = b"",
    parameters: str = "",
    fields: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A multipart: headers, blank line and body."""
    boundary = boundary or f"----=_Part_{next(_boundaries):04d}_x"
    mark = b"--" + boundary.encode()
    own = head([("Content-Type", f'multipart/{subtype};\n boundary="{boundary}"{parameters}'), *fields], eol)
    body = b"".join(mark + eol + part + eol for part in parts)
    return own + eol + preamble + body + mark + b"--" + eol + epilogue


def mail(content: bytes, *fields: tuple[str, str], eol: bytes = b"\r\n") -> bytes:
    """A whole mail around a part or multipart."""
    return head([*HEADERS, *fields], eol) + content


# --- every structure, charset, encoding and fault --------------------------------------------------------------------


def every_mail() -> list[Made]:
    """All of them, their names unique."""
    return [*written(), *structured(), *tolerated(), *never_touched(), *broken()]


def written() -> Iterator[Made]:
    """Each charset in each encoding that can hold it, with each line end."""
    for charset, words in WORDS.items():
        for encoding, eol in itertools.product(ENCODINGS, (b"\r\n", b"\n")):
            if (encoding == "7bit" and charset not in SEVEN_BIT) or (charset in WIDE and encoding in ("7bit", "8bit")):
                continue
            name = f"{charset} {encoding} " + ("crlf" if eol == b"\r\n" else "lf")
            parts = text(words, charset, encoding, eol=eol), html(words, charset, encoding, eol=eol)
            yield Made(
                "alternative " + name, mail(multipart("alternative", *parts, eol=eol), eol=eol), None, True, True
            )
            yield Made("html " + name, mail(parts[1], eol=eol), None, True)
            yield Made("text " + name, mail(parts[0], eol=eol), None, False, True)


def structured() -> Iterator[Made]:
    """The shapes of bodies, with and without files."""
    both = multipart("alternative", text(), html())
    picture = file("image/png", "logo.png")
    related = multipart("related", html(), picture)
    shapes = {
        "mixed(alternative, pdf)": (multipart("mixed", both, file()), True, True),
        "related(alternative, png)": (multipart("related", both, picture), True, True),
        "alternative(text, related)": (multipart("alternative", text(), related), True, True),
        "mixed(related(alternative, png), pdf)": (
            multipart("mixed", multipart("related", both, picture), file()), True, True,
        ),
        "mixed(alternative(text, related), pdf, pdf)": (
            multipart("mixed", multipart("alternative", text(), related), file(), file()), True, True,
        ),
        "alternative(text, mixed(html, pdf))": (
            multipart("alternative", text(), multipart("mixed", html(), file())), True, True,
        ),
        "mixed(mixed(mixed(html)))": (multipart("mixed", multipart("mixed", multipart("mixed", html()))), True, False),
        "mixed(html, pdf)": (multipart("mixed", html(), file()), True, False),
        "mixed(text, pdf)": (multipart("mixed", text(), file()), False, True),
        "mixed(text, html)": (multipart("mixed", text(), html()), True, False),
        "mixed(text, text)": (multipart("mixed", text(), text()), False, True),
        "mixed(alternative, footer)": (multipart("mixed", both, text("Footer")), True, True),
        "related(html, frame)": (multipart("related", html(), html("frame")), True, False),
        "related(html, png) with start": (
            multipart(
                "related",
                html(fields=[("Content-ID", "<root@x>")]),
                picture,
                parameters='; start="<root@x>"; type="text/html"',
            ), True, False,
        ),
        "alternative(text, amp, html)": (
            multipart("alternative", text(), leaf("text/x-amp-html", "<html amp4email></html>"), html()), True, True,
        ),
        "alternative(text, html, calendar)": (
            multipart(
                "alternative", text(), html(), leaf("text/calendar", "BEGIN:VCALENDAR\n", parameters="; method=REQUEST")
            ), True, True,
        ),
        "mixed(text, mail)": (
            multipart("mixed", text(), head([("Content-Type", "message/rfc822")]) + b"\r\n" + mail(both)), False, True,
        ),
        "mixed(alternative, broken mail)": (
            multipart("mixed", both, head([("Content-Type", "message/rfc822")]) + b"\r\nno header\r\nat all"),
            True, True,
        ),
        "mixed(alternative, html file)": (multipart("mixed", both, file("text/html", "terms.html")), True, True),
        "mixed(alternative, text file)": (multipart("mixed", both, file("text/plain", "terms.txt")), True, True),
        "mixed(html without name, inline)": (
            multipart("mixed", html(fields=[("Content-Disposition", "inline")])), True, False,
        ),
        "alternative(named text, named html)": (
            multipart("alternative", text(parameters="; name=a.txt"), html(parameters="; name=a.html")), True, True,
        ),
        "unknown multipart": (multipart("x-shop", html(), file()), True, False),
    }  # fmt: skip
    for name, (content, in_html, in_text) in shapes.items():
        yield Made(name, mail(content), None, in_html, in_text)


def tolerated() -> Iterator[Made]:
    """What is odd and can be read in one way only."""
    both = [text(), html()]
    bare = b"".join(f"{name}: {value}\r\n".encode() for name, value in HEADERS[:4])
    preamble = b"This is a multi-part message in MIME format.\r\n--\r\n-- no boundary --\r\n"
    inner = multipart("alternative", *both, preamble=preamble, epilogue=b"the end\r\n")
    yield Made("preamble and epilogue", mail(inner), None, True, True)
    yield Made("preamble and epilogue within", mail(multipart("mixed", inner, file())), None, True, True)
    yield Made("no headers about MIME at all", bare + b"\r\nThank you\r\n", None, False, True)
    yield Made("MIME-Version missing", bare + multipart("alternative", *both), None, True, True)
    yield Made("8-bit headers", mail(html(), ("X-Shop", "L\xfcmen"), ("X-Raw", "\udcfc\udcff")), None, True)
    yield Made("mbox line first", b"From a@b Fri Nov 27 05:00:00 2026\r\n" + mail(html()), None, True)
    yield Made("whitespace-only fold", mail(html(), ("X-Odd", "a\n \n b")), None, True)
    spaced = html(encoding="8bit").replace(b"Content-Transfer-Encoding: 8bit", b"Content-Transfer-Encoding: 8BIT ")
    yield Made("8BIT with blanks", mail(spaced), None, True)
    spaced = html(encoding="base64").replace(b"Encoding: base64", b"Encoding:\t\tBASE64\t")
    yield Made("BASE64 with tabs", mail(spaced), None, True)
    folded = html().replace(b"text/html; charset=utf-8", b'TEXT/HTML;\r\n\tCharset="UTF-8";\r\n')
    yield Made("folded, quoted, upper case, trailing semicolon", mail(folded), None, True)
    named = html(parameters="; name*0*=utf-8''a%20; name*1*=b").replace(b"text/html", b"text/html")
    yield Made("RFC 2231 name at the root", mail(named), None, True)
    wrong = html(encoding="8bit").replace(b"charset=utf-8", b"charset=us-ascii")
    yield Made("bytes that are nothing in their charset", mail(wrong), None, True)
    unnamed = html(encoding="8bit").replace(b"; charset=utf-8", b"")
    yield Made("no charset", mail(unnamed), None, True)
    broken = html(encoding="8bit").replace("€".encode(), b"\xe2\x82")
    yield Made("half a character", mail(broken), None, True)
    marked = leaf("text/html", "\ufeff" + html_of("x"), "utf-8", "base64")
    yield Made("byte order mark", mail(marked), None, True)
    yield Made("empty text part", mail(multipart("alternative", leaf("text/plain", ""), html())), None, True, True)
    yield Made("empty html part", mail(multipart("alternative", text(), leaf("text/html", ""))), None, True, True)
    nothing = b"\r\n"
    yield Made("part without headers", mail(multipart("mixed", nothing + b"Thank you", file())), None, False, True)
    long = leaf("text/html", "<p>" + "x" * 5000 + "</p>", encoding="8bit")
    yield Made("one line of 5000", mail(long), None, True)
    yield Made(
        "flowed", mail(leaf("text/plain", "Thank \nyou \n\nfor\n", parameters="; format=flowed")), None, False, True
    )
    mixed_ends = html(encoding="8bit", eol=b"\n").replace(b"\n", b"\r\n", 9)
    yield Made("line ends mixed", mail(mixed_ends), None, True)
    yield Made("bare CR in the body", mail(leaf("text/html", "<p>a\rb</p>\n", encoding="8bit")), None, True)
    yield Made("boundaries that begin alike", mail(
        multipart("mixed", multipart("alternative", *both, boundary="Apple-Mail-10"), file(), boundary="Apple-Mail-1")
    ), None, True, True)  # fmt: skip
    yield Made("blanks behind boundaries", mail(
        multipart("alternative", *both, boundary="xyz").replace(b"--xyz\r\n", b"--xyz \t\r\n")
    ), None, True, True)  # fmt: skip
    shop_file = file(name="Rechnung f\udcfcr 1001.pdf")
    yield Made("8-bit name of a file", mail(multipart("mixed", html(), shop_file)), None, True)
    yield Made("8-bit name of the body", mail(html(parameters="; name=f\udcfcr.html")), None, True)
    yield Made("no line end at the end", mail(multipart("alternative", *both)).rstrip(), None, True, True)
    yield Made("digest beside", mail(
        multipart("mixed", html(), multipart("digest", b"\r\n" + mail(text()), b"\r\n" + mail(html())))
    ), None, True)  # fmt: skip
    for name, value in (("Precedence", "bulk"), ("Auto-Submitted", "auto-generated"), ("X-Mailer", "PHP/8.3")):
        yield Made(f"{name}: {value}", mail(html(), (name, value)), None, True)
    aliases = (
        "UTF8",
        "utf8",
        "latin1",
        "Windows-1252",
        "cp1252",
        "ISO_8859-1",
        "iso8859-1",
        "x-sjis",
        "ks_c_5601-1987",
        "'utf-8'",
    )
    for alias in aliases:
        named_so = html("Thank you", encoding="8bit").replace(b"utf-8", alias.encode())
        yield Made(f"charset {alias}", mail(named_so), None, True)


def never_touched() -> Iterator[Made]:
    """What can be read and must not be changed."""
    both = multipart("alternative", text(), html())
    fields = {
        "mailing_list": [("List-Id", "<news.lumen.example>")],
        "auto_replied": [("Auto-Submitted", "auto-replied (vacation)")],
        "content_md5": [("Content-MD5", "Q2hlY2sgSW50ZWdyaXR5IQ==")],
    }
    for reason, added in fields.items():
        yield Made(f"header {added[0][0]}", mail(both, *added), reason)
    for name in ("DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "DomainKey-Signature"):
        yield Made(name, mail(both, (name, "v=1; a=rsa-sha256; d=lumen.example; b=AAAA")), "dkim_signed")
    signature = file("application/pgp-signature", "signature.asc")
    yield Made("multipart/signed", mail(multipart("signed", both, signature)), "signed")
    yield Made(
        "mixed(signed, footer)", mail(multipart("mixed", multipart("signed", both, signature), text())), "signed"
    )
    yield Made("pkcs7 signature beside", mail(multipart("mixed", both, file("application/pkcs7-signature"))), "signed")
    yield Made("multipart/encrypted", mail(multipart("encrypted", file("application/pgp-encrypted"))), "encrypted")
    for kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        yield Made(kind, mail(file(kind, "smime.p7m")), "encrypted")
    status = (
        head([("Content-Type", "message/delivery-status")]) + b"\r\nReporting-MTA: dns; x\r\n\r\nAction: failed\r\n"
    )
    yield Made("multipart/report", mail(multipart("report", text(), status)), "report")
    yield Made("delivery status in a mixed", mail(multipart("mixed", text(), status)), "report")
    partial = head([("Content-Type", "message/partial; id=x; number=1; total=2")]) + b"\r\n" + mail(text())
    yield Made("message/partial", mail(partial), "partial_message")
    external = (
        head([("Content-Type", "message/external-body; access-type=URL")]) + b"\r\nContent-Type: text/html\r\n\r\n"
    )
    yield Made("message/external-body", mail(multipart("mixed", text(), external)), "external_body")
    pgp = "Hello\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nThank you\n"
    yield Made("inline PGP", mail(leaf("text/plain", pgp)), "inline_pgp")
    yield Made("inline PGP beside HTML", mail(multipart("alternative", leaf("text/plain", pgp), html())), "inline_pgp")
    uu = "Hello\nbegin 644 lamp.txt\n#86%T\n`\nend\n"
    yield Made("uuencode in the text", mail(leaf("text/plain", uu, encoding="7bit")), "inline_file")
    yenc = "=ybegin line=128 size=3 name=lamp.bin\nabc\n=yend size=3\n"
    yield Made("yEnc in the text", mail(leaf("text/plain", yenc, encoding="8bit")), "inline_file")
    yield Made("Apple Mail", mail(multipart("mixed", html(), file("image/png"), html())), "several_html_parts")
    yield Made(
        "Apple Mail in an alternative",
        mail(multipart("alternative", text(), multipart("mixed", html(), file(), html()))),
        "several_html_parts",
    )
    yield Made("alternative(html, html)", mail(multipart("alternative", html(), html())), "several_html_parts")
    yield Made("alternative(text, text)", mail(multipart("alternative", text(), text())), "ambiguous_body")
    yield Made(
        "alternative(text, text, html)", mail(multipart("alternative", text(), text(), html())), "ambiguous_body"
    )
    attached = html(fields=[("Content-Disposition", "attachment")])
    yield Made("alternative(text, attached html)", mail(multipart("alternative", text(), attached)), "ambiguous_body")
    named = html(fields=[("Content-Disposition", 'inline; filename="order.html"')])
    yield Made("mixed(text, named inline html)", mail(multipart("mixed", text(), named)), "ambiguous_body")
    other_root = multipart("related", html(), html(fields=[("Content-ID", "<b@x>")]), parameters='; start="<b@x>"')
    yield Made("related with another start", mail(other_root), "ambiguous_body")
    for kind in ("application/pdf", "text/calendar", "text/x-amp-html", "image/png"):
        yield Made(f"only {kind}", mail(leaf(kind, "x")), "no_body")
    yield Made("only a text file", mail(text(fields=[("Content-Disposition", "attachment")])), "no_body")
    yield Made(
        "forwarded as the whole mail",
        mail(head([("Content-Type", "message/rfc822")]) + b"\r\n" + mail(html())),
        "no_body",
    )


def broken() -> Iterator[Made]:
    """What readers take in different ways."""
    both = text(), html()
    whole = multipart("alternative", *both, boundary="xyz")
    breaks = {
        "no boundary parameter": whole.replace(b'\r\n boundary="xyz"', b" x=y"),
        "an empty boundary": whole.replace(b'"xyz"', b'""'),
        "a boundary that never comes": whole.replace(b'"xyz"', b'"abc"'),
        "no final boundary": whole.replace(b"--xyz--", b""),
        "cut in the middle": whole[: len(whole) // 2],
        "the final boundary alone": whole.replace(b"--xyz\r\n", b""),
        "something behind a boundary": whole.replace(b"--xyz\r\n", b"--xyz; charset=utf-8\r\n", 1),
        "a part behind the final boundary": whole + b"\r\n--xyz\r\n" + text() + b"\r\n--xyz--\r\n",
        "an inner one not closed": multipart("mixed", whole.replace(b"--xyz--", b""), file()),
        "not ASCII": whole.replace(b"xyz", b"x\xfcz"),
    }
    for name, content in breaks.items():
        yield Made("boundary: " + name, mail(content), "broken_boundaries")
    twice = multipart("mixed", multipart("alternative", *both, boundary="xyz"), file(), boundary="xyz")
    yield Made("boundary reused within", mail(twice), "boundary_reused")
    beside = multipart("mixed", whole, multipart("related", file("image/png"), boundary="xyz"))
    yield Made("boundary reused beside", mail(beside), "boundary_reused")
    doubled = multipart("mixed", html(), boundary="xyz").replace(b"--xyz\r\n", b"--xyz\r\n--xyz\r\n")
    yield Made("two boundaries at once", mail(doubled), "parsers_disagree")
    html_head = b"Content-Type: text/html; charset=utf-8\r\n"
    yield Made("two Content-Types", mail(html_head + text()), "duplicate_content_type")
    yield Made("two encodings", mail(b"Content-Transfer-Encoding: 8bit\r\n" + html()), "duplicate_content_type")
    faults = {
        "a line that is none": b"this is no header\r\n" + html(),
        "a space before the colon": b"X-Odd : 1\r\n" + html(),
        "no name": b": 1\r\n" + html(),
        "no type": html().replace(b"text/html;", b"html;"),
        "an empty type": html().replace(b"text/html; charset=utf-8", b""),
        "two charsets": html().replace(b"charset=utf-8", b"charset=utf-8; charset=latin1"),
        "a charset in pieces": html().replace(b"charset=utf-8", b"charset*0=utf; charset*1=-8"),
        "a type of 5000 bytes": html(parameters="; x=" + "y" * 5000),
        "no blank line": multipart("mixed", html_head + b"Content-Transfer-Encoding: 8bit"),
    }
    for name, content in faults.items():
        yield Made("headers: " + name, mail(content), "broken_headers")
    yield Made("headers: a fold first", b" folded\r\n" + mail(html()), "broken_headers")
    yield Made(
        "headers: a part that begins with its text", mail(multipart("mixed", b"Thank you\r\n\r\n")), "broken_headers"
    )
    yield Made(
        "headers: a comment in the type", mail(html().replace(b"text/html;", b"text/html (HTML);")), "parsers_disagree"
    )
    yield Made("CR alone everywhere", mail(multipart("mixed", html(eol=b"\r"), eol=b"\r"), eol=b"\r"), "bare_cr")
    yield Made("CR alone in a header", mail(html(), ("X-Odd", "a\rBcc: b@x")), "bare_cr")
    yield Made("CR alone before a boundary", mail(whole.replace(b"\r\n--xyz\r\n", b"\r--xyz\r\n")), "bare_cr")
    for encoding in ("x-uuencode", "8-bit", "utf-8", "quoted-printable;"):
        odd = html().replace(b"Encoding: quoted-printable", b"Encoding: " + encoding.encode())
        yield Made(f"encoding {encoding}", mail(odd), "unknown_encoding")
    multi = multipart("alternative", *both, fields=[("Content-Transfer-Encoding", "base64")])
    yield Made("a multipart in base64", mail(multi), "unknown_encoding")
    codings = {
        "quoted-printable with =ZZ": html().replace(b"=C3", b"=ZZ", 1),
        "quoted-printable with blanks behind =": html().replace(b"=\r\n", b"= \r\n", 1),
        "base64 with text behind": html(encoding="base64") + b"-- \r\nFooter of a list\r\n",
        "base64 with an end in the middle": html(encoding="base64") + b"QQ==\r\nQQ==\r\n",
        "base64 cut": html(encoding="base64").rstrip()[:-1],
    }
    for name, content in codings.items():
        yield Made(name, mail(content), "broken_encoding")
    for charset in ("x-unknown", "rot13", "unicode_escape", "cp037", "idna", "", "ISO-8859-99", "../os"):
        yield Made(f"charset {charset!r}", mail(html().replace(b"=utf-8", b"=" + charset.encode())), "unknown_charset")
    hidden = html(WORDS["iso-2022-jp"], "iso-2022-jp", "7bit").replace(b"charset=iso-2022-jp", b"charset=utf-8")
    yield Made("ISO-2022-JP under another name", mail(hidden), "unknown_charset")
    yield Made("NUL", mail(leaf("text/html", "<p>a\0b</p>", encoding="8bit")), "undecodable_text")
    yield Made("NUL in base64", mail(leaf("text/html", "<p>a\0b</p>", encoding="base64")), "undecodable_text")
    unmarked = leaf("text/html", html_of("x"), "utf-16le", "base64").replace(b"utf-16le", b"utf-16")
    yield Made("UTF-16 without its mark", mail(unmarked), "undecodable_text")
    half = head([("Content-Type", "text/plain; charset=utf-16le"), ("Content-Transfer-Encoding", "base64")])
    yield Made("half of a UTF-16 character", mail(half + b"\r\n" + base64.b64encode(b"a\0b")), "undecodable_text")


# --- judging what became of one --------------------------------------------------------------------------------------


def differences(before: bytes, after: bytes, inserted: dict[str, str]) -> list[str]:
    """What is wrong with ``after``, where ``inserted`` (type to words) should be all that came into ``before``.

    Judged by the standard library: the same tree with the same headers; each part's decoded bytes are what they were,
    but for one insertion in a part of each of these types, which then says the words once (white space aside).
    """
    old, new = message_from_bytes(before), message_from_bytes(after)
    faults: list[str] = []
    left = dict(inserted)
    olds, news = list(old.walk()), list(new.walk())
    if [part.get_content_type() for part in olds] != [part.get_content_type() for part in news]:
        return ["another structure"]
    for one, other in zip(olds, news, strict=True):
        if one.raw_items() and list(one.raw_items()) != list(other.raw_items()):
            faults.append("other headers")
        if (one.preamble, one.epilogue) != (other.preamble, other.epilogue):
            faults.append("another preamble or epilogue")
        was, now = _content(one), _content(other)
        if was == now:
            continue
        words = left.pop(one.get_content_type(), None)
        if words is None or not _is_insertion(was, now):
            faults.append(f"{one.get_content_type()} is no pure insertion")
        elif _said(now, other).count("".join(words.split())) != 1:
            faults.append(f"{one.get_content_type()} does not say the words once")
    faults += [f"nothing came into {kind}" for kind in left]
    if not after.startswith(_BLANK_LINE.split(before)[0]):
        faults.append("another head")
    if _longest(after) > 998 >= _longest(before):
        faults.append("a line too long")
    return faults


def _content(part: Message) -> bytes:
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    if encoding and encoding != part["content-transfer-encoding"]:
        part.replace_header("content-transfer-encoding", encoding)
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _is_insertion(was: bytes, now: bytes) -> bool:
    """Whether ``now`` is ``was`` with bytes put in at one place."""
    common = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    return len(now) > len(was) and now[common + len(now) - len(was) :] == was[common:]


def _said(content: bytes, part: Message) -> str:
    charset = part.get_content_charset() or "us-ascii"
    text = content.decode({"x-sjis": "shift_jis"}.get(charset, charset), "replace")
    return "".join(text.split())


def _longest(raw: bytes) -> int:
    return max(map(len, raw.replace(b"\r\n", b"\n").split(b"\n")))
