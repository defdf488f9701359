"""CUSTOMERS customers with several emails each go through the HTTP doors under a running test, scanners among them; one
arm is truly better and slower. What the results say is set against what was done, and against the raw rows.

``make experiment-check`` runs this by hand with some thousands (on SQLite, or with DATABASE=postgresql there); the
tests run it with a few hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

import postgres
from programs import Programs
from running import CHROME, TENTS, Running, an_order, running, settings_for, the_ask
from siege import Clock, Siege

DAY = 86_400_000
NOW = 1_790_000_000_000 // DAY * DAY + 6 * 3_600_000
ENTER, WINDOW = 14, 7
"""Days on which customers come, and days that each has to say yes."""

AT_ONCE = 16
KEY = "bolder"
SECURITY_GATEWAY = {"User-Agent": "Barracuda Sentinel (EE)"}
HEADLESS = {name: value for name, value in CHROME.items() if name != "Sec-Fetch-User"}
"""A scanner that calls itself Chrome and runs the page's script, but nobody presses in it."""


@dataclass(frozen=True)
class Truth:
    """How an arm's customers behave: the share that says yes, and after how many days at the earliest and latest."""

    rate: float
    soonest: int
    latest: int


@dataclass
class World:
    """Customers, what they will do, and what they did."""

    siege: Siege
    truths: dict[str, Truth]
    chance: random.Random
    plans: dict[int, list[Callable[[], Awaitable[None]]]] = field(default_factory=lambda: defaultdict(list))
    arms: dict[int, str] = field(default_factory=dict)
    said: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    scanned: set[int] = field(default_factory=set)
    emails: int = 0

    async def day(self, number: int) -> None:
        """Everything that happens on a day, some of it at once."""
        self.siege.clock.now = NOW + number * DAY
        while plans := self.plans.pop(number, []):
            for n in range(0, len(plans), AT_ONCE):
                await asyncio.gather(*(plan() for plan in plans[n : n + AT_ONCE]))

    async def enter(self, n: int, day: int) -> None:
        """A first order: who is in an arm may be scanned now, and may say yes later; more emails follow."""
        mail = await self.mail(n, n)
        (placed,) = [one for one in mail["placements"] if one.get("experiment") == KEY]
        self.arms[n] = arm = placed["arm"]
        truth, link = self.truths[arm], the_ask(mail)
        if n % 3 == 0:
            await self.scan(n, link)
        if self.chance.random() < truth.rate:
            on = day + self.chance.randint(truth.soonest, truth.latest)
            self.plans[on].append(lambda: self.press(n, link, "yes"))
            if n % 10 == 0:
                leave = mail["headers"]["List-Unsubscribe"].strip("<>")
                self.plans[on + 2].append(lambda: self.leave(n, leave))
        elif n % 20 == 0:
            self.plans[day + 3].append(lambda: self.press(n, link, "not_me"))
        self.plans[day + 1].append(lambda: self.mail_only(n, n, "shipping_confirmation"))
        if n % 2:
            self.plans[day + ENTER + 1].append(lambda: self.mail_only(n, 100_000 + n))

    async def mail(self, n: int, order: int, kind: str = "order_confirmation") -> dict[str, Any]:
        segments = ["gold"] if n % 2 else ["silver"]
        customer = {"id": str(n), "email": f"reader-{n}@example.com", "segments": segments}
        self.emails += 1
        return await self.siege.it.email(an_order(order, type=kind, customer=customer))

    async def mail_only(self, n: int, order: int, kind: str = "order_confirmation") -> None:
        await self.mail(n, order, kind)

    async def scan(self, n: int, link: str) -> None:
        """The mailbox's scanner opens what it finds at once, and a bolder one sends the form."""
        self.scanned.add(n)
        await self.siege.get(link, SECURITY_GATEWAY, X_Forwarded_For=f"203.0.{n % 250}.9")
        if n % 2:
            said = await self.siege.press(link, browser=HEADLESS, X_Forwarded_For=f"203.0.{n % 250}.7")
            assert said.status == 200, said.body

    async def press(self, n: int, link: str, action: str) -> None:
        """A person opens the link and presses a button; the page must say that it counts."""
        said = await self.siege.press(link, action, X_Forwarded_For=f"10.{n // 250 % 250}.{n % 250}.1")
        assert said.status == 200, said.body
        self.said[action].add(n)

    async def leave(self, n: int, link: str) -> None:
        """A mail program unsubscribes for its reader (RFC 8058)."""
        said = await self.siege.send("POST", link, {"List-Unsubscribe": "One-Click"}, {"User-Agent": "Mail"})
        assert said.status == 200, said.body
        self.said["left"].add(n)


