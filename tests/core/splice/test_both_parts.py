"""Block and paragraph together: a shop's mail gets a block in its HTML and words in its text, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from handraiser.core.splice import html
from handraiser.core.splice.mime import Mail, read, splice
from handraiser.core.splice.mime_words import place_text
from mails import differences, every_mail, leaf, mail, multipart, text
from shop_mails import ASK, FAULTS, MAILS


def enriched_or_why(raw: bytes) -> str:
    """What is wrong with the enriched mail, or why there is none; "" where all is well."""
    found = read(raw)
    if not isinstance(found, Mail):
        return found.reason
    assert found.html
    placed = html.splice(found.html.text, ASK)
    if isinstance(placed, html.Refused):
        return placed.reason
    words = (place_text(found.text.text), ASK.text) if found.text else None
    result = splice(found, html=(placed.offset, placed.inserted), text=words)
    if not isinstance(result, bytes):
        return result.reason
    inserted = {"text/html": placed.inserted} | ({"text/plain": ASK.text} if found.text else {})
    return "; ".join(differences(raw, result, inserted))


@pytest.mark.parametrize("shop", MAILS)
def test_a_shops_mail_is_enriched_in_every_encoding_and_with_every_line_end(shop: str):
    wrong = {}
    for encoding, eol in itertools.product(("8bit", "quoted-printable", "base64"), (b"\r\n", b"\n")):
        parts = text(encoding=encoding, eol=eol), leaf("text/html", MAILS[shop], "utf-8", encoding, eol)
        wrong[encoding, eol] = enriched_or_why(mail(multipart("alternative", *parts, eol=eol), eol=eol))

    assert {how: what for how, what in wrong.items() if what} == {}


def test_a_broken_page_in_a_mail_is_enriched_or_left_alone_for_a_reason_of_its_own():
    refused = {"no_place", "too_deep", "too_large", "empty", "already_enriched", "undecodable_text"}
    became = {}
    for shop, fault in itertools.product(("magento", "woocommerce"), FAULTS):
        page = FAULTS[fault](MAILS[shop]).encode("utf-8", "replace").decode()
        became[shop, fault] = enriched_or_why(mail(leaf("text/html", page, encoding="base64")))

    assert {how: what for how, what in became.items() if what and what not in refused} == {}
    assert sum(not what for what in became.values()) > len(became) / 2


def test_html_in_every_charset_is_enriched():
    in_html = [made for made in every_mail() if made.name.startswith("html ")]

    assert len(in_html) > 150
    assert {made.name: what for made in in_html if (what := enriched_or_why(made.raw))} == {}
