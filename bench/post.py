"""``POST /v1/emails`` over real sockets: the served product against a bare handler, each pinned to the same core."""

from __future__ import annotations

import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench import load, scene

CONNECTIONS = 32
ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_HEAD = "POST /v1/emails HTTP/1.1\r\nHost: mail.fjell-fjord.example\r\nContent-Type: application/json\r\n"


@dataclass(slots=True)
class Road:
    """What was measured of one server, a number a round: answers (or mails) a second, CPU µs of each, its core's share
    busy; and of each answer how long it took."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second, the median of the rounds."""
        return statistics.median(self.rates)

    @property
    def micros(self) -> float:
        """CPU µs an answer, the median of the rounds."""
        return statistics.median(self.cpu)

    def milliseconds(self, share: float) -> float:
        """So many milliseconds ``share`` of the answers took at most."""
        ordered = sorted(self.taken)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(slots=True)
class Post:
    """Both roads, the answer's size, and the memory (MB) of the product's process after so many emails."""

    ours: Road
    bare: Road
    answer_bytes: int
    memory: list[tuple[int, float]]
    peak: float


def measure(state: scene.State, *, rounds: int, seconds: float, emails: int) -> Post:
    """Rounds of both roads in turn, then load until ``emails`` were composed."""
    request = requests(state.key)
    with pinned_load(), serving(state.folder) as ours:
        memory = [(0, ours.memory("VmRSS"))]
        answer = state.folder / "answer.json"
        answer.write_bytes(one_answer(ours.port, state.key))
        done = 1
        with bare(answer) as other:
            roads = [(ours, Road()), (other, Road())]
            for server, _ in roads:
                load.run(server.port, request, connections=CONNECTIONS, seconds=seconds / 2)
            for _ in range(rounds):
                for server, road in roads:
                    _round(server, road, request, seconds)
        done += len(roads[0][1].taken)
        memory.append((done, ours.memory("VmRSS")))
        while done < emails:
            more = load.run(ours.port, request, connections=CONNECTIONS, seconds=60, answers=min(10_000, emails - done))
            done += more.answers
            memory.append((done, ours.memory("VmRSS")))
        return Post(roads[0][1], roads[1][1], answer.stat().st_size, memory, ours.memory("VmHWM"))


def _round(server: Server, road: Road, request: Callable[[], bytes], seconds: float) -> None:
    before = server.cpu()
    done = load.run(server.port, request, connections=CONNECTIONS, seconds=seconds)
    used = server.cpu() - before
    road.rates.append(done.rate)
    road.cpu.append(used / done.answers * 1e6)
    road.busy.append(used / done.seconds)
    road.taken += done.taken


def requests(key: str) -> Callable[[], bytes]:
    """The next request, each time another order, customer and Idempotency-Key; whole, so that only sending is left."""
    numbers = count(int(time.time()) % 10_000_000 * 1000)
    marker = 987_654_321
    text = scene.body(marker).decode()
    pieces = text.split(str(marker))
    run = os.urandom(4).hex()

    def request() -> bytes:
        number = str(next(numbers))
        body = number.join(pieces).encode()
        return (
            f"{_HEAD}Authorization: Bearer {key}\r\nIdempotency-Key: {run}-{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    return request


def one_answer(port: int, key: str) -> bytes:
    """The body of one answer; raises unless both blocks stand in it, or less than the whole road would be measured."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": "first"}
    connection.request("POST", "/v1/emails", scene.body(1), headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200 or body.count(b'"variant"') != 2 or b"/o/" not in body:
        raise RuntimeError(f"not the answer that is to be measured: {response.status} {body[-3000:]!r}")
    return body


@dataclass(frozen=True, slots=True)
class Server:
    """A serving process, and what the kernel knows of it."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu(self) -> float:
        """CPU seconds of all its threads so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self, name: str) -> float:
        """``VmRSS`` (now) or ``VmHWM`` (the most so far), in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
        assert found is not None
        return int(found.group(1)) * 1024 / 1e6


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """``handraiser serve`` on the installation in ``folder``."""
    port = free_port()
    environment = {
        **os.environ,
        "HANDRAISER_STATE_DIR": str(folder),
        "HANDRAISER_TEMPLATES_DIR": str(scene.TEMPLATES),
        "HANDRAISER_LISTEN": f"127.0.0.1:{port}",
        "HANDRAISER_DRAIN_SECONDS": "0",
    }
    with _process([sys.executable, "-m", "handraiser", "serve"], port, environment) as server:
        yield server


@contextmanager
def bare(answer: Path) -> Iterator[Server]:
    """The reference, on a port of its own."""
    port = free_port()
    with _process([sys.executable, "-m", "bench.bare", str(port), str(answer)], port, dict(os.environ)) as server:
        yield server


@contextmanager
def _process(command: list[str], port: int, environment: dict[str, str]) -> Iterator[Server]:
    """A process on the first core; ended when the block ends."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {min(_cores)})
    try:
        _await_port(process, port)
        yield Server(process, port)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_cores = frozenset(os.sched_getaffinity(0))


@contextmanager
def pinned_load() -> Iterator[None]:
    """This process on every core but the first; a machine with one core shares it."""
    os.sched_setaffinity(0, _cores - {min(_cores)} or _cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, _cores)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with code {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen within 60 seconds")
