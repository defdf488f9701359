"""An order payload before it is read: texts made plain, what says nothing dropped, names that are missing stood in for.

Nearly all payloads need nothing of this; :func:`tidy` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from handraiser.core.payload_values import TEXT_LIMIT
from handraiser.errors import Fault

GONE: Any = object()
"""Marks what is to be left out."""

_DEPTH = 40
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_BREAKS = re.compile(r"\s*[\r\n\t]+\s*")
_ENCODED_WORD = re.compile(r"=\?(?=[^?]*\?[bq]\?.*?\?=)", re.IGNORECASE | re.DOTALL)
_MANY_LINES = frozenset({"customer_note", "text", "instructions", "hours", "base64"})
_MAY_BE_EMPTY = frozenset({"name", "label", "value", "title", "filename"})
_AMOUNTS = ("discounts", "fees", "shipping_lines", "taxes", "gift_cards")


def tidy(value: Any) -> bool:
    """Whether every text is plain and nothing is empty: what nearly all payloads are."""
    for one in value.values() if type(value) is dict else value:
        kind = type(one)
        if kind is str:
            if not one or not one.isprintable() or "=?" in one:
                return False
        elif one is None or ((kind is dict or kind is list) and not tidy(one)):
            return False
    return True


def clean(value: Any, pointer: str, warnings: list[Fault], depth: int = 0) -> Any:
    """A copy with plain texts and without what says nothing (null and, where no text is needed, "")."""
    kind = type(value)
    if kind is str:
        return value if value.isprintable() and "=?" not in value else _clean_text(value, pointer, warnings)
    if kind is not dict and kind is not list:
        return value
    if depth > _DEPTH:
        warnings.append(Fault(pointer, "too_deep", f"nested more than {_DEPTH} deep"))
        return GONE
    as_it_is = pointer.startswith("/extra")
    if kind is list:
        made = [clean(one, f"{pointer}/{n}", warnings, depth + 1) for n, one in enumerate(value)]
        return [one for one in made if one is not GONE and (as_it_is or (one is not None and one != ""))]
    cleaned = {}
    for key, one in value.items():
        name = key if key.isprintable() else _CONTROL.sub("", key)
        if type(one) is str and one and one.isprintable() and "=?" not in one:
            cleaned[name] = one
            continue
        new = clean(one, f"{pointer}/{escape(name)}", warnings, depth + 1)
        if new is GONE or (not as_it_is and (new is None or (new == "" and name not in _MAY_BE_EMPTY))):
            continue
        cleaned[name] = new
    return cleaned


def _clean_text(value: str, pointer: str, warnings: list[Fault]) -> str:
    """Without control characters, line breaks (where one line is meant) and mail's encoded words."""
    plain = value.replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", plain)
    if not pointer.startswith("/extra"):
        if pointer.rpartition("/")[2] not in _MANY_LINES:
            text = _BREAKS.sub(" ", text.strip())
        while _ENCODED_WORD.search(text):
            text = _ENCODED_WORD.sub("", text)
    if text not in (plain, plain.strip()):
        warnings.append(
            Fault(pointer, "unsafe_text", "control characters, line breaks or encoded words were taken out")
        )
    return text


def mend_names(order: dict[str, Any], warnings: list[Fault]) -> None:
    """A bought thing or an amount without a proper name still belongs in the receipt."""

    def entries(parent: Any, field: str) -> Iterator[tuple[int, dict[str, Any]]]:
        found = parent.get(field) if isinstance(parent, dict) else None
        return ((n, one) for n, one in enumerate(found if isinstance(found, list) else ()) if isinstance(one, dict))

    for n, line in entries(order, "lines"):
        if not isinstance(line.get("name"), str) or not line["name"].strip():
            stand_in = next((line[key] for key in ("sku", "id") if isinstance(line.get(key), str | int)), "–")
            detail = "a line needs a name (text); its sku or id stands in for it"
            warnings.append(Fault(f"/order/lines/{n}/name", "missing", detail))
            line["name"] = str(stand_in)[:TEXT_LIMIT]
        elif len(line["name"]) > TEXT_LIMIT:
            warnings.append(Fault(f"/order/lines/{n}/name", "too_long", f"cut after {TEXT_LIMIT:,} characters"))
            line["name"] = line["name"][:TEXT_LIMIT]
        for _, file in entries(line, "downloads"):
            if isinstance(file.get("url"), str):
                file.setdefault("name", file["url"].rpartition("/")[2])
    for field in _AMOUNTS:
        for n, one in entries(order, field):
            if not isinstance(one.get("label"), str):
                warnings.append(Fault(f"/order/{field}/{n}/label", "missing", "an amount needs a label (text)"))
                one["label"] = ""


def escape(step: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")
