"""``POST /v1/touchpoints/thank_you|account``: what a page of the shop may show, as JSON or as a fragment of HTML."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from handraiser.core.composed import Composed
from handraiser.core.formats import formats_of
from handraiser.core.fragment import fragment, style_hash
from handraiser.core.letter import Options
from handraiser.doors.api import (
    DRY_RUN,
    STRICT,
    check_content_type,
    composed_headers,
    idempotency_key,
    read_flags,
    request_hash,
)
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import json_response, read_body
from handraiser.enrich import Enrich
from handraiser.settings import Settings

STYLE = "Handraiser-Style"
HTML = "text/html"
_PLACES = {
    "thank_you": ("What the thank-you page may show", "with the order that was just placed"),
    "account": ("What the account page may show", "who has signed in to the shop"),
}


class Touchpoints:
    """One page view in, a fragment of HTML out; 204 when nothing may be shown now."""

    def __init__(self, enrich: Enrich, keys: Keys, settings: Settings) -> None:
        self._enrich = enrich
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        flags = (
            DRY_RUN,
            STRICT,
            Parameter(
                "Idempotency-Key",
                "header",
                "Same key and body: same view again. Without one, the same order's (else the same day's) is the same",
                {"type": "string"},
            ),
        )
        return tuple(
            Operation(
                "POST",
                f"/v1/touchpoints/{place}",
                self.view,
                "emails",
                summary,
                f"The customer {what}, as in an email's payload. Back comes a fragment for the page, with plain links "
                "that need no script; 204 when nothing may be shown now (`Handraiser-Skipped` says why). `Accept: "
                "text/html` gives the fragment alone. A yes on a page is confirmed by email, unless this customer has "
                "pressed in an email before.",
                parameters=flags,
                request="PageView",
                answer="PageBlocks",
                html=True,
            )
            for place, (summary, what) in _PLACES.items()
        )

    async def view(self, request: web.Request) -> web.Response:
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
        place = request.path.rpartition("/")[2]
        composed = await self._enrich.view(caller.shop, place, raw, options)
        return _answer(composed, html=HTML in request.headers.get("Accept", ""))


def _answer(composed: Composed, *, html: bool) -> web.Response:
    headers = composed_headers(composed)
    if not composed.filled.slots:
        why = composed.skipped_reason or ",".join(sorted({skip.reason for skip in composed.decision.skipped}))
        return web.Response(status=204, headers={**headers, "Handraiser-Skipped": why})
    shop, locale = composed.shop, composed.locale
    shown = fragment(composed.filled.slots, shop.brand, locale, formats_of(locale, shop.time_zone).direction)
    if html:
        return web.Response(text=shown, content_type=HTML, headers={**headers, STYLE: style_hash(shop.brand)})
    return json_response({"html": shown, "style": style_hash(shop.brand), **_told(composed)}, headers=headers)


def _told(composed: Composed) -> dict[str, Any]:
    return {
        "message_id": str(uuid.UUID(bytes=composed.message_id)) if composed.message_id else None,
        "placements": [placement.as_json() for placement in composed.decision.placements],
        "skipped": [skip.as_json() for skip in composed.decision.skipped],
        "warnings": [warning.as_json() for warning in composed.warnings],
    }
