"""What a customer counts as in the reports: once, under the day and the attributes of the first ask.

A customer whom nobody has asked yet stands under the first email that could have asked, else under the first email at
all; so of every row those asked are among the eligible, and these among those seen. What this holds of a customer is
what the tallies hold of it, at any time, whatever the order in which things came to be known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

from handraiser.core.consent import ALL_PURPOSES, Event, State
from handraiser.core.order_record import CANCELLED
from handraiser.core.outcome import DAY_MS, Said

SEEN, ELIGIBLE, ASKED = range(3)
"""How far a customer has come with a shop: an email passed; one that could have asked; one that asked."""

DIMENSIONS = ("touchpoint", "purchase_type", "segment", "block", "country")
ALL = "all"
"""The dimension that holds everybody, once."""

STILL_DAYS = (30, 90)
"""After so many days it is looked at whether a yes still stands."""

THANK_YOU = "web:thank_you"
_KEPT_FROM_ASKING = frozenset({"holdout", "experiment", "fill_failed", "not_placed", "not_sent", "mode"})
"""Why an ask that might have stood there was not shown."""

AMOUNT_LIMIT = 10**12
"""One customer's amount in one currency (minor units) counts up to this: the tallies' integers have 64 bits."""

_LOW = (1 << 32) - 1


class Place(NamedTuple):
    """A customer of one shop: how far it came, when (ms UTC), and what it was then. ``asks`` and ``would_have_asked``
    count emails, ``views`` are the days of its thank-you pages."""

    stage: int
    at: int
    customer_kind: str
    touchpoint: str
    purchase_type: str
    country: str
    block: str
    segments: tuple[str, ...]
    asks: int = 0
    would_have_asked: int = 0
    views: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, row: Mapping[str, Any], decision: Mapping[str, Any], request: Mapping[str, Any], asks: set[str]
    ) -> Place:
        """What one message makes of its reader; ``asks`` are the slugs of blocks that ask."""
        shown = [one["block"] for one in decision.get("placements", ()) if one["legal_class"] == "ask"]
        would = bool(decision.get("would_ask"))
        kept = [
            one["block"]
            for one in decision.get("skipped", ())
            if one["block"] in asks and one["reason"] in _KEPT_FROM_ASKING and (would or one["reason"] != "mode")
        ]
        return cls(
            stage=ASKED if shown else ELIGIBLE if would or kept else SEEN,
            at=row["sent_at"],
            customer_kind=row["customer_kind"],
            touchpoint=row["touchpoint"],
            purchase_type=request.get("purchase_type", ""),
            country=row["country"],
            block=next(iter(shown or kept), ""),
            segments=tuple(sorted(set(request.get("segments", ())))),
            asks=len(shown[:1]),
            would_have_asked=int(would),
            views=(row["sent_at"] // DAY_MS,) if row["touchpoint"] == THANK_YOU else (),
        )

    def and_(self, other: Place) -> Place:
        """Both together: the first of those that came furthest, and the sums; in any order the same."""
        return min(self, other, key=_rank)._replace(
            asks=self.asks + other.asks,
            would_have_asked=self.would_have_asked + other.would_have_asked,
            views=tuple(sorted(self.views + other.views)),
        )

    def without_ask(self, at: int, messages: Sequence[Place]) -> Place:
        """Without the ask of the message of that moment, which was not sent; ``messages`` are all that are still kept,
        that one as it is now among them."""
        left = self._replace(asks=self.asks - 1)
        if (self.stage, self.at) != (ASKED, at):
            return left
        return min(messages, key=_rank)._replace(**{name: getattr(left, name) for name in Place._fields[8:]})


def _rank(place: Place) -> tuple[Any, ...]:
    """Less for what came further, and then for what came first."""
    return (-place.stage, *place[1:8])


class OptIn(NamedTuple):
    """The first yes that a person pressed since the first ask, ``lag`` days after it, and whether it had been taken
    back 30 and 90 days later."""

    lag: int
    left_30: bool
    left_90: bool


class Bought(NamedTuple):
    """One order: amounts in minor units, ``net`` of refunds."""

    shop: str
    placed_at: int
    currency: str
    net: int
    status: str


class Exposed(NamedTuple):
    """A first exposure to an experiment, or (``experiment`` the shop's own id) to an ask; ``at`` in ms UTC."""

    shop: str
    experiment: str
    weights_version: int
    arm: int
    at: int


class Lifetime(NamedTuple):
    """What a customer bought since: orders, and amounts by currency (minor units)."""

    shop: str
    experiment: str
    weights_version: int
    arm: int
    day: int
    orders: int
    amounts: Mapping[str, int]


class Day(NamedTuple):
    """What a customer did on a day, of a shop or (``shop`` "") of the company."""

    shop: str
    day: int
    known: int = 0
    gained: int = 0
    lost: int = 0
    purchases: int = 0
    views: int = 0


@dataclass(slots=True)
class Customer:
    """What one subject counts as; shops and experiments are named by their ids in hex."""

    places: dict[str, Place] = field(default_factory=dict)
    opt_ins: dict[str, OptIn] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)
    lifetimes: list[Lifetime] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "places": {shop: tuple(one) for shop, one in self.places.items()},
            "opt_ins": {shop: tuple(one) for shop, one in self.opt_ins.items()},
            "days": [tuple(one) for one in self.days],
            "lifetimes": [tuple(one) for one in self.lifetimes],
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Customer:
        places = {
            shop: Place._make([*one[:7], tuple(one[7]), *one[8:10], tuple(one[10])])
            for shop, one in kept["places"].items()
        }
        opt_ins = {shop: OptIn(*one) for shop, one in kept["opt_ins"].items()}
        return cls(places, opt_ins, [Day(*one) for one in kept["days"]], [Lifetime(*one) for one in kept["lifetimes"]])


