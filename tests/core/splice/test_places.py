"""Places where a block may stand in foreign HTML."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.rules import file as rules
from handraiser.core.splice.document import Document, burden
from handraiser.core.splice.places import ANCHORS, Place, PlaceRules, Selector, Side, find_places, selector_fault
from shop_mails import FAULTS, MAILS

MAIL = """<body><table id="main" width="600"><tr id="top"><td>Thanks, Alice</td><td>No. 7</td></tr>
<tr><td colspan="2"><p class="note">On its way</p></td></tr></table></body>"""


def _at(mail: str, *selectors: Selector) -> list[str]:
    """What comes after each place that rules name."""
    return [mail[one.offset :][:12] for one in find_places(mail, PlaceRules(selectors, anchors=("css",)))]


def _first(mail: str) -> Place:
    return next(find_places(mail, PlaceRules()))


def test_places_come_marker_first_then_rules_footer_and_ends():
    mail = (
        "<html><body><p>Thanks for your order, Alice.</p><!--handraiser:slot--><p class=x>It leaves today.</p>"
        "<p>Unsubscribe</p></body>"
    )

    found = list(find_places(mail, PlaceRules((Selector(".x"),))))

    assert [(one.name, mail[one.offset :][:9]) for one in found] == [
        ("marker", "<p class="),
        ("css", "<p class="),
        ("before_footer", "<p>Unsubs"),
        ("body_end", "</body>"),
    ]


def test_a_rule_may_leave_places_out():
    mail = "<p>Thanks, Alice. It leaves today.</p><p>Unsubscribe</p>"

    found = find_places(mail, PlaceRules(anchors=("document_end", "before_footer")))

    assert [one.name for one in found] == ["document_end", "before_footer"]


@pytest.mark.parametrize(
    ("css", "side", "comes_after"),
    [
        (".note", "before", '<p class="not'),
        (".note", "after", "</td></tr></"),
        (".note", "prepend", "On its way</"),
        (".note", "append", "</p></td></t"),
        ("#main", "before", '<table id="m'),
        ("#main", "after", "</body>"),
        ("#main", "prepend", '<tr id="top"'),
        ("#main", "append", "</table></bo"),
        ("#top", "before", '<tr id="top"'),
        ("#top", "after", "\n<tr><td col"),
        ("#top", "append", "\n<tr><td col"),
        ("#top td", "before", '<tr id="top"'),
        ("#top td", "append", "</td><td>No."),
    ],
)
def test_a_rule_names_an_element_and_a_side_of_it(css: str, side: Side, comes_after: str):
    assert _at(MAIL, Selector(css, side)) == [comes_after[:12]]


def test_a_selector_that_finds_nothing_or_cannot_be_read_gives_no_place():
    assert _at(MAIL, Selector("#nowhere"), Selector("p["), Selector("tbody", "before")) == []


def test_a_selector_that_cannot_be_read_is_told():
    assert selector_fault("#template_footer > td:first-child") == ""
    assert "p[" in selector_fault("p[")


def test_a_row_tells_its_columns_and_a_limited_place_no_width():
    place = next(find_places(MAIL, PlaceRules((Selector("#top"),), anchors=("css",))))

    assert (place.columns, place.width) == (2, None)


def test_a_row_with_no_cells_around_it_has_one_column():
    mail = "<table id=t><tr></tr></table>Thanks"

    assert next(find_places(mail, PlaceRules((Selector("#t", "append"),), anchors=("css",)))).columns == 1


@pytest.mark.parametrize(
    ("mail", "width"),
    [
        ("<p>Thanks</p>", 600),
        ('<table width="100%"><tr><td><table width="560"><tr><td>Thanks</table></table>', 560),
        ('<div style="max-width: 640px;width:100%">Thanks</div>', 640),
        ('<div style="width:500px">Thanks</div><div style="width:500px">Thanks</div>', 500),
        ('<table width="2000"><tr><td>Thanks</table>', 600),
        ('<table width="120"><tr><td>Thanks</table>', 600),
    ],
)
def test_outside_of_the_mails_column_a_block_is_as_wide_as_it(mail: str, width: int):
    assert _first(mail).width == width


def test_the_direction_is_the_nearest_one_told():
    assert _first('<html dir="rtl"><body><p>x</p></body>').direction == "rtl"
    assert _first('<html dir="rtl"><body style="direction: ltr"><p>x</p></body>').direction == "ltr"
    assert _first('<html dir="auto"><body><p>x</p></body>').direction == ""
    assert _first("<p>x</p>").direction == ""


# --- the footer ------------------------------------------------------------------------------------------------------

BEFORE = "<p>Thank you for your order. It is packed with care and leaves our house today.</p>"


@pytest.mark.parametrize(
    "footer",
    [
        "<p>Unsubscribe</p>",
        "<p>Newsletter abbestellen</p>",
        "<p>Uitschrijven</p>",
        "<p>Se désabonner</p>",
        "<p>Darse de baja</p>",
        "<p>Annulla l'iscrizione</p>",
        "<p>© 2026 Tents</p>",
        "<p>Impressum</p>",
        "<p>Noch Fragen?</p>",
        "<p>Heb je vragen?</p>",
        "<p>Please do not reply to this email.</p>",
        "<p>Отписаться</p>",
        "<p>إلغاء الاشتراك</p>",
        "<p>配信停止はこちら</p>",
        "<p>Geschäftsführer: A. Doe, HRB 1234</p>",
        '<div class="email-footer"><p>Tents & Co</p></div>',
        '<table id="template_footer"><tr><td>Tents & Co</table>',
        "<footer>Tents & Co</footer>",
    ],
)
def test_a_footer_is_known_by_its_words_or_its_name(footer: str):
    mail = BEFORE + footer

    place = _first(mail)

    assert place.name == "before_footer"
    assert mail[place.offset :] == footer


@pytest.mark.parametrize(
    "mail",
    [
        "<p>Any questions? Write to us.</p>" + BEFORE,
        "<p>Questions?</p><table><tr><td>Tent<td>9.00<tr><td>Total<td>9.00</table>",
        "<div style='display:none'>Unsubscribe</div>" + BEFORE,
        BEFORE + "<title>Unsubscribe</title>",
        BEFORE + "<span>Unsubscribe</span>",
        BEFORE + '<table width="600"><tr><td>Help</td><td><p>Unsubscribe</p></td></tr></table>',
        BEFORE + "<div><div style='float:left'>Help</div><div style='float:left'><p>Unsubscribe</p></div></div>",
        BEFORE + '<table width="600"><tr><td>Help<table width="200"><tr><td>Help<p>Unsubscribe</table></table>',
        BEFORE + "<table><tr><td rowspan=2>Help<td>Tents<tr><td>Unsubscribe</table>",
    ],
)
def test_what_only_looks_like_a_footer_or_stands_beside_something_is_none(mail: str):
    assert "before_footer" not in {one.name for one in find_places(mail, PlaceRules())}


def test_the_outermost_element_that_begins_with_the_footer_is_tried_first():
    mail = BEFORE + "<div id=a><table><tr id=b><td id=c><p id=d>Unsubscribe</p></td></tr></table></div>"

    found = [mail[one.offset :][:8] for one in find_places(mail, PlaceRules(anchors=("before_footer",)))]

    assert found == ["<div id=", "<table><", "<tr id=b", "<p id=d>"]


def test_a_picture_before_the_words_belongs_to_what_is_above():
    mail = f'{BEFORE}<div><img src="x.png"><p>Unsubscribe</p></div>'

    assert mail[_first(mail).offset :].startswith("<p>Unsub")


def test_a_pixel_that_counts_readers_does_not():
    mail = f'{BEFORE}<div><img src="x.gif" width="1" height="1"><p>Unsubscribe</p></div>'

    assert mail[_first(mail).offset :].startswith("<div><img")


# --- offsets and caps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shop", MAILS)
@pytest.mark.parametrize(
    "fault", ["as it is", "CRLF", "CR", "mixed line ends", "BOM and CRLF", "beyond the first plane"]
)
def test_elements_stand_where_the_parser_says(shop: str, fault: str):
    mail = FAULTS[fault](MAILS[shop])
    document = Document(mail)
    told = [node for node in document.nodes() if node.start]

    assert len(told) > 8
    for node in told:
        assert node.start
        start, end = (document.offset(at) for at in node.start)
        assert mail[start:].lower().startswith(f"<{node.tag}")
        assert mail[end - 1] == ">"
        if node.end:
            assert mail[document.offset(node.end[0]) :].lower().startswith(f"</{node.tag}")


@given(st.text(alphabet="\r\nab\ufeff", max_size=60))
@settings(deadline=None)
def test_offsets_count_every_character(text: str):
    document = Document(text)

    mapped = [document.offset(at) for at in range(len(document.text) + 1)]

    assert mapped == sorted(set(mapped))
    assert [text[at] for at in mapped[:-1]] == [
        "\r" if char == "\n" and text[at] == "\r" else char for char, at in zip(document.text, mapped, strict=False)
    ]
    assert mapped[-1] == len(text)


@pytest.mark.parametrize("shop", MAILS)
def test_no_shops_mail_is_too_much(shop: str):
    assert burden(MAILS[shop]) == ""


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ("<div>" * 257, "too_deep"),
        ("<div>" * 256, ""),
        ("<div><br></div>" * 5000, ""),
        ("<p>" * 5000, ""),
        ("<table>" + "<tr><td>x" * 25_000, ""),
        ("<table>" + "<tr><td>x" * 31_000, "too_large"),
        ("<div><table></div></table>" * 300, "too_deep"),
        ("<b>" * 300, "too_deep"),
        ("<b></b>" * 5000, ""),
        ("<font>" * 200 + "<p>x" * 2000, "too_deep"),
        ("</div>" * 5000, ""),
        ("<!--[if gte mso 9]><xml>" + "<w:Exception/>" * 400 + "</xml><![endif]--><p>Thanks</p>", ""),
        ("<!--[if gte mso 9]>" + "<w:Exception/>" * 400 + "<![endif]--><p>Thanks</p>", "too_deep"),
    ],
)
def test_depth_is_told_without_a_tree(html: str, told: str):
    assert burden(html) == told


def test_a_shops_rules_file_names_places_as_they_are_named_here():
    assert get_args(rules.Anchor) == ANCHORS
    assert get_args(rules.Selector.model_fields["position"].annotation) == get_args(Side)
