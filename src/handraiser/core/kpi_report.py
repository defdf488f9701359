"""Reports on the KPI: questions read strictly, and answers from sums of tallies; days are UTC."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from math import isfinite
from typing import Any, NamedTuple

from babel.numbers import get_currency_precision

from handraiser.core import payload
from handraiser.core.kpi import ALL, DIMENSIONS, STILL_DAYS
from handraiser.core.statistics.absolute import Mean, difference, wilson
from handraiser.errors import Fault, Refused

Json = dict[str, Any]

FIRST = date(1970, 1, 1)
KIND, MONTH = "customer_kind", "month"
BY = (KIND, *DIMENSIONS, MONTH)
"""What the opt-in rate can be told by: one of these, and besides it month and customer_kind."""

NOT_CAUSAL = "Who opts in buys more anyway: this difference is not what the opt-in causes. Compare arms for that."


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked for; ``first`` and ``last`` are days since 1970, both included, None: open."""

    dimension: str = ALL
    by_kind: bool = False
    by_month: bool = False
    first: int | None = None
    last: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that tell the rows apart."""
        told = (self.dimension,) if self.dimension != ALL else ()
        return (*told, *([KIND] if self.by_kind else []), *([MONTH] if self.by_month else []))


def read_question(given: Mapping[str, str], *, by: bool) -> Question:
    """A question from its parameters ``from``, ``to`` (days) and, where it has one, ``by``.

    Raises :class:`Refused` naming every fault.
    """
    known = {"from", "to", "shop", *(["by"] if by else [])}
    faults = [
        Fault(name, "unknown_parameter", f"known are {', '.join(sorted(known))}") for name in given.keys() - known
    ]
    parts = [one.strip() for one in given.get("by", "").split(",") if one.strip()]
    dimensions = [one for one in parts if one in DIMENSIONS]
    if len(dimensions) > 1 or len(set(parts)) < len(parts) or not set(parts) <= set(BY):
        meant = f"one of {', '.join((KIND, *DIMENSIONS))}; besides it {MONTH} and {KIND}"
        faults.append(Fault("by", "bad_value", meant))
    first, last = (_day(given, name, faults) for name in ("from", "to"))
    if first is not None and last is not None and first > last:
        faults.append(Fault("to", "bad_value", "not before from"))
    if faults:
        raise Refused(faults)
    return Question(next(iter(dimensions), ALL), KIND in parts, MONTH in parts, first, last)


def _day(given: Mapping[str, str], name: str, faults: list[Fault]) -> int | None:
    if not given.get(name):
        return None
    try:
        return (date.fromisoformat(given[name]) - FIRST).days
    except ValueError:
        faults.append(Fault(name, "bad_value", "a day such as 2026-05-31"))
        return None


def spans(question: Question, first: int, last: int) -> list[tuple[str, int, int]]:
    """The months (or the one span) of a question, as (label, first day, last day), within those that have tallies."""
    first, last = max(first, question.first or first), last if question.last is None else min(last, question.last)
    if first > last:
        return []
    if not question.by_month:
        return [("", first, last)]
    found = []
    while first <= last:
        day = FIRST + timedelta(first)
        following = (day.replace(day=1) + timedelta(32)).replace(day=1)
        found.append((f"{day:%Y-%m}", first, min(last, (following - FIRST).days - 1)))
        first = (following - FIRST).days
    return found


def day_text(day: int | None) -> str | None:
    """A day as in ``2026-05-31``."""
    return None if day is None else (FIRST + timedelta(day)).isoformat()


class Asked(NamedTuple):
    """Sums over customers: how many were seen, eligible and asked, the asks, those that would have been shown, opt-ins;
    opt-ins that are 30 (90) days old, and those of them that were taken back by then."""

    seen: int = 0
    eligible: int = 0
    asked: int = 0
    asks: int = 0
    would_have_asked: int = 0
    opted_in: int = 0
    old_30: int = 0
    left_30: int = 0
    old_90: int = 0
    left_90: int = 0


def opt_in_row(sums: Asked) -> Json:
    """One row of the opt-in rate, each rate beside what it is a rate of."""
    low, high = wilson(sums.opted_in, sums.asked)
    told: Json = {
        "customers_seen": sums.seen,
        "customers_eligible": sums.eligible,
        "customers_asked": sums.asked,
        "asks": sums.asks,
        "would_have_asked": sums.would_have_asked,
        "opt_ins": sums.opted_in,
        "opt_in_rate": share(sums.opted_in, sums.asked),
        "opt_in_rate_low": low,
        "opt_in_rate_high": high,
        "opt_ins_of_eligible": share(sums.opted_in, sums.eligible),
        "opt_ins_of_seen": share(sums.opted_in, sums.seen),
    }
    for days, old, left in zip(STILL_DAYS, (sums.old_30, sums.old_90), (sums.left_30, sums.left_90), strict=True):
        told[f"opt_ins_{days}_days_old"] = old
        told[f"still_opted_in_{days}"] = old - left
        told[f"still_opted_in_{days}_rate"] = share(old - left, old)
    return told


def share(part: int, whole: int) -> float | None:
    """A part of a whole; None of nothing."""
    return part / whole if whole else None


class Happened(NamedTuple):
    """Sums over days: customers that became known, came to be consented and ceased to be, purchases, page views."""

    known: int = 0
    gained: int = 0
    lost: int = 0
    purchases: int = 0
    views: int = 0


def baseline(first_ask: int | None, before: Happened, company: Happened, shop: Happened) -> Json:
    """How things were before the first ask: ``before`` is all that the company knew by then; ``company`` and ``shop``
    are what happened in the days asked for."""
    consented = before.gained - before.lost
    low, high = wilson(consented, before.known)
    return {
        "first_ask_on": day_text(first_ask),
        "customers": {
            "known": before.known,
            "consented": consented,
            "not_consented": before.known - consented,
            "consented_share": share(consented, before.known),
            "consented_share_low": low,
            "consented_share_high": high,
        },
        "purchases": {
            "purchases": shop.purchases,
            "thank_you_views": shop.views,
            "opt_ins": company.gained,
            "opt_ins_per_purchase": share(company.gained, shop.purchases),
            "opt_ins_per_thank_you_view": share(company.gained, shop.views),
        },
    }


class Spent(NamedTuple):
    """A row of sums: see the migration of ``lifetime_tally``."""

    experiment_id: bytes
    weights_version: int
    arm: int
    currency: str
    other: str
    customers: int
    orders: int
    amount: int
    high: int
    low: int


class Arms(NamedTuple):
    """An experiment as a report names it: its arms' keys, the control (for a holdout those who see nothing) first."""

    key: str
    kind: str
    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Money:
    """One currency to report in; ``rates`` say what one unit of another is worth in it."""

    currency: str
    rates: Mapping[str, Fraction]

    @classmethod
    def of(cls, currency: str, rates: Iterable[tuple[str, str]], found: set[str]) -> Money:
        """The shop's own choice, else the only currency that was found; raises :class:`Refused` where it is open."""
        if not currency and len(found) > 1:
            told = ", ".join(sorted(found))
            raise Refused([Fault("currency", "not_set", f"give the shop a currency and rates: it sold in {told}")])
        currency = currency or next(iter(found), "")
        return cls(currency, {currency: Fraction(1), **{name: Fraction(rate) for name, rate in rates}})

    def minor(self, currency: str) -> Fraction:
        """What a minor unit of another currency is worth in minor units of this one."""
        digits = get_currency_precision(self.currency) - get_currency_precision(currency)
        return self.rates[currency] * Fraction(10) ** digits


