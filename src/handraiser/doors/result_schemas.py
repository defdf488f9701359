"""What ``/v1/experiments/{id}/results`` gives, as JSON Schema."""

from __future__ import annotations

from typing import get_args

from handraiser.core.statistics.verdict import State
from handraiser.doors.json_schema import TEXT, TEXTS, UUID, Json, list_of, object_of, ref

_COUNT: Json = {"type": "integer"}
_NUMBER: Json = {"type": "number"}
_MAYBE_NUMBER: Json = {"type": ["number", "null"]}
_MAYBE_COUNT: Json = {"type": ["integer", "null"]}
_MAYBE_MOMENT: Json = {"type": ["integer", "null"], "format": "int64"}
_STATE: Json = {"enum": list(get_args(State))}
_RATE: Json = {"rate": _MAYBE_NUMBER, "rate_low": _NUMBER, "rate_high": _NUMBER}
_LIFT: Json = {"lift": _MAYBE_NUMBER, "lift_low": _NUMBER, "lift_high": _MAYBE_NUMBER}

RESULT_SCHEMAS: Json = {
    "Results": object_of(
        {
            "experiment_id": UUID,
            "key": TEXT,
            "computed_at": _MAYBE_MOMENT,
            "state": _STATE,
            "words": TEXT,
            "better": TEXTS,
            "days_left": _MAYBE_COUNT,
            "split": ref("Split"),
            "arms": list_of(ref("ArmResult")),
            "comparisons": list_of(ref("Comparison")),
            "segments": list_of(ref("SegmentResult")),
            "bayes": ref("Description"),
        },
        optional=("bayes",),
    ),
    "Split": object_of(
        {"state": {"enum": ["sound", "doubtful", "broken"]}, "evidence": _NUMBER, "p_of_one_look": _NUMBER}
    ),
    "ArmResult": object_of(
        {
            "arm": TEXT,
            "customers": _COUNT,
            "opt_ins": _COUNT,
            **_RATE,
            "so_far": ref("SoFar"),
            "guardrails": ref("Guardrails"),
            "clicks": ref("ArmClicks"),
        }
    ),
    "SoFar": object_of({"customers": _COUNT, "opt_ins": _COUNT}),
    "Guardrails": object_of({name: ref("Guardrail") for name in ("withdrawal", "objection", "not_me", "feedback")}),
    "Guardrail": object_of({"customers": _COUNT, "count": _COUNT, **_RATE}),
    "ArmClicks": object_of({**dict.fromkeys(("human", "suspect", "bot"), _COUNT), "machine_share": _MAYBE_NUMBER}),
    "Comparison": object_of(
        {
            "arm": TEXT,
            "control": TEXT,
            "state": _STATE,
            **_LIFT,
            "p": _NUMBER,
            "since": {"type": ["string", "null"], "format": "date"},
            "smaller_than": _MAYBE_NUMBER,
            **dict.fromkeys(("extra_per_1000", "extra_low", "extra_high"), _MAYBE_NUMBER),
        }
    ),
    "SegmentResult": object_of(
        {
            **dict.fromkeys(("dimension", "value", "arm"), TEXT),
            **dict.fromkeys(("customers", "opt_ins", "control_customers", "control_opt_ins"), _COUNT),
            **_LIFT,
            "stands_out": {"type": "boolean"},
        }
    ),
    "Description": object_of({"note": TEXT, "arms": list_of(ref("ArmDescription"))}),
    "ArmDescription": object_of(
        {
            "arm": TEXT,
            "control": TEXT,
            "chance_to_win": _NUMBER,
            "loss_if_taken": _NUMBER,
            "loss_if_kept": _NUMBER,
            "lift_low": _MAYBE_NUMBER,
            "lift_high": _MAYBE_NUMBER,
        }
    ),
}
