"""``POST /v1/emails/enrich``: finished mail, as a whole or as its HTML and text; the same media type comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from handraiser.core.letter import Options
from handraiser.core.payload import parse
from handraiser.core.splice.finished import Finished
from handraiser.doors.api import DRY_RUN, MIME, composed_headers, composed_json, idempotency_key, request_hash
from handraiser.doors.keys import Caller, Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import Problem, json_response, read_body
from handraiser.errors import Fault
from handraiser.finished import Finish, Passed
from handraiser.settings import Settings
from handraiser.telemetry import Metrics

SKIPPED = "Handraiser-Skipped"
_TOLD = {"type", "customer_id", "locale", "country", "kind", "order_id", "soft_opt_in", "dry_run"}


class Enrichment:
    """The mail always comes back: unchanged with ``Handraiser-Skipped``, where nothing may or can be put into it."""

    def __init__(self, finish: Finish, keys: Keys, settings: Settings, metrics: Metrics) -> None:
        self._finish, self._keys, self._settings, self._metrics = finish, keys, settings, metrics

    def operations(self) -> Sequence[Operation]:
        text = {"type": "string"}
        told = (
            Parameter("type", "query", "What the mail is, such as order_confirmation", text),
            Parameter("customer_id", "query", "Your own id of the customer", text),
            Parameter("locale", "query", "The mail's language", text),
            Parameter("country", "query", "The strictest country that counts", text),
            Parameter(
                "kind", "query", "The customer is new or current", {"type": "string", "enum": ["new", "current"]}
            ),
            Parameter("order_id", "query", "The order's id", text),
            Parameter(
                "soft_opt_in",
                "query",
                "What holds of the address, with commas: notice (collected in a sale, under a notice), similar (of "
                "similar goods)",
                text,
            ),
            DRY_RUN,
            Parameter("Idempotency-Key", "header", "Same key and body: same mail again", text),
        )
        return (
            Operation(
                "POST",
                "/v1/emails/enrich",
                self.enrich,
                "emails",
                "Put a block into a finished mail",
                "Takes a whole mail (`message/rfc822`) or its HTML and text, and gives the same back with one block "
                "more: what was there stays as it was, byte for byte. On any doubt the mail comes back unchanged, and "
                "`Handraiser-Skipped` says why. Where the query names no type, the shop's rules say what a mail is.",
                parameters=told,
                request="FinishedEmail",
                answer="EnrichedEmail",
                mime=True,
                mime_in=True,
            ),
        )

    async def enrich(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "emails")
        kind = request.content_type
        if kind not in (MIME, "application/json"):
            raise Problem(415, f"Send {MIME} or application/json.")
        key = idempotency_key(request)
        raw = await read_body(request, self._settings.mail_bytes, self._settings.body_seconds)
        options = Options(
            dry_run=request.query.get("dry_run") == "true",
            test=caller.key.test,
            fail_open=True,
            idempotency_key=key,
            request_hash=request_hash(request, raw) if key else b"",
        )
        if kind == MIME:
            return await self._mail(request, caller, raw, options)
        return await self._parts(caller, raw, options)

    async def _mail(self, request: web.Request, caller: Caller, raw: bytes, options: Options) -> web.Response:
        told = request.query
        strange = sorted(told.keys() - _TOLD)
        if strange or told.get("dry_run", "true") not in ("true", "false"):
            # A typing error must not be a live send, nor cost the mail.
            passed = Passed(raw, "context", f"known are: {', '.join(sorted(_TOLD))}; dry_run is true or false")
        else:
            passed = await self._finish.mail(caller.shop, raw, told, options)
        self._metrics.finished_mail(caller.shop.slug, passed.reason)
        return web.Response(body=passed.content, content_type=MIME, headers=_headers(passed))

    async def _parts(self, caller: Caller, raw: bytes, options: Options) -> web.Response:
        body = parse(raw)
        if not isinstance(body, dict) or not isinstance(body.get("html"), str):
            raise Problem(422, faults=[Fault("/html", "missing", "send the mail's HTML")])
        text = body.get("text")
        if text is not None and not isinstance(text, str):
            raise Problem(422, faults=[Fault("/text", "wrong_type", "send text, or leave it out")])
        context = {name: value for name, value in body.items() if name not in ("html", "text")}
        passed = await self._finish.parts(caller.shop, Finished(body["html"], text), context, options)
        self._metrics.finished_mail(caller.shop.slug, passed.reason)
        return json_response(_answer(passed), headers=_headers(passed))


def _headers(passed: Passed[Any]) -> dict[str, str]:
    headers = composed_headers(passed.composed) if passed.composed else {}
    return headers | ({SKIPPED: passed.reason} if passed.reason else {})


def _answer(passed: Passed[Finished]) -> dict[str, Any]:
    told: dict[str, Any] = {"message_id": None, "placements": [], "skipped": [], "warnings": []}
    if passed.composed is not None:
        composed = composed_json(passed.composed)
        told = {name: composed[name] for name in told}
    unchanged = {"reason": passed.reason, "detail": passed.detail} if passed.reason else None
    return {"html": passed.content.html, "text": passed.content.text, **told, "unchanged": unchanged}