def see(places: Mapping[str, Place], sent: Iterable[tuple[str, Place]]) -> dict[str, Place]:
    """Where a customer stands with each shop after these messages, each told once."""
    seen = dict(places)
    for shop, one in sent:
        seen[shop] = seen[shop].and_(one) if shop in seen else one
    return seen


def count(
    places: Mapping[str, Place],
    said: Sequence[tuple[Said, str]],
    bought: Sequence[Bought],
    exposed: Sequence[Exposed],
) -> Customer:
    """What a customer counts as by all that is known of it: its entries on the channel email in the order of the
    ledger, each with the state it leads to, its orders, and its first exposures."""
    places = dict(sorted(places.items()))
    asked = {shop: one.at for shop, one in places.items() if one.stage == ASKED}
    entries = [one for one, _ in said]
    opt_ins = {shop: yes for shop, at in asked.items() if (yes := opt_in(at, entries))}
    orders = [one for one in bought if one.status != CANCELLED]
    askings = [Exposed(shop, shop, 0, int(shop in opt_ins), at) for shop, at in asked.items()]
    return Customer(
        places,
        opt_ins,
        sorted(_days(places, said, orders)),
        [_lifetime(one, orders) for one in sorted([*askings, *exposed])],
    )


def opt_in(since: int, entries: Sequence[Said]) -> OptIn | None:
    """The first yes that a person pressed since a moment (ms), to whichever purpose, unless it was voided."""
    yes: dict[str, int] = {}
    for one in entries:
        if one.event == Event.VOIDED:
            for purpose in [*yes] if one.purpose == ALL_PURPOSES else [one.purpose]:
                yes.pop(purpose, None)
        elif one.event in (Event.GRANTED, Event.RENEWED) and one.pressed and one.occurred_at >= since:
            yes.setdefault(one.purpose, one.occurred_at)
    if not yes:
        return None
    at, purpose = min((at, purpose) for purpose, at in yes.items())
    left = [_left(entries, purpose, at + days * DAY_MS) for days in STILL_DAYS]
    return OptIn(at // DAY_MS - since // DAY_MS, *left)


def _left(entries: Iterable[Said], purpose: str, by: int) -> bool:
    """Whether the last word on a purpose by that moment was that it ends."""
    gone = False
    for one in entries:
        if one.occurred_at <= by and one.purpose in (purpose, ALL_PURPOSES):
            if one.event in (Event.GRANTED, Event.RENEWED):
                gone = False
            elif one.event in (Event.WITHDRAWN, Event.OBJECTED, Event.REFUSED, Event.VOIDED, Event.LAPSED):
                gone = True
    return gone


def _days(places: Mapping[str, Place], said: Sequence[tuple[Said, str]], orders: Sequence[Bought]) -> Iterable[Day]:
    consented: set[str] = set()
    moves: Counter[tuple[int, bool]] = Counter()
    for one, state in said:
        before = bool(consented)
        if state:
            (consented.add if state == State.GRANTED else consented.discard)(one.purpose)
        if before != bool(consented):
            moves[one.occurred_at // DAY_MS, before] += 1
    moments = [one.at for one in places.values()] + [one.placed_at for one in orders]
    moments += [one.occurred_at for one, _ in said]
    known = min(moments, default=0) // DAY_MS
    for day in sorted({day for day, _ in moves} | ({known} if moments else set())):
        yield Day("", day, int(day == known), moves[day, False], moves[day, True])
    happened = Counter((one.shop, one.placed_at // DAY_MS) for one in orders)
    viewed = Counter((shop, day) for shop, place in places.items() for day in place.views)
    for shop, day in happened.keys() | viewed.keys():
        yield Day(shop, day, purchases=happened[shop, day], views=viewed[shop, day])


def _lifetime(exposed: Exposed, orders: Sequence[Bought]) -> Lifetime:
    after = [one for one in orders if one.shop == exposed.shop and one.placed_at > exposed.at]
    amounts: Counter[str] = Counter()
    for one in after:
        amounts[one.currency] += one.net
    within = {name: max(-AMOUNT_LIMIT, min(AMOUNT_LIMIT, amount)) for name, amount in sorted(amounts.items())}
    return Lifetime(*exposed[:4], exposed.at // DAY_MS, len(after), within)


Key = tuple[str | int, ...]
Tally = dict[Key, Counter[str]]
"""Counts by column, by the key without the company."""


def tallied(customer: Customer) -> dict[str, Tally]:
    """What a customer adds to each table of tallies."""
    tables: dict[str, Tally] = {"opt_in_tally": {}, "day_tally": {}, "lifetime_tally": {}}
    for shop, place in customer.places.items():
        for key, counts in _opt_in_rows(place, customer.opt_ins.get(shop)):
            tables["opt_in_tally"].setdefault((shop, *key), Counter()).update(counts)
    for day in customer.days:
        tables["day_tally"].setdefault(day[:2], Counter()).update(dict(zip(Day._fields[2:], day[2:], strict=True)))
    for one in customer.lifetimes:
        rows = tables["lifetime_tally"]
        rows.setdefault((*one[:5], "", ""), Counter()).update(customers=1, orders=one.orders)
        for name, amount in one.amounts.items():
            rows.setdefault((*one[:5], name, ""), Counter()).update(amount=amount)
        for first, second in combinations_with_replacement(sorted(one.amounts), 2):
            product = one.amounts[first] * one.amounts[second]
            rows.setdefault((*one[:5], first, second), Counter()).update(high=product >> 32, low=product & _LOW)
    return tables


def _opt_in_rows(place: Place, yes: OptIn | None) -> Iterable[tuple[Key, dict[str, int]]]:
    counts = {
        "seen": 1,
        "eligible": int(place.stage >= ELIGIBLE),
        "asked": int(place.stage == ASKED),
        "asks": place.asks,
        "would_have_asked": place.would_have_asked,
    }
    told = [(ALL, ""), *((name, getattr(place, name)) for name in DIMENSIONS if name != "segment")]
    for dimension, value in [*told, *(("segment", one) for one in place.segments or ("",))]:
        key = (dimension, place.at // DAY_MS, value, place.customer_kind)
        yield (*key, 0), counts
        if yes is not None:
            yield (*key, yes.lag), {"opted_in": 1, "left_30": int(yes.left_30), "left_90": int(yes.left_90)}
