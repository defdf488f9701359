"""The order systems' door: /v1. It reads, authenticates and translates; the stories decide."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from handraiser.core.composed import Composed, mime
from handraiser.core.letter import Options
from handraiser.core.payload import parse
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.turns import Turns
from handraiser.doors.web import Problem, json_response, long_text, read_body
from handraiser.enrich import Enrich
from handraiser.errors import Fault, NotFound
from handraiser.report import Report
from handraiser.settings import Settings

MIME = "message/rfc822"
DRY_RUN = Parameter("dry_run", "query", "Decide and render, record nothing", {"type": "boolean"})
STRICT = Parameter("strict", "query", "Refuse (422) what would only be a warning", {"type": "boolean"})
_QUERY = {"dry_run", "strict", "fail_open"}
_KEY_LIMIT = 255


class Emails:
    """``POST /v1/emails`` and ``/v1/emails/blocks``: one payload in, one email (or its blocks) out."""

    def __init__(self, enrich: Enrich, turns: Turns, keys: Keys, settings: Settings) -> None:
        self._enrich = enrich
        self._turns = turns
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        flags = (
            DRY_RUN,
            STRICT,
            Parameter(
                "fail_open",
                "query",
                "While the database is away: true sends the email without asks, false answers 503",
                {"type": "boolean"},
            ),
            Parameter("Idempotency-Key", "header", "Same key and body: same email again", {"type": "string"}),
        )
        return (
            Operation(
                "POST",
                "/v1/emails",
                self.email,
                "emails",
                "Compose an enriched email",
                "Turns an order payload into the finished email, with the service message and the ask that this "
                "customer may see now. `Accept: message/rfc822` gives the whole mail.",
                parameters=flags,
                request="Email",
                answer="ComposedEmail",
                mime=True,
            ),
            Operation(
                "POST",
                "/v1/emails/blocks",
                self.blocks,
                "emails",
                "The blocks alone, for your own template",
                "The same payload gives the HTML and text of each slot, self-contained, for shops whose own templates "
                "have a hook.",
                parameters=flags,
                request="Email",
                answer="Blocks",
            ),
        )

    async def email(self, request: web.Request) -> web.Response:
        composed = await self._compose(request)
        headers = composed_headers(composed)
        if MIME in request.headers.get("Accept", ""):
            return web.Response(body=mime(composed, uuid.uuid4().hex), content_type=MIME, headers=headers)
        return json_response(composed_json(composed), headers=headers)

    async def blocks(self, request: web.Request) -> web.Response:
        composed = await self._compose(request)
        return json_response(blocks_json(composed), headers=composed_headers(composed))

    async def _compose(self, request: web.Request) -> Composed:
        caller = await self._keys.caller(request, "emails")
        flags = read_flags(request)
        check_content_type(request)
        key = idempotency_key(request)
        raw = await read_body(request, self._settings.body_limit_bytes, self._settings.body_seconds)
        options = Options(
            dry_run=flags.get("dry_run", False),
            strict=flags.get("strict", caller.key.test),
            test=caller.key.test,
            fail_open=flags.get("fail_open"),
            idempotency_key=key,
            request_hash=request_hash(request, raw) if key else b"",
        )
        async with self._turns.of(caller.shop.id):
            composed = await self._enrich.email(caller.shop, raw, options)
        self._turns.told(composed.skipped_reason)
        return composed


class Messages:
    """Why: what was decided for each email, with reasons and remedies."""

    def __init__(self, report: Report, keys: Keys, settings: Settings) -> None:
        self._report = report
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/messages/{message_id}",
                self.one,
                "emails",
                "Why an email looks as it does",
                "Type, time, market and rule version, each slot's decision with reason and remedy, the presses, and "
                "what became of the confirmation mails they led to.",
                parameters=(Parameter("message_id", "path", "The id POST /v1/emails answered", {"type": "string"}),),
                answer="Message",
            ),
            Operation(
                "GET",
                "/v1/messages",
                self.by_order,
                "emails",
                "All emails of one order",
                "The newest first.",
                parameters=(Parameter("order_id", "query", "The order's id", {"type": "string"}, required=True),),
                answer="Messages",
            ),
            Operation(
                "POST",
                "/v1/messages/search",
                self.by_address,
                "emails",
                "All emails to one address",
                "The address stands in the body, never in a URL. The newest first.",
                request="Search",
                answer="Messages",
            ),
        )

    async def one(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "emails")
        message_id = _uuid(request.match_info["message_id"])
        return json_response(await self._report.message(caller.shop, message_id))

    async def by_order(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "emails")
        order_id = request.query.get("order_id", "")
        if not order_id:
            raise Problem(422, faults=[Fault("order_id", "missing", "name the order: ?order_id=…")])
        return json_response({"messages": await self._report.messages_of_order(caller.shop, order_id)})

    async def by_address(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "emails")
        address = await read_address(request, self._settings)
        return json_response({"messages": await self._report.messages_to(caller.shop, address)})


async def read_address(request: web.Request, settings: Settings) -> str:
    """The ``email`` of a search body; 422 when it is missing."""
    body = parse(await read_body(request, 10_000, settings.body_seconds))
    address = body.get("email") if isinstance(body, dict) else None
    if not isinstance(address, str) or "@" not in address:
        raise Problem(422, faults=[Fault("/email", "missing", 'send {"email": "…"}')])
    return address


def read_flags(request: web.Request) -> dict[str, bool]:
    """Boolean query parameters; unknown names and odd values are 422, so that a typing error is not a live send."""
    flags: dict[str, bool] = {}
    faults: list[Fault] = []
    for name, value in request.query.items():
        if name not in _QUERY:
            faults.append(Fault(name, "unknown_parameter", f"known are: {', '.join(sorted(_QUERY))}"))
        elif value not in ("true", "false"):
            faults.append(Fault(name, "wrong_type", "write true or false"))
        else:
            flags[name] = value == "true"
    if faults:
        raise Problem(422, faults=faults)
    return flags


def idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    return check_key(key, "Idempotency-Key")


def check_key(key: object, pointer: str) -> str:
    """An Idempotency-Key: 1 to 255 printable ASCII characters, else 422."""
    if not isinstance(key, str) or not 0 < len(key) <= _KEY_LIMIT or not key.isascii() or not key.isprintable():
        raise Problem(422, faults=[Fault(pointer, "bad_value", "1 to 255 printable ASCII characters")])
    return key


def request_hash(request: web.Request, raw: bytes) -> bytes:
    """SHA-256 over method, path, query and raw body: what makes two requests the same."""
    head = f"{request.method}\n{request.path}\n{request.query_string}\n".encode()
    return hashlib.sha256(head + raw).digest()


def composed_headers(composed: Composed) -> dict[str, str]:
    headers = {"Handraiser-Message-Id": str(uuid.UUID(bytes=composed.message_id))} if composed.message_id else {}
    if composed.replayed:
        headers["Idempotent-Replayed"] = "true"
    if composed.skipped_reason:
        headers["Handraiser-Skipped"] = composed.skipped_reason
    return headers


def composed_json(composed: Composed) -> dict[str, Any]:
    return {
        "message_id": str(uuid.UUID(bytes=composed.message_id)) if composed.message_id else None,
        "subject": composed.filled.subject,
        "html": long_text(composed.filled.html),
        "text": composed.filled.text,
        "headers": composed.headers,
        "placements": [placement.as_json() for placement in composed.decision.placements],
        "skipped": [skip.as_json() for skip in composed.decision.skipped],
        "warnings": [warning.as_json() for warning in composed.warnings],
    }


def blocks_json(composed: Composed) -> dict[str, Any]:
    answer = composed_json(composed)
    for name in ("subject", "html", "text"):
        del answer[name]
    answer["slots"] = {slot: {"html": html, "text": text} for slot, (html, text) in composed.filled.slots.items()}
    return answer


def check_content_type(request: web.Request) -> None:
    """Raise :class:`Problem` (415) for a body that is no JSON."""
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise Problem(415, "Send application/json.")


def _uuid(text: str) -> bytes:
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise NotFound("there is no message of this id") from None
