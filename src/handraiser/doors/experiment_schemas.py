"""What ``/v1/experiments`` takes and gives, as JSON Schema."""

from __future__ import annotations

from typing import get_args

from handraiser.core.assignment import WHOLE
from handraiser.core.experiment import GUARDRAILS, Kind, State
from handraiser.core.statistics.planning import Shorter
from handraiser.doors.json_schema import MAYBE, MOMENT, TEXT, TEXTS, UUID, Json, either_null, list_of, object_of, ref

_SHARE: Json = {"type": "integer", "minimum": 0, "maximum": WHOLE}
_FLAG: Json = {"type": "boolean"}
_WEIGHTS: Json = {"weights": list_of(_SHARE), "coverage": _SHARE}
_MAYBE_MOMENT: Json = {"type": ["integer", "null"], "format": "int64"}
_DESIGN: Json = {
    **dict.fromkeys(("key", "name", "purpose"), TEXT),
    "all_shops": _FLAG,
    "touchpoints": TEXTS,
    "arms": list_of(ref("Arm")),
    **_WEIGHTS,
    "window": {"type": "integer", "minimum": 1, "maximum": 90},
    "mde": {"type": "number", "minimum": 0.01, "maximum": 2},
    "guardrails": list_of({"enum": list(GUARDRAILS)}),
}

EXPERIMENT_SCHEMAS: Json = {
    "ExperimentDraft": object_of(
        {**_DESIGN, "rate": {"type": "number", "minimum": 0.0001, "maximum": 0.9}},
        optional=(*(_DESIGN.keys() - {"key", "purpose", "arms"}), "rate"),
    ),
    "Arm": object_of(
        {"key": TEXT, "block": MAYBE, "version": {"type": "integer", "minimum": 0}, "variant": TEXT},
        optional=("version", "variant"),
    ),
    "ExperimentStart": object_of({"accept_days": _FLAG}, optional=("accept_days",)),
    "ExperimentWeights": object_of(_WEIGHTS, optional=tuple(_WEIGHTS)),
    "ExperimentArm": object_of({"arm": TEXT}),
    "Holdout": object_of(
        {"share": {"type": "integer", "minimum": 0, "maximum": WHOLE // 2}, "all_shops": _FLAG}, optional=("all_shops",)
    ),
    "Experiment": object_of(
        {
            "experiment_id": UUID,
            "kind": {"enum": list(get_args(Kind))},
            "state": {"enum": list(get_args(State))},
            **_DESIGN,
            "window": {"type": "integer"},
            "mde": {"type": "number"},
            "metric": TEXT,
            "seed": TEXT,
            "hash_version": {"type": "integer"},
            "weights_history": list_of(ref("WeightsVersion")),
            "plan": either_null(ref("Plan")),
            "created_at": MOMENT,
            "started_at": _MAYBE_MOMENT,
            "stopped_at": _MAYBE_MOMENT,
            "shipped_arm": MAYBE,
        }
    ),
    "WeightsVersion": object_of({"version": {"type": "integer"}, **_WEIGHTS, "since": MOMENT}),
    "Plan": object_of(
        {
            "rate": {"type": "number"},
            "per_day": {"type": "number"},
            "subjects": {"type": "integer"},
            "days": {"type": ["integer", "null"]},
            "proposals": list_of(ref("Proposal")),
        }
    ),
    "Proposal": object_of({"kind": {"enum": list(get_args(Shorter))}, "value": {"type": "number"}}),
    "Experiments": object_of({"experiments": list_of(ref("Experiment"))}),
}
