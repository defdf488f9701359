"""`serve --workers N`: two replicas of two workers each on one PostgreSQL are one service."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from command_line import SHOP, Home, Started, fetched, serving, small_templates, started, status
from running import CHROME, HIDDEN, SECRETS, an_order, free_port, the_ask

HOST = "127.0.0.1:8025"
KEYS = 12


@dataclass
class Replicas:
    """Two supervised replicas, and the ways to them."""

    home: Home
    key: str
    services: list[Started]
    ports: list[int]

    def urls(self) -> Iterator[str]:
        """Each replica in turn; the kernel chooses the worker."""
        return itertools.cycle(f"http://127.0.0.1:{port}" for port in self.ports)

    def post(self, url: str, n: int, key: str = "", **customer: Any) -> dict[str, Any]:
        given = {"Idempotency-Key": key} if key else {}
        answer: dict[str, Any] = fetched(f"{url}/v1/emails", self.key, an_order(n, customer=customer), **given)
        return answer


@pytest.fixture
def replicas(tmp_path: Path, postgres_url: str) -> Iterator[Replicas]:
    (tmp_path / "my-shop.toml").write_text(SHOP)
    given = {f"HANDRAISER_{name.upper()}": value for name, value in SECRETS.items()}
    given |= {"HANDRAISER_DATABASE_URL": postgres_url, "HANDRAISER_TEMPLATES_DIR": str(small_templates(tmp_path))}
    home = Home(tmp_path, given)
    home.done("shops", "add", "my-shop.toml")
    key = home.done("keys", "add", "--shop", "my-shop", "--scope", "emails", "--scope", "consents").strip()
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        services = [stack.enter_context(serving(home, port, "--workers", "2")) for port in ports]
        opened = Replicas(home, key, services, ports)
        for service, port in zip(services, ports, strict=True):
            service.until(lambda port=port: len(workers(port)) == 2, "the second worker")
        yield opened


def workers(port: int) -> dict[str, float]:
    """The requests that each worker of a replica has answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    asked: Counter[str] = Counter()
    for worker, value in re.findall(r'^handraiser_requests_total\{.*worker="([\w-]+)"\} (\S+)$', text, re.M):
        asked[worker] += float(value)
    found = set(re.findall(r'^handraiser_write_queue\{worker="([\w-]+)"\}', text, re.M))
    return {worker: asked[worker] for worker in found}


def process_ids(service: Started) -> list[int]:
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text()
    return [int(number) for number in children.split()]


def opened(url: str, link: str, fields: dict[str, str] | None = None) -> str:
    """The page behind a link, or what it says to a form, on any worker."""
    origin = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"} if fields else {}
    data = urlencode(fields).encode() if fields else None
    request = urllib.request.Request(link.replace(f"http://{HOST}", url), data, {**CHROME, "Host": HOST, **origin})
    with urllib.request.urlopen(request, timeout=30) as answer:
        page: str = answer.read().decode()
        return page


def together(jobs: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(lambda job: job(), jobs))


def test_two_replicas_of_two_workers_answer_as_one_and_outlive_a_killed_worker(replicas: Replicas):
    _one_service(replicas)
    _restarted_and_drained(replicas)


def _one_service(replicas: Replicas) -> None:
    urls = replicas.urls()

    # The same keys at all of them at once: one message each.
    def once(url: str, n: int) -> Callable[[], Any]:
        return lambda: replicas.post(url, n, f"key-{n}", id=f"C-{n}", email=f"alice.{n}@example.com")

    answers = together([once(url, n) for n in range(KEYS) for url in itertools.islice(urls, 4)])
    ids = [{answer["message_id"] for answer in answers[4 * n : 4 * n + 4]} for n in range(KEYS)]
    assert [len(one) for one in ids] == [1] * KEYS
    assert len(set.union(*ids)) == KEYS
    for n in range(KEYS):
        (kept,) = fetched(f"{next(urls)}/v1/messages?order_id={n}", replicas.key)["messages"]
        assert {kept["message_id"]} == ids[n]

    # Bob's eight orders at once: the cap of asks holds, whoever decides.
    bobs = together(
        [
            lambda url=url, n=n: replicas.post(url, 500 + n, id="B", email="bob@example.com")
            for n, url in enumerate(itertools.islice(urls, 8))
        ]
    )
    assert sum(any(one.get("purpose") for one in answer["placements"]) for answer in bobs) == 1

    # A page of one is answered at another; eight presses are one entry.
    link = the_ask(answers[0])
    page = opened(next(urls), link)
    fields = {**dict(HIDDEN.findall(page)), "action": "yes"}
    together([lambda url=url: opened(url, link, fields) for url in itertools.islice(urls, 8)])
    known = fetched(f"{next(urls)}/v1/consents?customer_id=C-0", replicas.key)
    assert set(known["standing"].values()) == {"granted"}
    assert [entry["event"] for entry in known["entries"]].count("granted") == 1

    verified = replicas.home.done("consents", "verify", "--json")
    assert '"ok": true' in verified or '"ok":true' in verified

    # /metrics of whichever worker is asked tells of both.
    asked = workers(replicas.ports[0])
    assert set(asked) == {"worker-0", "worker-1"}
    assert sum(asked.values()) > KEYS


def _restarted_and_drained(replicas: Replicas) -> None:
    service, port = replicas.services[0], replicas.ports[0]
    before = set(process_ids(service))
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    service.until(lambda: len(now := set(process_ids(service))) == 2 and now != before, "another worker")
    service.until(lambda: len(workers(port)) == 2, "its metrics")
    replicas.post(f"http://127.0.0.1:{port}", 900, id="C-900", email="alice.900@example.com")

    left = process_ids(service)
    os.kill(service.process.pid, signal.SIGTERM)
    assert service.process.wait(90) == 0
    assert status(f"http://127.0.0.1:{port}/readyz") == 0

    # And where the supervisor itself is killed, its workers end too.
    other = replicas.services[1]
    left += process_ids(other)
    os.kill(other.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{number}").exists() for number in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [number for number in left if Path(f"/proc/{number}").exists()]


def test_a_fault_that_would_stop_every_worker_stops_the_command(tmp_path: Path):
    given = {f"HANDRAISER_{name.upper()}": value for name, value in SECRETS.items()}
    home = Home(tmp_path, {**given, "HANDRAISER_DATABASE_URL": f"postgresql://nobody@/none?host={tmp_path}"})
    command = [home.python, "-m", "handraiser", "serve", "--workers", "2"]
    with started(command, home.folder, home.environ) as service:
        assert service.process.wait(60) == 1
    assert "the first worker ended before it was ready (exit code 1)" in service.log[-1]
