"""A whole service under attack, over real sockets, with a clock that the attacker may set."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from handraiser.core.links import Link, LinkKind, Links
from running import CHROME, Running, an_order, the_ask

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SAFARI = {
    "User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.0 Mobile/15E148 Safari/604.1",
    "Accept-Language": "en",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
"""What Safari sends: fetch metadata, but never Sec-Fetch-User."""
_HIDDEN = re.compile(r'name="(nonce|notice|press)" value="([^"]*)"')
_NUMBERS = itertools.count(10_000)


@dataclass
class Clock:
    """The time of day (ms UTC), which stands until it is moved."""

    now: int

    def __call__(self) -> int:
        return self.now

    @contextmanager
    def later(self, ms: int) -> Iterator[None]:
        """Some time later; afterwards it is as early as before."""
        self.now += ms
        try:
            yield
        finally:
            self.now -= ms


@dataclass(frozen=True)
class Said:
    """One answer of the service."""

    status: int
    body: str
    headers: Any

    @property
    def form(self) -> dict[str, str]:
        """The hidden fields of the page's form."""
        return dict(_HIDDEN.findall(self.body))


@dataclass(frozen=True)
class Asked:
    """A customer whose email holds an ask: its links, and who it is."""

    id: str
    address: str
    mail: dict[str, Any]
    link: str
    leave: str

    @property
    def path(self) -> str:
        return "/" + self.link.split("/", 3)[3]

    @property
    def token(self) -> str:
        return self.link.rpartition("/")[2]


@dataclass
class Siege:
    """The service, its clock, and a client that sends exactly what it is told to."""

    it: Running
    clock: Clock
    raw: aiohttp.ClientSession

    @property
    def links(self) -> Links:
        return self.it.service.links

    async def ask(self, who: Asked | None = None, *, shop: str = "tents", **customer: Any) -> Asked:
        """Send an email with an ask: to a customer nobody knows yet, or one more to ``who``."""
        number = next(_NUMBERS)
        # Emails of one moment would be neither older nor newer than one another.
        self.clock.now += 1
        identity = {"id": who.id if who else str(number), "email": who.address if who else f"alice{number}@example.com"}
        mail = await self.it.email(an_order(number, customer=identity | customer), shop=shop)
        leave = (mail["headers"].get("List-Unsubscribe") or "").strip("<>")
        return Asked(identity["id"], identity["email"], mail, the_ask(mail), leave)

    async def send(
        self, method: str, link: str, data: Any = None, browser: dict[str, str] | None = None, **changed: str | None
    ) -> Said:
        """One request with the browser's headers, changed or (None) left out as told."""
        self.clock.now += 1
        host = re.match(r"http://([^/]+)", link)
        headers: dict[str, str | None] = {"Host": host[1] if host else "tents.localhost"}
        headers |= CHROME if browser is None else browser
        if isinstance(data, dict):
            headers |= {"Content-Type": "application/x-www-form-urlencoded"}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        given = {name: value for name, value in headers.items() if value is not None}
        url = re.sub(r"^http://[^/]+", self.it.url, link)
        async with self.raw.request(method, url, data=data, headers=given, allow_redirects=False) as answer:
            return Said(answer.status, await answer.text(errors="replace"), answer.headers)

    async def get(self, link: str, browser: dict[str, str] | None = None, **changed: str | None) -> Said:
        return await self.send("GET", link, None, browser, **changed)

    async def press(
        self,
        link: str,
        action: str = "yes",
        *,
        page: Said | None = None,
        press: str = "trusted",
        browser: dict[str, str] | None = None,
        **changed: str | None,
    ) -> Said:
        """Open the page (unless it is given) and send its form; ``press`` is what the page's script wrote."""
        page = page or await self.get(link, browser)
        origin = link.split("/o/")[0].split("/u/")[0]
        given: dict[str, str | None] = {"Origin": origin, "Sec_Fetch_Site": "same-origin"}
        form = page.form | {"press": press, "action": action}
        return await self.send("POST", link, form, browser, **(given | changed))

    async def settled(self) -> None:
        """Wait until every visit is in the click log."""
        await self.it.service.answer.close()

    async def known(self, who: Asked) -> dict[str, Any]:
        """Standing and entries of a customer; nothing for one who is unknown."""
        status, answer = await self.it.get(f"/v1/consents?customer_id={who.id}")
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    async def events(self, who: Asked) -> list[str]:
        return [entry["event"] for entry in (await self.known(who))["entries"]]

    async def standing(self, who: Asked) -> str:
        """Where the customer stands with what this email asked."""
        found: str = (await self.known(who))["standing"].get(self.purpose(who), "none")
        return found

    async def visits(self, who: Asked) -> list[dict[str, Any]]:
        """The press history of the message, newest first."""
        await self.settled()
        status, answer = await self.it.get(f"/v1/messages/{who.mail['message_id']}")
        assert status == 200
        found: list[dict[str, Any]] = answer["visits"]
        return found

    async def confirmation_link(self, who: Asked) -> str:
        """The link of the newest confirmation mail to a customer."""
        known = self.links.read(who.token)
        (row,) = await self.it.service.database.fetch(
            "SELECT c.message_id FROM message m JOIN message c ON c.controller_id = m.controller_id"
            " AND c.subject_id = m.subject_id AND c.type = 'confirmation' WHERE m.message_id = $1"
            " ORDER BY c.message_id DESC LIMIT 1",
            (known.id,),
        )
        confirm = Link(known.shop_number, row["message_id"], LinkKind.CONFIRM)
        return who.link.replace(who.token, self.links.sign(confirm))

    def another_link(self, who: Asked, kind: LinkKind) -> str:
        """Another link of the same message, as the service signs it."""
        known = self.links.read(who.token)
        return who.link.replace(who.token, self.links.sign(Link(known.shop_number, known.id, kind)))

    @staticmethod
    def purpose(who: Asked) -> str:
        (found,) = {placed["purpose"] for placed in who.mail["placements"] if placed.get("purpose")}
        purpose: str = found
        return purpose
