"""Somebody who visits the customer's pages, and sends exactly what it is told to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from asked import ROOT, Asked
from handraiser.doors.page_frame import Frame
from handraiser.doors.pages import Pages
from handraiser.doors.preferences import Preferences
from handraiser.doors.web import Front
from handraiser.settings import Settings
from handraiser.telemetry import Metrics
from handraiser.template_files import read_words, words_of

ALL_WORDS = read_words(ROOT)
CHROME = {
    "Host": "tents.localhost",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
    "Accept-Language": "en",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
}
PRESS = {"Origin": "http://tents.localhost", "Sec-Fetch-Site": "same-origin"}


@dataclass
class Said:
    """One answer of the service."""

    status: int
    body: str
    headers: Any

    def field(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.body)
        return found[1] if found else ""

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.body)
        return found[1] if found else ""


@dataclass
class Browser:
    """Sends exactly the headers it is told to, follows nothing and keeps no cookie."""

    session: aiohttp.ClientSession
    url: str

    async def send(self, method: str, path: str, data: Any = None, **changed: str | None) -> Said:
        given = CHROME | {name.replace("_", "-"): value for name, value in changed.items()}
        if isinstance(data, dict):
            given["Content-Type"] = "application/x-www-form-urlencoded"
        headers = {name: value for name, value in given.items() if value is not None}
        async with self.session.request(
            method, self.url + path, data=data, headers=headers, allow_redirects=False
        ) as r:
            return Said(r.status, await r.text(), r.headers)

    async def get(self, path: str, **changed: str | None) -> Said:
        return await self.send("GET", path, **changed)

    async def press(
        self,
        path: str,
        action: str = "yes",
        fields: dict[str, str] | None = None,
        *,
        trusted: bool = True,
        page: Said | None = None,
        **changed: str | None,
    ) -> Said:
        """Open the page (unless it is given) and press one of its buttons; ``fields`` are what else its form holds."""
        page = page or await self.get(path)
        form = {"nonce": page.field("nonce"), "notice": page.field("notice"), "press": "trusted" if trusted else ""}
        names = {name.replace("-", "_"): value for name, value in PRESS.items()}
        return await self.send("POST", path, form | (fields or {}) | {"action": action}, **(names | changed))


@asynccontextmanager
async def visiting(asked: Asked) -> AsyncIterator[Browser]:
    """A browser before the pages of a service."""
    frame = Frame(
        nonce=asked.answer.nonce, templates=ROOT, words=lambda tag: words_of(ALL_WORDS, tag), settings=Settings()
    )
    app = web.Application(middlewares=[Front(Metrics()).middleware])
    app.add_routes(Pages(asked.answer, frame).routes() + Preferences(asked.answer, frame).routes())
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=["User-Agent", "Content-Type", "Accept"]
        ) as session,
    ):
        yield Browser(session, str(server.make_url("")).rstrip("/"))
