"""The route table as OpenAPI 3.1, and the reference page, which needs no script and no network."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from aiohttp import web
from markupsafe import Markup, escape

from handraiser import __version__
from handraiser.core.eligibility import REASONS
from handraiser.core.payload import json_schema
from handraiser.doors.consent_schemas import CONSENT_SCHEMAS
from handraiser.doors.experiment_schemas import EXPERIMENT_SCHEMAS
from handraiser.doors.json_schema import (
    MAYBE,
    MOMENT,
    TEXT,
    TEXTS,
    UUID,
    Json,
    either_null,
    list_of,
    map_of,
    object_of,
    ref,
)
from handraiser.doors.order_schemas import ORDER_SCHEMAS
from handraiser.doors.report_schemas import REPORT_SCHEMAS
from handraiser.doors.result_schemas import RESULT_SCHEMAS
from handraiser.doors.status_schemas import STATUS_SCHEMAS
from handraiser.doors.web import TITLES, json_response
from handraiser.finished import PASSES

Meanings = Mapping[str, Mapping[str, str]]
"""What each field means, by schema and field."""


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
    """One row of the route table: what aiohttp routes and what the document tells.

    ``answers`` are the statuses beside those that every operation can answer; ``lines`` names the schemas of request
    and answer of an operation that takes NDJSON beside JSON; ``html`` says that it answers a fragment of HTML too, or
    nothing (204).
    """

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
    mime_in: bool = False
    ndjson: bool = False
    csv: bool = False
    lines: tuple[str, ...] = ()
    html: bool = False
    answers: frozenset[int] = frozenset()

    def route(self) -> web.RouteDef:
        if self.method == "GET":
            return web.get(self.path, self.handler)
        return web.route(self.method, self.path, self.handler)


_VERDICT: Json = {"enum": ["human", "suspect", "bot"]}
_TOLD: Json = {
    "message_id": {"type": ["string", "null"], "format": "uuid"},
    "headers": map_of(TEXT),
    "placements": list_of(ref("Placement")),
    "skipped": list_of(ref("Skip")),
    "warnings": list_of(ref("Fault")),
}
_FINISHED: Json = {
    **dict.fromkeys(("html", "text", "type"), TEXT),
    "customer": ref("Customer"),
    "order": {"type": "object"},
    "soft_opt_in": ref("SoftOptIn"),
}
_ENRICHED: Json = {
    "html": TEXT,
    "text": MAYBE,
    **{name: _TOLD[name] for name in ("message_id", "placements", "skipped", "warnings")},
    "unchanged": {"anyOf": [ref("Unchanged"), {"type": "null"}]},
}
_PLACEMENT: Json = {
    "slot": TEXT,
    "block": TEXT,
    "version": {"type": "integer"},
    "variant": TEXT,
    "purpose": MAYBE,
    "wording_id": MAYBE,
    "url": MAYBE,
    "experiment": TEXT,
    "arm": TEXT,
}
_MESSAGE: Json = {
    "message_id": UUID,
    **dict.fromkeys(("type", "touchpoint"), TEXT),
    "sent_at": MOMENT,
    **dict.fromkeys(("locale", "order_id", "country", "market", "rule_version", "customer_kind"), TEXT),
    **{name: {"type": "boolean"} for name in ("test", "would_ask")},
    "placements": list_of(ref("Placement")),
    "skipped": list_of(ref("Skip")),
    "arms": map_of(TEXT),
    "delivery": either_null(ref("Delivery")),
    "presses": list_of(ref("Press")),
    "visits": list_of(ref("Visit")),
}
_PRESS: Json = {
    "at": MOMENT,
    "event": TEXT,
    "purpose": TEXT,
    "verdict": TEXT,
    "reasons": TEXTS,
    "attestation": TEXT,
    "confirmation": either_null(object_of({"message_id": UUID, "delivery": either_null(ref("Delivery"))})),
}
_DELIVERY: Json = {
    "outcome": {"enum": ["waiting", "retrying", "sent", "refused", "overtaken", "given_up"]},
    "reason": TEXT,
    "attempts": {"type": "integer"},
    **{name: {"type": ["integer", "null"], "format": "int64"} for name in ("next_at", "done_at")},
}
_PROBLEM: Json = {
    **dict.fromkeys(("type", "title"), TEXT),
    "status": {"type": "integer"},
    "detail": TEXT,
    "errors": list_of(ref("Fault")),
    "request_id": TEXT,
}

_PAGE_BLOCKS: Json = {
    "html": TEXT,
    "style": TEXT,
    **{name: told for name, told in _TOLD.items() if name != "headers"},
}


def _schemas(meanings: Meanings) -> Json:
    email = json_schema()
    parts = email.pop("$defs")
    schemas = {
        "Email": email,
        **{name: parts.pop(name) for name in ("Customer", "Order", "Line")},
        **parts,
        "EmailLines": {"type": "string", "description": "One Email a line; each may add idempotency_key."},
        "ComposedEmail": object_of({**_TOLD, "subject": TEXT, "html": TEXT, "text": TEXT}),
        "ComposedEmailLines": {
            "type": "string",
            "description": "One ComposedEmail or Problem a line, in the same order.",
        },
        "Blocks": object_of({**_TOLD, "slots": map_of(ref("Part"))}),
        "PageView": object_of({"customer": ref("Customer"), "order": ref("Order")}, optional=("order",)),
        "PageBlocks": object_of(_PAGE_BLOCKS),
        "SlipBlocks": object_of({**_PAGE_BLOCKS, "qr": {"type": ["string", "null"]}}),
        "Part": object_of({"html": TEXT, "text": TEXT}),
        "FinishedEmail": object_of(_FINISHED, optional=("text", "order", "soft_opt_in")),
        "EnrichedEmail": object_of(_ENRICHED),
        "Unchanged": object_of({"reason": {"enum": list(PASSES)}, "detail": TEXT}),
        "Message": object_of(_MESSAGE),
        "Messages": object_of({"messages": list_of(ref("Message"))}),
        "Press": object_of(_PRESS),
        "Delivery": object_of(_DELIVERY),
        "Visit": object_of({"at": MOMENT, "method": TEXT, "verdict": _VERDICT, "reasons": TEXTS}),
        "Search": object_of({"email": {"type": "string", "format": "email"}}),
        **ORDER_SCHEMAS,
        **STATUS_SCHEMAS,
        **CONSENT_SCHEMAS,
        **RESULT_SCHEMAS,
        **EXPERIMENT_SCHEMAS,
        **REPORT_SCHEMAS,
        "Fault": object_of({"pointer": TEXT, "code": TEXT, "detail": TEXT}),
        "Skip": object_of({"slot": TEXT, "block": TEXT, "reason": {"enum": sorted(REASONS)}, "remedy": TEXT}),
        "Placement": object_of(_PLACEMENT, optional=("purpose", "wording_id", "url", "experiment", "arm")),
        "Problem": object_of(_PROBLEM, optional=("detail", "errors", "request_id")),
    }
    copy: Json = json.loads(json.dumps(schemas).replace("#/$defs/", "#/components/schemas/"))
    for name, schema in copy.items():
        for field, known in schema.get("properties", {}).items():
            known.pop("title", None)
            known.update({"description": meaning} if (meaning := meanings.get(name, {}).get(field)) else {})
    return copy


GROUPS = {
    "emails": ("Emails", "An order in, the enriched email (or its blocks) out."),
    "touchpoints": (
        "Pages",
        "The same blocks on pages of the shop and in the parcel, where an email may not ask.",
    ),
    "messages": ("Why", "What was decided for each email, with reasons and remedies, and what its reader answered."),
    "orders": ("Orders", "Orders of every channel, their changes and their history, where no email goes through us."),
    "feedback": ("Feedback", "How satisfied customers were, from wherever they were asked."),
    "consents": ("Consents", "Where a customer stands, what other systems tell of it, and the ledger that proves it."),
    "customers": ("Customers", "Access and erasure: what is held of somebody, and that it goes."),
    "purposes": ("Purposes", "What consent is for, word for word."),
    "shops": ("Shops", "How they are doing."),
    "experiments": (
        "Experiments",
        "Two or more versions of a block against each other, right at every look; and customers who see nothing.",
    ),
    "reports": ("Reports", "Who was asked, who opted in, what was before, and what customers bought since."),
}
"""Tag and sentence of each group of operations, by the word that follows ``/v1/``."""
_ANSWER_HEADERS = {
    "Handraiser-Message-Id": "names this email in GET /v1/messages/{message_id}",
    "Idempotent-Replayed": "true: this key was used before, and this is the same email again",
    "Handraiser-Skipped": "why nothing was inserted at all, such as store_unavailable",
}


def document(operations: Sequence[Operation], server: str, meanings: Meanings, examples: Json) -> Json:
    """The OpenAPI 3.1 document of these operations; ``meanings`` describes fields, ``examples`` is by schema."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, examples)
    used = dict.fromkeys(operation.path.split("/")[2] for operation in operations)
    problem = {"schema": ref("Problem"), "example": examples["Problem"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "handraiser",
            "version": __version__,
            "description": "Transactional emails in, the same emails with service messages and signed opt-in links out."
            " Always set a client time-out, and on any error send your own mail.",
        },
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "tags": [{"name": GROUPS[word][0], "description": GROUPS[word][1]} for word in used],
        "paths": paths,
        "components": {
            "schemas": _schemas(meanings),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "hr_<keyid>_<secret>"}},
            "responses": {
                "Problem": {
                    "description": "what is wrong, every fault at once (RFC 9457)",
                    "content": {"application/problem+json": problem},
                }
            },
        },
    }


