"""Compiling: where faults are told, what the finished HTML looks like, and what a program's address depends on."""

from __future__ import annotations

import re

import pytest

from core.mjml.pages import ASKED, BARE, SLOTTED, compiled_block, compiled_page, page
from handraiser.core.mjml.balance import browser_view, outlook_view, unbalanced
from handraiser.core.mjml.compile import block_key, laid_out, page_key
from handraiser.core.mjml.fill import Engine
from handraiser.core.mjml.program import CompiledBlock, CompiledPage
from handraiser.core.mjml.source import Source
from handraiser.errors import TemplateFault, TemplateRefused


def faults(source: str, **how) -> list[TemplateFault]:
    with pytest.raises(TemplateRefused) as refused:
        compiled_page(source, **how)
    return list(refused.value.faults)


def filled(source: str, context: dict | None = None, **how) -> str:
    return Engine().fill(page(source, **how), {}, context or {}).html


def in_text(text: str) -> str:
    return BARE.replace("@", text)


def test_a_misspelt_element_is_told_with_its_line_column_and_what_was_meant():
    (fault,) = faults("<mjml>\n<mj-body>\n  <mj-secton></mj-secton>\n</mj-body></mjml>")

    assert (fault.line, fault.column, fault.code) == (3, 3, "unknown_element")
    assert fault.suggestion == "did you mean <mj-section>?"


def test_a_misspelt_attribute_is_told_with_what_was_meant():
    (fault,) = faults(in_text("x").replace("<mj-text>", '<mj-text font-sise="12px">'))

    assert (fault.code, fault.suggestion) == ("unknown_attribute", "did you mean font-size?")


def test_a_misspelt_name_filter_or_statement_is_told_with_what_was_meant():
    assert faults(in_text("{{ custmer.name }}"))[0].suggestion == "did you mean customer?"
    assert faults(in_text("{{ order.note|linez }}"))[0].suggestion == "did you mean lines?"
    assert faults(in_text("{% iff order.note %}x{% endif %}"))[0].suggestion in (
        "did you mean if?",
        "did you mean elif?",
    )


def test_all_faults_are_told_at_once():
    found = faults(in_text('<b onclick="x">a</b><mj-tex>b</mj-tex><a href="ftp://x/">c</a>'))

    assert [fault.code for fault in found] == ["handler", "unknown_element", "bad_url"]


def test_a_fault_in_a_part_names_the_part_and_its_own_line():
    parts = {
        "parts/outer.mjml": '\n<mj-include path="parts/inner.mjml" />',
        "parts/inner.mjml": "\n\n <b>{{ ordr.id }}</b>",
    }

    (fault,) = faults(in_text('{{ order.number }} é\n<mj-include path="parts/outer.mjml" />'), parts=parts)

    assert (fault.source, fault.line, fault.column) == ("parts/inner.mjml", 3, 5)


def test_a_fault_after_folded_words_still_names_its_column():
    source = in_text('{{ _("Hello {name},", name=customer.name) }}<x></x>')

    (fault,) = faults(source, words={"Hello {name},": "Ein sehr langer Gruß an {name}, der die Zeile verschiebt,"})

    assert fault.column == source.index("<x>") + 1


def test_parts_that_include_each_other_are_refused():
    assert faults(in_text('<mj-include path="a" />'), parts={"a": '<mj-include path="a" />'})[0].code == "include_depth"
    assert faults(in_text('<mj-include path="parts/fot.mjml" />'), parts={"parts/foot.mjml": ""})[0].suggestion


def test_words_are_put_in_with_their_places_and_escaped():
    html = filled(
        in_text('{{ _("Hello {name}, a < b", name=customer.name) }}'),
        {"customer": {"name": "Zoë & Bob"}},
        words={"Hello {name}, a < b": '{name}: groeten & "meer" > é'},
    )

    assert "Zo&#235; &amp; Bob: groeten &amp; &quot;meer&quot; &gt; &#233;" in html


def test_words_that_name_what_is_not_given_are_refused():
    assert faults(in_text('{{ _("Hi {name}", nam=customer.name) }}'))[0].suggestion == "did you mean nam?"
    assert faults(in_text('{{ _("Hi") ~ "x" }}'))[0].code == "bad_words"
    assert faults(in_text("{{ _(order.number) }}"))[0].code == "bad_words"


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        ('<mj-image alt="{{ order.number }}" src="{{ order.url }}">x{{ order.id }}</mj-image>', "text_place"),
        ("{{ order.id }}", "text_place"),
        ("<mj-table>{{ order.id }}<tr><td>x</td></tr></mj-table>", "text_place"),
        (
            "<mj-text><p>{{ order.note|upper|lines }}</p><i title='{{ order.note|lines }}'>x</i></mj-text>",
            "lines_place",
        ),
        ("<mj-text>{{ (order.note|lines)|upper }}</mj-text>", "lines_place"),
        ("<mj-text><mj-button>x</mj-button></mj-text>", "wrong_place"),
        ('<mj-text><a href="{% if order.url %}https://x.example/{% endif %}{{ order.id }}">x</a></mj-text>', "bad_url"),
        ("<mj-text>{% for a in order.lines %}{{ loop.revindex }}{% endfor %}</mj-text>", "no_such_name"),
        ("<mj-text>{% for _a in order.lines %}x{% endfor %}</mj-text>", "bad_loop"),
        ('<mj-text>{{ slot("ask") }}</mj-text>', "slot_place"),
    ],
)
def test_what_would_be_lost_or_moved_is_refused(inside: str, code: str):
    source = f"<mjml><mj-body><mj-section><mj-column>{inside}</mj-column></mj-section></mj-body></mjml>"

    assert faults(source)[0].code == code


