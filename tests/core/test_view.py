"""What a template may read: amounts, dates and labels ready in the reader's language, every key always there."""

from __future__ import annotations

import pytest

import emails
from handraiser.core.formats import formats_of
from handraiser.core.view import LINES_SHOWN, address_lines


def view(body: dict, locale: str = "en", slug: str = "fjell-fjord") -> dict:
    return emails.context(slug, locale, body)


def rows(order: dict, locale: str = "en", slug: str = "fjell-fjord") -> list[tuple[str, str]]:
    body = emails.bare("order_confirmation")
    body["order"] |= order
    return [(row["label"], row["amount"].replace("\xa0", " ")) for row in view(body, locale, slug)["order"]["totals"]]


def test_every_amount_from_the_lines_to_what_is_owed_is_told_in_order():
    body = emails.rich("order_confirmation")

    assert [(row["kind"], row["label"]) for row in view(body)["order"]["totals"]] == [
        ("subtotal", "Subtotal"),
        ("discount", "Welcome (HELLO10)"),
        ("discount", "Discount"),
        ("shipping", "Evening"),
        ("fee", "Gift wrap"),
        ("tax", "VAT 21%"),
        ("tax", "VAT 9%"),
        ("total", "Total"),
        ("gift_card", "Gift card •••• 4242"),
        ("paid", "Paid"),
        ("due", "Amount due"),
    ]


def test_labels_that_the_shop_leaves_out_are_in_the_language_of_the_reader():
    order = {
        "subtotal": "20",
        "discounts": [{"label": "", "code": "X", "amount": "5"}],
        "shipping": "3",
        "fees": [{"label": "", "amount": "1"}],
        "taxes": [{"label": "", "rate": "21", "amount": "2"}],
        "gift_cards": [{"label": "", "amount": "4"}],
        "total": "19",
    }

    assert rows(order, "nl", "lamp-lumen") == [
        ("Subtotaal", "€ 20,00"),
        ("Korting (X)", "€ -5,00"),
        ("Verzendkosten", "€ 3,00"),
        ("Toeslag", "€ 1,00"),
        ("Btw 21%", "€ 2,00"),
        ("Totaal", "€ 19,00"),
        ("Cadeaubon", "€ -4,00"),
    ]


def test_a_single_discount_shipping_and_tax_are_told_too_but_never_twice():
    assert rows({"discount": "-2", "shipping": "3", "tax": "1", "prices_include_tax": True, "total": "9"}) == [
        ("Discount", "-€2.00"),
        ("Shipping", "€3.00"),
        ("Tax included", "€1.00"),
        ("Total", "€9.00"),
    ]
    listed = {"tax": "1", "taxes": [{"label": "VAT 19%", "rate": "19", "amount": "1"}], "discount": "0"}
    assert ("VAT 19%", "€1.00") in rows(listed)
    assert len([label for label, _ in rows(listed) if label.startswith(("VAT", "Tax"))]) == 1


def test_without_a_total_the_lines_are_added_up():
    order = {"lines": [{"name": "a", "quantity": 2, "unit_price": "1.50"}, {"name": "b", "total": "4"}]}
    body = {
        "type": "order_confirmation",
        "customer": {"email": "a@example.com"},
        "order": {"id": "1", "currency": "EUR", **order},
    }

    assert view(body)["order"]["total"] == "€7.00"


@pytest.mark.parametrize(
    ("url", "shown", "more"), [("https://shop.example/o/1", LINES_SHOWN, 10), (None, LINES_SHOWN + 10, 0)]
)
def test_long_orders_are_shortened_only_where_the_rest_can_be_read(url: str | None, shown: int, more: int):
    body = emails.bare("order_confirmation")
    body["order"]["lines"] = [{"name": f"Article {n}"} for n in range(LINES_SHOWN + 10)]
    if url:
        body["order"]["url"] = url
    order = view(body)["order"]

    assert (len(order["lines"]), order["more"]) == (shown, more)


def test_lines_of_a_shipment_are_named_after_the_lines_of_the_order():
    (first, second) = view(emails.rich("shipping_confirmation"))["shipments"]

    assert [(line["quantity"], line["name"]) for line in first["lines"]] == [
        ("1", "Desk lamp Lumen 7"),
        ("2.5", "Textile cable"),
    ]
    assert first["estimated_delivery"].replace("\u2009", " ") == "Nov 24 – 26, 2026"
    assert first["remaining"] == "1"
    assert second["remaining"] == "One lamp follows."
    assert second["estimated_delivery"] == "November 30, 2026"


def test_components_name_what_they_are_made_of():
    line = view(emails.rich("order_confirmation"))["order"]["lines"][0]

    assert line["components"] == ["2 × Bulb E27 (warm)", "1 × Hex key"]


def test_addresses_are_written_as_in_their_country_with_its_name_in_the_language_of_the_reader():
    german = formats_of("de", "UTC").locale

    assert address_lines(
        {"lines": ["48 Juniper Street"], "postcode": "97205", "city": "Portland", "region": "OR", "country": "US"},
        german,
    ) == [
        "48 Juniper Street",
        "Portland, OR 97205",
        "Vereinigte Staaten",
    ]
    assert address_lines({"name": "Alice", "postcode": "3511 AB", "city": "Utrecht", "country": "NL"}, german) == [
        "Alice",
        "3511 AB Utrecht",
        "Niederlande",
    ]
    assert address_lines({"city": "Nowhere", "country": "ZZ"}, german)[0] == "Nowhere"
    assert address_lines(None, german) == []


@pytest.mark.parametrize(
    ("customer", "greeted"),
    [
        ({"first_name": "Alice", "last_name": "Moreno"}, "Alice"),
        ({"salutation": "Frau", "last_name": "Moreno"}, "Frau Moreno"),
        ({"name": "Moreno B.V."}, "Moreno B.V."),
        ({"last_name": "Moreno"}, "Moreno"),
        ({}, ""),
    ],
)
def test_customers_are_greeted_by_what_is_known_of_them(customer: dict, greeted: str):
    body = emails.bare("order_confirmation")
    body["customer"] |= customer

    assert view(body)["customer"]["greeting_name"] == greeted


def test_every_key_is_there_even_in_the_least_payload():
    least, most = view(emails.bare("refund")), view(emails.rich("refund"))

    assert least.keys() == most.keys()
    assert least["order"].keys() == most["order"].keys()
    assert least["customer"].keys() == most["customer"].keys()
    assert least["refund"] is None
    assert least["shipments"] == []
