"""What a preferences link opens: every purpose of the company, where its subject stands with it, and what it chose."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from handraiser.answer.asks import Ask, Asks, Opened, standings_of
from handraiser.core import consent
from handraiser.core.block import Promise, Purpose, nearest, wording
from handraiser.core.consent import Standing, State
from handraiser.core.links import Link, LinkKind, Links
from handraiser.core.mailbox import masked
from handraiser.core.market import Market, Markets
from handraiser.core.person import BURST_MS
from handraiser.core.placement import Decision, Placement
from handraiser.core.preference import TOUCHPOINT, Preference
from handraiser.core.shop import Shop
from handraiser.errors import NotFound
from handraiser.store import blocks, clicks, ledger_entries, messages, preferences, subjects, waiting
from handraiser.store.clicks import Trail
from handraiser.store.database import Database
from handraiser.store.messages import StoredMessage
from handraiser.store.preferences import Preferences
from handraiser.store.sql import Reads
from handraiser.store.subjects import Sealer, Subject
from handraiser.store.wordings import StoredWording


@dataclass(frozen=True, slots=True)
class Offer:
    """One purpose as its reader finds it: promised in these words, in this language, where something was given those
    that it was given for."""

    purpose: Purpose
    promise: Promise
    language: str
    standing: Standing
    preference: Preference

    @property
    def on(self) -> bool:
        """Whether the reader is signed up for it."""
        return self.standing.state is State.GRANTED


@dataclass(frozen=True, slots=True)
class Centre:
    """All that a subject can change, as it stands now.

    ``sent_at`` is when the mail was sent that the link stands in (ms; None = nobody knows); an ``old`` link only takes
    less. ``paused_until`` is when the subject's break ends (ms), 0 where there is none.
    """

    opened: Opened
    shop: Shop
    subject: Subject
    address: str
    locale: str
    country: str
    market: Market
    offers: tuple[Offer, ...]
    paused_until: int
    prefers: Preferences
    standings: tuple[Standing, ...]
    version: int
    left: int | None
    trail: Trail
    sent_at: int | None
    old: bool

    def offer(self, purpose: str) -> Offer:
        """One of the purposes; raises :class:`NotFound` for a name that is none."""
        for one in self.offers:
            if one.purpose.id == purpose:
                return one
        raise NotFound("no such purpose")


class Centres:
    """Reads what stands behind preferences links; it never writes."""

    def __init__(
        self, database: Database, asks: Asks, links: Links, markets: Markets, sealer: Sealer, clock: Callable[[], int]
    ) -> None:
        self._database, self._asks, self._links, self._markets = database, asks, links, markets
        self._sealer, self._clock = sealer, clock

    async def read(self, opened: Opened, query: str) -> Centre:
        """The centre behind a preferences link whose address had ``query``.

        Raises :class:`NotFound` for an unknown or erased subject, and :class:`StoreUnavailable`.
        """
        shop = opened.shop
        assert shop is not None
        who = (shop.controller.id, opened.link.id)
        async with self._database.reading() as session:
            (subject,) = await subjects.find(session, [who])
            if subject is None or subject.erased_at is not None or subject.address is None:
                raise NotFound("no such link")
            version, left = await waiting.version_and_leaving(session, *who)
            standings = await standings_of(session, *who)
            prefers = await preferences.of_subject(session, *who)
            newest = next(iter(await messages.by_subject(session, *who, limit=1)), None)
            now, kind = self._clock(), int(LinkKind.PREFERENCES)
            trail = await clicks.trail(
                session, shop.controller.id, subject.id, subject.id, kind=kind, now=now, burst_ms=BURST_MS
            )
            locale = newest.locale if newest else shop.default_locale
            live = [Purpose.from_json(row.content) for row in await blocks.purposes(session, who[0]) if row.live]
            offers = [await self._offer(session, shop, one, standings, prefers, locale) for one in live]
        sent_at = self._links.date_of(opened.link, query)
        named = newest.market.split("+") if newest else ()
        return Centre(
            opened=opened,
            shop=shop,
            subject=subject,
            address=masked(self._sealer.open(who[0], subject.address)),
            locale=locale,
            country=newest.country if newest else shop.default_country,
            market=self._markets.under(shop.market_overrides).strictest(named, shop.default_country),
            offers=tuple(offers),
            paused_until=prefers.paused_until if prefers.paused_until > now else 0,
            prefers=prefers,
            standings=standings,
            version=version,
            left=left,
            trail=trail,
            sent_at=sent_at,
            old=sent_at is None or consent.expired(sent_at, now),
        )

    async def _offer(
        self,
        session: Reads,
        shop: Shop,
        purpose: Purpose,
        standings: tuple[Standing, ...],
        prefers: Preferences,
        locale: str,
    ) -> Offer:
        standing = consent.of_purpose(standings, purpose.id)
        language = nearest(purpose.texts, locale, shop.default_locale)
        promise = purpose.texts[language]
        if standing.state is State.GRANTED:
            entry = await ledger_entries.by_event_id(session, shop.controller.id, standing.event_id)
            if entry is not None and entry.wording_id is not None:
                shown = await self._asks.wording(session, shop.controller.id, entry.wording_id)
                content = json.loads(shown.content)
                if "promise" in content:  # what other systems tell holds the words alone
                    promise, language = Promise(**content["promise"]), shown.language
        return Offer(purpose, promise, language, standing, prefers.chosen.get(purpose.id, Preference()))

    def path_beside(self, opened: Opened) -> str:
        """Where the subject of a withdraw link may choose less instead; nothing in it says how old it is."""
        link = Link(opened.link.shop_number, opened.link.id, LinkKind.PREFERENCES)
        return f"/p/{self._links.sign(link)}"

    def ask(self, centre: Centre, offer: Offer) -> tuple[Ask, StoredWording]:
        """A yes to a purpose, here, as an ask like any other, and the words that are pressed on.

        Its message is the page itself: as old as the link, and never stored.
        """
        shop, subject, purpose, now = centre.shop, centre.subject, offer.purpose, self._clock()
        told = (offer.promise.what, offer.promise.frequency, offer.promise.benefit, offer.promise.button)
        shown = wording(None, "", offer.language, "\n".join(told), purpose, offer.promise)
        placement = Placement("ask", "", bytes(16), purpose.version, "", "ask", purpose.id, shown.id)
        message = StoredMessage(
            id=subject.id,
            controller_id=shop.controller.id,
            shop_id=shop.id,
            subject_id=subject.id,
            type="preferences",
            touchpoint=TOUCHPOINT,
            locale=centre.locale,
            sent_at=centre.sent_at or 0,
            country=centre.country,
            market=centre.market.code,
            rule_version=centre.market.rule_version,
            decision=Decision("preferences", b"", (placement,)).to_json(),
        )
        ask = Ask(
            opened=centre.opened,
            shop=shop,
            message=message,
            placement=placement,
            subject=subject,
            promise=offer.promise,
            promised_value_id=f"{purpose.id}@{purpose.version}",
            channels=purpose.channels,
            recipients=purpose.recipients,
            language=offer.language,
            address=centre.address,
            standings=centre.standings,
            version=centre.version,
            left=centre.left,
            double_opt_in=centre.market.confirm == "double_opt_in",
            unproven=False,
            needs_line=False,
            expired=centre.old,
            leave_token=self._links.sign(Link(shop.number, subject.id, LinkKind.WITHDRAW)),
            trail=centre.trail,
            grant="press",
            trap_token="",
            preferences_token="",
        )
        return ask, StoredWording(shop.controller.id, shown.id, shown.language, shown.content, now)
