"""``POST /v1/feedback``: how satisfied a customer was, from the system that asked."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from handraiser.core.payload import parse
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation
from handraiser.doors.web import json_response, read_body
from handraiser.govern import Feedback as Story
from handraiser.settings import Settings

_BODY_BYTES = 10_000


class Feedback:
    """One score at a time; the same id again is the same score."""

    def __init__(self, feedback: Story, keys: Keys, settings: Settings) -> None:
        self._feedback, self._keys, self._settings = feedback, keys, settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "POST",
                "/v1/feedback",
                self.take,
                "emails",
                "Tell how satisfied a customer was",
                "A score from 1 (very unhappy) to 5 that a customer gave in your survey or review tool. Results of "
                "experiments count it: the share of unhappy customers (1 or 2) of those who answered within 30 days of "
                "their first exposure is a guardrail of every arm. The same id again changes nothing.",
                request="Feedback",
                answer="TakenFeedback",
                answers=frozenset({404}),
            ),
        )

    async def take(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "emails")
        body = parse(await read_body(request, _BODY_BYTES, self._settings.body_seconds))
        return json_response({"outcome": await self._feedback.take(caller.shop, body, test=caller.key.test)})
