"""What was decided for one message: placements and skips, as kept in its row and told by every door."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Any

from handraiser.core.value import dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """One variant put before one subject in one message. ``program`` is the content address of what was compiled.
    ``experiment`` and ``arm`` are keys, "" where no test is running."""

    slot: str
    block: str
    block_id: bytes
    version: int
    variant: str
    legal_class: str
    purpose: str | None = None
    wording_id: bytes | None = None
    program: bytes = b""
    url: str | None = None
    experiment: str = ""
    arm: str = ""

    def as_json(self) -> dict[str, Any]:
        """What callers are told."""
        told: dict[str, Any] = {
            "slot": self.slot,
            "block": self.block,
            "version": self.version,
            "variant": self.variant,
        }
        if self.purpose:
            told |= {"purpose": self.purpose, "wording_id": self.wording_id.hex() if self.wording_id else None}
        if self.url:
            told["url"] = self.url
        if self.experiment:
            told |= {"experiment": self.experiment, "arm": self.arm}
        return told


@dataclass(frozen=True, slots=True)
class Skip:
    """One block that was not placed, why, and what would change it."""

    slot: str
    block: str
    reason: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        return {"slot": self.slot, "block": self.block, "reason": self.reason, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything a message row keeps, so that a replay renders the same and ``why`` can be told years later.

    ``declared`` is who answers for the soft opt-in facts that a shop's rule claims, since when, and under which text.
    ``arms`` is the arm by experiment (keys) that this message stands for, shown or not.
    """

    template: str
    page: bytes
    placements: tuple[Placement, ...] = ()
    skipped: tuple[Skip, ...] = ()
    would_ask: bool = False
    declared: Mapping[str, str] = field(default_factory=dict)
    arms: Mapping[str, str] = field(default_factory=dict)

    def without(self, slots: Collection[str], reason: str, remedy: str) -> Decision:
        """The same decision with what stood in ``slots`` skipped."""
        dropped = tuple(Skip(one.slot, one.block, reason, remedy) for one in self.placements if one.slot in slots)
        kept = tuple(one for one in self.placements if one.slot not in slots)
        return replace(self, placements=kept, skipped=self.skipped + dropped)

    def to_json(self) -> dict[str, Any]:
        return {
            "template": self.template,
            "page": self.page.hex(),
            "placements": [
                {
                    "slot": p.slot,
                    "block": p.block,
                    "block_id": p.block_id.hex(),
                    "version": p.version,
                    "variant": p.variant,
                    "legal_class": p.legal_class,
                    "purpose": p.purpose,
                    "wording_id": p.wording_id.hex() if p.wording_id else None,
                    "program": p.program.hex(),
                    **({"experiment": p.experiment, "arm": p.arm} if p.experiment else {}),
                }
                for p in self.placements
            ],
            "skipped": [skip.as_json() for skip in self.skipped],
            "would_ask": self.would_ask,
            **({"declared": dict(self.declared)} if self.declared else {}),
            **({"arms": dict(self.arms)} if self.arms else {}),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Decision:
        placements = tuple(
            Placement(
                slot=p["slot"],
                block=p["block"],
                block_id=bytes.fromhex(p["block_id"]),
                version=p["version"],
                variant=p["variant"],
                legal_class=p["legal_class"],
                purpose=p["purpose"],
                wording_id=bytes.fromhex(p["wording_id"]) if p["wording_id"] else None,
                program=bytes.fromhex(p["program"]),
                experiment=p.get("experiment", ""),
                arm=p.get("arm", ""),
            )
            for p in kept.get("placements", ())
        )
        skipped = tuple(Skip(**skip) for skip in kept.get("skipped", ()))
        return cls(
            kept.get("template", ""),
            bytes.fromhex(kept.get("page", "")),
            placements,
            skipped,
            kept.get("would_ask", False),
            kept.get("declared", {}),
            kept.get("arms", {}),
        )
