"""The letter with a fresh link to one's email settings: asked for on an old page, sent to the address on file alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Template

from handraiser.core.confirmation import Letter, Links, letter, own_lines, speaker
from handraiser.core.formats import formats_of
from handraiser.core.shop import Shop


@dataclass(frozen=True, slots=True)
class Requested:
    """One such letter: to whom, asked for when (ms UTC), and the addresses of the page and of leaving."""

    shop: Shop
    address: str
    message_id: bytes
    sent_at: int
    locale: str
    link: str
    never: str


def write(requested: Requested, template: Template, words: Mapping[str, str]) -> Letter:
    """The letter in the reader's language: text and links alone, so that nothing in it can be read as advertising."""
    say, shop = speaker(words), requested.shop
    day = formats_of(requested.locale, shop.time_zone).date(datetime.fromtimestamp(requested.sent_at / 1000, UTC))
    said = {
        "subject": say("Your email settings at {shop}", shop=shop.name),
        "happened": say("On {day} somebody asked for a new link to the email settings of this address.", day=day),
        "question": "",
        "facts": [],
        "button": say("Open my email settings"),
        "until": say("The link works for 30 days. There you choose what you get, how often, or nothing at all."),
        "otherwise": say("Was it not you? Then there is nothing to do: nothing was changed."),
        "decline": "",
        "never": say("Unsubscribe from everything"),
        "order": say("Emails about your orders still come."),
        "who": own_lines(shop),
        "privacy": say("Who we are and what we do with your data"),
    }
    return letter(
        shop,
        requested.address,
        said,
        Links(confirm=requested.link, decline="", never=requested.never),
        template,
        locale=requested.locale,
        language=requested.locale,
        naked=True,
        message_id=requested.message_id,
        sent_at=requested.sent_at,
    )
