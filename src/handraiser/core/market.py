"""What each country allows, as data: the switches of one market, and the strictest of several.

Sources and limits: ``docs/markets.md``. Nothing here is legal advice.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import reduce
from typing import Any

from handraiser.errors import Fault, Refused

MONTH_MS = 365 * 86_400_000 // 12
"""A twelfth of 365 days: 24 of them are never more than 24 calendar months."""

EVIDENCE_MONTHS = 36
"""How long evidence is kept where the rules that an entry was written under say nothing of it."""

LOCKED_LINE = "You get this because you bought from us. You can object to such messages at any time, free of charge."
"""What every ask under ``soft_optin_only`` says in HTML, text and page, beside a link or button that objects with one
press (Directive 2002/58/EC, Article 13(2)); nobody can edit it, and the words' catalogues translate it."""

_CLASS = ("never", "consent", "soft_optin", "allowed")
_ORDERS: Mapping[str, tuple[Any, ...]] = {
    "ask_in_mail": ("never", "soft_optin_only", "allowed"),
    "signed_off": (False, True),
    "postal_address": (True, False),
    "header_required": (True, False),
    "confirm": ("double_opt_in", "attested_press"),
    "confirm_mail": ("naked", "neutral"),
    "automatic": ("forbidden", "off", "optional"),
    "advertising": _CLASS,
    "feedback": _CLASS,
    "store_ip": ("none", "truncated"),
}
"""Strictest value first."""

_NUMBERS: Mapping[str, tuple[str, int]] = {
    "ebr_months": ("months", 120),
    "fresh_days": ("days", 365),
    "evidence_retention_months": ("months", 240),
    "grant_lapse_months": ("months", 240),
    "min_age": ("years", 21),
}
"""Switches that are a time: its unit and the most it can be. 0 = no such rule, else the shorter the stricter, but for
an age, where the higher is."""

