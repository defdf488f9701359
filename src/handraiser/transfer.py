"""Files of consents in and out, and of orders in, for the command line: chunk by chunk, resumed after a kill."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from handraiser.app import open_service
from handraiser.core.import_file import ROW_BYTES, FileRow, FileRows, Kind, guarded
from handraiser.doors import control
from handraiser.errors import HandraiserError, StoreUnavailable
from handraiser.govern import CHUNK
from handraiser.settings import Settings

PIECE_BYTES = 1 << 18
CHUNK_BYTES = 1 << 20
WAITS_SECONDS = (1, 2, 5, 10, 30)
COLUMNS = ("email", "purpose", "channel", "event", "occurred_at")

Run = Callable[[str, dict[str, Any]], Awaitable[Any]]


@asynccontextmanager
async def _commands(settings: Settings) -> AsyncIterator[Run]:
    """Where commands go: to the service that holds the database, else to one that is opened for all of them."""
    if settings.database.startswith("sqlite"):
        try:
            await control.ask(settings.state_dir, "shops.list", {})
        except control.NoService:
            pass
        else:

            async def ask(name: str, arguments: dict[str, Any]) -> Any:
                return await control.ask(settings.state_dir, name, arguments)

            yield ask
            return
    async with open_service(settings) as service:
        yield service.command


async def import_file(
    settings: Settings, path: Path, shop: str, faults_to: Path, moved: Callable[[int], None], what: str = "consents"
) -> dict[str, Any]:
    """Import a CSV (``.csv``; consents alone) or NDJSON file of ``consents`` or ``orders`` and return the sums.

    Rows that cannot be used go to ``faults_to``, a JSON line each. ``moved`` is told how many bytes are done. The same
    file goes on where it was stopped; once done it changes nothing. Raises :class:`HandraiserError`.
    """
    orders = what == "orders"
    kind: Kind = "csv" if path.suffix.lower() == ".csv" and not orders else "ndjson"
    read = partial(FileRows, kind, limit=settings.body_limit_bytes, loads=_exact) if orders else partial(FileRows, kind)
    import_id = _identity(path, shop)
    async with _commands(settings) as command:
        told = await command(f"{what}.import_begin", {"shop": shop, "import_id": import_id})
        with path.open("rb") as file, _faults(faults_to, told) as faults:
            for chunk in _chunks(file, kind, told, read):
                arguments = {"shop": shop, "import_id": import_id, "start": told["bytes_done"], "rows": chunk}
                told = await _kept(command, what, arguments)
                _write(faults, told["faults"])
                moved(told["bytes_done"])
        await command(f"{what}.import_end", {"shop": shop, "import_id": import_id})
    return {name: told[name] for name in ("rows_done", "applied", "unchanged", "blank", "refused")}


async def _kept(command: Run, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Where the file stands once a chunk is kept. A database that is busy or away is waited for (48 s), and asked
    first whether it has the chunk: an answer may have been lost."""
    waits = iter(WAITS_SECONDS)
    while True:
        try:
            told: dict[str, Any] = await command(f"{what}.import_begin", arguments)
            if told["bytes_done"] == arguments["start"]:
                told = await command(f"{what}.import_rows", arguments)
            return told
        except StoreUnavailable:
            wait = next(waits, None)
            if wait is None:
                raise
            await asyncio.sleep(wait)


async def export(settings: Settings, shop: str, file: TextIO, kind: Kind) -> int:
    """Write every standing of a shop's company as rows that can be imported again; how many."""
    count = 0
    sheet = csv.writer(file)
    if kind == "csv":
        sheet.writerow(COLUMNS)
    async with _commands(settings) as command:
        after = ""
        while True:
            page = await command("consents.page", {"shop": shop, "after": after})
            for row in page["rows"]:
                if kind == "csv":
                    sheet.writerow([guarded(str(row[name])) for name in COLUMNS])
                else:
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += len(page["rows"])
            after = page["after"]
            if not after:
                return count


def _identity(path: Path, shop: str) -> str:
    """What makes a file the same one: its shop and its bytes."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(shop.encode())
    return digest.hexdigest()


def _exact(text: str) -> Any:
    """A line of JSON whose amounts stay as they were written, and which can be told to a running service."""
    found = json.loads(text, parse_float=str, parse_int=lambda digits: int(digits) if len(digits) < 19 else digits)
    try:
        orjson.dumps(found)
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from None
    return found


def _chunks(file: BinaryIO, kind: Kind, told: dict[str, Any], read: Callable[..., FileRows]) -> Iterator[list[Any]]:
    """The rows that are not done yet, as the command takes them; a chunk is at most 500 rows or about 1 MB."""
    rows = read(number=told["rows_done"], end=told["bytes_done"])
    held: list[Any] = []
    begun = told["bytes_done"]
    try:
        if kind == "csv" and begun:
            rows.names_are(file.readline(ROW_BYTES))
        file.seek(begun)
        for row in _rows(file, rows):
            held.append((row.number, row.given, asdict(row.fault) if row.fault else None, row.end))
            if len(held) >= CHUNK or row.end - begun >= CHUNK_BYTES:
                yield held
                held, begun = [], row.end
    except ValueError as error:
        raise HandraiserError(str(error)) from None
    if held:
        yield held


def _rows(file: BinaryIO, rows: FileRows) -> Iterator[FileRow]:
    while piece := file.read(PIECE_BYTES):
        yield from rows.push(piece)
    yield from rows.close()


def _faults(path: Path, told: dict[str, Any]) -> TextIO:
    """The file for what is wrong; a new import empties it, a resumed one adds what was committed but not written."""
    written = path.read_text(encoding="utf-8").splitlines() if told["rows_done"] and path.exists() else []
    whole = [line for line in written if line.endswith("}")]
    file = path.open("w", encoding="utf-8")
    file.writelines(f"{line}\n" for line in whole)
    last = json.loads(whole[-1])["row"] if whole else 0
    _write(file, [fault for fault in told["faults"] if fault["row"] > last])
    return file


def _write(file: TextIO, faults: list[dict[str, Any]]) -> None:
    file.writelines(json.dumps(fault, ensure_ascii=False) + "\n" for fault in faults)
    file.flush()
