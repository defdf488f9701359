"""What a link opens: its shop, its message, the promise that was shown, and where its reader stands."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from handraiser.core import consent
from handraiser.core.block import Promise
from handraiser.core.consent import Standing, State
from handraiser.core.letter import OUTSIDE_MAIL, PRINT
from handraiser.core.links import OUTLIVE_KEYS, Link, LinkKind, Links
from handraiser.core.mailbox import masked
from handraiser.core.market import Markets
from handraiser.core.person import BURST_MS, Evidence
from handraiser.core.placement import Decision, Placement
from handraiser.core.shop import Shop
from handraiser.errors import BadLink, NotFound, StoreUnavailable
from handraiser.store import clicks, ledger, ledger_entries, messages, shops, subjects, waiting, wordings
from handraiser.store.clicks import Trail
from handraiser.store.database import Database
from handraiser.store.messages import StoredMessage
from handraiser.store.sql import Reads
from handraiser.store.subjects import Sealer, Subject
from handraiser.store.wordings import StoredWording

log = logging.getLogger("handraiser.answer")

ASKS = frozenset({LinkKind.OPT_IN, LinkKind.CONFIRM})
_SHOP_MS = 2_000
_WORDINGS = 2_000


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a link: the ``Host`` it named, what its sender shows of itself, and its network address."""

    host: str
    evidence: Evidence
    remote: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A verified link and the shop it belongs to; the shop is None only where the store could not be asked."""

    token: str
    link: Link
    shop: Shop | None


@dataclass(frozen=True, slots=True)
class Ask:
    """One ask as its reader may answer it now: what was promised in the mail, to whom, and where the reader stands."""

    opened: Opened
    shop: Shop
    message: StoredMessage
    placement: Placement
    subject: Subject
    promise: Promise
    promised_value_id: str
    channels: tuple[str, ...]
    recipients: tuple[str, ...]
    language: str
    address: str
    standings: tuple[Standing, ...]
    version: int
    left: int | None
    double_opt_in: bool
    unproven: bool
    needs_line: bool
    expired: bool
    leave_token: str
    trail: Trail
    grant: str
    trap_token: str
    preferences_token: str

    @property
    def purpose(self) -> str:
        assert self.placement.purpose is not None
        return self.placement.purpose

    @property
    def on_page(self) -> bool:
        """Whether it stood on a page of the shop or on paper, and in no mail."""
        return self.message.touchpoint.startswith(OUTSIDE_MAIL)

    @property
    def standing(self) -> Standing:
        """Where the reader stands with what was asked."""
        return consent.of_purpose(self.standings, self.purpose)

    @property
    def left_at(self) -> int | None:
        """When the reader left after this email was sent (ms); None when it did not."""
        last = consent.left_at(self.standings)
        left = last if self.left is None else max(self.left, last or 0)
        return left if left is not None and left >= self.message.sent_at else None


class Asks:
    """Reads links and what stands behind them; it never writes."""

    def __init__(
        self, database: Database, links: Links, markets: Markets, sealer: Sealer, clock: Callable[[], int]
    ) -> None:
        self._database, self._links, self._markets, self._sealer = database, links, markets, sealer
        self._clock = clock
        self._shops: dict[int, tuple[int, Shop]] = {}
        self._wordings: dict[tuple[bytes, bytes], StoredWording] = {}

    async def open(self, token: str, visit: Visit, kinds: frozenset[LinkKind]) -> Opened:
        """The link of a token, verified before anything is looked up.

        Raises :class:`NotFound` for what is no link of ours, another kind, an unknown shop or another shop's host. With
        the store down a link that was opened before still opens; else the shop stays unknown for links that leave, and
        :class:`StoreUnavailable` is raised for the others.
        """
        try:
            link = self._links.read(token)
        except BadLink:
            raise NotFound("no such link") from None
        if link.kind not in kinds:
            raise NotFound("no such link")
        try:
            shop = await self.shop(link.shop_number)
        except StoreUnavailable:
            if link.kind not in OUTLIVE_KEYS:
                raise
            return Opened(token, link, None)
        if shop is None or not same_host(shop.link_base, visit.host):
            raise NotFound("no such link")
        return Opened(token, link, shop)

    async def ask(self, opened: Opened) -> Ask:
        """The ask behind an opt-in or confirmation link; raises :class:`NotFound` when its message, ask or subject is
        gone, and :class:`StoreUnavailable`."""
        shop, link = opened.shop, opened.link
        assert shop is not None
        controller_id = shop.controller.id
        async with self._database.reading() as session:
            (message,) = await messages.get(session, [(controller_id, link.id)])
            placement = _placement(message)
            if message is None or placement is None or message.shop_id != shop.id:
                raise NotFound("no such link")
            (subject,) = await subjects.find(session, [(controller_id, message.subject_id)])
            if subject is None or subject.erased_at is not None or subject.address is None:
                raise NotFound("no such link")
            unproven = await _unproven(session, message)
            version, left = await waiting.version_and_leaving(session, controller_id, subject.id)
            standings = await standings_of(session, controller_id, subject.id)
            wording = await self.wording(session, controller_id, placement.wording_id or b"")
            now = self._clock()
            trail = await clicks.trail(
                session, controller_id, message.id, subject.id, kind=int(link.kind), now=now, burst_ms=BURST_MS
            )
        market = self._markets.under(shop.market_overrides).strictest(message.market.split("+"))
        market = market.on_page if message.touchpoint.startswith(OUTSIDE_MAIL) else market
        content = json.loads(wording.content)
        standing = consent.of_purpose(standings, placement.purpose or "")
        # A confirmation mail lives as long as what it confirms waits, an ask's link thirty days.
        old = (
            not consent.waiting(standing, now)
            if link.kind is LinkKind.CONFIRM
            else consent.expired(message.sent_at, now)
        )
        return Ask(
            opened=opened,
            shop=shop,
            message=message,
            placement=placement,
            subject=subject,
            promise=Promise(**content["promise"]),
            promised_value_id=f"{content['purpose']}@{content['purpose_version']}",
            channels=tuple(content["channels"]),
            recipients=tuple(content["recipients"]),
            language=wording.language,
            address=masked(self._sealer.open(controller_id, subject.address)),
            standings=standings,
            version=version,
            left=left,
            double_opt_in=unproven or market.confirm == "double_opt_in",
            unproven=unproven,
            needs_line=market.needs_line,
            expired=old and standing.state is not State.GRANTED,
            leave_token=self._links.sign(Link(shop.number, subject.id, LinkKind.WITHDRAW)),
            trail=trail,
            grant=content.get("grant", "press"),
            trap_token=self._links.sign(Link(shop.number, message.id, LinkKind.HONEYPOT)) if shop.honeypot else "",
            preferences_token=self._preferences(shop, message, unproven=unproven),
        )

    def _preferences(self, shop: Shop, message: StoredMessage, *, unproven: bool) -> str:
        """The link to the reader's preferences. A mail's link shows that its reader has the mailbox, as long as it is
        fresh; a page of the shop's shows it less, or not at all."""
        link = Link(shop.number, message.subject_id, LinkKind.PREFERENCES)
        if unproven:
            return ""
        on_page = message.touchpoint.startswith(OUTSIDE_MAIL)
        return self._links.sign(link) if on_page else self._links.dated(link, message.sent_at)

    async def wording(self, session: Reads, controller_id: bytes, wording_id: bytes) -> StoredWording:
        """A text that was shown, remembered; raises :class:`NotFound` where it is gone."""
        key = (controller_id, wording_id)
        found = self._wordings.get(key)
        if found is None:
            (found,) = await wordings.get(session, [key])
            if found is None:
                log.error("the wording of an ask is missing", extra={"facts": {"wording": wording_id.hex()}})
                raise NotFound("no such link")
            if len(self._wordings) >= _WORDINGS:
                self._wordings.clear()
            self._wordings[key] = found
        return found

    async def shop(self, number: int) -> Shop | None:
        """The shop of a number, at most two seconds old; an older one while the store is down."""
        now = self._clock()
        at, known = self._shops.get(number, (None, None))
        if at is not None and 0 <= now - at < _SHOP_MS:
            return known
        try:
            found = await shops.by_number(self._database, number)
        except StoreUnavailable:
            if known is None:
                raise
            return known
        if found is not None:
            self._shops[number] = (now, found)
        return found

    async def seq_of(self, controller_id: bytes, standing: Standing) -> int | None:
        """The ledger's number of the entry that a standing comes from."""
        if not standing.event_id:
            return None
        entry = await ledger_entries.by_event_id(self._database, controller_id, standing.event_id)
        return entry.seq if entry else None


