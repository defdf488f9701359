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
from handraiser.core.market import LOCKED_LINE

Tone = Literal["off", "on", "wait", "warn"]

_PENDING = {
    "double_opt_in": "In your country we only sign people up after this second step.",
    "unproven_mailbox": "On a page anybody can type any address, so only the mailbox itself can say yes.",
    "after_withdrawal": "You had told us that you want no such emails, so we ask once more to be sure.",
    "newer_mail": "Several emails of ours are there: only the button in the newest one counts.",
    "fresh": "The fresh link is in that email.",
}
_NO_PERSON = "We ask because we could not tell your press from that of a program that checks links."


@dataclass(frozen=True, slots=True)
class Button:
    """A form's button: the action it sends, and how much it stands out."""

    action: str
    label: str
    look: Literal["main", "plain", "half", "third", "quiet"] = "plain"


@dataclass(frozen=True, slots=True)
class Page:
    """One page in one language. ``status`` says in two or three words where the reader stands, ``tone`` colours it.

    ``line`` is the market's locked line: below the buttons, so that no answer is pushed off a small first screen;
    ``done`` says that the notice tells of something that was done.
    """

    title: str
    status: str
    tone: Tone
    paragraphs: tuple[str, ...] = ()
    gift: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    notice: str = ""
    done: bool = False
    buttons: tuple[Button, ...] = ()
    small: str = ""
    line: str = ""
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


def confirming(ask: Ask) -> bool:
    """Whether the reader comes from a confirmation mail."""
    return ask.opened.link.kind is LinkKind.CONFIRM


def asking(voice: Voice, ask: Ask, notice: str = "") -> Page:
    """Before the press: nothing is signed up, exactly this is promised, one button."""
    say = voice.say
    if not notice and ask.standing.state is State.PENDING and not confirming(ask):
        notice = say("One step is left: press here, or in the email that we sent you.")
    title = say("One last press: you are not signed up yet") if confirming(ask) else say("You are not signed up yet")
    facts = [
        (say("What"), ask.promise.what),
        (say("How often"), ask.promise.frequency),
        (say("You get"), ask.promise.benefit),
    ]
    if ask.recipients:
        facts.append((say("Also passed on to"), ", ".join(ask.recipients)))
    return Page(
        title=title,
        status=say("Not signed up"),
        tone="off",
        paragraphs=(say("We would like to send this by email to {address}:", address=ask.address),),
        facts=tuple(facts),
        notice=notice or _left_before(voice, ask),
        buttons=(Button("yes", ask.promise.button, "main"), *_no(voice), Button("not_me", say("Not you?"), "quiet")),
        small=say("Stop any time with one press."),
        line=say(LOCKED_LINE) if ask.needs_line else "",
    )


def declining(voice: Voice, ask: Ask, notice: str = "") -> Page:
    """The way from the mail's "no thanks": the no first, and nothing is decided before the press."""
    say = voice.say
    return Page(
        title=say("You do not want this?"),
        status=say("Not signed up"),
        tone="off",
        paragraphs=(
            say("You are not signed up, and without your yes nothing will be sent to {address}.", address=ask.address),
        ),
        notice=notice,
        buttons=(
            Button("no", say("No thanks"), "main"),
            Button("never", say("Don’t ask again")),
            Button("yes", ask.promise.button, "quiet"),
        ),
        small=say("We will not ask you again for 12 months."),
    )


def waiting(voice: Voice, ask: Ask) -> Page:
    """A second visit while the confirmation mail is under way, where only that mail can say yes."""
    say = voice.say
    return Page(
        title=say("One step left: look in your inbox"),
        status=say("Not signed up yet"),
        tone="wait",
        paragraphs=(
            say(
                "On {day} we sent an email to {address}. Press the button in it.",
                day=voice.day(ask.standing.since),
                address=ask.address,
            ),
            say("Nothing starts until you press there."),
        ),
        small=say("No email after a few minutes? Please look in your spam folder."),
        buttons=_no(voice),
    )


def _no(voice: Voice) -> tuple[Button, Button]:
    """Not now, and never: each one press, side by side."""
    return (
        Button("no", voice.say("No thanks"), "half"),
        Button("never", voice.say("Don’t ask again"), "half"),
    )


