"""The words of the customer's pages: which state is told how, so that nobody shown only the picture can misread it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from handraiser.answer import Ask, Told
from handraiser.core.consent import State
from handraiser.core.formats import Formats, formats_of
from handraiser.core.links import LinkKind
from handraiser.core.shop import Shop

Tone = Literal["off", "on", "wait", "warn"]

_PENDING = {
    "double_opt_in": "In your country we only sign people up after this second step.",
    "after_withdrawal": "You had told us that you want no such emails, so we ask once more to be sure.",
    "not_waiting": "Your first press was a while ago, so we ask once more to be sure.",
}
_NO_PERSON = "We ask because we could not tell your press from that of a program that checks links."


@dataclass(frozen=True, slots=True)
class Button:
    """A form's button: the action it sends, and how much it stands out."""

    action: str
    label: str
    look: Literal["main", "plain", "quiet"] = "plain"


@dataclass(frozen=True, slots=True)
class Page:
    """One page in one language. ``status`` says in two or three words where the reader stands, ``tone`` colours it."""

    title: str
    status: str
    tone: Tone
    paragraphs: tuple[str, ...] = ()
    gift: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    notice: str = ""
    buttons: tuple[Button, ...] = ()
    small: str = ""
    link: tuple[str, str] | None = None
    order_line: bool = True


@dataclass(frozen=True, slots=True)
class Voice:
    """Speaks one language: ``words`` is its catalogue, English text to translated text."""

    locale: str
    words: Mapping[str, str]
    time_zone: str = "UTC"
    formats: Formats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", formats_of(self.locale, self.time_zone))

    def say(self, text: str, **values: str) -> str:
        """The text in this language. Values are isolated, so that an address cannot turn a right-to-left sentence."""
        said = self.words.get(text) or text
        return said.format(**{name: f"\u2068{value}\u2069" for name, value in values.items()}) if values else said

    def day(self, at: int) -> str:
        """A moment (ms) as a day in the shop's time zone."""
        return self.formats.date(datetime.fromtimestamp(at / 1000, UTC))


def asking(voice: Voice, ask: Ask, notice: str = "") -> Page:
    """Before the press: nothing is signed up, exactly this is promised, one button."""
    say = voice.say
    confirming = ask.opened.link.kind is LinkKind.CONFIRM
    if not notice and ask.left_at is not None:
        notice = say("On {day} you told us that you want no such emails. That still holds.", day=voice.day(ask.left_at))
    facts = [
        (say("What"), ask.promise.what),
        (say("How often"), ask.promise.frequency),
        (say("Your benefit"), ask.promise.benefit),
        (say("Sent to"), f"\u2066{ask.address}\u2069"),
    ]
    if ask.recipients:
        facts.append((say("Also passed on to"), ", ".join(ask.recipients)))
    title = say("One last press: you are not signed up yet") if confirming else say("You are not signed up yet")
    return Page(
        title=title,
        status=say("Not signed up"),
        tone="off",
        paragraphs=(say("With your yes, {shop} sends you this by email:", shop=ask.shop.name),),
        facts=tuple(facts),
        notice=notice,
        buttons=(
            Button("yes", ask.promise.button, "main"),
            Button("no", say("No thanks, don’t ask again")),
            Button("not_me", say("Not you?"), "quiet"),
        ),
        small=say("You can stop at any time with one press."),
    )


def already(voice: Voice, ask: Ask) -> Page:
    """The reader is signed up: since when, for what, and how to stop."""
    say = voice.say
    return Page(
        title=say("You are already signed up"),
        status=say("Signed up"),
        tone="on",
        paragraphs=(say("You said yes on {day}. There is nothing more to do.", day=voice.day(ask.standing.since)),),
        facts=_promised(voice, ask),
        buttons=(Button("undo", say("Stop these emails")),),
        link=_contact(voice, ask.shop),
    )


def answered(voice: Voice, told: Told, ask: Ask, action: str) -> Page:
    """After an answer was kept."""
    say = voice.say
    match told.outcome:
        case State.GRANTED:
            return Page(
                title=say("Done: you are signed up"),
                status=say("Signed up"),
                tone="on",
                paragraphs=(say("Your first email comes with our next mailing. Thank you!"),),
                gift=ask.promise.benefit_now,
                facts=_promised(voice, ask),
                buttons=(Button("undo", say("Undo")),),
                small=say("Pressed by mistake? Undo takes it back at once."),
            )
        case "already":
            return already(voice, ask)
        case State.PENDING:
            return _pending(voice, told, ask)
        case "expired":
            return expired(voice, ask)
        case "test":
            return tested(voice)
        case _:
            return stopped(voice, action, back=True)


def stopped(voice: Voice, action: str, *, back: bool = False) -> Page:
    """After no, not me or undo; ``back`` offers the way back to the page."""
    say = voice.say
    title, lines = {
        "undo": (say("Stopped: you are signed off"), (say("You get no more of these emails."),)),
        "not_me": (
            say("Thank you for telling us"),
            (say("Nobody is signed up with this address, and we will not ask it again."),),
        ),
    }.get(
        action,
        (say("All right: we will not ask you again"), (say("You are not signed up, and nothing will be sent."),)),
    )
    label = say("Changed your mind? Open the page again")
    return Page(title, say("Not signed up"), "off", lines, link=(label, "") if back else None)


