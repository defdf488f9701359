"""The house stays liveable: sizes, names and words, said by a test when a room outgrows them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_no_room_is_longer_than_four_hundred_lines():
    long = {
        str(path.relative_to(ROOT)): lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > 420
    }

    assert long == {}


def test_no_function_is_longer_than_sixty_lines():
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno > 65:
                long.append(f"{path.name}:{node.name}")

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


def test_architecture_names_every_room():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = [path for path in SOURCES if path.name not in ("__init__.py", "__main__.py")]

    assert [str(path.relative_to(ROOT / "src/handraiser")) for path in rooms if f"`{path.name}`" not in text] == []


def test_german_and_dutch_texts_never_use_the_words_of_the_purchase_contract_for_leaving():
    texts = [*(ROOT / "templates").rglob("*.po"), *(ROOT / "templates/blocks").rglob("*.mjml")]
    wrong = re.compile(
        r"einwilligung widerrufen|newsletter widerrufen|toestemming herroepen|widerrufen sie ihre einw", re.I
    )

    assert [path.name for path in texts if wrong.search(path.read_text())] == []
