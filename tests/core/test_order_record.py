"""An order is read as leniently as an email's payload: what matters is kept, what is wrong is named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asked import TENT
from handraiser.core.order_record import OrderRecord, read_order
from handraiser.core.payload import exact_json
from handraiser.errors import Malformed, PayloadRefused

NOW = 1_790_000_000_000


def told(**given: Any) -> dict[str, Any]:
    order = {"id": 1001, "currency": "EUR", "total": Decimal("19.90")} | given.pop("order", {})
    return {"customer": {"email": "alice@example.com"} | given.pop("customer", {}), "order": order, **given}


def read(**given: Any) -> OrderRecord:
    return read_order(told(**given), TENT, NOW)


def codes(record: OrderRecord) -> list[tuple[str, str]]:
    return [(one.pointer, one.code) for one in record.warnings]


def test_the_least_is_an_address_an_id_a_currency_and_a_value():
    record = read()
    assert (record.order_id, record.value_minor, record.currency, record.placed_at) == ("1001", 1990, "EUR", NOW)
    assert (record.status, record.channel, record.kind, record.version, record.historical) == (
        "placed", "web", "", NOW, False,
    )  # fmt: skip
    assert record.warnings == ()


@pytest.mark.parametrize("field", ["id", "currency", "total"])
def test_without_one_of_them_nothing_can_be_kept(field: str):
    body = told()
    del body["order"][field]
    with pytest.raises(PayloadRefused):
        read_order(body, TENT, NOW)
    with pytest.raises(Malformed):
        read_order([body], TENT, NOW)


def test_an_emails_payload_is_an_order_too():
    record = read(type="shipping_confirmation", order={"channel": "store", "purchase_type": "gift"})
    assert (record.channel, record.purchase_type, codes(record)) == ("store", "gift", [])


def test_what_is_wrong_is_left_out_and_named():
    record = read(status="lost", refunded="-1", version=0, updated_at="soon", kind="old", colour="red")
    assert [(pointer, code) for pointer, code in codes(record)] == [
        ("/status", "bad_value"),
        ("/version", "bad_value"),
        ("/updated_at", "bad_value"),
        ("/kind", "bad_value"),
        ("/refunded", "bad_value"),
        ("/colour", "unknown_field"),
    ]
    assert (record.status, record.refunded_minor, record.version, record.historical) == ("placed", 0, NOW, False)


def test_what_was_paid_back_is_an_amount_or_all_of_it():
    assert read(status="refunded").refunded_minor == 1990
    assert read(status="refunded", refunded="5").refunded_minor == 500
    assert read(order={"currency": "JPY"}, refunded=7).refunded_minor == 7


def test_a_version_counts_before_the_moment_of_a_change_and_that_before_the_moment_of_telling():
    moment = "2026-05-01T10:00:00"
    assert read(version=3, updated_at=moment).version == 3
    assert read(updated_at=moment + "+02:00").version == 1_777_622_400_000
    assert read(updated_at=moment).version == 1_777_629_600_000, "in the shop's zone, which is UTC"
    assert read().version == NOW


def test_history_has_its_day_and_the_lowest_version():
    record = read(kind="historical", order={"placed_at": "2024-01-02"})
    assert (record.historical, record.version, record.placed_at) == (True, 0, 1_704_153_600_000)
    with pytest.raises(PayloadRefused) as refused:
        read(kind="historical")
    assert refused.value.faults[0].pointer == "/order/placed_at"


def test_facts_hold_what_an_ask_may_depend_on_and_no_name():
    customer = {"id": "7", "first_name": "Alice", "locale": "nl", "country": "NL", "segments": ["vip"]}
    order = {"lines": [{"name": "Tent", "category": "camping"}], "shipping_address": {"name": "A", "country": "DE"}}
    record = read(customer=customer, order=order)
    assert record.facts == {
        "customer_id": "7",
        "locale": "nl",
        "countries": ["NL", "DE"],
        "segments": ["vip"],
        "categories": ["camping"],
    }
    assert record.country == "NL"


def test_a_shop_may_say_whether_the_customer_is_new():
    assert read(customer={"kind": "current"}).kind == "current"
    assert read(customer={"orders_before": 0}).kind == "new"


def test_the_shops_own_marketing_knowledge_is_not_lost_silently():
    record = read(customer={"marketing": {"offers": {"state": "unsubscribed"}}})
    assert codes(record) == [("/customer/marketing", "not_read")]


_TEXT = st.text(st.sampled_from("a0-.:TZ\x00é\ud800"), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, places=2) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(["status", "refunded", "version", "updated_at", "kind", "customer", "order", "x"])


@settings(deadline=None)
@given(st.dictionaries(_FIELDS, _JSON, max_size=4))
def test_whatever_comes_is_read_or_refused(given: dict[str, Any]):
    try:
        record = read_order({**told(), **given}, TENT, NOW)
    except PayloadRefused:
        return
    assert record.refunded_minor >= 0
    assert record.version >= 0


def test_amounts_never_pass_through_a_float():
    body = exact_json('{"customer": {"email": "a@x.example"}, "order": {"id": 1, "currency": "EUR", "total": 0.29}}')
    assert read_order(body, TENT, NOW).value_minor == 29
