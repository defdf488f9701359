"""A running service that plain tests can call, and somebody with a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from programs import Programs
from running import Running, running, settings_for
from threads import Threaded, in_a_thread

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


class House(Threaded):
    """The running service of these tests."""

    it: Running

    def email(self, order: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.call(self.it.email(order))
        return answer

    def known(self, customer_id: str) -> dict[str, Any]:
        """Standing and entries of a customer."""
        status, answer = self.call(self.it.get(f"/v1/consents?customer_id={customer_id}"))
        assert status == 200
        found: dict[str, Any] = answer
        return found


@contextmanager
def a_house(folder: Path, compiled: Programs) -> Iterator[House]:
    """The service of ``running``, in a thread: Playwright's plain interface keeps this one's event loop busy."""
    with in_a_thread(lambda: running(settings_for(folder, f"sqlite:///{folder / 'h.db'}"), compiled)) as one:
        yield House(one.it, one.loop)


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

    def accessibility_faults(self, *left_out: str) -> list[tuple[str, list[str]]]:
        """What axe finds, but for the rules ``left_out``: each rule and the elements that break it."""
        found = Axe().run(self.page, options=RULES).response["violations"]
        return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["id"] not in left_out]

    def sees_no_faults(self) -> None:
        """No accessibility fault, nothing beyond the edge of the screen, no complaint in the console."""
        assert self.accessibility_faults() == []
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
