"""``/v1/experiments``: tests of what is shown, from the draft to the arm that stays, and the holdout."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from handraiser.core.experiment import Experiment
from handraiser.core.payload import parse
from handraiser.doors.keys import Caller, Keys
from handraiser.doors.openapi import Operation, Parameter
from handraiser.doors.web import json_response, read_body
from handraiser.errors import Fault, Malformed, Refused
from handraiser.experiments import Experiments
from handraiser.settings import Settings

_AT = "/v1/experiments/{experiment_id}"
_NAME = (Parameter("experiment_id", "path", "The test's key or id", {"type": "string"}, required=True),)
_ALL = ("All tests", "The shop's and those of all shops of its company, the oldest first; holdouts among them.")
_ONE = ("One test", "By its key or id, with every version of its weights.")
_DRAFT = (
    "Draft a test and see how long it will take",
    (
        "Arms pin a block's version and variant, or show nothing (`block: null`), the control first. The plan is "
        "counted with the traffic of the last four weeks. A draft of the same key is replaced."
    ),
    "ExperimentDraft",
)
_START = (
    "Start a test",
    (
        "From now on its design never changes, and its blocks take no new version. A test whose plan takes more than "
        "120 days starts only with `accept_days`; else draft it anew as one of the plan's proposals says."
    ),
    "ExperimentStart",
)
_WEIGHTS = (
    "Change weights or coverage",
    "A new version for customers who come from now on; whoever has an arm keeps it.",
    "ExperimentWeights",
)
_STOP = ("Stop a test", "What was shown before it is shown again.", "")
_SHIP = (
    "Ship an arm of a stopped test",
    "Its variant is the one that is shown from now on, in every shop of the company; other arms' blocks are taken off.",
    "ExperimentArm",
)
_HOLDOUT = (
    "Keep a share of customers from seeing anything",
    "So that effects can be measured. Who has seen something stays out of it. 0 ends it.",
    "Holdout",
)
"""What each step is called, what it does, and the schema of what it takes."""


class ExperimentDoor:
    """Tests of the caller's shop and those of all shops of its company, by key or id."""

    def __init__(self, experiments: Experiments, keys: Keys, settings: Settings) -> None:
        self._experiments, self._keys, self._settings = experiments, keys, settings

    def operations(self) -> Sequence[Operation]:
        reading = (
            ("/v1/experiments", self.all, *_ALL, (), "Experiments", frozenset[int]()),
            (_AT, self.one, *_ONE, _NAME, "Experiment", frozenset({404})),
        )
        steps = (
            ("/v1/experiments", self.draft, *_DRAFT),
            (f"{_AT}/start", self.start, *_START),
            (f"{_AT}/weights", self.weigh, *_WEIGHTS),
            (f"{_AT}/stop", self.stop, *_STOP),
            (f"{_AT}/ship", self.ship, *_SHIP),
            ("/v1/experiments/holdout", self.hold_out, *_HOLDOUT),
        )
        return (
            *(
                Operation("GET", path, handler, "blocks", what, told, parameters=names, answer=answer, answers=answers)
                for path, handler, what, told, names, answer, answers in reading
            ),
            *(
                Operation(
                    "POST",
                    path,
                    handler,
                    "blocks",
                    what,
                    told,
                    parameters=_NAME if path.startswith(_AT) else (),
                    request=taken,
                    answer="Experiment",
                    answers=frozenset({404, 409} if path.startswith(_AT) else {409}),
                )
                for path, handler, what, told, taken in steps
            ),
        )

    async def draft(self, request: web.Request) -> web.Response:
        caller, body = await self._asked(request)
        return await self._answer(await self._experiments.draft(caller.shop, body, caller.key.key_id))

    async def all(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "blocks")
        found = await self._experiments.all(caller.shop)
        return json_response({"experiments": [await self._told(one) for one in found]})

    async def one(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "blocks")
        return await self._answer(await self._experiments.one(caller.shop, request.match_info["experiment_id"]))

    async def start(self, request: web.Request) -> web.Response:
        caller, body = await self._asked(request, "accept_days")
        accept = body.get("accept_days", False)
        if not isinstance(accept, bool):
            raise Refused([Fault("/accept_days", "wrong_type", "true or false")])
        name, by = request.match_info["experiment_id"], caller.key.key_id
        return await self._answer(await self._experiments.start(caller.shop, name, by, accept_days=accept))

    async def weigh(self, request: web.Request) -> web.Response:
        caller, body = await self._asked(request)
        name, by = request.match_info["experiment_id"], caller.key.key_id
        return await self._answer(await self._experiments.weigh(caller.shop, name, body, by))

    async def stop(self, request: web.Request) -> web.Response:
        caller = await self._keys.caller(request, "blocks")
        name, by = request.match_info["experiment_id"], caller.key.key_id
        return await self._answer(await self._experiments.stop(caller.shop, name, by))

    async def ship(self, request: web.Request) -> web.Response:
        caller, body = await self._asked(request, "arm")
        name, by = request.match_info["experiment_id"], caller.key.key_id
        return await self._answer(await self._experiments.ship(caller.shop, name, body.get("arm"), by))

    async def hold_out(self, request: web.Request) -> web.Response:
        caller, body = await self._asked(request, "share", "all_shops")
        everywhere = body.get("all_shops", False)
        if not isinstance(everywhere, bool):
            raise Refused([Fault("/all_shops", "wrong_type", "true or false")])
        share, by = body.get("share"), caller.key.key_id
        return await self._answer(await self._experiments.hold_out(caller.shop, share, by, all_shops=everywhere))

    async def _asked(self, request: web.Request, *fields: str) -> tuple[Caller, dict[str, Any]]:
        """The caller and the object it sent; with ``fields`` nothing else may stand in it."""
        caller = await self._keys.caller(request, "blocks")
        raw = await read_body(request, self._settings.body_limit_bytes, self._settings.body_seconds)
        body = parse(raw)
        if not isinstance(body, dict):
            raise Malformed([Fault("", "wrong_type", "send one object")])
        if fields and (unknown := [name for name in body if name not in fields]):
            raise Refused([Fault(f"/{name}", "unknown_field", "there is no such field") for name in unknown])
        return caller, body

    async def _answer(self, one: Experiment) -> web.Response:
        return json_response(await self._told(one))

    async def _told(self, one: Experiment) -> dict[str, Any]:
        design = asdict(one.design)
        arms = [{name: arm[name] for name in ("key", "block", "version", "variant")} for arm in design["arms"]]
        history = await self._experiments.history(one)
        return {
            "experiment_id": str(uuid.UUID(bytes=one.id)),
            **{name: getattr(one, name) for name in ("kind", "key", "name", "state")},
            "all_shops": one.shop_id is None,
            **design,
            "arms": arms,
            "weights": one.weights.parts,
            "coverage": one.weights.coverage,
            "weights_history": [
                {"version": known.version, "weights": known.parts, "coverage": known.coverage, "since": since}
                for known, since in history
            ],
            "plan": one.plan or None,
            **{name: getattr(one, name) for name in ("created_at", "started_at", "stopped_at")},
            "shipped_arm": None if one.shipped_arm is None else one.design.arms[one.shipped_arm].key,
        }
