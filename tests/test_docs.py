"""What the documents say is so: commands and snippets run, tables agree with the code, links lead somewhere."""

from __future__ import annotations

import email
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from command_line import ROOT, Home, Started, fetched, serving, started, status
from handraiser import __version__
from handraiser.cli import cli
from handraiser.core.splice.mime_reasons import HtmlReason, Reason
from handraiser.finished import UNCHANGED
from handraiser.settings import Settings
from handraiser.telemetry import Metrics
from running import an_order, free_port

README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ANSWER_KEYS = {"base_url", "api_key", "email_html", "opt_in_url", "console_url"}
OWN_MAIL = "the shop's own mail"


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def shell(script: str, cwd: Path, environ: dict[str, str]) -> str:
    """What a script prints that a reader pastes; it must succeed and complain about nothing."""
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), (script, ended)
    return ended.stdout


# --- make run -------------------------------------------------------------------------------------------------------


class Demo:
    """``make run``, stopped after its first answer and started again; all of one state folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.environ = Home(
            folder,
            {
                "HANDRAISER_STATE_DIR": str(folder / "state"),
                "HANDRAISER_LISTEN": f"127.0.0.1:{self.port}",
                "HANDRAISER_DRAIN_SECONDS": "0",
            },
        ).environ
        self.environ = {name: value for name, value in self.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}

    def start(self, *arguments: str) -> Any:
        return started(["make", "run", *arguments], ROOT, self.environ)

    def mails(self) -> list[str]:
        return sorted(mail["id"] for mail in fetched(f"http://127.0.0.1:{self.port}/demo/inbox")["mails"])


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Demo, dict[str, str], list[str], Started]]:
    """The first start, running: the demo, its one line, what stood in the inbox then, and the process."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    with demo.start("ARGS=--json") as make:
        (line,) = make.until(lambda: make.out, "the line of JSON")
        yield demo, json.loads(line), demo.mails(), make


def test_make_run_tells_machines_where_to_look_in_one_line(
    first_start: tuple[Demo, dict[str, str], list[str], Started],
):
    _, told, mails, make = first_start

    assert set(told) == ANSWER_KEYS
    assert len(make.out) == 1
    html = Path(told["email_html"]).read_text()
    assert told["opt_in_url"] in html
    assert status(told["console_url"]) == 200
    assert status(f"{told['base_url']}/docs") == 200
    assert mails


@pytest.mark.curl
def test_the_opt_in_link_of_the_demo_opens(first_start: tuple[Demo, dict[str, str], list[str], Started]):
    _, told, _, _ = first_start
    opened = ["curl", "-sS", "--max-time", "20", "-o", os.devnull, "-w", "%{http_code}", told["opt_in_url"]]
    assert subprocess.run(opened, capture_output=True, text=True, check=True).stdout == "200"


def test_the_demos_key_composes_an_own_order(first_start: tuple[Demo, dict[str, str], list[str], Started]):
    demo, told, mails, _ = first_start
    answer = fetched(f"{told['base_url']}/v1/emails?dry_run=true", told["api_key"], an_order(4711))
    assert "Tent" in answer["html"]
    assert set(mails) <= set(demo.mails())


@pytest.mark.curl
@pytest.mark.parametrize("snippet", blocks(README, "sh")[1:2], ids=["README"])
def test_the_readmes_curl_runs_as_it_stands(
    snippet: str, first_start: tuple[Demo, dict[str, str], list[str], Started], tmp_path: Path
):
    demo, told, _, _ = first_start
    environ = {**demo.environ, "HANDRAISER_URL": told["base_url"], "HANDRAISER_KEY": told["api_key"]}

    answer = json.loads(shell(snippet.replace("--max-time 2", "--max-time 60"), tmp_path, environ))

    assert {"subject", "html", "text", "headers", "placements", "skipped", "warnings"} <= set(answer)
    assert answer["warnings"] == []
    assert "Tent" in answer["text"]


@pytest.mark.curl
def test_the_references_shell_snippet_gives_a_whole_mail_and_falls_back_without_a_service(
    first_start: tuple[Demo, dict[str, str], list[str], Started], tmp_path: Path
):
    demo, told, _, _ = first_start
    snippet = (ROOT / "templates/docs/snippets/1-send.sh").read_text().replace("--max-time 2", "--max-time 60")
    environ = {**demo.environ, "HANDRAISER_KEY": told["api_key"], "SERVER": told["base_url"]}

    assert shell(snippet, tmp_path, environ) == ""
    mail = email.message_from_bytes((tmp_path / "mail.eml").read_bytes())
    kinds = [part.get_content_type() for part in mail.walk()]
    assert mail["Subject"]
    assert kinds.index("text/plain") < kinds.index("text/html")

    away = {**environ, "SERVER": f"http://127.0.0.1:{free_port()}"}
    ended = subprocess.run(["bash", "-c", snippet], cwd=tmp_path, env=away, capture_output=True, text=True, check=False)
    assert ended.stdout == "send your own mail\n"