async def standings_of(reads: Reads, controller_id: bytes, subject_id: bytes) -> tuple[Standing, ...]:
    """The email standings of a subject; read the version first, so that nothing newer hides behind it."""
    found = await ledger.standing_of(reads, controller_id, subject_id)
    return tuple(
        Standing(one.purpose, State(one.state), one.since, one.message_at, one.event_id)
        for one in found
        if one.channel == "email"
    )


async def _unproven(reads: Reads, message: StoredMessage) -> bool:
    """Whether the ask stood on a page whose reader has never pressed in a mail (anybody may have typed the address), or
    on paper: nothing ties whoever opens a parcel to the mailbox."""
    if not message.touchpoint.startswith(OUTSIDE_MAIL):
        return False
    if message.touchpoint.startswith(PRINT):
        return True
    known_as = (message.controller_id, message.subject_id, message.shop_id, message.external_id)
    return not await waiting.pressed_in_a_mail(reads, *known_as)


def _placement(message: StoredMessage | None) -> Placement | None:
    """The message's ask, which says everything else that a link means."""
    if message is None:
        return None
    placements = Decision.from_json(message.decision).placements
    return next((one for one in placements if one.purpose and one.wording_id and one.legal_class == "ask"), None)


def same_host(base: str, host: str) -> bool:
    """Whether a ``Host`` header names the origin of a shop's pages."""
    scheme, _, wanted = base.partition("://")
    port = {"https": ":443", "http": ":80"}.get(scheme, "")
    return host.lower().removesuffix(port) == wanted.lower().removesuffix(port)
