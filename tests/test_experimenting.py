"""Tests of what is shown, through the doors: the same customer sees the same arm, and each is counted once."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handraiser.core.assignment import Weights, drawn
from handraiser.core.block import BlockVersion
from handraiser.core.mjml.fill import Block, Engine
from handraiser.errors import Conflict, FillFailed
from handraiser.store import blocks
from programs import Programs
from running import BOATS, HOST_OF, TENTS, Running, an_order, running, settings_for, the_ask

ASK, CARE, PAGE = "newsletter-after-order", "order-care", "newsletter-on-a-page"
ARMS = [{"key": "a", "block": ASK, "variant": "a"}, {"key": "b", "block": ASK, "variant": "b"}]
DAY = 86_400_000


@dataclass
class Clock:
    """The time of day (ms UTC), moved on by a test."""

    now: int = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now

    def pass_days(self, days: int) -> None:
        self.now += days * DAY


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs, clock: Clock) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, BOATS], clock) as one:
        yield one


async def done(house: Running, step: str, body: Any = None, shop: str = "tents") -> Any:
    status, answer = await house.post(f"/v1/experiments{step}", body or {}, shop=shop)
    assert status == 200, answer
    return answer


async def refused(house: Running, step: str, body: Any = None, shop: str = "tents") -> tuple[int, list[str], str]:
    """Status, the places that are named, and the sentence."""
    status, answer = await house.post(f"/v1/experiments{step}", body or {}, shop=shop)
    return status, [one["pointer"] for one in answer.get("errors", ())], answer.get("detail", "")


def a_test(key: str = "wording", **given: Any) -> dict[str, Any]:
    """Two variants of the ask in the order confirmation."""
    return {"key": key, "purpose": "offers", "arms": ARMS, "rate": 0.05, "window": 7, **given}


async def started(house: Running, **given: Any) -> Any:
    test = await done(house, "", a_test(**given))
    return await done(house, f"/{test['key']}/start", {"accept_days": True})


def against_nothing(block: str, control: str = "nothing") -> list[dict[str, Any]]:
    """A block against nothing; the control is either."""
    arms = [{"key": "nothing", "block": None}, {"key": "shown", "block": block}]
    return arms if control == "nothing" else arms[::-1]


def who_draw(test: dict[str, Any], arm: int, count: int, first: int = 1) -> list[int]:
    """Customers from the ``first`` on whose id draws an arm, as any GrowthBook SDK would say from what is told."""
    weights = Weights(1, tuple(test["weights"]), test["coverage"])
    draws = ((n, drawn(str(n), test["seed"], weights)) for n in range(first, first + 1000))
    return [n for n, draw in draws if draw and draw.arm == arm][:count]


async def mailed(house: Running, n: int, order: int | None = None, **customer: Any) -> dict[str, Any]:
    """An order confirmation to the n-th customer."""
    whose = {"id": str(n), "email": f"reader-{n}@example.com", **customer}
    return await house.email(an_order(order or n, customer=whose))


def arm_of(answer: dict[str, Any], experiment: str = "wording") -> str:
    """The arm that an answer shows, "" where it stands for none."""
    return next((one["arm"] for one in answer["placements"] if one.get("experiment") == experiment), "")


def the_placed(answer: dict[str, Any], block: str) -> dict[str, Any]:
    """What an answer says of a block that it shows."""
    (found,) = [one for one in answer["placements"] if one["block"] == block]
    placed: dict[str, Any] = found
    return placed


async def told(house: Running, answer: dict[str, Any]) -> dict[str, Any]:
    """What the service says of a message."""
    status, found = await house.get(f"/v1/messages/{answer['message_id']}")
    assert status == 200
    message: dict[str, Any] = found
    return message


async def exposures(house: Running, key: str = "wording") -> list[dict[str, Any]]:
    rows = await house.service.database.fetch(
        "SELECT x.* FROM exposure x JOIN experiment e ON e.experiment_id = x.experiment_id WHERE e.key = $1"
        " ORDER BY x.exposed_at, x.message_id",
        (key,),
    )
    return [dict(row) for row in rows]


async def test_a_customer_keeps_its_arm_in_every_email_and_is_counted_once(house: Running, clock: Clock):
    assert arm_of(await mailed(house, 1)) == ""
    test = await started(house)
    arms = {n: arm for number, arm in enumerate("ab") for n in who_draw(test, number, 8, first=10)}
    before = {n: await mailed(house, n, segments=["vip", "loyal"]) for n in arms}
    assert {n: arm_of(one) for n, one in before.items()} == arms
    asks = {n: the_placed(answer, ASK) for n, answer in before.items()}
    assert {n: one["variant"] for n, one in asks.items()} == arms
    assert len({one["wording_id"] for one in asks.values()}) == 2
    assert {n: (await told(house, one))["arms"]["wording"] for n, one in before.items()} == arms

    clock.pass_days(20)
    weighed = await done(house, "/wording/weights", {"weights": [10000, 0]})
    assert [(one["version"], one["weights"]) for one in weighed["weights_history"]] == [
        (1, [5000, 5000]),
        (2, [10000, 0]),
    ]
    assert {n: arm_of(await mailed(house, n, n + 100)) for n in before} == arms
    assert {arm_of(await mailed(house, n)) for n in range(3000, 3006)} == {"a"}

    counted = await exposures(house)
    assert [one["weights_version"] for one in counted] == [1] * 16 + [2] * 6
    first = counted[0]
    assert (first["segments"], first["touchpoint"], first["country"]) == (
        '["loyal","vip"]',
        "email:order_confirmation",
        "US",
    )
    assert (first["customer_kind"], first["exposed_at"]) == ("new", clock.now - 20 * DAY)
    waiting = await house.service.database.fetch("SELECT * FROM exposure_waiting")
    assert len(waiting) == len(counted)


async def test_raising_coverage_moves_nobody_and_whoever_it_left_out_sees_what_is_live(house: Running, clock: Clock):
    test = await started(house, coverage=3000)
    inside = {n: arm for number, arm in enumerate("ab") for n in who_draw(test, number, 4)}
    entering = {n for number in (0, 1) for n in who_draw(test, number, 1000)}
    outside = [n for n in range(1, 100) if n not in entering][:10]
    first = {n: await mailed(house, n) for n in [*inside, *outside]}
    arms = {n: arm_of(one) for n, one in first.items()}
    assert arms == inside | dict.fromkeys(outside, "")
    assert {the_placed(first[n], ASK)["variant"] for n in outside} == {"a"}
    assert len(await exposures(house)) == len(inside)

    clock.pass_days(20)
    await done(house, "/wording/weights", {"coverage": 10000})
    later = {n: arm_of(await mailed(house, n, n + 100)) for n in first}
    assert all(later[n] == arm for n, arm in arms.items() if arm)
    assert "" not in later.values()


async def test_replicas_agree_and_a_weighing_on_one_counts_on_the_other(
    tmp_path: Path, postgres_url: str, compiled: Programs, clock: Clock
):
    async with (
        running(settings_for(tmp_path, postgres_url), compiled, [TENTS], clock) as one,
        running(settings_for(tmp_path / "other", postgres_url), compiled, [], clock) as other,
    ):
        other.keys = one.keys
        await started(one)
        await other.service.publish.refresh()
        both = [(await mailed(one, n), n) for n in range(1, 9)]
        clock.pass_days(20)
        for answer, n in both:
            assert arm_of(await mailed(other, n, n + 100)) == arm_of(answer)
        # Before the other replica has noticed, and of one customer on both at the same moment.
        await done(one, "/wording/weights", {"weights": [0, 10000]})
        pairs = [asyncio.gather(mailed(one, n, n), mailed(other, n, n + 100)) for n in range(20, 28)]
        for pair in await asyncio.gather(*pairs):
            assert len({(await told(one, answer))["arms"].get("wording") for answer in pair} - {None}) == 1
        await other.service.publish.refresh()
        assert {arm_of(await mailed(other, n)) for n in range(40, 44)} == {"b"}
        assert len(await exposures(one)) == 8 + 8 + 4


async def test_the_control_that_sees_nothing_is_counted_at_the_same_point(house: Running, clock: Clock):
    test = await started(house, arms=against_nothing(CARE), touchpoints=["email:order_confirmation"])
    arms = {n: arm for number, arm in enumerate(["nothing", "shown"]) for n in who_draw(test, number, 4)}
    answers = {n: await mailed(house, n) for n in arms}
    for n, arm in arms.items():
        answer = answers[n]
        assert (await told(house, answer))["arms"] == {"wording": arm}
        assert arm_of(answer) == ("shown" if arm == "shown" else "")
        reasons = {one["block"]: one["reason"] for one in answer["skipped"]}
        assert (reasons.get(CARE) == "experiment") is (arm == "nothing")
        assert the_ask(answer), "the rest of the mail is the same for both arms"
    assert Counter(one["arm"] for one in await exposures(house)) == {0: 4, 1: 4}

    for n, arm in arms.items():  # who has entered keeps its arm at other touchpoints too
        whose = {"id": str(n), "email": f"reader-{n}@example.com"}
        assert (arm_of(await house.email(an_order(n + 200, type="payment_pending", customer=whose))) == "shown") is (
            arm == "shown"
        )
    clock.pass_days(1)
    stranger = await house.email(an_order(201, type="payment_pending", customer={"id": "99", "email": "z@example.com"}))
    assert (arm_of(stranger), (await told(house, stranger))["arms"]) == ("", {})


async def test_the_holdout_sees_nothing_and_is_in_no_test(house: Running, clock: Clock):
    holdout = await done(house, "/holdout", {"share": 5000, "all_shops": True})
    await started(house)
    held = set(who_draw(holdout, 0, 6))
    answers = {n: await mailed(house, n) for n in [*held, *who_draw(holdout, 1, 6)]}
    assert {n for n, one in answers.items() if not one["placements"]} == held
    for n in held:
        assert {one["reason"] for one in answers[n]["skipped"] if one["block"] in (ASK, CARE)} == {"holdout"}
        assert (await told(house, answers[n]))["arms"] == {"holdout": "nothing"}
    assert Counter(one["arm"] for one in await exposures(house, "holdout")) == {0: len(held), 1: 6}
    assert len(await exposures(house)) == 6

    clock.pass_days(20)
    await done(house, "/holdout", {"share": 500, "all_shops": True})
    again = {n: await mailed(house, n, n + 100) for n in answers}
    assert {n for n, one in again.items() if not one["placements"]} == held
    assert (await done(house, "/holdout", {"share": 0, "all_shops": True}))["state"] == "stopped"
    clock.pass_days(20)
    assert all([(await mailed(house, n, n + 200))["placements"] for n in sorted(held)])


async def test_a_guest_who_registers_keeps_the_arm(house: Running, clock: Clock):
    test = await started(house)
    arm = arm_of(await house.email(an_order(1, customer={"id": "guest"})))
    (other,) = map(str, who_draw(test, 1 if arm == "a" else 0, 1))

    clock.pass_days(20)
    assert arm_of(await house.email(an_order(2, customer={"id": other}))) == arm
    assert arm_of(await house.email(an_order(3, customer={"id": other, "email": "new@example.com"}))) != arm
    assert len(await exposures(house)) == 2


async def test_what_is_tried_out_is_not_counted_and_a_replay_shows_the_same_arm(house: Running):
    await started(house)
    house.keys["test"] = await house.service.govern.add_key("tents", ["emails"], test=True)
    assert arm_of(await house.email(an_order(), shop="test"))
    status, dry = await house.post("/v1/emails?dry_run=true", an_order())
    assert (status, arm_of(dry) != "") == (200, True)
    assert await exposures(house) == []

    first = await house.email(an_order(), Idempotency_Key="one")
    await done(house, "/wording/weights", {"weights": [0, 10000] if arm_of(first) == "a" else [10000, 0]})
    again = await house.email(an_order(), Idempotency_Key="one")
    assert (arm_of(again), again["html"]) == (arm_of(first), first["html"])
    assert len(await exposures(house)) == 1


async def test_finished_mail_and_pages_are_counted_like_emails(house: Running):
    mail = await started(house, key="mail", arms=against_nothing(ASK, "shown"))
    page = await started(house, key="page", arms=against_nothing(PAGE))
    headers = {"Authorization": f"Bearer {house.keys['tents']}"}
    for n in [*who_draw(mail, 0, 2), *who_draw(mail, 1, 2)]:
        who = {"email": f"reader-{n}@example.com", "id": str(n), "locale": "en", "country": "US"}
        finished = {"html": "<html><body><p>Hi</p></body></html>", "type": "order_confirmation", "customer": who}
        status, answer = await house.post("/v1/emails/enrich", {**finished, "order": {"id": str(n)}})
        assert (status, arm_of(answer, "mail")) == (200, "shown" if n in who_draw(mail, 0, 2) else "")
    for n in [*who_draw(page, 0, 2), *who_draw(page, 1, 2)]:
        view = {"customer": {"email": f"page-{n}@example.com", "id": str(n)}, "order": {"id": str(n)}}
        async with house.session.post(f"{house.url}/v1/touchpoints/thank_you", json=view, headers=headers) as shown:
            assert shown.status == (204 if n in who_draw(page, 0, 2) else 200)
    for key, touchpoint in (("mail", "email:order_confirmation"), ("page", "web:thank_you")):
        counted = await exposures(house, key)
        assert sorted((one["touchpoint"], one["arm"]) for one in counted) == [(touchpoint, arm) for arm in (0, 0, 1, 1)]


async def test_a_block_that_cannot_be_filled_was_drawn_all_the_same(house: Running, monkeypatch: pytest.MonkeyPatch):
    def failing(_engine: Engine, block: Block, _context: Mapping[str, Any]) -> tuple[str, str]:
        raise FillFailed(f"the data surprises {block.name}")

    test = await started(house, arms=against_nothing(CARE, "shown"))
    monkeypatch.setattr(Engine, "fill_block", failing)
    answer = await mailed(house, *who_draw(test, 0, 1))
    assert {one["block"]: one["reason"] for one in answer["skipped"]}[CARE] == "fill_failed"
    assert (await told(house, answer))["arms"] == {"wording": "shown"}
    assert [one["arm"] for one in await exposures(house)] == [0]


async def test_a_pinned_block_takes_no_new_version_and_the_shipped_arm_is_the_one_that_is_shown(
    house: Running, clock: Clock
):
    company = (await house.service.govern.shop("tents")).controller.id
    content = BlockVersion.from_json((await blocks.versions(house.service.database, company, ASK))[0].content).content()
    await started(house)
    publish = house.service.publish
    with pytest.raises(Conflict, match="running test wording pins version 1"):
        await publish.put_block(company, {**content, "priority": 30})
    assert len(await blocks.versions(house.service.database, company, ASK)) == 1
    assert (await refused(house, "/wording/ship", {"arm": "b"}))[0] == 409
    assert (await refused(house, "", a_test()))[0] == 409
    assert (await refused(house, "/wording/start", {"accept_days": True}))[0] == 409
    await done(house, "", a_test("second"))
    status, _, why = await refused(house, "/second/start", {"accept_days": True})
    assert (status, "wording holds newsletter-after-order" in why) == (409, True)

    assert (await done(house, "/wording/stop"))["state"] == "stopped"
    assert [one.get("experiment") for one in (await mailed(house, 1))["placements"]] == [None, None]
    assert (await refused(house, "/wording/weights", {"coverage": 1}))[0] == 409
    assert (await refused(house, "/wording/ship", {"arm": "c"}))[:2] == (422, ["/arm"])
    shipped = await done(house, "/wording/ship", {"arm": "b"})
    assert (shipped["state"], shipped["shipped_arm"]) == ("shipped", "b")
    shown = the_placed(await mailed(house, 2), ASK)
    assert (shown["version"], shown["variant"]) == (2, "b")

    await started(house, key="any", arms=against_nothing(ASK, "shown"))
    await done(house, "/any/stop")
    await done(house, "/any/ship", {"arm": "nothing"})
    assert [one["block"] for one in (await mailed(house, 3))["placements"]] == [CARE]


async def test_a_plan_beyond_120_days_starts_only_when_it_is_accepted_or_changed(house: Running, clock: Clock):
    status, places, _ = await refused(house, "", a_test(rate=None))
    assert (status, places) == (422, ["/rate"])
    for n in range(1, 21):
        await mailed(house, n)
    clock.pass_days(2)
    test = await done(house, "", a_test())
    plan = test["plan"]
    assert (plan["per_day"], plan["rate"], plan["days"] > 120) == (10.0, 0.05, True)
    assert {one["kind"] for one in plan["proposals"]} == {"bolder_difference", "more_touchpoints", "pool_shops"}
    status, _, why = await refused(house, "/wording/start")
    assert (status, "bolder_difference" in why, "accept_days" in why) == (409, True, True)

    (bolder,) = [one["value"] for one in plan["proposals"] if one["kind"] == "bolder_difference"]
    changed = await done(house, "", a_test(mde=bolder, all_shops=True))
    assert (changed["experiment_id"], changed["seed"]) == (test["experiment_id"], test["seed"])
    assert changed["plan"]["days"] <= 120
    assert (await done(house, "/wording/start"))["state"] == "running"


async def test_every_fault_of_a_test_is_named_and_another_company_sees_none_of_it(house: Running):
    arms = [{"key": "a", "block": ASK}, {"key": "b", "block": CARE}]
    assert (await refused(house, "", a_test(arms=arms)))[1] == ["/arms"]
    arms = [{"key": "a", "block": "gone"}, {"key": "b", "block": ASK, "variant": "z"}]
    assert (await refused(house, "", a_test(arms=arms)))[1] == ["/arms/0/block", "/arms/1/variant"]
    assert (await refused(house, "", a_test(purpose="tips")))[1] == ["/purpose"]
    assert (await refused(house, "", a_test(arms=against_nothing(CARE), purpose="gone")))[1] == ["/purpose"]
    assert (await house.get("/v1/experiments/%00"))[0] == 404
    assert (await house.post("/v1/experiments", b'{"key": "x", "mde": NaN}'))[0] in (400, 422)
    assert (await refused(house, "", a_test("Holdout", weights=[1], window=0)))[1] == ["/key", "/window", "/weights"]
    assert (await refused(house, "/holdout", {"share": 6000}))[1] == ["/share"]
    await started(house)
    assert (await refused(house, "/wording/stop", shop="boats"))[0] == 404
    assert (await house.get("/v1/experiments/wording", shop="boats"))[0] == 404
    assert (await house.get("/v1/experiments", shop="boats"))[1] == {"experiments": []}
    house.keys["mail"] = await house.service.govern.add_key("tents", ["emails"])
    assert (await refused(house, "/wording/stop", shop="mail"))[0] == 403
    _, found = await house.get("/v1/experiments")
    status, one = await house.get(f"/v1/experiments/{found['experiments'][0]['experiment_id']}")
    assert (status, one["key"], one["state"]) == (200, "wording", "running")


async def test_a_yes_is_kept_with_the_wording_of_the_arm_that_was_shown(house: Running):
    test = await started(house)
    wordings = set()
    for n in [*who_draw(test, 0, 1), *who_draw(test, 1, 1)]:
        answer = await mailed(house, n)
        shown = the_placed(answer, ASK)
        assert (await house.press(the_ask(answer)))[0] == 200
        _, known = await house.get(f"/v1/consents?customer_id={n}")
        entry = known["entries"][-1]
        assert (entry["variant"], entry["wording_id"]) == (arm_of(answer), shown["wording_id"])
        wordings.add(entry["wording_id"])
    assert len(wordings) == 2


async def test_exposures_are_told_to_who_asks_and_stay_without_their_message_at_erasure(house: Running):
    await started(house)
    arm = arm_of(await mailed(house, 7, segments=["vip"]))
    _, held = await house.get("/v1/customers/7")
    (told_,) = held["subjects"][0]["exposures"]
    assert (told_["arm"], told_["segments"], told_["touchpoint"]) == (
        "ab".index(arm),
        ["vip"],
        "email:order_confirmation",
    )
    headers = {"Authorization": f"Bearer {house.keys['tents']}"}
    async with house.session.delete(f"{house.url}/v1/customers/7", headers=headers) as gone:
        assert gone.status == 200
    (kept,) = await exposures(house)
    assert (kept["message_id"], kept["arm"]) == (None, "ab".index(arm))


async def test_a_test_is_of_one_shop_or_of_all_shops_of_its_company(
    tmp_path: Path, database_url: str, compiled: Programs, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(HOST_OF, "tarps", "tarps.localhost")
    tarps = TENTS.replace('slug = "tents"', 'slug = "tarps"', 1)
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, tarps, BOATS], clock) as house:
        await started(house)
        assert (await refused(house, "/wording/stop", shop="tarps"))[0] == 404
        assert arm_of(await house.email(an_order(1, customer={"email": "z@example.com"}), shop="tarps")) == ""
        await done(house, "/wording/stop")

        test = await started(house, key="pooled", all_shops=True)
        (n,) = who_draw(test, 1, 1)
        clock.pass_days(20)
        first = await mailed(house, n)
        clock.pass_days(20)
        whose = {"id": "other", "email": f"reader-{n}@example.com"}
        second = await house.email(an_order(2, customer=whose), shop="tarps")
        assert [arm_of(one, "pooled") for one in (first, second)] == ["b", "b"]
        assert arm_of(await house.email(an_order(3), shop="boats"), "pooled") == ""
        assert len(await exposures(house, "pooled")) == 1
        stopped, one = await house.get("/v1/experiments/pooled", shop="tarps")
        assert (stopped, one["all_shops"]) == (200, True)


async def test_results_know_a_started_test_and_count_who_was_drawn(house: Running):
    test = await started(house)
    readers = {n: arm for number, arm in enumerate("ab") for n in who_draw(test, number, 3)}
    for n in readers:
        await mailed(house, n)
    await house.service.results.refresh()
    status, results = await house.get(f"/v1/experiments/{test['experiment_id']}/results")
    assert status == 200
    assert {one["arm"]: one["so_far"]["customers"] for one in results["arms"]} == {"a": 3, "b": 3}

    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Accept": "text/csv"}
    address = f"{house.url}/v1/experiments/{test['experiment_id']}/results"
    async with house.session.get(address, headers=headers) as answer:
        assert answer.content_type == "text/csv"
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [(one["arm"], one["so_far_customers"], one["lift"]) for one in rows if not one["dimension"]] == [
        ("a", "3", ""),
        ("b", "3", ""),
    ]
    assert [one["arm"] for one in rows if one["dimension"] == "customer_kind"] == ["b"]
    assert {one["experiment"] for one in rows} == {test["key"]}


async def test_scores_are_a_guardrail_of_every_arm(house: Running):
    test = await started(house)
    happy, unhappy = who_draw(test, 0, 1)[0], who_draw(test, 1, 1)[0]
    for n in (happy, unhappy):
        await mailed(house, n)

    async def scored(n: int, score: int, **more: Any) -> tuple[int, dict[str, Any]]:
        return await house.post("/v1/feedback", {"id": f"s{n}", "customer_id": str(n), "score": score} | more)

    assert await scored(happy, 5) == (200, {"outcome": "recorded"})
    assert await scored(unhappy, 2) == (200, {"outcome": "recorded"})
    assert await scored(unhappy, 5) == (200, {"outcome": "unchanged"})
    assert (await scored(9_999_999, 1))[0] == 404
    status, problem = await scored(happy, 7, stars=5)
    assert (status, {one["pointer"] for one in problem["errors"]}) == (422, {"/score", "/stars"})

    await house.service.results.refresh()
    _, results = await house.get(f"/v1/experiments/{test['experiment_id']}/results")
    told = {one["arm"]: one["guardrails"]["feedback"] for one in results["arms"]}
    assert {arm: (one["customers"], one["count"]) for arm, one in told.items()} == {"a": (1, 0), "b": (1, 1)}
