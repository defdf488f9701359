"""Words in a plain text: a paragraph of its own, before the signature, in letters that its reader has."""

from __future__ import annotations

import pytest

from handraiser.core.splice.mime_reasons import Doubt
from handraiser.core.splice.mime_words import paragraph, place_text, writable


def put(text: str, words: str = "Ask", *, flowed: bool = False) -> str:
    at = place_text(text)
    return text[:at] + paragraph(words, text, at, flowed=flowed) + text[at:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thanks\n\n-- \nLumen\n", "Thanks\n\nAsk\n\n-- \nLumen\n"),
        ("Thanks\n-- \nLumen\n", "Thanks\n\nAsk\n\n-- \nLumen\n"),
        ("Thanks\n--\nLumen\n", "Thanks\n\nAsk\n\n--\nLumen\n"),
        ("-- \nquoted\n\nThanks\n-- \nLumen", "-- \nquoted\n\nThanks\n\nAsk\n\n-- \nLumen"),
        ("-- \nLumen", "Ask\n\n-- \nLumen"),
        ("Thanks", "Thanks\n\nAsk"),
        ("Thanks\n", "Thanks\n\nAsk\n"),
        ("Thanks\n\n\n", "Thanks\n\nAsk\n\n\n"),
        ("Thanks --\nmore -- \n", "Thanks --\nmore -- \n\nAsk\n"),
        ("", "Ask"),
        ("\n\n", "Ask\n\n\n"),
    ],
)
def test_words_stand_before_the_signature_or_behind_the_last_line(text: str, expected: str):
    assert put(text) == expected


ORDER = "Thank you for your order\n\n1 x Lamp 89.00\nTotal: 89.00\n"


@pytest.mark.parametrize(
    ("before", "footer"),
    [
        (ORDER + "\n", "Questions? Write to us.\n\nLumen\n"),
        (ORDER + "\n", "----------\nUnsubscribe: https://lumen.example\n"),
        (ORDER + "\n", "==========\n\n© 2026 Lumen\n"),
        (ORDER, "----------\nFragen? Schreiben Sie uns.\n"),
        (ORDER + "\nGreetings\n=========\n\n", "Sie erhalten diese E-Mail ...\n"),
        (ORDER + "\n", "Lumen GmbH\nGeschäftsführer: Bob\n"),
        (ORDER + "\n", "أسئلة؟ راسلنا\n"),
        ("Unsubscribe above is a link\n\n" + ORDER + "\n", "Impressum\n"),
        (ORDER + "\nQuestions? Call us.\n\nTotal with VAT: 89.00\n\n", "Privacy policy\n"),
        (ORDER + "\nTotal without a blank line\nUnsubscribe\n", ""),
        (ORDER + "\nJust a last word\n", ""),
    ],
)
def test_words_stand_before_the_footer_and_below_the_order(before: str, footer: str):
    assert put(before + footer) == before + ("" if before.endswith("\n\n") else "\n") + "Ask\n" + (
        "\n" + footer if footer else ""
    )


def test_a_footer_is_looked_for_near_the_end_alone():
    assert place_text("Impressum\n\n" * 200_000) > 200_000 * 11 - 20_000


def test_a_text_with_crlf_has_one_blank_line_around_the_words_too():
    assert put("Thanks\r\n\r\n-- \r\nLumen\r\n") == "Thanks\r\n\r\nAsk\n\n-- \r\nLumen\r\n"


def test_in_flowed_text_no_line_of_the_words_flows_into_another():
    words = "One \n> two\n from\nFrom us"

    assert put("Thanks \nmuch \n", words, flowed=True) == "Thanks \nmuch \n\nOne\n > two\n  from\n From us\n"
    assert "\n> two" in put("Thanks\n", words)


@pytest.mark.parametrize(
    ("words", "codec", "written"),
    [
        ("Größe é", "latin-1", "Größe é"),
        ("Größe é ł ø ŵ", "ascii", "Grosse e l o w"),
        ("„ja“ – ’s 5 € … •", "ascii", '"ja" - \'s 5 EUR ... *'),
        ("a\xa0b\u200b 🎁!", "ascii", "a b !"),
        ("1 § 2", "ascii", "1 ? 2"),
        ("①", "ascii", "1"),
    ],
)
def test_letters_that_a_charset_lacks_get_plain_ones(words: str, codec: str, written: str):
    assert writable(words, codec, ascii_only=False) == written


@pytest.mark.parametrize("words", ["نعم", "да", "はい", "ok да"])
def test_words_that_nobody_could_read_are_refused(words: str):
    with pytest.raises(Doubt):
        writable(words, "latin-1", ascii_only=False)
