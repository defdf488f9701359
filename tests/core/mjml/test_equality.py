"""Compile once and fill says the same as compiling every email by itself, whatever the data is."""

# ruff: noqa: E501 - templates read best unbroken

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.mjml import reference
from core.mjml.pages import compiled_block, compiled_page
from handraiser.core.mjml.fill import Engine
from handraiser.core.mjml.text import text_of

PAGE = """<mjml>
  <mj-head>
    <mj-title>{% if refund %}Refund{% else %}Order{% endif %} {{ order.number }}</mj-title>
    <mj-preview>{{ customer.name }} bought {{ order.lines|length }}</mj-preview>
    <mj-attributes>
      <mj-all font-family="{{ shop.brand.font }}" />
      <mj-text color="{{ shop.brand.text }}" />
      <mj-class name="big" font-size="20px" />
    </mj-attributes>
    <mj-style>.x a { color: {{ shop.brand.text }}; }</mj-style>
  </mj-head>
  <mj-body background-color="{{ shop.brand.text }}" css-class="x">
    {{ slot("service") }}
    {% if order.lines %}
    <mj-section>
      {% if refund %}
      <mj-column width="50%"><mj-text mj-class="big">{{ refund.amount }}</mj-text></mj-column>
      {% endif %}
      <mj-column width="50%">
        {% for line in order.lines %}
        {% if line.picture %}<mj-image src="{{ line.picture }}" alt="{{ line.name }}" title="{{ line.name }}" />{% endif %}
        <mj-table><tr><td>{{ loop.index }}. {{ line.name }}</td><td align="right">{{ line.price }}</td></tr>
          {% for option in line.options %}<tr><td colspan="2">{{ option.name }}: {{ option.value }}</td></tr>{% endfor %}
        </mj-table>
        {% if loop.last %}<mj-divider border-color="{{ shop.brand.text }}" />{% endif %}
        {% endfor %}
      </mj-column>
    </mj-section>
    {% elif refund %}
    <mj-wrapper>
      {% for line in refund.lines %}<mj-section><mj-column><mj-text>{{ line.name }}</mj-text></mj-column></mj-section>{% endfor %}
    </mj-wrapper>
    {% else %}
    <mj-hero background-url="{{ shop.url }}" background-height="100px" background-width="100px" height="100px">
      <mj-button href="{{ shop.url }}?{% if refund %}r{% else %}o{% endif %}=1">Nothing for {{ customer.name }}</mj-button>
    </mj-hero>
    {% endif %}
    {{ slot("ask") }}
    <mj-section background-url="{{ shop.url }}">
      <mj-column><mj-text>{{ order.note|lines }}<br /><a href="{{ shop.url }}">Shop</a></mj-text></mj-column>
    </mj-section>
  </mj-body>
</mjml>"""

SERVICE = """<mj-section><mj-column width="30%"><mj-text font-family="Georgia">Dear {{ customer.name }}</mj-text></mj-column>
<mj-column width="70%"><mj-accordion><mj-accordion-element><mj-accordion-title>More</mj-accordion-title>
<mj-accordion-text>{{ order.number }}</mj-accordion-text></mj-accordion-element></mj-accordion></mj-column></mj-section>"""
ASK = """<mj-wrapper padding="10px"><mj-section><mj-group><mj-column width="33%"><mj-text>{{ ask.promise.what }} {{ ask.promise.frequency }} {{ ask.promise.benefit }}
<a href="{{ ask.decline_url }}">No</a> <a href="{{ ask.never_url }}">Never</a> {{ ask.market_line }}</mj-text></mj-column>
<mj-column width="67%"><mj-button href="{{ ask.url }}">Yes</mj-button></mj-column></mj-group></mj-section></mj-wrapper>
{% if order.lines %}<mj-section><mj-column><mj-text css-class="y">{{ ask.promise.what|upper }}</mj-text></mj-column></mj-section>
{% endif %}"""
BLOCKS = {"service": SERVICE, "ask": ASK}
ENGINE = Engine()
COMPILED = ENGINE.load_page(compiled_page(PAGE))
LOADED = {slot: ENGINE.load_block(compiled_block(source, page=PAGE)) for slot, source in BLOCKS.items()}

