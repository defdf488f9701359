"""One block into finished HTML."""

from __future__ import annotations

import functools
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handraiser.core.splice.html import Refused, Spliced, splice
from handraiser.core.splice.places import PlaceRules, Selector
from html5 import tree_without_block
from shop_mails import ASK, FAULTS, MAILS, PIECES, keeps_everything

PLACED = {
    "dark": ("before_footer", '<div style="background:#18181c'),
    "magento": ("before_footer", '<tr>\n                    <td class="footer"'),
    "marketing": ("before_footer", '<tr>\n                                <td valign="top" id="templateFooter"'),
    "opencart": ("before_footer", "<P>Please reply"),
    "placeholders": ("before_footer", '<tr><td colspan="2"><p>Need help?'),
    "prestashop": ("before_footer", '<tr>\n\t\t\t\t\t\t\t<td class="footer"'),
    "rtl": ("before_footer", '<tr><td style="padding:24px;font:13px'),
    "shopify": ("before_footer", '<table class="row footer"'),
    "shopware": ("document_end", "\n"),
    "woocommerce": ("before_footer", '<tr><td align="center" valign="top">\n<table border="0" cellpadding="10"'),
}
"""Where the block stands in each shop's mail, and what comes after it."""
HINDRANCES = {"unclosed link", "plaintext", "cut in the middle", "cut near the end"} | {
    f"unclosed {what}" for what in ("comment", "tag", "style", "textarea")
}
"""After these nothing may stand, and in some mails nothing can stand before them either."""

ANYWHERE = PlaceRules()


def _spliced(mail: str, rules: PlaceRules = ANYWHERE) -> Spliced:
    done = splice(mail, ASK, rules)
    assert isinstance(done, Spliced), done
    keeps_everything(mail, done)
    return done


@functools.cache
def _tried(shop: str, fault: str) -> tuple[str, Spliced | Refused]:
    mail = FAULTS[fault](MAILS[shop])
    return mail, splice(mail, ASK)


@pytest.mark.parametrize("shop", MAILS)
def test_a_shops_mail_gets_the_block_before_its_footer_and_keeps_everything_else(shop: str):
    mail = MAILS[shop]

    done = _spliced(mail)

    assert done.place == PLACED[shop][0]
    assert mail[done.offset :].startswith(PLACED[shop][1])


@pytest.mark.parametrize("shop", MAILS)
def test_a_third_engine_sees_nothing_else_moved(shop: str):
    assert tree_without_block(_spliced(MAILS[shop]).html) == tree_without_block(MAILS[shop])


@pytest.mark.parametrize("shop", MAILS)
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_wrong_with_a_mail_it_is_enriched_or_left_alone_with_a_reason(shop: str, fault: str):
    mail, done = _tried(shop, fault)

    if isinstance(done, Spliced):
        keeps_everything(mail, done)
    else:
        assert done.reason in ("no_place", "empty")


def test_nearly_every_fault_of_a_mail_is_no_hindrance():
    left_alone = {(shop, fault) for shop in MAILS for fault in FAULTS if isinstance(_tried(shop, fault)[1], Refused)}

    assert {fault for _, fault in left_alone} <= HINDRANCES


@pytest.mark.parametrize("shop", MAILS)
def test_a_mail_that_carries_a_block_gets_no_second_one(shop: str):
    assert splice(_spliced(MAILS[shop]).html, ASK) == Refused("already_enriched")


@pytest.mark.parametrize("shop", MAILS)
def test_a_block_can_be_taken_out_again(shop: str):
    done = _spliced(MAILS[shop])

    assert re.sub(r"<!--handraiser:begin\n-->.*?<!--handraiser:end\n-->", "", done.html, flags=re.S) == MAILS[shop]


def test_line_breaks_of_the_block_are_the_mails_own():
    crlf = _spliced(MAILS["shopify"].replace("\n", "\r\n"))
    lf = _spliced(MAILS["shopify"])

    assert crlf.inserted == lf.inserted.replace("\n", "\r\n")
    assert "\r" not in lf.inserted


@pytest.mark.parametrize("odd", ["<p a\udced=1>", "<\udceda>", "<p>\ud83d</p>"])
def test_half_a_surrogate_pair_stays_where_it_was(odd: str):
    mail = f"<body>{odd}Thanks</body>"

    done = splice(mail, ASK)

    assert isinstance(done, Spliced)
    assert done.html == mail[: done.offset] + done.inserted + mail[done.offset :]


def test_a_line_break_can_be_asked_for():
    done = splice("<p>Thanks</p>", ASK, newline="\r\n")

    assert isinstance(done, Spliced)
    assert "\n" not in done.inserted.replace("\r\n", "")


def test_in_a_table_the_block_is_a_row_over_all_columns():
    mail = "<table><tr><td>Tent<td>1<td>9.00<tr><td colspan=2>Total<td>9.00<tr><td colspan=3>&copy; 2026 Tents</table>"

    done = _spliced(mail)

    assert re.search(r'<tr data-handraiser="block"><td\s+colspan="3"', done.inserted)
    assert mail[done.offset :].startswith("<tr><td colspan=3>&copy;")


