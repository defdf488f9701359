"""The confirmation mail: what it asks, and nothing else. Courts read a logo or a welcome in such a mail as advertising.

*neutral* names the shop and has a button; *naked* (the market's switch ``confirm_mail``) is text and links alone. Both
say what exactly is confirmed (GDPR Art. 4(11)), that nothing starts without it, and how to say no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Template

from handraiser.core.block import Promise
from handraiser.core.composed import NO_DOMAIN
from handraiser.core.formats import formats_of
from handraiser.core.mailbox import split_mailbox
from handraiser.core.message import compose
from handraiser.core.shop import Shop

TYPE = "confirmation"
EVENT = "confirmation.mail"
"""The outbox event that makes it leave."""
TOUCHPOINT = "email:confirmation"


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of pages; each page has one button that does what the link says."""

    confirm: str
    decline: str
    never: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one mail asks of whom. Times in ms UTC; ``language`` is that of the promise, ``locale`` the mail's."""

    shop: Shop
    address: str
    message_id: bytes
    sent_at: int
    locale: str
    promise: Promise
    language: str
    recipients: tuple[str, ...]
    links: Links
    naked: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail ready to leave: envelope sender, its one recipient, and the RFC 5322 bytes."""

    sender: str
    recipient: str
    content: bytes


def write(asked: Confirmation, template: Template, words: Mapping[str, str]) -> Letter:
    """The mail in the reader's language; ``words`` is its catalogue, English text to translated text."""
    return letter(
        asked.shop,
        asked.address,
        _said(asked, words),
        asked.links,
        template,
        locale=asked.locale,
        language=asked.language,
        naked=asked.naked,
        message_id=asked.message_id,
        sent_at=asked.sent_at,
    )


def letter(
    shop: Shop,
    address: str,
    said: Mapping[str, Any],
    links: Links,
    template: Template,
    *,
    locale: str,
    language: str,
    naked: bool,
    message_id: bytes,
    sent_at: int,
) -> Letter:
    """A mail of our own from its words: ``said`` holds a text for each place of the template, "" leaves it out."""
    own_name, sender = split_mailbox(shop.sender_address or f"orders@{NO_DOMAIN}")
    html = template.render(
        locale=locale,
        direction=formats_of(locale, shop.time_zone).direction,
        language=language,
        naked=naked,
        brand=shop.brand,
        links=links,
        privacy_url=shop.controller.privacy_url,
        **said,
    )
    # RFC 3834: no vacation notice answers it. RFC 8058: one press in the mail program says no.
    headers = {
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<{links.never}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    content = compose(
        subject=said["subject"],
        html=html,
        text=_text(links, said, shop.controller.privacy_url),
        sender=(own_name or shop.sender_name or shop.name, sender),
        to=("", address),
        reply_to=shop.reply_to,
        headers=headers,
        message_id=f"<{message_id.hex()}@{sender.rpartition('@')[2]}>",
        sent_at=sent_at,
    )
    return Letter(sender, address, content)


def _said(asked: Confirmation, words: Mapping[str, str]) -> dict[str, Any]:
    say, shop = speaker(words), asked.shop
    day = formats_of(asked.locale, shop.time_zone).date(datetime.fromtimestamp(asked.sent_at / 1000, UTC))
    facts = [(say("What"), asked.promise.what), (say("How often"), asked.promise.frequency)]
    if asked.recipients:
        facts.append((say("Also passed on to"), ", ".join(asked.recipients)))
    return {
        "subject": say("Please confirm your sign-up with {shop}", shop=shop.name),
        "happened": say(
            "On {day} somebody pressed “yes” in an email from {shop} to this address.", day=day, shop=shop.name
        ),
        "question": say("Was that you, and do you want this by email?"),
        "facts": facts,
        "button": say("Yes, I confirm"),
        "until": say("Until you press there, you are not signed up and nothing is sent. The link works for 7 days."),
        "otherwise": say("Was it not you, or do you not want this? Do nothing, and it ends by itself."),
        "decline": say("No thanks"),
        "never": say("Don’t ask again"),
        "order": say("Your order is not affected by what you choose."),
        "who": own_lines(shop),
        "privacy": say("Who we are and what we do with your data"),
    }


def own_lines(shop: Shop) -> list[str]:
    """Who writes: the company's name and where it is reached."""
    owner = shop.controller
    who = (owner.legal_name or owner.name, *owner.address_lines, owner.email, owner.phone)
    return [line for line in who if line]


def speaker(words: Mapping[str, str]) -> Callable[..., str]:
    """Says an English text in the catalogue's language, with its values."""

    def say(text: str, **values: str) -> str:
        said = words.get(text) or text
        return said.format(**values) if values else said

    return say


def _text(links: Links, said: Mapping[str, Any], privacy_url: str) -> str:
    """The plain-text part: the same words in the same order."""
    lines = [
        f"{said['happened']} {said['question']}".rstrip(),
        "\n".join(f"{name}: {value}" for name, value in said["facts"]),
        f"{said['button']}:\n{links.confirm}",
        said["until"],
        said["otherwise"],
        f"{said['decline']}:\n{links.decline}" if said["decline"] else "",
        f"{said['never']}:\n{links.never}",
        f"{said['order']}\n{' · '.join(said['who'])}",
    ]
    if privacy_url:
        lines.append(f"{said['privacy']}:\n{privacy_url}")
    return "\n\n".join(line for line in lines if line) + "\n"
