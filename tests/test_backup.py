"""The restore drill: a backup of a running service, restored beside it, holds what was answered before it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from command_line import ROOT, SHOP, Home, fetched, serving, small_templates
from postgres import binaries_of
from running import SECRETS, an_order, free_port, the_ask

DRILL = ROOT / "examples" / "restore-drill.sh"


@pytest.fixture
async def databases(postgres_server: str, request: pytest.FixtureRequest) -> list[str]:
    """URLs of two empty databases: one to serve, one to restore into."""
    names = [f"drill_{request.node.name.split('[')[0][-20:]}_{n}" for n in range(2)]
    connection = await asyncpg.connect(postgres_server)
    for name in names:
        await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return [postgres_server.replace("/postgres?", f"/{name}?") for name in names]


def a_home(folder: Path, **given: str) -> Home:
    secrets = {f"HANDRAISER_{name.upper()}": value for name, value in SECRETS.items()}
    return Home(
        folder,
        {
            "HANDRAISER_STATE_DIR": str(folder / "state"),
            "HANDRAISER_TEMPLATES_DIR": str(small_templates(folder)),
            "HANDRAISER_SEAL_SECONDS": "1",
            "HANDRAISER_LOG_LEVEL": "ERROR",
            **secrets,
            **given,
        },
    )


@contextmanager
def busy(url: str, key: str) -> Iterator[list[dict[str, Any]]]:
    """Orders come in all the while; what was answered."""
    answered: list[dict[str, Any]] = []
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            customer = {"id": str(len(answered)), "email": f"customer{len(answered)}@example.com"}
            answered.append(fetched(f"{url}/v1/emails", key, an_order(len(answered), customer=customer)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join()


def drilled(home: Home, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    environ = {**home.environ, **given}
    return subprocess.run(
        [DRILL, folder], cwd=home.folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def check(home: Home, folder: Path, restored: dict[str, str], **given: str) -> None:
    """Serve, ask, grant, go on while the drill runs; what was answered before it is there afterwards."""
    (home.folder / "shop.toml").write_text(SHOP)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(home, port):
        home.done("shops", "add", "shop.toml")
        key = home.done("keys", "add", "--shop", "my-shop", "--scope", "emails", "--scope", "consents").strip()
        first = fetched(f"{url}/v1/emails", key, an_order(1))
        record = {"email": "alice@example.com", "purpose": "offers", "event": "granted"}
        granted = fetched(f"{url}/v1/consents", key, record)
        heads = home.folder / "state" / "ledger-heads.log"
        for _ in range(200):
            if heads.exists():
                break
            time.sleep(0.05)
        assert the_ask(first)
        with busy(url, key) as answered:
            while not answered:
                time.sleep(0.01)
            before = answered[0]
            ended = drilled(home, folder, **given)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the ledger is whole" in ended.stdout
    assert "compared with 0" not in ended.stdout
    there = Home(home.folder, {**home.given, "HANDRAISER_STATE_DIR": str(folder / "restored"), **restored})
    told = json.loads(there.done("why", before["message_id"], "--json"))
    assert told["message_id"] == before["message_id"]
    held = json.loads(there.done("customers", "export", "alice@example.com", "--shop", "my-shop"))
    assert granted["event_id"] in [entry["event_id"] for entry in held["subjects"][0]["entries"]]


def test_the_drill_restores_the_embedded_database_of_a_running_service(tmp_path: Path):
    folder = tmp_path / "drill"
    check(a_home(tmp_path), folder, {"HANDRAISER_DATABASE_URL": f"sqlite:///{folder / 'restored' / 'handraiser.db'}"})


def test_the_drill_restores_postgresql_of_a_running_service(tmp_path: Path, databases: list[str]):
    home = a_home(tmp_path, HANDRAISER_DATABASE_URL=databases[0])
    path = f"{binaries_of()}:{home.environ['PATH']}"
    restored = {"HANDRAISER_DATABASE_URL": databases[1]}
    check(home, tmp_path / "drill", restored, DRILL_DATABASE_URL=databases[1], PATH=path)
