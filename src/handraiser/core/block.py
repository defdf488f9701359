"""What marketers insert: purposes with their promises, blocks with variants per language, immutable versions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast

from handraiser.core.preference import SLUG, Choice
from handraiser.errors import Fault, Refused

Kind = Literal["service_message", "opt_in", "member_offer", "feedback"]
LegalClass = Literal["service", "ask", "advertising", "feedback"]

PUBLISHABLE = frozenset({"service_message", "opt_in"})
SLOTS = frozenset({"service", "ask", "member", "footer"})
GRANTS = ("press", "auto_late")
ASK_SLOTS = frozenset({"ask"})
"""Slots after the order's content: an ask stands nowhere else."""

_LEGAL = {"service_message": "service", "opt_in": "ask", "member_offer": "advertising", "feedback": "feedback"}
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_WORD = re.compile(r"[^\x00-\x1f\x7f]{1,120}")
_LISTS = {
    "customer_kinds": (re.compile(r"new|current"), "new or current"),
    "touchpoints": (re.compile(r"(email|web|print):[a-z_]{1,40}"), "touchpoints such as email:order_confirmation"),
    "countries": (re.compile(r"[A-Z]{2}"), "country codes such as NL"),
    "locales": (_LOCALE, "language tags such as de or de-AT"),
    "segments_any": (_WORD, "segments as customer.segments names them"),
    "segments_none": (_WORD, "segments as customer.segments names them"),
    "categories": (_WORD, "categories as the order's lines name them"),
}
_NUMBERS: Mapping[str, tuple[int, int, int | None]] = {
    "starts_at": (0, 2**53, None),
    "ends_at": (0, 2**53, None),
    "cap": (1, 32, None),  # no more asks of a subject are remembered
    "cap_days": (1, 3650, 90),
    "cool_down_days": (0, 3650, 0),
}
"""Least, most, default."""
_COUNTED = frozenset({"cap", "cap_days", "cool_down_days"})


@dataclass(frozen=True, slots=True)
class Promise:
    """What exactly is promised, in one language; every part is shown before the press."""

    what: str
    frequency: str
    benefit: str
    benefit_now: str
    button: str


@dataclass(frozen=True, slots=True)
class Purpose:
    """What consent is for. ``channels`` and ``recipients`` are part of the promise.

    ``grant`` says what a "yes" is: a ``press``, or (``auto_late``, where the market lets it) a visit of the link some
    minutes after the mail was sent, which is provisional until it has settled.

    ``topics`` are what one may choose of ``what``; ``frequencies`` are less often than promised, each rarer than the
    one before.
    """

    id: str
    version: int
    texts: Mapping[str, Promise]
    covers_transactional: bool = False
    channels: tuple[str, ...] = ("email",)
    recipients: tuple[str, ...] = ()
    grant: str = "press"
    topics: tuple[Choice, ...] = ()
    frequencies: tuple[Choice, ...] = ()

    def promise(self, locale: str, default: str) -> Promise:
        """The promise in the nearest language there is."""
        return self.texts[nearest(self.texts, locale, default)]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Purpose:
        """The inverse of :meth:`to_json`; raises :class:`Refused` naming every fault."""
        return read_purpose(json.loads(text))