@dataclass(frozen=True)
class Checked:
    """What the results said early and in the end, what was done, and what the raw rows hold (by arm)."""

    early: dict[str, Any]
    told: dict[str, Any]
    world: World
    exposed: dict[str, int]
    granted: dict[str, int]
    visits: dict[str, Counter[str]]
    verified: dict[str, Any]

    @property
    def opt_ins(self) -> dict[str, int]:
        """By arm, how many people pressed yes."""
        return dict(Counter(self.world.arms[n] for n in self.world.said["yes"]))

    def faults(self, better: str = "b") -> list[str]:
        """What is not as it should be."""
        arms = {one["arm"]: one for one in self.told["arms"]}
        claims = {
            "the better arm is named": self.told["better"] == [better],
            "no arm was named before its time": self.early["state"] == "too_early",
            "customers are those that were exposed": {n: a["customers"] for n, a in arms.items()} == self.exposed,
            "opt-ins are the people that pressed": {n: a["opt_ins"] for n, a in arms.items()} == self.opt_ins,
            "opt-ins are those of the raw rows": {n: a["opt_ins"] for n, a in arms.items()} == self.granted,
            "every customer was exposed once": sum(self.exposed.values()) == len(self.world.arms),
            "those who left are counted": self._guard("withdrawal") == len(self.world.said["left"]),
            "those who are somebody else are counted": self._guard("not_me") == len(self.world.said["not_me"]),
            "visits are those of the click log": {n: self._visits(a) for n, a in arms.items()} == self.visits,
            "machines came to both arms": all(one["clicks"]["bot"] for one in arms.values()),
            "the split is not broken": self.told["split"]["state"] != "broken",
            "the tallies are a recount": self.verified["ok"] and self.verified["exposures"] == len(self.world.arms),
        }
        return [claim for claim, holds in claims.items() if not holds]

    def _guard(self, name: str) -> int:
        return sum(one["guardrails"][name]["count"] for one in self.told["arms"])

    @staticmethod
    def _visits(arm: dict[str, Any]) -> Counter[str]:
        return +Counter({word: arm["clicks"][word] for word in ("human", "suspect", "bot")})


async def check(
    folder: Path, database_url: str, compiled: Programs, customers: int, truths: dict[str, Truth]
) -> Checked:
    """Live through it; what came of it."""
    settings = settings_for(
        folder, database_url, trusted_proxies="127.0.0.1/32", results_seconds=86_400, seal_seconds=3_600
    )
    clock = Clock(NOW)
    async with (
        running(settings, compiled, [TENTS], clock) as it,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=["User-Agent"]) as raw,
    ):
        world = World(Siege(it, clock, raw), truths, random.Random(5))
        await _start(it)
        for n in range(1, customers + 1):
            day = n % ENTER
            world.plans[day].append(lambda n=n, day=day: world.enter(n, day))
        early: dict[str, Any] = {}
        for day in range(ENTER + WINDOW + ENTER):
            await world.day(day)
            if day == WINDOW + 1:
                early = await _told(world)
        return Checked(
            early,
            await _told(world),
            world,
            await _by_arm(it, "SELECT e.arm, 1 AS n FROM exposure e"),
            await _by_arm(
                it,
                "SELECT e.arm, count(DISTINCT c.subject_id) AS n FROM exposure e JOIN consent_entry c"
                " ON c.subject_id = e.subject_id WHERE c.event = 'granted' AND c.method = 'button'"
                " AND c.attestation <> 'none' GROUP BY e.arm",
            ),
            await _visits(it),
            await it.service.command("tallies.verify", {}),
        )


