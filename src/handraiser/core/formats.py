"""Money, dates and numbers as the reader's language writes them: Babel's output, from patterns taken apart once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, localedata
from babel.dates import format_date, format_interval, format_time, get_datetime_format
from babel.numbers import format_currency, format_decimal, format_percent, get_currency_precision

Day = date
Moment = Day | datetime
"""A day, or a point in time with its zone."""

_CODE_MEETS_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")
"""Where CLDR's currency spacing puts a space that Babel leaves out: KWD 1.500."""

_PROBE = Decimal("1234567.25")


_UNREAD = frozenset(
    {
        "compact_currency_formats",
        "compact_decimal_formats",
        "compound_unit_patterns",
        "currency_names",
        "currency_names_plural",
        "date_fields",
        "languages",
        "meta_zones",
        "scripts",
        "time_zones",
        "unit_display_names",
        "unit_patterns",
        "variants",
    }
)


@lru_cache(maxsize=1024)
def locale_of(code: str) -> Locale:
    """A language as Babel knows it, without what no email reads: four fifths of some 0.6 MB each."""
    locale = Locale.parse(code, sep="-")
    for name in ("root", locale.language, str(locale)):
        known = localedata.load(name)
        for part in _UNREAD:
            known[part] = {}
    return locale


class _Money:
    """One currency in one language: prefix, group and decimal signs and suffix, read off Babel's own output."""

    __slots__ = ("_currency", "_locale", "_minus", "_plus", "_quantum", "format")

    def __init__(self, locale: Locale, currency: str) -> None:
        self._locale, self._currency = locale, currency
        self._quantum = Decimal(1).scaleb(-get_currency_precision(currency))
        self._plus = self._taken_apart(1)
        self._minus = self._taken_apart(-1)
        self.format = lru_cache(maxsize=2048)(self._format)
        """An amount as it is written; the same prices come again and again."""

    def _taken_apart(self, sign: int) -> tuple[str, str, str, str] | None:
        """(prefix, group, point, suffix), or None where the pattern is not the plain one of threes."""
        _, _, cents = f"{_PROBE.quantize(self._quantum, ROUND_HALF_EVEN):f}".partition(".")
        shown = self._by_babel(sign * _PROBE)
        first = shown.find("1")
        middle = shown.find("234", first)
        last = shown.find("567", middle)
        if min(first, middle, last) < 0 or shown[first + 1 : middle] != shown[middle + 3 : last]:
            return None
        group = shown[first + 1 : middle]
        point, rest = "", shown[last + 3 :]
        if cents:
            at = rest.find(cents)
            if at <= 0:
                return None
            point, rest = rest[:at], rest[at + len(cents) :]
        made = (shown[:first], group, point, rest)
        # Some languages group only from five digits on, some write small numbers in another way.
        for probe in (_PROBE, Decimal("1234.5"), Decimal("0.5"), Decimal(12)):
            if self._put_together(made, probe) != self._by_babel(sign * probe):
                return None
        return made

    def _by_babel(self, amount: Decimal) -> str:
        shown = str(format_currency(amount, self._currency, locale=self._locale))
        return _CODE_MEETS_DIGIT.sub("\xa0", shown)

    def _put_together(self, parts: tuple[str, str, str, str], amount: Decimal) -> str:
        prefix, group, point, suffix = parts
        whole, _, cents = str(amount.quantize(self._quantum, ROUND_HALF_EVEN)).partition(".")
        if len(whole) > 3:
            whole = f"{int(whole):,}".replace(",", group)
        return f"{prefix}{whole}{point}{cents}{suffix}"

    def _format(self, amount: Decimal | None) -> str:
        if amount is None:
            return ""
        parts = self._minus if amount < 0 else self._plus
        if parts is None:
            return self._by_babel(amount)
        return self._put_together(parts, abs(amount))


class Formats:
    """How one language in one time zone writes things.

    ``locale`` is a tag such as ``de-AT``, ``code`` its usual spelling, ``direction`` is ``ltr`` or ``rtl``.
    """

    def __init__(self, locale: str, time_zone: str) -> None:
        self.locale = locale_of(locale)
        self._zone = ZoneInfo(time_zone)
        self._currencies: dict[str, _Money] = {}
        self.quantity = lru_cache(maxsize=256)(self._any_quantity)
        """A count or measure, without idle zeros."""
        self.code = str(self.locale).replace("_", "-")
        self.direction = "rtl" if self.locale.character_order == "right-to-left" else "ltr"

    def money_in(self, currency: str) -> Callable[[Decimal | None], str]:
        """What writes an amount with its currency, with the currency's own number of digits (JPY 0, KWD 3); an amount
        that is not known as ""."""
        money = self._currencies.get(currency)
        if money is None:
            money = self._currencies[currency] = _Money(self.locale, currency)
        return money.format

    def _any_quantity(self, value: Decimal) -> str:
        if value == value.to_integral_value() and value < 1000 and self.locale.language != "ar":
            return f"{int(value)}"
        return str(format_decimal(value.normalize(), locale=self.locale, format="#,##0.######"))

    def percent(self, value: Decimal) -> str:
        """A rate given in percent (21 for 21 %)."""
        return _percent(value, self.locale)

    def date(self, value: Moment | None) -> str:
        """A day in long form; a moment is told in the shop's time zone."""
        if value is None:
            return ""
        return _long_date(self._day(value), self.locale)

    def moment(self, value: Moment | None) -> str:
        """A day and, where it is known, the time of day in the shop's time zone."""
        if not isinstance(value, datetime):
            return self.date(value)
        time = format_time(value, "short", tzinfo=self._zone, locale=self.locale)
        both = str(get_datetime_format("long", locale=self.locale)).replace("'", "")
        return both.replace("{1}", self.date(value)).replace("{0}", str(time))

    def span(self, first: Moment, last: Moment) -> str:
        """Two days as a range, what they have in common said once; the same day twice is that day."""
        start, end = self._day(first), self._day(last)
        return _long_date(start, self.locale) if start >= end else _days(start, end, self.locale)

    def _day(self, value: Moment) -> Day:
        return value.astimezone(self._zone).date() if isinstance(value, datetime) else value


@lru_cache(maxsize=4096)
def _long_date(value: date, locale: Locale) -> str:
    return str(format_date(value, "long", locale=locale))


@lru_cache(maxsize=4096)
def _days(first: date, last: date, locale: Locale) -> str:
    return str(format_interval(first, last, "yMMMMd", locale=locale))


@lru_cache(maxsize=1024)
def _percent(value: Decimal, locale: Locale) -> str:
    pattern = str(locale.percent_formats[None].pattern)
    return str(format_percent(value / 100, locale=locale, format=pattern.replace("#,##0", "#,##0.###")))


@lru_cache(maxsize=1024)
def formats_of(locale: str, time_zone: str) -> Formats:
    """The formats of a language and time zone, made once."""
    return Formats(locale, time_zone)
