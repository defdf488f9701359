"""A whole service on a real socket, for tests that go through the doors as its users do.

Two companies: the tents' (Alice is new, Bob buys again) and the boats' (Charlie), each with one shop.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from handraiser.app import Service, open_service
from handraiser.opening import web_app
from handraiser.settings import Settings, load
from handraiser.store.access import SCOPES
from programs import Programs, keep_those_of, put_into

SECRETS = {"signing_keys": "1:" + "s" * 64, "pepper": "1:" + "p" * 64}
HOST_OF = {"tents": "tents.localhost", "boats": "boats.localhost"}
TENTS = """
slug = "tents"
name = "Tents & Co"
sender_name = "Tents & Co"
sender_address = "orders@tents.example"
locales = ["en", "nl"]
default_locale = "en"
default_country = "US"
time_zone = "Europe/Amsterdam"
support_email = "help@tents.example"

[controller]
slug = "tents-company"
name = "Tents Company"
legal_name = "Tents Company B.V."
address_lines = ["Main Street 1", "1000 AA Town"]
email = "privacy@tents.example"
privacy_url = "https://tents.example/privacy"
privacy_version = "2026-05"
"""
BOATS = """
slug = "boats"
name = "Boats"
sender_address = "orders@boats.example"
locales = ["en"]
default_country = "US"

[controller]
slug = "boats-company"
name = "Boats Company"
address_lines = ["Quay 2"]
"""
CHROME = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
    "Accept-Language": "en",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
}
"""What a person's browser sends."""
HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*name="(\w+)"[^>]*value="([^"]*)"')


@dataclass
class Running:
    """The service, its keys by shop, and a client that reaches every shop's host name."""

    service: Service
    port: int
    session: aiohttp.ClientSession
    keys: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def post(self, path: str, body: Any, *, shop: str = "tents", **headers: str) -> tuple[int, Any]:
        """Status and JSON of a POST with the shop's key."""
        given = {"Authorization": f"Bearer {self.keys[shop]}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        sent = {"json": body} if not isinstance(body, bytes) else {"data": io.BytesIO(body)}
        given.setdefault("Content-Type", "application/json")
        async with self.session.post(self.url + path, headers=given, **sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, *, shop: str = "tents") -> tuple[int, Any]:
        """Status and JSON of a GET with the shop's key."""
        async with self.session.get(self.url + path, headers={"Authorization": f"Bearer {self.keys[shop]}"}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def email(self, body: Any, *, shop: str = "tents", **headers: str) -> dict[str, Any]:
        """The answer of ``POST /v1/emails``, which must be 200."""
        status, answer = await self.post("/v1/emails", body, shop=shop, **headers)
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    async def open(self, link: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Open a link as a person's browser does; status and page."""
        async with self.session.request(
            method, self._local(link), headers={**CHROME, "Host": self._host(link), **headers}, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text()

    async def press(self, link: str, action: str = "yes", **headers: str) -> tuple[int, str]:
        """Open a link and press one of its buttons, as a person in Chrome does."""
        _, page = await self.open(link)
        return await self.submit(link, {**dict(HIDDEN.findall(page)), "action": action}, **headers)

    async def submit(self, link: str, fields: dict[str, str], **headers: str) -> tuple[int, str]:
        """Send a form to a link."""
        host = self._host(link)
        given = {**CHROME, "Sec-Fetch-Site": "same-origin", "Origin": f"http://{host}", "Host": host, **headers}
        async with self.session.post(self._local(link), data=fields, headers=given, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    def _local(self, link: str) -> str:
        return re.sub(r"^http://[^/]+", self.url, link)

    def _host(self, link: str) -> str:
        found = re.match(r"^http://([^/]+)", link)
        return found.group(1) if found else f"127.0.0.1:{self.port}"


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_PORTS = itertools.cycle(range(10_000 + 5_000 * _WORKER, 15_000 + 5_000 * _WORKER))
for _ in range(os.getpid() % 5_000):
    next(_PORTS)


def free_port() -> int:
    """A port nobody listens on: below those that the system hands out by itself, and this process's alone, or it could
    be taken by another connection or another test before it is used."""
    for port in itertools.islice(_PORTS, 5_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


def settings_for(folder: Path, database_url: str, **given: Any) -> Settings:
    """The settings of a test's own service."""
    port = free_port()
    base = {
        "state_dir": folder / "state",
        "database_url": database_url,
        "listen": f"127.0.0.1:{port}",
        "enrich_seconds": 20.0,
        "store_seconds": 10.0,  # the tests' machine may be busy
        **SECRETS,
    }
    return load({}, **(base | given))


@asynccontextmanager
async def running(
    settings: Settings,
    compiled: Programs,
    shops: Sequence[str] = (TENTS, BOATS),
    clock: Callable[[], int] | None = None,
) -> AsyncIterator[Running]:
    """A running service; ``compiled`` holds programs that earlier tests compiled, and gets what this one compiles.

    ``clock`` stands in for the time of day (ms UTC).
    """
    await put_into(settings.database, compiled, pooler=settings.database_pooler)
    async with open_service(settings, clock) as service:
        slugs = []
        for source in shops:
            slug = re.search(r'slug = "([\w-]+)"', source).group(1)
            shop = await service.govern.add_shop(source, link_base=f"http://{HOST_OF[slug]}:{settings.port}")
            await service.publish.put_starter(shop.controller.id)
            slugs.append(slug)
        await service.publish.refresh()
        assert service.publish.faults == []
        keys = {slug: await service.govern.add_key(slug, sorted(SCOPES)) for slug in slugs}
        runner = web.AppRunner(web_app(service), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.port).start()
        try:
            async with aiohttp.ClientSession() as session:
                yield Running(service, settings.port, session, keys)
        finally:
            await keep_those_of(service.database, compiled)
            await runner.cleanup()


def an_order(n: int = 1001, *, type: str = "order_confirmation", customer: Any = None, **order: Any) -> dict[str, Any]:  # noqa: A002
    """An order confirmation to Alice in the US, where an ask may stand."""
    alice = {"id": "7", "email": "alice@example.com", "first_name": "Alice", "locale": "en", "country": "US"}
    lines = [{"id": "1", "name": "Tent", "quantity": 1, "unit_price": "199.00", "total": "199.00"}]
    given = {"id": str(n), "currency": "USD", "lines": lines, "total": "199.00"}
    return {"type": type, "customer": {**alice, **(customer or {})}, "order": given | order}


def the_ask(answer: dict[str, Any]) -> str:
    """The opt-in link of an answer."""
    (url,) = [placed["url"] for placed in answer["placements"] if placed.get("url")]
    link: str = url
    return link
