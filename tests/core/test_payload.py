"""Reading an order payload: lenient to what is odd, exact with money, and never surprised."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from handraiser.core import payload
from handraiser.core.payload import parse, read_email
from handraiser.core.shop import Controller, Shop
from handraiser.errors import PayloadRefused

SHOP = Shop(
    Controller(b"c" * 16, "lumen", "Lumen BV"),
    b"s" * 16,
    7,
    "lumen",
    "Lamp & Lumen",
    "https://mail.lumen.example",
    time_zone="Europe/Amsterdam",
)


def order(**more: Any) -> dict[str, Any]:
    """The least that is read without a warning, and ``more`` on the top level (``order`` is merged)."""
    body: dict[str, Any] = {
        "type": "order_confirmation",
        "customer": {"email": "alice@example.com"},
        "order": {"id": "1001", "currency": "EUR", "lines": [{"name": "Desk lamp"}]},
    }
    body["order"] |= more.pop("order", {})
    body["customer"] |= more.pop("customer", {})
    return body | more


def read(body: object) -> payload.Reading:
    return read_email(parse(json.dumps(body).encode()), shop=SHOP)


def warnings_of(body: object) -> dict[str, str]:
    return {fault.pointer: fault.code for fault in read(body).warnings}


def refusals_of(body: object) -> dict[str, str]:
    with pytest.raises(PayloadRefused) as refused:
        read(body)
    # Refusals stand before warnings about the same place.
    return {fault.pointer: fault.code for fault in reversed(refused.value.faults)}


FULL: dict[str, Any] = {
    "type": "shipping_confirmation",
    "customer": {
        "email": "alice@example.com",
        "id": 4711,
        "first_name": "Alice",
        "last_name": "de Vries",
        "name": "Alice de Vries",
        "salutation": "Mevrouw",
        "company": "De Vries BV",
        "vat_id": "NL001234567B01",
        "phone": "+31 20 1234567",
        "locale": "nl_NL",
        "country": "nl",
        "account": "registered",
        "business": True,
        "kind": "current",
        "orders_before": 3,
        "segments": ["vip"],
        "marketing": {"newsletter": {"state": "unsubscribed", "at": "2026-01-02T03:04:05Z", "source": "shop"}},
    },
    "to": "bob@example.com",
    "order": {
        "id": 1001,
        "number": "#1001",
        "placed_at": "2026-11-24T09:30:00+01:00",
        "currency": "eur",
        "prices_include_tax": True,
        "lines": [
            {
                "id": 1,
                "sku": "SET",
                "name": "Reading set",
                "quantity": "1.5",
                "unit": "m",
                "unit_price": 20,
                "total": "30.00",
                "tax_rate": "21",
                "kind": "physical",
                "options": [{"name": "Colour", "value": "Green"}],
                "components": [
                    {
                        "id": "1a",
                        "name": "Lamp",
                        "quantity": 1,
                        "kind": "physical",
                        "tax_rate": "21",
                        "category": "lamps",
                        "components": [{"name": "Bulb"}],
                        "downloads": [{"name": "Manual", "url": "https://lumen.example/m.pdf"}],
                    }
                ],
                "downloads": [{"name": "Manual", "url": "https://lumen.example/manual.pdf"}],
                "image_url": "https://lumen.example/set.png",
                "url": "https://lumen.example/set",
                "category": "lamps",
            }
        ],
        "subtotal": "30.00",
        "discounts": [{"label": "Autumn", "code": "AUTUMN", "amount": "5.00"}],
        "fees": [{"label": "Gift wrap", "amount": "2.00"}],
        "shipping_lines": [{"label": "Parcel", "amount": "4.95"}],
        "taxes": [{"label": "BTW", "rate": "21", "amount": "5.55"}],
        "gift_cards": [{"label": "Gift card", "last4": 1234, "amount": "10.00"}],
        "shipping": "4.95",
        "discount": "5.00",
        "tax": "5.55",
        "total": "31.95",
        "paid": "21.95",
        "due": "0",
        "payment": {"method": "iDEAL", "instructions": "Nothing\nto do"},
        "purchase_type": "first",
        "channel": "web",
        "customer_note": "Ring\ntwice",
        "url": "https://lumen.example/orders/1001",
        "shipping_address": {
            "name": "Alice de Vries",
            "company": "De Vries BV",
            "lines": ["Kade 1"],
            "postcode": "1011 AA",
            "city": "Amsterdam",
            "region": "NH",
            "country": "NL",
        },
        "billing_address": {"lines": ["Kade 1"], "country": "NL"},
    },
    "shipments": [
        {
            "parcels": [{"carrier": "PostNL", "tracking_number": 3, "tracking_url": "https://postnl.example/3"}],
            "lines": [{"id": 1, "quantity": 1}, {"sku": "SET", "quantity": 1}],
            "estimated_delivery": {"from": "2026-11-25", "to": "2026-11-26T18:00:00+01:00"},
            "remaining": True,
        },
        {"parcels": [], "estimated_delivery": "2026-11-27", "remaining": "The shade follows."},
    ],
    "pickup": {
        "name": "Shop at the quay",
        "address": {"lines": ["Kade 2"], "country": "NL"},
        "hours": "Mon-Fri",
        "code": 77,
        "ready_until": "2026-12-01",
    },
    "refund": {"amount": "1", "reason": "Dent", "lines": [{"id": "1", "quantity": 1}], "method": "iDEAL"},
    "subscription": {"id": 5, "next_at": "2026-12-24", "interval": "month"},
    "soft_opt_in": {"notice_at_collection": True, "similar_goods": True},
    "notices": [{"title": "Terms", "url": "https://lumen.example/terms"}, {"title": "Right", "text": "14\ndays"}],
    "attachments": [{"filename": "terms.pdf", "content_type": "Application/PDF", "base64": "JVBE\r\nRg=="}],
    "subject": "Your parcel",
    "from": "Lamp & Lumen <orders@lumen.example>",
    "reply_to": "help@lumen.example",
    "template": "shipping_confirmation",
    "extra": {"points": 12.5, "nothing": None, "deep": [{"a": ""}]},
}


def test_every_field_of_the_contract_is_taken_without_a_warning():
    reading = read(FULL)

    assert reading.warnings == ()
    assert set(reading.email) == set(FULL)
    assert set(reading.email["order"]) == set(FULL["order"])
    assert set(reading.email["customer"]) == set(FULL["customer"])


def test_the_published_schema_takes_what_the_reader_takes():
    schema = payload.json_schema()
    Draft202012Validator.check_schema(schema)

    Draft202012Validator(schema).validate(FULL)
    assert not Draft202012Validator(schema).is_valid(FULL | {"type": 5})


def test_ids_are_kept_as_text_codes_in_capitals_and_dates_as_dates():
    email = read(FULL).email

    assert email["customer"]["id"] == "4711"
    assert email["order"]["id"] == "1001"
    assert email["order"]["lines"][0]["id"] == "1"
    assert email["order"]["currency"] == "EUR"
    assert email["customer"]["country"] == "NL"
    assert email["customer"]["locale"] == "nl-NL"
    assert email["shipments"][0]["estimated_delivery"]["from"] == date(2026, 11, 25)
    assert email["shipments"][0]["parcels"][0]["tracking_number"] == "3"
    assert email["attachments"][0] == {"filename": "terms.pdf", "content_type": "application/pdf", "base64": "JVBERg=="}


@pytest.mark.parametrize(
    "number", ["0.1", "19.90", "-5.00", "59.699999999999996", "999999999999.999999", "1E+2", "1e-3"]
)
def test_money_is_never_read_through_a_float(number: str):
    raw = json.dumps(order(order={"total": 0})).replace('"total": 0', f'"total": {number}').encode()

    assert read_email(parse(raw), shop=SHOP).email["order"]["total"] == Decimal(number)


def test_zero_has_no_sign():
    assert str(read(order(order={"total": "-0.00"})).email["order"]["total"]) in ("0", "0.00")


@pytest.mark.parametrize("number", ["1,50", "EUR 5", "NaN", "1e400", "1000000000000", "٣", "1_000", True, [1], {}])
def test_an_amount_that_cannot_be_read_is_left_out_and_named(number: Any):
    reading = read(order(order={"subtotal": number, "total": "5"}))

    assert [(fault.pointer, fault.code) for fault in reading.warnings] == [("/order/subtotal", "bad_value")]
    assert "subtotal" not in reading.email["order"]


@pytest.mark.parametrize("none", [0, "0", "", None, "guest", "Guest", "null", " "])
def test_a_guest_has_no_id(none: Any):
    reading = read(order(customer={"id": none}))

    assert "id" not in reading.email["customer"]
    assert reading.warnings == ()


def test_only_the_essentials_refuse_and_all_faults_are_told_at_once():
    body = {
        "customer": {"email": "alice", "shoes": 7},
        "to": "bob",
        "order": {"currency": "EURO", "lines": [], "total": "x"},
    }

    assert refusals_of(body) == {
        "/type": "missing",
        "/customer/email": "bad_value",
        "/to": "bad_value",
        "/order/id": "missing",
        "/order/currency": "bad_value",
        "/order/total": "bad_value",
        "/order/lines": "missing",
        "/customer/shoes": "unknown_field",
    }


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ([], "", "wrong_type"),
        ("text", "", "wrong_type"),
        ({}, "/customer", "missing"),
        (order(type=5), "/type", "wrong_type"),
        (order(type="Order Confirmation"), "/type", "bad_value"),
        (order(type=None), "/type", "missing"),
        (order() | {"customer": "alice@example.com"}, "/customer", "wrong_type"),
        (order() | {"order": [1]}, "/order", "wrong_type"),
        (order(customer={"email": 5}), "/customer/email", "wrong_type"),
        (order(customer={"email": ""}), "/customer/email", "missing"),
        (order(customer={"email": "a@example.com, b@example.com"}), "/customer/email", "bad_value"),
        (order(customer={"email": "a@example.com\r\nBcc: b@example.com"}), "/customer/email", "bad_value"),
        (order(to={"email": "bob@example.com"}), "/to", "wrong_type"),
        (order(order={"id": {}}), "/order/id", "wrong_type"),
        (order(order={"id": True}), "/order/id", "wrong_type"),
        (order(order={"id": " "}), "/order/id", "missing"),
        (order(order={"id": "x" * 201}), "/order/id", "too_long"),
        (order(order={"currency": "ZZZ"}), "/order/currency", "bad_value"),
        (order(order={"currency": "XXX"}), "/order/currency", "bad_value"),
        (order(order={"currency": 978}), "/order/currency", "wrong_type"),
        (order(order={"lines": "none"}), "/order/lines", "missing"),
        (order(order={"lines": [5]}), "/order/lines", "missing"),
        (order(order={"lines": [{"name": "Lamp"}] * 1001}), "/order/lines", "too_many"),
    ],
)
def test_a_receipt_cannot_be_written_without(body: object, pointer: str, code: str):
    assert refusals_of(body)[pointer] == code


def test_a_total_is_enough_for_a_receipt():
    body = order(order={"total": "12.50"})
    del body["order"]["lines"]

    assert read(body).email["order"]["total"] == Decimal("12.50")


def test_a_thousand_lines_are_taken_and_many_without_a_page_of_their_own_are_named():
    lines = [{"name": f"Lamp {n}"} for n in range(1000)]

    assert warnings_of(order(order={"lines": lines})) == {"/order/lines": "many_lines"}
    assert warnings_of(order(order={"lines": lines, "url": "https://lumen.example/o/1"})) == {}
    assert warnings_of(order(order={"lines": lines[:50]})) == {}


@pytest.mark.parametrize(
    ("more", "pointer", "code"),
    [
        ({"colour": "red"}, "/colour", "unknown_field"),
        ({"a/b~c": 1}, "/a~1b~0c", "unknown_field"),
        ({"order": {"url": "javascript:alert(1)"}}, "/order/url", "bad_value"),
        ({"order": {"url": 'https://lumen.example/"onclick=x'}}, "/order/url", "bad_value"),
        ({"order": {"placed_at": "yesterday"}}, "/order/placed_at", "bad_value"),
        ({"order": {"placed_at": "0001-01-01"}}, "/order/placed_at", "bad_value"),
        ({"order": {"placed_at": 1764000000}}, "/order/placed_at", "bad_value"),
        ({"order": {"placed_at": "2026-11-24T09:30:00"}}, "/order/placed_at", "no_time_zone"),
        ({"order": {"channel": "pigeon"}}, "/order/channel", "bad_value"),
        ({"order": {"prices_include_tax": "yes"}}, "/order/prices_include_tax", "wrong_type"),
        ({"order": {"billing_address": "Kade 1"}}, "/order/billing_address", "wrong_type"),
        (
            {"order": {"discounts": [{"label": "x", "amount": "1", "rate": "5"}]}},
            "/order/discounts/0/rate",
            "unknown_field",
        ),
        ({"order": {"taxes": [{"amount": "1"}]}}, "/order/taxes/0/label", "missing"),
        ({"customer": {"locale": "xx-klingon-empire!"}}, "/customer/locale", "bad_value"),
        ({"customer": {"country": "QX"}}, "/customer/country", "bad_value"),
        ({"customer": {"first_name": 5}}, "/customer/first_name", "wrong_type"),
        ({"customer": {"first_name": "Kim\r\nBcc: x"}}, "/customer/first_name", "unsafe_text"),
        ({"customer": {"first_name": "=?utf-8?b?SGVsbG8=?="}}, "/customer/first_name", "unsafe_text"),
        ({"customer": {"first_name": "Kim\u0000"}}, "/customer/first_name", "unsafe_text"),
        ({"customer": {"first_name": "Kim\ud800"}}, "/customer/first_name", "unsafe_text"),
        ({"customer": {"orders_before": -1}}, "/customer/orders_before", "bad_value"),
        (
            {"customer": {"marketing": {"news letter": {"state": "unknown"}}}},
            "/customer/marketing/news letter",
            "bad_value",
        ),
        ({"customer": {"marketing": {"news": {"state": "maybe"}}}}, "/customer/marketing/news/state", "bad_value"),
        ({"reply_to": "not an address"}, "/reply_to", "bad_value"),
        ({"from": "Alice <alice@example.com>, Bob <bob@example.com>"}, "/from", "bad_value"),
        ({"template": "../../etc/passwd"}, "/template", "bad_value"),
        (
            {"shipments": [{"estimated_delivery": {"from": "2026-11-24"}}]},
            "/shipments/0/estimated_delivery/to",
            "missing",
        ),
        ({"shipments": [{"estimated_delivery": "soon"}]}, "/shipments/0/estimated_delivery", "bad_value"),
        ({"shipments": [{"lines": [{"id": "99"}]}]}, "/shipments/0/lines/0", "unknown_line"),
        ({"refund": {"reason": "Dent"}}, "/refund/amount", "missing"),
        (
            {"attachments": [{"filename": "a", "content_type": "a/b", "base64": "%%%"}]},
            "/attachments/0/base64",
            "bad_value",
        ),
        (
            {"attachments": [{"filename": "a", "content_type": "pdf", "base64": ""}]},
            "/attachments/0/content_type",
            "bad_value",
        ),
    ],
)
def test_what_is_odd_is_left_out_and_named_and_never_refused(more: dict[str, Any], pointer: str, code: str):
    assert warnings_of(order(**more)).get(pointer) == code
    assert read(order(**more)).email["order"]["lines"][0]["name"] == "Desk lamp"


def test_markup_and_braces_in_a_name_are_only_text():
    name = "<script>alert(1)</script> {{ 7*7 }} {% raw %}"

    assert read(order(order={"lines": [{"name": name}]})).email["order"]["lines"][0]["name"] == name


def test_what_says_nothing_is_as_if_it_were_not_there():
    body = order(
        customer={"first_name": None, "country": "", "locale": "", "segments": None},
        order={"url": "", "placed_at": None, "shipping_address": None, "total": "", "customer_note": None},
        to=None,
        reply_to="",
    )

    assert read(body) == read(order())


def test_a_line_without_a_name_is_told_by_its_sku_and_keeps_its_amount():
    reading = read(
        order(order={"lines": [{"sku": "L-1", "total": "9.90"}, {"name": 5, "id": 7}, {"name": "x" * 3000}]})
    )
    lines = reading.email["order"]["lines"]

    assert [line["name"] for line in lines[:2]] == ["L-1", "7"]
    assert lines[0]["total"] == Decimal("9.90")
    assert len(lines[2]["name"]) == 2000
    assert {fault.pointer for fault in reading.warnings} == {f"/order/lines/{n}/name" for n in range(3)}


def test_a_shipped_line_is_named_by_the_order_or_by_itself():
    shipments = [{"lines": [{"id": "1"}, {"sku": "GONE"}, {"id": "99"}, {"quantity": 2}, {"name": "Bulb"}]}]
    reading = read(order(order={"lines": [{"id": "1", "name": "Lamp"}]}, shipments=shipments))

    assert [line.get("name") for line in reading.email["shipments"][0]["lines"]] == [None, "GONE", "99", "Bulb"]
    assert [fault.code for fault in reading.warnings] == ["unknown_line"] * 3


def test_windows_line_ends_in_a_note_are_no_fault():
    reading = read(order(order={"customer_note": "Ring\r\ntwice "}))

    assert reading.warnings == ()
    assert reading.email["order"]["customer_note"].startswith("Ring\ntwice")


def test_a_link_is_never_changed():
    url = "https://lumen.example/track?next=?a=%3F=?"

    assert read(order(order={"url": url})).email["order"]["url"] == url


def test_a_moment_without_a_zone_is_in_the_shops_zone_even_where_the_clock_goes_back():
    reading = read(order(order={"placed_at": "2026-10-25 02:30:00"}))

    assert reading.email["order"]["placed_at"] == datetime.fromisoformat("2026-10-25T02:30:00+02:00")


@pytest.mark.parametrize(
    ("tag", "normal"), [("de_DE_formal", "de-DE"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")]
)
def test_language_tags_of_other_systems_are_understood(tag: str, normal: str):
    assert read(order(customer={"locale": tag})).email["customer"]["locale"] == normal


def test_depth_beyond_reason_is_left_out_of_extra():
    deep: Any = "end"
    for _ in range(100):
        deep = {"a": deep}

    reading = read(order(extra=deep))
    assert [fault.code for fault in reading.warnings] == ["too_deep"]


def test_hundreds_of_faults_are_told_as_a_number():
    reading = read(order(**{f"field_{n}": 1 for n in range(5000)}))

    assert len(reading.warnings) == 201
    assert reading.warnings[-1].detail == "and 4,800 more"


@pytest.mark.parametrize(
    ("raw", "code", "detail"),
    [
        (b"{", "malformed_json", "line 1, column 2"),
        (b"", "malformed_json", "line 1"),
        (b'{"a": NaN}', "malformed_json", "NaN"),
        (b'{"a": -Infinity}', "malformed_json", "Infinity"),
        (b'{"a": 1e99999999999999999999}', "malformed_json", "exponent"),
        (b'{"a": ' + b"9" * 5000 + b"}", "malformed_json", "digits"),
        (b'{"a": "\xff"}', "not_utf8", "byte 7"),
        (b"[" * 100_000, "too_deep", "nested"),
    ],
)
def test_malformed_json_is_refused_with_its_place(raw: bytes, code: str, detail: str):
    with pytest.raises(PayloadRefused) as refused:
        parse(raw)

    (fault,) = refused.value.faults
    assert fault.code == code
    assert detail in fault.detail


def test_of_a_name_given_twice_the_last_counts_and_a_byte_order_mark_is_no_fault():
    assert parse(b'\xef\xbb\xbf{"a": 1, "a": 2.50}') == {"a": Decimal("2.50")}


def normal_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: normal_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [normal_json(one) for one in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(allow_nan=False),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=8,
)


def spoiled(value: Any) -> st.SearchStrategy[Any]:
    """A full payload with anything at all in some of its places."""
    if isinstance(value, dict):
        fixed = st.fixed_dictionaries({key: spoiled(one) for key, one in value.items()})
        return st.one_of(fixed, fixed, fixed, fixed, JSON)
    if isinstance(value, list):
        return st.one_of(st.tuples(*map(spoiled, value)).map(list), JSON)
    return st.one_of(st.just(value), st.just(value), st.just(value), JSON)


@settings(max_examples=200, deadline=None)
@given(st.one_of(JSON, spoiled(FULL), spoiled(order())))
def test_whatever_comes_is_read_or_refused_and_reading_again_changes_nothing(body: Any):
    try:
        reading = read_email(body, shop=SHOP)
    except PayloadRefused:
        return
    plain = normal_json(reading.email)
    json.dumps({k: v for k, v in plain.items() if k != "extra"}, ensure_ascii=False).encode()
    again = read_email(plain, shop=SHOP)

    assert normal_json(again.email) == plain
    assert {fault.code for fault in again.warnings} <= {"many_lines"}


@settings(max_examples=200, deadline=None)
@given(st.one_of(JSON, spoiled(FULL), spoiled(order())).map(lambda body: json.dumps(body, default=str).encode()))
def test_bytes_are_read_as_what_they_parse_to(raw: bytes):
    def outcome(given: Callable[[], object]) -> object:
        try:
            return read_email(given(), shop=SHOP)
        except PayloadRefused as refused:
            return refused.faults

    assert outcome(lambda: raw) == outcome(lambda: parse(raw))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value, default=str).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_json_or_refused(raw: bytes):
    try:
        body = parse(raw)
    except PayloadRefused:
        return
    assert body == json.loads(raw.decode("utf-8-sig"), parse_float=Decimal)


def test_the_customers_kind_is_the_shops_word_else_the_orders_before_else_what_was_seen():
    def kind(seen: int, *, known: bool = False, **customer: Any) -> str:
        return payload.customer_kind(read(order(customer=customer)).email, seen, order_known=known)

    assert kind(5, kind="new", orders_before=3) == "new"
    assert kind(0, orders_before="3") == "current"
    assert kind(0, orders_before=0) == "new"
    assert kind(0) == "new"
    assert kind(1) == "current"
    assert kind(1, known=True) == "new"


def test_amounts_are_counted_in_the_currencys_own_minor_units():
    assert payload.minor_units(Decimal("19.90"), "EUR") == 1990
    assert payload.minor_units(Decimal("1980"), "JPY") == 1980
    assert payload.minor_units(Decimal("1.5"), "KWD") == 1500


def test_an_orders_value_is_its_total_else_what_its_lines_add_up_to():
    lines = [{"name": "Lamp", "unit_price": "10.50", "quantity": 2}, {"name": "Bulb", "total": "3"}]

    assert payload.order_value(read(order(order={"lines": lines})).email) == Decimal("24.00")
    assert payload.order_value(read(order(order={"lines": lines, "total": "20"})).email) == Decimal(20)
    assert payload.order_value(read(order()).email) is None


def test_countries_and_reader_come_from_wherever_they_are_told():
    email = read(FULL).email

    assert payload.addressee(email) == "bob@example.com"
    assert payload.countries(email) == ("NL", "NL", "NL")
    assert payload.categories(email) == {"lamps"}
    assert payload.placed_at(date(2026, 11, 24), "Europe/Amsterdam") == 1_795_474_800_000
    assert payload.placed_at(None, "UTC") is None
