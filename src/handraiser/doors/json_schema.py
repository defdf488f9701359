"""JSON Schema in few words, for the doors that describe what they take and give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


def map_of(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def either_null(one: Json) -> Json:
    return {"anyOf": [one, {"type": "null"}]}


def object_of(properties: Json, optional: Sequence[str] = ()) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


TEXT: Json = {"type": "string"}
TEXTS = list_of(TEXT)
UUID: Json = {"type": "string", "format": "uuid"}
MOMENT: Json = {"type": "integer", "format": "int64"}
MAYBE: Json = {"type": ["string", "null"]}
