"""Tests of what is shown, and the holdout of those who see nothing: arms that pin a version and a variant, and who gets
which. A test is read from what a marketer writes; once it runs nothing of it changes but its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Literal

from handraiser.core.assignment import WHOLE, Draw, Weights, drawn
from handraiser.core.block import BlockVersion
from handraiser.core.preference import SLUG
from handraiser.errors import Fault, Refused

State = Literal["draft", "running", "stopped", "shipped"]
Kind = Literal["test", "holdout"]

HASH_VERSION = 2
"""GrowthBook's: any of its SDKs draws the same arm from the same seed, weights and coverage."""
GUARDRAILS = ("withdrawal", "not_me", "feedback")
HOLDOUT = "holdout"
"""The key of the company's holdout; a shop's own adds ``-`` and the shop's slug. No test may have it."""
MOST_ARMS, MOST_TOUCHPOINTS = 8, 64
_TOUCHPOINT = re.compile(r"(email|web|print):[a-z_]{1,40}")
_EQUAL = ("kind", "slot", "legal_class", "purpose", "targeting")


@dataclass(frozen=True, slots=True)
class Arm:
    """One choice: a variant of an immutable block version, or (``block`` None) nothing in its place."""

    key: str
    block: str | None = None
    block_id: str = ""
    version: int = 0
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """All that a running test never changes. Arm 0 is the control.

    The metric is consent to ``purpose`` by a person's press within ``window`` days of the first exposure. Subjects
    enter at ``touchpoints`` (none named: wherever the blocks may stand); who has entered keeps its arm everywhere.
    ``mde`` is the smallest relative difference worth finding (0.2 = 20 %).
    """

    purpose: str
    arms: tuple[Arm, ...]
    touchpoints: tuple[str, ...] = ()
    window: int = 14
    mde: float = 0.2
    guardrails: tuple[str, ...] = GUARDRAILS
    metric: str = "opt_in"
    seed: str = ""
    hash_version: int = HASH_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Design:
        """The inverse of :meth:`to_json`; what a later version added is left out."""
        known: dict[str, Any] = {one.name: kept[one.name] for one in fields(cls) if one.name in kept}
        known |= {name: tuple(known[name]) for name in ("touchpoints", "guardrails")}
        return cls(**known | {"arms": tuple(Arm(**arm) for arm in known["arms"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A test or holdout as it stands; ``shop_id`` None means all shops of the company. Times in ms UTC.

    ``weights`` are those that count now. ``plan`` is what was told before the start (JSON).
    """

    controller_id: bytes
    id: bytes
    shop_id: bytes | None
    kind: Kind
    key: str
    name: str
    state: State
    design: Design
    weights: Weights
    plan: Mapping[str, Any]
    created_at: int
    created_by: str = ""
    started_at: int | None = None
    stopped_at: int | None = None
    shipped_arm: int | None = None

    def concerns(self, shop_id: bytes) -> bool:
        """Whether it is about this shop's customers."""
        return self.shop_id is None or self.shop_id == shop_id


@dataclass(frozen=True, slots=True)
class Running:
    """A running experiment with what each arm shows (None: nothing); a holdout has none."""

    experiment: Experiment
    blocks: tuple[BlockVersion | None, ...] = ()

    def shown(self) -> tuple[BlockVersion, ...]:
        """The blocks of all arms, each once."""
        return tuple({(one.block_id, one.version): one for one in self.blocks if one is not None}.values())


@dataclass(frozen=True, slots=True)
class Entry:
    """A running experiment and the arm of one subject in it; ``new`` says that no exposure is stored yet."""

    running: Running
    draw: Draw
    new: bool

    @property
    def arm(self) -> Arm:
        return self.running.experiment.design.arms[self.draw.arm]

    @property
    def block(self) -> BlockVersion | None:
        """What the subject's arm shows."""
        return self.running.blocks[self.draw.arm]


def entries(
    running: Sequence[Running], subject: str, touchpoint: str, stored: Mapping[bytes, Draw]
) -> tuple[Entry, ...]:
    """The experiments that a subject is in, or enters now if anything may be shown; ``subject`` is the key that is
    hashed, ``stored`` its first exposures by experiment. Whoever coverage leaves out is in none."""
    found = []
    for one in running:
        design, before = one.experiment.design, stored.get(one.experiment.id)
        if before is None and design.touchpoints and touchpoint not in design.touchpoints:
            continue
        draw = drawn(subject, design.seed, one.experiment.weights, before)
        if draw is not None and draw.arm < len(design.arms):
            found.append(Entry(one, draw, before is None))
    return tuple(found)


def as_holdout(seed: str) -> Design:
    """The design of a holdout: arm 0 sees no block at all, arm 1 everything."""
    return Design("", (Arm("nothing"), Arm("everything")), metric="", guardrails=(), seed=seed)


@dataclass(frozen=True, slots=True)
class Draft:
    """A test as it was sent; arms still name blocks by slug, ``version`` 0 the live one. ``rate`` None: measure it."""

    key: str
    name: str
    all_shops: bool
    design: Design
    weights: Weights
    rate: float | None


def read_draft(content: Mapping[str, Any]) -> Draft:
    """A test from its content; raises :class:`Refused` naming every fault."""
    faults: list[Fault] = []
    allowed = {"key", "name", "purpose", "all_shops", "touchpoints", "arms", "weights", "coverage"} | _NUMBERS.keys()
    faults += [
        Fault(f"/{name}", "unknown_field", "there is no such field")
        for name in content
        if name not in allowed | {"guardrails"}
    ]
    key, name, purpose = content.get("key"), content.get("name", ""), content.get("purpose")
    if not isinstance(key, str) or not SLUG.fullmatch(key) or key == HOLDOUT or key.startswith(f"{HOLDOUT}-"):
        faults.append(Fault("/key", "bad_value", f"1 to 60 of a-z, 0-9 and -; “{HOLDOUT}” is taken"))
    if not isinstance(name, str) or len(name) > 200 or not name.isprintable():
        faults.append(Fault("/name", "bad_value", "at most 200 printable characters"))
    if not isinstance(purpose, str) or not SLUG.fullmatch(purpose):
        faults.append(Fault("/purpose", "missing", "the purpose whose opt-ins are counted"))
    if not isinstance(content.get("all_shops", False), bool):
        faults.append(Fault("/all_shops", "wrong_type", "true or false"))
    touchpoints = _list(content, "touchpoints", (), faults)
    if len(touchpoints) > MOST_TOUCHPOINTS or not all(map(_TOUCHPOINT.fullmatch, touchpoints)):
        told = f"at most {MOST_TOUCHPOINTS} touchpoints such as email:order_confirmation"
        faults.append(Fault("/touchpoints", "bad_value", told))
    guardrails = _list(content, "guardrails", GUARDRAILS, faults)
    if not set(guardrails) <= set(GUARDRAILS):
        faults.append(Fault("/guardrails", "bad_value", f"of {', '.join(GUARDRAILS)}"))
    numbers = {name: _number(content, name, faults) for name in _NUMBERS}
    arms = _arms(content.get("arms"), faults)
    weights = read_weights(content, len(arms), faults) if arms else None
    if faults or weights is None:
        raise Refused(faults)
    design = Design(str(purpose), arms, touchpoints, int(numbers["window"] or 0), numbers["mde"] or 0, guardrails)
    return Draft(str(key), name, content.get("all_shops", False), design, weights, numbers["rate"])


def read_weights(
    content: Mapping[str, Any], arms: int, faults: list[Fault], before: Weights | None = None
) -> Weights | None:
    """Weights and coverage as sent, in ten-thousandths; what is not sent stays as ``before`` (else even, and all).

    Faults go to ``faults``, then None comes back.
    """
    even = tuple(WHOLE * (n + 1) // arms - WHOLE * n // arms for n in range(arms))
    parts = content.get("weights", before.parts if before else even)
    coverage = content.get("coverage", before.coverage if before else WHOLE)
    if type(coverage) is not int or not 0 <= coverage <= WHOLE:
        faults.append(Fault("/coverage", "bad_value", "a whole number from 0 to 10000 (everybody)"))
    numbers = isinstance(parts, list | tuple) and all(type(one) is int and one >= 0 for one in parts)
    if not numbers or len(parts) != arms or sum(parts) != WHOLE:
        faults.append(Fault("/weights", "bad_value", f"{arms} whole numbers, one an arm, that sum to 10000"))
    elif before is None and not all(parts):
        faults.append(Fault("/weights", "bad_value", "every arm that is planned for needs weight"))
    if faults:
        return None
    return before.followed_by(tuple(parts), coverage) if before else Weights(1, tuple(parts), coverage)


def unequal(blocks: Sequence[BlockVersion | None]) -> list[str]:
    """In which settings the arms' blocks differ: whatever can refuse a placement must be equal, or an arm would be
    counted among other people than the control."""
    told = [one for one in blocks if one is not None]
    return [name for name in _EQUAL if any(getattr(one, name) != getattr(told[0], name) for one in told[1:])]


_NUMBERS: Mapping[str, tuple[type, float, float, float | None]] = {
    "window": (int, 1, 90, 14),
    "mde": (float, 0.01, 2, 0.2),
    "rate": (float, 0.0001, 0.9, None),
}
"""Type, least, most, default."""


def _number(content: Mapping[str, Any], name: str, faults: list[Fault]) -> float | None:
    kind, least, most, default = _NUMBERS[name]
    value = content.get(name, default)
    if value is None and default is None:
        return None
    numeric = isinstance(value, int if kind is int else int | float | Decimal) and not isinstance(value, bool)
    if not numeric or not least <= value <= most:
        faults.append(Fault(f"/{name}", "bad_value", f"a number from {least} to {most}"))
        return None
    return float(value)


def _list(content: Mapping[str, Any], name: str, default: tuple[str, ...], faults: list[Fault]) -> tuple[str, ...]:
    value = content.get(name, default)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        faults.append(Fault(f"/{name}", "wrong_type", "a list of texts"))
        return ()
    return tuple(value)


def _arms(given: Any, faults: list[Fault]) -> tuple[Arm, ...]:
    if not isinstance(given, list) or not 2 <= len(given) <= MOST_ARMS:
        faults.append(Fault("/arms", "bad_value", f"2 to {MOST_ARMS} arms, the control first"))
        return ()
    arms: dict[str, Arm] = {}
    for n, one in enumerate(given):
        told = one if isinstance(one, Mapping) else {}
        key, block = told.get("key"), told.get("block")
        version, variant = told.get("version", 0), told.get("variant", "")
        faults += [
            Fault(f"/arms/{n}/{name}", "unknown_field", "there is no such field")
            for name in told
            if name not in ("key", "block", "version", "variant")
        ]
        if not isinstance(key, str) or not SLUG.fullmatch(key) or key in arms:
            faults.append(Fault(f"/arms/{n}/key", "bad_value", "1 to 60 of a-z, 0-9 and -, each key once"))
            key = str(n)
        if block is not None and not (isinstance(block, str) and SLUG.fullmatch(block)):
            faults.append(Fault(f"/arms/{n}/block", "bad_value", "a block's slug, or null for nothing"))
        if type(version) is not int or version < 0 or not isinstance(variant, str):
            faults.append(Fault(f"/arms/{n}", "wrong_type", "version is a whole number, variant a key"))
            version, variant = 0, ""
        arms[key] = Arm(key, block if isinstance(block, str) else None, "", version, variant)
    shown = [(one.block, one.version, one.variant) for one in arms.values()]
    if len(arms) == len(given) and len(set(shown)) < len(shown):
        faults.append(Fault("/arms", "bad_value", "each arm shows something else; one of them may show nothing"))
    if all(one.block is None for one in arms.values()):
        faults.append(Fault("/arms", "bad_value", "at least one arm shows a block"))
    return tuple(arms.values())
