"""Orders that send no mail through us, their changes, and history: for new and current customers, and for reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from handraiser.core import mailbox
from handraiser.core.import_file import FileRow
from handraiser.core.order_record import OrderRecord, read_order
from handraiser.core.shop import Shop
from handraiser.errors import Fault, Refused
from handraiser.govern.imports import resumed
from handraiser.store import import_runs, orders
from handraiser.store.database import Transaction
from handraiser.store.import_runs import Run
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


@dataclass(frozen=True, slots=True)
class _Chunk:
    shop: Shop
    rows: Sequence[FileRow]
    import_id: bytes
    start: int


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

    async def take_file(self, shop: Shop, rows: Sequence[FileRow], *, import_id: bytes, start: int) -> Run:
        """Keep a chunk of a file in one commit, an order that names no kind as history; what became of the whole file.

        ``start`` is how many bytes of the file were done before. Raises :class:`OutOfStep`, and
        :class:`StoreUnavailable`: then nothing of the chunk was kept.
        """
        run: Run = await self._writer.write(self._take_chunks, _Chunk(shop, rows, import_id, start))
        return run

    async def _take_chunks(self, tx: Transaction, chunks: Sequence[_Chunk]) -> list[Run]:
        return [await self._take_chunk(tx, chunk) for chunk in chunks]

    async def _take_chunk(self, tx: Transaction, chunk: _Chunk) -> Run:
        now, company = self._clock(), chunk.shop.controller.id
        before = await resumed(tx, company, chunk.import_id, chunk.start)
        read: list[OrderRow] = []
        faults: list[dict[str, Any]] = []
        for row in chunk.rows:
            wrong: Sequence[Fault] = [row.fault] if row.fault else ()
            if row.given is not None:
                try:
                    read.append(self._row(chunk.shop, read_order({"kind": "historical", **row.given}, chunk.shop, now)))
                except Refused as error:
                    wrong = error.faults
            if wrong:
                faults.append({"row": row.number, "errors": [fault.as_json() for fault in wrong]})
        taken = await orders.put(tx, read) if read else []
        applied = sum(one.outcome in ("recorded", "updated") for one in taken)
        run = Run(
            bytes_done=chunk.rows[-1].end if chunk.rows else chunk.start,
            rows_done=before.rows_done + len(chunk.rows),
            applied=before.applied + applied,
            unchanged=before.unchanged + len(taken) - applied,
            refused=before.refused + len(faults),
            faults=faults,
        )
        await import_runs.move(tx, company, chunk.import_id, run, now)
        return run

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
