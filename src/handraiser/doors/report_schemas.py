"""What ``/v1/reports`` gives, as JSON Schema."""

from __future__ import annotations

from handraiser.core.kpi import DIMENSIONS, STILL_DAYS
from handraiser.core.kpi_report import KIND, MONTH
from handraiser.doors.json_schema import MAYBE, TEXT, TEXTS, Json, list_of, object_of, ref

_COUNT: Json = {"type": "integer"}
_RATE: Json = {"type": ["number", "null"]}
_LOW: Json = {"type": "number"}
_HEAD: Json = {"shop": TEXT, "from": MAYBE, "to": MAYBE, "counted_at": {"type": ["integer", "null"], "format": "int64"}}
_COUNTS: Json = {
    **dict.fromkeys(("customers_seen", "customers_eligible", "customers_asked"), _COUNT),
    **dict.fromkeys(("asks", "would_have_asked", "opt_ins"), _COUNT),
    "opt_in_rate": _RATE,
    **dict.fromkeys(("opt_in_rate_low", "opt_in_rate_high"), _LOW),
    **dict.fromkeys(("opt_ins_of_eligible", "opt_ins_of_seen"), _RATE),
}
for _days in STILL_DAYS:
    _COUNTS |= dict.fromkeys((f"opt_ins_{_days}_days_old", f"still_opted_in_{_days}"), _COUNT)
    _COUNTS[f"still_opted_in_{_days}_rate"] = _RATE
_BY = (*DIMENSIONS, KIND, MONTH)

REPORT_SCHEMAS: Json = {
    "OptInRate": object_of({**_HEAD, "by": TEXTS, "rows": list_of(ref("OptInRow")), "total": ref("OptInRow")}),
    "OptInRow": object_of({**dict.fromkeys(_BY, TEXT), **_COUNTS}, optional=_BY),
    "Baseline": object_of(
        {**_HEAD, "first_ask_on": MAYBE, "customers": ref("ConsentedBefore"), "purchases": ref("PurchasesBefore")}
    ),
    "ConsentedBefore": object_of(
        {
            **dict.fromkeys(("known", "consented", "not_consented"), _COUNT),
            "consented_share": _RATE,
            **dict.fromkeys(("consented_share_low", "consented_share_high"), _LOW),
        }
    ),
    "PurchasesBefore": object_of(
        {
            **dict.fromkeys(("purchases", "thank_you_views", "opt_ins"), _COUNT),
            **dict.fromkeys(("opt_ins_per_purchase", "opt_ins_per_thank_you_view"), _RATE),
        }
    ),
    "LifetimeValue": object_of(
        {
            **_HEAD,
            "currency": MAYBE,
            "currencies_left_out": TEXTS,
            "opted_in": ref("OptedInOrNot"),
            "experiments": list_of(ref("LifetimeOfArms")),
        }
    ),
    "OptedInOrNot": object_of({"causal": {"type": "boolean"}, "note": TEXT, "arms": list_of(ref("LifetimeOfArm"))}),
    "LifetimeOfArms": object_of(
        {
            "key": TEXT,
            "kind": {"enum": ["test", "holdout"]},
            "arms": list_of(ref("LifetimeOfArm")),
            "differences": list_of(ref("LifetimeDifference")),
        }
    ),
    "LifetimeOfArm": object_of(
        {
            "arm": TEXT,
            **dict.fromkeys(("customers", "orders"), _COUNT),
            "orders_per_customer": _RATE,
            "revenue": TEXT,
            "revenue_per_customer": MAYBE,
        }
    ),
    "LifetimeDifference": object_of(
        {"arm": TEXT, "control": TEXT, "revenue_per_customer_more": MAYBE, "low": MAYBE, "high": MAYBE}
    ),
}
