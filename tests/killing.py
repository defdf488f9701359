"""An installation is killed again and again while orders, presses and withdrawals come in; whatever was acknowledged
must be there afterwards, once and whole.

``make durability KILLS=300`` runs it on both databases side by side, for MINUTES at most; the tests run a few kills.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import outages
from command_line import SHOP, START_SECONDS, Home, Started, fetched, serving, small_templates
from handraiser.app import clock, open_service
from handraiser.settings import load
from handraiser.store.database import Database
from mailserver import Inbox
from postgres import Killable, killable_server
from running import CHROME, HIDDEN, SECRETS, an_order, free_port, the_ask
from threads import in_a_thread
from wire import Wire

HOST = "127.0.0.1:8025"
"""Where the shop's links lead, wherever the service listens."""
WRITERS = 5
PATIENT = {"HANDRAISER_STORE_SECONDS": "30"}
"""For what sets the scene: how long it takes is not the question here."""
UNDELIVERED = "SELECT outcome, reason, attempts FROM outbox WHERE carrier = 'mail' AND outcome != 'sent'"
OUTAGE_EVERY = 10
OUTBOX_LEASE_MS, HOUR_MS = 360_000, 3_600_000


@dataclass
class Noted:
    """What the service acknowledged, by the number of the order."""

    messages: dict[int, str] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    granted: set[int] = field(default_factory=set)
    doubted: set[int] = field(default_factory=set)
    unrecorded: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass
