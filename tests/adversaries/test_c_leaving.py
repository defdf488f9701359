"""C: leaving. A link is all it needs: from any program, at any age, with any body, with the database gone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import aiohttp
import pytest

import postgres
from programs import Programs
from running import running, settings_for
from siege import DAY, Clock, Siege

module = pytest.mark.asyncio(loop_scope="module")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PROGRAMS = [
    "Go-http-client/2.0",
    "Barracuda Sentinel",
    "curl/8.5.0",
    "Mozilla/5.0 (compatible; SafeLinks)",
    "Java/21",
    "Googlebot/2.1",
    None,
]


@module
@pytest.mark.parametrize("program", PROGRAMS)
async def test_c1_any_program_may_leave_for_its_owner(siege: Siege, program: str | None):
    alice = await siege.ask()
    await siege.press(alice.link)

    said = await siege.send("POST", alice.leave, ONE_CLICK, {}, User_Agent=program)

    assert said.status == 200
    assert await siege.events(alice) == ["granted", "withdrawn"]


@module
async def test_c2_opening_the_page_changes_nothing(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link)

    assert (await siege.get(alice.leave)).status == 200

    assert await siege.standing(alice) == "granted"


@module
async def test_c3_ten_years_later_leaving_works(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link)

    with siege.clock.later(3653 * DAY):
        said = await siege.send("POST", alice.leave, ONE_CLICK, {})

    assert said.status == 200
    assert await siege.events(alice) == ["granted", "withdrawn"]


@module
async def test_c4_leaving_five_times_is_one_entry(siege: Siege):
    alice = await siege.ask()
    await siege.press(alice.link)

    for _ in range(5):
        assert (await siege.send("POST", alice.leave, ONE_CLICK, {})).status == 200

    assert await siege.events(alice) == ["granted", "withdrawn"]


@module
@pytest.mark.parametrize("body", [None, b"", b"\xff\x00", b"x" * 100_000], ids=["none", "empty", "junk", "huge"])
async def test_c5_the_body_does_not_matter(siege: Siege, body: bytes | None):
    alice = await siege.ask()
    await siege.press(alice.link)

    assert (await siege.send("POST", alice.leave, body, {})).status == 200

    assert await siege.standing(alice) == "withdrawn"


@module
async def test_c6_who_never_agreed_objects_and_is_asked_no_more(siege: Siege):
    alice = await siege.ask()

    await siege.send("POST", alice.leave, ONE_CLICK, {})

    assert await siege.events(alice) == ["objected"]
    later = await siege.it.email({**an_order_of(alice.id, alice.address), "type": "delivered"})
    assert "ask" not in {placed["slot"] for placed in later["placements"]}


def an_order_of(customer_id: str, address: str) -> dict[str, object]:
    return {
        "customer": {"id": customer_id, "email": address, "locale": "en", "country": "US"},
        "order": {"id": "9", "currency": "USD", "total": "1.00"},
    }


@module
async def test_c7_the_answer_leads_nowhere_and_sets_no_cookie(siege: Siege):
    alice = await siege.ask()

    said = await siege.send("POST", alice.leave, ONE_CLICK, {})

    assert "Location" not in said.headers
    assert "Set-Cookie" not in said.headers


@module
async def test_what_a_page_elsewhere_sends_leaves_too_and_the_visit_is_told_with_its_verdict(siege: Siege):
    alice = await siege.ask()

    said = await siege.send("POST", alice.leave, {}, {}, Origin="https://elsewhere.example", User_Agent="curl/8")

    assert said.status == 200
    (visit,) = [one for one in await siege.visits(alice) if one["link"] == "withdraw"]
    assert (visit["method"], visit["verdict"]) == ("POST", "bot")


@pytest.mark.slow
async def test_c8_while_postgresql_hangs_leaving_is_answered_200_and_applied(tmp_path: Path, compiled: Programs):
    clock = Clock(time.time_ns() // 1_000_000)
    with postgres.own_server() as (url, process):
        settings = settings_for(tmp_path, url, store_seconds=2)
        async with running(settings, compiled, clock=clock) as it, aiohttp.ClientSession() as raw:
            siege = Siege(it, clock, raw)
            alice = await siege.ask()
            await siege.press(alice.link)
            rows = await it.service.database.fetch(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
            processes = [process.pid, *(row["pid"] for row in rows)]
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            try:
                said = await siege.send("POST", alice.leave, ONE_CLICK, {})
            finally:
                for pid in processes:
                    os.kill(pid, signal.SIGCONT)
            assert said.status == 200
            assert (settings.state_dir / "withdrawals.journal").stat().st_size > 0

            again = await it.email({**an_order_of(alice.id, alice.address), "type": "order_confirmation"})

            assert "suppressed" in {skip["reason"] for skip in again["skipped"]}
            assert await siege.events(alice) == ["granted", "withdrawn"]
