"""Orders that send no mail through us, over real sockets on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for

ALICE = {"id": "7", "email": "alice@example.com", "country": "US"}


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, BOATS]) as one:
        yield one


def told(n: int = 1, *, customer: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    order = {"id": str(n), "currency": "USD", "total": "10.00"} | given.pop("order", {})
    return {"customer": customer or ALICE, "order": order, **given}


async def tell(house: Running, body: dict[str, Any], shop: str = "tents") -> str:
    status, answer = await house.post("/v1/orders", body, shop=shop)
    assert status == 200, answer
    outcome: str = answer["outcome"]
    return outcome


async def stream(
    house: Running, lines: list[Any], *, query: str = "", key: str = "tents"
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lines that were named, and the sums."""
    raw = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    headers = {"Authorization": f"Bearer {house.keys[key]}", "Content-Type": "application/x-ndjson"}
    async with house.session.post(house.url + "/v1/orders" + query, data=raw.encode(), headers=headers) as answer:
        assert answer.status == 200
        *named, sums = [json.loads(line) for line in (await answer.text()).splitlines()]
        return named, sums


async def row(house: Running, n: int = 1) -> Any:
    (found,) = await house.service.database.fetch("SELECT * FROM orders WHERE order_id = $1", (str(n),))
    return found


async def orders_seen(house: Running) -> list[int]:
    rows = await house.service.database.fetch("SELECT orders_seen FROM subject_state ORDER BY first_seen")
    return [one["orders_seen"] for one in rows]


async def kind_of_the_next_email(house: Running, n: int = 900) -> str:
    answer = await house.email(an_order(n))
    status, why = await house.get(f"/v1/messages/{answer['message_id']}")
    assert status == 200
    kind: str = why["customer_kind"]
    return kind


async def test_an_order_is_kept_with_what_reports_need(house: Running):
    order = {"channel": "store", "purchase_type": "gift", "placed_at": "2026-05-01T10:00:00Z"}
    assert await tell(house, told(order=order, status="paid", refunded=2.5, version=4)) == "recorded"
    kept = await row(house)
    assert (kept["channel"], kept["purchase_type"], kept["country"], kept["status"]) == ("store", "gift", "US", "paid")
    assert (kept["value_minor"], kept["refunded_minor"], kept["currency"]) == (1000, 250, "USD")
    assert (kept["placed_at"], kept["version"], kept["kind"]) == (1_777_629_600_000, 4, "new")
    assert await orders_seen(house) == [1]


async def test_the_same_again_changes_nothing_and_older_never_overwrites_newer(house: Running):
    assert await tell(house, told(version=2, status="shipped")) == "recorded"
    assert await tell(house, told(version=2, status="shipped")) == "unchanged"
    assert await tell(house, told(version=1, status="placed")) == "older"
    assert await tell(house, told(version=3, status="delivered")) == "updated"
    assert (await row(house))["status"] == "delivered"
    assert await orders_seen(house) == [1]


async def test_the_moment_of_the_change_orders_tellings_that_have_no_version(house: Running):
    assert await tell(house, told(status="refunded", updated_at="2026-05-02T00:00:00Z")) == "recorded"
    assert await tell(house, told(status="placed", updated_at="2026-05-01T00:00:00Z")) == "older"
    assert (await row(house))["refunded_minor"] == 1000


async def test_a_cancelled_order_does_not_count_as_bought(house: Running):
    await tell(house, told(1, version=1))
    assert await orders_seen(house) == [1]
    assert await tell(house, told(1, version=2, status="cancelled")) == "updated"
    assert await orders_seen(house) == [0]
    assert await kind_of_the_next_email(house) == "new"
    assert await tell(house, told(1, version=3, status="paid")) == "updated"
    assert await orders_seen(house) == [2], "the email's order beside it"


async def test_who_bought_in_the_store_is_a_current_customer_in_the_next_email(house: Running):
    await tell(house, told(order={"channel": "store", "placed_at": "2026-01-01"}))
    assert await kind_of_the_next_email(house) == "current"


async def test_an_order_and_its_email_are_one_order_whichever_comes_first(house: Running):
    await tell(house, told(1001, order={"total": "199.00"}))
    assert await kind_of_the_next_email(house, 1001) == "new", "it is this very order"
    assert await orders_seen(house) == [1]

    await house.email(an_order(1002, purchase_type="gift", channel="phone"))
    kept = await row(house, 1002)
    assert (kept["purchase_type"], kept["channel"], kept["country"], kept["version"]) == ("gift", "phone", "US", 0)
    assert await tell(house, told(1002, status="refunded", order={"total": "199.00"})) == "updated"
    assert ((await row(house, 1002))["refunded_minor"], await orders_seen(house)) == (19900, [2])


