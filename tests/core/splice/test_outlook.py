"""What Outlook for Windows reads of a mail."""

from __future__ import annotations

import time

import pytest

from handraiser.core.splice.outlook import holds, outlook_view


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        (" mso", True),
        (" !mso", False),
        (" gte mso 9", True),
        (" gte mso 16", True),
        (" gt mso 16", False),
        (" lt mso 9", False),
        (" lte mso 15", False),
        (" mso 16", True),
        (" mso 12", False),
        (" mso | IE", True),
        (" IE", False),
        (" (gte mso 9)|(IE)", True),
        ("(gte mso 9)&(lt mso 12)", False),
        (" !(mso)", False),
        (" !(IE)", True),
        (" !mso & !IE", False),
        (" vml", True),
        (" true", True),
        (" false", False),
        (" MSO", True),
        (" mso mso", False),
        (" (mso", False),
        (" Gecko", False),
        ("", False),
    ],
)
def test_a_condition_is_decided_for_mso_16(condition: str, true: bool):
    assert holds(condition) is true


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ("a<!--[if mso]>b<![endif]-->c", "abc"),
        ("a<!--[if !mso]>b<![endif]-->c", "ac"),
        ("a<!--[if !mso]><!-->b<!--<![endif]-->c", "ac"),
        ("a<!--[if mso]><!-->b<!--<![endif]-->c", "abc"),
        ("a<!--[if !mso]>-->b<!--<![endif]-->c", "ac"),
        ("a<!--[if !mso]><!-- -->b<!--<![endif]-->c", "ac"),
        ("a<![if !mso]>b<![endif]>c", "ac"),
        ("a<![if mso]>b<![endif]>c", "abc"),
        ("a<!--[if mso]>b<!--[if lt mso 9]>c<![endif]-->d<![endif]-->e", "abde"),
        ("a<!--[if lt mso 9]>b--> c", "a c"),
        ("a<!-- b --><p>c</p>", "a<!-- b --><p>c</p>"),
        ("a<![endif]-->b", "a<![endif]-->b"),
        ("a<!--[if mso]>b", "ab"),
        ("a<!--[if !mso]>b", "a"),
        ("a<!--[if gte mso 9]><xml><w:Zoom/></xml><xml><o:PNG/></xml>b<![endif]-->c", "abc"),
        ("a<!--[if mso]><xml>b<![endif]--></xml>c", "a<xml>b</xml>c"),
        ("<xml>a</xml><!--[if mso]>b<![endif]--><xml>c</xml>", "<xml>a</xml>b<xml>c</xml>"),
    ],
)
def test_what_is_for_outlook_is_opened_and_what_is_kept_from_it_left_out(html: str, seen: str):
    assert outlook_view(html) == seen


def test_reading_takes_time_with_the_length_only():
    started = time.perf_counter()
    outlook_view("<!--[if mso]>" * 40_000 + "<!--[if" * 40_000 + "<![endif]-->" * 40_000)

    assert time.perf_counter() - started < 20, "quadratic time would be minutes"
