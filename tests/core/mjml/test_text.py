"""The text part: what a reader of the HTML sees, links written out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.mjml.text import text_of, tidy


def test_headings_paragraphs_and_lists_stand_apart():
    assert (
        text_of("<h1>Hello</h1><p>a<br>b</p><ul><li>c</li><li>d</li></ul><div>e</div>")
        == "Hello\n\na\nb\n\n- c\n- d\n\ne"
    )


def test_rows_are_lines_and_cells_stand_side_by_side():
    assert text_of("<table><tr><td>Lamp</td><td>9.00</td></tr><tr><td>Total</td><td>9.00</td></tr></table>") == (
        "Lamp 9.00\nTotal 9.00"
    )


def test_what_is_hidden_or_for_outlook_alone_is_not_said():
    html = (
        '<div style="display:none">preview</div><style>x</style><!--[if mso]>o<![endif]--><p>seen</p><title>t</title>'
    )

    assert text_of(html) == "seen"


def test_links_follow_their_words_and_pictures_say_their_alt():
    assert text_of('<a href="https://a.example/"><img alt="Shop" src="x"></a>') == "Shop: https://a.example/"
    assert text_of('<a href="https://a.example/">https://a.example/</a>') == "https://a.example/"
    assert text_of('<a href="https://a.example/"><img alt="" src="x"></a>') == "https://a.example/"
    assert text_of('<a href="#top">Up</a>') == "Up"


@given(st.text(st.sampled_from("ab \n\t\xa0\u202f"), max_size=60))
def test_tidying_keeps_the_words_and_is_done_once(text: str):
    once = tidy(text)

    assert once.split() == text.split()
    assert tidy(once) == once
    assert "  " not in once
    assert "\n\n\n" not in once
    assert once == once.strip()