async def _start(it: Running) -> None:
    block = "newsletter-after-order"
    test = {
        "key": KEY,
        "purpose": "offers",
        "arms": [{"key": key, "block": block, "variant": key} for key in "ab"],
        "rate": 0.1,
        "mde": 0.5,
        "window": WINDOW,
    }
    for step, body in (("", test), (f"/{KEY}/start", {"accept_days": True})):
        status, answer = await it.post(f"/v1/experiments{step}", body)
        assert status == 200, answer


async def _told(world: World) -> dict[str, Any]:
    """The results, once everything that happened is sealed, counted and computed by the service's own jobs."""
    it = world.siege.it
    await world.siege.settled()
    await it.service.jobs.seal()
    await it.service.results.refresh()
    status, told = await it.get(f"/v1/experiments/{KEY}/results")
    assert status == 200, told
    return dict(told)


async def _by_arm(it: Running, sql: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for row in await it.service.database.fetch(sql):
        found["ab"[row["arm"]]] += row["n"]
    return dict(found)


async def _visits(it: Running) -> dict[str, Counter[str]]:
    """The click log's visits of the links of messages, by the arm of the reader."""
    found: dict[str, Counter[str]] = {"a": Counter(), "b": Counter()}
    rows = await it.service.database.fetch(
        "SELECT e.arm, c.verdict, count(*) AS n FROM click c JOIN message m ON m.message_id = c.message_id"
        " JOIN exposure e ON e.subject_id = m.subject_id WHERE c.kind IN (1, 4, 7) GROUP BY e.arm, c.verdict"
    )
    for row in rows:
        found["ab"[row["arm"]]][row["verdict"]] += row["n"]
    return found


SHORT = {"a": Truth(0.06, 0, 1), "b": Truth(0.55, 3, 6)}
"""For a few hundred customers."""

LONG = {"a": Truth(0.10, 0, 1), "b": Truth(0.18, 3, 6)}


def main() -> None:
    """Check with CUSTOMERS customers and print what came of it; exit code 1 when anything is not as it should be."""
    customers = int(os.environ.get("CUSTOMERS", "4000"))
    on_postgres = os.environ.get("DATABASE") == "postgresql"
    with (
        tempfile.TemporaryDirectory(prefix="handraiser-experiment-") as name,
        postgres.server() if on_postgres else contextlib.nullcontext(f"sqlite:///{name}/handraiser.db") as url,
    ):
        folder = Path(name)
        found = asyncio.run(check(folder, url, Programs(folder / "programs.ndjson"), customers, LONG))
    say = sys.stdout.write
    world, told = found.world, found.told
    say(f"{len(world.arms)} customers, {world.emails} emails, {len(world.scanned)} mailboxes with a scanner\n")
    say(f"truth: a {LONG['a'].rate:.0%} at once, b {LONG['b'].rate:.0%} after {LONG['b'].soonest} days and more\n")
    for one in told["arms"]:
        say(f"{one['arm']}: {one['opt_ins']} of {one['customers']} ({one['rate']:.1%}), clicks {one['clicks']}\n")
    (lift,) = told["comparisons"]
    say(f"after {WINDOW + 1} days: {found.early['words']}; in the end: {told['words']}, ")
    say(f"lift {lift['lift']:+.0%} ({lift['lift_low']:+.0%} to {lift['lift_high']:+.0%})\n")
    if faults := found.faults():
        sys.exit(f"not so: {'; '.join(faults)}")


if __name__ == "__main__":
    main()