class Besieged:
    """One installation, its writers and what was done to it."""

    home: Home
    port: int
    key: str
    noted: Noted
    postgres: Killable | None
    wire: Wire | None
    kills: int = 0
    done: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    answer: Any = field(default_factory=threading.local)
    """What each writer's last order was answered."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def late_home(self) -> Home:
        """The same with a clock that was set back by an hour."""
        path = os.pathsep.join(filter(None, (str(Path(__file__).with_name("skewed")), os.environ.get("PYTHONPATH"))))
        return replace(self.home, given={**self.home.given, "PYTHONPATH": path, "SKEW_SECONDS": "-3600"})

    def write(self, numbers: Iterator[int]) -> None:
        """Order by order, each tried until it is acknowledged; of four customers two answer and one leaves."""
        answers = (self._leave, self._press, self._doubtful)
        for number in numbers:
            self._until_acknowledged(self._post, number)
            # While withdrawals wait in the journal nobody is asked, so that there is nothing to answer. The first
            # writer does not press: that waits for the database, and somebody shall go on ordering.
            steps = len(answers) if number > 1_000_000 else 1
            if not self.over.is_set() and self.answer.of["headers"] and number % 4 < steps:
                self._until_acknowledged(answers[number % 4], number)
            if self.over.is_set():
                return

    def _until_acknowledged(self, step: Callable[[int], bool], number: int) -> None:
        while not self.over.is_set() and not self._tried(step, number):
            time.sleep(0.02)

    def _tried(self, step: Callable[[int], bool], number: int) -> bool:
        try:
            return step(number)
        except urllib.error.HTTPError as error:
            with error:
                # Only what may lead to a consent needs the database.
                if error.code != 503 or step in (self._post, self._leave):
                    self.noted.faults.append(f"{number}: {step.__name__}: {error}")
        except (urllib.error.URLError, HTTPException, OSError):
            pass  # it was killed: the outcome is unknown, so the same is sent again
        return False

    def _post(self, number: int) -> bool:
        customer = {"id": f"C-{number}", "email": f"alice.{number}@example.com"}
        answer = fetched(
            f"{self.url}/v1/emails",
            self.key,
            an_order(number, customer=customer),
            **{"Idempotency-Key": f"order-{number}"},
        )
        assert "Tent" in answer["html"]
        if not answer["message_id"]:
            self.noted.unrecorded += 1  # the receipt went out while the database was away
            return False
        if number in self.noted.messages and self.noted.messages[number] != answer["message_id"]:
            self.noted.faults.append(f"{number}: two ids")
        self.noted.messages[number] = answer["message_id"]
        self.answer.of = answer
        return True

    def _leave(self, number: int) -> bool:
        link = self.answer.of["headers"]["List-Unsubscribe"].strip("<>")
        assert self._sent(link, "List-Unsubscribe=One-Click", {}) is not None
        self.noted.left.add(number)
        return True

    def _press(self, number: int) -> bool:
        attested = CHROME | {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
        self._pressed(number, attested)
        self.noted.granted.add(number)
        return True

    def _doubtful(self, number: int) -> bool:
        self._pressed(number, {"User-Agent": "Mozilla/5.0", "Origin": f"http://{HOST}"})
        self.noted.doubted.add(number)
        return True

    def _pressed(self, number: int, headers: dict[str, str]) -> None:
        link = the_ask(self.answer.of)
        network = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        page = self._sent(link, None, CHROME | network)
        self._sent(link, urlencode({**dict(HIDDEN.findall(page)), "action": "yes"}), headers | network)

    def _sent(self, link: str, form: str | None, headers: dict[str, str]) -> str:
        data = None if form is None else form.encode()
        request = urllib.request.Request(link.replace(f"http://{HOST}", self.url), data, {"Host": HOST, **headers})
        with urllib.request.urlopen(request, timeout=30) as answer:
            page: str = answer.read().decode()
            return page


@contextmanager
def besieged(folder: Path, kind: str) -> Iterator[tuple[Besieged, Inbox]]:
    """An installation on ``sqlite`` or ``postgresql`` with a shop, and the hop that takes its own mail."""
    with ExitStack() as stack:
        postgres = stack.enter_context(killable_server(small=True)) if kind == "postgresql" else None
        socket = postgres and Wire(str(postgres.folder / f".s.PGSQL.{postgres.port}"))
        wire: Wire | None = stack.enter_context(in_a_thread(socket.open)).it if socket else None
        inbox: Inbox = stack.enter_context(in_a_thread(Inbox().open)).it
        given = {f"HANDRAISER_{name.upper()}": value for name, value in SECRETS.items()} | {
            "HANDRAISER_DATABASE_URL": wire.url if wire else f"sqlite:///{folder / 'handraiser.db'}",
            "HANDRAISER_STATE_DIR": str(folder / "state"),
            "HANDRAISER_TEMPLATES_DIR": str(small_templates(folder)),
            "HANDRAISER_SMTP_URL": inbox.url,
            "HANDRAISER_TRUSTED_PROXIES": "127.0.0.0/8",
            "HANDRAISER_SEAL_SECONDS": "1",
        }
        (folder / "my-shop.toml").write_text(SHOP)
        home = Home(folder, given)
        home.done("shops", "add", "my-shop.toml", **PATIENT)
        key = home.done("keys", "add", "--shop", "my-shop", "--scope", "emails", **PATIENT).strip()
        yield Besieged(home, free_port(), key, Noted(), postgres, wire), inbox


def kill_for(
    siege: Besieged, kills: int, seed: int, seconds: tuple[float, float] = (0.3, 1.5), until: float = float("inf")
) -> None:
    """Write without a pause while this many kills come at random moments, none after ``until`` (monotonic seconds).

    Every fifth meets PostgreSQL itself, every tenth time one of the :mod:`outages` comes before, and at every other
    start the clock is an hour behind.
    """
    rng = random.Random(seed)
    writers = [
        threading.Thread(target=siege.write, args=(iter(range(n * 1_000_000 + 1, (n + 1) * 1_000_000)),))
        for n in range(WRITERS)
    ]
    more = ("--workers", "2") if siege.postgres else ()
    left = kills
    try:
        while left > 0:
            with serving(siege.late_home if siege.kills % 2 else siege.home, siege.port, *more) as service:
                for writer in writers:
                    if not writer.ident:
                        writer.start()
                while left > 0 and service.process.poll() is None:
                    _busy(siege, rng.uniform(*seconds))
                    left = 0 if time.monotonic() > until else left - 1
                    number = siege.kills + 1
                    if number % OUTAGE_EVERY == 3:
                        _takes_nothing(siege, service, rng, number)
                    _kill_one(siege, service, rng, number)
                    siege.kills = number
                siege.log += service.log
                if left == 0 and service.process.poll() is None:
                    _busy(siege, 0.5)
    finally:
        siege.over.set()
        for writer in writers:
            if writer.ident:
                writer.join(60)


def _busy(siege: Besieged, seconds: float) -> None:
    """Wait until the service has acknowledged something since, then ``seconds`` more: no kill meets an idle service."""
    before = len(siege.noted.messages)
    if not _until(lambda: len(siege.noted.messages) > before):
        siege.noted.faults.append("nothing was acknowledged for minutes")
    time.sleep(seconds)


def _until(found: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while not found() and time.monotonic() < deadline:
        time.sleep(0.05)
    return found()


def _kill_one(siege: Besieged, service: Started, rng: random.Random, number: int) -> None:
    workers = _children(service.process.pid)
    if siege.postgres and number % 5 == 2:
        siege.postgres.kill()
        time.sleep(rng.uniform(0, 2.5))
        siege.postgres.start()
        siege.done["PostgreSQL killed"] += 1
    elif siege.postgres and workers and rng.random() < 0.5:
        _signal(rng.choice(workers))
        siege.done["a worker killed"] += 1
    else:
        for process in (service.process.pid, *workers):
            _signal(process)
        service.process.wait(30)
        siege.done["the service killed"] += 1


def _signal(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _children(process: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _takes_nothing(siege: Besieged, service: Started, rng: random.Random, number: int) -> None:
    if siege.postgres and siege.wire:
        all_of_them = outages.of_postgresql(siege.postgres, siege.wire)
    else:
        all_of_them = outages.of_sqlite(siege.home.folder / "handraiser.db", service.process.pid)
    outage, before = all_of_them[number // OUTAGE_EVERY % len(all_of_them)], siege.noted.unrecorded
    with outage.begin():
        if outage.felt and not _until(lambda: siege.noted.unrecorded > before):
            siege.noted.faults.append(f"{outage.name}: no receipt went out without the database")
        time.sleep(rng.uniform(0.5, 1.5))
    siege.done[outage.name] += 1


async def prove(siege: Besieged, inbox: Inbox) -> list[str]:
    """Everything that is wrong after a siege; the outbox is drained first, as six minutes later."""
    wrong = list(siege.noted.faults)
    given = {name: value for name, value in siege.home.environ.items() if name.startswith("HANDRAISER_")}
    later = itertools.count(OUTBOX_LEASE_MS, HOUR_MS)
    ahead = next(later)
    async with open_service(load(given | PATIENT, None), lambda: clock() + ahead) as service:
        await service.answer.apply_journal()
        deadline = time.monotonic() + 300
        while await service.database.fetch(UNDELIVERED) and time.monotonic() < deadline:
            # The service's own task may be carrying them; what it could not deliver is tried again hours later.
            await asyncio.sleep(1)
            if not await service.outbox.drain():
                ahead = next(later)
        await service.jobs.seal()
        verified = await service.command("consents.verify", {"head": None})
        wrong += [] if verified["ok"] else [f"the ledger: {verified}"]
        changed = (await service.command("consents.rebuild", {}))["changed"]
        wrong += [f"{changed} standings are not what the ledger says"] if changed else []
        wrong += [] if (await service.command("tallies.verify", {}))["ok"] else ["tallies are not a recount"]
        wrong += await _messages(service.database, siege.noted)
        wrong += await _answers(service.database, siege.noted)
        wrong += await _mails(service.database, siege, inbox)
    return wrong


async def _messages(database: Database, noted: Noted) -> list[str]:
    rows = await database.fetch(
        "SELECT m.order_id, m.message_id, i.key, o.order_id AS kept, c.external_id FROM message m"
        " LEFT JOIN idempotency i ON i.controller_id = m.controller_id AND i.message_id = m.message_id"
        " LEFT JOIN orders o ON o.controller_id = m.controller_id AND o.order_id = m.order_id"
        " LEFT JOIN customer c ON c.controller_id = m.controller_id AND c.subject_id = m.subject_id"
        " WHERE m.type = 'order_confirmation'"
    )
    stored = {int(row["order_id"]): row["message_id"].hex() for row in rows}
    wrong = [f"{n}: lost" for n, one in noted.messages.items() if stored.get(n) != one.replace("-", "")]
    wrong += [f"{n}: {times} messages" for n, times in Counter(row["order_id"] for row in rows).items() if times > 1]
    whole = {(f"order-{row['order_id']}", row["order_id"], f"C-{row['order_id']}") for row in rows}
    found = {(row["key"], row["kept"], row["external_id"]) for row in rows}
    return wrong + [f"half-written: {one}" for one in found - whole]


async def _answers(database: Database, noted: Noted) -> list[str]:
    entries = Counter(
        (int(row["external_id"][2:]), row["event"])
        for row in await database.fetch(
            "SELECT c.external_id, e.event FROM consent_entry e JOIN customer c"
            " ON c.controller_id = e.controller_id AND c.subject_id = e.subject_id"
        )
    )
    states: dict[int, set[str]] = {}
    for row in await database.fetch(
        "SELECT c.external_id, s.state FROM standing s JOIN customer c"
        " ON c.controller_id = s.controller_id AND c.subject_id = s.subject_id"
    ):
        states.setdefault(int(row["external_id"][2:]), set()).add(row["state"])
    wrong = [f"{n}: left, and is {states.get(n)}" for n in noted.left if states.get(n) != {"objected"}]
    wrong += [f"{n}: pressed, and is {states.get(n)}" for n in noted.granted if states.get(n) != {"granted"}]
    wrong += [f"{n}: pressed, and is {states.get(n)}" for n in noted.doubted if states.get(n) != {"pending"}]
    return wrong + [f"{one}: {times} entries" for one, times in entries.items() if times > 1]


async def _mails(database: Database, siege: Besieged, inbox: Inbox) -> list[str]:
    """Only a kill between the hop's answer and our commit may send a mail twice."""
    sent = Counter(envelope.rcpt_tos[0] for envelope in inbox.envelopes)
    waiting = await database.fetch(UNDELIVERED)
    kinds = Counter(map(str, map(dict, waiting)))
    wrong = [f"{len(waiting)} mails were not delivered: {kinds}"] if waiting else []
    wrong += [f"{n}: no confirmation mail" for n in siege.noted.doubted if not sent[f"alice.{n}@example.com"]]
    twice = sum(sent.values()) - len(sent)
    siege.done["mails sent twice"] = twice
    return wrong + ([f"{twice} mails were sent twice"] if twice > 16 * siege.kills else [])


