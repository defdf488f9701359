"""``/v1/consents``: where a customer stands, what other systems tell of it, and the proof of each entry."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from aiohttp import web

from handraiser.core.payload import parse
from handraiser.doors.api import idempotency_key, read_address
from handraiser.doors.keys import Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import Problem, json_response, read_body
from handraiser.errors import Fault, NotFound
from handraiser.govern import Desk, Taken
from handraiser.report import Report, entry_json
from handraiser.settings import Settings

_EVENT = Parameter("event_id", "path", "The id of the entry", {"type": "string"})
_RECEIPTS = ("kantara", "dpv")
_BODY_BYTES = 50_000


class Consents:
    """Standing and ledger entries of one customer; 404 for one nobody knows, or who was erased."""

    def __init__(self, report: Report, desk: Desk, keys: Keys, settings: Settings) -> None:
        self._report = report
        self._records = desk.records
        self._proof = desk.proof
        self._keys = keys
        self._settings = settings

    def operations(self) -> Sequence[Operation]:
        return (
            Operation(
                "GET",
                "/v1/consents",
                self.by_customer,
                "consents",
                "Where a customer stands",
                "The standing of each purpose (email channel), other channels, and every entry of the ledger.",
                parameters=(
                    Parameter("customer_id", "query", "Your own id of the customer", {"type": "string"}, required=True),
                ),
                answer="Consents",
            ),
            Operation(
                "POST",
                "/v1/consents/search",
                self.by_address,
                "consents",
                "Where an address stands",
                "The same by address, guests included. The address stands in the body, never in a URL.",
                request="Search",
                answer="Consents",
            ),
            *self._of_entries(),
        )

    def _of_entries(self) -> Sequence[Operation]:
        return (
            Operation(
                "POST",
                "/v1/consents",
                self.record,
                "consents",
                "Tell of a consent from elsewhere",
                "A grant, refusal, withdrawal or objection that another system took. The same again is the same entry; "
                "older never overwrites newer; a grant never ends a withdrawal or an objection, which only the "
                "customer can. An objection holds for all shops of the company. `applied` says whether the standing "
                "moved, `reason` why it did not.",
                parameters=(Parameter("Idempotency-Key", "header", "Same key: same entry again", {"type": "string"}),),
                request="Record",
                answer="Recorded",
                answers=frozenset({404}),
            ),
            Operation(
                "GET",
                "/v1/consents/{event_id}",
                self.entry,
                "consents",
                "One entry, with its proof",
                "The entry of the ledger, the text that was shown, and the evidence while it is kept.",
                parameters=(_EVENT,),
                answer="Proof",
                answers=frozenset({404}),
            ),
            Operation(
                "GET",
                "/v1/consents/{event_id}/receipt",
                self.receipt,
                "consents",
                "The receipt of a consent",
                "For the customer or another system: Kantara Consent Receipt v1.1, or ISO/IEC TS 27560 as JSON-LD in "
                "the words of DPV. It names the subject by its pseudonym.",
                parameters=(
                    _EVENT,
                    Parameter("format", "query", "kantara (the default) or dpv", {"enum": list(_RECEIPTS)}),
                ),
                answer="Receipt",
                answers=frozenset({404}),
            ),
        )

    async def by_customer(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        customer_id = request.query.get("customer_id", "")
        if not customer_id:
            raise Problem(422, faults=[Fault("customer_id", "missing", "name the customer: ?customer_id=…")])
        return json_response(await self._report.consents_of_customer(caller.shop, customer_id))

    async def by_address(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        return json_response(await self._report.consents_of(caller.shop, await read_address(request, self._settings)))

    async def record(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        key = idempotency_key(request)
        body = parse(await read_body(request, _BODY_BYTES, self._settings.body_seconds))
        taken = await self._records.take(caller.shop, body, key=key or "", test=caller.key.test)
        return json_response(taken_json(taken))

    async def entry(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        entry, wording, evidence = await self._proof.entry(caller.shop, _event_id(request))
        return json_response({"entry": entry_json(entry), "wording": wording, "evidence": evidence})

    async def receipt(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "consents")
        kind = request.query.get("format", _RECEIPTS[0])
        if kind not in _RECEIPTS:
            raise Problem(422, faults=[Fault("format", "bad_value", f"one of: {', '.join(_RECEIPTS)}")])
        event_id = _event_id(request)
        make = self._proof.kantara if kind == "kantara" else self._proof.dpv
        return json_response(await make(caller.shop, event_id))


def taken_json(taken: Taken) -> dict[str, object]:
    """What became of a record, as JSON."""
    return {
        "event_id": str(uuid.UUID(bytes=taken.event_id)) if taken.event_id else None,
        "state": taken.state,
        "applied": taken.applied,
        "reason": taken.reason,
    }


def _event_id(request: web.Request) -> bytes:
    try:
        return uuid.UUID(request.match_info["event_id"]).bytes
    except ValueError:
        raise NotFound("there is no entry of this id") from None