def test_the_references_python_snippet_gives_the_enriched_mail_or_the_shops_own(
    first_start: tuple[Demo, dict[str, str], list[str], Started],
):
    _, told, _, _ = first_start
    snippet = (ROOT / "templates/docs/snippets/2-send.py").read_text().replace("timeout=2", "timeout=60")

    def enriched(server: str, key: str) -> str:
        names: dict[str, Any] = {}
        exec(compile(snippet.replace("$SERVER", server), "2-send.py", "exec"), names)
        html: str = names["enriched"](an_order(5001), key, OWN_MAIL)
        return html

    assert "Tent" in enriched(told["base_url"], told["api_key"])
    assert enriched(told["base_url"], "hr_no_key") == OWN_MAIL
    assert enriched(f"http://127.0.0.1:{free_port()}", told["api_key"]) == OWN_MAIL


def test_the_references_javascript_snippet_gives_the_enriched_mail_or_nothing(
    first_start: tuple[Demo, dict[str, str], list[str], Started],
):
    _, told, _, _ = first_start
    snippet = (ROOT / "templates/docs/snippets/3-send.js").read_text().replace("timeout(2000)", "timeout(60000)")

    def enriched(server: str, key: str) -> Any:
        call = f"enriched({json.dumps(an_order(5002))}, {json.dumps(key)}).then(a => console.log(JSON.stringify(a)))"
        program = snippet.replace("$SERVER", server) + call
        ended = subprocess.run([_node(), "-e", program], capture_output=True, text=True, timeout=90, check=True)
        return json.loads(ended.stdout)

    assert "Tent" in enriched(told["base_url"], told["api_key"])["html"]
    assert enriched(told["base_url"], "hr_no_key") is None
    assert enriched(f"http://127.0.0.1:{free_port()}", told["api_key"]) is None


def _node() -> str:
    """The node that drives the browser of the other tests: no system package is needed."""
    import playwright

    return str(Path(playwright.__file__).parent / "driver" / "node")


def test_the_reference_shows_its_snippets_with_the_services_address(
    first_start: tuple[Demo, dict[str, str], list[str], Started],
):
    _, told, _, _ = first_start
    with urllib.request.urlopen(f"{told['base_url']}/docs", timeout=30) as answer:
        page = answer.read().decode()
    for title in ("curl", "Python", "JavaScript"):
        assert f"<summary>{title}</summary>" in page
    assert "$SERVER" not in page
    assert told["base_url"] in page


@pytest.mark.curl
def test_a_second_start_sets_nothing_up_loses_nothing_and_posts_nothing_twice(
    first_start: tuple[Demo, dict[str, str], list[str], Started], tmp_path: Path
):
    """The last test of the running demo: it stops it."""
    demo, told, _, make = first_start
    before, stamp = demo.mails(), (ROOT / ".venv" / "run.stamp").stat().st_mtime_ns
    make.stop(signal.SIGINT)

    with demo.start() as again:
        (curl,) = again.until(lambda: [line for line in again.out if line.startswith("curl ")], "the curl line")
        assert demo.mails() == before
        assert (ROOT / ".venv" / "run.stamp").stat().st_mtime_ns == stamp
        assert "Setting up" not in "\n".join(again.log)
        printed = "\n".join(again.out)
        for name in ANSWER_KEYS - {"base_url"}:
            assert told[name] in printed

        answer = json.loads(shell(curl, tmp_path, demo.environ))
        assert "Tent" in answer["html"]
        assert answer["warnings"] == []
        assert len(demo.mails()) == len(before) + 1, "the pasted order appears in the inbox"


# --- running it ------------------------------------------------------------------------------------------------------


