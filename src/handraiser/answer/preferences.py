"""The preference centre: which purposes a subject wants, what of them, how often, and not for a while.

Less is always taken, from a link of any age, whoever sends it. More needs our own page, a link out of a mail of the
last thirty days, and no certain machine; a yes to a purpose is a press like any other (decision 0012).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from handraiser.answer.asks import Ask, Asks, Opened, Visit
from handraiser.answer.centre import Centre, Centres, Offer
from handraiser.answer.leaving import TRIES, Leaving
from handraiser.answer.preference_letters import letter_row
from handraiser.answer.rates import Rates
from handraiser.answer.visits import Visits, network_of
from handraiser.core import consent
from handraiser.core.consent import ALL_PURPOSES, Entry, Event, Standing, State
from handraiser.core.person import Judgement
from handraiser.core.preference import SLUG, TOUCHPOINT, Preference, break_until, lesser
from handraiser.errors import NotFound, StoreUnavailable
from handraiser.store import ledger, preferences, wordings
from handraiser.store.ledger import Append, Appended, Change
from handraiser.store.outbox import event_of
from handraiser.store.writer import Writer


class Wish(StrEnum):
    """What a reader can press on the page, beside leaving altogether."""

    ON = "on"
    OFF = "off"
    SAVE = "save"
    PAUSE = "pause"
    RESUME = "resume"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One press on the page: ``topics`` are the ticked ones, ``months`` how long a break is to last.

    ``ours`` says that it came from our own page, served within the hour; ``notice_id`` is the hash of that page,
    ``query`` what stood behind the link's token.
    """

    wish: Wish
    purpose: str = ""
    topics: tuple[str, ...] = ()
    frequency: str = ""
    months: int = 0
    query: str = ""
    ours: bool = False
    notice_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a press, and how things stand now; ``centre`` is None where that cannot be known.

    ``outcome`` is what was done (``granted``, ``pending``, ``stopped``, ``saved``, ``paused``, ``resumed``, ``sent``),
    ``already``, ``partly`` (the less of it), or why not: ``old`` (the link), ``again`` (the page), ``machine``,
    ``too_often``. ``reason`` says why a yes waits.
    """

    outcome: str
    centre: Centre | None
    offer: Offer | None = None
    reason: str = ""


Press = Callable[[Callable[[], Awaitable[Ask]], Opened, Visit, bytes | None], Awaitable[tuple[str, str]]]
"""Takes a yes to an ask: outcome and reason."""


class PreferenceCentre:
    """Shows and changes what subjects prefer."""

    def __init__(
        self,
        *,
        centres: Centres,
        writer: Writer,
        asks: Asks,
        visits: Visits,
        rates: Rates,
        leaving: Leaving,
        press: Press,
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        self._centres, self._writer, self._asks = centres, writer, asks
        self._visits, self._rates, self._leaving, self._press = visits, rates, leaving, press
        self._clock, self._new_id = clock, new_id

    def path_beside(self, opened: Opened) -> str:
        """Where the subject of a withdraw link may choose less instead."""
        return self._centres.path_beside(opened)

    async def look(self, opened: Opened, visit: Visit, query: str) -> Centre:
        """What the link opens; the visit is logged and changes nothing else.

        Raises :class:`NotFound` for an unknown or erased subject, :class:`TooMany`, :class:`StoreUnavailable`.
        """
        if opened.shop is None:
            raise StoreUnavailable("the shop is not known now")
        await self._rates.visit(network_of(visit.remote), self._clock())
        self._visits.judge(opened, visit)
        return await self._centres.read(opened, query)

    async def change(self, opened: Opened, visit: Visit, wanted: Wanted) -> Changed:
        """Take a press; the same again is the same entry.

        Turning a purpose off is journalled while the database is gone; for all else :class:`StoreUnavailable` says that
        nothing was kept. Raises :class:`NotFound` for an unknown or erased subject or purpose, and :class:`TooMany`.
        """
        if wanted.wish is Wish.OFF:
            if not SLUG.fullmatch(wanted.purpose):
                raise NotFound("no such purpose")
            if opened.shop is not None:
                self._visits.judge(opened, visit)
            return await self._off(opened, wanted)
        if opened.shop is None:
            raise StoreUnavailable("the shop is not known now")
        if wanted.wish in (Wish.ON, Wish.LINK):
            await self._rates.visit(network_of(visit.remote), self._clock())
            return await (self._on if wanted.wish is Wish.ON else self._link)(opened, visit, wanted)
        judgement = self._visits.judge(opened, visit)
        for attempt in range(TRIES):
            centre = await self._centres.read(opened, wanted.query)
            if wanted.wish is Wish.SAVE and not _topics(centre.offer(wanted.purpose), wanted):
                return await self._off(opened, wanted)  # nothing of it is wanted
            outcome, entry = await self._decided(centre, wanted, judgement)
            if entry is None:
                return Changed(outcome, centre)
            version = None if outcome in ("partly", "paused") and attempt == TRIES - 1 else centre.version
            event = event_of(entry, self._new_id(entry.recorded_at))
            appended = await self._writer.write(ledger.append, Append((Change(entry),), (event,), version_seen=version))
            if isinstance(appended, Appended):
                return Changed(outcome, await self._centres.read(opened, wanted.query))
        raise StoreUnavailable("the customer's other answers did not settle")

    async def _off(self, opened: Opened, wanted: Wanted) -> Changed:
        await self._leaving.leave(opened, one_click=False, purpose=wanted.purpose)
        try:
            return Changed("stopped", await self._centres.read(opened, wanted.query) if opened.shop else None)
        except (NotFound, StoreUnavailable):
            return Changed("stopped", None)

    async def _on(self, opened: Opened, visit: Visit, wanted: Wanted) -> Changed:
        centre = await self._centres.read(opened, wanted.query)
        offer = centre.offer(wanted.purpose)
        if bar := _bar(centre, wanted):
            self._visits.judge(opened, visit)
            return Changed(bar, centre)
        _, shown = self._centres.ask(centre, offer)
        await self._writer.write(wordings.put, shown)

        async def load() -> Ask:
            now = await self._centres.read(opened, wanted.query)
            ask, _ = self._centres.ask(now, now.offer(wanted.purpose))
            return ask

        outcome, reason = await self._press(load, opened, visit, wanted.notice_id)
        return Changed(outcome, await self._centres.read(opened, wanted.query), offer, reason)

    async def _link(self, opened: Opened, visit: Visit, wanted: Wanted) -> Changed:
        centre = await self._centres.read(opened, wanted.query)
        machine = self._visits.judge(opened, visit).verdict == "bot"
        if machine or not wanted.ours:
            return Changed("machine" if machine else "again", centre)
        row = letter_row(centre.shop, centre.subject.id, centre.locale, self._new_id(self._clock()), self._clock())
        return Changed("sent" if await self._writer.write(preferences.request_letter, row) else "too_often", centre)

    async def _decided(self, centre: Centre, wanted: Wanted, judgement: Judgement) -> tuple[str, Entry | None]:
        """What a press leads to, and the entry that says so; None where nothing changes."""
        bar = _bar(centre, wanted) or ("machine" if judgement.verdict == "bot" else "")
        if wanted.wish is Wish.SAVE:
            offer = centre.offer(wanted.purpose)
            if not offer.on:
                return "already", None
            rarer = [one.id for one in offer.purpose.frequencies]
            topics = _topics(offer, wanted)
            all_of_them = len(topics) == max(1, len(offer.purpose.topics))
            wish = Preference(None if all_of_them else topics, wanted.frequency if wanted.frequency in rarer else "")
            kept = lesser(offer.preference, wish, rarer) if bar else wish
            outcome = "saved" if kept == wish else "partly"
            if kept == offer.preference:
                return ("already" if outcome == "saved" else bar), None
            return outcome, await self._entry(centre, Event.PREFERRED, wanted, judgement, preference=kept.to_json())
        if wanted.wish is Wish.PAUSE:
            until = break_until(self._clock(), wanted.months)
            if until <= centre.paused_until:
                return "already", None
            return "paused", await self._entry(centre, Event.PAUSED, wanted, judgement, until=until)
        if not centre.paused_until:
            return "already", None
        return (bar, None) if bar else ("resumed", await self._entry(centre, Event.RESUMED, wanted, judgement))

    async def _entry(
        self,
        centre: Centre,
        event: Event,
        wanted: Wanted,
        judgement: Judgement,
        *,
        preference: str = "",
        until: int | None = None,
    ) -> Entry:
        controller, subject_id, now = centre.shop.controller, centre.subject.id, self._clock()
        purpose = wanted.purpose if event is Event.PREFERRED else ALL_PURPOSES
        last = centre.prefers.event_ids.get(purpose, b"")
        return Entry(
            event_id=self._new_id(now),
            controller_id=controller.id,
            subject_id=subject_id,
            purpose=purpose,
            event=event,
            occurred_at=now,
            received_at=now,
            recorded_at=now,
            dedup_key=consent.dedup_key(subject_id, event, purpose, preference, str(until), last),
            jurisdiction=centre.market.code,
            rule_version=centre.market.rule_version,
            privacy_policy_version=controller.privacy_version,
            touchpoint=TOUCHPOINT,
            link_kind=int(centre.opened.link.kind),
            notice_id=wanted.notice_id if wanted.ours else None,
            method="form",
            attestation=judgement.attestation,
            verdict=judgement.verdict,
            verdict_reasons=judgement.reasons,
            expires_at=until,
            supersedes_seq=await self._asks.seq_of(controller.id, Standing(purpose, State.NONE, event_id=last)),
            preference=preference,
        )


def _topics(offer: Offer, wanted: Wanted) -> tuple[str, ...]:
    """The purpose's topics that are ticked, in its order; one that has none is a topic of its own."""
    return tuple(one.id for one in offer.purpose.topics if one.id in wanted.topics) or (
        () if offer.purpose.topics else (offer.purpose.id,)
    )


def _bar(centre: Centre, wanted: Wanted) -> str:
    """Why this page may take no more than there is."""
    if centre.old:
        return "old"
    return "" if wanted.ours else "again"
