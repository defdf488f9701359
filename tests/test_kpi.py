"""The KPI with the right denominators, through the doors, on both databases."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from counted import EXPERIMENT, an_experiment
from handraiser.core.outcome import DAY_MS
from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for, the_ask

MAY = 1_777_766_400_000
"""2026-05-03, midnight in UTC."""
EMAIL = "email:order_confirmation"
SCRIPT = {"User-Agent": "curl/8", "Sec-Fetch-User": "?0"}
ALICE = {"id": "7", "email": "alice@example.com", "segments": ["gold", "vip"]}
BOB = {"id": "8", "email": "bob@example.com", "kind": "current"}
DORA = {"id": "9", "email": "dora@example.com"}
HANS = {"id": "10", "email": "hans@example.de", "country": "DE"}
SHOP = TENTS.replace('time_zone = "Europe/Amsterdam"', 'currency = "USD"')


class Clock:
    now = MAY

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs, clock: Clock) -> AsyncIterator[Running]:
    shop = f'{SHOP}\n[rates]\nEUR = "1.10"\n'
    async with running(settings_for(tmp_path, database_url), compiled, [shop, BOATS], clock=clock) as one:
        yield one


async def report(house: Running, what: str, query: str = "", shop: str = "tents") -> dict[str, Any]:
    await house.service.kpi.refresh()
    status, told = await house.get(f"/v1/reports/{what}?{query}", shop=shop)
    assert status == 200, told
    found: dict[str, Any] = told
    return found


async def rates(house: Running, by: str, query: str = "") -> dict[str, tuple[int, ...]]:
    """By value: customers seen, eligible, asked, asks, opt-ins."""
    told = await report(house, "opt-in-rate", f"by={by}&{query}")
    return {
        " ".join(str(row[name]) for name in told["by"]): tuple(
            row[name] for name in ("customers_seen", "customers_eligible", "customers_asked", "asks", "opt_ins")
        )
        for row in told["rows"]
    }


async def ask_them(house: Running, clock: Clock) -> None:
    """Alice says yes, Bob is asked twice and says nothing, a scanner presses for Dora, Hans may not be asked."""
    alice = await house.email(an_order(1, customer=ALICE, purchase_type="first"))
    bob = await house.email(an_order(2, customer=BOB))
    dora = await house.email(an_order(3, customer=DORA))
    await house.email(an_order(4, customer=HANS))
    clock.now += 600_000
    await house.press(the_ask(alice))
    await house.press(the_ask(dora), **SCRIPT)
    await house.open(the_ask(bob), "HEAD")
    clock.now = MAY + 30 * DAY_MS
    await house.email(an_order(5, customer=BOB))


async def switch(house: Running, mode: str) -> None:
    await house.service.govern.set_mode("tents", mode)
    await house.service.publish.refresh()
    house.service.keys.forget()


async def test_a_customer_counts_once_on_the_day_of_the_first_ask_and_only_who_pressed_has_opted_in(
    house: Running, clock: Clock
):
    await ask_them(house, clock)

    total = (await report(house, "opt-in-rate"))["total"]
    assert [total[name] for name in ("customers_seen", "customers_eligible", "customers_asked", "asks", "opt_ins")] == [
        4,
        3,
        3,
        4,
        1,
    ]
    assert total["opt_in_rate"] == pytest.approx(1 / 3)
    assert total["opt_ins_of_seen"] == 1 / 4
    assert total["opt_in_rate_low"] < 1 / 3 < total["opt_in_rate_high"]
    assert await rates(house, "customer_kind") == {"current": (1, 1, 1, 2, 0), "new": (3, 2, 2, 2, 1)}
    assert await rates(house, "country") == {"DE": (1, 0, 0, 0, 0), "US": (3, 3, 3, 4, 1)}
    assert await rates(house, "touchpoint") == {EMAIL: (4, 3, 3, 4, 1)}
    assert await rates(house, "purchase_type") == {"": (3, 2, 2, 3, 0), "first": (1, 1, 1, 1, 1)}
    assert await rates(house, "segment") == {"": (3, 2, 2, 3, 0), "gold": (1, 1, 1, 1, 1), "vip": (1, 1, 1, 1, 1)}
    by_block = await rates(house, "block")
    assert by_block.pop("") == (1, 0, 0, 0, 0)
    assert list(by_block.values()) == [(3, 3, 3, 4, 1)]
    assert await rates(house, "country,month,customer_kind") == {
        "DE new 2026-05": (1, 0, 0, 0, 0),
        "US current 2026-05": (1, 1, 1, 2, 0),
        "US new 2026-05": (2, 2, 2, 2, 1),
    }
    assert await rates(house, "country", "from=2026-05-04") == {}
    assert (await rates(house, "month", "from=2026-05-03&to=2026-05-03"))["2026-05"] == (4, 3, 3, 4, 1)


async def test_another_companys_shop_and_a_test_key_count_nowhere(house: Running, clock: Clock):
    house.keys["trial"] = await house.service.govern.add_key("tents", ["emails"], test=True)
    order = an_order(1)
    await house.email({**order, "customer": {**order["customer"], "country": "US"}}, shop="trial")
    assert (await report(house, "opt-in-rate"))["total"]["customers_seen"] == 0

    await ask_them(house, clock)
    assert (await report(house, "opt-in-rate", shop="boats"))["total"]["customers_seen"] == 0


async def test_a_shop_that_observes_counts_whom_it_would_have_asked(house: Running, clock: Clock):
    await switch(house, "observe")
    await house.email(an_order(1, customer=ALICE))
    total = (await report(house, "opt-in-rate"))["total"]
    told = [total[name] for name in ("customers_seen", "customers_eligible", "customers_asked", "would_have_asked")]
    assert told == [1, 1, 0, 1]
    assert total["opt_in_rate"] is None
    (block,) = await rates(house, "block")
    assert block

    clock.now += 40 * DAY_MS
    await switch(house, "on")
    await house.email(an_order(2, customer=ALICE))
    assert await rates(house, "month") == {"2026-06": (1, 1, 1, 1, 0)}, (
        "from the first ask on the customer stands there"
    )


async def test_after_30_and_90_days_it_is_told_who_still_stands(house: Running, clock: Clock):
    links = []
    for n, customer in enumerate((ALICE, BOB, DORA)):
        links.append(the_ask(await house.email(an_order(n, customer=customer))))
    clock.now += 600_000
    for link in links:
        await house.press(link)
    clock.now += 10 * DAY_MS
    await house.press(links[0], "undo")
    clock.now += 50 * DAY_MS
    total = (await report(house, "opt-in-rate"))["total"]
    assert (total["opt_ins"], total["opt_ins_30_days_old"], total["still_opted_in_30"]) == (3, 3, 2)
    assert (total["opt_ins_90_days_old"], total["still_opted_in_90_rate"]) == (0, None)

    await house.press(links[1], "undo")
    clock.now += 60 * DAY_MS
    total = (await report(house, "opt-in-rate"))["total"]
    assert (total["still_opted_in_30"], total["still_opted_in_90"]) == (2, 1)


async def test_a_report_comes_as_csv_and_a_wrong_question_names_every_fault(house: Running, clock: Clock):
    await house.email(an_order(1, customer={**ALICE, "segments": ["=cmd()"]}))
    await house.service.kpi.refresh()
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Accept": "text/csv"}
    async with house.session.get(f"{house.url}/v1/reports/opt-in-rate?by=segment", headers=headers) as answer:
        assert answer.content_type == "text/csv"
        (row,) = csv.DictReader(io.StringIO(await answer.text()))
    assert (row["segment"], row["customers_asked"], row["opt_in_rate"]) == ("'=cmd()", "1", "0.0")
    for what in ("baseline", "lifetime_value"):
        async with house.session.get(f"{house.url}/v1/reports/{what}", headers=headers) as answer:
            assert len(list(csv.DictReader(io.StringIO(await answer.text())))) == (1 if what == "baseline" else 2)

    status, problem = await house.get("/v1/reports/opt-in-rate?by=country,block&from=May&sort=x&shop=boats")
    assert status == 422
    assert {fault["pointer"] for fault in problem["errors"]} == {"shop"}
    status, problem = await house.get("/v1/reports/opt-in-rate?by=country,block&from=May&sort=x")
    assert {fault["pointer"] for fault in problem["errors"]} == {"by", "from", "sort"}

    house.keys["reader"] = await house.service.govern.add_key("tents", ["reports"])
    assert (await house.get("/v1/reports/baseline?shop=boats", shop="reader"))[0] == 403


async def test_the_baseline_is_what_was_before_the_first_ask(house: Running, clock: Clock):
    purpose = (await house.get("/v1/purposes"))[1]["purposes"][0]["id"]
    said = (("eve", "granted", 40), ("finn", "granted", 40), ("finn", "withdrawn", 20), ("gus", "refused", 20))
    lines = [f"{name}@example.com,{purpose},{event},{MAY - days * DAY_MS}" for name, event, days in said]
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Content-Type": "text/csv"}
    body = "\n".join(["email,purpose,event,occurred_at", *lines]).encode()
    async with house.session.post(f"{house.url}/v1/consents/import", data=body, headers=headers) as answer:
        assert json.loads((await answer.text()).splitlines()[-1])["refused"] == 0
    bought = (("eve", "2026-03-20"), ("eve", "2026-04-30"), ("hal", "2026-04-03"), ("alice", "2026-05-01"))
    for n, (name, day) in enumerate(bought):
        told = {"customer": {"email": f"{name}@example.com"}, "kind": "historical"}
        assert (await house.post("/v1/orders", {**told, "order": {**an_order(n)["order"], "placed_at": day}}))[0] == 200
    await switch(house, "observe")
    view = {"customer": {"email": "hal@example.com"}, "order": {"id": "2"}}
    assert (await house.post("/v1/touchpoints/thank_you", view))[0] == 204

    before = await report(house, "baseline")
    await switch(house, "on")
    clock.now += 2 * DAY_MS
    sent = await house.email(an_order(9, customer=ALICE))
    clock.now += 600_000
    await house.press(the_ask(sent))
    told = await report(house, "baseline")

    assert (before["first_ask_on"], told["first_ask_on"]) == (None, "2026-05-05")
    customers = told["customers"]
    assert [customers[name] for name in ("known", "consented", "not_consented", "consented_share")] == [5, 1, 4, 0.2]
    assert customers["consented_share_low"] < 0.2 < customers["consented_share_high"]
    assert told["purchases"] == {
        "purchases": 4,
        "thank_you_views": 1,
        "opt_ins": 2,
        "opt_ins_per_purchase": 0.5,
        "opt_ins_per_thank_you_view": 2.0,
    }
    assert [before[name] for name in ("customers", "purchases")] == [told[name] for name in ("customers", "purchases")]
    april = (await report(house, "baseline", "from=2026-04-01&to=2026-04-30"))["purchases"]
    assert (april["purchases"], april["thank_you_views"], april["opt_ins"]) == (2, 0, 0)


async def test_lifetime_value_is_net_of_refunds_in_one_currency_and_says_what_it_does_not_prove(
    house: Running, clock: Clock
):
    await ask_them(house, clock)
    later = {"customer": ALICE, "order": {**an_order(20)["order"], "placed_at": "2026-05-20T10:00:00Z"}}
    for order in (
        later | {"version": 1},
        later | {"version": 2, "refunded": "100.00", "status": "refunded"},
        {"customer": ALICE, "order": {**an_order(21)["order"], "currency": "EUR", "total": "10.00"}},
        {"customer": ALICE, "order": {**an_order(22)["order"], "currency": "SEK", "total": "500.00"}},
        {"customer": BOB, "order": an_order(23)["order"], "status": "cancelled"},
        {"customer": BOB, "order": {**an_order(24)["order"], "placed_at": "2026-04-20"}},
    ):
        assert (await house.post("/v1/orders", order))[0] == 200

    told = await report(house, "lifetime_value")
    assert told["currency"] == "USD"
    assert told["currencies_left_out"] == ["SEK"]
    assert told["opted_in"]["causal"] is False
    yes, no = told["opted_in"]["arms"]
    assert (yes["customers"], yes["orders"], yes["revenue"]) == (1, 3, "110.00")
    assert (no["customers"], no["orders"], no["revenue"], no["revenue_per_customer"]) == (2, 1, "199.00", "99.50")


async def test_revenue_by_arm_has_an_interval_that_holds_at_every_look(house: Running, clock: Clock):
    await ask_them(house, clock)
    shop = await house.service.govern.shop("tents")
    whose = (shop.controller.id, shop.id)
    await an_experiment(house.service.database, EXPERIMENT, at=MAY, whose=whose)
    subjects = await house.service.database.fetch("SELECT subject_id FROM subject ORDER BY created_at, subject_id")
    async with house.service.database.transaction() as tx:
        for n, row in enumerate(subjects):
            await tx.execute(
                "INSERT INTO exposure (controller_id, subject_id, experiment_id, arm, weights_version, exposed_at,"
                " message_id, shop_id, customer_kind, touchpoint, purchase_type, segments, country)"
                " VALUES ($1, $2, $3, $4, 1, $5, NULL, $6, 'new', '', '', '[]', '')",
                (whose[0], row["subject_id"], EXPERIMENT, n % 2, MAY - 1, whose[1]),
            )

    (told,) = (await report(house, "lifetime_value"))["experiments"]
    assert [one["customers"] for one in told["arms"]] == [2, 2]
    assert sum(one["orders"] for one in told["arms"]) == 5, "every order came later"
    (more,) = told["differences"]
    assert float(more["low"]) < float(more["revenue_per_customer_more"]) < float(more["high"])


async def test_who_is_erased_leaves_the_reports_and_a_rebuild_changes_nothing(house: Running, clock: Clock):
    await ask_them(house, clock)
    async with house.session.delete(
        f"{house.url}/v1/customers/8", headers={"Authorization": f"Bearer {house.keys['tents']}"}
    ) as gone:
        assert gone.status == 200
    assert (await report(house, "opt-in-rate"))["total"]["customers_asked"] == 2
    assert (await house.service.command("tallies.verify", {}))["ok"]
    before = [await report(house, what) for what in ("opt-in-rate", "baseline", "lifetime_value")]
    assert (await house.service.command("tallies.rebuild", {}))["customers_counted"] >= 3
    assert [await report(house, what) for what in ("opt-in-rate", "baseline", "lifetime_value")] == before
    told = await house.service.command("report.opt_in_rate", {"shop": "tents", "by": "month", "from": "", "to": ""})
    assert json.dumps(told["rows"][0]["month"]) == '"2026-05"'