def _operation(operation: Operation, examples: Json) -> Json:
    kind = "application/x-ndjson" if operation.ndjson else "application/json"

    def content(name: str) -> Json:
        return {kind: {"schema": ref(name), "example": examples[name]}}

    answer: Json = {"description": "done", "content": content(operation.answer)}
    if operation.mime:
        answer["content"]["message/rfc822"] = {"schema": {"type": "string"}}
    if operation.csv and not operation.request:
        answer["content"]["text/csv"] = {"schema": TEXT}
    if operation.answer in ("ComposedEmail", "Blocks", "PageBlocks", "SlipBlocks", "EnrichedEmail"):
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in _ANSWER_HEADERS.items()
        }
    described: Json = {
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_"),
        "summary": operation.summary,
        "description": f"{operation.description} Scope of the key: `{operation.scope}`.",
        "tags": [GROUPS[operation.path.split("/")[2]][0]],
        "responses": {
            "200": answer,
            **{str(status): {"$ref": "#/components/responses/Problem"} for status in _errors(operation)},
        },
    }
    if operation.html:
        answer["content"]["text/html"] = {"schema": TEXT}
        described["responses"]["204"] = {"description": "nothing may be shown now"}
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
        taken = content(operation.request)
        if operation.csv:
            taken["text/csv"] = {"schema": TEXT}
        for place, name in zip((taken, answer["content"]), operation.lines, strict=False):
            place["application/x-ndjson"] = {"schema": ref(name), "example": examples[name]}
        if operation.mime_in:
            taken["message/rfc822"] = {"schema": TEXT}
        described["requestBody"] = {"required": True, "content": taken}
    return described


