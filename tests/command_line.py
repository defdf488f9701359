"""The command line as its users have it: a process of its own, in a folder and an environment of the test's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHOP = """
slug = "my-shop"
name = "My Shop"
link_base = "http://127.0.0.1:8025"
sender_address = "orders@my-shop.example"
locales = ["en"]
default_country = "US"

[controller]
slug = "my-company"
name = "My Company Inc."
address_lines = ["1 Main Street", "Springfield, IL 62701"]
"""
START_SECONDS = 240


def small_templates(folder: Path) -> Path:
    """The product's templates with one type of email, one shop and two blocks in English: quick to compile."""
    templates = folder / "templates"
    shutil.copytree(ROOT / "templates", templates, ignore=shutil.ignore_patterns("__pycache__"))
    for page in (templates / "emails").glob("*.mjml"):
        if page.stem != "order_confirmation":
            page.unlink()
    for block in (templates / "blocks").glob("*/"):
        if block.name not in ("newsletter-after-order", "order-care"):
            shutil.rmtree(block)
    for row in (templates / "blocks").glob("*/*.mjml"):
        if not row.name.endswith(".en.mjml"):
            row.unlink()
    shutil.rmtree(templates / "shops" / "lamp-lumen")
    described = templates / "shops" / "fjell-fjord" / "shop.toml"
    lines = [line for line in described.read_text().splitlines() if not line.startswith(("locales", "default_locale"))]
    described.write_text("\n".join(['locales = ["en"]', *lines]))
    return templates


@dataclass(frozen=True)
class Home:
    """A folder to work in, and what is set there; nothing of the test runner's own settings reaches it."""

    folder: Path
    given: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDRAISER_")}
        return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}", **self.given}

    def run(self, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        """``handraiser …`` to its end."""
        return subprocess.run(
            [self.python, "-m", "handraiser", *arguments],
            cwd=self.folder,
            env={**self.environ, **given},
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def done(self, *arguments: str, **given: str) -> str:
        """Standard output of a command that must succeed and have nothing to complain about."""
        ended = self.run(*arguments, **given)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def refused(self, *arguments: str, **given: str) -> str:
        """What a command that must fail says: exit code 1 and one line, nothing else."""
        ended = self.run(*arguments, **given)
        assert (ended.returncode, ended.stdout) == (1, ""), ended
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr.strip()


@contextmanager
def started(command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> Iterator[Started]:
    """A process group that is stopped at the end, however the test ends."""
    process = subprocess.Popen(
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    running = Started(process)
    try:
        yield running
    finally:
        running.stop(signal.SIGINT)


class Started:
    """A running command; what it prints is gathered as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.log: list[str] = []
        self._readers = [
            threading.Thread(target=self._gather, args=(process.stdout, self.out), daemon=True),
            threading.Thread(target=self._gather, args=(process.stderr, self.log), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _gather(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 - others read the list while it grows

    def until(self, found: Any, what: str) -> Any:
        """What ``found()`` gives once it gives something; fails when the process ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if value := found():
                return value
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{what} did not come: {self.process.poll()} {self.out[-20:]} {self.log[-20:]}")

    def stop(self, sign: signal.Signals) -> int:
        """Send a signal to the whole group, wait, and return the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, sign)
        try:
            code = self.process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            code = self.process.wait()
        for reader, stream in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(10)
            if stream is not None:
                stream.close()
        return code


@contextmanager
def serving(home: Home, port: int, *arguments: str) -> Iterator[Started]:
    """``handraiser serve``, ready."""
    command = [home.python, "-m", "handraiser", "serve", *arguments]
    environ = {"HANDRAISER_DRAIN_SECONDS": "0", **home.environ, "HANDRAISER_LISTEN": f"127.0.0.1:{port}"}
    with started(command, home.folder, environ) as service:
        service.until(lambda: status(f"http://127.0.0.1:{port}/readyz") == 200, "readiness")
        try:
            yield service
        except BaseException as error:
            error.add_note("\n".join(["the service's log:", *service.log[-20:]]))
            raise


def status(url: str) -> int:
    """The status of a GET; 0 where nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: int = answer.status
            return found
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def fetched(url: str, key: str = "", body: Any = None, **headers: str) -> Any:
    """The JSON of a GET, or of a POST with ``body``."""
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, given), timeout=60) as answer:
        return json.load(answer)
