"""A finished mail comes back with words in its body and all else as it was, or it is left alone for a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.splice import mime
from handraiser.core.splice.mime import Mail, read, splice
from handraiser.core.splice.mime_reasons import Reason, Untouchable
from handraiser.core.splice.mime_words import place_text
from mails import Made, differences, every_mail, file, html, leaf, mail, multipart, text

BLOCK = '<!--enrich:a\n--><table role="presentation"><tr><td><p>Join = yes</p></td></tr></table><!--/enrich:a\n-->'
WORDS = "Would you like to hear from us?\nhttps://lumen.example/o/abc"
MADE = every_mail()
ENRICHED = [one for one in MADE if one.reason is None]


def opened(raw: bytes) -> Mail:
    found = read(raw)
    assert isinstance(found, Mail), found
    return found


def reason(raw: bytes) -> Reason | None:
    found = read(raw)
    return found.reason if isinstance(found, Untouchable) else None


def before_the_end(source: str) -> int:
    at = source.lower().rfind("</body>")
    return len(source) if at < 0 else at


def enriched(found: Mail) -> tuple[bytes | Untouchable, dict[str, str]]:
    """The mail with both parts enriched, and what was to come into it."""
    in_html = (before_the_end(found.html.text), BLOCK) if found.html else None
    in_text = (place_text(found.text.text), WORDS) if found.text else None
    inserted = ({"text/html": BLOCK} if in_html else {}) | ({"text/plain": WORDS} if in_text else {})
    return splice(found, html=in_html, text=in_text), inserted


def wrong_with(made: Made) -> object:
    found = read(made.raw)
    if isinstance(found, Untouchable) or made.reason:
        got = found.reason if isinstance(found, Untouchable) else None
        return None if got == made.reason else f"{got} instead of {made.reason}"
    if (found.html is not None, found.text is not None) != (made.html, made.text):
        return "another body"
    result, inserted = enriched(found)
    return result.reason if isinstance(result, Untouchable) else differences(made.raw, result, inserted) or None


def test_each_mail_is_enriched_in_the_parts_of_its_body_or_left_alone_for_its_reason():
    wrong = {made.name: what for made in MADE if (what := wrong_with(made))}

    assert wrong == {}
    assert len({made.name for made in MADE}) == len(MADE) > 700


def test_every_reason_is_shown_by_a_mail_or_by_a_test():
    shown = {made.reason for made in MADE if made.reason}
    limits = {"too_large", "too_many_lines", "too_many_parts", "too_deep"}
    splicing = {"no_such_part", "unspliceable_text", "unwritable_text", "line_too_long", "result_differs"}

    assert shown | limits | splicing == {str(one) for one in Reason}


def test_a_mail_that_nothing_is_put_into_stays_as_it_is():
    assert [one.name for one in ENRICHED if splice(opened(one.raw)) != one.raw] == []


@given(st.sampled_from(ENRICHED), st.floats(0, 1), st.floats(0, 1), st.data())
@settings(deadline=None)
def test_wherever_words_are_put_they_are_all_that_came(made: Made, high: float, low: float, data: st.DataObject):
    found = opened(made.raw)
    block = "<!--1-->" + data.draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
    words = "Q1 " + data.draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=90))
    in_html = (int(high * len(found.html.text)), block) if found.html else None
    in_text = (int(low * len(found.text.text)), words) if found.text else None
    result = splice(found, html=in_html, text=in_text)
    inserted = ({"text/html": block} if in_html else {}) | ({"text/plain": words} if in_text else {})

    if isinstance(result, Untouchable):
        assert result.reason in (Reason.UNSPLICEABLE_TEXT, Reason.LINE_TOO_LONG)
    else:
        assert differences(made.raw, result, inserted) == []


def test_the_html_alone_or_the_text_alone_can_be_enriched():
    both = mail(multipart("mixed", multipart("alternative", text(), html()), file()))
    found = opened(both)
    assert found.html
    assert found.text
    in_html = splice(found, html=(before_the_end(found.html.text), BLOCK))
    in_text = splice(found, text=(0, WORDS))

    assert isinstance(in_html, bytes)
    assert isinstance(in_text, bytes)
    assert differences(both, in_html, {"text/html": BLOCK}) == []
    assert differences(both, in_text, {"text/plain": WORDS}) == []


def test_a_mail_can_be_enriched_twice():
    once, _ = enriched(opened(mail(html(encoding="base64"))))
    assert isinstance(once, bytes)
    found = opened(once)
    assert found.html
    twice = splice(found, html=(0, "<!--2-->"))

    assert isinstance(twice, bytes)
    assert differences(once, twice, {"text/html": "<!--2-->"}) == []


def test_signed_mail_is_read_where_the_caller_will_sign_it_again():
    signed = mail(html(), ("DKIM-Signature", "v=1; b=AAAA"), ("ARC-Seal", "i=1; b=AAAA"))
    found = read(signed, signed_ok=True)

    assert reason(signed) == Reason.DKIM_SIGNED
    assert isinstance(found, Mail)
    assert isinstance(enriched(found)[0], bytes)


def test_headers_are_given_decoded_and_in_their_order():
    found = opened(mail(html(), ("X-Shop", "one"), ("x-shop", "=?iso-8859-1?q?zw=F6lf?=\n drei")))

    assert found.header("subject") == "Ihre Bestellung 1001 über 89,00"
    assert found.headers("X-SHOP") == ["one", "zwölf drei"]
    assert found.header("X-None") is None


def test_what_is_too_large_too_long_too_wide_or_too_deep_is_left_alone():
    deep = html()
    for _ in range(mime.MAX_DEPTH + 1):
        deep = multipart("mixed", deep)
    wide = multipart("mixed", *([file(data=b"x")] * mime.MAX_PARTS))

    assert reason(mail(deep)) == Reason.TOO_DEEP
    assert reason(mail(wide)) == Reason.TOO_MANY_PARTS
    assert reason(mail(html()) + b"\n" * mime.MAX_LINES) == Reason.TOO_MANY_LINES
    assert read(mail(html()), max_bytes=100) == Untouchable(Reason.TOO_LARGE)


@pytest.mark.parametrize("offset", [-1, 10**6])
def test_a_place_outside_the_text_and_a_part_that_is_not_there_are_refused(offset: int):
    found = opened(mail(html()))

    assert splice(found, html=(offset, BLOCK)) == Untouchable(Reason.NO_SUCH_PART)
    assert splice(found, text=(0, WORDS)) == Untouchable(Reason.NO_SUCH_PART)


def test_html_that_is_not_ascii_is_refused():
    assert splice(opened(mail(html())), html=(0, "<p>schön</p>")) == Untouchable(Reason.UNWRITABLE_TEXT)


def test_words_that_would_make_another_structure_are_refused():
    found = opened(mail(multipart("mixed", html(encoding="8bit"), boundary="xyz")))

    assert splice(found, html=(0, "a\n--xyz\n\nb")) == Untouchable(Reason.RESULT_DIFFERS)
    assert splice(found, html=(0, "a\n--xyz--\nb")) == Untouchable(Reason.RESULT_DIFFERS)


def test_no_line_grows_beyond_what_smtp_carries_unless_one_was_longer():
    short = opened(mail(leaf("text/html", "<p>" + "x" * 900 + "</p>\n", encoding="8bit")))
    long = opened(mail(leaf("text/html", "<p>" + "x" * 2000 + "</p>\n", encoding="8bit")))

    assert splice(short, html=(5, "y" * 100)) == Untouchable(Reason.LINE_TOO_LONG)
    assert isinstance(splice(short, html=(5, "\n" + "y" * 100 + "\n")), bytes)
    assert isinstance(splice(long, html=(5, "y" * 100)), bytes)