def read_purpose(content: Mapping[str, Any]) -> Purpose:
    """A purpose from its content; raises :class:`Refused` naming every fault."""
    faults = _unknown(content, Purpose, "")
    if not SLUG.fullmatch(_text(content, "id")):
        faults.append(Fault("/id", "bad_value", "1 to 60 of a-z, 0-9 and -"))
    if type(content.get("version")) is not int or content["version"] < 1:
        faults.append(Fault("/version", "bad_value", "a whole number from 1"))
    if not isinstance(content.get("covers_transactional", False), bool):
        faults.append(Fault("/covers_transactional", "wrong_type", "true or false"))
    if content.get("grant", "press") not in GRANTS:
        faults.append(Fault("/grant", "bad_value", f"one of {', '.join(GRANTS)}"))
    lists = {}
    for name, default in (("channels", ("email",)), ("recipients", ())):
        value = content.get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
            faults.append(Fault(f"/{name}", "wrong_type", "a list of texts"))
        lists[name] = tuple(value) if isinstance(value, list | tuple) else ()
    topics = _choices(content.get("topics", ()), "topics", faults)
    frequencies = _choices(content.get("frequencies", ()), "frequencies", faults)
    texts = content.get("texts")
    if not isinstance(texts, Mapping) or not texts:
        faults.append(Fault("/texts", "missing", "a promise in at least one language"))
        texts = {}
    for locale, promise in texts.items():
        if not isinstance(promise, Mapping):
            faults.append(Fault(f"/texts/{locale}", "wrong_type", "an object"))
            continue
        faults += _unknown(promise, Promise, f"/texts/{locale}")
        for one in fields(Promise):
            if not isinstance(promise.get(one.name), str) or not promise[one.name].strip():
                faults.append(Fault(f"/texts/{locale}/{one.name}", "missing", "part of what is promised"))
    if faults:
        raise Refused(faults)
    return Purpose(
        id=content["id"],
        version=content["version"],
        texts={locale: Promise(**promise) for locale, promise in texts.items()},
        covers_transactional=content.get("covers_transactional", False),
        grant=content.get("grant", "press"),
        topics=topics,
        frequencies=frequencies,
        **lists,
    )


def _choices(given: Any, name: str, faults: list[Fault]) -> tuple[Choice, ...]:
    """Topics or frequencies from their content; faults go to ``faults``."""
    read: dict[str, Choice] = {}
    for n, one in enumerate(given if isinstance(given, list | tuple) else (None,)):
        known = one if isinstance(one, Mapping) else {}
        slug, texts = _text(known, "id"), known.get("texts")
        worded = isinstance(texts, Mapping) and texts and all(isinstance(t, str) and t.strip() for t in texts.values())
        if not worded or not SLUG.fullmatch(slug) or slug in read:
            told = "an id (1 to 60 of a-z, 0-9 and -, each once) and its texts by language"
            faults.append(Fault(f"/{name}/{n}", "bad_value", told))
            continue
        faults += _unknown(known, Choice, f"/{name}/{n}")
        read[slug] = Choice(slug, dict(cast("Mapping[str, str]", texts)))
    return tuple(read.values())


@dataclass(frozen=True, slots=True)
class Variant:
    """One text and design of a block: MJML by language."""

    key: str
    rows: Mapping[str, str]

    def row(self, locale: str, default: str) -> str:
        """The MJML in the nearest language there is; a missing language is never a reason to skip."""
        return self.rows[nearest(self.rows, locale, default)]


@dataclass(frozen=True, slots=True)
class Targeting:
    """Whom a block is for; an empty field means everybody. Times in ms UTC, amounts in ``value_currency``.

    ``locales`` match their regions too (``de`` is also ``de-AT``). At most ``cap`` of this block's asks per subject
    within ``cap_days``; ``cool_down_days`` between two of them.
    """

    customer_kinds: tuple[str, ...] = ()
    touchpoints: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    segments_any: tuple[str, ...] = ()
    segments_none: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_value: str = ""
    max_value: str = ""
    value_currency: str = ""
    starts_at: int | None = None
    ends_at: int | None = None
    cap: int | None = None
    cap_days: int = 90
    cool_down_days: int = 0


