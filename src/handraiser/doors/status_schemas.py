"""What ``/v1/shops/status`` gives, as JSON Schema."""

from __future__ import annotations

from handraiser.doors.json_schema import MOMENT, TEXT, Json, either_null, list_of, map_of, object_of, ref

_COUNT: Json = {"type": "integer", "minimum": 0}
_SHARE = either_null({"type": "number", "minimum": 0, "maximum": 1})

STATUS_SCHEMAS: Json = {
    "ShopStatuses": object_of({"shops": list_of(ref("ShopStatus"))}),
    "ShopStatus": object_of(
        {
            "shop": TEXT,
            "mode": {"enum": ["off", "observe", "on"]},
            "last_sent_at": either_null(MOMENT),
            "last_hour": _COUNT,
            "same_hour_last_week": _COUNT,
            "newest": ref("NewestEmails"),
            "confirmation_mails": map_of(_COUNT),
            "template_revision": TEXT,
            "catalogue_revision": _COUNT,
            "unsealed_seconds": _COUNT,
        }
    ),
    "NewestEmails": object_of(
        {
            "messages": _COUNT,
            "with_ask": _SHARE,
            "would_ask": _SHARE,
            "unchanged": _SHARE,
            "skipped": list_of(ref("SkippedFor")),
            "visits": _COUNT,
            "machine_share": _SHARE,
            "answers": map_of(_COUNT),
        }
    ),
    "SkippedFor": object_of({"reason": TEXT, "messages": _COUNT}),
}