def _pending(voice: Voice, told: Told, ask: Ask) -> Page:
    say = voice.say
    if ask.opened.link.kind is LinkKind.CONFIRM and told.reason in ("bot", "not_attested"):
        return Page(
            title=say("Not yet: please press once more"),
            status=say("One step left"),
            tone="wait",
            paragraphs=(
                say("We could not tell your press from that of a program that checks links, so nothing has started."),
                say("Please open the link in another browser, or allow scripts for this page, and press again."),
            ),
            link=(say("Open the page again"), ""),
        )
    return Page(
        title=say("One step left: look in your inbox"),
        status=say("Not signed up yet"),
        tone="wait",
        paragraphs=(
            say("Look for our email to {address} and press the button in it.", address=ask.address),
            say("Until you do, you are not signed up and nothing starts."),
            say(_PENDING.get(told.reason, _NO_PERSON)),
        ),
        small=say("No email after a few minutes? Please look in your spam folder."),
        buttons=(Button("no", say("No thanks, don’t ask again")),),
    )


def expired(voice: Voice, ask: Ask) -> Page:
    """The link is too old; where a fresh one comes from, and how to be left alone."""
    say = voice.say
    visit = (say("Visit {shop}", shop=ask.shop.name), ask.shop.url) if ask.shop.url else None
    return Page(
        title=say("This link is too old"),
        status=say("Not signed up"),
        tone="warn",
        paragraphs=(
            say("It worked for 30 days. You are not signed up, and nothing was changed."),
            say("Your next order email brings a fresh link."),
        ),
        link=visit,
        buttons=(Button("no", say("No thanks, don’t ask again")),),
    )


def tested(voice: Voice) -> Page:
    """The link stands in an email that was made with a test key."""
    say = voice.say
    return Page(
        say("This link is from a test email"),
        say("Test"),
        "warn",
        (say("It works like a real one, but nothing is recorded: nobody is signed up and nobody is signed off."),),
    )


def unsaved(voice: Voice) -> Page:
    """The database could not take the answer."""
    say = voice.say
    return Page(
        title=say("Your answer was not saved"),
        status=say("Not signed up"),
        tone="warn",
        paragraphs=(
            say("Something is out of order on our side. You are not signed up. Please try again in a minute."),
        ),
        link=(say("Try again"), ""),
    )


def unavailable(voice: Voice) -> Page:
    """The page cannot be shown now."""
    say = voice.say
    return Page(
        title=say("Please try again in a minute"),
        status=say("Nothing was changed"),
        tone="warn",
        paragraphs=(say("Something is out of order on our side."),),
        link=(say("Try again"), ""),
    )


def elsewhere(voice: Voice) -> Page:
    """The press did not come from our page."""
    say = voice.say
    return Page(
        title=say("Please press the button on our own page"),
        status=say("Nothing was changed"),
        tone="warn",
        paragraphs=(say("Your answer did not come from our page, so it was not taken."),),
        link=(say("Open the page again"), ""),
    )


def unknown(voice: Voice) -> Page:
    """No link of ours."""
    say = voice.say
    return Page(
        title=say("This link does not work"),
        status=say("Nothing was changed"),
        tone="warn",
        paragraphs=(say("Perhaps it was not copied whole. Please press it in the email again."),),
        order_line=False,
    )


def leaving(voice: Voice, shop: Shop | None) -> Page:
    """Before leaving: what the one button does."""
    say = voice.say
    return Page(
        title=say("Do you want to unsubscribe?"),
        status=say("Nothing was changed yet"),
        tone="off",
        paragraphs=(
            _left_line(
                voice,
                shop,
                "One press stops all news, tips and offers by email from {company}, and we will not ask you again.",
            ),
        ),
        buttons=(Button("leave", say("Unsubscribe"), "main"),),
        small=say("Emails about your orders still come."),
    )


def left(voice: Voice, shop: Shop | None) -> Page:
    """After leaving."""
    say = voice.say
    return Page(
        title=say("You are unsubscribed"),
        status=say("Not signed up"),
        tone="off",
        paragraphs=(
            _left_line(
                voice,
                shop,
                "{company} sends you no news, tips or offers by email any more, and we will not ask you again.",
            ),
        ),
        small=say("Emails about your orders still come."),
    )


def still_here(voice: Voice) -> Page:
    """Neither the database nor the journal could take a withdrawal."""
    say = voice.say
    return Page(
        title=say("Please press once more"),
        status=say("Not done yet"),
        tone="warn",
        paragraphs=(
            say(
                "Something is out of order on our side, and you are not unsubscribed yet. Please try again in a minute."
            ),
        ),
        buttons=(Button("leave", say("Unsubscribe"), "main"),),
    )


def _left_line(voice: Voice, shop: Shop | None, text: str) -> str:
    company = (shop.controller.legal_name or shop.controller.name) if shop else voice.say("The company")
    return voice.say(text, company=company)


def _promised(voice: Voice, ask: Ask) -> tuple[tuple[str, str], ...]:
    say = voice.say
    return (
        (say("What"), ask.promise.what),
        (say("How often"), ask.promise.frequency),
        (say("Sent to"), f"\u2066{ask.address}\u2069"),
    )


def _contact(voice: Voice, shop: Shop) -> tuple[str, str] | None:
    if not shop.support_email:
        return None
    return voice.say("Something else to change? Write to us"), f"mailto:{shop.support_email}"
