"""May this subject see this block now; if not, why, and what would change it.

Everything that can refuse a placement is decided here, before any draw and from facts that are equal for all variants.
The first check that fails is told: what the block is for, then the legal class, then (asks only) the mail, the market,
the customer's own word, how fresh that is, and politeness, then the other blocks of the mail, then the shop's mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import field
from decimal import Decimal

from handraiser.core.block import BlockVersion, Targeting
from handraiser.core.market import MONTH_MS, Market
from handraiser.core.shop import Mode
from handraiser.core.value import dataclass

DAY_MS = 86_400_000

REASONS: Mapping[str, str] = {
    "mode": "The shop is switched to observe or off, so nothing is inserted.",
    "addressee": "The mail goes to somebody other than the buyer.",
    "no_sale": "The mail is not about a live sale.",
    "market": "The country's rules do not allow this in an email.",
    "under_age": "The customer is younger than the country's rules let anybody be asked.",
    "legal_class": "The country's rules want consent before this kind of content may stand in an email.",
    "opted_in": "The customer is subscribed already.",
    "refused": "The customer said no; asking again has to wait.",
    "suppressed": "The customer objected, withdrew or is suppressed: nobody asks again.",
    "paused": "The customer takes a break until a day of its own choice.",
    "pending": "The customer pressed and has a confirmation mail to answer.",
    "standing_unknown": "What the customer's status is cannot be known now.",
    "kind": "The block is for new customers only, or for current ones only.",
    "touchpoint": "The block is not meant for this kind of mail.",
    "country": "The block is not meant for this country.",
    "locale": "The block is not meant for this language.",
    "segment": "The customer is not in the block's segments.",
    "category": "Nothing of the block's categories was bought.",
    "value": "The order's value is outside the block's range.",
    "dates": "The block's time has not come or is over.",
    "cap": "The customer was asked often enough.",
    "cool_down": "The customer was asked a short while ago.",
    "holdout": "The customer belongs to those who see nothing, so that effects can be measured.",
    "experiment": "A test shows this customer another version, or nothing here.",
    "one_ask": "Another ask stands in this mail; there is at most one.",
    "priority": "Another block of higher priority stands in this slot.",
    "no_slot": "The template has no such slot, or the block does not compile in it.",
    "fill_failed": "The block could not be filled with this data and was dropped.",
    "not_placed": "The finished mail has no safe place for the block, or must not be touched.",
    "not_sent": "The block was placed, but the mail went out without it after all.",
    "store_unavailable": "The database could not be reached, so nobody is asked.",
}
"""The closed list of reasons. ``fill_failed`` and ``not_placed`` are told after filling, ``not_sent`` by the relay."""


@dataclass(frozen=True, slots=True)
class Politeness:
    """How often one subject is asked at all, whatever a block's own settings say.

    At most ``asks`` within ``days`` by all blocks of the company together; ``cool_down_days`` between two asks for the
    same purpose; ``refused_days`` without any ask after a "no thanks".
    """

    asks: int = 4
    days: int = 90
    cool_down_days: int = 7
    refused_days: int = 365


@dataclass(frozen=True, slots=True)
class Asked:
    """One earlier ask: when (ms), for which purpose, by which block (slug)."""

    at: int
    purpose: str
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One message at the moment of deciding; all that a choice may depend on. Times in ms UTC.

    ``age`` (years) None means that the shop tells none. ``country`` is what blocks are targeted by; ``market`` is the
    strictest of all countries named. ``purchased_at`` None means unknown. ``standing`` and ``standing_since`` are by
    purpose; ``barred`` says why nobody of this customer may be asked, ``paused_until`` when the customer's break ends;
    ``standing_known`` is False while answers wait that the store has not taken yet. ``fresh_days`` is how old the last
    word of the company's other systems may be (0: any age), ``told_at`` when that was (None: never).
    ``granted_advertising`` says that a granted purpose's promise names transactional email. ``marketing`` is the shop's
    own word by purpose. ``postal_address`` says that the mail shows one, with a way to reach the sender;
    ``own_headers`` is False where the mail cannot be given ``List-Unsubscribe`` headers; ``asking`` is False when
    another mail to the same subject is asking at this moment.
    """

    mode: Mode
    market: Market
    touchpoint: str
    live_sale: bool
    now: int
    locale: str
    customer_kind: str
    age: int | None = None
    country: str = ""
    segments: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    value: Decimal | None = None
    currency: str = ""
    purchased_at: int | None = None
    standing: Mapping[str, str] = field(default_factory=dict)
    standing_since: Mapping[str, int] = field(default_factory=dict)
    standing_known: bool = True
    fresh_days: int = 0
    told_at: int | None = None
    barred: str = ""
    paused_until: int = 0
    asks: Sequence[Asked] = ()
    marketing: Mapping[str, str] = field(default_factory=dict)
    granted_advertising: bool = False
    notice_at_collection: bool = False
    similar_goods: bool = False
    to_other: bool = False
    postal_address: bool = True
    own_headers: bool = True
    store_ok: bool = True
    asking: bool = True
    politeness: Politeness = field(default_factory=Politeness)

    @property
    def said_no(self) -> bool:
        """Whether the customer objected, withdrew or is suppressed, by our ledger or by the shop's own word."""
        gone = {"objected", "withdrawn", "erased"}
        return (
            bool(self.barred)
            or not gone.isdisjoint(self.standing.values())
            or "unsubscribed" in self.marketing.values()
        )


