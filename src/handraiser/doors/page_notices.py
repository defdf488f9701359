"""The words of the customer's pages that know no ask: leaving, and what went wrong."""

from __future__ import annotations

from handraiser.core.shop import Shop
from handraiser.doors.page_texts import Button, Page, Voice


def unsaved(voice: Voice) -> Page:
    """The database could not take the answer."""
    say = voice.say
    return Page(
        title=say("Your answer was not saved"),
        status=say("Not signed up"),
        tone="warn",
        paragraphs=(
            say("Something is out of order on our side. You are not signed up, and your order is safe."),
            say("Please try again in a minute."),
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


def only_leaving(voice: Voice) -> Page:
    """The settings cannot be shown or kept now; leaving works all the same."""
    say = voice.say
    return Page(
        title=say("Please try again in a minute"),
        status=say("Nothing was changed"),
        tone="warn",
        paragraphs=(
            say("Something is out of order on our side."),
            say("You can unsubscribe from everything all the same."),
        ),
        buttons=(Button("leave", say("Unsubscribe from everything")),),
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


def too_many(voice: Voice) -> Page:
    """More visits than people make."""
    say = voice.say
    return Page(
        title=say("Please wait a moment"),
        status=say("Not done yet"),
        tone="warn",
        paragraphs=(
            say("Very many links were opened from your network, or this one very often. Nothing was saved just now."),
            say("Please open the link in your email again in a while."),
        ),
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


def nothing_to_ask(voice: Voice) -> Page:
    """A link about an order, whose customer is asked nothing now."""
    say = voice.say
    return Page(
        title=say("There is nothing to ask you now"),
        status=say("Nothing was changed"),
        tone="off",
        paragraphs=(say("You need not do anything: whatever you chose before stays as it is."),),
        order_line=False,
    )


def leaving(voice: Voice, shop: Shop | None, less: str) -> Page:
    """Before leaving: what the one button does; below it the way to ``less``, which is no step on the way out."""
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
        link=(say("Rather get less? Choose topics, how often, or a break"), less),
    )


def left(voice: Voice, shop: Shop | None, *, undo: bool = False, notice: str = "") -> Page:
    """After leaving; ``undo`` offers to take it back."""
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
        notice=notice,
        buttons=(Button("undo", say("Undo")),) if undo else (),
        line=say("Emails about your orders still come."),
        small=say("Pressed by mistake? Undo takes it back at once.") if undo else "",
    )


def undone(voice: Voice, shop: Shop | None, outcome: str) -> Page:
    """After the undo: ``back`` as before, ``doubtful`` when a script may have pressed it, or too ``late``."""
    say = voice.say
    if outcome == "late":
        return left(voice, shop, notice=say("It was too long ago to be taken back."))
    if outcome == "doubtful":
        return Page(
            title=say("Not yet: please press once more"),
            status=say("Not signed up"),
            tone="wait",
            paragraphs=(
                say("We could not tell your press from that of a program that checks links, so nothing has started."),
                say("Please open the link in another browser, or allow scripts for this page, and press again."),
            ),
            buttons=(Button("undo", say("Undo")),),
        )
    return Page(
        title=say("Taken back: you are signed up as before"),
        status=say("Signed up"),
        tone="on",
        paragraphs=(say("You get our emails as before, and can stop them any time with one press."),),
        buttons=(Button("leave", say("Unsubscribe")),),
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