def told(siege: Besieged, kind: str) -> str:
    """What was done and acknowledged, for people."""
    noted = siege.noted
    presses = len(noted.granted) + len(noted.doubted)
    acknowledged = f"{len(noted.messages)} messages, {presses} presses, {len(noted.left)} withdrawals"
    done = ", ".join(f"{what} {times} times" for what, times in sorted(siege.done.items()))
    return f"{kind}: {done}; acknowledged: {acknowledged}; receipts without the database: {noted.unrecorded}"


def main() -> None:
    """``make durability``: the siege of both databases side by side, and what came of it."""
    kills = int(os.environ.get("KILLS", "300"))
    seed = int(os.environ.get("SEED", str(time.time_ns() % 1_000_000)))
    until = time.monotonic() + 60 * float(os.environ.get("MINUTES", "inf"))

    def one(kind: str) -> bool:
        with tempfile.TemporaryDirectory() as name, besieged(Path(name), kind) as (siege, inbox):
            kill_for(siege, kills, seed, until=until)
            wrong = asyncio.run(prove(siege, inbox))
            sys.stdout.write("\n  ".join([f"{told(siege, kind)}; wrong: {len(wrong)}", *wrong[:50]]) + "\n")
            sys.stdout.flush()
            return not wrong and siege.kills == kills

    sys.stdout.write(f"{kills} kills a database, seed {seed}\n")
    kinds = os.environ.get("DATABASE", "sqlite postgresql").split()
    with ThreadPoolExecutor(len(kinds)) as pool:
        good = list(pool.map(one, kinds))
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
