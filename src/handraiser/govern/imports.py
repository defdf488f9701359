"""An existing database of consents comes in, and goes out: row by row, a chunk a commit, a bad row alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from handraiser.core.consent_record import read_record, says_nothing
from handraiser.core.import_file import FileRow
from handraiser.core.shop import Shop
from handraiser.errors import Fault, HandraiserError, NotFound
from handraiser.govern.records import Records, Telling
from handraiser.store import consent_records, import_runs, shops
from handraiser.store.database import Database, Transaction
from handraiser.store.import_runs import Run
from handraiser.store.subjects import Sealer
from handraiser.store.writer import Writer

CHUNK = 500
"""Rows a commit: more are no faster, and SQLite takes 32,766 values in one statement."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    shop: Shop
    rows: Sequence[FileRow]
    purposes: frozenset[str]
    import_id: bytes
    start: int


class OutOfStep(HandraiserError):
    """Another process imports the same file, or the file was changed."""


async def resumed(tx: Transaction, company: bytes, import_id: bytes, start: int) -> Run:
    """How far a file came before the chunk that begins at ``start``; raises :class:`OutOfStep`."""
    before = await import_runs.find(tx, company, import_id) if import_id else Run()
    if import_id and before.bytes_done != start:
        raise OutOfStep("this file is being imported by another process, or was changed meanwhile")
    return before


def told_rows(arguments: dict[str, Any]) -> list[FileRow]:
    """The rows of a chunk as the command line sends them."""
    return [
        FileRow(number, given, Fault(**fault) if fault else None, end)
        for number, given, fault, end in arguments["rows"]
    ]


class Imports:
    """Imports chunks of a file, and gives standings page by page."""

    def __init__(
        self, *, database: Database, writer: Writer, records: Records, sealer: Sealer, clock: Callable[[], int]
    ) -> None:
        self._database, self._writer, self._records = database, writer, records
        self._sealer, self._clock = sealer, clock

    async def done(self, slug: str, import_id: bytes) -> Run:
        """How far the file of this id came; raises :class:`NotFound` for an unknown shop."""
        shop = await self.shop(slug)
        return await import_runs.find(self._database, shop.controller.id, import_id)

    async def take(self, shop: Shop, rows: Sequence[FileRow], *, import_id: bytes = b"", start: int = 0) -> Run:
        """Keep a chunk's rows in one commit and return what became of them, or with ``import_id`` of the whole file.

        ``start`` is how many bytes of the file were done before. A row without an event says nothing and changes
        nothing. Raises :class:`OutOfStep`, and :class:`StoreUnavailable`: then nothing of the chunk was kept.
        """
        chunk = _Chunk(shop, rows, await self._records.purposes(shop), import_id, start)
        run: Run = await self._writer.write(self._take, chunk)
        return run

    async def complete(self, shop: Shop, *, rows: int, blank: int, refused: int) -> None:
        """The whole list is in: from now on the company's customers are known, whether they stand in it or not.

        An empty list says that there is nothing to know; one of which no row could be used says nothing.
        """
        if not rows or refused < rows - blank:
            await self._writer.write(self._told, shop.controller.id)

    async def _told(self, tx: Transaction, controllers: Sequence[bytes]) -> list[None]:
        await consent_records.keep_told(tx, controllers, self._clock())
        return [None] * len(controllers)

    async def _take(self, tx: Transaction, chunks: Sequence[_Chunk]) -> list[Run]:
        return [await self._chunk(tx, chunk) for chunk in chunks]

    async def _chunk(self, tx: Transaction, chunk: _Chunk) -> Run:
        now = self._clock()
        company = chunk.shop.controller.id
        before = await resumed(tx, company, chunk.import_id, chunk.start)
        zone = ZoneInfo(chunk.shop.time_zone)
        tellings: list[Telling] = []
        faults: list[dict[str, Any]] = []
        blank = 0
        for row in chunk.rows:
            wrong = [row.fault] if row.fault else []
            if row.given is not None and says_nothing(row.given):
                blank += 1
                continue
            record = None if wrong else read_record(row.given, chunk.purposes, now, zone, faults=wrong)
            if record is not None and not record.email:
                wrong.append(Fault("/email", "missing", "an import names every customer by its address"))
            if record is not None and record.occurred_at is None and record.event == "granted":
                wrong.append(
                    Fault("/occurred_at", "missing", "when it was granted: a consent without a time proves little")
                )
            if wrong or record is None:
                faults.append({"row": row.number, "errors": [fault.as_json() for fault in wrong]})
            else:
                tellings.append(Telling(chunk.shop, record, "import"))
        taken = await self._records.take_all(tx, tellings) if tellings else []
        applied = sum(one.applied and one.reason != "already" for one in taken)
        run = Run(
            bytes_done=chunk.rows[-1].end if chunk.rows else chunk.start,
            rows_done=before.rows_done + len(chunk.rows),
            applied=before.applied + applied,
            unchanged=before.unchanged + len(taken) - applied,
            blank=before.blank + blank,
            refused=before.refused + len(faults),
            faults=faults,
        )
        if chunk.import_id:
            await import_runs.move(tx, company, chunk.import_id, run, now)
        return run

    async def page(self, slug: str, after: bytes) -> dict[str, Any]:
        """The standings of some mailboxes as rows that can be imported again, and where the next page begins."""
        shop = await self.shop(slug)
        found = await import_runs.exported(self._database, shop.controller.id, after)
        rows = [
            {
                "email": self._sealer.open(shop.controller.id, one["address"]),
                "purpose": one["purpose"],
                "channel": one["channel"],
                "event": one["state"],
                "occurred_at": one["since"],
            }
            for one in found
            if one["state"] is not None
        ]
        return {"rows": rows, "after": found[-1]["subject_id"].hex() if found else ""}

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, answered in JSON's types."""
        slug = arguments["shop"]
        if name == "consents.page":
            return await self.page(slug, bytes.fromhex(arguments["after"]))
        import_id = bytes.fromhex(arguments["import_id"])
        if name == "consents.import_begin":
            return asdict(await self.done(slug, import_id))
        if name == "consents.import_end":
            run = await self.done(slug, import_id)
            await self.complete(await self.shop(slug), rows=run.rows_done, blank=run.blank, refused=run.refused)
            return None
        rows = told_rows(arguments)
        run = await self.take(await self.shop(slug), rows, import_id=import_id, start=arguments["start"])
        return asdict(replace(run, faults=list(run.faults)))

    async def shop(self, slug: str) -> Shop:
        """The shop of this slug; raises :class:`NotFound`."""
        shop = await shops.by_slug(self._database, slug)
        if shop is None:
            raise NotFound(f"there is no shop “{slug}”")
        return shop
