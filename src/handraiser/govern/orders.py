"""Orders that send no mail through us, their changes, and history: for new and current customers, and for reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from handraiser.core import mailbox
from handraiser.core.import_file import FileRow
from handraiser.core.order_record import OrderRecord, read_order
from handraiser.core.shop import Shop
from handraiser.errors import Fault, Refused
from handraiser.store import orders
from handraiser.store.orders import OrderRow, Taken
from handraiser.store.sql import RowRefused
from handraiser.store.subjects import NewSubject, Sealer
from handraiser.store.writer import Writer


@dataclass(frozen=True, slots=True)
class Told:
    """One order that was told: which, what became of it (see :class:`handraiser.store.orders.Taken`; ``test``: it was
    only checked), and what was left out of it."""

    order_id: str
    taken: Taken
    warnings: tuple[Fault, ...]


class Orders:
    """Takes orders one by one, or a file in chunks."""

    def __init__(
        self,
        *,
        writer: Writer,
        sealer: Sealer,
        pepper: tuple[int, bytes],
        clock: Callable[[], int],
        new_id: Callable[[int], bytes],
    ) -> None:
        """``pepper`` is (id, secret), as it finds mailboxes."""
        self._writer, self._sealer, self._pepper = writer, sealer, pepper
        self._clock, self._new_id = clock, new_id

    async def take(self, shop: Shop, body: object, *, test: bool = False) -> Told:
        """One order as it stands; the same, or an older one, again changes nothing. With ``test`` it is only checked.

        Raises :class:`Refused` naming every fault, and :class:`StoreUnavailable`.
        """
        record = read_order(body, shop, self._clock())
        if test:
            return Told(record.order_id, Taken("test"), record.warnings)
        taken = await self._writer.write(orders.put, self._row(shop, record))
        return Told(record.order_id, taken, record.warnings)

    async def take_rows(self, shop: Shop, rows: Sequence[FileRow], *, test: bool = False) -> list[Told | list[Fault]]:
        """Some rows of a file, in their order; of a row that cannot be used its faults."""
        return list(await asyncio.gather(*(self._take_row(shop, row, test=test) for row in rows)))

    async def _take_row(self, shop: Shop, row: FileRow, *, test: bool) -> Told | list[Fault]:
        if row.fault is not None:
            return [row.fault]
        try:
            return await self.take(shop, row.given, test=test)
        except Refused as error:
            return list(error.faults)
        except RowRefused as error:
            return [Fault("", "bad_value", str(error))]

    def _row(self, shop: Shop, record: OrderRecord) -> OrderRow:
        company, now = shop.controller.id, self._clock()
        lookup = mailbox.lookup(self._pepper[1], company, record.address)
        address = self._sealer.seal(company, record.address)
        return OrderRow(
            controller_id=company,
            shop_id=shop.id,
            subject=NewSubject(company, self._new_id(now), lookup, self._pepper[0], address, now),
            record=record,
            told_at=now,
        )
