"""The route table as OpenAPI 3.1, and the reference page, which needs no script and no network."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web

from handraiser import __version__
from handraiser.core.eligibility import REASONS
from handraiser.core.payload import json_schema
from handraiser.doors.web import TITLES, json_response

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query, path or header parameter."""

    name: str
    place: str
    description: str
    schema: Json
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the route table: what aiohttp routes and what the document tells."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    scope: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    request: str = ""
    answer: str = ""
    mime: bool = False
    ndjson: bool = False

    def route(self) -> web.RouteDef:
        if self.method == "GET":
            return web.get(self.path, self.handler)
        return web.route(self.method, self.path, self.handler)


_TEXT: Json = {"type": "string"}
_UUID: Json = {"type": "string", "format": "uuid"}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(properties: Json, required: Sequence[str] = ()) -> Json:
    return {"type": "object", "properties": properties, "required": list(required or properties)}


def _message() -> Json:
    return _object(
        {
            "message_id": _UUID,
            "type": _TEXT,
            "touchpoint": _TEXT,
            "sent_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
            "locale": _TEXT,
            "market": _TEXT,
            "rule_version": _TEXT,
            "placements": _list(_ref("Placement")),
            "skipped": _list(_ref("Skip")),
            "presses": _list({"type": "object"}),
        },
        ("message_id", "type", "sent_at", "placements", "skipped"),
    )


def _schemas() -> Json:
    fault = _object({"pointer": _TEXT, "code": _TEXT, "detail": _TEXT})
    skip = _object({"slot": _TEXT, "block": _TEXT, "reason": {"enum": sorted(REASONS)}, "remedy": _TEXT})
    placement = _object(
        {
            "slot": _TEXT,
            "block": _TEXT,
            "version": {"type": "integer"},
            "variant": _TEXT,
            "purpose": {"type": ["string", "null"]},
            "wording_id": {"type": ["string", "null"]},
            "url": {"type": ["string", "null"]},
        },
        ("slot", "block", "version", "variant"),
    )
    told = {
        "message_id": {"type": ["string", "null"]},
        "headers": {"type": "object", "additionalProperties": _TEXT},
        "placements": _list(_ref("Placement")),
        "skipped": _list(_ref("Skip")),
        "warnings": _list(_ref("Fault")),
    }
    part = _object({"html": _TEXT, "text": _TEXT})
    email = json_schema()
    definitions = email.pop("$defs", {})
    problem = _object(
        {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT, "errors": _list(_ref("Fault"))},
        ("title", "status"),
    )
    return {
        **definitions,
        "Email": email,
        "EmailLines": {"type": "string", "description": "one Email a line, each may add idempotency_key"},
        "ComposedEmail": _object({**told, "subject": _TEXT, "html": _TEXT, "text": _TEXT}),
        "ComposedEmailLines": {
            "type": "string",
            "description": "one ComposedEmail or Problem a line, in the same order",
        },
        "Blocks": _object({**told, "slots": {"type": "object", "additionalProperties": part}}),
        "Message": _message(),
        "Messages": _object({"messages": _list(_ref("Message"))}),
        "Address": _object({"email": _TEXT}),
        "Consents": {"type": "object"},
        "Fault": fault,
        "Skip": skip,
        "Placement": placement,
        "Problem": problem,
    }


def document(operations: Sequence[Operation], server: str) -> Json:
    """The OpenAPI 3.1 document of these operations."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    schemas = json.loads(json.dumps(_schemas()).replace("#/$defs/", "#/components/schemas/"))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "handraiser",
            "version": __version__,
            "description": "Transactional emails in, the same emails with service messages and signed opt-in links out. "
            "Always set a client time-out, and on any error send your own mail.",
        },
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "hr_<keyid>_<secret>"}},
            "responses": {
                "Problem": {
                    "description": "what is wrong, every fault at once (RFC 9457)",
                    "content": {"application/problem+json": {"schema": _ref("Problem")}},
                }
            },
        },
    }


def _operation(operation: Operation) -> Json:
    kind = "application/x-ndjson" if operation.ndjson else "application/json"
    content: Json = {kind: {"schema": _ref(operation.answer)}}
    if operation.mime:
        content["message/rfc822"] = {"schema": {"type": "string"}}
    errors = [401, 403, 404, 422, 503] if operation.method == "GET" else [400, 401, 403, 408, 409, 413, 415, 422, 503]
    described: Json = {
        "operationId": f"{operation.method.lower()}_{operation.path.strip('/').replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.scope],
        "responses": {
            "200": {"description": "done", "content": content},
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in errors},
        },
    }
    if operation.parameters:
        described["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "description": parameter.description,
                "required": parameter.required or parameter.place == "path",
                "schema": parameter.schema,
            }
            for parameter in operation.parameters
        ]
    if operation.request:
        described["requestBody"] = {"required": True, "content": {kind: {"schema": _ref(operation.request)}}}
    return described


TITLE_OF = {".sh": "curl", ".py": "Python", ".php": "PHP", ".js": "JavaScript"}
"""What a snippet is called, by its file's ending."""


class Reference:
    """/openapi.json and /docs."""

    def __init__(self, operations: Sequence[Operation], server: str, folder: Path) -> None:
        self._document = document(operations, server)
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        template = (folder / "reference.html").read_text(encoding="utf-8")
        snippets = {
            TITLE_OF[path.suffix]: path.read_text(encoding="utf-8").replace("$SERVER", server)
            for path in sorted((folder / "snippets").iterdir())
            if path.suffix in TITLE_OF  # installing a wheel leaves a __pycache__ beside the Python one
        }
        self._page = environment.from_string(template).render(
            document=self._document,
            server=server,
            schemas=self._document["components"]["schemas"],
            reasons=REASONS,
            titles=TITLES,
            snippets=snippets,
        )

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/openapi.json", self.openapi), web.get("/docs", self.page)]

    async def openapi(self, _request: web.Request) -> web.Response:
        return json_response(self._document)

    async def page(self, _request: web.Request) -> web.Response:
        policy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        return web.Response(
            text=self._page, content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": policy}
        )
