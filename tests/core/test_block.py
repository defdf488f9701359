"""What marketers send is read whole or refused with every fault named; nothing half-valid ever goes live."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choices import COMPANY, block, content, reason
from handraiser.core.block import (
    BlockVersion,
    Promise,
    Purpose,
    Targeting,
    Variant,
    nearest,
    read_block,
    read_purpose,
    wording,
)
from handraiser.errors import Refused

PROMISE = Promise("News", "Monthly", "10 % off", "Your code: TEN", "Yes, please")
OFFERS = Purpose("offers", 2, {"en": PROMISE, "de": replace(PROMISE, what="Neues")}, recipients=("Tents Ltd",))


def pointers(given: dict[str, Any]) -> list[str]:
    with pytest.raises(Refused) as refused:
        read_block(given, controller_id=COMPANY, block_id=bytes(16), version=1)
    return [fault.pointer for fault in refused.value.faults]


def test_a_block_survives_being_stored():
    one = block(
        priority=5,
        targeting={"countries": ["NL"], "min_value": "9.99", "value_currency": "EUR", "cap": 2, "starts_at": 1},
        variants=[{"key": "a", "rows": {"en": "<x/>", "de-AT": "<y/>"}}, {"key": "b", "rows": {"en": "<z/>"}}],
    )
    assert BlockVersion.from_json(one.to_json()) == one
    assert BlockVersion.from_json(one.to_json()).hash() == one.hash()
    assert one.first_variant().key == "a"


def test_the_same_content_has_the_same_hash_whatever_its_version_and_owner():
    assert block(n=1).hash() == replace(block(n=2), version=9, controller_id=bytes(16)).hash()
    assert block().hash() == block(targeting={}, priority=0).hash()
    assert block().hash() != block(priority=1).hash()


def test_the_legal_class_follows_the_kind_unless_it_is_given():
    assert block("x", "opt_in").legal_class == "ask"
    assert block("x", "service_message").legal_class == "service"
    assert block("x", "service_message", legal_class="feedback").legal_class == "feedback"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"kind": "banner"}, "/kind"),
        ({"kind": None}, "/kind"),
        ({"legal_class": "fun"}, "/legal_class"),
        ({"legal_class": "service"}, "/legal_class"),
        ({"slot": "top"}, "/slot"),
        ({"slot": "service"}, "/slot"),
        ({"slot": "footer"}, "/slot"),
        ({"slug": "Welcome!"}, "/slug"),
        ({"slug": None}, "/slug"),
        ({"purpose": None}, "/purpose"),
        ({"purpose": ["offers"]}, "/purpose"),
        ({"priority": "high"}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"controller_id": "0b" * 16}, "/controller_id"),
        ({"version": 7}, "/version"),
        ({"colour": "red"}, "/colour"),
        ({"variants": []}, "/variants"),
        ({"variants": "a"}, "/variants"),
        ({"variants": ["a"]}, "/variants/0"),
        ({"variants": [{"key": "", "rows": {"en": "x"}}]}, "/variants/0/key"),
        ({"variants": [{"key": "a", "rows": {}}]}, "/variants/0/rows"),
        ({"variants": [{"key": "a", "rows": {"english": "x"}}]}, "/variants/0/rows/english"),
        ({"variants": [{"key": "a", "rows": {"en": " "}}]}, "/variants/0/rows/en"),
        ({"variants": [{"key": "a", "rows": {"en": 5}}]}, "/variants/0/rows/en"),
        ({"variants": [{"key": "a", "rows": {"en": "x"}, "weight": 1}]}, "/variants/0/weight"),
        ({"variants": [{"key": "a", "rows": {"en": "x"}}] * 2}, "/variants/1/key"),
        ({"targeting": ["NL"]}, "/targeting"),
        ({"targeting": {"country": ["NL"]}}, "/targeting/country"),
        ({"targeting": {"countries": "NL"}}, "/targeting/countries"),
        ({"targeting": {"countries": ["nl"]}}, "/targeting/countries"),
        ({"targeting": {"customer_kinds": ["old"]}}, "/targeting/customer_kinds"),
        ({"targeting": {"touchpoints": ["order_confirmation"]}}, "/targeting/touchpoints"),
        ({"targeting": {"locales": ["English"]}}, "/targeting/locales"),
        ({"targeting": {"segments_any": [5]}}, "/targeting/segments_any"),
        ({"targeting": {"min_value": 50, "value_currency": "EUR"}}, "/targeting/min_value"),
        ({"targeting": {"min_value": "NaN", "value_currency": "EUR"}}, "/targeting/min_value"),
        ({"targeting": {"max_value": "50"}}, "/targeting/value_currency"),
        ({"targeting": {"value_currency": "EUR"}}, "/targeting/value_currency"),
        ({"targeting": {"starts_at": "2026-01-01"}}, "/targeting/starts_at"),
        ({"targeting": {"cap": 0}}, "/targeting/cap"),
        ({"targeting": {"cap": 33}}, "/targeting/cap"),
        ({"targeting": {"cap_days": True}}, "/targeting/cap_days"),
        ({"targeting": {"cool_down_days": -1}}, "/targeting/cool_down_days"),
    ],
)
def test_a_fault_is_refused_and_named(change: dict[str, Any], wrong: str):
    assert pointers(content(**change)) == [wrong]


def test_a_service_message_has_neither_purpose_nor_caps_because_only_asks_are_counted():
    wrong = content("x", "service_message", purpose="offers", targeting={"cap": 2, "cool_down_days": 3})
    assert pointers(wrong) == ["/purpose", "/targeting/cap", "/targeting/cool_down_days"]
    assert pointers(content("x", "service_message", legal_class="ask")) == ["/legal_class"]


def test_all_faults_are_named_at_once():
    assert pointers({"slug": "?", "targeting": {"cap": -1}, "extra": 1}) == [
        "/extra",
        "/kind",
        "/slot",
        "/slug",
        "/targeting/cap",
        "/variants",
    ]


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from([*content(), "targeting", "legal_class", "priority", "x"]), json_values))
def test_whatever_json_comes_it_is_read_or_refused_never_anything_else(change: dict[str, Any]):
    try:
        one = read_block({**content(), **change}, controller_id=COMPANY, block_id=bytes(16), version=1)
    except Refused:
        return
    assert BlockVersion.from_json(one.to_json()) == one


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(Targeting.__slots__), json_values))
def test_whatever_targeting_comes_it_is_refused_or_can_be_decided_with(targeting: dict[str, Any]):
    try:
        one = read_block(content(targeting=targeting), controller_id=COMPANY, block_id=bytes(16), version=1)
    except Refused:
        return
    reason(one, currency="EUR", value=Decimal(1), country="NL")
    assert BlockVersion.from_json(one.to_json()) == one


@pytest.mark.parametrize(
    ("locale", "default", "shown"),
    [
        ("de-AT", "en", "de-AT"),
        ("de-CH", "en", "de"),
        ("de", "en", "de"),
        ("fr", "en", "en"),
        ("fr", "en-GB", "en"),
        ("fr", "pt", "nl"),
    ],
)
def test_a_language_without_a_row_falls_back_to_the_shops_default_and_then_to_any(
    locale: str, default: str, shown: str
):
    rows = {"nl": "n", "de": "d", "de-AT": "a", "en": "e"}
    assert nearest(rows, locale, default) == shown
    assert Variant("a", rows).row(locale, default) == rows[shown]


def test_a_purpose_survives_being_stored_and_promises_in_the_nearest_language():
    assert Purpose.from_json(OFFERS.to_json()) == OFFERS
    assert OFFERS.promise("de-AT", "en").what == "Neues"
    assert OFFERS.promise("fr", "en").what == "News"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"id": "Offers"}, "/id"),
        ({"version": 0}, "/version"),
        ({"version": "1"}, "/version"),
        ({"covers_transactional": "yes"}, "/covers_transactional"),
        ({"channels": "email"}, "/channels"),
        ({"recipients": [""]}, "/recipients"),
        ({"texts": {}}, "/texts"),
        ({"texts": {"en": "News"}}, "/texts/en"),
        ({"texts": {"en": {**json.loads(OFFERS.to_json())["texts"]["en"], "benefit": " "}}}, "/texts/en/benefit"),
        ({"texts": {"en": {**json.loads(OFFERS.to_json())["texts"]["en"], "gift": "x"}}}, "/texts/en/gift"),
        ({"price": 1}, "/price"),
    ],
)
def test_an_incomplete_promise_is_refused_because_every_part_is_shown_before_the_press(
    change: dict[str, Any], wrong: str
):
    with pytest.raises(Refused) as refused:
        read_purpose({**json.loads(OFFERS.to_json()), **change})
    assert [fault.pointer for fault in refused.value.faults] == [wrong]


def test_a_wordings_id_changes_with_every_part_of_what_was_promised():
    one = block()
    first = wording(one, "a", "en", "Hello", OFFERS, PROMISE)
    assert first == wording(replace(one, version=7), "a", "en", "Hello", OFFERS, PROMISE)
    others = [
        wording(one, "b", "en", "Hello", OFFERS, PROMISE),
        wording(one, "a", "de", "Hello", OFFERS, PROMISE),
        wording(one, "a", "en", "Hallo", OFFERS, PROMISE),
        wording(one, "a", "en", "Hello", replace(OFFERS, version=3), PROMISE),
        wording(one, "a", "en", "Hello", replace(OFFERS, channels=("email", "post")), PROMISE),
        wording(one, "a", "en", "Hello", replace(OFFERS, recipients=()), PROMISE),
        wording(one, "a", "en", "Hello", replace(OFFERS, covers_transactional=True), PROMISE),
        *(wording(one, "a", "en", "Hello", OFFERS, replace(PROMISE, **{part: "x"})) for part in Promise.__slots__),
    ]
    assert len({first.id, *(other.id for other in others)}) == 1 + len(others)
    assert json.loads(first.content)["promise"]["frequency"] == "Monthly"