@dataclass(slots=True)
class _Sums:
    customers: int = 0
    orders: int = 0
    total: Fraction = Fraction(0)
    squares: Fraction = Fraction(0)


def lifetime(rows: Iterable[Spent], money: Money, whose: bytes, experiments: Mapping[bytes, Arms]) -> Json:
    """Orders and revenue per customer by arm, and of those who opted in (rows of ``whose``) and those who did not."""
    left_out: set[str] = set()
    sums: dict[bytes, dict[int, dict[int, _Sums]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(_Sums)))
    for row in rows:
        unknown = {one for one in (row.currency, row.other) if one} - money.rates.keys()
        left_out |= unknown
        if not unknown:
            _sum_up(sums[row.experiment_id][row.arm][row.weights_version], row, money)
    opted_in, not_opted_in = (
        _arm(name, sums[whose][arm], money) for name, arm in (("opted_in", 1), ("not_opted_in", 0))
    )
    return {
        "currency": money.currency or None,
        "currencies_left_out": sorted(left_out),
        "opted_in": {"causal": False, "note": NOT_CAUSAL, "arms": [opted_in, not_opted_in]},
        "experiments": [
            _experiment(known, sums[one], money) for one, known in experiments.items() if one in sums and one != whose
        ],
    }


def _sum_up(held: _Sums, row: Spent, money: Money) -> None:
    if not row.currency:
        held.customers += row.customers
        held.orders += row.orders
    elif not row.other:
        held.total += money.minor(row.currency) * row.amount
    else:
        twice = 1 if row.currency == row.other else 2
        product = (row.high << 32) + row.low
        held.squares += twice * money.minor(row.currency) * money.minor(row.other) * product


def _arm(name: str, versions: Mapping[int, _Sums], money: Money) -> Json:
    customers, orders = (sum(getattr(one, what) for one in versions.values()) for what in ("customers", "orders"))
    revenue = round(sum((one.total for one in versions.values()), Fraction(0)))
    return {
        "arm": name,
        "customers": customers,
        "orders": orders,
        "orders_per_customer": share(orders, customers),
        "revenue": _amount(revenue, money),
        "revenue_per_customer": _amount(round(Fraction(revenue, customers)), money) if customers else None,
    }


def _amount(minor: int, money: Money) -> str:
    return str(payload.amount_of(minor, money.currency)) if money.currency else str(minor)


def _experiment(known: Arms, sums: Mapping[int, Mapping[int, _Sums]], money: Money) -> Json:
    named = [(n, name) for n, name in enumerate(known.arms)]
    return {
        "key": known.key,
        "kind": known.kind,
        "arms": [_arm(name, sums.get(n, {}), money) for n, name in named],
        "differences": [
            _difference(name, known.arms[0], sums.get(n, {}), sums.get(0, {}), money) for n, name in named[1:]
        ],
    }


def _difference(arm: str, control: str, own: Mapping[int, _Sums], base: Mapping[int, _Sums], money: Money) -> Json:
    """Revenue per customer more than in the control, weights version by weights version, right at every look."""
    both: Sequence[int] = sorted(own.keys() & base.keys())
    found = difference((_mean(own[one]), _mean(base[one])) for one in both)
    return {
        "arm": arm,
        "control": control,
        "revenue_per_customer_more": None if found is None else _amount(round(found.estimate), money),
        "low": _end(found.low, money) if found else None,
        "high": _end(found.high, money) if found else None,
    }


def _mean(sums: _Sums) -> Mean:
    return Mean.of_amounts(sums.customers, round(sums.total), round(sums.squares))


def _end(value: float, money: Money) -> str | None:
    return _amount(round(value), money) if isfinite(value) else None
