"""Two shops whose customers were asked, and the service that takes their answers, for tests of the press."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from handraiser.answer import Answer
from handraiser.core import market
from handraiser.core.block import BlockVersion, Promise, Purpose, Variant, Wording, wording
from handraiser.core.links import Link, LinkKind, Links, SigningKey
from handraiser.core.placement import Decision, Placement
from handraiser.core.shop import Controller, Shop
from handraiser.store import ledger, ledger_entries, messages, shops, wordings
from handraiser.store.database import Database
from handraiser.store.journal import Journal
from handraiser.store.messages import StoredMessage
from handraiser.store.recording import Recording, record
from handraiser.store.wordings import StoredWording
from handraiser.store.writer import Writer
from rows import BOAT_SHOP, BOATS, NOW, PEPPER, TENT_SHOP, TENTS, a_recording, an_id

ROOT = Path(__file__).parents[1] / "templates"
MARKETS = market.load(resources.files("handraiser.core").joinpath("markets.toml").read_text(encoding="utf-8"))
LINKS = Links([SigningKey(1, b"k" * 32)])
TENT = Shop(
    controller=Controller(
        TENTS,
        "tents",
        "Tents",
        "Tents Inc.",
        ("1 Main Street",),
        "privacy@tents.example",
        "",
        "https://tents.example/p",
    ),
    id=TENT_SHOP,
    number=1,
    slug="tents",
    name="Tents & Co",
    link_base="http://tents.localhost",
    url="https://tents.example/",
    locales=("en", "nl", "de", "ar"),
    support_email="help@tents.example",
)
BOAT = replace(
    TENT, controller=Controller(BOATS, "boats", "Boats"), id=BOAT_SHOP, number=2, slug="boats", name="Boats",
    link_base="http://boats.localhost",
)  # fmt: skip
PROMISE = Promise(
    "Tips on use and care",
    "At most twice a month",
    "A short care guide",
    "Your care guide: air it once.",
    "Yes, send me tips",
)


def a_wording(purpose: str = "tips", controller_id: bytes = TENTS, promise: Promise = PROMISE) -> Wording:
    block = BlockVersion(
        controller_id, b"b" * 16, "newsletter", 1, "opt_in", "ask", "ask", (Variant("a", {}),), purpose
    )
    return wording(block, "a", "en", "Would you like to hear from us?", Purpose(purpose, 3, {}), promise)


def an_ask(purpose: str = "tips", controller_id: bytes = TENTS) -> dict[str, Any]:
    """The decision of a message that holds an ask."""
    shown = a_wording(purpose, controller_id).id
    placement = Placement("ask", "newsletter", b"b" * 16, 1, "a", "ask", purpose, shown, b"p" * 32)
    return Decision("order_confirmation", b"", (placement,)).to_json()


_IDS = itertools.count(5001)


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Asked:
    """The store with both shops in it, and the answers to it."""

    database: Database
    writer: Writer
    journal: Journal
    clock: Clock = field(default_factory=Clock)
    links: Links = LINKS
    told: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answer = self.another()

    def another(self) -> Answer:
        """One more process on the same store."""
        answer = Answer(
            database=self.database,
            writer=self.writer,
            links=self.links,
            markets=MARKETS,
            journal=self.journal,
            clock=self.clock,
            new_id=self.new_id,
            pepper=PEPPER,
        )
        answer.observers.append(lambda shop, outcome: self.told.append((shop, outcome)))
        return answer

    @staticmethod
    def new_id(_at: int) -> bytes:
        return an_id(next(_IDS))

    @asynccontextmanager
    async def reopened(self, url: str, path: Path) -> AsyncIterator[Asked]:
        """The service after its next start, on the same database and journal."""
        database = await Database.open(url)
        writer = Writer(database)
        again = Asked(database, writer, Journal(path), self.clock)
        try:
            yield again
        finally:
            await again.answer.close()
            await writer.close()
            await database.close()

    async def put(self, tent: Shop = TENT, boat: Shop = BOAT) -> None:
        """Keep the shops and every wording."""
        async with self.database.transaction() as tx:
            await shops.add_controllers(tx, [tent.controller, boat.controller])
            await shops.add_shops(tx, [tent, boat])
            texts = [(c, a_wording(p, c)) for c in (TENTS, BOATS) for p in ("tips", "offers")]
            await wordings.put(tx, [StoredWording(c, w.id, w.language, w.content, NOW) for c, w in texts])

    async def ask(self, n: int = 1, address: str = "alice@example.com", **rest: Any) -> StoredMessage:
        """Send the n-th email with an ask; returns it as it is kept."""
        given: dict[str, Any] = {"decision": an_ask(), "sent_at": self.clock.now, "version": None} | rest
        row: Recording = a_recording(n, address, **given)
        kept = (await self.writer.write(record, row)).subject_id
        return replace(row.message, subject_id=kept)

    async def confirmation(self, message: StoredMessage) -> StoredMessage:
        """The newest confirmation mail to a message's reader."""
        sent = await messages.by_subject(self.database, message.controller_id, message.subject_id)
        return next(one for one in sent if one.type == "confirmation")

    def link(self, message: StoredMessage, kind: LinkKind = LinkKind.OPT_IN, shop: int = 1) -> str:
        """The token of a message's link."""
        target = message.subject_id if kind is LinkKind.WITHDRAW else message.id
        return self.links.sign(Link(shop, target, kind))

    async def entries(self, message: StoredMessage) -> list[ledger.Entry]:
        return await ledger_entries.of_subject(self.database, message.controller_id, message.subject_id)

    async def events(self, message: StoredMessage) -> list[str]:
        return [entry.event for entry in await self.entries(message)]

    async def states(self, message: StoredMessage) -> dict[str, str]:
        found = await ledger.standing_of(self.database, message.controller_id, message.subject_id)
        return {one.purpose: one.state for one in found}
