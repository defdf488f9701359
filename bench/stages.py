"""Where the CPU of one email goes: each stage of the road alone, in a loop, in this process."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import resources
from itertools import count
from typing import Any

import orjson

from bench import fill, scene
from handraiser.app import Service, clock, new_id, open_service
from handraiser.core import market, payload
from handraiser.core.block import read_block
from handraiser.core.choice import choose
from handraiser.core.eligibility import Situation
from handraiser.core.formats import formats_of
from handraiser.core.letter import Options
from handraiser.core.links import Link, LinkKind, Links, SigningKey
from handraiser.core.markup import json_ld
from handraiser.core.shop import Shop
from handraiser.core.view import view
from handraiser.doors.api import composed_json
from handraiser.store.messages import LookUp, look_up
from handraiser.template_files import read_starter

TOGETHER = 32
"""How many emails share a trip to the database, as under the load of the other rows."""

Stages = dict[str, float]
"""CPU µs of one email, by stage."""


async def measure(state: scene.State, *, seconds: float) -> Stages:
    """Each stage for about ``seconds``; medians."""
    stages = _in_memory(seconds)
    async with open_service(scene.settings(state.folder)) as service:
        shop = await service.govern.shop(scene.SHOPS[0])
        return stages | await _with_store(service, shop, seconds)


def _in_memory(seconds: float) -> Stages:
    shop, mail = scene.the_shop(), fill.the_mail()
    raw = scene.body(1042)
    email = payload.read_email(raw, shop=shop).email
    formats = formats_of("en", shop.time_zone)
    markets = market.load(resources.files("handraiser.core").joinpath("markets.toml").read_text(encoding="utf-8"))
    contents, _ = read_starter(scene.TEMPLATES)
    blocks = [
        read_block(one, controller_id=bytes(16), block_id=bytes([n] * 16), version=1)
        for n, one in enumerate(contents)
        if one["kind"] in ("service_message", "opt_in")
    ]
    links = Links([SigningKey(1, b"s" * 64, False)])

    def decide() -> object:
        return choose(_situation(email, shop, markets.strictest(["US"], "US")), blocks, lambda _: True)

    def sign() -> None:
        links.sign(Link(1, bytes(16), LinkKind.OPT_IN))
        links.sign(Link(1, bytes(16), LinkKind.WITHDRAW))

    return {
        "parse and validate": _loop(lambda: payload.read_email(raw, shop=shop), seconds),
        "decide": _loop(decide, seconds),
        "view (money, dates, addresses)": _loop(lambda: view(email, shop, formats, {}), seconds),
        "sign two links": _loop(sign, seconds),
        "JSON-LD": _loop(lambda: json_ld(email, shop), seconds),
        "fill HTML": _loop(mail.fill_html, seconds),
        "fill text and subject": _loop(mail.fill_text, seconds),
    }


def _situation(email: dict[str, Any], shop: Shop, rules: market.Market) -> Situation:
    return Situation(
        mode=shop.mode,
        market=rules,
        touchpoint=f"email:{email['type']}",
        live_sale=True,
        now=clock(),
        locale="en",
        customer_kind=payload.customer_kind(email, 0, order_known=False),
        country="US",
        categories=payload.categories(email),
        value=payload.order_value(email),
        currency=email["order"]["currency"],
        purchased_at=payload.placed_at(email["order"]["placed_at"], shop.time_zone),
    )


async def _with_store(service: Service, shop: Shop, seconds: float) -> Stages:
    """What needs the database, for customers it does not know; CPU of all threads of this process."""
    numbers = count(int(time.time()) * 1000)

    async def road(*, dry_run: bool) -> float:
        calls = []
        for n in (next(numbers) for _ in range(TOGETHER)):
            options = Options(dry_run=dry_run, idempotency_key=f"stages-{n}", request_hash=bytes(32))
            calls.append(partial(service.enrich.email, shop, scene.body(n), options))
        return await _together(calls)

    async def looks() -> float:
        new = [new_id(clock()) for _ in range(TOGETHER)]
        keys = [LookUp(shop.controller.id, shop.id, n + n, n.hex(), n.hex(), n.hex()) for n in new]
        return await _together([partial(look_up, service.database, keys)]) / TOGETHER

    dry, recorded, looked_up = [], [], []
    end = time.perf_counter() + 3 * seconds
    while time.perf_counter() < end or len(dry) < 5:
        dry.append(await road(dry_run=True))
        recorded.append(await road(dry_run=False))
        looked_up.append(await looks())
    composed = await service.enrich.email(shop, scene.body(next(numbers)), Options(dry_run=True))
    without, whole = statistics.median(dry), statistics.median(recorded)
    return {
        "encode the answer": _loop(lambda: orjson.dumps(composed_json(composed)), seconds),
        "look up": statistics.median(looked_up),
        "record (with its commit)": whole - without,
        "all of it but HTTP and encoding": whole,
    }


async def _together(calls: Sequence[Callable[[], Awaitable[object]]]) -> float:
    """CPU µs of one of so many calls at the same time."""
    start = time.process_time_ns()
    await asyncio.gather(*(call() for call in calls))
    return (time.process_time_ns() - start) / 1000 / len(calls)


def _loop(make: Callable[[], object], seconds: float) -> float:
    """Median CPU µs of one call, over batches of some 2 ms."""
    make()
    start = time.perf_counter()
    make()
    number = max(1, int(0.002 / max(time.perf_counter() - start, 1e-7)))
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 3:
        begun = time.process_time_ns()
        for _ in range(number):
            make()
        taken.append((time.process_time_ns() - begun) / 1000 / number)
    return statistics.median(taken)
