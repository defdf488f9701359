"""What each country allows, and that several countries never allow more than each of them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choices import MARKETS
from handraiser.core.market import (
    _NUMBERS,
    _ORDERS,
    MONTH_MS,
    Market,
    Override,
    evidence_until,
    load,
    read_overrides,
    stricter,
)
from handraiser.errors import Fault, Refused

COUNTRIES = [*MARKETS.countries, "JP", "BR"]
markets = st.lists(st.sampled_from(COUNTRIES), min_size=1, max_size=3).map(MARKETS.strictest) | st.just(MARKETS.unknown)
GOOD = """
rule_version = "1"
[unknown]
ask_in_mail = "never"
signed_off = false
ebr_months = 0
fresh_days = 0
postal_address = true
header_required = true
confirm = "double_opt_in"
confirm_mail = "naked"
automatic = "forbidden"
advertising = "consent"
feedback = "consent"
store_ip = "none"
evidence_retention_months = 0
grant_lapse_months = 0
min_age = 0
"""
RULE = GOOD.partition("[unknown]")[2]


def looser(one: Market, other: Market) -> bool:
    """Whether any switch of ``one`` allows more than that of ``other``."""
    more = any(order.index(getattr(one, name)) > order.index(getattr(other, name)) for name, order in _ORDERS.items())
    times = [(getattr(one, name), getattr(other, name)) for name in _NUMBERS if name != "min_age"]
    return more or one.min_age < other.min_age or any(theirs > 0 and not 0 < ours <= theirs for ours, theirs in times)


@given(markets, markets)
def test_the_order_of_two_countries_does_not_matter(one: Market, other: Market):
    assert stricter(one, other) == stricter(other, one)


@given(markets, markets, markets)
def test_three_countries_may_be_taken_in_any_grouping(one: Market, two: Market, three: Market):
    assert stricter(stricter(one, two), three) == stricter(one, stricter(two, three))


@given(markets)
def test_the_same_country_twice_changes_nothing(one: Market):
    assert stricter(one, one) == one


@given(st.lists(st.sampled_from(COUNTRIES), max_size=4), st.sampled_from(COUNTRIES), st.sampled_from(["", "US", "NL"]))
def test_naming_one_more_country_never_loosens(named: list[str], more: str, default: str):
    joined = MARKETS.strictest([*named, more], default)
    assert not looser(joined, MARKETS.of(more))
    if named:
        assert not looser(joined, MARKETS.strictest(named, default))


def test_every_switch_is_compared():
    """A switch that strictest() forgot would silently take the first country's value."""
    assert {one.name for one in fields(Market)} == {*_ORDERS, *_NUMBERS, "code", "rule_version"}


def test_customer_billing_and_shipping_country_count_and_the_strictest_decides():
    market = MARKETS.strictest(["US", "NL", "DE"])
    assert market.code == "DE+NL+US"
    assert (market.ask_in_mail, market.signed_off, market.confirm) == ("soft_optin_only", False, "double_opt_in")


def test_canadas_purchase_window_survives_any_company_of_countries():
    market = MARKETS.strictest(["CA", "NL"])
    assert (market.ask_in_mail, market.ebr_months, market.postal_address) == ("soft_optin_only", 24, True)


def test_the_shortest_age_of_knowledge_that_a_country_or_an_override_demands_counts():
    table = MARKETS.under(overrides(SIGNED | {"fresh_days": 30}, SIGNED | {"countries": ["US"], "fresh_days": 7}))
    assert [table.strictest(named).fresh_days for named in (["NL"], ["NL", "DE"], ["US", "DE"])] == [0, 30, 7]


def test_the_highest_age_of_all_countries_counts():
    assert [MARKETS.strictest(named).min_age for named in (["US"], ["US", "NL"], ["JP", "NL"])] == [13, 16, 18]


@pytest.mark.parametrize(
    ("policy", "months"),
    [
        (MARKETS.of("NL").content, 36),
        (MARKETS.of("DE").with_declared({"version": "2"}), 48),
        (None, 36),
        ('{"confirm":"attested_press"}', 36),
        (replace(MARKETS.unknown, evidence_retention_months=0).content, None),
    ],
)
def test_evidence_is_kept_as_the_rules_it_was_given_under_say(policy: str | None, months: int | None):
    assert evidence_until(policy, 7) == (None if months is None else 7 + months * MONTH_MS)


