"""``handraiser demo`` as its user starts it: twice, with and without ``--json``, over real sockets."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from programs import Programs, put_into_state
from running import free_port


@dataclass
class Demo:
    """A demo that runs."""

    process: subprocess.Popen[str]
    port: int

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self, by: signal.Signals) -> tuple[int, str, str]:
        """Exit code, the rest of what it printed, and what it said on standard error."""
        self.process.send_signal(by)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def fetch(self, path: str, body: Any = None) -> Any:
        """JSON of a request as the demo's own page sends it."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def mails(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.fetch("/demo/inbox")["mails"]
        return found

    def mail(self, mail_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.fetch(f"/demo/mails/{mail_id}")
        return found

    def confirmation(self) -> dict[str, Any]:
        """The confirmation mail, once it has come over SMTP."""
        for _ in range(100):
            if found := [mail for mail in self.mails() if mail["kind"] == "confirmation"]:
                (mail,) = found
                return mail
            time.sleep(0.1)
        raise AssertionError("no confirmation mail came")


def started(folder: Path, port: int, *options: str) -> Demo:
    """The command, started; its output is a pipe, as for another program."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HANDRAISER_")}
    settings = {"HANDRAISER_STATE_DIR": str(folder / "state"), "HANDRAISER_LISTEN": f"127.0.0.1:{port}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "handraiser", "demo", *options],
        env=environ | settings,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return Demo(process, port)


@contextmanager
def a_demo(folder: Path, port: int, *options: str) -> Iterator[Demo]:
    demo = started(folder, port, *options)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, compiled: Programs) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    put_into_state(folder / "state", compiled)
    return folder


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def first(folder: Path, port: int) -> Iterator[tuple[Demo, dict[str, str]]]:
    """The first start, ready, and its one line."""
    with a_demo(folder, port, "--json") as demo:
        yield demo, json.loads(demo.read_line())


def test_the_one_line_says_where_everything_is(first: tuple[Demo, dict[str, str]]):
    demo, told = first

    assert set(told) == {"base_url", "api_key", "email_html", "opt_in_url", "console_url"}
    assert told["base_url"] == f"http://127.0.0.1:{demo.port}"
    assert told["console_url"] == told["base_url"] + "/demo"
    assert told["opt_in_url"].startswith(f"http://fjell.localhost:{demo.port}/o/")
    html = Path(told["email_html"]).read_text(encoding="utf-8")
    assert told["opt_in_url"] in html
    pictures = set(re.findall(r'src="(http://127[^"]+)"', html))
    assert pictures
    for picture in pictures:
        with urllib.request.urlopen(picture, timeout=20) as answer:
            assert answer.headers.get_content_type() == "image/svg+xml"


def test_the_inbox_holds_both_shops_and_an_ask_in_the_us_and_the_netherlands(first: tuple[Demo, dict[str, str]]):
    demo, _ = first
    mails = demo.mails()

    asked = {(mail["shop"], mail["country"]) for mail in mails if mail["asks"]}
    assert {("fjell-fjord", "US"), ("lamp-lumen", "NL")} <= asked
    (german,) = [mail for mail in mails if mail["country"] == "DE"]
    assert not german["asks"]
    assert "market" in {skip["reason"] for skip in demo.mail(german["id"])["skipped"]}


def test_the_country_moves_the_ask_away_and_the_facts_bring_it_back(first: tuple[Demo, dict[str, str]]):
    demo, _ = first
    (us,) = [mail for mail in demo.mails() if mail["country"] == "US" and mail["subject"] == "Order FF-1042 confirmed"]

    def the_ask_in(country: str, *, soft: bool = False) -> bool:
        wish = {"country": country, "soft_opt_in": soft}
        told = demo.fetch(f"/demo/mails/{us['id']}/country", wish)
        assert told["status"] == 200
        again = demo.fetch(f"/demo/mails/{us['id']}/country", wish)
        assert again["mail"] == told["mail"], "the same choice shows the same mail"
        mail = demo.mail(told["mail"])
        assert mail["asks"] or any(skip["reason"] == "market" and skip["remedy"] for skip in mail["skipped"])
        found: bool = mail["asks"]
        return found

    assert the_ask_in("US")
    assert not the_ask_in("NL")
    assert the_ask_in("NL", soft=True)
    assert not the_ask_in("DE", soft=True)


def test_an_own_order_gives_its_picture_and_its_warnings(first: tuple[Demo, dict[str, str]]):
    demo, _ = first
    order = {"id": "77", "currency": "JPY", "total": "900", "colour": "red"}
    pasted = {"type": "delivered", "customer": {"email": "bob@example.com", "country": "US"}, "order": order}

    told = demo.fetch("/demo/orders", {"shop": "lamp-lumen", "order": json.dumps(pasted)})
    refused = demo.fetch("/demo/orders", {"shop": "lamp-lumen", "order": "{ x"})

    assert [warning["pointer"] for warning in told["answer"]["warnings"]] == ["/order/colour"]
    assert demo.mail(told["mail"])["warned"] == 1
    with urllib.request.urlopen(f"http://127.0.0.1:{demo.port}/demo/mails/{told['mail']}/html", timeout=20) as page:
        assert "77" in page.read().decode()
    assert (refused["status"], refused["mail"]) == (400, "")


def test_what_a_script_presses_waits_for_the_confirmation_mail_which_is_caught(first: tuple[Demo, dict[str, str]]):
    demo, _ = first
    (bob,) = [mail for mail in demo.mails() if mail["to"] == "bob.devries@example.com"]

    demo.fetch(f"/demo/mails/{bob['id']}/script", {})

    second = demo.confirmation()
    assert {mail["state"] for mail in demo.mails() if mail["id"] == bob["id"]} == {"pending"}
    assert second["to"] == bob["to"]
    with urllib.request.urlopen(f"http://127.0.0.1:{demo.port}/demo/mails/{second['id']}/html", timeout=20) as page:
        html = page.read().decode()
    assert "<img" not in html
    assert 'lang="nl"' in html
    assert re.findall(r'href="[^"]*/([ou])/', html) == ["o", "o", "u"]
    assert [entry["event"] for entry in demo.mail(bob["id"])["entries"]] == ["pending"]


def test_a_port_that_is_taken_is_told_at_once(first: tuple[Demo, dict[str, str]], tmp_path: Path):
    demo, _ = first
    with a_demo(tmp_path, demo.port) as second:
        _, err = second.process.communicate(timeout=30)

    assert second.process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{demo.port}" in err
    assert "--listen" in err
    assert "Traceback" not in err
    assert not (tmp_path / "state" / "handraiser.db").exists()


def test_the_second_start_finds_everything_and_posts_nothing_twice(
    first: tuple[Demo, dict[str, str]], folder: Path, port: int
):
    demo, told = first
    before = demo.mails()
    code, _, _ = demo.stop(signal.SIGTERM)
    assert code == 0

    with a_demo(folder, port) as again:
        printed = ""
        while "Ctrl-C" not in printed:
            line = again.read_line()
            assert line, "it stopped"
            printed += line
        assert again.mails() == before
        assert told["api_key"] in printed
        assert told["opt_in_url"] in printed
        assert told["email_html"] in printed
        assert "127.0.0.1 fjell.localhost lamp.localhost" in printed
        (curl,) = [line for line in printed.splitlines() if line.startswith("curl ")]
        assert "--max-time" in curl
        with socket.create_connection(("127.0.0.1", port)):  # an idle browser does not hold it back
            code, _, err = again.stop(signal.SIGINT)
        assert code == 0
        assert "Traceback" not in err


def test_samples_whose_links_come_to_their_end_are_posted_again_for_new_customers(folder: Path, port: int):
    for path in (folder / "state" / "demo" / "mails").glob("*.json"):
        mail = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(mail | {"at": mail["at"] - 26 * 86_400_000}), encoding="utf-8")

    with a_demo(folder, port, "--json") as demo:
        told = json.loads(demo.read_line())
        fresh = [mail for mail in demo.mails() if mail["to"].startswith("alice.moreno+")]

    assert any(mail["asks"] and mail["type"] == "order_confirmation" for mail in fresh)
    assert told["opt_in_url"] in Path(told["email_html"]).read_text(encoding="utf-8")
