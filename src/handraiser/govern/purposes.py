"""What a company asks consent for: its live purposes, and new versions of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from handraiser.core.block import Purpose, read_purpose
from handraiser.errors import Fault, Refused
from handraiser.store import blocks
from handraiser.store.blocks import PurposeRow
from handraiser.store.database import Database
from handraiser.store.writer import Writer

_TRIES = 4
_LONGEST = 2_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Purposes:
    """Reads and adds versions; a version that was consented to is never changed."""

    def __init__(self, database: Database, writer: Writer, clock: Callable[[], int]) -> None:
        self._database, self._writer, self._clock = database, writer, clock

    async def live(self, controller_id: bytes) -> list[Purpose]:
        """The company's live purposes, by name."""
        found = await blocks.purposes(self._database, controller_id)
        return [Purpose.from_json(row.content) for row in found if row.live]

    async def put(self, controller_id: bytes, content: Mapping[str, Any], by: str) -> Purpose:
        """Put a purpose live, as the next version of its name; the same content as the live one stays that version.

        Raises :class:`Refused` naming every fault.
        """
        faults = [
            Fault(pointer, "bad_value", f"at most {_LONGEST} characters, none of them a control character")
            for pointer, text in _texts(content, "")
            if len(text) > _LONGEST or _CONTROL.search(text)
        ]
        if faults:
            raise Refused(faults)
        read_purpose({**content, "version": 1})
        for _ in range(_TRIES):
            rows = [row for row in await blocks.purposes(self._database, controller_id) if row.slug == content["id"]]
            newest = max((row.version for row in rows), default=0)
            now = next((Purpose.from_json(row.content) for row in rows if row.live), None)
            if now is not None and now == read_purpose({**content, "version": now.version}):
                return now
            purpose = read_purpose({**content, "version": newest + 1})
            row = PurposeRow(controller_id, purpose.id, purpose.version, purpose.to_json(), self._clock(), by)
            if await self._writer.write(blocks.put_purposes, row):
                return purpose
        raise Refused([Fault("/id", "busy", "others change this purpose at the same moment; try again")])


def _texts(value: object, pointer: str) -> list[tuple[str, str]]:
    """Every text within, names included, with its pointer."""
    if isinstance(value, str):
        return [(pointer, value)]
    if isinstance(value, Mapping):
        inner = [found for name, one in value.items() for found in _texts(one, f"{pointer}/{name}")]
        return [(pointer, str(name)) for name in value] + inner
    if isinstance(value, list):
        return [found for n, one in enumerate(value) for found in _texts(one, f"{pointer}/{n}")]
    return []