def test_elsewhere_the_block_is_a_table_no_wider_than_the_mails_column():
    done = _spliced('<body><table width="640" align="center"><tr><td>Thanks</td></tr></table></body>')

    assert "max-width:640px" in done.inserted
    assert '<table data-handraiser="block" role="presentation"' in done.inserted


def test_the_block_runs_in_the_direction_of_what_is_around_it():
    mail = '<html dir="ltr"><body><div dir="rtl"><p>شكرا</p><!-- handraiser:slot --></div></body></html>'

    assert 'dir="rtl"' in _spliced(mail).inserted


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        ("", "empty"),
        ("<html><head><title>Thanks</title></head><body></body></html>", "empty"),
        ('<div style="display:none">Thanks</div>', "empty"),
        ("x" * 2_000_001, "too_large"),
        ("<div>" * 300 + "Thanks", "too_deep"),
        ("<font><font><font>" * 60 + "<p>x" * 5000, "too_deep"),
        ("<p>Thanks</p><!-- handraiser:begin -->", "already_enriched"),
        ('<table data-handraiser="block"><tr><td>Thanks</table>', "already_enriched"),
        ("<a href='https://shop.example'>Thanks for your order", "no_place"),
        ("<p>Thanks</p><plaintext>", "no_place"),
        ("<frameset><frame src='x'></frameset>Thanks", "empty"),
    ],
)
def test_a_mail_that_cannot_be_enriched_is_refused_with_its_reason(mail: str, reason: str):
    done = splice(mail, ASK)

    assert isinstance(done, Refused)
    assert done.reason == reason


@pytest.mark.parametrize(
    "hidden",
    [
        '<div style="display:none">{}</div>',
        '<div style="max-height:0;overflow:hidden">{}</div>',
        '<div style="opacity: 0">{}</div>',
        '<div style="mso-hide:all">{}</div>',
        "<div hidden>{}</div>",
        '<div style="position:absolute; left:-9999px">{}</div>',
        '<div style="text-indent: -999px">{}</div>',
        '<div style="transform: scale(0)">{}</div>',
        '<div style="clip:rect(0 0 0 0)">{}</div>',
        '<div style="width:1px;overflow:hidden">{}</div>',
        '<div style="opacity:.01">{}</div>',
        "<progress>{}</progress>",
        "<style>.phone {{ display: none }}</style><div class='phone'>{}</div>",
        "<style>@media (max-width:600px) {{ .wide {{ display:none!important }} }}</style><div class='wide'>{}</div>",
        "<!--[if !mso]><!--><div>{}</div><!--<![endif]-->",
        "<!--[if mso]><div>{}</div><![endif]-->",
        "<a href='https://shop.example'>{}</a>",
        "<textarea>{}</textarea>",
        "<template>{}</template>",
        "<p title='{}'>Hello</p>",
        "<script>'{}'</script>",
    ],
)
def test_a_marker_where_somebody_would_not_see_the_block_is_passed_over(hidden: str):
    mail = f"<body>{hidden.format('<!-- handraiser:slot -->')}<p>Thanks</p></body>"

    assert _spliced(mail).place == "body_end"


def test_a_rule_that_would_hide_what_is_in_the_block_hides_the_block():
    for hidden in ("table", "td", "p", "div > p", "a"):
        done = splice(f"<style>{hidden} {{ display: none }} .phone {{ display: none }}</style><b>Thanks</b>", ASK)
        assert isinstance(done, Refused)
        assert "a style sheet hides the block" in done.objections[0]


@pytest.mark.parametrize("mail", ["<html><p>Thanks</p>{}</html>", "<html>Thanks{}</html>\n", "<p>Thanks{}</p></html>"])
def test_a_page_without_body_tags_takes_the_block_before_its_end(mail: str):
    done = _spliced(mail.format(""))

    assert done.place == "body_end"
    assert done.html[done.offset + len(done.inserted) :].startswith("</html>")


def test_a_place_that_tears_what_outlook_sees_is_refused():
    ghost = "<!--[if mso]><table><tr><td><![endif]--><p>Thanks</p>{}<!--[if mso]></td></tr></table><![endif]-->"
    rules = PlaceRules((Selector("p", "after"),), anchors=("css",))

    assert _spliced(ghost.format(""), rules).place == "css"
    between = PlaceRules((Selector("div", "before"),), anchors=("css",))
    refused = splice(
        ghost.format("<!--[if mso]></td><![endif]--><div></div><!--[if mso]><td><![endif]-->"), ASK, between
    )
    assert isinstance(refused, Refused)
    assert "Outlook" in refused.objections[0]


def test_a_process_that_only_serves_carries_no_parser_of_foreign_html():
    told = "import sys, handraiser.app; print({'turbohtml', 'selectolax'} & sys.modules.keys())"

    assert subprocess.check_output([sys.executable, "-c", told], text=True) == "set()\n"


# --- any text at all -------------------------------------------------------------------------------------------------

SHOP_RULES = PlaceRules((Selector("td", "append"), Selector("table", "prepend"), Selector("p", "after")))


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=200))
@settings(deadline=None)
def test_no_text_raises_and_none_loses_a_character(mail: str):
    done = splice(mail, ASK, SHOP_RULES)

    if isinstance(done, Spliced):
        keeps_everything(mail, done)
