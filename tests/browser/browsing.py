"""A running service that plain tests can call, and somebody with a browser."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from running import Running, running, settings_for

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@dataclass
class House:
    """A running service whose coroutines a plain test can call."""

    running: Running
    loop: asyncio.AbstractEventLoop

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def email(self, order: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.call(self.running.email(order))
        return answer

    def known(self, customer_id: str) -> dict[str, Any]:
        """Standing and entries of a customer."""
        status, answer = self.call(self.running.get(f"/v1/consents?customer_id={customer_id}"))
        assert status == 200
        found: dict[str, Any] = answer
        return found


@contextmanager
def a_house(folder: Path, compiled: dict[bytes, str]) -> Iterator[House]:
    """The service of ``running``, in a thread: Playwright's plain interface keeps this one's event loop busy."""
    opened: Future[House] = Future()
    over = threading.Event()

    async def live() -> None:
        try:
            async with running(settings_for(folder, f"sqlite:///{folder / 'handraiser.db'}"), compiled) as one:
                opened.set_result(House(one, asyncio.get_running_loop()))
                await asyncio.to_thread(over.wait)
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        yield opened.result(120)
    finally:
        over.set()
        thread.join(30)


@dataclass
class Visitor:
    """Somebody with a browser: a page, what its console complained of, and every address that it loaded."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self.complaints.append(line.text) if line.type != "log" else None)
        page.on("request", lambda request: self.loaded.append(request.url))

    def sees_no_faults(self) -> None:
        """No accessibility fault, nothing beyond the edge of the screen, no complaint in the console."""
        found = Axe().run(self.page, options=RULES).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.complaints == []


@contextmanager
def a_visitor(chromium: Browser, width: int = 375, **options: Any) -> Iterator[Visitor]:
    given = {"viewport": {"width": width, "height": 800}, "locale": "en-US"} | options
    context = chromium.new_context(**given)
    visitor = Visitor(context, context.new_page())
    visitor.watch(visitor.page)
    context.on("page", visitor.watch)
    try:
        yield visitor
    finally:
        context.close()
