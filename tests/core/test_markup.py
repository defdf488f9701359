"""The JSON-LD says what Gmail asks for, and no name in an order can end its element."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.test_payload import FULL, SHOP, order, read
from handraiser.core.markup import json_ld


class Scripts(HTMLParser):
    """What a browser sees: the elements, and the text inside script elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def told(body: dict[str, Any]) -> Any:
    seen = Scripts()
    seen.feed(json_ld(read(body).email, SHOP))
    seen.close()
    assert seen.tags == ["script"]
    return json.loads(seen.text)


def test_an_order_has_every_field_that_gmail_documents():
    lines = [{"name": "Lamp", "quantity": 2, "unit_price": "10.00", "image_url": "https://lumen.example/l.png"}]
    more = {
        "number": "#1001",
        "lines": lines,
        "total": "1E+2",
        "url": "https://lumen.example/o",
        "placed_at": "2026-11-24",
    }

    assert told(order(order=more | {"total": 100})) == {
        "@context": "http://schema.org",
        "@type": "Order",
        "merchant": {"@type": "Organization", "name": "Lamp & Lumen"},
        "orderNumber": "#1001",
        "orderStatus": "http://schema.org/OrderProcessing",
        "priceCurrency": "EUR",
        "price": "100",
        "acceptedOffer": [
            {
                "@type": "Offer",
                "itemOffered": {"@type": "Product", "name": "Lamp", "image": "https://lumen.example/l.png"},
                "price": "10.00",
                "priceCurrency": "EUR",
                "eligibleQuantity": {"@type": "QuantitativeValue", "value": "2"},
            }
        ],
        "url": "https://lumen.example/o",
        "orderDate": "2026-11-24",
    }


def test_each_parcel_is_told_with_where_it_goes_when_it_comes_and_what_is_in_it():
    (one,) = [told(FULL)]

    assert one == {
        "@context": "http://schema.org",
        "@type": "ParcelDelivery",
        "carrier": {"@type": "Organization", "name": "PostNL"},
        "deliveryAddress": {
            "@type": "PostalAddress",
            "streetAddress": "Kade 1",
            "addressLocality": "Amsterdam",
            "addressRegion": "NH",
            "addressCountry": "NL",
            "postalCode": "1011 AA",
        },
        "expectedArrivalFrom": "2026-11-25",
        "expectedArrivalUntil": "2026-11-26T18:00:00+01:00",
        "itemShipped": {"@type": "Product", "name": "Reading set, Reading set"},
        "partOfOrder": {
            "@type": "Order",
            "orderNumber": "#1001",
            "merchant": {"@type": "Organization", "name": "Lamp & Lumen"},
        },
        "trackingNumber": "3",
        "trackingUrl": "https://postnl.example/3",
    }


def test_a_parcel_without_an_arrival_tells_the_order_instead():
    shipments = [{"parcels": [{"carrier": "UPS"}]}, {"parcels": [{"carrier": "DHL"}]}]

    assert told(FULL | {"shipments": shipments})["orderStatus"] == "http://schema.org/OrderInTransit"
    assert len(told(FULL | {"shipments": [FULL["shipments"][0]] * 2})) == 2


@pytest.mark.parametrize("kind", ["refund", "delayed", "contract_withdrawal_received", "own_type"])
def test_where_there_is_nothing_to_say_there_is_no_element(kind: str):
    assert json_ld(read(order(type=kind, order={"total": "5"})).email, SHOP) == ""


def test_an_order_of_unknown_price_or_content_is_not_told():
    nothing_bought = order(order={"total": "5"})
    del nothing_bought["order"]["lines"]

    assert json_ld(read(order()).email, SHOP) == ""
    assert json_ld(read(nothing_bought).email, SHOP) == ""


@settings(max_examples=100, deadline=None)
@given(
    st.text()
    | st.sampled_from(["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028", "&lt;/script&gt;"])
)
def test_no_name_breaks_out_of_the_element(name: str):
    body = order(order={"lines": [{"name": name or "x"}], "total": "5"})

    assert told(body)["acceptedOffer"][0]["itemOffered"]["name"] == read(body).email["order"]["lines"][0]["name"][:150]
