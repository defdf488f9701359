"""Visits of links: the verdict on each, logged aside, and what is kept as evidence of a press."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from handraiser.answer.asks import Ask, Opened, Visit
from handraiser.core import consent, person
from handraiser.core.links import LinkKind
from handraiser.core.person import Judgement, Lately
from handraiser.errors import StoreError
from handraiser.store import clicks
from handraiser.store.clicks import Click
from handraiser.store.writer import Writer

log = logging.getLogger("handraiser.answer")

_WAITING = 1_000


class Visits:
    """Judges visits and keeps the click log; a slow store never holds up a page, a gone one costs the log alone."""

    def __init__(self, writer: Writer, pepper: bytes, clock: Callable[[], int], hosting: Sequence[str] = ()) -> None:
        self._writer, self._pepper, self._clock = writer, pepper, clock
        self._hosting = tuple(ipaddress.ip_network(one) for one in hosting)
        self._logging: set[asyncio.Task[None]] = set()
        self.observers: list[Callable[[str, str], None]] = []

    async def close(self) -> None:
        """Wait for what is being logged."""
        while self._logging:
            await asyncio.wait(self._logging)

    def judge(self, opened: Opened, visit: Visit, ask: Ask | None = None) -> Judgement:
        """The verdict on a visit, which is logged aside: a slow store never holds up the page.

        ``ask`` is what the link opens, where it opens one: its age and its trail are evidence too.
        """
        now, shop, link = self._clock(), opened.shop, opened.link
        assert shop is not None
        network = network_of(visit.remote)
        hashed = self.keyed(b"network", shop.controller.id, network.encode()) if network else None
        evidence = replace(
            visit.evidence, honeypot=link.kind is LinkKind.HONEYPOT, hosting=self._is_hosting(visit.remote)
        )
        if ask is not None:
            lately = Lately(
                ask.trail.honeypot,
                len(ask.trail.other_kinds),
                len(ask.trail.networks | ({hashed} if hashed else set())),
            )
            evidence = replace(evidence, age_ms=now - ask.message.sent_at, lately=lately)
        judgement = person.judge(evidence)
        for observer in self.observers:
            observer(shop.slug, judgement.verdict)
        if len(self._logging) < _WAITING:
            click = Click(
                controller_id=shop.controller.id,
                message_id=link.id,
                at=now,
                kind=int(link.kind),
                method=visit.evidence.method,
                verdict=judgement.verdict,
                reasons=judgement.reasons,
                network_hash=hashed,
            )
            task = asyncio.create_task(self._log(click))
            self._logging.add(task)
            task.add_done_callback(self._logging.discard)
        return judgement

    def _is_hosting(self, remote: str) -> bool:
        if not self._hosting:
            return False
        try:
            address = ipaddress.ip_address(remote.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._hosting)

    async def _log(self, click: Click) -> None:
        try:
            await self._writer.write(clicks.record, click)
        except StoreError as error:
            log.warning("a visit was not logged", extra={"facts": {"error": type(error).__name__}})

    def keyed(self, what: bytes, *parts: bytes) -> bytes | None:
        """A keyed hash of what stands for an order or a network; None without a key."""
        if not self._pepper:
            return None
        return hmac.digest(self._pepper, consent.dedup_key(what, *parts), "sha256")


def network_of(remote: str) -> str:
    """An address cut to its network: /24, or /48 for IPv6; "" for what is no address."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def shown(visit: Visit, store_ip: str) -> Mapping[str, Any]:
    """The evidence that is kept of a press: what its sender showed, and its address cut to the network where the
    market's ``store_ip`` is ``truncated``."""
    headers = visit.evidence.headers
    names = ("user-agent", "accept-language", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-user")
    network = {"network": network_of(visit.remote)} if store_ip == "truncated" else {}
    kept = {name: headers[name][:500] for name in names if name in headers}
    return kept | network | {"trusted_event": visit.evidence.trusted_event}
