"""Filling: what templates may do with data, and that a bad block costs the block alone."""

from __future__ import annotations

import jinja2
import pytest

from core.mjml.pages import BARE, SLOTTED, block, page
from handraiser.core.mjml import code
from handraiser.core.mjml.fill import Block, Engine
from handraiser.errors import FillFailed

ENGINE = Engine()


def said(text: str, context: dict) -> tuple[str, str]:
    """What a text of a template comes out as, in the HTML and in the text part."""
    filled = ENGINE.fill(page(BARE.replace("@", f"(({text}))")), {}, context)
    return filled.html.partition("((")[2].partition("))")[0], filled.text.strip()[2:-2]


@pytest.mark.parametrize(
    ("text", "context", "html"),
    [
        ("{{ order.number }}", {"order": {"number": 7}}, "7"),
        ("{{ order.number }}", {"order": {"number": None}}, ""),
        ("{{ order.number }}", {"order": {"number": {"a": 1}}}, ""),
        ("{{ order.number.deep.er }}", {"order": {"number": "x"}}, ""),
        ("{{ order.name|upper }}{{ order.name|lower }}", {"order": {"name": "Zo"}}, "ZOzo"),
        ("{{ order.none|default('-') }}{{ order.empty|default('-', true) }}", {"order": {"empty": ""}}, "--"),
        ("{{ order.lines|length }}{{ order.number|length }}", {"order": {"lines": [1, 2], "number": 5}}, "20"),
        ("{{ order.tags|join(', ') }}{{ order.number|join }}", {"order": {"tags": ["a", 1], "number": 5}}, "a, 1"),
        ("{{ 'yes' if order.a else 'no' }}{{ 'x' if order.b }}", {"order": {"a": "1"}}, "yes"),
        ("{% if order.n > 3 and not order.m %}big{% else %}small{% endif %}", {"order": {"n": 4}}, "big"),
        ("{% if order.n > 3 %}big{% else %}small{% endif %}", {"order": {"n": "many"}}, "small"),
        (
            "{% if 1 < order.n <= 4 %}in{% endif %}{% if 'a' in order.tags %}A{% endif %}",
            {"order": {"n": 4, "tags": ["a"]}},
            "inA",
        ),
        ("{% if 'a' not in order.n %}x{% else %}y{% endif %}", {"order": {"n": 4}}, "y"),
        ("{% if order.n == '4' or order.n != 5 %}x{% endif %}", {"order": {"n": "4"}}, "x"),
        ("{% if order.a %}a{% elif order.b %}b{% else %}c{% endif %}", {"order": {"b": 1}}, "b"),
        ("{% for x in order.n %}x{% endfor %}", {"order": {"n": "abc"}}, ""),
        (
            "{% for x in order.l %}{{ loop.index }}{% if loop.first %}f{% elif loop.last %}l{% endif %}{% endfor %}",
            {"order": {"l": [0, 0]}},
            "1f2l",
        ),
        (
            "{% for x in order.l %}{% for y in x.l %}{{ loop.index }}{{ y }}{% endfor %}{{ loop.index }};{% endfor %}",
            {"order": {"l": [{"l": "z"}, {"l": ["a"]}]}},
            "1;1a2;",
        ),
        (
            "{% for shop in order.l %}{{ shop.name }}{% endfor %}{{ shop.name }}",
            {"order": {"l": [{"name": "a"}]}, "shop": {"name": "b"}},
            "ab",
        ),
        ("{{ shop.name }}{{ shop.brand.text|upper }}", {"shop": {"name": ["x"], "brand": {"text": "r"}}}, "R"),
        ("&#123;{{ order.number }}", {"order": {"number": "a\x1eb"}}, "&#123;a\x1eb"),
    ],
)
def test_the_language_says(text: str, context: dict, html: str):
    assert said(text, context)[0] == html


def test_data_is_escaped_and_never_code():
    html, text = said("{{ customer.name }}", {"customer": {"name": '<b>{{ 7*7 }} & "Zoë"</b>'}})

    assert html == "&lt;b&gt;{{ 7*7 }} &amp; &#34;Zo&#235;&#34;&lt;/b&gt;"
    assert text == '<b>{{ 7*7 }} & "Zoë"</b>'


def test_line_breaks_are_kept_only_where_they_are_meant():
    context = {"order": {"note": "one\n <two>\r\nthree"}}

    assert said("{{ order.note|lines }}", context) == ("one<br> &lt;two&gt;<br>three", "one\n<two>\nthree")
    assert said("{{ order.note }}", context)[1] == "one <two> three"


def test_a_link_without_a_target_says_only_its_words_in_the_text():
    source = '<a href="{{ order.url }}">Order</a>'

    assert said(source, {"order": {"url": "https://a.example/"}})[1] == "Order: https://a.example/"
    assert said(source, {"order": {"url": "javascript:x"}})[1] == "Order"


def test_a_link_to_an_address_is_said_once():
    source = '<a href="mailto:{{ shop.support_email }}">{{ shop.support_email }}</a> <a href="tel:+311">Call</a>'
    html, text = said(source, {"shop": {"support_email": "hi+you@a.example"}})

    assert 'href="mailto:hi%2Byou@a.example"' in html
    assert text == "hi+you@a.example Call: tel:+311"


def test_blocks_stand_in_their_slots_and_bring_their_head():
    columns = block(
        '<mj-section><mj-column width="23%"><mj-text>{{ extra.url }}</mj-text></mj-column>'
        '<mj-column width="77%"><mj-text>b</mj-text></mj-column></mj-section>'
    )
    filled = ENGINE.fill(
        page(SLOTTED), {"ask": (columns, {"extra": {"url": "U"}})}, {"order": {"number": "7"}}, head_extra="<!--x-->"
    )

    head, _, body = filled.html.partition("</head>")
    assert "<!--x-->" in head
    assert "mj-column-per-23" in head
    assert body.index("7") < body.index("U")
    assert filled.text == "7\n\nU\n\nb\n"
    assert filled.slots["ask"][1] == "U\n\nb"


def test_a_block_that_cannot_be_filled_is_dropped_and_named():
    def broken(_: object) -> str:
        raise ZeroDivisionError

    bad = Block("bad", broken, broken, "")
    filled = ENGINE.fill(page(SLOTTED), {"ask": (bad, {})}, {"order": {"number": "7"}})

    assert "7" in filled.text
    assert filled.slots == {}
    assert [slot for slot, _ in filled.failed] == ["ask"]
    with pytest.raises(FillFailed):
        ENGINE.fill_block(bad, {})


def test_many_brands_share_one_program():
    loaded = page(BARE.replace("<mj-text>@", '<mj-text color="{{ shop.brand.text }}">{{ shop.name }}'))

    for number in [*range(20), *range(20)]:
        html = ENGINE.fill(
            loaded, {}, {"shop": {"name": f"Shop {number}", "brand": {"text": f"#0000{number:02}"}}}
        ).html
        assert f"#0000{number:02}" in html
        assert f"Shop {number}<" in html


@pytest.mark.parametrize(
    "source", ["{% set a = 1 %}", "{{ a() }}", "{{ a[0] }}", "{{ a|unknown }}", "{% for a, b in c %}{% endfor %}"]
)
def test_a_program_of_anything_else_is_not_written(source: str):
    with pytest.raises(jinja2.TemplateError):
        code.program(source, filters={}, of_text={}, said=str, finish="".join)
