"""/openapi.json says what the service does, and /docs says it to people."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from handraiser.opening import web_app
from programs import Programs
from running import TENTS, running, settings_for
from threads import in_a_thread

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "templates" / "docs"
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: Any, value: Any) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.deserializer("application/x-ndjson")
def from_lines(_context: Any, response: Any) -> Any:
    return response.content.decode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, compiled: Programs) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("openapi")
    with in_a_thread(lambda: running(settings_for(folder, f"sqlite:///{folder / 'h.db'}"), compiled, [TENTS])) as one:
        yield one


@pytest.fixture(scope="module")
def document(house: Any) -> dict[str, Any]:
    status, found = house.call(house.it.get("/openapi.json"))
    assert status == 200
    told: dict[str, Any] = found
    return told


@pytest.fixture(scope="module")
def page(house: Any) -> str:
    async def fetched() -> str:
        async with house.it.session.get(house.it.url + "/docs") as answer:
            assert answer.status == 200
            text: str = await answer.text()
            return text

    found: str = house.call(fetched())
    return found


def test_the_document_is_openapi_3_1(document: dict[str, Any]):
    validate(document)


def test_every_route_below_v1_is_in_the_document_and_none_other(house: Any, document: dict[str, Any]):
    routes = web_app(house.it.service).router.routes()
    served = {
        (route.method, route.resource.canonical)
        for route in routes
        if route.resource is not None and route.resource.canonical.startswith("/v1/") and route.method != "HEAD"
    }
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}

    assert served == told
    assert served


def test_every_field_has_its_meaning_and_every_meaning_its_field(document: dict[str, Any]):
    schemas = document["components"]["schemas"]
    fields = {(name, field) for name, schema in schemas.items() for field in schema.get("properties", {})}
    silent = [(name, field) for name, field in fields if not schemas[name]["properties"][field].get("description")]
    meanings = tomllib.loads((DOCS / "meanings.toml").read_text(encoding="utf-8"))

    assert silent == []
    assert {(name, field) for name, known in meanings.items() for field in known} == fields


def test_every_example_is_one_of_its_schema(document: dict[str, Any]):
    examples = json.loads((DOCS / "examples.json").read_text(encoding="utf-8"))
    for name, example in examples.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        assert [fault.message for fault in OAS31Validator(schema).iter_errors(example)] == [], name
    lines = [json.loads(line) for line in examples["EmailLines"].splitlines()]
    for line in lines:
        line.pop("idempotency_key")
        schema = {"$ref": "#/components/schemas/Email", "components": document["components"]}
        assert list(OAS31Validator(schema).iter_errors(line)) == []


def test_the_first_example_is_composed_without_a_warning(house: Any):
    example = json.loads((DOCS / "examples.json").read_text(encoding="utf-8"))["Email"]

    answer = house.call(house.it.email(example))

    assert answer["warnings"] == []
    assert answer["subject"] == "Order 1001 confirmed"


def test_the_page_leads_everywhere_it_points_and_needs_no_script_and_no_network(page: str):
    anchors = set(re.findall(r' id="([^"]+)"', page))
    links = re.findall(r' href="([^"]+)"', page)

    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert {link for link in links if not link.startswith("#")} == {"/static/docs.css", "/openapi.json"}
    assert len(anchors) == len(re.findall(r' id="', page)), "an id stands there twice"
    assert "<script" not in page
    assert "src=" not in page
    assert "$SERVER" not in page


def test_the_page_shows_every_operation_reason_error_and_language(page: str, document: dict[str, Any]):
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    for reason in document["components"]["schemas"]["Skip"]["properties"]["reason"]["enum"]:
        assert f"<dt><code>{reason}</code></dt>" in page
    for language in ("curl", "Python", "JavaScript", "PHP"):
        assert f"<summary>{language}</summary>" in page


def test_whatever_the_document_allows_is_answered_as_it_says(house: Any, document: dict[str, Any]):
    document = {**document, "servers": [{"url": house.it.url}]}
    schema = schemathesis.openapi.from_dict(document)
    headers = {"Authorization": f"Bearer {house.it.keys['tents']}"}
    for operation in (found.ok() for found in schema.get_all_operations()):

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answered(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=house.it.url, headers=headers, checks=CHECKS)

        answered()
