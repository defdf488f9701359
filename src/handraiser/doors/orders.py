"""``POST /v1/orders``: orders that send no mail through us, one as JSON or many as NDJSON; a bad line fails alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from handraiser.core.import_file import FileRows
from handraiser.core.payload import exact_json, parse
from handraiser.doors.imports import KINDS, NDJSON, chunks, told_problem
from handraiser.doors.keys import Caller, Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import Problem, json_response, read_body
from handraiser.errors import Fault
from handraiser.govern import Orders as Story
from handraiser.govern import Told
from handraiser.settings import Settings

_OUTCOMES = ("recorded", "updated", "unchanged", "older", "suppressed", "test")


class Orders:
    """What it holds of a file is one chunk."""

    def __init__(self, orders: Story, keys: Keys, settings: Settings) -> None:
        self._orders = orders
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "POST",
                "/v1/orders",
                self.take,
                "emails",
                "Tell of orders that send no mail through us",
                "The whole order as it stands now: placed in any channel, changed, cancelled, refunded, or history "
                "(`kind=historical`). The higher `version` (or the later `updated_at`) counts; the same again changes "
                "nothing. As `application/x-ndjson` one order a line: the answer has a line for each that cannot be "
                "used or had something left out, and ends with the sums.",
                parameters=(
                    Parameter("kind", "query", "For every order that names none", {"enum": ["live", "historical"]}),
                ),
                request="ToldOrder",
                answer="TakenOrder",
                lines=("ToldOrders", "TakenOrders"),
                answers=frozenset({415}),
            ),
        )

    async def take(self, request: web.Request) -> web.StreamResponse:
        caller = await self._keys.caller(request, "emails")
        kind = _kind(request)
        if KINDS.get(request.content_type) == "ndjson":
            return await self._stream(request, caller, kind)
        if request.content_type not in ("application/json", "application/octet-stream"):
            raise Problem(415, f"Send application/json or {NDJSON}.")
        body = parse(await read_body(request, self._settings.body_limit_bytes, self._settings.body_seconds))
        told = await self._orders.take(caller.shop, _of_kind(body, kind), test=caller.key.test)
        return json_response(_json(told))

    async def _stream(self, request: web.Request, caller: Caller, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": NDJSON, "X-Content-Type-Options": "nosniff"})
        await response.prepare(request)
        sums: Counter[str] = Counter(dict.fromkeys(("rows", *_OUTCOMES, "refused"), 0))
        rows = FileRows("ndjson", limit=self._settings.body_limit_bytes, loads=exact_json)
        try:
            async for chunk in chunks(request, rows, self._settings.body_seconds):
                given = [replace(row, given=_of_kind(row.given, kind)) for row in chunk]
                answers = await self._orders.take_rows(caller.shop, given, test=caller.key.test)
                for row, answer in zip(chunk, answers, strict=True):
                    sums["rows"] += 1
                    sums[answer.taken.outcome if isinstance(answer, Told) else "refused"] += 1
                    if line := _line(row.number, answer):
                        await response.write(orjson.dumps(line) + b"\n")
            await response.write(orjson.dumps({**sums, "complete": True}) + b"\n")
        except Exception as error:
            # The answer has begun: what went wrong is its last line, and tells how many rows are safe.
            await response.write(orjson.dumps({**sums, "complete": False, **told_problem(error)}) + b"\n")
        await response.write_eof()
        return response


def _kind(request: web.Request) -> str:
    faults = [
        Fault(name, "unknown_parameter", "known is: kind")
        if name != "kind"
        else Fault(name, "bad_value", "live or historical")
        for name, value in request.query.items()
        if name != "kind" or value not in ("live", "historical")
    ]
    if faults:
        raise Problem(422, faults=faults)
    return request.query.get("kind", "")


def _of_kind(body: object, kind: str) -> Any:
    return {"kind": kind, **body} if kind and isinstance(body, dict) else body


def _json(told: Told) -> dict[str, Any]:
    return {
        "order_id": told.order_id,
        "outcome": told.taken.outcome,
        "customer_kind": told.taken.kind or None,
        "warnings": [warning.as_json() for warning in told.warnings],
    }


def _line(number: int, answer: Told | list[Fault]) -> dict[str, Any] | None:
    if not isinstance(answer, Told):
        return {"row": number, "errors": [fault.as_json() for fault in answer]}
    return {"row": number, **_json(answer)} if answer.warnings else None
