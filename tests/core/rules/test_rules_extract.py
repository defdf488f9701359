"""What is read out of a mail: checked values, or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.rules.extract import Sight, amount, extract, words_of
from handraiser.core.rules.file import FIELDS, Rule, read_rules
from handraiser.core.rules.json_ld import nodes
from handraiser.core.rules.match import Heading

ORDER = {
    "@context": "http://schema.org",
    "@type": "Order",
    "orderNumber": 1001,
    "price": 1234.50,
    "acceptedOffer": [{"itemOffered": {"sku": "T-1"}}],
}


def script(value: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


def rule(*extracts: str, match: str = 'subject = ""\nheader = { From = true }') -> Rule:
    begin = 'version = 1\n[[rules]]\nid = "a"\ntype = "order_confirmation"\n[rules.match]\n'
    (read,) = read_rules(begin + "\n".join([match, "[rules.extract]", *extracts]))
    return read


def sight(html: str = "", text: str = "", **fields: str) -> Sight:
    return Sight(Heading("", [(name.replace("_", "-"), value.encode()) for name, value in fields.items()]), html, text)


def test_each_source_gives_what_stands_there():
    found = extract(
        rule(
            """order_number = { subject = 'Order (\\S+)' }""",
            """order_value = { text = 'Total: (.*)' }""",
            """currency = { html = '<b class="cur">([^<]+)' }""",
            """language = { header = "Content-Language" }""",
            """country = { json_ld = "billingAddress.addressCountry" }""",
            """customer_kind = { value = "current" }""",
            """customer_id = { header = "X-Customer", pattern = 'id=(\\d+)' }""",
        ),
        sight(
            '<b class="cur">&euro;</b>' + script({"@type": "Order", "billingAddress": {"addressCountry": "de"}}),
            "Thank you\nTotal: 1.234,50 €\n",
            subject="Order T-1001 is here",
            content_language="de_at",
            x_customer="name=x; id=77",
        ),
    )

    assert found == {
        "order_number": "T-1001",
        "order_value": "1234.50",
        "currency": "EUR",
        "language": "de-AT",
        "country": "DE",
        "customer_kind": "current",
        "customer_id": "77",
    }
    assert set(found) == set(FIELDS)


def test_the_first_source_that_gives_something_usable_counts():
    wanted = rule(
        """country = [{ header = "X-Country" }, { text = 'in (\\w+)', map = { "Holland" = "NL" } }, { value = "DE" }]"""
    )

    assert extract(wanted, sight(text="in Holland", x_country="AT")) == {"country": "AT"}
    assert extract(wanted, sight(text="in Holland", x_country="nowhere")) == {"country": "NL"}
    assert extract(wanted, sight(text="in Atlantis")) == {"country": "DE"}


def test_what_cannot_be_used_is_left_out():
    wanted = rule(
        'order_number = { header = "X-Number" }',
        'order_value = { header = "X-Number" }',
        'customer_kind = { header = "X-Kind" }',
        'customer_id = { header = "X-Id" }',
    )

    assert extract(wanted, sight(x_number="n" * 201, x_kind="regular", x_id="Guest")) == {}
    assert extract(wanted, sight(x_number=" 10\x0001\r\n", x_kind="NEW")) == {
        "order_number": "10 01",
        "order_value": "10",
        "customer_kind": "new",
    }


def test_json_ld_is_read_from_the_object_that_the_rule_matches():
    html = script([{"@type": "Organization", "orderNumber": "no"}, {"@graph": [ORDER]}])
    wanted = rule(
        'order_number = { json_ld = "orderNumber" }',
        'order_value = { json_ld = "price" }',
        'customer_id = { json_ld = "acceptedOffer.itemOffered.sku" }',
        match='json_ld = "Order"',
    )

    assert extract(wanted, sight(html)) == {"order_number": "1001", "order_value": "1234.5", "customer_id": "T-1"}


@pytest.mark.parametrize(
    "html",
    [
        '<script type="application/ld+json">{"a": ',
        '<script type="application/ld+json">{"a": </script>',
        '<script type="application/ld+json">' + "[" * 90_000 + "</script>",
        '<script type="application/ld+json">"text"</script>',
        '<script type="application/ld+json">' * 3000,
    ],
    ids=["unclosed", "broken", "deep", "no object", "many"],
)
def test_broken_json_ld_is_none(html: str):
    assert nodes(html) == ()


def test_html_without_a_text_part_is_searched_as_its_reader_sees_it():
    html = (
        "<style>.total: 7</style><!-- Total: 8 --><table><tr><td>Total:</td><td>&pound;&nbsp;9.00</td></tr></table>Bye"
    )

    assert words_of(html) == "Total: £ 9.00\nBye"
    assert extract(rule("order_value = { text = 'Total: (.*)' }"), sight(html)) == {"order_value": "9.00"}
    assert extract(rule("order_value = { text = 'Total: (.*)' }"), sight(html, "Total: 7")) == {"order_value": "7"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("€ 1.234,50", "1234.50"),
        ("$1,234.50 USD", "1234.50"),
        ("1 234,5 zł", "1234.5"),
        ("1\u202f234 €", "1234"),
        ("CHF 1'234.05", "1234.05"),
        ("1.234", "1234"),
        ("1,234,567", "1234567"),
        ("0.125", "0.125"),
        ("89,- Euro", "89"),
        ("12.", "12"),
        ("none", ""),
        ("", ""),
    ],
)
def test_amounts_are_read_in_every_spelling(written: str, read: str):
    assert amount(written) == read


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=80))
def test_no_mail_makes_reading_fail(html: str, text: str, header: str):
    wanted = rule(
        *(
            f"{name} = [{{ header = 'X-A' }}, {{ text = '(.+)' }}, {{ html = '(?s)(.+)' }}, {{ json_ld = 'a.b' }}]"
            for name in FIELDS
        )
    )
    found = extract(wanted, sight(html + f'<script type="application/ld+json">{text}</script>', text, x_a=header))

    assert all(value.isprintable() and len(value) <= 200 for value in found.values())