def _errors(operation: Operation) -> list[int]:
    """The statuses other than 200 that an operation can answer."""
    found = {401, 403, 422, 503}
    found |= operation.answers
    if operation.answer in ("Message", "Consents"):
        found.add(404)
    if operation.method == "POST":
        found |= {400, 408, 413}
    if operation.request in ("Email", "EmailLines", "PageView", "FinishedEmail"):
        found |= {409, 415} | ({429} if operation.request in ("Email", "PageView") else set())
    return sorted(found)


TITLE_OF = {".sh": "curl", ".py": "Python", ".php": "PHP", ".js": "JavaScript"}
"""What a snippet is called, by its file's ending."""


def _code(text: str) -> Markup:
    """Text with its `words in backticks` as code."""
    parts = escape(text).split("`")
    return Markup("").join(  # every part was escaped before
        Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )


def _kind(schema: Json) -> Markup:
    """What a field holds, in a few words, with links to other schemas."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if values := schema.get("enum"):
        return Markup(" · ").join(Markup("<code>{}</code>").format(value) for value in values)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return Markup(" or ").join(dict.fromkeys(_kind(choice) for choice in choices))
    named = schema.get("type", "anything")
    if named == "array":
        return Markup("list of {}").format(_kind(schema["items"]))
    if named == "object":
        values = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
        return Markup("by name: {}").format(_kind(values)) if values else Markup("object")
    if isinstance(named, list):
        return Markup(" or ").join(named)
    return Markup("{} ({})").format(named, schema["format"]) if "format" in schema else Markup("{}").format(named)


class Reference:
    """/openapi.json and /docs."""

    def __init__(self, operations: Sequence[Operation], server: str, folder: Path) -> None:
        meanings = tomllib.loads((folder / "meanings.toml").read_text(encoding="utf-8"))
        examples = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
        self._document = document(operations, server, meanings, examples)
        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        environment.filters["code"] = _code
        environment.filters["kind"] = _kind
        template = (folder / "reference.html").read_text(encoding="utf-8")
        snippets = {
            TITLE_OF[path.suffix]: path.read_text(encoding="utf-8").replace("$SERVER", server)
            for path in sorted((folder / "snippets").iterdir())
            if path.suffix in TITLE_OF  # installing a wheel leaves a __pycache__ beside the Python one
        }
        self._page = environment.from_string(template).render(
            document=self._document,
            examples=examples,
            pretty=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
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
