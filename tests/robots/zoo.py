"""A zoo of robots and a few people: each opens an email's links in its own way, in a real Chromium where it has one.

What each leads to by default stands beside it: a button, pressed with an attestation, or else a confirmation mail.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from playwright.sync_api import Browser, BrowserContext, Page

from browsing import CHROMIUM, FLAGS
from programs import Programs
from running import running, settings_for
from siege import HOUR, SAFARI, Asked, Clock, Siege
from threads import Threaded, in_a_thread

AT_DELIVERY, LATER = 0, 2 * HOUR
CLAIMS_SAFARI = SAFARI["User-Agent"]
WEBVIEW = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
    " Chrome/140.0.0.0 Mobile Safari/537.36"
)
NO_STORAGE = """
for (const name of ["localStorage", "sessionStorage", "indexedDB", "caches"])
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
Object.defineProperty(Document.prototype, "cookie", { get() { return ""; }, set() {} });
window.open = () => null;
"""
TOOL = {"User-Agent": "LinkScan/2 (security gateway)", "Accept-Language": "en"}


@dataclass
class Scene:
    """One visitor before one customer's email: the service, the customer, and a Chromium."""

    house: Threaded
    chromium: Browser
    asked: Asked

    @property
    def siege(self) -> Siege:
        found: Siege = self.house.it
        return found

    def raw(self, work: Any) -> Any:
        """Requests without a browser."""
        answer = self.house.call(work)
        self.house.call(self.siege.settled())
        return answer

    @contextmanager
    def page(self, script: str = "", **options: Any) -> Iterator[Page]:
        """A page of a browser of its own; ``script`` runs in every page that is opened, as a program's does.

        Not by Playwright's ``evaluate``, which counts as a touch of the person's.
        """
        context: BrowserContext = self.chromium.new_context(locale="en-US", **options)
        try:
            page = context.new_page()
            if script:
                page.add_init_script(f"addEventListener('load', () => setTimeout(() => {{ {script} }}, 50))")
            yield page
        finally:
            context.close()

    def outcome(self) -> str:
        """What the ledger says of the customer: granted, pending, or - for nothing."""
        events = self.house.call(self.siege.events(self.asked))
        return next((event for event in ("granted", "pending") if event in events), "-" if not events else events[-1])


@dataclass(frozen=True)
class Behaviour:
    """What a visitor does, how long (ms) after the email was sent, and what must come of it."""

    name: str
    play: Callable[[Scene], None]
    outcome: str
    after: int = AT_DELIVERY


# --- robots without a browser


def head(scene: Scene) -> None:
    scene.raw(scene.siege.send("HEAD", scene.asked.link, None, TOOL))


def get(scene: Scene) -> None:
    scene.raw(scene.siege.get(scene.asked.link, TOOL))


def double_get(scene: Scene) -> None:
    for network in ("198.51.100.7", "203.0.113.7"):
        scene.raw(scene.siege.get(scene.asked.link, TOOL, X_Forwarded_For=network))


