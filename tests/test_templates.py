"""Every shipped email in every language of both demo shops: complete, balanced, labelled, readable as text, small."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from babel.messages import pofile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import emails
from core.mjml import reference
from handraiser.core.mjml.balance import unbalanced
from handraiser.core.mjml.text import text_of
from handraiser.core.payload_schema import TYPES
from handraiser.template_files import direction_of, read_sources, words_of

LOCALES = sorted({locale for _, locale, _ in emails.EVERY})
GMAIL_CLIPS = 102_000


class _Labels(HTMLParser):
    """What a screen reader needs: attributes of the root, of pictures and of tables; headings; links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root: dict[str, str | None] = {}
        self.faults: list[str] = []
        self.headings: list[str] = []
        self.links: list[str] = []
        self.metas: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "html":
            self.root = attributes
        if tag == "img" and "alt" not in attributes:
            self.faults.append("a picture without alt")
        if tag == "table" and attributes.get("role") != "presentation":
            self.faults.append("a table without a role")
        if tag == "a":
            self.links.append(attributes.get("href") or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag == "meta" and attributes.get("name"):
            self.metas.add(str(attributes["name"]))


def test_every_type_that_a_payload_may_name_has_a_template():
    assert set(emails.PAGES) == set(TYPES)


@pytest.mark.parametrize(("slug", "locale", "name"), emails.EVERY)
def test_an_email_is_complete_balanced_and_labelled(slug: str, locale: str, name: str):
    for body in (emails.rich(name), emails.bare(name)):
        filled = emails.filled(slug, locale, body, emails.choices(name)[-1])
        labels = _Labels(filled.html)

        assert filled.failed == ()
        assert unbalanced(filled.html) == ""
        assert (labels.root["lang"], labels.root["dir"]) == (locale, direction_of(locale))
        assert labels.faults == []
        assert labels.headings[0] == "h1"
        assert labels.headings.count("h1") == 1
        assert {"color-scheme", "supported-color-schemes", "viewport"} <= labels.metas
        assert re.search(r'<div style="display:none[^>]*>\s*\S', filled.html), "a preheader"
        assert f"<title>{filled.subject[:5]}" in unescape(filled.html)
        assert filled.html.isascii()
        assert "{{" not in filled.html.partition("</head>")[2]
        assert len(filled.html) < GMAIL_CLIPS


@pytest.mark.parametrize(("slug", "locale", "name"), emails.EVERY)
def test_the_text_part_says_the_same_and_holds_every_link(slug: str, locale: str, name: str):
    for body in (emails.rich(name), emails.bare(name)):
        filled = emails.filled(slug, locale, body, emails.choices(name)[-1])
        said = filled.text
        body_html = filled.html.partition("</head>")[2]

        assert said.split() == text_of(body_html).split()
        for link in _Labels(body_html).links:
            assert link.removeprefix("mailto:") in said
        assert "\n\n\n" not in said
        assert not re.search(r"^ *:", said, re.MULTILINE)


@pytest.mark.parametrize("name", emails.PAGES)
def test_what_a_payload_holds_is_in_the_email_once(name: str):
    body = emails.rich(name)
    text = emails.filled("fjell-fjord", "en", body).text
    order = body["order"]

    for line in order["lines"]:
        assert line["name"] in text
    for said in (
        "Colour: Brass",
        "2 × Bulb E27 (warm)",
        "light.pdf",
        "HELLO10",
        "Evening",
        "Gift wrap",
        "VAT 9%",
        "4242",
    ):
        assert text.count(said) == 1, said
    for said in (
        "3SABCD1",
        "JVGL01234567890123456789",
        "7K4-Q9X",
        "Paid back to: iDEAL",
        "SUB-77",
        "The bell is <b>odd</b>",
    ):
        assert text.count(said) == 1, said
    for said in (
        "NL91 ABNA 0417 1643 00",
        "Postbus 99",
        "VAT number: NL001234567B01",
        "Right of withdrawal",
        "One lamp follows.",
    ):
        assert text.count(said) == 1, said


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_currencies_without_cents_or_with_three_digits_come_out_right(currency: str):
    lines = [{"name": "Lamp", "quantity": 1, "total": "1234.5"}]
    text = emails.filled("fjell-fjord", "en", emails.rich("order_confirmation", currency=currency, lines=lines)).text

    assert {"JPY": "¥1,234", "KWD": "KWD 1,234.500"}[currency] in text


def test_beyond_fifty_lines_the_rest_is_a_link_where_there_is_one():
    lines = [{"name": f"Article number {n}", "total": "1"} for n in range(60)]
    body = emails.rich("order_confirmation", lines=lines)
    assert "and 10 more: https://shop.example/orders/10042?key=a&b=c" in emails.filled("fjell-fjord", "en", body).text

    del body["order"]["url"]
    text = emails.filled("fjell-fjord", "en", body).text
    assert "Article number 59" in text
    assert "more" not in text.partition("Your order")[2].partition("Subtotal")[0]


@pytest.mark.parametrize("locale", [locale for locale in LOCALES if locale != "en"])
def test_no_english_is_left_in_another_language(locale: str):
    messages = {m.id for m in _catalogue(locale) if isinstance(m.id, str) and m.id}
    sources = read_sources(emails.ROOT, "lamp-lumen")
    used = set()
    for text in (*sources.pages.values(), *sources.parts.values()):
        used |= set(re.findall(r'_\("([^"]+)"', text))

    assert used - messages == set()
    for message in _catalogue(locale):
        assert message.id == "" or message.string, message.id
        if isinstance(message.id, str) and isinstance(message.string, str) and message.id:
            assert set(re.findall(r"\{\w+\}", message.id)) == set(re.findall(r"\{\w+\}", message.string)), message.id


def _catalogue(locale: str) -> Any:
    with (emails.ROOT / "locale" / locale / "LC_MESSAGES/handraiser.po").open("rb") as file:
        return list(pofile.read_po(file))


@pytest.mark.parametrize("block", [one["slug"] for one in emails.BLOCKS])
def test_a_starter_block_is_written_in_every_language(block: str):
    for variant in emails.starter(block)["variants"]:
        assert set(LOCALES) <= set(variant["rows"])


@pytest.mark.parametrize("locale", LOCALES)
def test_an_ask_says_what_how_often_and_why_and_that_no_is_fine(locale: str):
    slug = "lamp-lumen"
    for name in emails.PAGES:
        for chosen in emails.choices(name):
            asks = [one for one in chosen if "purpose" in emails.starter(one[0])]
            if not asks:
                continue
            filled = emails.filled(slug, locale, emails.rich(name), chosen)
            ask = emails.ask_view(locale, emails.starter(asks[0][0])["purpose"])["ask"]
            html, text = filled.slots["ask"]
            for told in ("what", "frequency", "benefit"):
                assert ask["promise"][told] in text
            assert ask["market_line"] in text
            assert html.index(ask["url"]) < html.index(ask["decline_url"]) < html.index(ask["never_url"])
            assert text.count(ask["decline_url"]) == text.count(ask["never_url"]) == 1
            assert text.count(ask["url"]) == 2, "yes, and the same page with the no first"
            assert filled.text.index(filled.slots["ask"][1].splitlines()[0]) > filled.text.index("Desk lamp")
            assert {"en": "does not depend", "nl": "hangt er niet", "de": "hängt nicht davon ab", "ar": "لا يتوقف"}[
                locale
            ] in text


POSSIBLE = st.fixed_dictionaries(
    {},
    optional={
        key: st.just(value)
        for key, value in emails.rich("refund").items()
        if key in ("shipments", "pickup", "refund", "subscription", "notices")
    },
)
ORDER_PARTS = st.sets(st.sampled_from(sorted(set(emails.rich("refund")["order"]) - {"id", "currency", "total"})))
NAMES = st.sampled_from(
    ["Zoë", "</mj-text>", "{{ 7*7 }}", '"><script>alert(1)</script>', "O'Neill & Söhne", "😀 日本", "a" * 200]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(emails.EVERY), POSSIBLE, ORDER_PARTS, NAMES, st.data())
def test_any_payload_comes_out_as_if_compiled_by_itself(
    which: tuple[str, str, str], optional: dict[str, Any], kept: set[str], name: str, data: st.DataObject
):
    slug, locale, template = which
    body = {**emails.bare(template), **optional}
    body["order"] |= {key: value for key, value in emails.rich(template)["order"].items() if key in kept}
    body["customer"] |= {"first_name": name}
    for line in body["order"].get("lines", ()):
        line["name"] = name
    chosen = data.draw(st.sampled_from(emails.choices(template)))

    filled = emails.filled(slug, locale, body, chosen)
    context = emails.context(slug, locale, body)
    for block, _ in chosen:
        if "purpose" in emails.starter(block):
            context |= emails.ask_view(locale, emails.starter(block)["purpose"])
    sources = read_sources(emails.ROOT, slug)
    alone = reference.per_email(
        sources.pages[template],
        sources.parts,
        {emails.starter(block)["slot"]: emails.block_source(block, variant, locale) for block, variant in chosen},
        context,
        words=words_of(emails.WORDS, locale),
        locale=locale,
        direction=direction_of(locale),
    )

    assert reference.body(filled.html) == reference.body(alone)
    assert reference.rules(alone) <= reference.rules(filled.html)
    assert "<script>alert" not in filled.html
    assert filled.text.split() == text_of(filled.html.partition("</head>")[2]).split()
