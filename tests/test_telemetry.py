"""Logs and metrics tell the operator what happened, and nobody who it happened to."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest

from handraiser.telemetry import JsonLines, Metrics, log_to, request_id


def line(name: str, message: str, *args: Any, exc_info: Any = None, **extra: Any) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.ERROR, "x.py", 1, message, args, exc_info)
    record.__dict__.update(extra)
    text = JsonLines().format(record)
    assert "\n" not in text
    told: dict[str, Any] = json.loads(text)
    return told


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    kept, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = kept
    logger.setLevel(level)


def test_a_line_is_one_json_object_that_no_value_can_forge():
    told = line("handraiser.app", "left out %s", 'x\n{"level": "info"}', facts={"shop": "tents\r\n", "n": 3})
    assert told["event"] == 'left out x\n{"level": "info"}'
    assert (told["level"], told["logger"], told["shop"], told["n"]) == ("error", "handraiser.app", "tents\r\n", 3)


def test_a_line_carries_the_requests_id_while_there_is_one():
    assert "request_id" not in line("handraiser", "x")
    token = request_id.set("r-1")
    try:
        assert line("handraiser", "x")["request_id"] == "r-1"
    finally:
        request_id.reset(token)


def test_an_exception_is_told_by_its_type_and_place_never_by_its_text():
    try:
        raise ValueError("alice@example.com is no address")
    except ValueError as error:
        told = line("handraiser", "failed", exc_info=(type(error), error, error.__traceback__))
    assert told["error"] == "ValueError"
    assert told["where"][-1].startswith("test_telemetry.py:")
    assert "alice" not in json.dumps(told)


def test_other_libraries_lines_are_kept_without_the_values_they_hold():
    told = line("aiohttp.server", "Error handling request from %s", "192.0.2.7")
    assert told["event"] == "Error handling request from %s"
    told = line(
        "asyncio", "Task exception was never retrieved\nfuture: <Task exception=ValueError('alice@example.com')>"
    )
    assert told["event"] == "Task exception was never retrieved"


def test_the_log_goes_to_standard_error_from_its_level_on(root: logging.Logger, capsys: pytest.CaptureFixture[str]):
    log_to("WARNING")
    logging.getLogger("handraiser.x").info("quiet")
    logging.getLogger("handraiser.x").warning("loud")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(text)["event"] for text in captured.err.splitlines()] == ["loud"]


def test_metrics_of_two_services_in_one_process_are_apart():
    one, two = Metrics(), Metrics()
    one.emails.labels("tents", "order_confirmation", "composed").inc()
    assert b'handraiser_emails_total{outcome="composed",shop="tents",type="order_confirmation"} 1.0' in generate_latest(
        one.registry
    )
    assert b"tents" not in generate_latest(two.registry)


def test_no_metric_has_a_label_that_could_name_a_person():
    labels = {label for one in vars(Metrics()).values() for label in getattr(one, "_labelnames", ())}
    known = {"route", "method", "status", "shop", "type", "outcome", "kind", "reason", "block", "verdict", "carrier"}
    assert labels <= known
