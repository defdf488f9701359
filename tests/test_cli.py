"""Every command as its users type it: beside a running service and without one; what goes wrong is one clear line."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import SHOP, Home, fetched, serving, small_templates, status
from running import an_order, free_port

BROKEN_BLOCK = "<mj-section><mj-colum></mj-colum></mj-section>"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_templates(tmp_path_factory.mktemp("small"))


@pytest.fixture
def home(tmp_path: Path, templates: Path) -> Home:
    """An empty folder to work in."""
    (tmp_path / "my-shop.toml").write_text(SHOP)
    return Home(tmp_path, {"HANDRAISER_TEMPLATES_DIR": str(templates)})


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, templates: Path) -> Home:
    """A folder with a shop in its database, and nobody serving it; tests that change it say how."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "my-shop.toml").write_text(SHOP)
    home = Home(folder, {"HANDRAISER_TEMPLATES_DIR": str(templates)})
    home.done("shops", "add", "my-shop.toml")
    return home


@pytest.fixture(scope="module")
def served(kept: Home) -> Iterator[tuple[Home, str, str]]:
    """The same folder while it is served: the home, the service's address, and a key."""
    port = free_port()
    with serving(kept, port):
        key = kept.done("keys", "add", "--shop", "my-shop", "--scope", "emails").strip()
        yield kept, f"http://127.0.0.1:{port}", key


def order(folder: Path, **changes: object) -> str:
    path = folder / "order.json"
    path.write_text(json.dumps({**an_order(), **changes}))
    return str(path)


def test_help_names_every_command_and_the_version_is_one_line():
    here = Home(Path.cwd())

    told = here.done("--help")

    for command in ("serve", "demo", "render", "check", "migrate", "keys", "shops", "consents", "why", "relay"):
        assert f"\n  {command} " in told
    assert "..." not in told.partition("Commands:")[2], "a summary is cut off"
    assert here.done("--version").startswith("handraiser, version ")


def test_shops_are_added_listed_shown_and_switched(kept: Home):
    listed = json.loads(kept.done("shops", "list", "--json"))
    assert [(shop["slug"], shop["company"], shop["mode"]) for shop in listed] == [("my-shop", "my-company", "on")]

    assert kept.done("shops", "mode", "my-shop", "observe") == "my-shop is now observe\n"
    assert json.loads(kept.done("shops", "show", "my-shop", "--json"))["mode"] == "observe"
    assert kept.done("shops", "mode", "my-shop", "on") == "my-shop is now on\n"

    shown = kept.done("shops", "show", "my-shop")
    assert "company" in shown
    assert "slug: my-company" in shown
    assert not re.search(r"[{(\[]", shown), "people are shown no Python"


def test_the_secret_that_a_shops_own_template_signs_with_is_shown_and_rotated(kept: Home):
    secret = kept.done("shops", "link-secret", "my-shop").strip()
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert json.loads(kept.done("shops", "link-secret", "my-shop", "--json")) == {"secret": secret}
    assert kept.done("shops", "link-secret", "my-shop", "--rotate").strip() not in ("", secret)
    assert secret not in kept.done("shops", "show", "my-shop", "--json")
    assert kept.refused("shops", "link-secret", "other") == "handraiser: there is no shop “other”"


def test_a_key_is_shown_once_and_never_again(kept: Home):
    key = kept.done("keys", "add", "--shop", "my-shop", "--test", "--name", "till").strip()
    assert key.startswith("hr_test_")
    key_id, secret = key.removeprefix("hr_test_").split("_")

    for command in (["keys", "list"], ["keys", "list", "--json"], ["shops", "show", "my-shop", "--json"]):
        assert secret not in kept.done(*command)
    (line,) = [line for line in json.loads(kept.done("keys", "list", "--json")) if line["key_id"] == key_id]
    assert (line["name"], line["scopes"], line["test"], line["revoked_at"]) == ("till", "emails", True, None)
    assert " UTC" in kept.done("keys", "list"), "times are told as times"
    assert secret not in (kept.folder / ".state" / "handraiser.db").read_bytes().decode("latin-1")

    assert kept.done("keys", "revoke", key_id) == "revoked\n"
    assert kept.refused("keys", "revoke", key_id) == "handraiser: there is no live key of this id"


