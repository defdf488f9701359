"""An existing database of consents comes in over HTTP: rows fail alone, a blank erases nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from programs import Programs
from running import BOATS, TENTS, Running, running, settings_for

CSV = """email,purpose,event,occurred_at,source
alice@example.com,offers,granted,2024-01-02T03:04:05Z,old list
bob@example.com,offers,,2024-01-02,old list
not an address,offers,granted,2024-01-02,old list
carol@example.com,offers,granted,,old list
dave@example.com,offers,withdrawn,,old list
"""


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, BOATS]) as one:
        yield one


async def send(house: Running, text: str, kind: str = "text/csv", shop: str = "tents") -> tuple[int, list[Any]]:
    headers = {"Authorization": f"Bearer {house.keys[shop]}", "Content-Type": kind}
    async with house.session.post(house.url + "/v1/consents/import", data=text.encode(), headers=headers) as answer:
        return answer.status, [json.loads(line) for line in (await answer.text()).splitlines()]


async def stands(house: Running, email: str) -> Any:
    status, answer = await house.post("/v1/consents/search", {"email": email})
    return answer["standing"] if status == 200 else None


async def test_rows_are_kept_and_each_bad_one_is_named(house: Running):
    status, lines = await send(house, CSV)
    assert status == 200
    assert [(line["row"], line["errors"][0]["pointer"]) for line in lines[:-1]] == [(3, "/email"), (4, "/occurred_at")]
    assert lines[-1] == {"rows": 5, "applied": 2, "unchanged": 0, "blank": 1, "refused": 2, "complete": True}
    assert await stands(house, "alice@example.com") == {"offers": "granted"}
    assert await stands(house, "bob@example.com") is None

    again = (await send(house, CSV))[1][-1]
    assert (again["applied"], again["unchanged"]) == (0, 2)


async def test_a_blank_cell_erases_nothing_and_a_grant_overrides_no_withdrawal(house: Running):
    await send(house, CSV)
    rows = [
        {"email": "alice@example.com", "purpose": "offers", "event": ""},
        {"email": "dave@example.com", "purpose": "offers", "event": "granted", "occurred_at": "2026-01-01"},
        {"email": "alice@example.com", "purpose": "offers", "event": "withdrawn", "occurred_at": "2023-01-01"},
    ]
    _, lines = await send(house, "\n".join(json.dumps(row) for row in rows), "application/x-ndjson")
    assert lines == [{"rows": 3, "applied": 0, "unchanged": 2, "blank": 1, "refused": 0, "complete": True}]
    assert await stands(house, "alice@example.com") == {"offers": "granted"}
    assert await stands(house, "dave@example.com") == {"offers": "withdrawn"}


async def test_rows_of_one_customer_take_their_turns_within_a_chunk(house: Running):
    rows = [("granted", "2024-01-01"), ("withdrawn", "2024-03-01"), ("granted", "2024-02-01")]
    text = "email,purpose,event,occurred_at\n" + "".join(f"a@x.example,offers,{e},{at}\n" for e, at in rows)
    _, lines = await send(house, text)
    assert (lines[-1]["applied"], lines[-1]["unchanged"]) == (2, 1)
    assert await stands(house, "a@x.example") == {"offers": "withdrawn"}


async def test_only_what_leaves_is_told_to_other_systems(house: Running):
    await send(house, CSV)
    rows = await house.service.database.fetch("SELECT event FROM outbox")
    assert [row["event"] for row in rows] == ["consent.withdrawn"]


async def test_what_is_no_list_is_refused(house: Running):
    assert (await send(house, CSV, "text/plain"))[0] == 415
    _, lines = await send(house, "alice@example.com,granted\n")
    assert (lines[-1]["complete"], lines[-1]["status"], lines[-1]["errors"][0]["code"]) == (False, 422, "no_names")
    house.keys["test"] = await house.service.govern.add_key("tents", ["consents"], test=True)
    assert (await send(house, CSV, shop="test"))[0] == 403