Why = tuple[str, str] | None
"""A reason of :data:`REASONS` and its remedy."""
_PAUSED = ("paused", "wait: the customer is asked again once the break is over")


def refusal(
    situation: Situation,
    family: Sequence[BlockVersion],
    block: BlockVersion,
    stands: Callable[[BlockVersion], bool],
) -> Why:
    """Why the block may not stand in this mail, whatever else stands in it. Asks by any of its ``family`` count."""
    if situation.mode == "off":
        return ("mode", "switch the shop's mode to observe or on")
    why = _meant(situation, block.targeting) or _bought(situation, block.targeting)
    if why is None and not all(map(stands, family)):
        why = ("no_slot", f"give the template the slot {block.slot}, or publish the block again and mend what it names")
    if why is None and block.legal_class in ("advertising", "feedback"):
        why = _class(situation, block.legal_class)
    return why or (_ask(situation, block, family) if block.kind == "opt_in" else None)


def _meant(situation: Situation, targeting: Targeting) -> Why:
    """Why the block is not meant for this customer and mail."""
    if targeting.customer_kinds and situation.customer_kind not in targeting.customer_kinds:
        return ("kind", f"the block is for {' and '.join(targeting.customer_kinds)} customers")
    if targeting.touchpoints and situation.touchpoint not in targeting.touchpoints:
        return ("touchpoint", f"add {situation.touchpoint} to the block's touchpoints")
    if targeting.countries and situation.country not in targeting.countries:
        if not situation.country:
            return ("country", "send the customer's country (customer.country or an address)")
        return ("country", f"add {situation.country} to the block's countries")
    if targeting.locales and not any(f"{situation.locale}-".startswith(f"{one}-") for one in targeting.locales):
        return ("locale", f"add {situation.locale} to the block's locales")
    if targeting.starts_at is not None and situation.now < targeting.starts_at:
        return ("dates", "wait until the block's starts_at")
    if targeting.ends_at is not None and situation.now >= targeting.ends_at:
        return ("dates", "the block's ends_at has passed")
    return None


def _bought(situation: Situation, targeting: Targeting) -> Why:
    """Why the block is not meant for this customer's segments and order."""
    if targeting.segments_any and situation.segments.isdisjoint(targeting.segments_any):
        return ("segment", f"the customer is in none of {', '.join(targeting.segments_any)} (customer.segments)")
    if not situation.segments.isdisjoint(targeting.segments_none):
        return ("segment", f"the customer is in one of {', '.join(targeting.segments_none)} (customer.segments)")
    if targeting.categories and situation.categories.isdisjoint(targeting.categories):
        return ("category", f"no line has one of the categories {', '.join(targeting.categories)}")
    if targeting.min_value or targeting.max_value:
        if situation.value is None or situation.currency != targeting.value_currency:
            return ("value", f"the order's value in {targeting.value_currency} is not known")
        if targeting.min_value and situation.value < Decimal(targeting.min_value):
            return ("value", f"the order is below {targeting.min_value} {targeting.value_currency}")
        if targeting.max_value and situation.value > Decimal(targeting.max_value):
            return ("value", f"the order is above {targeting.max_value} {targeting.value_currency}")
    return None


def _class(situation: Situation, legal_class: str) -> Why:
    """Why content of this legal class may not stand in this mail: an objection stops it, then the market decides."""
    needs = situation.market.advertising if legal_class == "advertising" else situation.market.feedback
    if not situation.store_ok or not situation.standing_known:
        return ("standing_unknown", "nothing that needs the customer's status is shown until it is known again")
    if situation.said_no:
        return ("suppressed", "nothing: the customer said no, and only the customer can change that")
    if situation.now < situation.paused_until:
        return _PAUSED
    softly = situation.market.signed_off and situation.notice_at_collection and situation.similar_goods
    if needs == "allowed" or (needs == "soft_optin" and softly) or (needs != "never" and situation.granted_advertising):
        return None
    if needs == "never":
        return ("legal_class", f"the country allows no {legal_class} in such mails; use another touchpoint")
    return ("legal_class", f"{legal_class} needs a granted purpose whose promise covers transactional email")


def _ask(situation: Situation, block: BlockVersion, family: Sequence[BlockVersion]) -> Why:
    """Why this ask may not stand in this mail."""
    if situation.to_other:
        return ("addressee", "only the buyer is asked; leave out “to” when the buyer reads the mail")
    if not situation.live_sale:
        return ("no_sale", "asks stand in mails about a live sale: order confirmation, shipping, delivery")
    if not situation.store_ok:
        return ("store_unavailable", "nothing: asks come back by themselves once the database answers")
    if not situation.standing_known:
        return ("standing_unknown", "nothing: asks come back once the answers that wait are in the ledger")
    purpose = block.purpose or ""
    if situation.age is not None and situation.age < situation.market.min_age:
        return ("under_age", f"nothing: in {situation.market.code} nobody under {situation.market.min_age} is asked")
    return (
        _market(situation)
        or _standing(situation, purpose)
        or _fresh(situation, purpose)
        or _polite(situation, block, {one.slug for one in family})
    )


