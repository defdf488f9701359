"""Who sees which block, who is asked, and the reason and remedy where not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choices import DAY, MARKETS, NOW, ask, block, decide, reason, situation
from handraiser.core.choice import choose
from handraiser.core.eligibility import REASONS, Asked, Politeness
from handraiser.core.market import MONTH_MS

SOFT = {"notice_at_collection": True, "similar_goods": True}
NL: dict[str, Any] = {"market": MARKETS.of("NL"), "country": "NL"}
CA: dict[str, Any] = {"market": MARKETS.of("CA"), "country": "CA"}
tips = block("tips", "service_message")
rating = block("rating", "service_message", legal_class="feedback")
offer = block("offer", "service_message", legal_class="advertising")


def asked(days_ago: float, purpose: str = "offers", by: str = "welcome") -> Asked:
    return Asked(int(NOW - days_ago * DAY), purpose, by)


def test_alice_who_bought_for_the_first_time_is_asked_once_after_her_order():
    choice = decide(ask())
    assert {slot: one.slug for slot, one in choice.placed.items()} == {"ask": "welcome"}
    assert choice.skipped == ()


SKIPS: list[tuple[str, Any, dict[str, Any]]] = [
    ("mode", ask(), {"mode": "off"}),
    ("mode", ask(), {"mode": "observe"}),
    ("mode", tips, {"mode": "observe"}),
    ("addressee", ask(), {"to_other": True}),
    ("no_sale", ask(), {"live_sale": False}),
    ("under_age", ask(), {"age": 12}),
    ("under_age", ask(), NL | SOFT | {"age": 15}),
    ("paused", ask(), {"paused_until": NOW + 1}),
    ("paused", offer, {"paused_until": NOW + 1}),
    ("store_unavailable", ask(), {"store_ok": False}),
    ("standing_unknown", ask(), {"standing_known": False}),
    ("standing_unknown", rating, {"store_ok": False}),
    ("standing_unknown", ask(), {"fresh_days": 30}),
    ("standing_unknown", ask(), {"fresh_days": 30, "told_at": NOW - 30 * DAY - 1}),
    ("standing_unknown", ask(), {"fresh_days": 30, "marketing": {"offers": "unknown", "other": "not_subscribed"}}),
    ("suppressed", ask(), {"fresh_days": 30, "barred": "objected"}),
    ("market", ask(), {"market": MARKETS.unknown}),
    ("market", ask(), {"market": MARKETS.of("JP")}),
    ("market", ask(), {"market": MARKETS.of("DE")} | SOFT),
    ("market", ask(), NL),
    ("market", ask(), NL | {"notice_at_collection": True}),
    ("market", ask(), NL | {"similar_goods": True}),
    ("market", ask(), NL | SOFT | {"own_headers": False}),
    ("market", ask(), CA | {"postal_address": False}),
    ("market", ask(), CA | {"purchased_at": None}),
    ("market", ask(), CA | {"purchased_at": NOW - 24 * MONTH_MS - 1}),
    ("legal_class", rating, {"market": MARKETS.of("CA")}),
    ("legal_class", rating, {"market": MARKETS.of("DE")} | SOFT),
    ("legal_class", rating, NL),
    ("legal_class", offer, {}),
    ("opted_in", ask(), {"standing": {"offers": "granted"}}),
    ("opted_in", ask(), {"marketing": {"offers": "subscribed"}}),
    ("pending", ask(), {"standing": {"offers": "pending"}}),
    ("refused", ask(), {"standing": {"offers": "refused"}, "standing_since": {"offers": NOW - 364 * DAY}}),
    ("refused", ask(), {"standing": {"other": "refused"}, "standing_since": {"other": NOW}}),
    ("refused", ask(), {"standing": {"offers": "refused"}}),
    ("suppressed", ask(), {"barred": "suppressed"}),
    ("suppressed", ask(), {"barred": "objected"}),
    ("suppressed", ask(), {"standing": {"other": "withdrawn"}}),
    ("suppressed", ask(), {"standing": {"offers": "objected"}}),
    ("suppressed", ask(), {"marketing": {"other": "unsubscribed"}}),
    ("suppressed", ask(), {"marketing": {"offers": "subscribed"}, "barred": "withdrawn"}),
    ("suppressed", rating, {"barred": "objected"}),
    ("kind", ask(customer_kinds=("current",)), {}),
    ("kind", ask(customer_kinds=("new",)), {"customer_kind": "current"}),
    ("touchpoint", ask(touchpoints=("email:delivered",)), {}),
    ("country", ask(countries=("NL", "DE")), {}),
    ("country", ask(countries=("US",)), {"country": ""}),
    ("locale", ask(locales=("de",)), {}),
    ("locale", ask(locales=("en-GB",)), {"locale": "en"}),
    ("segment", ask(segments_any=("vip",)), {"segments": frozenset({"club"})}),
    ("segment", ask(segments_none=("staff",)), {"segments": frozenset({"staff", "club"})}),
    ("category", ask(categories=("lamps",)), {"categories": frozenset({"bulbs"})}),
    ("value", ask(min_value="50", value_currency="EUR"), {"value": Decimal("49.99"), "currency": "EUR"}),
    ("value", ask(max_value="50", value_currency="EUR"), {"value": Decimal("50.01"), "currency": "EUR"}),
    ("value", ask(min_value="50", value_currency="EUR"), {"value": Decimal(99), "currency": "USD"}),
    ("value", ask(min_value="50", value_currency="EUR"), {"currency": "EUR"}),
    ("dates", ask(starts_at=NOW + 1), {}),
    ("dates", ask(ends_at=NOW), {}),
    ("cap", ask(), {"asking": False}),
    ("cap", ask(), {"asks": [asked(n, "x", "y") for n in (1, 30, 60, 89)]}),
    ("cap", ask(cap=1, cap_days=30), {"asks": [asked(29, "x")]}),
    ("cool_down", ask(), {"asks": [asked(6.9, by="another-block")]}),
    ("cool_down", ask(cool_down_days=14), {"asks": [asked(13, "x")]}),
    ("one_ask", [block("first", priority=1), block("second", slot="ask", n=2)], {}),
    ("priority", [block("first", "service_message", priority=1), block("second", "service_message", n=2)], {}),
]


@pytest.mark.parametrize(("why", "blocks", "facts"), SKIPS)
def test_a_block_that_does_not_fit_is_skipped_with_its_reason_and_a_remedy(why: str, blocks: Any, facts: Any):
    choice = decide(blocks, **facts)
    (skip,) = choice.skipped
    assert skip.reason == why
    assert len(skip.remedy) > 20
    assert skip.as_json().keys() == {"slot", "block", "reason", "remedy"}


FITS: list[tuple[Any, dict[str, Any]]] = [
    (ask(), NL | SOFT),
    (ask(), CA | {"purchased_at": NOW - 24 * MONTH_MS}),
    (ask(), {"market": MARKETS.of("US"), "purchased_at": None, "postal_address": False, "own_headers": False}),
    (ask(), {"marketing": {"offers": "not_subscribed", "other": "unknown"}}),
    (ask(), {"fresh_days": 30, "told_at": NOW - 30 * DAY}),
    (ask(), {"fresh_days": 30, "marketing": {"offers": "not_subscribed"}}),
    (ask(), {"told_at": NOW - 400 * DAY}),
    (ask(), {"marketing": {"other": "subscribed"}, "standing": {"other": "granted"}}),
    (ask(), {"standing": {"offers": "refused"}, "standing_since": {"offers": NOW - 365 * DAY}}),
    (ask(), {"standing": {"offers": "lapsed"}}),
    (ask(), {"age": 13}),
    (tips, {"age": 5}),
    (ask(), {"standing": {"offers": "asked"}}),
    (ask(customer_kinds=("new", "current")), {"customer_kind": "current"}),
    (ask(touchpoints=("email:order_confirmation",)), {}),
    (ask(countries=("US",)), {}),
    (ask(locales=("en",)), {"locale": "en-GB"}),
    (ask(locales=("de", "en-GB")), {"locale": "en-GB"}),
    (ask(segments_any=("vip", "club")), {"segments": frozenset({"club"})}),
    (ask(segments_none=("staff",)), {"segments": frozenset({"club"})}),
    (ask(categories=("lamps", "bulbs")), {"categories": frozenset({"bulbs"})}),
    (ask(min_value="50", max_value="50", value_currency="EUR"), {"value": Decimal("50.00"), "currency": "EUR"}),
    (ask(starts_at=NOW, ends_at=NOW + 1), {}),
    (ask(), {"asks": [asked(n, "x", "y") for n in (1, 30, 60, 90)]}),
    (ask(cap=2, cap_days=30), {"asks": [asked(29, "x"), asked(30, "x")]}),
    (ask(), {"asks": [asked(7)]}),
    (ask(), {"asks": [asked(0, "tips", "care")]}),
    (ask(cool_down_days=14), {"asks": [asked(14)]}),
    (tips, {"store_ok": False, "market": MARKETS.unknown, "barred": "objected", "live_sale": False, "to_other": True}),
    (rating, {}),
    (rating, NL | SOFT),
    (rating, {"market": MARKETS.of("DE"), "granted_advertising": True}),
    (offer, {"granted_advertising": True}),
]


@pytest.mark.parametrize(("blocks", "facts"), FITS)
def test_a_block_that_fits_is_placed(blocks: Any, facts: Any):
    assert decide(blocks, **facts).skipped == ()


def test_a_block_that_its_page_cannot_show_is_skipped_before_any_draw_and_leaves_its_slot_to_the_next():
    refused, shown = block("refused", priority=9), block("shown", n=2)
    choice = choose(situation(), [refused, shown], lambda one: one.slug == "shown")
    assert choice.placed["ask"].slug == "shown"
    assert [(skip.block, skip.reason) for skip in choice.skipped] == [("refused", "no_slot")]


def test_every_reason_can_be_met_but_those_of_filling_of_placing_of_the_relay_and_of_experiments():
    met = {why for why, _, _ in SKIPS} | {reason(ask(), stands=False)}
    assert set(REASONS) - met == {"fill_failed", "not_placed", "not_sent", "holdout", "experiment"}
    assert met <= set(REASONS)


def test_bob_who_withdrew_and_said_yes_again_later_counts_as_opted_in_to_that_purpose_and_is_asked_nothing_else():
    standing = {"offers": "granted", "tips": "withdrawn"}
    assert reason(ask(), standing=standing) == "opted_in"
    assert reason(block("care", purpose="care"), standing=standing) == "suppressed"


def test_of_several_blocks_for_one_slot_the_highest_priority_wins_and_a_tie_goes_by_name():
    low, high, tie = (block(slug, priority=p, n=p) for slug, p in (("low", 1), ("high", 5), ("a-tie", 5)))
    choice = decide([low, high, tie])
    assert choice.placed["ask"].slug == "a-tie"
    assert {skip.block: skip.reason for skip in choice.skipped} == {"high": "one_ask", "low": "one_ask"}


def test_a_block_that_is_not_eligible_takes_no_place_from_the_next():
    choice = decide([ask(customer_kinds=("current",)), block("for-all", n=2)])
    assert choice.placed["ask"].slug == "for-all"


def test_a_service_message_in_the_slot_of_the_ask_keeps_the_ask_out_by_priority_only():
    service = block("care", "service_message", slot="ask", priority=1)
    choice = decide([service, block()])
    assert [(skip.block, skip.reason) for skip in choice.skipped] == [("welcome", "priority")]


def test_observe_decides_as_on_would_and_shows_nothing():
    choice = decide([block("first", priority=1), block("second", n=2), tips], mode="observe")
    assert choice.placed == {}
    assert choice.would_ask
    assert {skip.block: skip.reason for skip in choice.skipped} == {
        "first": "mode",
        "second": "one_ask",
        "tips": "mode",
    }
    assert not decide(ask(customer_kinds=("current",)), mode="observe").would_ask
    assert not decide(ask(), mode="off").would_ask


def test_the_companys_own_politeness_counts():
    rules = Politeness(asks=1, days=10, cool_down_days=3, refused_days=30)
    assert reason(ask(), politeness=rules, asks=[asked(9, "x", "y")]) == "cap"
    assert reason(ask(), politeness=rules, asks=[asked(10, "x", "y")]) == ""
    refused = {"standing": {"offers": "refused"}, "standing_since": {"offers": NOW - 31 * DAY}}
    assert reason(ask(), politeness=rules, **refused) == ""


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["opt_in", "service_message"]),
            st.sampled_from(["ask", "service", "footer"]),
            st.integers(-3, 3),
            st.sampled_from(["new", "current", ""]),
        ),
        max_size=7,
    ),
    st.sampled_from(["on", "observe", "off"]),
    st.sampled_from(["US", "NL", "DE", "CA", "JP"]),
    st.sampled_from(["", "granted", "refused", "withdrawn"]),
    st.booleans(),
)
def test_whatever_is_live_there_is_at_most_one_ask_one_block_a_slot_and_an_answer_for_each(
    wanted: list[Any], mode: Any, country: str, state: str, store_ok: bool
):
    blocks = [
        block(
            f"b{n}",
            kind,
            slot="ask" if kind == "opt_in" else slot,
            priority=priority,
            targeting={"customer_kinds": [who] if who else []},
            n=n,
        )
        for n, (kind, slot, priority, who) in enumerate(wanted)
    ]
    facts: dict[str, Any] = {
        "mode": mode,
        "market": MARKETS.of(country),
        "standing": {"offers": state} if state else {},
        "standing_since": {"offers": NOW},
        "store_ok": store_ok,
        **SOFT,
    }
    choice = decide(blocks, **facts)
    asks = [one for one in choice.placed.values() if one.kind == "opt_in"]
    assert len(asks) <= 1
    assert all(slot == one.slot for slot, one in choice.placed.items())
    assert {one.slug for one in choice.placed.values()} | {skip.block for skip in choice.skipped} == {
        one.slug for one in blocks
    }
    assert len(choice.placed) + len(choice.skipped) == len(blocks)
    if state or not store_ok or country in ("DE", "JP"):
        assert not asks
        assert not choice.would_ask
    assert decide(list(reversed(blocks)), **facts) == choice