def test_commands_go_through_the_service_that_holds_the_database(served: tuple[Home, str, str]):
    home, url, key = served
    answer = fetched(f"{url}/v1/emails", key, an_order())
    assert answer["placements"], answer["skipped"]

    told = json.loads(home.done("why", answer["message_id"], "--json"))
    assert told["message_id"] == answer["message_id"]
    assert {one["slot"] for one in told["placements"]} == {"service", "ask"}
    for_people = home.done("why", answer["message_id"])
    assert "placements:\n  - slot: " in for_people
    assert " UTC" in for_people

    assert "my-shop" in home.done("shops", "list")
    second = home.done("keys", "add", "--shop", "my-shop").strip()
    assert fetched(f"{url}/v1/messages/{answer['message_id']}", second)["type"] == "order_confirmation"
    assert home.done("check") == "all good\n"
    assert home.done("consents", "verify").endswith("the ledger is whole\n")

    unknown = home.refused("why", str(uuid.uuid4()))
    assert unknown == "handraiser: there is no message of this id"
    assert home.refused("why", "x") == "handraiser: “x” is no message id"
    assert home.refused("keys", "add", "--shop", "other") == "handraiser: there is no shop “other”"
    assert "unknown scopes: all" in home.refused("keys", "add", "--shop", "my-shop", "--scope", "all")


def test_only_its_owner_can_open_what_the_service_keeps(served: tuple[Home, str, str]):
    home, _, _ = served
    for name in ("control.sock", "secrets.json", "handraiser.db"):
        mode = stat.S_IMODE((home.folder / ".state" / name).stat().st_mode)
        assert mode & 0o077 == 0, (name, oct(mode))


def test_a_second_service_on_the_same_file_says_who_holds_it(served: tuple[Home, str, str]):
    home, _, _ = served
    holder = (home.folder / ".state" / "handraiser.db.lock").read_text().strip()
    os.kill(int(holder), 0)  # raises unless there is such a process

    said = home.refused("serve", HANDRAISER_LISTEN=f"127.0.0.1:{free_port()}")

    assert said.startswith(f"handraiser: Process {holder} has handraiser.db open.")
    assert "PostgreSQL" in said
    assert home.refused("migrate").startswith(f"handraiser: Process {holder} has handraiser.db open.")


def test_sqlite_carries_one_worker(home: Home):
    said = home.refused("serve", "--workers", "2")
    assert "SQLite" in said
    assert "postgresql://" in said