def test_without_a_country_the_shops_default_counts_and_without_that_nobody_is_asked():
    assert MARKETS.strictest([], "NL") == MARKETS.of("NL")
    assert MARKETS.strictest(["", ""], "US") == MARKETS.of("US")
    assert MARKETS.strictest([]).ask_in_mail == "never"
    assert MARKETS.strictest([]).code == "unknown"


def test_a_country_that_is_not_in_the_table_is_as_strict_as_unknown():
    assert MARKETS.of("JP") == replace(MARKETS.unknown, code="JP")


@pytest.mark.parametrize(
    ("countries", "ask", "confirm", "mail"),
    [
        ("DE AT", "soft_optin_only", "double_opt_in", "naked"),
        ("FR NL IT ES", "soft_optin_only", "attested_press", "neutral"),
        ("GB AU", "soft_optin_only", "attested_press", "neutral"),
        ("CA", "allowed", "attested_press", "neutral"),
        ("US", "allowed", "attested_press", "neutral"),
    ],
)
def test_the_table_is_that_of_the_reviewed_facts(countries: str, ask: str, confirm: str, mail: str):
    for country in countries.split():
        market = MARKETS.of(country)
        assert (market.ask_in_mail, market.confirm, market.confirm_mail) == (ask, confirm, mail)
    assert [code for code, one in MARKETS.countries.items() if not one.signed_off] == ["DE", "AT", "CH"]
    assert {code for code, one in MARKETS.countries.items() if one.ebr_months} == {"CA"}
    assert MARKETS.unknown.advertising == "consent"


def test_only_the_united_states_let_a_visit_grant_by_itself():
    assert {code for code, one in MARKETS.countries.items() if one.grants_by_itself} == {"US"}
    assert {code for code, one in MARKETS.countries.items() if one.automatic == "forbidden"} == {"DE", "AT", "CH", "CA"}
    assert not MARKETS.unknown.grants_by_itself
    assert not MARKETS.strictest(["US", "NL"]).grants_by_itself


def test_only_a_soft_opt_in_needs_the_locked_line_of_objection():
    assert [code for code in ("US", "CA", "NL", "GB") if MARKETS.of(code).needs_line] == ["NL", "GB"]


def test_twenty_four_months_are_never_more_than_two_calendar_years():
    assert 24 * MONTH_MS == 730 * 86_400_000


def test_a_good_table_is_read():
    table = load(GOOD + "[rules.one]\ncountries = ['NL']\n" + RULE)
    assert table.of("NL") == replace(table.unknown, code="NL")


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ("not toml", [""]),
        ("", ["/rule_version", "/unknown"]),
        (GOOD.replace('rule_version = "1"', "rule_version = 1"), ["/rule_version"]),
        ("laws = 1\n" + GOOD, ["/laws"]),
        (GOOD + "[rules]\none = 1", ["/rules/one", "/rules/one/countries"]),
        (GOOD + "[rules.one]\n" + RULE, ["/rules/one/countries"]),
        (GOOD + "[rules.one]\ncountries = ['nl', 5]\n" + RULE, ["/rules/one/countries"]),
        (GOOD + "[rules.one]\ncountries = ['NL', 'NL']\n" + RULE, ["/rules/one/countries"]),
        (GOOD.replace('"never"', '"maybe"').replace("= false", "= 0"), ["/unknown/ask_in_mail", "/unknown/signed_off"]),
        (GOOD.replace('feedback = "consent"', "colour = 1"), ["/unknown/colour", "/unknown/feedback"]),
        (GOOD.replace("ebr_months = 0", "ebr_months = true"), ["/unknown/ebr_months"]),
        (GOOD.replace("ebr_months = 0", "ebr_months = 121"), ["/unknown/ebr_months"]),
        (GOOD.replace("fresh_days = 0", "fresh_days = 366"), ["/unknown/fresh_days"]),
    ],
)
def test_a_faulty_table_is_refused_with_every_fault_named(text: str, pointers: list[str]):
    with pytest.raises(Refused) as refused:
        load(text)
    assert [fault.pointer for fault in refused.value.faults] == pointers


