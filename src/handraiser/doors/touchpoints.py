"""``POST /v1/touchpoints/thank_you|account|packing_slip``: what a page of the shop may show, or the slip in its parcel,
as JSON or as a fragment of HTML."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from handraiser.core.composed import Composed
from handraiser.core.formats import formats_of
from handraiser.core.fragment import fragment, qr_code, style_hash
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
from handraiser.doors.turns import Turns
from handraiser.doors.web import json_response, read_body
from handraiser.enrich import Enrich
from handraiser.settings import Settings

STYLE = "Handraiser-Style"
HTML = "text/html"
SLIP = "packing_slip"
_SKIPPED = "204 when nothing may be shown now (`Handraiser-Skipped` says why). `Accept: text/html`: the fragment alone."
_PAGE = (
    "as in an email's payload. Back comes a fragment for the page, with plain links that need no script; "
    f"{_SKIPPED} A yes on a page is confirmed by email, unless this customer has pressed in an email before."
)
_PAPER = (
    "The customer and the order of the parcel, as in an email's payload. Back comes a fragment to print, in which the "
    f"ask's link is a QR code (SVG; `qr` is the code alone); {_SKIPPED} A yes from paper is confirmed by email: nobody "
    "knows who opens a parcel."
)
_PLACES = {
    "thank_you": ("What the thank-you page may show", f"The customer with the order that was just placed, {_PAGE}"),
    "account": ("What the account page may show", f"The customer who has signed in to the shop, {_PAGE}"),
    SLIP: ("What the packing slip may show", _PAPER),
}


class Touchpoints:
    """One page view in, a fragment of HTML out; 204 when nothing may be shown now."""

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
                description,
                parameters=flags,
                request="PageView",
                answer="SlipBlocks" if place == SLIP else "PageBlocks",
                html=True,
            )
            for place, (summary, description) in _PLACES.items()
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
        async with self._turns.of(caller.shop.id):
            composed = await self._enrich.view(caller.shop, place, raw, options)
        self._turns.told(composed.skipped_reason)
        return _answer(composed, html=HTML in request.headers.get("Accept", ""), printed=place == SLIP)


def _answer(composed: Composed, *, html: bool, printed: bool) -> web.Response:
    headers = composed_headers(composed)
    if not composed.filled.slots:
        why = composed.skipped_reason or ",".join(sorted({skip.reason for skip in composed.decision.skipped}))
        return web.Response(status=204, headers={**headers, "Handraiser-Skipped": why})
    shop, locale = composed.shop, composed.locale
    url = next((one.url for one in composed.decision.placements if one.url), "")
    qr = qr_code(url) if printed and url else ""
    direction = formats_of(locale, shop.time_zone).direction
    shown = fragment(composed.filled.slots, shop.brand, locale, direction, qr=qr, url=url)
    if html:
        return web.Response(text=shown, content_type=HTML, headers={**headers, STYLE: style_hash(shop.brand)})
    told = {"html": shown, "style": style_hash(shop.brand), **_told(composed)}
    return json_response(told | {"qr": qr or None} if printed else told, headers=headers)


def _told(composed: Composed) -> dict[str, Any]:
    return {
        "message_id": str(uuid.UUID(bytes=composed.message_id)) if composed.message_id else None,
        "placements": [placement.as_json() for placement in composed.decision.placements],
        "skipped": [skip.as_json() for skip in composed.decision.skipped],
        "warnings": [warning.as_json() for warning in composed.warnings],
    }
