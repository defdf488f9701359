"""Money, dates and numbers as each language writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from babel.numbers import format_currency
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.formats import formats_of

amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=3, allow_nan=False)


@given(
    amounts,
    st.sampled_from(["EUR", "USD", "JPY", "KWD", "XXX"]),
    st.sampled_from(["en", "nl", "de", "de-AT", "de-CH", "ar", "fr", "pl", "en-IN", "sv"]),
)
def test_money_is_what_babel_writes_with_a_space_after_a_code(amount: Decimal, currency: str, locale: str):
    formats = formats_of(locale, "UTC")

    written = format_currency(amount, currency, locale=formats.locale)
    assert formats.money_in(currency)(amount) == re.sub(r"(?<=[A-Z])(?=\d)", "\xa0", written)


@pytest.mark.parametrize(
    ("currency", "shown"), [("EUR", "€1,234.50"), ("JPY", "¥1,234"), ("KWD", "KWD\xa01,234.500"), ("USD", "$1,234.50")]
)
def test_each_currency_has_its_own_number_of_digits(currency: str, shown: str):
    assert formats_of("en", "UTC").money_in(currency)(Decimal("1234.5")) == shown


def test_quantities_have_no_idle_zeros():
    assert formats_of("nl", "UTC").quantity(Decimal("2.50")) == "2,5"
    assert formats_of("nl", "UTC").quantity(Decimal("3.000")) == "3"
    assert formats_of("de", "UTC").quantity(Decimal("1200")) == "1.200"


def test_rates_are_given_in_percent():
    assert formats_of("en", "UTC").percent(Decimal("9.975")) == "9.975%"
    assert formats_of("de", "UTC").percent(Decimal(19)) == "19\xa0%"


def test_a_moment_is_told_in_the_time_zone_of_the_shop():
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)

    assert formats_of("en", "Europe/Amsterdam").date(late) == "December 1, 2026"
    assert formats_of("en", "America/New_York").moment(late) == "November 30, 2026, 6:30\u202fPM"
    assert formats_of("nl", "Europe/Amsterdam").moment(late) == "1 december 2026, 00:30"
    assert formats_of("nl", "Europe/Amsterdam").moment(date(2026, 12, 1)) == "1 december 2026"
    assert formats_of("nl", "Europe/Amsterdam").date(None) == ""


def test_a_range_of_days_says_once_what_both_have_in_common():
    english = formats_of("en", "UTC")

    assert english.span(date(2026, 11, 24), date(2026, 11, 26)).replace("\u2009", " ") == "Nov 24 – 26, 2026"
    assert english.span(date(2026, 11, 24), date(2026, 11, 24)) == "November 24, 2026"
    assert english.span(date(2026, 11, 24), date(2026, 11, 20)) == "November 24, 2026"
    assert "2027" in formats_of("de", "UTC").span(date(2026, 12, 30), datetime(2027, 1, 2, tzinfo=UTC))


def test_languages_know_their_direction():
    assert formats_of("ar", "UTC").direction == "rtl"
    assert formats_of("nl", "UTC").direction == "ltr"