_COUNTRY = re.compile(r"[A-Z]{2}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_APPROVAL = frozenset({"countries", "approved_by", "approved_on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The switches of one country, or of the strictest of several.

    ``code`` names the countries that counted, joined by "+". ``ask_in_mail`` says whether an ask may stand in a
    transactional mail; ``signed_off`` False keeps it out all the same, until counsel has signed. ``ebr_months`` is how
    long after a purchase the existing business relationship lasts, ``fresh_days`` how old the last word of the
    company's other systems on its customers may be; 0 where there is no such rule. ``postal_address`` and
    ``header_required`` say what a mail with an ask must carry. ``confirm`` and ``confirm_mail`` say what a press
    leads to, ``automatic`` whether a purpose may be granted by a late visit without one; ``advertising`` and
    ``feedback`` what content of that legal class needs. ``grant_lapse_months`` is how long a grant lasts, ``min_age``
    from which age (years) a customer whose age is told may be asked; ``store_ip`` whether the evidence of a press holds
    its sender's network, ``evidence_retention_months`` how long evidence is kept after what it proves has ended.
    0: no such rule.
    """

    code: str
    rule_version: str
    ask_in_mail: str
    signed_off: bool
    ebr_months: int
    fresh_days: int
    postal_address: bool
    header_required: bool
    confirm: str
    confirm_mail: str
    automatic: str
    advertising: str
    feedback: str
    store_ip: str
    evidence_retention_months: int
    grant_lapse_months: int
    min_age: int

    @property
    def content(self) -> str:
        """Every switch as JSON with sorted names: what an entry of the ledger names by its hash."""
        return self.with_declared(None)

    def with_declared(self, facts: Mapping[str, str] | None) -> str:
        """The same, with what a shop declares of its check-out (see :class:`handraiser.core.placement.Decision`)."""
        told = asdict(self) | ({"declared": dict(facts)} if facts else {})
        return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def on_page(self) -> Market:
        """The same rules for a page of the shop, which is no electronic mail: what only a mail needs does not count,
        and nothing is granted without a press."""
        return replace(
            self,
            ask_in_mail="allowed",
            signed_off=True,
            ebr_months=0,
            postal_address=False,
            header_required=False,
            automatic="off",
        )

    @property
    def needs_line(self) -> bool:
        """Whether an ask must carry the market's locked line with its one-press objection link."""
        return self.ask_in_mail == "soft_optin_only"

    def granted_until(self, now: int) -> int | None:
        """When a grant of this moment lapses (ms UTC); None where grants last."""
        return now + self.grant_lapse_months * MONTH_MS if self.grant_lapse_months else None

    @property
    def grants_by_itself(self) -> bool:
        """Whether a purpose may be granted without a press (``auto_late``)."""
        return self.automatic == "optional" and self.confirm != "double_opt_in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Switches that one shop sets otherwise than the table, on the word of a person.

    ``approved_by`` names who answers for it, ``approved_on`` is the day (ISO 8601); ``switches`` are name and value.
    """

    countries: tuple[str, ...]
    approved_by: str
    approved_on: str
    switches: tuple[tuple[str, Any], ...]

    @property
    def mark(self) -> str:
        """What the rule version of every decision under it ends with: changes with anything in it."""
        whole = repr((self.countries, self.approved_by, self.approved_on, self.switches))
        return hashlib.sha256(whole.encode()).hexdigest()[:8]

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Override:
        """Rebuild one that was kept as JSON."""
        return cls(
            countries=tuple(kept["countries"]),
            approved_by=kept["approved_by"],
            approved_on=kept["approved_on"],
            switches=tuple((name, value) for name, value in kept["switches"]),
        )


class Markets:
    """The table of all markets."""

    def __init__(self, unknown: Market, countries: Mapping[str, Market]) -> None:
        self.unknown = unknown
        self.countries = countries
        self._under: dict[tuple[Override, ...], Markets] = {}

    def under(self, overrides: tuple[Override, ...]) -> Markets:
        """The table as one shop's overrides leave it."""
        if not overrides:
            return self
        if overrides not in self._under:
            changed = {
                country: replace(
                    self.of(country), rule_version=f"{self.unknown.rule_version}+{one.mark}", **dict(one.switches)
                )
                for one in overrides
                for country in one.countries
            }
            self._under[overrides] = Markets(self.unknown, {**self.countries, **changed})
        return self._under[overrides]

    def of(self, country: str) -> Market:
        """The market of an ISO 3166-1 code; the strictest for a country that is not in the table."""
        return self.countries.get(country) or replace(self.unknown, code=country)

    def strictest(self, countries: Iterable[str], default: str = "") -> Market:
        """The strictest switches of all countries named; without any, of ``default``; without that, unknown."""
        named = sorted({country for country in countries if country}) or ([default] if default else [])
        if not named:
            return self.unknown
        return reduce(stricter, (self.of(country) for country in named))


def stricter(one: Market, other: Market) -> Market:
    """Switch by switch the stricter of two markets of the same table."""
    values: dict[str, Any] = {}
    for name, order in _ORDERS.items():
        values[name] = order[min(order.index(getattr(one, name)), order.index(getattr(other, name)))]
    for name in _NUMBERS:
        strictest = max if name == "min_age" else shortest
        values[name] = strictest(getattr(one, name), getattr(other, name))
    codes = sorted({*one.code.split("+"), *other.code.split("+")})
    version, *marks = one.rule_version.split("+")
    rules = [version, *sorted({*marks, *other.rule_version.split("+")[1:]})]
    return Market(code="+".join(codes), rule_version="+".join(rules), **values)


def shortest(*times: int) -> int:
    """The shortest of the times that are a rule; 0 when none is."""
    return min((time for time in times if time), default=0)


def evidence_until(policy: str | None, ended: int) -> int | None:
    """When the evidence of what ended at ``ended`` (ms UTC) may go, by the rules it was given under
    (:attr:`Market.content`); None: never by age. Rules without the switch, or no rules, keep it for three years."""
    months = json.loads(policy).get("evidence_retention_months", EVIDENCE_MONTHS) if policy else EVIDENCE_MONTHS
    return ended + months * MONTH_MS if months else None


def load(text: str) -> Markets:
    """Read the table; raises :class:`Refused` that names every fault."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused([Fault("", "not_toml", str(error))]) from None
    faults: list[Fault] = []
    version = table.get("rule_version")
    if not isinstance(version, str) or not version:
        faults.append(Fault("/rule_version", "missing", "a text that changes with every change of the table"))
    faults += [
        Fault(f"/{name}", "unknown_field", "known are rule_version, unknown and rules")
        for name in table.keys() - {"rule_version", "unknown", "rules"}
    ]
    unknown = _market("unknown", "/unknown", str(version), table.get("unknown"), faults)
    countries: dict[str, Market] = {}
    rules = table.get("rules", {})
    for rule, switches in rules.items() if isinstance(rules, dict) else ():
        place = f"/rules/{rule}"
        named = switches.pop("countries", None) if isinstance(switches, dict) else None
        market = _market("", place, str(version), switches, faults)
        for country in _countries(named, place, faults):
            if country in countries:
                faults.append(Fault(f"{place}/countries", "twice", f"{country} stands in two rules"))
            if market is not None:
                countries[country] = replace(market, code=country)
    if faults or unknown is None:
        raise Refused(faults)
    return Markets(unknown, countries)


def read_overrides(given: Any, faults: list[Fault]) -> tuple[Override, ...]:
    """A shop's ``market_overrides`` (a list of tables); what is wrong goes to ``faults``.

    Each names its ``countries``, at least one switch, and who approved it when: nothing opens by itself.
    """
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        faults.append(Fault("market_overrides", "wrong_type", "tables: [[market_overrides]]"))
        return ()
    read: list[Override] = []
    seen: set[str] = set()
    for n, one in enumerate(given):
        place, before = f"market_overrides/{n}", len(faults)
        countries = _countries(one.get("countries"), place, faults)
        faults += [Fault(f"{place}/countries", "twice", f"{c} is overridden already") for c in countries if c in seen]
        seen.update(countries)
        by, on = one.get("approved_by"), one.get("approved_on")
        if not isinstance(by, str) or not by.strip() or not by.isprintable():
            faults.append(Fault(f"{place}/approved_by", "missing", "the name of the person who answers for it"))
        if not isinstance(on, date | str) or not _DAY.fullmatch(str(on)):
            faults.append(Fault(f"{place}/approved_on", "missing", "the day of the approval, such as 2026-11-24"))
        switches = {name: value for name, value in one.items() if name not in _APPROVAL}
        if not switches:
            faults.append(Fault(place, "missing", f"a switch to set: {', '.join(sorted({*_ORDERS, *_NUMBERS}))}"))
        faults += _wrong(switches, place)
        if len(faults) == before:
            read.append(
                Override(
                    countries=tuple(sorted(countries)),
                    approved_by=str(by),
                    approved_on=str(on),
                    switches=tuple(sorted(switches.items())),
                )
            )
    return tuple(read)


def _countries(named: Any, place: str, faults: list[Fault]) -> list[str]:
    good = [one for one in named if isinstance(one, str) and _COUNTRY.fullmatch(one)] if isinstance(named, list) else []
    if not good or len(good) < len(named):
        faults.append(Fault(f"{place}/countries", "bad_value", 'a list of ISO 3166-1 codes such as ["NL"]'))
    return good


def _market(code: str, place: str, version: str, switches: Any, faults: list[Fault]) -> Market | None:
    if not isinstance(switches, dict):
        faults.append(Fault(place, "missing", "a table of switches"))
        return None
    lacking = [
        Fault(f"{place}/{name}", "missing", "every switch is set") for name in ({*_ORDERS, *_NUMBERS} - switches.keys())
    ]
    mine = sorted([*_wrong(switches, place), *lacking], key=lambda fault: fault.pointer)
    faults += mine
    return None if mine else Market(code=code, rule_version=version, **switches)


def _wrong(switches: Mapping[str, Any], place: str) -> list[Fault]:
    """What is no switch, or no value of its switch."""
    faults: list[Fault] = []
    for name, value in switches.items():
        if name in _NUMBERS:
            unit, most = _NUMBERS[name]
            if type(value) is not int or not 0 <= value <= most:
                faults.append(Fault(f"{place}/{name}", "bad_value", f"{unit} from 0 to {most}"))
        elif name not in _ORDERS:
            faults.append(Fault(f"{place}/{name}", "unknown_field", "there is no such switch"))
        elif not any(type(value) is type(known) and value == known for known in _ORDERS[name]):  # 1 is no true
            told = ", ".join(map(_spelled, _ORDERS[name]))
            faults.append(Fault(f"{place}/{name}", "bad_value", f"one of {told}"))
    return faults


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
