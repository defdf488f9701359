"""``/v1/purposes``: what consent is for, word for word; a changed promise is a new version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from handraiser.core.block import Purpose
from handraiser.core.payload import parse
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation
from handraiser.doors.web import json_response, read_body
from handraiser.errors import Fault, Malformed
from handraiser.govern import Purposes as Story
from handraiser.settings import Settings


class Purposes:
    """The company's live purposes, for keys that may read consents; new versions for those that may change blocks."""

    def __init__(self, purposes: Story, keys: Keys, settings: Settings) -> None:
        self._purposes = purposes
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/purposes",
                self.all,
                "consents",
                "What consent is for",
                "Every live purpose with its promise in each language.",
                answer="Purposes",
            ),
            Operation(
                "POST",
                "/v1/purposes",
                self.put,
                "blocks",
                "Add a purpose, or promise anew",
                "A purpose that is there already gets its next version, which the asks of all shops show within "
                "seconds. What was consented to before keeps its own words.",
                request="PurposeText",
                answer="Purpose",
            ),
        )

    async def all(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        found = await self._purposes.live(caller.shop.controller.id)
        return json_response({"purposes": [_told(one) for one in found]})

    async def put(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "blocks")
        body = parse(await read_body(request, self._settings.body_limit_bytes, self._settings.body_seconds))
        if not isinstance(body, dict):
            raise Malformed([Fault("", "wrong_type", "send one object")])
        made = await self._purposes.put(caller.shop.controller.id, body, caller.key.key_id)
        return json_response(_told(made))


def _told(purpose: Purpose) -> dict[str, Any]:
    return asdict(purpose)
