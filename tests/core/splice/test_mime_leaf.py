"""What a text part says, and its bytes with something in them: only those at the place are new."""

from __future__ import annotations

import pytest

from handraiser.core.splice.mime import Mail, read
from handraiser.core.splice.mime_leaf import Leaf
from handraiser.core.splice.mime_reasons import Doubt, Reason
from mails import WORDS, html, html_of, leaf, mail, text


def leaf_of(part: bytes) -> Leaf:
    found = read(mail(part))
    assert isinstance(found, Mail), found
    opened = found.html or found.text
    assert opened
    return opened


def plain(words: str, charset: str = "utf-8", encoding: str = "quoted-printable", eol: bytes = b"\r\n") -> Leaf:
    return leaf_of(leaf("text/plain", words, charset, encoding, eol))


def refusal(opened: Leaf, offset: int, words: str) -> Reason:
    with pytest.raises(Doubt) as caught:
        opened.splice(offset, words)
    return caught.value.reason


def test_a_quoted_printable_insertion_stands_between_soft_line_breaks():
    assert plain("Grüße von Lumen\n").splice(6, "Já =") == b"Gr=C3=BC=C3=9Fe =\r\nJ=C3=A1 =3D=\r\nvon Lumen\r\n"
    assert plain("Grüße von Lumen\n", eol=b"\n").splice(2, "x") == b"Gr=\nx=\n=C3=BC=C3=9Fe von Lumen\n"


def test_no_soft_break_stands_where_a_line_begins_or_ends_anyway():
    assert plain("one\ntwo\n").splice(5, "x\n") == b"one\r\nx\r\ntwo\r\n"
    assert plain("one").splice(3, "x") == b"one=\r\nx"
    assert plain("one").splice(0, "x") == b"x=\r\none"


def test_words_are_put_behind_a_soft_break_that_stands_at_the_place():
    long = plain("a" * 100)
    first_line = long.body.index(b"=\r\n")

    assert long.splice(first_line, "x").startswith(b"a" * first_line + b"=\r\nx=\r\na")


def test_words_come_before_a_soft_break_that_ends_the_part():
    part = leaf("text/plain", "", encoding="quoted-printable") + b"one="

    assert leaf_of(part).splice(3, "x") == b"one=\r\nx=\r\n="


def test_long_words_and_blanks_at_line_ends_are_quoted():
    spliced = plain("one\n").splice(5, "x" * 200 + " \n.\nend")

    assert max(map(len, spliced.split(b"\r\n"))) <= 76
    assert b"=20\r\n" in spliced


def test_base64_lines_before_the_place_stay_and_the_others_keep_their_width():
    opened = leaf_of(html(encoding="base64"))
    offset = len(opened.text) // 2
    old, new = opened.body.split(b"\r\n"), opened.splice(offset, "<p>x</p>").split(b"\r\n")
    kept = len(opened.text[:offset].encode()) // 57

    assert old[:kept] == new[:kept]
    assert {len(line) for line in new[:-2]} == {76}
    assert new[-1] == old[-1] == b""


def test_base64_in_one_line_or_of_an_odd_width_is_written_in_lines_that_fit():
    one_line = leaf_of(leaf("text/plain", "", encoding="base64") + b"QUJD" * 2000)
    odd = leaf_of(leaf("text/plain", "", encoding="base64") + b"QUJDR\r\nEVG")
    narrow = leaf_of(leaf("text/plain", "", encoding="base64") + b"QUJD\r\nREVG\r\n")

    assert {len(line) for line in one_line.splice(3, "x").split(b"\r\n")[:-1]} == {76}
    assert odd.splice(6, "x") == b"QUJDREVGeA=="
    assert narrow.splice(4, "x") == b"QUJD\r\nRHhF\r\nRg==\r\n"


def test_a_7bit_part_stays_7bit():
    seven = plain("Thank you\n", "utf-8", "7bit")

    assert seven.splice(0, "Já, graag – ") == b"Ja, graag - Thank you\r\n"
    assert refusal(seven, 0, "نعم") == Reason.UNWRITABLE_TEXT