def test_a_block_that_asks_says_all_that_is_promised_and_both_answers():
    whole = f"<mj-section><mj-column><mj-text>{ASKED}</mj-text></mj-column></mj-section>"
    assert compiled_block(whole).text.startswith("Yes")

    for path in (
        "url",
        "decline_url",
        "never_url",
        "promise.what",
        "promise.frequency",
        "promise.benefit",
        "market_line",
    ):
        with pytest.raises(TemplateRefused) as refused:
            compiled_block(whole.replace(f"{{{{ ask.{path} }}}}", "https://x.example/"))
        assert [fault.code for fault in refused.value.faults] == ["ask_incomplete"]


@pytest.mark.parametrize(
    ("written", "hidden"),
    [
        ("{{ ask.market_line }}", "{% if order.note %}{{ ask.market_line }}{% endif %}"),
        ("{{ ask.market_line }}", "{% if not order.note %}{{ ask.market_line }}{% endif %}"),
        ("{{ ask.market_line }}", "{% for line in order.lines %}{{ ask.market_line }}{% endfor %}"),
        ("{{ ask.market_line }}", "{{ ask.market_line|upper }}"),
        ("{{ ask.never_url }}", "{% if order.note %}{{ ask.never_url }}{% endif %}"),
    ],
)
def test_no_order_can_hide_the_markets_line_or_the_link_that_objects(written: str, hidden: str):
    whole = f"<mj-section><mj-column><mj-text>{ASKED}</mj-text></mj-column></mj-section>"
    assert written in whole

    with pytest.raises(TemplateRefused) as refused:
        compiled_block(whole.replace(written, hidden))

    assert {fault.code for fault in refused.value.faults} == {"ask_incomplete"}


def test_the_markets_line_may_stand_under_a_condition_on_itself():
    whole = f"<mj-section><mj-column><mj-text>{ASKED}</mj-text></mj-column></mj-section>"
    line = "{% if ask.market_line %}<br />{{ ask.market_line }}{% endif %}"

    compiled_block(whole.replace("{{ ask.market_line }}", line))


def test_a_slot_is_known_stands_once_and_outside_branches():
    assert faults(SLOTTED.replace('"ask"', '"aks"'))[0].suggestion == "did you mean ask?"
    assert faults(SLOTTED.replace('"ask"', '"service"'))[0].code == "slot_twice"
    branch = SLOTTED.replace('{{ slot("ask") }}', '{% if refund %}{{ slot("ask") }}{% endif %}')
    assert faults(branch)[0].code == "slot_place"


def test_columns_beside_a_branch_need_a_width():
    section = "<mj-section>{% if refund %}<mj-column WIDTH><mj-text>x</mj-text></mj-column>{% endif %}</mj-section>"
    source = f"<mjml><mj-body>{section}</mj-body></mjml>"

    assert faults(source.replace(" WIDTH", ""))[0].code == "column_width"
    assert compiled_page(source.replace("WIDTH", 'width="50%"')).html


def test_a_panic_of_the_engine_is_a_fault_and_not_the_end_of_the_worker():
    source = '<mjml><mj-head><mj-include path="x.html" type="html" /></mj-head><mj-body></mj-body></mjml>'

    with pytest.raises(TemplateRefused, match="cannot read this"):
        laid_out(Source.of("page", source), source, include_loader=lambda _: "<p>x</p>")


