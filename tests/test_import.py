"""An import from the command line survives SIGKILL: every row once, every fault once; and it comes out again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

from command_line import SHOP
from handraiser.settings import load
from handraiser.transfer import import_file
from import_check import check, environment, handraiser, write_list


def test_an_import_that_was_killed_goes_on_where_it_was_and_nothing_is_lost_or_doubled(tmp_path: Path):
    found = check(tmp_path, 6_000)

    assert found.killed_at > 0
    assert found.told == {"rows_done": 6_000, "applied": 5_994, "unchanged": 0, "blank": 0, "refused": 6}
    assert found.faults == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]
    environ = environment(tmp_path)
    verified = json.loads(handraiser(tmp_path, environ, "consents", "verify", "--json"))
    assert (verified["ok"], verified["companies"][0]["entries"]) == (True, 5_994)

    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "handraiser.db")) as database:
        assert database.execute("SELECT count(*) FROM consent_feed").fetchone() == (1,), "the list came to its end"

    out = tmp_path / "out.csv"
    handraiser(tmp_path, environ, "consents", "export", "--shop", "my-shop", "-o", str(out))
    lines = out.read_text().splitlines()
    assert lines[0] == "email,purpose,channel,event,occurred_at"
    assert len(lines) == 5_995
    again = json.loads(handraiser(tmp_path, environ, "consents", "import", str(out), "--shop", "my-shop", "--json"))
    assert again == {"rows_done": 5_994, "applied": 0, "unchanged": 5_994, "blank": 0, "refused": 0}

    held = json.loads(handraiser(tmp_path, environ, "customers", "export", "7", "--shop", "my-shop"))
    assert held["subjects"][0]["email"] == "customer6@example.com"
    gone = handraiser(tmp_path, environ, "customers", "erase", "customer6@example.com", "--shop", "my-shop", "--yes")
    assert gone.split() == ["erased", "1"]


async def test_an_import_waits_for_a_database_that_is_busy_and_loses_no_row(tmp_path: Path):
    environ = environment(tmp_path)
    (tmp_path / "shop.toml").write_text(SHOP)
    handraiser(tmp_path, environ, "shops", "add", "shop.toml")
    write_list(tmp_path / "list.csv", 1_200)
    other = sqlite3.connect(tmp_path / "state" / "handraiser.db", isolation_level=None)
    busy: list[int] = []

    def moved(done: int) -> None:
        if not busy:
            other.execute("BEGIN IMMEDIATE")
            asyncio.get_running_loop().call_later(0.5, other.execute, "ROLLBACK")
        busy.append(done)

    settings = load(environ, store_seconds=0.1)
    with contextlib.closing(other):
        told = await import_file(settings, tmp_path / "list.csv", "my-shop", tmp_path / "faults", moved)

    assert (told["rows_done"], told["applied"], told["refused"]) == (1_200, 1_199, 1)
    assert len(busy) == 3
