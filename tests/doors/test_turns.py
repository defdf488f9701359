"""A shop's flood waits in its own line; when the store is away nobody waits for a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from handraiser.doors.turns import Turns
from handraiser.doors.web import Problem
from handraiser.errors import StoreUnavailable

TENTS, BOATS = b"t" * 16, b"b" * 16


class Work:
    """Requests that work until they are told to end."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self.end = asyncio.Event()

    async def request(
        self, name: str, shop: bytes = TENTS, at_last: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        async with self.turns.of(shop):
            self.begun.append(name)
            await self.end.wait()
            if at_last is not None:
                await at_last()

    def start(self, *names: str, shop: bytes = TENTS) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.request(name, shop)) for name in names]


async def turn_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_flood_of_one_shop_leaves_another_shops_request_its_turn_at_once():
    work = Work(Turns(at_work=2, waiting=100))
    flood = work.start(*(f"t{n}" for n in range(50)))
    await turn_of_the_loop()
    assert work.begun == ["t0", "t1"]

    (charlie,) = work.start("charlie", shop=BOATS)
    await turn_of_the_loop()
    assert work.begun == ["t0", "t1", "charlie"]

    work.end.set()
    await asyncio.gather(*flood, charlie)
    assert work.begun == ["t0", "t1", "charlie", *(f"t{n}" for n in range(2, 50))], "in the order in which they came"


async def test_who_finds_a_line_that_is_too_long_comes_again_in_a_second():
    work = Work(Turns(at_work=1, waiting=1))
    first, second = work.start("first", "second")
    await turn_of_the_loop()
    with pytest.raises(Problem) as refused:
        await work.request("third")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    work.end.set()
    await asyncio.gather(first, second)
    await work.request("fourth")


async def test_who_gives_up_in_the_line_or_at_work_holds_nobody_up():
    work = Work(Turns(at_work=1))
    working, waits, last = work.start("working", "waits", "last")
    await turn_of_the_loop()
    waits.cancel()
    working.cancel()
    await turn_of_the_loop()
    assert work.begun == ["working", "last"]
    work.end.set()
    await last
    assert await asyncio.wait_for(work.request("after"), 1) is None


async def test_who_is_cancelled_as_the_turn_comes_passes_it_on():
    work = Work(Turns(at_work=1))
    working, waits, last = work.start("working", "waits", "last")
    await turn_of_the_loop()
    working.cancel()
    await asyncio.sleep(0)
    waits.cancel()
    await turn_of_the_loop()
    assert "last" in work.begun
    work.end.set()
    await last


async def test_while_the_store_is_away_nobody_waits_for_a_turn():
    work = Work(Turns(at_work=1))
    tasks = work.start("first", "second", "third")
    await turn_of_the_loop()
    assert work.begun == ["first"]
    work.turns.told("")
    await turn_of_the_loop()
    assert work.begun == ["first"]

    work.turns.told("store_unavailable")
    tasks += work.start("fourth", shop=BOATS)
    tasks += work.start("fifth", shop=BOATS)
    await turn_of_the_loop()
    assert sorted(work.begun) == ["fifth", "first", "fourth", "second", "third"]
    work.end.set()
    await asyncio.gather(*tasks)


async def test_a_failed_request_tells_that_the_store_is_away():
    work = Work(Turns(at_work=1))

    async def fails() -> None:
        raise StoreUnavailable("gone")

    failing = asyncio.create_task(work.request("fails", at_last=fails))
    waiting = work.start("a", "b")
    await turn_of_the_loop()
    work.end.set()
    with pytest.raises(StoreUnavailable):
        await failing
    await asyncio.gather(*waiting)
    assert sorted(work.begun) == ["a", "b", "fails"]