@dataclass(frozen=True, slots=True)
class BlockVersion:
    """One immutable snapshot of a block: settings, all variants, all languages."""

    controller_id: bytes
    block_id: bytes
    slug: str
    version: int
    kind: Kind
    slot: str
    legal_class: LegalClass
    variants: tuple[Variant, ...]
    purpose: str | None = None
    priority: int = 0
    targeting: Targeting = field(default_factory=Targeting)

    def first_variant(self) -> Variant:
        """What is shown without an experiment."""
        return self.variants[0]

    def content(self) -> dict[str, Any]:
        """Everything but ids and version: what the hash covers and what a file holds."""
        kept = asdict(self)
        for name in ("controller_id", "block_id", "version"):
            del kept[name]
        return kept

    def hash(self) -> bytes:
        """SHA-256 of the content: the same text is the same version."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).digest()

    def to_json(self) -> str:
        return json.dumps(
            {
                **self.content(),
                "controller_id": self.controller_id.hex(),
                "block_id": self.block_id.hex(),
                "version": self.version,
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> BlockVersion:
        kept = json.loads(text)
        ids = {name: bytes.fromhex(kept.pop(name)) for name in ("controller_id", "block_id")}
        return read_block(kept, version=kept.pop("version"), **ids)


def read_block(content: Mapping[str, Any], *, controller_id: bytes, block_id: bytes, version: int) -> BlockVersion:
    """A block from its content; raises :class:`Refused` naming every fault."""
    faults = _unknown(content, BlockVersion, "", without=("controller_id", "block_id", "version"))
    kind, slot, slug = (_text(content, name) for name in ("kind", "slot", "slug"))
    legal_class = content.get("legal_class") or _LEGAL.get(kind, "")
    purpose = content.get("purpose")
    if kind not in _LEGAL:
        faults.append(Fault("/kind", "bad_value", f"one of {', '.join(_LEGAL)}"))
    elif legal_class not in _LEGAL.values():
        faults.append(Fault("/legal_class", "bad_value", f"one of {', '.join(_LEGAL.values())}"))
    elif (kind == "opt_in") is not (legal_class == "ask"):
        faults.append(Fault("/legal_class", "bad_value", "an opt_in block is of class ask, and no other block is"))
    if slot not in SLOTS:
        faults.append(Fault("/slot", "bad_value", f"one of {', '.join(sorted(SLOTS))}"))
    elif kind == "opt_in" and slot not in ASK_SLOTS:
        faults.append(Fault("/slot", "bad_value", "an ask stands in the slot ask, after the order"))
    if not SLUG.fullmatch(slug):
        faults.append(Fault("/slug", "bad_value", "1 to 60 of a-z, 0-9 and -"))
    if kind == "opt_in" and not (isinstance(purpose, str) and purpose):
        faults.append(Fault("/purpose", "missing", "an ask names the purpose it asks for"))
    elif kind != "opt_in" and purpose is not None:
        faults.append(Fault("/purpose", "bad_value", "only an ask has a purpose"))
    if type(content.get("priority", 0)) is not int or abs(content.get("priority", 0)) > 1_000_000:
        faults.append(Fault("/priority", "bad_value", "a whole number"))
    targeting = read_targeting(content.get("targeting") or {}, faults, asks=kind == "opt_in")
    variants = _variants(content.get("variants"), faults)
    if faults:
        raise Refused(faults)
    return BlockVersion(
        controller_id=controller_id,
        block_id=block_id,
        slug=slug,
        version=version,
        kind=cast("Kind", kind),
        slot=slot,
        legal_class=cast("LegalClass", legal_class),
        variants=variants,
        purpose=purpose,
        priority=content.get("priority", 0),
        targeting=targeting,
    )


def _variants(given: Any, faults: list[Fault]) -> tuple[Variant, ...]:
    if not isinstance(given, list | tuple) or not given:
        faults.append(Fault("/variants", "missing", "a list of at least one variant"))
        return ()
    read: dict[str, Variant] = {}
    for n, variant in enumerate(given):
        place = f"/variants/{n}"
        if not isinstance(variant, Mapping):
            faults.append(Fault(place, "wrong_type", "an object with key and rows"))
            continue
        faults += _unknown(variant, Variant, place)
        key, rows = variant.get("key"), variant.get("rows")
        if not isinstance(key, str) or not SLUG.fullmatch(key) or key in read:
            faults.append(Fault(f"{place}/key", "bad_value", "1 to 60 of a-z, 0-9 and -, each key once"))
        if not isinstance(rows, Mapping) or not rows:
            faults.append(Fault(f"{place}/rows", "missing", "at least one language"))
            continue
        for locale, source in rows.items():
            if not _LOCALE.fullmatch(locale):
                faults.append(Fault(f"{place}/rows/{locale}", "bad_value", "a language tag such as de-AT"))
            elif not isinstance(source, str) or not source.strip():
                faults.append(Fault(f"{place}/rows/{locale}", "missing", "the block's MJML in this language"))
        read[str(key)] = Variant(str(key), dict(rows))
    return tuple(read.values())


def read_targeting(given: Any, faults: list[Fault], *, asks: bool) -> Targeting:
    """Targeting from its content; faults go to ``faults``. Only ``asks`` are counted, so only they have caps."""
    if not isinstance(given, Mapping):
        faults.append(Fault("/targeting", "wrong_type", "an object"))
        return Targeting()
    mine = _unknown(given, Targeting, "/targeting")
    values: dict[str, Any] = {}
    for name, (pattern, meant) in _LISTS.items():
        value = given.get(name, ())
        if not isinstance(value, list | tuple) or not all(isinstance(x, str) and pattern.fullmatch(x) for x in value):
            mine.append(Fault(f"/targeting/{name}", "bad_value", f"a list of {meant}"))
        values[name] = tuple(value) if isinstance(value, list | tuple) else ()
    for name in ("min_value", "max_value"):
        values[name] = given.get(name, "")
        if not isinstance(values[name], str) or (values[name] and not _AMOUNT.fullmatch(values[name])):
            mine.append(Fault(f"/targeting/{name}", "bad_value", 'an amount in a text, such as "49.90"'))
    values["value_currency"] = given.get("value_currency", "")
    currency = values["value_currency"]
    valued = bool(values["min_value"] or values["max_value"])
    if not isinstance(currency, str) or valued is not bool(_CURRENCY.fullmatch(currency)):
        mine.append(Fault("/targeting/value_currency", "bad_value", "the currency (EUR) of min_value or max_value"))
    for name, (least, most, default) in _NUMBERS.items():
        value = given.get(name, default)
        if value != default and (type(value) is not int or not least <= value <= most):
            mine.append(Fault(f"/targeting/{name}", "bad_value", f"a whole number from {least} to {most}"))
        elif value != default and not asks and name in _COUNTED:
            mine.append(Fault(f"/targeting/{name}", "bad_value", "only asks are counted: opt_in blocks may have it"))
        values[name] = value
    faults += mine
    return Targeting() if mine else Targeting(**values)


@dataclass(frozen=True, slots=True)
class Wording:
    """The immutable text of one ask as shown, with its promise; its id is the SHA-256 of its content."""

    id: bytes
    language: str
    content: str


def wording(
    block: BlockVersion | None, variant: str, language: str, text: str, purpose: Purpose, promise: Promise
) -> Wording:
    """The wording of a block's variant in one language; ``text`` is its plain text with its places for data. Without a
    block it is the promise as a page of our own shows it."""
    content = json.dumps(
        {
            "language": language,
            "block": block.slug if block else "",
            "variant": variant,
            "text": text,
            "purpose": purpose.id,
            "purpose_version": purpose.version,
            "promise": asdict(promise),
            "channels": purpose.channels,
            "recipients": purpose.recipients,
            "covers_transactional": purpose.covers_transactional,
            "grant": purpose.grant,
        },
        ensure_ascii=False,
        sort_keys=True,
    )
    return Wording(hashlib.sha256(content.encode()).digest(), language, content)


def nearest(rows: Mapping[str, Any], locale: str, default: str) -> str:
    """The best key for a language: ``de-AT``, then ``de``, then the shop's default, then whatever comes first."""
    for wanted in (locale, locale.partition("-")[0], default, default.partition("-")[0]):
        if wanted in rows:
            return wanted
    return next(iter(rows))


def _text(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    return value if isinstance(value, str) else ""


def _unknown(given: Mapping[str, Any], noun: type, place: str, without: Sequence[str] = ()) -> list[Fault]:
    known = {one.name for one in fields(noun)} - set(without)
    return [Fault(f"{place}/{name}", "unknown_field", "there is no such field") for name in given if name not in known]