NASTY = (
    "</mj-text></td></table>",
    "{{ 7*7 }} {% raw %} {# #}",
    "<script>alert('x')</script>",
    "\"quoted\" & 'single'",
    "Zoë 🎉 日本語 ‮אב",
    "a\u00adb\u200dc\u0301",
    "<!--[if mso]><b><![endif]-->",
    "zqe0xzq zqs1xzq &amp; &lt;",
    "]]> ${x} %s {0}",
)
texts = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\\"), max_size=12)
)
plain_links = st.sampled_from(["https://a.example/?x=1&y=2", "https://b.example/%20"])
links = plain_links | st.just("http://c.example/ü")


def _lines(least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    options = st.lists(st.fixed_dictionaries({"name": texts, "value": texts}), max_size=2)
    line = st.fixed_dictionaries(
        {"name": texts, "price": texts, "picture": st.one_of(st.just(""), links), "options": options}
    )
    return st.lists(line, min_size=least, max_size=3)


contexts = st.fixed_dictionaries(
    {
        "shop": st.fixed_dictionaries(
            {
                "url": plain_links,
                "brand": st.fixed_dictionaries(
                    {"font": st.just("Arial, sans-serif"), "text": st.sampled_from(["#123456", "red"])}
                ),
            }
        ),
        "customer": st.fixed_dictionaries({"name": texts}),
        "order": st.fixed_dictionaries(
            {"number": texts, "lines": _lines(0), "note": st.lists(texts, max_size=3).map("\n".join)}
        ),
        "refund": st.one_of(st.none(), st.fixed_dictionaries({"amount": texts, "lines": _lines(0)})),
        "ask": st.fixed_dictionaries(
            {
                "url": links,
                "decline_url": links,
                "never_url": links,
                "market_line": texts,
                "promise": st.fixed_dictionaries({"what": texts, "frequency": texts, "benefit": texts}),
            }
        ),
    }
)
placed = st.sets(st.sampled_from(sorted(BLOCKS)))
modest = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@modest
@given(contexts, placed)
def test_filling_equals_compiling_the_filled_source(context: dict[str, Any], slots: set[str]):
    filled = ENGINE.fill(COMPILED, {slot: (LOADED[slot], {}) for slot in sorted(slots)}, context)
    alone = reference.per_email(
        PAGE, {}, {slot: BLOCKS[slot] for slot in slots}, context, words={}, locale="en", direction="ltr"
    )

    assert filled.failed == ()
    assert reference.body(filled.html) == reference.body(alone)
    assert reference.rules(alone) <= reference.rules(filled.html)


@modest
@given(contexts, placed)
def test_the_text_part_says_what_the_filled_html_says(context: dict[str, Any], slots: set[str]):
    filled = ENGINE.fill(COMPILED, {slot: (LOADED[slot], {}) for slot in sorted(slots)}, context)

    assert _words(filled.text) == _words(text_of(filled.html.partition("</head>")[2]))
    assert filled.html.isascii()


def _words(text: str) -> str:
    """White space apart: an empty name may leave a space before the colon of its link."""
    return " ".join(text.split()).replace(" :", ":")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["lines", "name", "url", "brand"]), inner)
    ),
    max_leaves=8,
)


@modest
@given(st.dictionaries(st.sampled_from(["shop", "customer", "order", "refund", "ask"]), JSON))
def test_no_shape_of_data_makes_a_fill_fail(context: dict[str, Any]):
    filled = ENGINE.fill(COMPILED, {slot: (block, {}) for slot, block in LOADED.items()}, context)

    assert filled.failed == ()
    assert "Shop" in filled.text


@pytest.mark.parametrize("slot", sorted(BLOCKS))
def test_a_block_compiled_alone_equals_the_page_compiled_with_it(slot: str):
    whole = ENGINE.load_page(
        compiled_page(PAGE.replace(f'{{{{ slot("{slot}") }}}}', BLOCKS[slot]).replace("ask.", "extra."))
    )
    context = {
        "shop": {"brand": {"font": "Arial", "text": "red"}, "url": "https://a.example/"},
        "order": {"lines": [{}]},
    }
    ask = {"url": "https://go.example/", "promise": {"what": "News"}}

    alone = ENGINE.fill(COMPILED, {slot: (LOADED[slot], {"ask": ask})}, context)
    together = ENGINE.fill(whole, {}, {**context, "extra": ask})

    assert reference.body(alone.html) == reference.body(together.html)
    assert reference.rules(alone.html) == reference.rules(together.html)
    assert alone.text.split() == together.text.split()
