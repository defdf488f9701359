"""``POST /v1/consents/import``: an existing database of consents, streamed; a bad row fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from aiohttp import web

from handraiser.core.import_file import FileRow, FileRows, Kind
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation
from handraiser.doors.web import Problem, problem_of
from handraiser.errors import Fault
from handraiser.govern import CHUNK, Imports
from handraiser.settings import Settings

NDJSON = "application/x-ndjson"
KINDS: dict[str, Kind] = {
    "text/csv": "csv",
    NDJSON: "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}


class ImportDoor:
    """Reads as fast as it can write; what it holds is one chunk."""

    def __init__(self, imports: Imports, keys: Keys, settings: Settings) -> None:
        self._imports = imports
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "POST",
                "/v1/consents/import",
                self.take,
                "consents",
                "Import an existing database",
                "One record a row, as CSV with a line of names or as NDJSON. The answer names each row that cannot be "
                "used, a line each, and ends with the sums. What was answered is kept; the same file again changes "
                "nothing. A row without an event says nothing; no import ends a withdrawal.",
                request="RecordLines",
                answer="ImportLines",
                ndjson=True,
                csv=True,
                answers=frozenset({415}),
            ),
        )

    async def take(self, request: web.Request) -> web.StreamResponse:
        caller = await self._keys.caller(request, "consents")
        if caller.key.test:
            raise Problem(403, "A test key imports nothing.")
        kind = KINDS.get(request.content_type)
        if kind is None:
            raise Problem(415, f"Send text/csv or {NDJSON}.")
        response = web.StreamResponse(headers={"Content-Type": NDJSON, "X-Content-Type-Options": "nosniff"})
        await response.prepare(request)
        sums = {"rows": 0, "applied": 0, "unchanged": 0, "blank": 0, "refused": 0}
        try:
            async for chunk in chunks(request, FileRows(kind), self._settings.body_seconds):
                run = await self._imports.take(caller.shop, chunk)
                told = {"rows": run.rows_done, **{name: getattr(run, name) for name in sums if name != "rows"}}
                sums = {name: sums[name] + told[name] for name in sums}
                for fault in run.faults:
                    await response.write(orjson.dumps(fault) + b"\n")
            told = {name: sums[name] for name in ("rows", "blank", "refused")}
            await self._imports.complete(caller.shop, **told)
            await response.write(orjson.dumps({**sums, "complete": True}) + b"\n")
        except Exception as error:
            # The answer has begun: what went wrong is its last line, and tells how many rows are safe.
            await response.write(orjson.dumps({**sums, "complete": False, **told_problem(error)}) + b"\n")
        await response.write_eof()
        return response


async def chunks(request: web.Request, rows: FileRows, seconds: float) -> AsyncIterator[list[FileRow]]:
    """The rows of a body as it arrives, at most :data:`CHUNK` at a time.

    Raises :class:`Problem` when nothing more comes within ``seconds`` (408), or the first line names no columns (422).
    """
    held: list[FileRow] = []
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await request.content.readany()
        except TimeoutError:
            raise Problem(408, "The rest of the import did not arrive in time.") from None
        try:
            held += rows.push(piece) if piece else rows.close()
        except ValueError as error:
            raise Problem(422, faults=[Fault("", "no_names", str(error))]) from None
        while len(held) >= CHUNK:
            yield held[:CHUNK]
            del held[:CHUNK]
        if not piece:
            break
    if held:
        yield held


def told_problem(error: Exception) -> dict[str, Any]:
    """What went wrong, as the last line of an answer that had begun."""
    problem = problem_of(error)
    return {"status": problem.status, "title": str(problem), "errors": [fault.as_json() for fault in problem.faults]}
