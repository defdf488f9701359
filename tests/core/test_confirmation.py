"""What a confirmation mail says in every language, and what it leaves out."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace

import html5lib
import jinja2
import pytest

from asked import PROMISE, ROOT, TENT
from handraiser.core.confirmation import Confirmation, Links, write
from handraiser.template_files import read_words, words_of
from rows import NOW, an_id

WORDS = read_words(ROOT)
TEMPLATE = jinja2.Environment(
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
).from_string((ROOT / "emails" / "confirmation.html").read_text())
LINKS = Links("https://tents.example/o/CONFIRM", "https://tents.example/o/CONFIRM?no", "https://tents.example/u/NEVER")
ASKED = Confirmation(
    shop=replace(TENT, sender_address="orders@tents.example", logo_url="https://tents.example/logo.png"),
    address="alice@example.com",
    message_id=an_id(1),
    sent_at=NOW,
    locale="en",
    promise=PROMISE,
    language="en",
    recipients=(),
    links=LINKS,
    naked=False,
)


def parts(asked: Confirmation) -> tuple[email.message.EmailMessage, str, str]:
    """The parsed mail, its HTML and its text."""
    letter = write(asked, TEMPLATE, words_of(WORDS, asked.locale))
    mail = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert isinstance(mail, email.message.EmailMessage)
    html, plain = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    assert plain is not None
    return mail, html.get_content(), plain.get_content()


@pytest.mark.parametrize("naked", [True, False])
@pytest.mark.parametrize("locale", ["en", "nl", "de", "ar"])
def test_it_says_what_is_confirmed_and_how_to_say_no_and_nothing_that_advertises(locale: str, naked: bool):
    _, html, text = parts(replace(ASKED, locale=locale, naked=naked))

    for body in (html, text):
        for said in (PROMISE.what, PROMISE.frequency, LINKS.confirm, LINKS.decline, LINKS.never, "Tents Inc."):
            assert said in body
        for left_out in (PROMISE.benefit, PROMISE.benefit_now, PROMISE.button, "logo", "<img"):
            assert left_out not in body
    assert f'dir="{"rtl" if locale == "ar" else "ltr"}"' in html
    html5lib.HTMLParser(strict=True).parse(html)


def test_the_naked_one_has_no_button_and_no_colour_of_the_shop():
    _, neutral, _ = parts(ASKED)
    _, naked, _ = parts(replace(ASKED, naked=True))

    assert 'class="button yes"' in neutral
    assert TENT.brand.primary in neutral
    assert 'class="button yes"' not in naked
    assert TENT.brand.primary not in naked


@pytest.mark.parametrize("locale", ["nl", "de", "ar"])
def test_no_english_is_left_in_another_language(locale: str):
    english = set(parts(ASKED)[2].splitlines())
    mail, _, text = parts(replace(ASKED, locale=locale))

    same = [line for line in text.splitlines() if line in english and line and not line.startswith("http")]
    assert [line for line in same if "Tents Inc." not in line] == []
    assert mail["Subject"] != parts(ASKED)[0]["Subject"]


def test_the_links_that_leave_stand_raw_in_the_bytes_and_no_answer_of_a_robot_is_wanted():
    long = replace(LINKS, never="https://links.a-very-long-host-name-of-a-shop.example/u/" + "x" * 51)
    letter = write(replace(ASKED, links=long), TEMPLATE, {})

    assert f"\r\nList-Unsubscribe: <{long.never}>\r\n".encode() in letter.content
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in letter.content
    assert b"\r\nAuto-Submitted: auto-generated\r\n" in letter.content


def test_what_a_shop_or_a_purpose_is_called_is_text_and_no_header():
    evil = replace(
        ASKED,
        shop=replace(ASKED.shop, name="<b>Evil</b>\r\nBcc: eve@example.com", sender_name=""),
        promise=replace(PROMISE, what="<script>1</script>"),
    )
    mail, html, _ = parts(evil)

    assert mail["Bcc"] is None
    assert "<b>Evil" not in html
    assert "<script>" not in html