def slackbot(scene: Scene) -> None:
    agent = {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Range": "bytes=0-32768"}
    scene.raw(scene.siege.get(scene.asked.link, agent))


def prefetch(scene: Scene) -> None:
    scene.raw(scene.siege.get(scene.asked.link, Sec_Purpose="prefetch", Sec_Fetch_Dest="empty"))


def every_link(scene: Scene) -> None:
    for link in (scene.asked.link, scene.asked.leave):
        scene.raw(scene.siege.get(link, TOOL))


def crawler(scene: Scene) -> None:
    """Fills in and sends every form it finds, as wapiti does, with a Firefox's name and headers of its own."""
    agent = {"User-Agent": "Mozilla/5.0 (Windows NT 6.1; rv:45.0) Gecko/20100101 Firefox/45.0", "Accept-Language": "en"}
    page = scene.raw(scene.siege.get(scene.asked.link, agent))
    scene.raw(scene.siege.press(scene.asked.link, page=page, press="", browser=agent, Sec_Fetch_Site=None))


# --- robots with a browser


def sandbox(scene: Scene) -> None:
    """A sandbox that runs the page's scripts and fast-forwards its timers by twenty seconds."""
    command = [CHROMIUM, "--headless", *FLAGS, "--virtual-time-budget=20000", "--dump-dom", scene.asked.link]
    seen = subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout
    assert "not signed up" in seen


def opens_other_links(scene: Scene) -> None:
    with scene.page() as page:
        page.goto(scene.asked.link)
        page.goto(scene.asked.leave)


SCROLLS = """
  scrollTo(0, 9999);
  for (const type of ["pointermove", "pointerdown", "pointerup", "mousedown", "mouseup", "touchstart", "keydown"])
    for (const target of [document, document.body, ...document.querySelectorAll("button")])
      target.dispatchEvent(new Event(type, { bubbles: true }));
  scrollTo(0, 0);
"""
PRESSES = "const yes = document.querySelector('button[value=yes]'); if (yes) yes.click();"
PRESSES_AS_A_MOUSE = """
  const yes = document.querySelector("button[value=yes]");
  if (yes) for (const type of ["pointerdown", "mousedown", "pointerup", "mouseup", "click"])
    yes.dispatchEvent(new MouseEvent(type, { bubbles: true, cancelable: true, view: window, detail: 1 }));
"""


def scrolls(scene: Scene) -> None:
    with scene.page(SCROLLS) as page:
        page.goto(scene.asked.link)
        page.wait_for_timeout(300)


def by_script(script: str, **options: Any) -> Callable[[Scene], None]:
    def play(scene: Scene) -> None:
        with scene.page(script, **options) as page:
            with page.expect_response(lambda response: response.request.method == "POST") as answer:
                page.goto(scene.asked.link)
            answer.value.finished()

    return play


def mouse(scene: Scene) -> None:
    """What neither a page nor a server can tell from a person: the press comes from outside the page."""
    with scene.page() as page:
        page.goto(scene.asked.link)
        box = page.locator("button[value=yes]").bounding_box()
        assert box is not None
        with page.expect_navigation():
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


# --- people


def presses(scene: Scene, **options: Any) -> None:
    with scene.page(**options) as page:
        page.goto(scene.asked.link)
        with page.expect_navigation():
            page.click("button[value=yes]")


def behind_a_scanner(scene: Scene) -> None:
    """The gateway looks first; the person comes from its address, in another site's name."""
    sandbox(scene)
    with scene.page() as page:
        rewritten = "http://gateway.localhost/"
        body = f"<a href='{scene.asked.link}'>on</a>"
        page.route(rewritten, lambda route: route.fulfill(body=body, content_type="text/html"))
        page.goto(rewritten)
        page.click("a")
        page.wait_for_url(scene.asked.link)
        with page.expect_navigation():
            page.click("button[value=yes]")


def opens_and_leaves(scene: Scene) -> None:
    with scene.page() as page:
        page.goto(scene.asked.link)


def taps_anywhere(scene: Scene) -> None:
    with scene.page() as page:
        page.goto(scene.asked.link)
        page.mouse.click(5, 5)
        page.keyboard.press("Tab")


def in_a_mail_app(scene: Scene) -> None:
    """A mail app's own browser: no storage, no cookie, no second window."""
    with scene.page(user_agent=WEBVIEW, viewport={"width": 320, "height": 568}) as page:
        page.add_init_script(NO_STORAGE)
        page.goto(scene.asked.link)
        with page.expect_navigation():
            page.click("button[value=yes]")
        assert page.context.cookies() == []


def in_safari(scene: Scene) -> None:
    scene.raw(scene.siege.press(scene.asked.link, browser=SAFARI))


def in_safari_without_scripts(scene: Scene) -> None:
    scene.raw(scene.siege.press(scene.asked.link, browser=SAFARI, press=""))


def in_safari_without_scripts_and_again(scene: Scene) -> None:
    in_safari_without_scripts(scene)
    assert scene.outcome() == "pending"
    confirm = scene.raw(scene.siege.confirmation_link(scene.asked))
    scene.raw(scene.siege.press(confirm, browser=SAFARI, press=""))


ROBOTS = (
    Behaviour("HEAD", head, "-"),
    Behaviour("GET by a tool", get, "-"),
    Behaviour("GET twice, from two networks", double_get, "-"),
    Behaviour("Slackbot", slackbot, "-"),
    Behaviour("prefetch", prefetch, "-"),
    Behaviour("every link at once, no scripts", every_link, "-"),
    Behaviour("browser with scripts, at delivery", sandbox, "-"),
    Behaviour("browser with scripts + other links in 1 s", opens_other_links, "-"),
    Behaviour("browser with scripts, 2 h later", sandbox, "-", LATER),
    Behaviour("browser that scrolls + synthetic events", scrolls, "-", LATER),
    Behaviour("script clicks the button, at delivery", by_script(PRESSES), "pending"),
    Behaviour("script clicks the button, 2 h later", by_script(PRESSES), "pending", LATER),
    Behaviour("script plays the mouse, 2 h later", by_script(PRESSES_AS_A_MOUSE), "pending", LATER),
    Behaviour("form-filling crawler without scripts", crawler, "pending", LATER),
    Behaviour(
        "Chromium claiming Safari, script clicks", by_script(PRESSES, user_agent=CLAIMS_SAFARI), "pending", LATER
    ),
    Behaviour("press from outside the page", mouse, "granted"),
)

PEOPLE = (
    Behaviour("presses in Chromium after 20 s", presses, "granted", 20_000),
    Behaviour("presses in Chromium after 2 h", presses, "granted", LATER),
    Behaviour("presses in Safari", in_safari, "granted"),
    Behaviour("presses behind a link scanner", behind_a_scanner, "granted"),
    Behaviour("presses in a mail app without storage", in_a_mail_app, "granted"),
    Behaviour("opens and leaves", opens_and_leaves, "-"),
    Behaviour("opens and taps anywhere", taps_anywhere, "-", LATER),
    Behaviour(
        "presses without scripts in Chromium", lambda scene: presses(scene, java_script_enabled=False), "granted"
    ),
    Behaviour("presses without scripts in Safari", in_safari_without_scripts, "pending"),
    Behaviour("… and in the confirmation mail", in_safari_without_scripts_and_again, "granted"),
)


@contextmanager
def a_house(folder: Path, compiled: Programs) -> Iterator[Threaded]:
    """The service, in a thread of its own, with a clock that can be moved."""

    @asynccontextmanager
    async def opened() -> Any:
        clock = Clock(time.time_ns() // 1_000_000)
        settings = settings_for(folder, f"sqlite:///{folder / 'h.db'}", trusted_proxies="127.0.0.1")
        async with (
            running(settings, compiled, clock=clock) as it,
            aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=["User-Agent", "Content-Type", "Accept"]
            ) as raw,
        ):
            yield Siege(it, clock, raw)

    with in_a_thread(opened) as house:
        yield house


def played(behaviour: Behaviour, house: Threaded, chromium: Browser) -> str:
    """What came of it, with a customer of its own."""
    siege: Siege = house.it
    scene = Scene(house, chromium, house.call(siege.ask()))
    with siege.clock.later(behaviour.after):
        behaviour.play(scene)
        return scene.outcome()
