"""What is live right now, compiled and loaded: pages by type and language, blocks by slot, purposes. Replaced whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from handraiser.core.assignment import Draw
from handraiser.core.block import BlockVersion, Purpose, Wording
from handraiser.core.experiment import Entry, Running, entries
from handraiser.core.mjml.fill import Block, Page
from handraiser.core.placement import Placement
from handraiser.errors import Refused

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

    def placement(self, block: BlockVersion, variant: str, entry: Entry | None = None) -> Placement:
        """This block put into its slot, as the message row keeps it; ``entry`` is the test it stands for."""
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
            experiment=entry.running.experiment.key if entry else "",
            arm=entry.arm.key if entry else "",
        )


@dataclass(frozen=True, slots=True)
class ShopCatalogue:
    """All that one shop can show; what its page refused is missing from ``compiled``. ``tests`` are running ones, and
    ``holdout`` those who see nothing."""

    pages: Mapping[PageKey, LivePage]
    blocks: tuple[BlockVersion, ...]
    compiled: Mapping[BlockKey, LiveBlock]
    purposes: Mapping[str, Purpose]
    tests: tuple[Running, ...] = ()
    holdout: Running | None = None

    @property
    def experimenting(self) -> bool:
        """Whether what a subject saw first has to be known."""
        return bool(self.tests) or self.holdout is not None

    def held_out(self, subject: str, stored: Mapping[bytes, Draw]) -> Entry | None:
        """The subject's place in the holdout, if there is one."""
        found = entries((self.holdout,), subject, "", stored) if self.holdout else ()
        return found[0] if found else None

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


def read_purposes(texts: Sequence[str], faults: list[str]) -> dict[str, Purpose]:
    """The live purposes; one that cannot be read is left out and told in ``faults``."""
    purposes = {}
    for text in texts:
        try:
            purpose = Purpose.from_json(text)
        except Refused as error:
            faults.append(f"a purpose cannot be read: {error}")
        else:
            purposes[purpose.id] = purpose
    return purposes


def read_blocks(texts: Sequence[str], purposes: Mapping[str, Purpose], faults: list[str]) -> tuple[BlockVersion, ...]:
    """The live blocks; one that this version of the service cannot read is left out and harms no other."""
    blocks = []
    for text in texts:
        try:
            block = BlockVersion.from_json(text)
        except Refused as error:
            faults.append(f"a block cannot be read: {error}")
            continue
        if block.purpose is None or block.purpose in purposes:
            blocks.append(block)
        else:
            faults.append(f"{block.slug}: its purpose {block.purpose} is not live")
    return tuple(blocks)
