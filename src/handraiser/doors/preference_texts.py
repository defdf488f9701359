"""The words of the preference centre: what comes, what does not, and what a press did."""

from __future__ import annotations

from dataclasses import dataclass

from handraiser.answer import Centre, Changed, Offer
from handraiser.core.block import nearest
from handraiser.core.consent import State
from handraiser.core.preference import BREAKS, Choice
from handraiser.doors.page_texts import Button, Page, Tone, Voice, why_pending

_CHANNELS = {"email": "email", "sms": "text message", "phone": "phone", "post": "post"}
_BREAKS = {1: "1 month", 3: "3 months", 6: "6 months"}
_SAID = {
    "granted": "Done: you are signed up.",
    "already": "Nothing had to be changed.",
    "stopped": "Stopped: you get no more of these emails.",
    "saved": "Your choice is saved.",
    "resumed": "The break is over.",
    "old": "This link is too old for that. Get a fresh one.",
    "expired": "This link is too old for that. Get a fresh one.",
    "again": "This page was open for too long. Please press again.",
    "machine": "We could not tell your press from that of a program that checks links, so nothing has started.",
    "sent": "We sent a fresh link to {address}.",
    "too_often": "We sent several emails to {address} today, so now no other one leaves.",
}
_DONE = frozenset({"granted", "stopped", "saved", "paused", "resumed", "sent"})


@dataclass(frozen=True, slots=True)
class Tick:
    """Something to choose: ``on`` says that it is chosen now."""

    value: str
    label: str
    on: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One purpose, with what can be changed about it."""

    purpose: str
    what: str
    language: str
    status: str
    tone: Tone
    facts: tuple[tuple[str, str], ...]
    topics: tuple[Tick, ...] = ()
    frequencies: tuple[Tick, ...] = ()
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """The whole page: its head, a card for each purpose, and the break."""

    page: Page
    cards: tuple[Card, ...]
    pause: str
    breaks: tuple[Button, ...]
    fresh: Button | None
    leaving: str


def sheet(voice: Voice, centre: Centre, changed: Changed | None = None) -> Sheet:
    """Everything as it stands, and what a press did."""
    say, shop = voice.say, centre.shop
    tone: Tone = "off"
    status = say("Not signed up")
    if any(one.on for one in centre.offers):
        status, tone = say("Signed up"), "on"
    pause = say("Only emails about your orders come, and we ask you nothing, until the break is over.")
    breaks = tuple(Button(f"pause-{months}", say(_BREAKS[months]), "third") for months in BREAKS)
    if centre.paused_until:
        status, tone = say("Taking a break"), "wait"
        pause = say("You take a break until {day}.", day=voice.day(centre.paused_until))
        breaks = () if centre.old else (Button("resume", say("End the break now")),)
    link = None
    if shop.support_email:
        link = (say("Something else to change? Write to us"), f"mailto:{shop.support_email}")
    page = Page(
        title=say("Your email settings"),
        status=status,
        tone=tone,
        paragraphs=(say("For {address} · Emails about your orders come in any case.", address=centre.address),),
        notice=_notice(voice, centre, changed),
        done=changed is not None and changed.outcome in _DONE,
        gift=changed.offer.promise.benefit_now if changed and changed.offer and changed.outcome == "granted" else "",
        link=link,
    )
    company = shop.controller.legal_name or shop.controller.name
    leaving = "One press stops all news, tips and offers by email from {company}, and we will not ask you again."
    return Sheet(
        page=page,
        cards=tuple(_card(voice, centre, one) for one in centre.offers),
        pause=pause,
        breaks=breaks,
        fresh=Button("link", say("Send me a fresh link")) if centre.old else None,
        leaving=say(leaving, company=company),
    )


def _notice(voice: Voice, centre: Centre, changed: Changed | None) -> str:
    say, day = voice.say, voice.day(centre.paused_until)
    if changed is None:
        return (
            say("This link is old: with it you can stop or get less. For more, get a fresh one.") if centre.old else ""
        )
    match changed.outcome:
        case "paused":
            return say("You take a break until {day}.", day=day)
        case "pending":
            told = say("Look for our email to {address} and press the button in it.", address=centre.address)
            return f"{told} {say('Nothing starts until you press there.')} {why_pending(voice, changed.reason)}"
        case "partly":
            rest = "For more, get a fresh link." if centre.old else "For the rest, please press again."
            return f"{say('What makes it less is saved.')} {say(rest)}"
        case outcome:
            return say(_SAID[outcome], address=centre.address)


def _card(voice: Voice, centre: Centre, offer: Offer) -> Card:
    say, state = voice.say, offer.standing.state
    choices = offer.on and bool(offer.purpose.topics or offer.purpose.frequencies)
    facts = [] if offer.on and offer.purpose.frequencies else [(say("How often"), offer.promise.frequency)]
    if not offer.on:
        facts.append((say("You get"), offer.promise.benefit))
    facts.append((say("Comes by"), ", ".join(say(_CHANNELS.get(one, one)) for one in offer.purpose.channels)))
    if offer.purpose.recipients:
        facts.append((say("Also passed on to"), ", ".join(offer.purpose.recipients)))
    tone: Tone = "off"
    status = say("Off")
    buttons: tuple[Button, ...] = ()
    if offer.on:
        status, tone = say("On since {day}", day=voice.day(offer.standing.since)), "on"
        stop = Button("off", say("Stop these emails"), "half" if choices else "plain")
        buttons = (Button("save", say("Save"), "half"), stop) if choices else (stop,)
    elif state is State.PENDING:
        status, tone = say("Waits for your press in our email"), "wait"
        buttons = (Button("off", say("Stop these emails")),)
    elif not centre.old:
        buttons = (Button("on", offer.promise.button, "main"),)
    return Card(
        purpose=offer.purpose.id,
        what=offer.promise.what,
        language=offer.language,
        status=status,
        tone=tone,
        facts=tuple(facts),
        topics=_topics(voice, offer) if choices else (),
        frequencies=_frequencies(voice, offer) if choices else (),
        buttons=buttons,
    )


def _topics(voice: Voice, offer: Offer) -> tuple[Tick, ...]:
    chosen = offer.preference.topics
    return tuple(Tick(one.id, _label(voice, one), chosen is None or one.id in chosen) for one in offer.purpose.topics)


def _frequencies(voice: Voice, offer: Offer) -> tuple[Tick, ...]:
    """As promised, and the rarer ones; as promised where what was chosen is offered no more."""
    if not offer.purpose.frequencies:
        return ()
    chosen = offer.preference.frequency
    known = chosen in {one.id for one in offer.purpose.frequencies}
    rarer = [Tick(one.id, _label(voice, one), one.id == chosen) for one in offer.purpose.frequencies]
    return (Tick("", offer.promise.frequency, not known), *rarer)


def _label(voice: Voice, choice: Choice) -> str:
    return choice.texts[nearest(choice.texts, voice.locale, "en")]
