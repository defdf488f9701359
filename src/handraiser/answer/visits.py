"""Visits of links: the verdict on each, logged aside, and what is kept as evidence of a press."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from handraiser.answer.asks import Opened, Visit
from handraiser.core import consent, person
from handraiser.core.person import Judgement
from handraiser.errors import StoreError
from handraiser.store import clicks
from handraiser.store.clicks import Click
from handraiser.store.messages import StoredMessage
from handraiser.store.writer import Writer

log = logging.getLogger("handraiser.answer")

_WAITING = 1_000


class Visits:
    """Judges visits and keeps the click log; a slow store never holds up a page, a gone one costs the log alone."""

    def __init__(self, writer: Writer, pepper: bytes, clock: Callable[[], int]) -> None:
        self._writer, self._pepper, self._clock = writer, pepper, clock
        self._logging: set[asyncio.Task[None]] = set()
        self.observers: list[Callable[[str, str], None]] = []

    async def close(self) -> None:
        """Wait for what is being logged."""
        while self._logging:
            await asyncio.wait(self._logging)

    def judge(self, opened: Opened, visit: Visit, message: StoredMessage | None) -> Judgement:
        """The verdict on a visit, which is logged aside: a slow store never holds up the page."""
        now = self._clock()
        age = now - message.sent_at if message else 0
        judgement = person.judge(replace(visit.evidence, age_ms=age))
        shop, link = opened.shop, opened.link
        assert shop is not None
        for observer in self.observers:
            observer(shop.slug, judgement.verdict)
        if message is not None and len(self._logging) < _WAITING:
            network = network_of(visit.remote)
            click = Click(
                controller_id=shop.controller.id,
                message_id=message.id,
                at=now,
                kind=int(link.kind),
                method=visit.evidence.method,
                verdict=judgement.verdict,
                reasons=judgement.reasons,
                network_hash=self.keyed(b"network", shop.controller.id, network.encode()) if network else None,
            )
            task = asyncio.create_task(self._log(click))
            self._logging.add(task)
            task.add_done_callback(self._logging.discard)
        return judgement

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


def shown(visit: Visit) -> Mapping[str, Any]:
    """The evidence that is kept of a press: what its sender showed, its address cut to the network."""
    headers = visit.evidence.headers
    names = ("user-agent", "accept-language", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-user")
    return {name: headers[name][:500] for name in names if name in headers} | {
        "network": network_of(visit.remote),
        "trusted_event": visit.evidence.trusted_event,
    }
