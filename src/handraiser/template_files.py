"""Template files as they lie on disk: pages, parts, words and the starter blocks; read once, never edited live."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel.messages import pofile

from handraiser.core.block import Purpose, read_purpose
from handraiser.core.formats import locale_of
from handraiser.core.mjml.compile import Direction
from handraiser.errors import TemplateFault, TemplateRefused

if TYPE_CHECKING:
    from handraiser.core.rules.match import ShopRule

Words = Mapping[str, Mapping[str, str]]
"""Language -> English text -> translated text."""


@dataclass(slots=True)
class Sources:
    """The template files of one shop: its own where it has them, else everybody's."""

    pages: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)


def read_words(root: Path) -> dict[str, dict[str, str]]:
    """Every catalogue below ``locale/``: language -> English text -> translated text."""
    words: dict[str, dict[str, str]] = {}
    for path in sorted((root / "locale").glob("*/LC_MESSAGES/handraiser.po")):
        with path.open("rb") as file:
            catalogue = pofile.read_po(file)
        words[path.parts[-3].replace("_", "-")] = {
            str(message.id): str(message.string)
            for message in catalogue
            if message.id and message.string and isinstance(message.id, str)
        }
    return words


def words_of(words: Words, locale: str) -> Mapping[str, str]:
    """The catalogue of a language: ``de-AT``, else ``de``, else English as written."""
    return words.get(locale) or words.get(locale.partition("-")[0]) or {}


def direction_of(locale: str) -> Direction:
    """``rtl`` for languages written from right to left."""
    return "rtl" if locale_of(locale).character_order == "right-to-left" else "ltr"


def read_sources(root: Path, slug: str) -> Sources:
    """The pages (``emails/*.mjml``) and parts of a shop; its own in ``shops/<slug>/emails`` replace the common ones."""
    sources = Sources()
    for folder in (root / "emails", root / "shops" / slug / "emails"):
        for path in sorted(folder.glob("*.mjml")):
            sources.pages[path.stem] = path.read_text(encoding="utf-8")
        for path in sorted((folder / "parts").glob("*.mjml")):
            sources.parts[f"parts/{path.name}"] = path.read_text(encoding="utf-8")
    return sources


def read_starter(root: Path) -> tuple[list[dict[str, Any]], list[Purpose]]:
    """The starter blocks' contents and the purposes below ``blocks/``; raises :class:`Refused` with every fault."""
    purposes = [
        read_purpose({"id": slug, **content})
        for slug, content in tomllib.loads((root / "blocks" / "purposes.toml").read_text(encoding="utf-8")).items()
    ]
    contents = []
    for path in sorted((root / "blocks").glob("*/block.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        rows: dict[str, dict[str, str]] = {}
        for row in sorted(path.parent.glob("*.*.mjml")):
            variant, locale, _ = row.name.split(".")
            rows.setdefault(variant, {})[locale] = row.read_text(encoding="utf-8")
        variants = [{"key": key, "rows": one} for key, one in sorted(rows.items())]
        contents.append({**content, "slug": path.parent.name, "variants": variants})
    return contents, purposes


def read_signing_keys(
    root: Path, rules: Sequence[ShopRule]
) -> tuple[dict[tuple[str, str], bytes], list[TemplateFault]]:
    """The private keys (PEM) of the rules that sign, by shop and rule, and every one that is missing.

    A relative ``key_file`` begins at the shop's folder.
    """
    keys: dict[tuple[str, str], bytes] = {}
    faults: list[TemplateFault] = []
    for one in rules:
        dkim = one.rule.dkim
        if dkim.policy == "resign":
            path = root / "shops" / one.shop / dkim.key_file
            try:
                keys[one.shop, one.rule.id] = path.read_bytes()
            except OSError as error:
                told = f"rule {one.rule.id}: dkim.key_file: {error.strerror}"
                faults.append(TemplateFault(f"{one.shop}/rules.toml", 1, 1, "unreadable", told))
    return keys, faults


def read_shop_rules(root: Path) -> tuple[tuple[ShopRule, ...], list[TemplateFault]]:
    """The rules for finished mail of every shop (``shops/<slug>/rules.toml``, in the slugs' order), and every fault.

    Of a file with faults no rule counts: its shop's mail passes as it is.
    """
    # Only what reads finished mail pays for its parsers.
    from handraiser.core.rules.file import read_rules
    from handraiser.core.rules.match import ShopRule

    rules: list[ShopRule] = []
    faults: list[TemplateFault] = []
    for path in sorted((root / "shops").glob("*/rules.toml")):
        slug = path.parent.name
        name = f"{slug}/{path.name}"
        try:
            rules += [ShopRule(slug, rule) for rule in read_rules(path.read_text(encoding="utf-8"), name)]
        except UnicodeDecodeError:
            faults.append(TemplateFault(name, 1, 1, "no_text", "the file is not UTF-8 text"))
        except TemplateRefused as error:
            faults += error.faults
    return tuple(rules), faults
