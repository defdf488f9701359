"""What ``POST /v1/orders`` and ``POST /v1/feedback`` take and give, as JSON Schema."""

from __future__ import annotations

from typing import get_args

from handraiser.core.feedback import HIGHEST, LOWEST
from handraiser.core.order_record import Status
from handraiser.doors.json_schema import MAYBE, TEXT, Json, list_of, object_of, ref

_AMOUNT: Json = {"oneOf": [TEXT, {"type": "number"}]}

ORDER_SCHEMAS: Json = {
    "ToldOrder": object_of(
        {
            "customer": ref("Customer"),
            "order": ref("Order"),
            "status": {"enum": list(get_args(Status))},
            "refunded": _AMOUNT,
            "version": {"type": "integer", "minimum": 1, "maximum": 2**53},
            "updated_at": {"type": "string", "format": "date-time"},
            "kind": {"enum": ["live", "historical"]},
        },
        optional=("status", "refunded", "version", "updated_at", "kind"),
    ),
    "TakenOrder": object_of(
        {
            "order_id": TEXT,
            "outcome": {"enum": ["recorded", "updated", "unchanged", "older", "suppressed", "test"]},
            "customer_kind": MAYBE,
            "warnings": list_of(ref("Fault")),
        }
    ),
    "Feedback": object_of(
        {
            "id": TEXT,
            "email": TEXT,
            "customer_id": TEXT,
            "score": {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
            "occurred_at": {"type": ["integer", "string"]},
        },
        optional=("email", "customer_id", "occurred_at"),
    ),
    "TakenFeedback": object_of({"outcome": {"enum": ["recorded", "unchanged", "test"]}}),
    "ToldOrders": {"type": "string", "description": "One ToldOrder a line."},
    "TakenOrders": {
        "type": "string",
        "description": "A line for each order that cannot be used or had something left out, then the sums.",
    },
}
