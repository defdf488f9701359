"""A block on somebody's page: every word and link of it, nothing of the mail's tables and styles."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape

import pytest

from emails import BLOCKS, SHOPS, ask_view, block, context, rich
from handraiser.core.fragment import fragment, style, style_hash
from handraiser.core.shop import Brand

BRAND = Brand()


def shown(html: str, slot: str = "ask", brand: Brand = BRAND) -> str:
    """What stands in the frame of one block."""
    whole = fragment({slot: (html, "")}, brand, "en", "ltr")
    return whole.partition(f'<div class="hr-block hr-{slot}">')[2].removesuffix("</div></div>")


def words(html: str) -> list[str]:
    return unescape(re.sub(r"<!--.*?-->|<[^>]+>", " ", html, flags=re.DOTALL)).split()


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("slug", [one["slug"] for one in BLOCKS])
def test_every_word_and_link_of_a_starter_block_stands_in_its_fragment(slug: str, locale: str):
    told = next(one for one in BLOCKS if one["slug"] == slug)
    extra = ask_view(locale, told["purpose"]) if "purpose" in told else {}
    for variant in told["variants"]:
        filled = block("fjell-fjord", locale, "order_confirmation", slug, variant["key"])
        html = filled.html({**context("fjell-fjord", locale, rich("order_confirmation")), **extra})
        made = shown(html)
        assert words(made) == words(html)
        assert re.findall(r'href="([^"]+)"', made) == re.findall(r'href="([^"]+)"', html)
        assert "style=" not in made
        assert "<!--" not in made
        assert made.count("<div") == made.count("</div>")


def test_a_button_is_a_link_a_line_between_is_nothing_and_loose_words_are_kept():
    html = (
        '<table role="presentation"><tr><td class="hr-m"><div style="font-family:x">a<br/>b</div></td></tr>'
        '<tr><td><p style="border-top:solid 4px #000;font-size:1px"></p>loose</td></tr>'
        '<tr><td><a href="https://x.example/?a=1&amp;b=2" style="display:inline-block;background:#fff">Yes</a></td>'
        "</tr></table>"
    )
    assert shown(html) == (
        '<div class="hr-text hr-quiet">a<br>b</div><div class="hr-text">loose</div>'
        '<a class="hr-press" href="https://x.example/?a=1&amp;b=2">Yes</a>'
    )


def test_what_is_text_stays_text():
    html = '<div style="font-family:x">&lt;script&gt; é <img src="https://x.example/&quot;a.png" onerror="x"></div>'
    assert shown(html) == (
        '<div class="hr-text">&lt;script&gt; &#233; <img src="https://x.example/&#34;a.png" alt=""></div>'
    )


def test_scripts_styles_and_forms_do_not_come_through():
    made = shown('<div style="font-family:x"><style>p{}</style><form action="/x"><input name="a">b</form></div>')
    assert not re.search(r"<(style|form|input|script)", made)


def test_the_style_sheet_is_one_for_a_shop_and_named_by_its_hash():
    sheet = style(BRAND)
    assert fragment({}, BRAND, "en", "ltr").startswith(f"<style>{sheet}</style>")
    assert style_hash(BRAND) == "sha256-" + base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert SHOPS["fjell-fjord"].brand.primary in style(SHOPS["fjell-fjord"].brand)
    assert "</style>" not in style(Brand(primary="red}</style>"))


def test_the_fragment_says_its_language_and_direction():
    assert '<div class="handraiser" lang="ar" dir="rtl">' in fragment({}, BRAND, "ar", "rtl")