SIGNED = {"countries": ["DE"], "approved_by": "Dr. Jane Roe", "approved_on": "2026-11-20", "signed_off": True}


def overrides(*tables: object) -> tuple[Override, ...]:
    faults: list[Fault] = []
    read = read_overrides(list(tables), faults)
    assert faults == []
    return read


def test_an_override_opens_a_switch_for_one_shop_and_marks_every_decision_under_it():
    (one,) = given = overrides(SIGNED)
    ours = MARKETS.under(given)

    assert ours.of("DE").signed_off
    assert not ours.of("AT").signed_off
    assert not MARKETS.of("DE").signed_off
    assert ours.of("DE").rule_version == f"{MARKETS.unknown.rule_version}+{one.mark}"
    assert ours.strictest(["US", "DE"]).rule_version == ours.of("DE").rule_version
    assert ours.of("US") == MARKETS.of("US")


def test_another_approver_or_day_is_another_mark():
    marks = {overrides(SIGNED | change)[0].mark for change in ({}, {"approved_by": "X"}, {"approved_on": "2026-11-21"})}
    assert len(marks) == 3


def test_two_overrides_leave_both_marks_and_the_strictest_switch():
    given = overrides(SIGNED, SIGNED | {"countries": ["AT"], "confirm": "attested_press"})
    both = MARKETS.under(given).strictest(["AT", "DE"])

    assert both.rule_version.split("+")[1:] == sorted(one.mark for one in given)
    assert both.signed_off
    assert both.confirm == "double_opt_in"


def test_an_override_comes_back_from_json_as_it_went():
    (one,) = overrides(SIGNED | {"ebr_months": 12})
    kept = json.loads(json.dumps(asdict(one)))
    assert Override.from_json(kept) == one


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"approved_by": ""}, ["market_overrides/0/approved_by"]),
        (
            {"approved_by": None, "approved_on": "soon"},
            ["market_overrides/0/approved_by", "market_overrides/0/approved_on"],
        ),
        ({"countries": "DE"}, ["market_overrides/0/countries"]),
        ({"signed_off": 1}, ["market_overrides/0/signed_off"]),
        ({"colour": "red"}, ["market_overrides/0/colour"]),
    ],
)
def test_nothing_opens_without_a_name_a_day_and_a_known_switch(change: dict[str, object], pointers: list[str]):
    faults: list[Fault] = []
    assert read_overrides([SIGNED | change], faults) == ()
    assert [fault.pointer for fault in faults] == pointers


def test_a_country_is_overridden_once_and_by_a_switch():
    faults: list[Fault] = []
    bare = {name: SIGNED[name] for name in ("countries", "approved_by", "approved_on")}
    read_overrides([SIGNED, bare], faults)
    assert [(fault.pointer, fault.code) for fault in faults] == [
        ("market_overrides/1/countries", "twice"),
        ("market_overrides/1", "missing"),
    ]
    faults.clear()
    assert read_overrides({"countries": ["DE"]}, faults) == ()
    assert [fault.code for fault in faults] == ["wrong_type"]


def test_the_table_and_its_page_name_the_same_countries_and_version():
    page = (Path(__file__).parents[2] / "docs/markets.md").read_text(encoding="utf-8")
    assert MARKETS.unknown.rule_version in page
    table = page.partition("<!-- countries -->")[2].partition("<!-- end -->")[0]
    assert set(re.findall(r"\b[A-Z]{2}\b", table)) == set(MARKETS.countries)
    for switch in [*_ORDERS, *_NUMBERS]:
        assert f"`{switch}`" in page
    assert "no legal advice" in page.lower()


def test_on_a_page_only_what_needs_no_mail_counts():
    for market in (*MARKETS.countries.values(), MARKETS.unknown):
        page = market.on_page
        assert (page.ask_in_mail, page.signed_off, page.needs_line, page.grants_by_itself) == (
            "allowed", True, False, False,
        )  # fmt: skip
        kept = ("code", "rule_version", "fresh_days", "confirm", "confirm_mail", "advertising", "feedback")
        assert [getattr(page, name) for name in kept] == [getattr(market, name) for name in kept]
