"""What is live right now, compiled and loaded: pages by type and language, blocks by slot, purposes. Replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from handraiser.core.block import BlockVersion, Purpose, Wording
from handraiser.core.mjml.fill import Block, Page
from handraiser.core.placement import Placement

PageKey = tuple[str, str]
"""(email type or own template's name, locale)."""

BlockKey = tuple[str, str, bytes, int, str, str]
"""(page, slot, block id, version, variant, locale)."""


@dataclass(frozen=True, slots=True)
class LivePage:
    """A compiled page and the content address of its program."""

    key: bytes
    page: Page


@dataclass(frozen=True, slots=True)
class LiveBlock:
    """A compiled block, its program's content address, and the wording it shows (asks only)."""

    key: bytes
    block: Block
    wording: Wording | None = None

    def placement(self, block: BlockVersion, variant: str) -> Placement:
        """This block put into its slot, as the message row keeps it."""
        return Placement(
            slot=block.slot,
            block=block.slug,
            block_id=block.block_id,
            version=block.version,
            variant=variant,
            legal_class=block.legal_class,
            purpose=block.purpose,
            wording_id=self.wording.id if self.wording else None,
            program=self.key,
        )


@dataclass(frozen=True, slots=True)
class ShopCatalogue:
    """All that one shop can show; what its page refused is missing from ``compiled``."""

    pages: Mapping[PageKey, LivePage]
    blocks: tuple[BlockVersion, ...]
    compiled: Mapping[BlockKey, LiveBlock]
    purposes: Mapping[str, Purpose]

    def stands(self, template: str, locale: str, block: BlockVersion) -> bool:
        """Whether every variant of a block can be shown on a page, so that a draw among them cannot fail."""
        return all(
            (template, block.slot, block.block_id, block.version, variant.key, locale) in self.compiled
            for variant in block.variants
        )


@dataclass(slots=True)
class Shelf:
    """Where the stories find the live catalogue; publishing puts a new one here as a whole."""

    revision: int = -1
    shops: Mapping[bytes, ShopCatalogue] = field(default_factory=dict)

    def put(self, revision: int, shops: Mapping[bytes, ShopCatalogue]) -> None:
        self.revision, self.shops = revision, shops