def test_the_finished_html_is_ascii_has_roles_and_merged_comments():
    source = in_text("é").replace(
        "</mj-section>", "</mj-section><mj-section><mj-column><mj-table></mj-table></mj-column></mj-section>"
    )
    html = filled(source)

    assert html.isascii()
    assert "&#233;" in html
    assert re.findall(r"<table(?![^>]*role=)[^>]*>", html) == []
    assert not re.search(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>", html)


def test_language_and_direction_stand_on_the_page_and_sides_are_mirrored():
    source = in_text("x").replace("<mj-text>", '<mj-text align="left" padding="1px 2px 3px 4px">')
    html = filled(source, locale="ar", direction="rtl")

    assert '<html lang="ar" dir="rtl"' in html
    assert "text-align:right" in html
    assert "padding:1px 4px 3px 2px" in html
    assert "text-align:left" not in html


def test_attributes_survive_line_breaks_quotes_backslashes_and_odd_characters():
    html = filled(in_text('<i title=\'say "hi" \\ a\u00a0b\u200dc\' style="color:red;\n  margin:0">x</i>'))

    assert 'title="say &quot;hi&quot; &#92; a&#160;b&#8205;c"' in html
    assert 'style="color:red;   margin:0"' in html


def test_data_is_checked_by_the_place_it_stands_in():
    source = in_text(
        '<a href="{{ order.url }}" style="color:{{ extra.colour }};background:url({{ order.url }})">'
        '<b title="{{ extra.colour }}">x</b></a><a href="https://x.example/?q={{ extra.query }}">y</a>'
    )
    good = {"order": {"url": "https://a.example/(1)?b=1&c=2"}, "extra": {"colour": "#fff", "query": "a b&c=/d"}}
    bad = {"order": {"url": "javascript:alert(1)"}, "extra": {"colour": 'red;x:url("y")', "query": "&"}}

    html = filled(source, good)
    assert 'href="https://a.example/(1)?b=1&amp;c=2"' in html
    assert "background:url(https://a.example/%281%29?b=1&amp;c=2)" in html
    assert "color:#fff;" in html
    assert 'href="https://x.example/?q=a%20b%26c%3D%2Fd"' in html
    html = filled(source, bad)
    assert 'href=""' in html
    assert "color:;background:url()" in html
    assert 'title="red;x:url(&#34;y&#34;)"' in html


def test_the_subject_is_the_title_in_one_line_of_plain_text():
    source = SLOTTED.replace(
        "Order {{ order.number }}",
        "Order {% if refund %}back{% endif %}\n {{ order.number }} &amp; <3".replace("<3", "&lt;3"),
    )

    assert Engine().fill(page(source), {}, {"order": {"number": "A&B"}}).subject == "Order A&B & <3"


def test_braces_in_styles_are_no_code():
    style = (
        "<mj-head><mj-style>@media print { #a { color: red } .b {color: {{ shop.brand.text }}} }</mj-style></mj-head>"
    )
    html = filled(
        in_text("&#123;&#123; 7*7 }} &#123;").replace("<mj-body>", f"{style}<mj-body>"),
        {"shop": {"brand": {"text": "red"}}},
    )

    assert "@media print { #a { color: red } .b {color: red} }" in html
    assert "&#123;&#123; 7*7 }}" in html


def test_a_block_brings_only_the_head_css_that_its_page_lacks():
    plain = compiled_block("<mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section>")
    columns = compiled_block(
        '<mj-section><mj-column width="31%"><mj-text>x</mj-text></mj-column><mj-column width="69%">'
        "<mj-text>y</mj-text></mj-column></mj-section>"
    )

    assert columns.head.count(".mj-column-per-31") == columns.head.count(".mj-column-per-69") == 2
    assert ".mj-column-per-100" not in columns.head
    assert set(re.findall(r"mj-column-[\w-]+", plain.head)) == {"mj-column-per-100"}


def test_a_block_is_balanced_by_itself_in_both_views():
    block = Engine().load_block(
        compiled_block("<mj-wrapper><mj-section><mj-column><mj-text>x</mj-text></mj-column></mj-section></mj-wrapper>")
    )
    html, text = Engine().fill_block(block, {})

    assert unbalanced(html) == ""
    assert text == "x"


def test_programs_survive_their_json():
    compiled, block = compiled_page(SLOTTED), compiled_block("<mj-section></mj-section>")

    assert CompiledPage.from_json(compiled.to_json()) == compiled
    assert CompiledBlock.from_json(block.to_json()) == block
    assert compiled.slots == ("service", "ask")


def test_a_programs_address_changes_with_everything_that_goes_into_it():
    how = ({}, {}, "en", "ltr")
    other_head = SLOTTED.replace("mj-text color", "mj-text font-size='13px' color")

    assert page_key("a", *how) != page_key("b", *how)
    assert page_key("a", {}, {}, "en", "ltr") != page_key("a", {}, {"x": "y"}, "en", "ltr")
    assert page_key("a", {}, {}, "en", "ltr") != page_key("a", {}, {}, "de", "ltr")
    assert block_key("a", SLOTTED, *how) == block_key("a", SLOTTED.replace("mj-column", "mj-group"), *how)
    assert block_key("a", SLOTTED, *how) != block_key("a", other_head, *how)


def test_the_two_views_show_what_each_reader_sees():
    html = "<!--[if mso | IE]><table><![endif]--><p>x</p><!--[if !mso]><!--><i>y</i><!--<![endif]--><!-- z -->"

    assert browser_view(html) == "<p>x</p><i>y</i>"
    assert outlook_view(html) == "<table><p>x</p>"
    assert unbalanced(html) == "as Outlook sees it, <table> is never closed"
    assert unbalanced("<p>x</b></p>") == "as browsers see it, </b> closes <p>"
    assert unbalanced("x</p>") == "as browsers see it, </p> closes nothing"
