"""A block into the HTML of a whole mail: the place is found in the text, the bytes are spliced."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from handraiser.core.splice import mime
from handraiser.core.splice.html import Spliced, splice
from shop_mails import ASK, MAILS, keeps_everything


def _mail(html: str, encoding: str, charset: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "orders@shop.example", "alice@example.com", "Your order"
    message.set_content("Thank you for your order.\n")
    content = html.replace("\n", "\r\n").encode(charset)
    message.add_alternative(content, maintype="text", subtype="html", cte=encoding, params={"charset": charset})
    return message.as_bytes()


@pytest.mark.parametrize("shop", MAILS)
@pytest.mark.parametrize(
    ("encoding", "charset"),
    [("quoted-printable", "utf-8"), ("base64", "utf-8"), ("8bit", "utf-8"), ("base64", "utf-16"), ("8bit", "gb18030")],
)
def test_a_shops_mail_is_enriched_whatever_its_encoding(shop: str, encoding: str, charset: str):
    mail = mime.read(_mail(MAILS[shop], encoding, charset))
    assert isinstance(mail, mime.Mail)
    assert mail.html

    done = splice(mail.html.text, ASK)
    assert isinstance(done, Spliced)
    result = mime.splice(mail, html=(done.offset, done.inserted))

    assert isinstance(result, bytes)
    again = mime.read(result)
    assert isinstance(again, mime.Mail)
    assert again.html
    assert again.html.text == done.html
    keeps_everything(mail.html.text, done)