async def test_history_comes_as_lines_and_a_bad_one_fails_alone(house: Running):
    bob = {"email": "bob@example.com"}
    lines = [
        told(1, order={"placed_at": "2024-01-01"}),
        told(2, order={"placed_at": "2024-02-01"}),
        "{not json",
        told(3, customer=bob),
        told(4, customer=bob, order={"placed_at": "2024-03-01", "channel": "fax"}),
        told(2, order={"placed_at": "2024-02-01"}),
    ]
    named, sums = await stream(house, lines, query="?kind=historical")
    assert [(one["row"], "errors" in one) for one in named] == [(3, True), (4, True), (5, False)]
    assert named[1]["errors"][0]["pointer"] == "/order/placed_at"
    assert (named[2]["outcome"], named[2]["warnings"][0]["pointer"]) == ("recorded", "/order/channel")
    assert {name: count for name, count in sums.items() if count} == {
        "rows": 6, "recorded": 3, "unchanged": 1, "refused": 2, "complete": True,
    }  # fmt: skip
    assert [(await row(house, n))["kind"] for n in (1, 2, 4)] == ["new", "current", "new"]

    _, again = await stream(house, lines, query="?kind=historical")
    assert (again["recorded"], again["updated"], again["unchanged"]) == (0, 0, 4)
    assert sorted(await orders_seen(house)) == [1, 2]


async def test_history_never_overwrites_what_is_known(house: Running):
    await tell(house, told(1, status="refunded", version=1))
    assert await tell(house, told(1, kind="historical", order={"placed_at": "2024-01-01"})) == "older"
    assert (await row(house))["status"] == "refunded"


async def test_an_old_list_does_not_bring_an_erased_address_back(house: Running):
    await tell(house, told(1))
    status, _ = await house.post("/v1/customers/erase", {"email": ALICE["email"]})
    assert status == 200
    old = told(1, kind="historical", order={"placed_at": "2024-01-01"})
    assert await tell(house, old) == "suppressed"
    assert (await house.post("/v1/customers/search", {"email": ALICE["email"]}))[0] == 404
    assert await house.service.database.fetch("SELECT order_id FROM orders") == []


async def test_a_long_stream_is_read_as_it_comes_and_counted(house: Running):
    count = 1_203

    def lines() -> Iterator[str]:
        for n in range(count):
            customer = {"email": f"c{n % 50}@example.com"}
            yield json.dumps(told(n, customer=customer, kind="historical", order={"placed_at": "2024-01-01"}))

    _, sums = await stream(house, [*lines()])
    assert (sums["recorded"], sums["complete"]) == (count, True)
    assert sum(await orders_seen(house)) == count


async def test_one_order_told_many_times_at_once_is_one_order(house: Running):
    bodies = [told(1, version=n + 1, status=("placed", "paid")[n % 2]) for n in range(12)]
    mails = [house.email(an_order(1)) for _ in range(3)]
    await asyncio.gather(*(tell(house, body) for body in bodies), *mails)
    assert ((await row(house))["version"], await orders_seen(house)) == (12, [1])


async def test_orders_of_two_companies_are_apart(house: Running):
    await tell(house, told(1))
    assert await tell(house, told(1, version=1), shop="boats") == "recorded"
    assert await orders_seen(house) == [1, 1]


async def test_a_test_key_only_checks(house: Running):
    house.keys["test"] = await house.service.govern.add_key("tents", ["emails"], test=True)
    assert await tell(house, told(1), shop="test") == "test"
    _, sums = await stream(house, [told(1), "x"], key="test")
    assert (sums["test"], sums["refused"]) == (1, 1)
    assert await house.service.database.fetch("SELECT order_id FROM orders") == []


async def test_what_cannot_be_used_is_told_with_its_place(house: Running):
    status, answer = await house.post("/v1/orders", {"customer": {"email": "nobody"}, "order": {"id": 1}})
    assert status == 422
    assert {"/customer/email", "/order/currency"} <= {fault["pointer"] for fault in answer["errors"]}
    assert (await house.post("/v1/orders?kind=old", told()))[0] == 422
    assert (await house.post("/v1/orders?kin=live", told()))[0] == 422
    assert (await house.post("/v1/orders", told(), Content_Type="text/plain"))[0] == 415
    assert (await house.post("/v1/orders", b"{"))[0] == 400
    house.keys["reader"] = await house.service.govern.add_key("tents", ["consents"])
    assert (await house.post("/v1/orders", told(), shop="reader"))[0] == 403