def _market(situation: Situation) -> Why:
    market = situation.market
    elsewhere = "ask on the thank-you page or the account page"
    if market.ask_in_mail == "never" and market.code == "unknown":
        return ("market", "send the customer's country (customer.country or an address), or give the shop a default")
    if market.ask_in_mail == "never":
        return ("market", f"asks in mails to {market.code} are not open; {elsewhere}")
    if not market.signed_off:
        return ("market", f"asks in mails to {market.code} stay closed until your counsel has signed; {elsewhere}")
    if market.ask_in_mail == "soft_optin_only" and not (situation.notice_at_collection and situation.similar_goods):
        facts = "soft_opt_in.notice_at_collection and soft_opt_in.similar_goods"
        return ("market", f"declare {facts} if your check-out fulfils them, or {elsewhere}")
    if market.postal_address and not situation.postal_address:
        parts = "controller.address_lines and support_email or support_url"
        return (
            "market",
            f"give the shop's postal address and a way to reach it ({parts}): they must stand in the mail",
        )
    if market.header_required and not situation.own_headers:
        return ("market", f"the mail must carry List-Unsubscribe headers: let us compose it, or {elsewhere}")
    if market.ebr_months and situation.purchased_at is None:
        return ("market", f"send order.placed_at: asks need a purchase of the last {market.ebr_months} months")
    if market.ebr_months and situation.now - (situation.purchased_at or 0) > market.ebr_months * MONTH_MS:
        return ("market", f"the purchase is older than {market.ebr_months} months; {elsewhere}")
    return None


def _standing(situation: Situation, purpose: str) -> Why:
    if situation.standing.get(purpose) == "granted":
        return ("opted_in", "nothing to ask: use a block for members instead")
    if situation.said_no:
        return ("suppressed", "nothing: the customer said no, and only the customer can change that")
    if situation.marketing.get(purpose) == "subscribed":
        return ("opted_in", "nothing to ask: the shop says the customer is subscribed")
    if situation.standing.get(purpose) == "pending":
        return ("pending", "wait: the confirmation mail lapses after 7 days")
    if situation.now < situation.paused_until:
        return _PAUSED
    wait = situation.politeness.refused_days * DAY_MS
    for refused, state in situation.standing.items():
        # "Don't ask again" was not said to one purpose.
        if state == "refused" and situation.now - situation.standing_since.get(refused, situation.now) < wait:
            return ("refused", f"wait: nobody is asked for {situation.politeness.refused_days} days after a no")
    return None


def _fresh(situation: Situation, purpose: str) -> Why:
    """Why what is known may be out of date: a customer who is in no list of ours may have said no elsewhere."""
    told_with_mail = situation.marketing.get(purpose, "unknown") != "unknown"
    if not situation.fresh_days or told_with_mail:
        return None
    if situation.told_at is not None and situation.now - situation.told_at <= situation.fresh_days * DAY_MS:
        return None
    ways = "import your list, tell records to /v1/consents, or send customer.marketing"
    return ("standing_unknown", f"asks need your other systems' word of the last {situation.fresh_days} days: {ways}")


def answered(state: str, barred: str) -> str:
    """Why an ask that was shown before is not shown again, by its purpose's standing; "" when nobody answered it."""
    if state in ("granted", "pending", "refused"):
        return "opted_in" if state == "granted" else state
    return "suppressed" if barred or state not in ("", "none", "asked", "lapsed") else ""


def _polite(situation: Situation, block: BlockVersion, family: Set[str]) -> Why:
    rules, targeting, now = situation.politeness, block.targeting, situation.now
    if not situation.asking:
        return ("cap", "nothing: another mail to this customer is asking at this very moment")
    if _count(situation.asks, now - rules.days * DAY_MS) >= rules.asks:
        return ("cap", f"wait: a customer is asked at most {rules.asks} times in {rules.days} days")
    own = [ask for ask in situation.asks if ask.block in family]
    if targeting.cap is not None and _count(own, now - targeting.cap_days * DAY_MS) >= targeting.cap:
        return ("cap", f"wait, or raise the block's cap of {targeting.cap} in {targeting.cap_days} days")
    same = [ask for ask in situation.asks if ask.purpose == block.purpose]
    if _count(same, now - rules.cool_down_days * DAY_MS):
        return ("cool_down", f"wait: {rules.cool_down_days} days lie between two asks for the same purpose")
    if _count(own, now - targeting.cool_down_days * DAY_MS):
        return ("cool_down", f"wait, or shorten the block's cool_down_days of {targeting.cool_down_days}")
    return None


def _count(asks: Sequence[Asked], since: int) -> int:
    return sum(1 for ask in asks if ask.at > since)