def test_words_are_written_in_the_letters_that_the_charset_has():
    latin = plain("größer\n", "iso-8859-1", "8bit")

    assert latin.splice(0, "Größe: 5 € – „ja“ 🎁 ") == 'Größe: 5 EUR - "ja"  größer\r\n'.encode("latin-1")
    assert refusal(latin, 0, "Спасибо") == Reason.UNWRITABLE_TEXT
    assert plain("ok\n", "windows-1252", "8bit").splice(0, "5 €").startswith(b"5 \x80")
    assert plain("شكرا\n", "windows-1256").splice(0, "نعم").startswith(b"=E4=DA=E3=\r\n")


def test_the_line_ends_of_the_words_become_those_of_the_text():
    assert plain("one\n", encoding="8bit").splice(0, "a\nb\r\nc\rd\n") == b"a\r\nb\r\nc\r\nd\r\none\r\n"
    assert plain("one\n", encoding="8bit", eol=b"\n").splice(0, "a\r\nb\n") == b"a\nb\none\n"


def test_inside_a_line_end_there_is_no_place():
    assert refusal(plain("one\ntwo\n"), 4, "x") == Reason.UNSPLICEABLE_TEXT


@pytest.mark.parametrize("charset", ["utf-16", "utf-16le", "utf-16be", "utf-32"])
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "binary"])
def test_wide_charsets_keep_their_byte_order(charset: str, encoding: str):
    part = leaf("text/plain", "Grüße\nvon", charset, encoding)
    opened = leaf_of(part)
    spliced = opened.splice(5, "\nJá\n€")

    assert opened.text == "Grüße\r\nvon"
    assert leaf_of(part.removesuffix(opened.body) + spliced).text == "Grüße\r\nJá\r\n€\r\nvon"


def test_iso_2022_jp_can_be_cut_between_runs_of_japanese_and_not_within_one():
    opened = plain("<p>ご注文</p>", "iso-2022-jp", "7bit")

    assert opened.splice(6, "<b>").count(b"\x1b(B") == 1
    assert b"<b></p>" in opened.splice(6, "<b>")
    assert refusal(opened, 4, "<b>") == Reason.UNSPLICEABLE_TEXT


def test_hz_and_utf_7_escape_what_they_must():
    assert b"~~" in plain("<p>感谢</p>", "hz", "7bit").splice(0, "~ ")
    assert b"+- +" in plain("<p>Grüße</p>", "utf-7", "7bit").splice(0, "+ é")


def test_characters_with_several_byte_forms_stay_in_the_form_they_came_in():
    # U+2252 is 81 E0 and 87 90 in code page 932; Python writes the first.
    body = b"\x87\x90 total\r\n"
    opened = leaf_of(leaf("text/plain", "", "shift_jis", "8bit") + body)

    assert opened.text == "≒ total\r\n"
    assert opened.splice(1, "x") == b"\x87\x90x total\r\n"


def test_bytes_that_are_nothing_in_their_charset_are_shown_as_such_and_stay():
    opened = leaf_of(leaf("text/plain", "", "utf-8", "8bit") + b"\xfcber \xc3\xa4\r\n")

    assert opened.text == "\ufffdber ä\r\n"
    assert opened.splice(6, "é") == b"\xfcber \xc3\xa4\xc3\xa9\r\n"


def test_a_letter_that_would_complete_half_a_character_is_refused():
    opened = leaf_of(leaf("text/plain", "", "gbk", "8bit") + b"\xb8\xd0 \xb8\r\n")

    assert opened.text == "感 \ufffd\r\n"
    assert refusal(opened, 3, "xyz") == Reason.UNSPLICEABLE_TEXT


def test_a_byte_order_mark_is_no_part_of_the_text_and_stays_in_front():
    opened = leaf_of(leaf("text/plain", "", "utf-8", "8bit") + b"\xef\xbb\xbfHello")

    assert opened.text == "Hello"
    assert opened.splice(0, "x") == b"\xef\xbb\xbfxHello"


@pytest.mark.parametrize("charset", [one for one in WORDS if one not in ("utf-16", "utf-32")])
def test_text_is_decoded_as_it_was_written(charset: str):
    opened = leaf_of(html(WORDS[charset], charset, "base64", eol=b"\n"))

    assert opened.text == html_of(WORDS[charset])
    assert (opened.charset, opened.encoding, opened.line_end) == (charset, "base64", "\n")


def test_flowed_text_is_known_as_such():
    assert leaf_of(text(parameters="; format=Flowed; delsp=no")).flowed
    assert not leaf_of(text()).flowed
