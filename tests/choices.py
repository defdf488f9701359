"""Blocks, markets and situations for the tests of choosing."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

from handraiser.core.block import BlockVersion, Targeting, read_block
from handraiser.core.choice import Choice, choose
from handraiser.core.eligibility import Situation
from handraiser.core.market import Markets, load

NOW = 1_790_000_000_000
DAY = 86_400_000
COMPANY = bytes.fromhex("0a" * 16)


def shipped_markets() -> Markets:
    """The table that comes with the product."""
    return load(resources.files("handraiser.core").joinpath("markets.toml").read_text(encoding="utf-8"))


MARKETS = shipped_markets()


def content(slug: str = "welcome", kind: str = "opt_in", **given: Any) -> dict[str, Any]:
    """A block's content as a marketer sends it."""
    return {
        "slug": slug,
        "kind": kind,
        "slot": "ask" if kind == "opt_in" else "service",
        "purpose": "offers" if kind == "opt_in" else None,
        "variants": [{"key": "a", "rows": {"en": "<mj-section></mj-section>"}}],
        **given,
    }


def block(slug: str = "welcome", kind: str = "opt_in", n: int = 1, **given: Any) -> BlockVersion:
    """A live block; ``targeting`` holds what differs from "everybody"."""
    return read_block(content(slug, kind, **given), controller_id=COMPANY, block_id=bytes([n]) * 16, version=1)


def ask(**targeting: Any) -> BlockVersion:
    return replace(block(), targeting=Targeting(**targeting))


def situation(**given: Any) -> Situation:
    """Alice's first order in the US, which may carry an ask; ``given`` is what differs."""
    usual: dict[str, Any] = {
        "mode": "on",
        "market": MARKETS.of("US"),
        "touchpoint": "email:order_confirmation",
        "live_sale": True,
        "now": NOW,
        "locale": "en",
        "customer_kind": "new",
        "country": "US",
        "purchased_at": NOW,
    }
    return Situation(**(usual | given))


def decide(blocks: BlockVersion | list[BlockVersion], *, stands: bool = True, **given: Any) -> Choice:
    """The choice for :func:`situation` with ``given``."""
    several = blocks if isinstance(blocks, list) else [blocks]
    return choose(situation(**given), several, lambda _: stands)


def reason(blocks: BlockVersion | list[BlockVersion], *, stands: bool = True, **given: Any) -> str:
    """The first reason, or "" when the one block is placed."""
    choice = decide(blocks, stands=stands, **given)
    return choice.skipped[0].reason if choice.skipped else ""
