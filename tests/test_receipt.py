"""The receipt always goes out: hostile input, a broken block, a store that is gone. Over real sockets."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import postgres
from handraiser.core.mjml.fill import Block, Engine
from handraiser.errors import FillFailed
from programs import Programs
from running import BOATS, Running, an_order, running, settings_for, the_ask


@pytest.fixture
async def house(tmp_path: Path, compiled: Programs) -> AsyncIterator[Running]:
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path / 'handraiser.db'}")
    async with running(settings, compiled, shops=[BOATS]) as opened:
        yield opened


async def messages_kept(house: Running) -> int:
    return int((await house.service.database.fetch("SELECT COUNT(*) AS n FROM message"))[0]["n"])


def without(*path: str) -> dict[str, Any]:
    order: dict[str, Any] = an_order()
    at = order
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return order


def with_(value: Any, *path: str) -> dict[str, Any]:
    order: dict[str, Any] = an_order()
    at = order
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return order


async def test_what_no_receipt_can_be_written_from_is_a_named_4xx_and_leaves_nothing(house: Running):
    nothing_to_tell = with_([], "order", "lines")
    del nothing_to_tell["order"]["total"]
    cases: list[tuple[Any, int, set[str]]] = [
        (b"{not json", 400, {""}),
        (b"\xff\xfe", 400, {""}),
        (b"[" * 100_000, 400, {""}),
        (b'{"a": NaN}', 400, {""}),
        ([], 422, {""}),
        ({}, 422, {"/type", "/customer", "/order"}),
        (without("type"), 422, {"/type"}),
        (without("customer", "email"), 422, {"/customer/email"}),
        (with_("nobody", "customer", "email"), 422, {"/customer/email"}),
        (with_("a@b.example, c@d.example", "customer", "email"), 422, {"/customer/email"}),
        (with_(["a@b.example"], "customer", "email"), 422, {"/customer/email"}),
        (without("order", "id"), 422, {"/order/id"}),
        (with_({"x": 1}, "order", "id"), 422, {"/order/id"}),
        (without("order", "currency"), 422, {"/order/currency"}),
        (with_("EURO", "order", "currency"), 422, {"/order/currency"}),
        (nothing_to_tell, 422, {"/order/lines"}),
        (with_("no_such_type", "type"), 422, {"/type"}),
        (with_([{"name": "x", "total": "1"}] * 10_000, "order", "lines"), 422, {"/order/lines"}),
    ]
    for body, wanted, pointers in cases:
        status, problem = await house.post("/v1/emails", body, shop="boats")
        assert status == wanted, problem
        assert {fault["pointer"] for fault in problem["errors"]} >= pointers
        assert all(fault["code"] and fault["detail"] for fault in problem["errors"])

    status, problem = await house.post("/v1/emails", b"x" * 5_000_000, shop="boats")
    assert status == 413
    assert problem["title"]
    assert await messages_kept(house) == 0


async def test_everything_else_is_rendered_harmlessly_with_a_warning(house: Running):
    cases: list[tuple[dict[str, Any], str]] = [
        ({**an_order(), "loyalty": {"points": 7}}, "/loyalty"),
        (with_("javascript:alert(1)", "order", "url"), "/order/url"),
        (with_("xx-Klingon", "customer", "locale"), "/customer/locale"),
        (with_("ja", "customer", "locale"), "/customer/locale"),
        (with_("last tuesday", "order", "placed_at"), "/order/placed_at"),
        (with_("2026-11-24T10:00:00", "order", "placed_at"), "/order/placed_at"),
        (with_("not a country", "customer", "country"), "/customer/country"),
        (with_("A\r\nBcc: eve@example.com", "customer", "first_name"), "/customer/first_name"),
        (with_("=?utf-8?b?PHNjcmlwdD4=?=", "customer", "first_name"), "/customer/first_name"),
        (with_([{"name": "x", "total": "much"}], "order", "lines"), "/order/lines/0/total"),
    ]
    for n, (order, pointer) in enumerate(cases):
        order["order"]["id"] = f"hostile-{n}"
        answer = await house.email(order, shop="boats")
        assert pointer in {warning["pointer"] for warning in answer["warnings"]}, answer["warnings"]
        assert "javascript:" not in answer["html"]
        status, problem = await house.post("/v1/emails?strict=true", order, shop="boats")
        assert status == 422
        assert pointer in {fault["pointer"] for fault in problem["errors"]}
    assert await messages_kept(house) == len(cases)


async def test_data_is_never_markup_and_never_code(house: Running):
    nasty = "<script>alert(1)</script>{{ 1111*1111 }}{% raw %}</td></mj-text>\"'><img src=x onerror=alert(1)>"
    order = an_order(
        customer={"first_name": nasty, "last_name": nasty},
        lines=[{"name": nasty, "total": "1", "options": [{"name": nasty, "value": nasty}]}],
        customer_note=nasty,
        shipping_address={"lines": [nasty], "city": nasty, "country": "US"},
    )
    answer = await house.email(order, shop="boats")

    assert re.findall(r"<script(?! type=\"application/ld\+json\")", answer["html"]) == []
    assert "<img src=x" not in answer["html"]
    assert "1234321" not in answer["text"]
    assert "{{ 1111*1111 }}" in answer["text"]


async def test_a_block_that_fails_while_filling_costs_the_block_and_is_counted(
    house: Running, monkeypatch: pytest.MonkeyPatch
):
    fill_block = Engine.fill_block

    def failing(engine: Engine, block: Block, context: Mapping[str, Any]) -> tuple[str, str]:
        if block.name == "order-care":
            raise FillFailed("the data surprises the block")
        return fill_block(engine, block, context)

    monkeypatch.setattr(Engine, "fill_block", failing)

    answer = await house.email(an_order(), shop="boats")

    assert "Tent" in answer["html"]
    assert {placed["slot"] for placed in answer["placements"]} == {"ask"}
    assert ("order-care", "fill_failed") in {(skip["block"], skip["reason"]) for skip in answer["skipped"]}
    async with house.session.get(house.url + "/metrics") as metrics:
        told = await metrics.text()
    assert 'handraiser_fill_failures_total{block="order-care",shop="boats"} 1.0' in told


async def test_with_the_database_gone_the_email_still_comes_back_without_asks(house: Running):
    first = await house.email(an_order(1), shop="boats")
    await house.service.database.close()

    headers = {"Authorization": f"Bearer {house.keys['boats']}"}
    async with house.session.post(house.url + "/v1/emails", json=an_order(2), headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Handraiser-Skipped"] == "store_unavailable"
        body = await answer.json()
    assert "Tent" in body["html"]
    assert body["message_id"] is None
    assert "ask" not in {placed["slot"] for placed in body["placements"]}
    assert {skip["reason"] for skip in body["skipped"] if skip["slot"] == "ask"} >= {"store_unavailable"}
    async with house.session.get(house.url + "/readyz") as ready:
        assert ready.status == 503
    async with house.session.get(house.url + "/healthz") as alive:
        assert alive.status == 200

    leave = first["headers"]["List-Unsubscribe"].strip("<>")
    status, _ = await house.submit(leave, {"List-Unsubscribe": "One-Click"})
    assert status == 200
    status, page = await house.press(the_ask(first))
    assert status == 503
    assert "not" in page


async def test_a_shop_that_wants_every_email_recorded_gets_503_while_the_database_is_gone(
    tmp_path: Path, compiled: Programs
):
    settings = settings_for(tmp_path, f"sqlite:///{tmp_path / 'handraiser.db'}")
    closed = "fail_open = false\n" + BOATS
    async with running(settings, compiled, shops=[closed]) as house:
        await house.email(an_order(1), shop="boats")
        await house.service.database.close()

        status, problem = await house.post("/v1/emails", an_order(2), shop="boats")

        open_status, _ = await house.post("/v1/emails?fail_open=true", an_order(2), shop="boats")

    assert status == 503
    assert problem["status"] == 503
    assert open_status == 200


async def test_requests_without_a_good_key_learn_nothing(house: Running):
    status, problem = await house.post("/v1/emails", an_order(), shop="boats", Authorization="Bearer hr_x_y")
    assert (status, problem["errors"][0]["code"]) == (401, "invalid_key")
    key = await house.service.govern.add_key("boats", ["reports"])
    status, _ = await house.post("/v1/emails", an_order(), shop="boats", Authorization=f"Bearer {key}")
    assert status == 403
    status, problem = await house.post("/v1/emails?dry-run=true", an_order(), shop="boats")
    assert status == 422
    assert problem["errors"][0]["pointer"] == "dry-run"
    status, _ = await house.post("/v1/emails", json.dumps(an_order()).encode(), shop="boats", Content_Type="text/plain")
    assert status == 415


async def test_a_postgresql_that_was_killed_costs_the_ask_and_never_the_email(tmp_path: Path, compiled: Programs):
    with postgres.own_server() as (url, server):
        settings = settings_for(tmp_path, url, store_seconds=0.5)
        async with running(settings, compiled, shops=[BOATS]) as house:
            first = await house.email(an_order(1), shop="boats")
            workers = [row["pid"] for row in await house.service.database.fetch("SELECT pid FROM pg_stat_activity")]
            for pid in [server.pid, *workers]:
                os.kill(pid, signal.SIGSTOP)  # it hangs: worse than being gone
            hung = await house.email(an_order(2), shop="boats")
            for pid in [server.pid, *workers]:
                os.kill(pid, signal.SIGKILL)
            server.wait(10)
            gone = await house.email(an_order(3), shop="boats")
            leave = first["headers"]["List-Unsubscribe"].strip("<>")
            status, _ = await house.submit(leave, {"List-Unsubscribe": "One-Click"})

    for answer in (hung, gone):
        assert "Tent" in answer["html"]
        assert answer["message_id"] is None
        assert "ask" not in {placed["slot"] for placed in answer["placements"]}
    assert status == 200
