"""Import ROWS consents with the command line, kill it on the way, resume it, and tell rows a second and memory.

``make import-check ROWS=1000000`` runs this by hand; the tests run it with a few thousand.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from command_line import SHOP, small_templates


@dataclass
class Checked:
    """What came of it; memory (resident, MB) is the highest seen in the first and in the last quarter."""

    rows: int
    seconds: float
    killed_at: int
    told: dict[str, int]
    faults: list[int] = field(default_factory=list)
    early_mb: float = 0.0
    late_mb: float = 0.0


def write_list(path: Path, rows: int) -> None:
    """A CSV of consents; each 1000th row is bad, each 10th withdraws."""
    with path.open("w", encoding="utf-8") as file:
        file.write("email,customer_id,purpose,event,occurred_at,country\n")
        for n in range(rows):
            address = "nobody" if n % 1000 == 999 else f"customer{n}@example.com"
            event = "withdrawn" if n % 10 == 5 else "granted"
            file.write(f"{address},{n + 1},offers,{event},{1_600_000_000_000 + n},NL\n")


def environment(folder: Path) -> dict[str, str]:
    """A home of its own for the command line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HANDRAISER_")}
    templates = folder / "templates"
    return {
        **kept,
        "HANDRAISER_STATE_DIR": str(folder / "state"),
        "HANDRAISER_TEMPLATES_DIR": str(templates if templates.exists() else small_templates(folder)),
        "HANDRAISER_LOG_LEVEL": "ERROR",
    }


def handraiser(folder: Path, environ: Mapping[str, str], *arguments: str) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "handraiser", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True).stdout


def resident_mb(pid: int) -> float:
    """The resident memory of a process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def done(folder: Path) -> int:
    """How many bytes the import has committed, as its database says."""
    with contextlib.closing(
        sqlite3.connect(f"file:{folder / 'state' / 'handraiser.db'}?mode=ro", uri=True)
    ) as database:
        return sum(row[0] for row in database.execute("SELECT bytes_done FROM import_run"))


def check(folder: Path, rows: int) -> Checked:
    """Import, kill with SIGKILL at about a third, resume to the end."""
    environ = environment(folder)
    (folder / "shop.toml").write_text(SHOP)
    handraiser(folder, environ, "shops", "add", "shop.toml")
    path = folder / "list.csv"
    write_list(path, rows)
    size = path.stat().st_size
    command = [sys.executable, "-m", "handraiser", "consents", "import", str(path), "--shop", "my-shop", "--json"]

    begun = time.monotonic()
    first = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while first.poll() is None and done(folder) < size // 3:
        time.sleep(0.1 if rows < 100_000 else 1)
    first.kill()
    first.wait()
    killed_at = done(folder)

    memory: list[tuple[int, float]] = []
    with (folder / "told.json").open("w") as answer:
        second = subprocess.Popen(command, cwd=folder, env=environ, stdout=answer, stderr=subprocess.DEVNULL)
        while second.poll() is None:
            memory.append((done(folder), resident_mb(second.pid)))
            time.sleep(0.1 if rows < 100_000 else 2)
    seconds = time.monotonic() - begun
    told = json.loads((folder / "told.json").read_text())
    lines = (folder / "list.csv.errors.ndjson").read_text().splitlines()
    middle = (killed_at + size) // 2
    return Checked(
        rows,
        seconds,
        killed_at,
        told,
        [json.loads(line)["row"] for line in lines],
        max((mb for at, mb in memory if at <= middle), default=0.0),
        max((mb for at, mb in memory if at > middle), default=0.0),
    )


def main() -> None:
    """Check with ROWS rows and print the figures; exit code 1 when a row is lost, doubled, or memory grew."""
    rows = int(os.environ.get("ROWS", "1000000"))
    with tempfile.TemporaryDirectory(prefix="handraiser-import-") as folder:
        found = check(Path(folder), rows)
    bad = rows // 1000
    say = sys.stdout.write
    say(f"{rows} rows in {found.seconds:.0f} s: {rows / found.seconds:.0f} rows/s, killed once and resumed\n")
    say(f"memory: {found.early_mb:.0f} MB in the first half after the kill, {found.late_mb:.0f} MB in the second\n")
    whole = found.told["rows_done"] == rows and found.told["applied"] == rows - bad and len(found.faults) == bad
    flat = found.late_mb <= found.early_mb + 25
    if not whole or not flat:
        sys.exit(f"{'memory grew' if whole else 'rows were lost or doubled'}: {found.told}")


if __name__ == "__main__":
    main()
