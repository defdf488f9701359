"""What compiling makes and the store keeps: Jinja programs for the HTML, the text and the subject, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class CompiledPage:
    """A page as fill programs: the HTML, the text part derived from it, the subject; and the slots it has."""

    name: str
    html: str
    text: str
    title: str
    slots: tuple[str, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CompiledPage:
        kept = json.loads(text)
        return cls(**{**kept, "slots": tuple(kept["slots"])})


@dataclass(frozen=True, slots=True)
class CompiledBlock:
    """A block as fill programs, and the head CSS that its page lacks without it."""

    name: str
    html: str
    text: str
    head: str

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CompiledBlock:
        return cls(**json.loads(text))