def _left_before(voice: Voice, ask: Ask) -> str:
    if ask.left_at is None:
        return ""
    day = voice.day(ask.left_at)
    return voice.say("On {day} you told us that you want no such emails. That still holds.", day=day)


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
        link=_choose(voice, ask),
    )


def answered(voice: Voice, told: Told, ask: Ask) -> Page:
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
                link=_choose(voice, ask),
            )
        case "already":
            return already(voice, ask)
        case State.PENDING:
            return _pending(voice, told, ask)
        case "expired":
            return expired(voice, ask)
        case "too_often":
            return mailed_enough(voice, ask)
        case "test":
            return tested(voice)
        case _:
            return stopped(voice, told.outcome, back=True)


def stopped(voice: Voice, outcome: str, *, back: bool = False) -> Page:
    """After no, never, not me or undo; ``back`` offers the way back to the page."""
    say = voice.say
    title, lines = {
        State.WITHDRAWN: (say("Stopped: you are signed off"), (say("You get no more of these emails."),)),
        State.VOIDED: (
            say("Thank you for telling us"),
            (say("Nobody is signed up with this address, and we will not ask it again."),),
        ),
        State.REFUSED: (
            say("All right: no emails"),
            (
                say("You are not signed up, and nothing will be sent."),
                say("We will not ask you again for 12 months."),
            ),
        ),
        State.OBJECTED: (
            say("All right: we will not ask you again"),
            (say("You are not signed up, and nothing will be sent."),),
        ),
    }.get(
        State(outcome),
        (say("There was nothing to stop"), (say("You are not signed up, and nothing will be sent."),)),
    )
    label = say("Changed your mind? Open the page again")
    never = (Button("never", say("Don’t ask again")),) if back and outcome == State.REFUSED else ()
    return Page(title, say("Not signed up"), "off", lines, buttons=never, link=(label, "") if back else None)


def _pending(voice: Voice, told: Told, ask: Ask) -> Page:
    say = voice.say
    if confirming(ask) and told.reason in ("bot", "not_attested"):
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
            say("Nothing starts until you press there."),
            why_pending(voice, told.reason),
        ),
        small=say("No email after a few minutes? Please look in your spam folder."),
        buttons=_no(voice),
    )


def why_pending(voice: Voice, reason: str) -> str:
    """Why a yes waits for a press in an email."""
    return voice.say(_PENDING.get(reason, _NO_PERSON))


def mailed_enough(voice: Voice, ask: Ask) -> Page:
    """The mailbox got as many confirmation mails as one may get within a day."""
    say = voice.say
    return Page(
        title=say("Please look in your inbox"),
        status=say("Not signed up yet"),
        tone="wait",
        paragraphs=(
            say("We sent several emails to {address} today, so now no other one leaves.", address=ask.address),
            say("Press the button in the newest one, or try again tomorrow. Nothing starts until then."),
        ),
        buttons=_no(voice),
    )


def expired(voice: Voice, ask: Ask) -> Page:
    """The link is too old; a fresh one comes by mail, to the address alone, and no is possible at once."""
    say = voice.say
    lived = say("It worked for 7 days.") if confirming(ask) else say("It worked for 30 days.")
    return Page(
        title=say("This link is too old: get a fresh one"),
        status=say("Not signed up"),
        tone="warn",
        paragraphs=(
            f"{lived} {say('You are not signed up, and nothing was changed.')}",
            say(
                "If you still want “{what}”, we send a fresh link to {address}.",
                what=ask.promise.what,
                address=ask.address,
            ),
        ),
        notice=_left_before(voice, ask),
        buttons=(Button("fresh", say("Send me a fresh link"), "main"), *_no(voice)),
        small=say("Nothing starts until you press there."),
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


def _promised(voice: Voice, ask: Ask) -> tuple[tuple[str, str], ...]:
    say = voice.say
    return (
        (say("What"), ask.promise.what),
        (say("How often"), ask.promise.frequency),
        (say("Sent to"), f"\u2066{ask.address}\u2069"),
    )


def _choose(voice: Voice, ask: Ask) -> tuple[str, str] | None:
    if not ask.preferences_token:
        return None
    return voice.say("Choose topics, how often, or a break"), f"/p/{ask.preferences_token}"
