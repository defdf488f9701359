"""Where the CPU of one email goes: each stage of the road alone, in a loop, in this process."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import orjson

from bench import scene
from handraiser.app import Service, open_service
from handraiser.core import payload
from handraiser.core.eligibility import choose
from handraiser.core.formats import formats_of
from handraiser.core.links import Link, LinkKind
from handraiser.core.markup import json_ld
from handraiser.core.shop import Shop
from handraiser.core.view import view
from handraiser.doors.api import composed_json
from handraiser.enrich import Options
from handraiser.store import messages, recording
from handraiser.store.messages import Known, LookUp

TOGETHER = 32
"""How many look-ups and records share a trip to the database, as under the load of the other rows."""

Stages = dict[str, float]
"""CPU µs of one email, by stage."""


async def measure(state: scene.State, *, seconds: float) -> Stages:
    """Each stage for about ``seconds``; medians."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_service(scene.settings(state.folder)))
        shop = await service.govern.shop(scene.SHOPS[0])
        stages = _in_memory(service, shop, seconds)
        stages |= await _with_store(service, shop, seconds)
    return stages


def _in_memory(service: Service, shop: Shop, seconds: float) -> Stages:
    enrich = service.enrich
    raw = scene.body(1042)
    parsed = payload.parse(raw)
    letter = enrich._read(shop, parsed, Options())
    email, catalogue = letter.email, letter.catalogue
    known = Known()
    composed = enrich._decided(letter, known, asking=True)
    page = catalogue.pages[letter.template, letter.locale].page
    extra = {"ask": {"url": "https://mail.example/o/x", "decline_url": "https://mail.example/u/x", "promise": {}, "market_line": ""}}
    context = {**letter.context, **extra}
    blocks = [
        catalogue.compiled[letter.template, one.slot, one.block_id, one.version, one.variant, letter.locale].block
        for one in composed.decision.placements
    ]
    markup = json_ld(email, shop)
    slots = {f"_slot_{one.slot}": "" for one in composed.decision.placements}
    formats, words = formats_of(letter.locale, shop.time_zone), service.words(letter.locale)
    stands = partial(catalogue.stands, letter.template, letter.locale)

    def links() -> None:
        service.links.sign(Link(shop.number, composed.message_id, LinkKind.OPT_IN))
        service.links.sign(Link(shop.number, composed.subject_id, LinkKind.WITHDRAW))

    def fill_html() -> None:
        for block in blocks:
            block.html(context)
        page.html({**context, **slots, "_head": markup})

    def fill_text() -> None:
        for block in blocks:
            block.text(context)
        page.text({**context, **slots})
        page.title(context)

    return {
        "parse": _loop(lambda: payload.parse(raw), seconds),
        "validate": _loop(lambda: payload.read_email(parsed, shop=shop), seconds),
        "view (money, dates, addresses)": _loop(lambda: view(email, shop, formats, words), seconds),
        "decide": _loop(
            lambda: choose(enrich._situation(letter, known, asking=True), catalogue.blocks, stands), seconds
        ),
        "sign two links": _loop(links, seconds),
        "JSON-LD": _loop(lambda: json_ld(email, shop), seconds),
        "fill HTML": _loop(fill_html, seconds),
        "fill text and subject": _loop(fill_text, seconds),
        "encode the answer": _loop(lambda: orjson.dumps(composed_json(composed)), seconds),
    }


async def _with_store(service: Service, shop: Shop, seconds: float) -> Stages:
    """Look-up and record of new customers, ``TOGETHER`` at a time; CPU of all threads of this process."""
    enrich, numbers = service.enrich, iter(range(10**9, 10**10))

    def letters() -> Sequence[Any]:
        return [
            enrich._read(shop, scene.an_order(n), Options(idempotency_key=f"stages-{n}", request_hash=bytes(32)))
            for _, n in zip(range(TOGETHER), numbers, strict=False)
        ]

    looked_up: list[float] = []
    recorded: list[float] = []
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end or len(recorded) < 5:
        batch = letters()
        keys = [
            LookUp(
                shop.controller.id, shop.id, one.lookup, one.customer_id, one.options.idempotency_key, one.email["order"]["id"]
            )
            for one in batch
        ]
        taken, known = await _together([partial(enrich._reader.read, messages.look_up, key) for key in keys])
        looked_up.append(taken)
        rows = [
            enrich._recording(one, enrich._decided(one, facts, asking=True), facts)
            for one, facts in zip(batch, known, strict=True)
        ]
        taken, _ = await _together([partial(enrich._writer.write, recording.record, row) for row in rows])
        recorded.append(taken)
    return {"look up": statistics.median(looked_up), "record (with its commit)": statistics.median(recorded)}


async def _together(calls: Sequence[Callable[[], Awaitable[Any]]]) -> tuple[float, Sequence[Any]]:
    start = time.process_time_ns()
    answers = await asyncio.gather(*(call() for call in calls))
    return (time.process_time_ns() - start) / 1000 / len(calls), answers


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