def test_the_readmes_way_to_run_it_works(tmp_path: Path):
    """Its shop file, its commands in its order; then the backup of the operations page, from the running service."""
    (described,) = blocks(README, "toml")
    (tmp_path / "my-shop.toml").write_text(described)
    home = Home(tmp_path)
    commands = [line.partition("#")[0].strip() for line in blocks(README, "sh")[2].splitlines()]
    assert commands[0] == f"pip install handraiser-{__version__}-py3-none-any.whl"
    assert commands[-1] == "handraiser serve"

    outputs = {command: shell(command, tmp_path, home.environ) for command in commands[1:-1]}
    assert outputs["handraiser check"] == "all good\n"
    key = outputs["handraiser keys add --shop my-shop"].strip()

    port = free_port()
    with serving(home, port):
        answer = fetched(f"http://127.0.0.1:{port}/v1/emails", key, an_order())
        (ask,) = [placed for placed in answer["placements"] if placed["slot"] == "ask"]
        assert ask["url"].startswith("https://mail.my-shop.example/o/")
        backup = tmp_path / "backup"
        backup.mkdir()
        (script,) = [block for block in blocks(OPERATIONS, "sh") if "$BACKUP" in block]
        shell(script, tmp_path, {**home.environ, "STATE_DIR": str(tmp_path / ".state"), "BACKUP": str(backup)})

    restored = Home(tmp_path, {"HANDRAISER_STATE_DIR": str(backup)})
    told = json.loads(restored.done("why", answer["message_id"], "--json"))
    assert told["order_id"] == "1001"


@pytest.mark.parametrize("text", [README, OPERATIONS], ids=["README", "operations"])
def test_every_command_that_stands_in_a_document_exists(text: str):
    found = re.findall(r"\bhandraiser ((?:serve|demo|render|check|migrate|why|shops \w+|keys \w+)\b)", text)
    assert found

    for command in set(found):
        shown = CliRunner().invoke(cli, [*command.split(), "--help"])
        assert shown.exit_code == 0, command


@pytest.mark.parametrize("text", [README, OPERATIONS], ids=["README", "operations"])
def test_every_make_target_that_stands_in_a_document_exists(text: str):
    offered = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = {line.split()[0] for line in offered.splitlines() if line.split()}

    assert set(re.findall(r"(?:`|^|# )make ([a-z-]+)", text, re.MULTILINE)) <= known


# --- tables ----------------------------------------------------------------------------------------------------------


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    match value:
        case None | ():
            return "*none*"
        case "":
            return "*empty*"
        case bool():
            return f"`{str(value).lower()}`"
        case _:
            return f"`{value}`"


def test_operations_names_every_setting_with_its_unit_and_default():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+?) \| (`[^`]*`|\*\w+\*) \| [^|]{10,} \|$", OPERATIONS, re.MULTILINE)
    told = {name: default for name, _, default in rows}

    assert told == {name: _default(name) for name in Settings.model_fields}
    for name, unit, _ in rows:
        for ending in ("bytes", "seconds", "days", "hours"):
            if name.endswith(f"_{ending}"):
                assert unit == ending


def test_operations_names_every_metric():
    names = set()
    for metric in Metrics().registry.collect():
        names.add(f"{metric.name}_total" if metric.type == "counter" else metric.name)

    assert set(re.findall(r"^\| `(handraiser_\w+)` \|", OPERATIONS, re.MULTILINE)) == names


def test_the_dependency_record_names_every_dependency():
    record = (ROOT / "docs/decisions/0004-dependencies.md").read_text()
    declared = re.findall(
        r'^  "([\w-]+)', (ROOT / "pyproject.toml").read_text().split("dependencies = [")[1].split("]")[0], re.M
    )

    assert declared
    assert re.findall(r"^\| ([a-z][\w-]+) \|", record, re.MULTILINE) == ["package", *declared]


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(document: Path):
    targets = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)", document.read_text())

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_decision_is_one_page_of_one_form():
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [int(path.name.partition("-")[0]) for path in decisions]
    assert len({*numbers}) == len(numbers)
    for n, path in zip(numbers, decisions, strict=True):
        text = path.read_text()
        assert path.name.startswith(f"{n:04}-"), path.name
        assert text.startswith(f"# {n}. "), path.name
        assert len(text.splitlines()) <= 60, path.name
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings[:3] == ["Question", "Decision", "Why"], path.name
        assert headings[-1] == "Consequences", path.name


def test_the_changelog_says_what_is_not_released_yet():
    assert (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].startswith("Unreleased\n")


def test_the_guide_to_finished_mail_names_every_reason_and_no_other():
    guide = (ROOT / "docs/guide/finished-mail.md").read_text(encoding="utf-8")
    closed = guide.partition("The list is closed.")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_0-9]+)`", closed)) - {"enrich_bytes", "enrich_seconds"}

    assert named == {*UNCHANGED, *Reason, *get_args(HtmlReason)}
