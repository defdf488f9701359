"""What the consent, customer and purpose doors take and give, as JSON Schema."""

from __future__ import annotations

from handraiser.core.consent_record import CHANNELS, EVENTS
from handraiser.doors.json_schema import MAYBE, MOMENT, TEXT, TEXTS, UUID, Json, list_of, map_of, object_of, ref

_ENTRY: Json = {
    "event_id": UUID,
    **dict.fromkeys(("event", "purpose", "channel", "basis"), TEXT),
    "occurred_at": MOMENT,
    "recorded_at": MOMENT,
    "touchpoint": TEXT,
    "message_id": MAYBE,
    "variant": TEXT,
    "wording_id": MAYBE,
    "notice_id": MAYBE,
    **dict.fromkeys(("method", "attestation", "verdict"), TEXT),
    "verdict_reasons": TEXTS,
    **dict.fromkeys(("jurisdiction", "rule_version", "leaf_hash"), TEXT),
    "preference": {"oneOf": [ref("Preference"), {"type": "null"}]},
    "expires_at": {"type": ["integer", "null"]},
}
_ANYTHING: Json = {"type": "object"}
_NOTHING: Json = {"type": ["object", "null"]}
_WHEN: Json = {"oneOf": [{"type": "string", "format": "date-time"}, MOMENT]}
_RECORD: Json = {
    "email": {"type": "string", "format": "email"},
    "customer_id": {"oneOf": [{"type": "string", "maxLength": 255}, {"type": "integer"}]},
    "purpose": TEXT,
    "channel": {"enum": sorted(CHANNELS)},
    "event": {"enum": sorted(EVENTS)},
    "occurred_at": _WHEN,
    "source": {"type": "string", "maxLength": 200},
    "wording": {"type": "string", "maxLength": 4000},
    "language": {"type": "string", "maxLength": 35},
    "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "ip": {"type": "string", "maxLength": 45},
    "proof_url": {"type": "string", "maxLength": 2000},
}
_SUBJECT: Json = {
    "subject_id": UUID,
    "email": MAYBE,
    "first_seen": MOMENT,
    **dict.fromkeys(
        (
            "customer_ids",
            "standing",
            "preferences",
            "entries",
            "evidence",
            "wordings",
            "suppressions",
            "orders",
            "messages",
            "visits",
            "counters",
            "exposures",
            "counted_as",
            "outgoing",
        ),
        list_of(_ANYTHING),
    ),
}
_PROMISE = dict.fromkeys(("what", "frequency", "benefit", "benefit_now", "button"), TEXT)
_PURPOSE: Json = {
    "id": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,59}$"},
    "version": {"type": "integer"},
    "texts": map_of(ref("Promise")),
    "covers_transactional": {"type": "boolean"},
    "channels": TEXTS,
    "recipients": TEXTS,
    "topics": list_of(ref("Choice")),
    "frequencies": list_of(ref("Choice")),
}

CONSENT_SCHEMAS: Json = {
    "Consents": object_of(
        {
            "standing": map_of(TEXT),
            "channels": map_of(map_of(TEXT)),
            "preferences": map_of(ref("Preference")),
            "paused_until": {"type": ["integer", "null"]},
            "preferences_url": {"type": "string", "format": "uri"},
            "entries": list_of(ref("Entry")),
            "customer_ids": TEXTS,
        }
    ),
    "Preference": object_of({"topics": {"type": ["array", "null"], "items": TEXT}, "frequency": MAYBE}),
    "Entry": object_of(_ENTRY),
    "Record": object_of(_RECORD, optional=[name for name in _RECORD if name not in ("purpose", "event")]),
    "Recorded": object_of(
        {
            "event_id": {"type": ["string", "null"], "format": "uuid"},
            "state": TEXT,
            "applied": {"type": "boolean"},
            "reason": TEXT,
        }
    ),
    "RecordLines": {"type": "string", "description": "One Record a line."},
    "ImportLines": {"type": "string", "description": "A line for each row that was left out, then the sums."},
    "Proof": object_of({"entry": ref("Entry"), "wording": _NOTHING, "evidence": _NOTHING}),
    "Receipt": {"type": "object"},
    "CustomerData": object_of({"company": TEXT, "subjects": list_of(ref("Held"))}),
    "Held": object_of(_SUBJECT),
    "Erased": object_of({"erased": {"type": "integer"}}),
    "Purposes": object_of({"purposes": list_of(ref("Purpose"))}),
    "Purpose": object_of(_PURPOSE),
    "PurposeText": object_of(
        {name: kind for name, kind in _PURPOSE.items() if name != "version"},
        optional=("covers_transactional", "channels", "recipients", "topics", "frequencies"),
    ),
    "Promise": object_of(_PROMISE),
    "Choice": object_of({"id": TEXT, "texts": map_of(TEXT)}),
}