def test_an_address_that_cannot_be_had_is_said_in_one_line(home: Home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = home.refused("serve", HANDRAISER_LISTEN=address)
    assert said == f"handraiser: cannot listen on {address}: {os.strerror(errno.EADDRINUSE)}"
    assert "cannot listen on 192.0.2.1:8025: " in home.refused("serve", HANDRAISER_LISTEN="192.0.2.1:8025")


def test_render_writes_html_and_text_and_tells_what_was_decided(home: Home):
    said = home.done("render", order(home.folder, loyalty=1), "-o", "out")

    html, text = (home.folder / "out" / f"order.{kind}" for kind in ("html", "txt"))
    assert "Tent" in html.read_text()
    assert "Tent" in text.read_text()
    assert "subject: " in said
    assert f"html: {Path('out') / 'order.html'}" in said
    assert "placed: ask: newsletter-after-order (a)" in said
    assert "warning: /loyalty: " in said
    assert sorted(path.name for path in home.folder.iterdir()) == ["my-shop.toml", "order.json", "out"], (
        "nothing is kept"
    )


def test_render_says_what_is_wrong_with_a_payload(home: Home):
    (home.folder / "half.json").write_text('{"type": ')
    assert home.refused("render", "half.json").startswith("handraiser: ")
    said = home.refused("render", order(home.folder, order={"id": "1"}))
    assert "/order/currency" in said
    assert "/order" in said
    assert "known are: fjell-fjord" in home.refused("render", order(home.folder), "--shop", "none")
    assert not list(home.folder.glob("*.html"))


def test_check_names_all_faults_at_once(home: Home, tmp_path: Path):
    assert home.done("check") == "all good\n"

    broken = small_templates(tmp_path / "broken")
    (broken / "blocks" / "order-care" / "a.en.mjml").write_text(BROKEN_BLOCK)
    shop = broken / "shops" / "fjell-fjord" / "shop.toml"
    shop.write_text(shop.read_text().replace("locales", "locals", 1))
    ended = home.run("check", HANDRAISER_TEMPLATES_DIR=str(broken))

    assert ended.returncode == 1
    assert "locals: there is no such field; did you mean locales?" in ended.stderr

    of_block = small_templates(tmp_path / "block")
    (of_block / "blocks" / "order-care" / "a.en.mjml").write_text(BROKEN_BLOCK)
    (of_block / "shops" / "fjell-fjord" / "rules.toml").write_text("version = 1\nrulse = []\n")
    ended = home.run("check", HANDRAISER_TEMPLATES_DIR=str(of_block))
    assert ended.returncode == 1
    assert re.search(r"order-care.*:1:\d+: .*mj-colum\b.*mj-column", ended.stderr), "the place and what was meant"
    assert "fjell-fjord/rules.toml:2:1: /rulse: there is no such name; known are version, rules (rules)" in ended.stderr
    assert ended.stderr.rstrip().splitlines()[-1].startswith("Error: ")


def test_relay_test_tells_what_a_mail_is_and_why(home: Home, tmp_path: Path):
    mail = tmp_path / "order.eml"
    mail.write_bytes(
        b"Return-Path: <bounce@fjell-fjord.example>\nFrom: orders@fjell-fjord.example\nTo: alice@example.com\n"
        b"Subject: Your order 1001\nX-Customer-Type: first\n\nThank you!\nTotal: $1,234.50\n"
    )
    told = json.loads(home.done("relay", "test", str(mail), "--json", HANDRAISER_ENRICH_SECONDS="30"))

    assert told["envelope_from"] == "bounce@fjell-fjord.example"
    assert [one["verdict"] for one in told["rules"]] == ["counts", "no X-Mail-Type"]
    assert (told["rule"], told["then"]) == ("order", "passes as it is: refused")
    assert "fjell-fjord" in told["detail"], "the shop has rules, but was never added"
    assert told["values"] == {
        "order_number": "1001",
        "order_value": "1234.50",
        "currency": "USD",
        "customer_kind": "new",
    }
    assert told["missing"] == ["language", "country", "customer_id"]
    assert "passes as it is: no_rule" in home.done("relay", "test", str(mail), "--shop", "lamp-lumen")
    mail.write_bytes(b"DKIM-Signature: v=1; b=x\n" + mail.read_bytes())
    assert "passes as it is: dkim_signed" in home.done("relay", "test", str(mail))
    mail.write_bytes(mail.read_bytes().replace(b"To: alice@example.com\n", b"").replace(b"DKIM-Signature", b"X-Old"))
    assert "passes as it is: to_differs" in home.done("relay", "test", str(mail))
    mail.write_bytes(mail.read_bytes().replace(b"\n\n", b"\nContent-Type: multipart/mixed\n\n"))
    assert "verdict: the mail cannot be read" in home.done("relay", "test", str(mail))

    broken = small_templates(tmp_path / "broken")
    (broken / "shops" / "fjell-fjord" / "rules.toml").write_text("version = 2\n")
    ended = home.run("relay", "test", str(mail), HANDRAISER_TEMPLATES_DIR=str(broken))
    assert "fjell-fjord/rules.toml:1:1: /version" in ended.stderr


def test_relay_test_shows_the_whole_decision_and_keeps_nothing(served: tuple[Home, str, str], templates: Path):
    home, _, _ = served
    folder = templates / "shops" / "my-shop"
    folder.mkdir()
    (folder / "rules.toml").write_text(
        'version = 1\n[[rules]]\nid = "order"\ntype = "order_confirmation"\n'
        'match = { from = "orders@my-shop.example" }\nextract = { country = { header = "X-Country" } }\n'
    )
    mail = home.folder / "order.eml"
    raw = (
        b"From: orders@my-shop.example\nTo: newcomer@example.com\nSubject: Your order 1001\nX-Country: US\n"
        b"Content-Type: text/html\n\n<body><h1>Thank you!</h1><p>Imprint, unsubscribe</p></body>\n"
    )
    mail.write_bytes(raw)
    try:
        told = json.loads(home.done("relay", "test", str(mail), "--json"))
        in_words = home.done("relay", "test", str(mail))
        mail.write_bytes(raw.replace(b"US", b"DE"))
        elsewhere = json.loads(home.done("relay", "test", str(mail), "--json"))
    finally:
        shutil.rmtree(folder)

    assert (told["reason"], told["then"]) == ("", "goes on with what was placed")
    assert "ask" in {one["slot"] for one in told["placements"]}
    assert told["where"] == {"html": "body_end, before </body>"}
    assert re.search(r"where +html: body_end", in_words)
    assert ("ask", "market") in {(one["slot"], one["reason"]) for one in elsewhere["skipped"]}
    assert all(one["remedy"] for one in elsewhere["skipped"])
    with sqlite3.connect(home.folder / ".state" / "handraiser.db") as database:
        (kept,) = database.execute("SELECT COUNT(*) FROM message WHERE country = 'DE' OR order_id = ''").fetchone()
    assert kept == 0


def test_check_says_which_secrets_replicas_lack(home: Home):
    ended = home.run("check", HANDRAISER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert ended.returncode == 1
    assert "settings: signing_keys: replicas share this secret" in ended.stderr
    assert "settings: pepper: replicas share this secret" in ended.stderr
    assert "database: " in ended.stderr


def test_check_and_migrate_on_an_empty_a_current_and_a_newer_database(home: Home):
    assert home.done("migrate").startswith("applied: 0001_")
    assert home.done("migrate") == "already up to date\n"

    database = sqlite3.connect(home.folder / ".state" / "handraiser.db")
    with database:
        database.execute("INSERT INTO schema_migration VALUES (9999, 'of_tomorrow', 'x', 0)")
    database.close()

    assert "newer version" in home.refused("migrate")
    assert "newer version" in home.refused("serve")
    assert "newer version" in home.run("check").stderr


FORGED = """INSERT INTO consent_entry (event_id, controller_id, subject_id, purpose, topic, channel, event, basis,
  jurisdiction, rule_version, touchpoint, variant, privacy_policy_version, method, attestation, verdict,
  verdict_reasons, actor, actor_id, occurred_at, received_at, recorded_at, promised_value_id, dedup_key,
  schema_version, state, leaf_hash)
VALUES (randomblob(16), zeroblob(16), randomblob(16), 'newsletter', '', 'email', 'granted', 'consent', '', '', '', '',
  '', '', 'none', '', '[]', 'subject', '', 1, 1, 1, '', randomblob(32), 1, 'granted', zeroblob(32))"""


def test_verify_ends_with_1_and_names_the_entry_that_nobody_gave(home: Home):
    home.done("migrate")
    told = home.done("consents", "verify")
    assert told.endswith("the ledger is whole\n")
    assert "note: no kept head is at hand" in told
    assert home.done("consents", "rebuild") == "0 customers, 0 standings changed\n"

    database = sqlite3.connect(home.folder / ".state" / "handraiser.db")
    with database:
        database.execute(FORGED)
    database.close()

    ended = home.run("consents", "verify")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert f"broken: {bytes(16).hex()} entry 1 (" in ended.stdout
    assert ended.stdout.endswith("the ledger is broken: 1 faults\n")
    ended = home.run("consents", "verify", "--json")
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["ok"], found["broken"][0]["seq"]) == (1, False, 1)
    assert home.done("consents", "rebuild") == "1 customers, 1 standings changed\n"


def test_on_postgresql_commands_go_straight_to_the_database_also_beside_a_service(home: Home, postgres_url: str):
    given = {"HANDRAISER_PEPPER": "1:" + "p" * 40, "HANDRAISER_SIGNING_KEYS": "1:" + "s" * 40}
    there = Home(home.folder, {**home.given, **given, "HANDRAISER_DATABASE_URL": postgres_url})
    lacking = there.run("check")
    assert lacking.returncode == 1
    assert "database: migration 0001_beginning is not applied; run handraiser migrate" in lacking.stderr

    there.done("migrate")
    assert there.done("check") == "all good\n"
    there.done("shops", "add", "my-shop.toml")
    port = free_port()
    with serving(there, port):
        key = there.done("keys", "add", "--shop", "my-shop").strip()
        answer = fetched(f"http://127.0.0.1:{port}/v1/emails", key, an_order())
        told = json.loads(there.done("why", answer["message_id"], "--json"))
    assert {one["slot"] for one in told["placements"]} == {"service", "ask"}
    assert not (home.folder / ".state" / "secrets.json").exists(), "replicas share what they are given"


def test_a_wrong_setting_stops_every_command_with_a_line_for_each_fault(home: Home):
    ended = home.run("serve", HANDRAISER_LISTEN="nowhere", HANDRAISER_LOG_LEVLE="INFO", HANDRAISER_MESSAGE_DAYS="3")

    assert (ended.returncode, ended.stdout) == (1, "")
    lines = sorted(ended.stderr.splitlines())
    assert [line.split(": ")[1] for line in lines] == ["listen", "log_levle", "message_days"]
    assert "did you mean log_level?" in ended.stderr
    assert home.refused("--config", "none.toml", "shops", "list").startswith("settings: none.toml: ")


def test_secrets_are_shown_in_no_message(home: Home):
    secret = "s3cret" * 8
    for given in ({"HANDRAISER_SIGNING_KEYS": f"300:{secret}"}, {"HANDRAISER_PEPPER": f"1:{secret},2:{secret}"}):
        ended = home.run("serve", **given)
        assert ended.returncode == 1
        assert secret not in ended.stderr + ended.stdout
    url = f"postgresql://me:{secret}@127.0.0.1:1/none"
    ended = home.run("shops", "list", HANDRAISER_DATABASE_URL=url, HANDRAISER_PEPPER=f"1:{secret}")
    assert ended.returncode == 1
    assert secret not in ended.stderr + ended.stdout


def test_a_database_that_is_away_is_said_in_one_line(home: Home):
    given = {"HANDRAISER_PEPPER": "1:" + "p" * 40, "HANDRAISER_SIGNING_KEYS": "1:" + "s" * 40}
    url = "postgresql://nobody@127.0.0.1:1/none"
    for command in (["shops", "list"], ["migrate"], ["serve"]):
        assert home.refused(*command, HANDRAISER_DATABASE_URL=url, **given).startswith("handraiser: ")


def test_a_shop_file_is_refused_with_all_its_faults(home: Home):
    (home.folder / "odd.toml").write_text(SHOP.replace('slug = "my-shop"', 'slug = "My Shop"\nmoed = "on"'))
    said = home.refused("shops", "add", "odd.toml")
    assert "slug: " in said
    assert "did you mean mode?" in said
    (home.folder / "odd.toml").write_bytes(b'name = "\xff"')
    assert "UTF-8" in home.refused("shops", "add", "odd.toml")


def test_a_folder_that_cannot_be_written_is_said_in_one_line(home: Home):
    (home.folder / "file").write_text("")
    said = home.refused("shops", "list", HANDRAISER_STATE_DIR=str(home.folder / "file" / "state"))
    assert said.startswith("handraiser: ")
    assert "file" in said
    assert home.refused("render", order(home.folder), "-o", str(home.folder / "file" / "out")).startswith(
        "handraiser: "
    )


def test_sigterm_turns_readiness_off_first_finishes_what_is_at_work_and_ends_with_0(home: Home):
    home.done("shops", "add", "my-shop.toml")
    key = home.done("keys", "add", "--shop", "my-shop").strip()
    port = free_port()
    patient = Home(home.folder, {**home.given, "HANDRAISER_DRAIN_SECONDS": "3"})
    with serving(patient, port) as service:
        waiting, rest = _half_an_order(port, key)
        time.sleep(0.2)
        os.kill(service.process.pid, signal.SIGTERM)

        service.until(lambda: status(f"http://127.0.0.1:{port}/readyz") == 503, "draining")
        assert status(f"http://127.0.0.1:{port}/healthz") == 200
        service.until(lambda: status(f"http://127.0.0.1:{port}/healthz") == 0, "the closed door")
        waiting.sendall(rest)
        answer = b"".join(iter(lambda: waiting.recv(65536), b""))
        waiting.close()

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert service.process.wait(60) == 0
        logged = [json.loads(line) for line in service.log]
    message_id = json.loads(answer.partition(b"\r\n\r\n")[2])["message_id"]
    assert json.loads(home.done("why", message_id, "--json"))["order_id"] == "7", "what was answered is kept"
    assert {"serving", "draining"} <= {line["event"] for line in logged}
    assert not any("alice" in line.lower() for line in service.log)


def test_ctrl_c_ends_at_once_with_0(tmp_path: Path, templates: Path):
    home = Home(tmp_path, {"HANDRAISER_TEMPLATES_DIR": str(templates), "HANDRAISER_DRAIN_SECONDS": "100"})
    with serving(home, free_port()) as service:
        began = time.monotonic()
        assert service.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 50


def _half_an_order(port: int, key: str) -> tuple[socket.socket, bytes]:
    """A request at work: its header and half of its body are sent; what is missing."""
    body = json.dumps(an_order(7)).encode()
    head = (
        f"POST /v1/emails HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(head.encode() + body[:20])
    return connection, body[20:]
