"""The house stays liveable: sizes, names and words, said by a test when a room outgrows them."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LOCKS = ("requirements", "requirements-build", "requirements-dev")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_no_room_is_longer_than_four_hundred_lines():
    long = {
        str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > 400
    }

    assert long == {}


def test_no_function_is_longer_than_sixty_lines():
    long = [
        f"{path.name}:{node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 60
    ]

    assert long == []


def test_no_room_has_a_name_that_says_nothing():
    assert [
        path.name for path in SOURCES if re.fullmatch(r"(utils?|helpers?|common|misc|managers?)\.py", path.name)
    ] == []


def test_every_room_opens_with_a_line_that_says_what_it_is():
    silent = [path.name for path in SOURCES if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))]

    assert silent == []


def test_every_public_class_and_function_of_the_core_and_the_stories_is_explained():
    silent = []
    rooms = [*(ROOT / "src/handraiser/core").rglob("*.py"), *(ROOT / "src/handraiser").glob("*.py")]
    for path in rooms:
        for node in ast.parse(path.read_text()).body:
            kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{path.name}:{node.name}")

    assert silent == []


def test_nothing_is_left_to_do_in_the_code():
    marks = re.compile(r"\b(TODO|FIXME|HACK|NotImplementedError)\b")

    assert [path.name for path in SOURCES if marks.search(path.read_text())] == []


def test_architecture_names_every_room_and_only_rooms():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.name for path in SOURCES if path.name not in ("__init__.py", "__main__.py")}
    tests = {path.name for path in (ROOT / "tests").rglob("*.py")}
    named = set(re.findall(r"`(?:\w+/)*(\w+\.py)`", text))

    assert rooms - named == set()
    assert named - rooms - tests == set()


def test_architecture_states_invariants_and_what_is_absent():
    text = (ROOT / "docs/architecture.md").read_text()

    assert text.count("**Invariant: ") >= 10
    assert "## What is absent" in text


def test_german_and_dutch_texts_never_use_the_words_of_the_purchase_contract_for_leaving():
    texts = [*(ROOT / "templates").rglob("*.po"), *(ROOT / "templates/blocks").rglob("*.mjml")]
    wrong = re.compile(
        r"einwilligung widerrufen|newsletter widerrufen|toestemming herroepen|widerrufen sie ihre einw", re.I
    )

    assert [path.name for path in texts if wrong.search(path.read_text())] == []


# --- what others made ------------------------------------------------------------------------------------------------


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0].lower().replace("_", "-")


def test_every_package_that_is_imported_is_declared_and_every_declared_one_is_imported():
    distributions = packages_distributions()
    imported = {name for path in SOURCES for name in _imports(path)} - sys.stdlib_module_names - {"handraiser"}
    used = {_name(distributions[name][0]) for name in imported}
    declared = {_name(one) for one in PROJECT["project"]["dependencies"]}

    assert used == declared - {"tzdata"}, "tzdata is data that zoneinfo finds by itself"


def test_pyproject_and_the_requirements_ask_for_the_same():
    asked = [line for line in (ROOT / "requirements.in").read_text().splitlines() if line]

    assert asked == PROJECT["project"]["dependencies"]
    assert (ROOT / "requirements-build.in").read_text().split() == PROJECT["build-system"]["requires"]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_with_hashes_and_without_an_address(lock: str):
    text = (ROOT / f"{lock}.txt").read_text()
    pins = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.DOTALL | re.MULTILINE)

    assert "://" not in text
    assert "file:" not in text
    assert not re.search(r"^-", text, re.MULTILINE), "no options: no index, no links, no other file"
    for pin in pins:
        assert re.match(r"[a-z0-9.-]+==[\w.+!]+( ; [^\n]+)? \\\n", pin), pin
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}", pin, re.MULTILINE), pin


def test_the_locks_agree_and_hold_what_was_asked_for():
    pinned = {
        lock: dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / f"{lock}.txt").read_text(), re.MULTILINE))
        for lock in LOCKS
    }
    for lock in LOCKS:
        asked = [line for line in (ROOT / f"{lock}.in").read_text().splitlines() if line and not line.startswith("-")]
        assert {_name(line) for line in asked} <= set(pinned[lock])
        assert pinned[lock].items() <= pinned["requirements-dev"].items()


# --- what starts it --------------------------------------------------------------------------------------------------


def test_the_dockerfile_is_clean():
    hadolint = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run(
        [hadolint, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_image_gets_nothing_but_what_it_is_built_from():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

    assert sorted(" ".join(copied).split()) == sorted(let_in)
    assert all((ROOT / name).exists() for name in let_in)


@pytest.mark.parametrize("script", [".ci/run", "tests/system-packages", "tests/image-check"])
def test_the_scripts_can_be_run(script: str):
    path = ROOT / script

    assert path.stat().st_mode & 0o111 == 0o111
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


def _bare_machine(folder: Path) -> str:
    """A PATH with a shell and nothing that could be installed with or tested with."""
    for name in ("bash", "env", "id"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


def test_where_nothing_may_be_installed_one_line_says_what_is_missing_and_only_its_tests_are_left_out(tmp_path: Path):
    environ = {"PATH": _bare_machine(tmp_path)}
    told = subprocess.run([ROOT / "tests/system-packages"], env=environ, capture_output=True, text=True, check=False)

    assert told.returncode == 0
    assert told.stderr.count("\n") == 1
    assert "chromium" in told.stderr
    # Found where they lie, not in PATH, when an earlier run has installed them.
    lacking = set(re.findall(r"not (\w+)", told.stdout)) - {"promtool", "tls", "pgbouncer"}
    assert lacking == {"browser", "curl", "postfix"}
    marks = {mark.partition(":")[0] for mark in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    assert {"browser", "curl", "postfix", "tls", "pgbouncer"} <= marks


def test_with_ci_no_test_may_be_left_out(tmp_path: Path):
    environ = {"PATH": _bare_machine(tmp_path), "CI": "true"}
    told = subprocess.run([ROOT / "tests/system-packages"], env=environ, capture_output=True, text=True, check=False)

    assert told.returncode == 1
    assert told.stdout == ""


def test_no_test_skips_itself():
    skips = re.compile(r"pytest\.skip\(|mark\.skip|importorskip|mark\.xfail")
    here = Path(__file__)

    assert [path.name for path in here.parent.rglob("*.py") if path != here and skips.search(path.read_text())] == []
