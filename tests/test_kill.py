"""The service is killed while it works: whatever it had acknowledged is there when it is back, once and whole."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from command_line import SHOP, Home, Started, fetched, serving, small_templates
from running import an_order, free_port

HOST = "127.0.0.1:8025"
"""Where the shop's links lead, wherever the service listens."""
ROUNDS = 3
WRITERS = 6


class Noted:
    """What the service acknowledged: a message by its order's number, and the numbers of those who left."""

    def __init__(self) -> None:
        self.messages: dict[int, str] = {}
        self.left: dict[int, str] = {}
        self.refused: list[str] = []

    def write(self, url: str, key: str, numbers: Iterator[int]) -> None:
        """Post orders, every third customer leaves at once, until the service is gone."""
        while True:
            number = next(numbers)
            try:
                answer = posted(url, key, number)
                self.messages[number] = answer["message_id"]
                if number % 3 == 0:
                    link = answer["headers"]["List-Unsubscribe"].strip("<>")
                    leave(link.replace(HOST, url.removeprefix("http://")))
                    self.left[number] = link
            except urllib.error.HTTPError as error:
                self.refused.append(f"{number}: {error}")
                return
            except (urllib.error.URLError, HTTPException, OSError):
                return


def posted(url: str, key: str, number: int) -> dict[str, object]:
    customer = {"id": f"C-{number}", "email": f"alice.{number}@example.com"}
    answer: dict[str, object] = fetched(
        f"{url}/v1/emails", key, an_order(number, customer=customer), **{"Idempotency-Key": f"order-{number}"}
    )
    return answer


def leave(link: str) -> None:
    """What a mail program sends when its reader unsubscribes (RFC 8058)."""
    request = urllib.request.Request(link, b"List-Unsubscribe=One-Click", {"Host": HOST})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "my-shop.toml").write_text(SHOP)
    home = Home(tmp_path, {"HANDRAISER_TEMPLATES_DIR": str(small_templates(tmp_path))})
    home.done("shops", "add", "my-shop.toml")
    return home


def test_what_was_acknowledged_before_a_kill_is_there_after_it_once_and_whole(home: Home):
    key = home.done("keys", "add", "--shop", "my-shop", "--scope", "emails", "--scope", "consents").strip()
    noted = Noted()
    log: list[str] = []
    for n in range(ROUNDS):
        log += _until_killed(home, key, noted, first=n * 100_000, seconds=0.7 + n / 3)
    assert noted.refused == []
    assert len(noted.messages) > 30, "the kills came too early to prove anything"
    assert len(noted.left) > 5

    port = free_port()
    with serving(home, port) as service:
        url = f"http://127.0.0.1:{port}"
        for number, message_id in noted.messages.items():
            assert posted(url, key, number)["message_id"] == message_id
            (found,) = fetched(f"{url}/v1/messages?order_id={number}", key)["messages"]
            assert found["message_id"] == message_id
        for number in noted.left:
            standing = fetched(f"{url}/v1/consents?customer_id=C-{number}", key)["standing"]
            assert set(standing.values()) == {"objected"}
        log += service.log
    assert not [line for line in log if "alice" in line or any(link in line for link in noted.left.values())]


def _until_killed(home: Home, key: str, noted: Noted, *, first: int, seconds: float) -> list[str]:
    """Several writers at once, then SIGKILL in the middle of their requests; the service's log."""
    port = free_port()
    with serving(home, port) as service:
        writers = [
            threading.Thread(
                target=noted.write, args=(f"http://127.0.0.1:{port}", key, iter(range(start, start + 10_000)))
            )
            for start in range(first, first + WRITERS * 10_000, 10_000)
        ]
        for writer in writers:
            writer.start()
        time.sleep(seconds)
        _kill(service)
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive()
    for line in service.log:
        json.loads(line)
    return service.log


def _kill(service: Started) -> None:
    service.process.send_signal(signal.SIGKILL)
    assert service.process.wait(30) == -signal.SIGKILL
