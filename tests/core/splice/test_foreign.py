"""Our blocks in the form that stands in mail which we did not write."""

from __future__ import annotations

import re

import pytest

from emails import SHOPS, choices, filled, rich
from handraiser.core.splice.document import Document
from handraiser.core.splice.foreign import ForeignBlock, _alone, dressed, foreign_block, insists
from handraiser.core.splice.html import Spliced, splice
from handraiser.core.splice.places import Place
from shop_mails import MAILS

BLOCKS = [
    (slug, locale, f"{slug}-{locale}-{choice[-1][0]}-{choice[-1][1]}", choice[-1:])
    for slug, shop in SHOPS.items()
    for locale in shop.locales
    for choice in choices("order_confirmation")
    if len(choice) == 1
]


def _shipped(slug: str, locale: str, chosen: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    (parts,) = filled(slug, locale, rich("order_confirmation"), chosen).slots.values()
    return parts


@pytest.mark.parametrize(("slug", "locale", "name", "chosen"), BLOCKS, ids=[one[2] for one in BLOCKS])
def test_a_shipped_block_needs_nothing_of_the_page_around_it(
    slug: str, locale: str, name: str, chosen: tuple[tuple[str, str], ...]
):
    html, text = _shipped(slug, locale, chosen)

    block = foreign_block(html, text)

    assert block.html.isascii()
    assert block.text == text
    assert not re.search(r"<style|<!--|\bclass=|\bid=|max-width:600px", block.html)
    links = [node for node in Document(block.html).nodes() if node.tag == "a"]
    assert [link.attrs["href"] for link in links] == re.findall(r'href="([^"]+)"', html)
    assert all(re.search(r"(^|;)\s*color:", link.style) for link in links)


@pytest.mark.parametrize(("slug", "locale", "name", "chosen"), BLOCKS, ids=[one[2] for one in BLOCKS])
def test_a_shipped_block_goes_into_every_shops_mail(
    slug: str, locale: str, name: str, chosen: tuple[tuple[str, str], ...]
):
    block = foreign_block(*_shipped(slug, locale, chosen))

    for mail in MAILS.values():
        done = splice(mail, block)
        assert isinstance(done, Spliced)
        assert max(map(len, done.inserted.splitlines())) < 400


def test_the_words_stay_as_they_were():
    html, text = _shipped("fjell-fjord", "en", (("newsletter-after-order", "a"),))

    assert _words(foreign_block(html, text).html) == _words(html)


def _words(html: str) -> str:
    return " ".join(" ".join(one.text for one in Document(html).words()).split())


def test_what_only_a_page_could_give_meaning_is_taken_off():
    block = foreign_block(
        '<div id="a" class="b" style="max-width:600px;margin:0 auto"><style>p{}</style><script>x</script>'
        "<p>Caf\u00e9</p><!--[if mso]><table><![endif]--></div>",
        "Caf\u00e9",
        color="#111111",
    )

    assert block.html == '<div style="color:inherit;margin:0 auto"><p style="color:inherit">Caf&#233;</p></div>'


def test_what_a_block_says_itself_is_kept():
    block = foreign_block(
        '<td style="padding:4px"><a href="x" style="color:#fff">y</a></td><p style="color:red">z</p>', ""
    )

    assert 'style="color:#fff"' in block.html
    assert 'style="color:red"' in block.html


def test_links_and_headings_get_the_colours_that_a_page_would_give_them():
    block = foreign_block('<h2>Hello</h2><a href="x">y</a>', "", link_color="#222222")

    assert '<h2 style="color:inherit;font-family:inherit;' in block.html
    assert 'style="color:#222222;text-decoration:underline"' in block.html


def test_a_block_brings_its_own_ground_and_colour():
    block = ForeignBlock("<p>x</p>", "x", background="#fafafa", color="#010203", font='"Open Sans", sans-serif')

    for place in (Place(0, "css", columns=3, direction="rtl"), Place(0, "css", width=640)):
        made = dressed(block, place, "\n")
        assert 'bgcolor="#fafafa"' in made
        assert "background-color:#fafafa;color:#010203" in made
        assert "&#34;Open" in made


def test_colours_that_a_page_insists_on_do_not_win_over_the_blocks():
    assert insists("<style>@media (prefers-color-scheme: dark) { p { color: #FFF !important } }</style>")
    assert not insists("<style>p { color: #fff; margin: 0 !important }</style>")

    block = foreign_block('<h2>Hi</h2><p style="background:#eeeeee">x</p><b>y</b>', "", firm=True)
    assert block.html.count("color:inherit!important;background:transparent!important") == 2
    assert "color:inherit!important;background:#eeeeee!important" in block.html
    for place in (Place(0, "css", columns=3), Place(0, "css", width=640)):
        made = dressed(block, place, "\n")
        assert "background-color:#ffffff;background-color:#ffffff!important" in made.replace("\n", "")
        assert "color:#22262a;color:#22262a!important" in made


def test_for_outlook_which_knows_no_greatest_width_the_block_has_a_fixed_one():
    made = dressed(ForeignBlock("<p>x</p>", "x"), Place(0, "css", width=640), "\n")

    assert "<!--[if mso]><table" in made
    assert 'width="640"' in made
    assert "[if" not in dressed(ForeignBlock("<p>x</p>", "x"), Place(0, "css"), "\n")


def test_nothing_shows_the_ground_of_our_own_page():
    colour = 'style="background:#f3f1ea"'
    ground = f'<div class="hr-bare" {colour}><table {colour}><td>{{}}</td></table></div>'
    gap, note = ground.format("&#8202;"), ground.format("Hi")
    made = foreign_block(f'{gap}<div class="hr-card" style="background:#ffffff">Would you like …?</div>{note}', "").html

    assert "#f3f1ea" not in made
    assert made.startswith('<div style="color:inherit;background:#ffffff">Would you')
    assert ">Hi<" in made


def test_customers_whose_links_alone_differ_get_each_their_own():
    first, other = ("".join((letter * 28, ".", letter * 22)) for letter in "aB")
    looks_like_one = f"/x/{0:028d}.{0:022d}"

    def block(token: str) -> str:
        return (
            f'<div class="c"><!--[if mso]><a href="https://s.example/u/{token}">leave</a><![endif]-->'
            f'<a href="{looks_like_one}">x</a><a href="https://s.example/o/{token}">Yes</a> {token} /o/{token}</div>'
        )

    for token in (first, other, first):
        made = foreign_block(block(token), "t").html
        assert made == _alone(block(token), "#22262a", False)
        assert made.count(f"/o/{token}") == 2
        assert looks_like_one in made


def test_no_corner_of_the_blocks_ground_shows_beside_it():
    card = '<div style="max-width:600px;border-radius:12px"><a style="border-radius:6px" href="h">Yes</a></div>'
    assert re.findall(r"border-radius:\w+", foreign_block(card, "t").html) == ["border-radius:6px"]
