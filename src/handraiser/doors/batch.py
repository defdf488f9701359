"""``POST /v1/emails/batch``: NDJSON in, NDJSON out, same order, bounded memory; a bad line fails alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from aiohttp import web

from handraiser.core.letter import Options
from handraiser.core.payload import parse
from handraiser.doors.api import DRY_RUN, STRICT, check_key, composed_json, read_flags
from handraiser.doors.keys import Caller, Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.turns import Turns
from handraiser.doors.web import Problem, problem_of
from handraiser.enrich import Enrich
from handraiser.errors import Fault
from handraiser.settings import Settings

NDJSON = "application/x-ndjson"


class Batch:
    """Many payloads in one request; at most ``batch_parallel`` lines are at work, so memory stays bounded."""

    def __init__(self, enrich: Enrich, turns: Turns, keys: Keys, settings: Settings) -> None:
        self._enrich = enrich
        self._turns = turns
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "POST",
                "/v1/emails/batch",
                self.batch,
                "emails",
                "Many emails in one request",
                "One payload a line (`application/x-ndjson`), each with its own `idempotency_key` if wanted; one "
                "answer a line in the same order, each the composed email or its own problem.",
                parameters=(
                    DRY_RUN,
                    STRICT,
                    Parameter(
                        "fail_open", "query", "False: 503 a line while the database is away", {"type": "boolean"}
                    ),
                ),
                request="EmailLines",
                answer="ComposedEmailLines",
                ndjson=True,
            ),
        )

    async def batch(self, request: web.Request) -> web.StreamResponse:
        caller = await self._keys.caller(request, "emails")
        flags = read_flags(request)
        if request.content_type not in (NDJSON, "application/ndjson", "application/jsonl"):
            raise Problem(415, f"Send {NDJSON}.")
        response = web.StreamResponse(headers={"Content-Type": NDJSON, "X-Content-Type-Options": "nosniff"})
        await response.prepare(request)
        waiting: deque[asyncio.Task[dict[str, Any]]] = deque()
        try:
            count = 0
            async for line in self._lines(request):
                count += 1
                if isinstance(line, Problem) or count > self._settings.batch_lines:
                    refused = line if isinstance(line, Problem) else Problem(413, "Too many lines in one batch.")
                    waiting.append(asyncio.create_task(_answered(refused)))
                    break
                waiting.append(asyncio.create_task(self._line(request, caller, flags, line)))
                if len(waiting) >= self._settings.batch_parallel:
                    await self._send(response, waiting)
            while waiting:
                await self._send(response, waiting)
        finally:
            for task in waiting:
                task.cancel()
        await response.write_eof()
        return response

    async def _lines(self, request: web.Request) -> AsyncIterator[bytes | Problem]:
        """The lines of the body; a line over the body limit, or one that does not arrive in time, ends the batch."""
        held = bytearray()
        limit = self._settings.body_limit_bytes
        try:
            while True:
                async with asyncio.timeout(self._settings.body_seconds):
                    part = await request.content.readany()
                if not part:
                    break
                held += part
                *lines, rest = held.split(b"\n")
                held = bytearray(rest)
                for line in lines:
                    if line.strip():
                        yield bytes(line)
                if len(held) > limit:
                    yield Problem(413, f"A line has more than {limit} bytes; the rest of the batch was not read.")
                    return
        except TimeoutError:
            yield Problem(408, "The rest of the batch did not arrive in time.")
            return
        if held.strip():
            yield bytes(held)

    async def _line(self, request: web.Request, caller: Caller, flags: dict[str, bool], line: bytes) -> dict[str, Any]:
        try:
            body = parse(line)
            key = body.pop("idempotency_key", None) if isinstance(body, dict) else None
            options = Options(
                dry_run=flags.get("dry_run", False),
                strict=flags.get("strict", caller.key.test),
                test=caller.key.test,
                fail_open=flags.get("fail_open"),
                idempotency_key=None if key is None else check_key(key, "/idempotency_key"),
                request_hash=hashlib.sha256(b"batch\n" + request.query_string.encode() + b"\n" + line.strip()).digest(),
            )
            async with self._turns.of(caller.shop.id):
                composed = await self._enrich.email(caller.shop, body, options)
            self._turns.told(composed.skipped_reason)
            return composed_json(composed)
        except Exception as error:
            problem = problem_of(error)
            faults: list[Fault] = list(problem.faults)
            return {"status": problem.status, "title": str(problem), "errors": [fault.as_json() for fault in faults]}

    async def _send(self, response: web.StreamResponse, waiting: deque[asyncio.Task[dict[str, Any]]]) -> None:
        await response.write(orjson.dumps(await waiting.popleft()) + b"\n")


async def _answered(problem: Problem) -> dict[str, Any]:
    return {"status": problem.status, "title": str(problem), "errors": []}
