"""What stalls, crashes or eats memory costs one call; the next one works."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import time
from collections.abc import AsyncIterator

import pytest
from mjml import mjml2html

from handraiser.errors import HandraiserError, TemplateFault, TemplateRefused, TimeLimitExceeded, WorkerDied
from handraiser.isolate import Isolate, Workers


@pytest.fixture
async def isolate() -> AsyncIterator[Isolate]:
    opened = Isolate(seconds=20, memory_bytes=1_000_000_000)
    yield opened
    opened.close()


def add(one: int, *, other: int) -> int:
    return one + other


def process_id() -> int:
    return os.getpid()


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def eat() -> int:
    return len(bytearray(2_000_000_000))


def refuse() -> None:
    raise TemplateRefused([TemplateFault("welcome", 3, 7, "unknown_element", "no such element", "mj-text?")])


class _Odd(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)


def fail_oddly() -> None:
    raise _Odd(1, 2)


def leave() -> None:
    raise SystemExit(3)


def not_picklable() -> object:
    return lambda: None


def nested(depth: int) -> str:
    inner = "<div>" * depth + "x" + "</div>" * depth
    page = f"<mjml><mj-body><mj-section><mj-column><mj-text>{inner}</mj-text></mj-column></mj-section></mj-body></mjml>"
    return str(mjml2html(page))


async def test_a_call_is_answered_from_another_process_that_is_kept(isolate: Isolate):
    assert await isolate.call(add, 1, other=2) == 3
    first = await isolate.call(process_id)
    assert first != os.getpid()
    assert await isolate.call(process_id) == first


async def test_calls_made_together_take_turns_and_get_their_own_answers(isolate: Isolate):
    answers = await asyncio.gather(*(isolate.call(add, n, other=n) for n in range(20)))
    assert answers == [2 * n for n in range(20)]


async def test_an_error_comes_back_as_itself_with_all_its_faults(isolate: Isolate):
    with pytest.raises(TemplateRefused) as refused:
        await isolate.call(refuse)
    assert [(fault.line, fault.column, fault.suggestion) for fault in refused.value.faults] == [(3, 7, "mj-text?")]


async def test_a_call_over_its_time_is_killed_and_the_next_one_works(isolate: Isolate):
    first = await isolate.call(process_id)
    with pytest.raises(TimeLimitExceeded, match=r"0\.2 seconds"):
        await isolate.call(sleep, 60, seconds=0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert await isolate.call(add, 1, other=1) == 2


async def test_a_call_over_its_memory_is_ended_and_the_next_one_works(isolate: Isolate):
    with pytest.raises(WorkerDied, match="memory"):
        await isolate.call(eat)
    assert await isolate.call(add, 1, other=1) == 2


async def test_a_source_that_crashes_the_mjml_engine_kills_no_more_than_its_call(isolate: Isolate):
    with pytest.raises(WorkerDied):
        await isolate.call(nested, 100_000)
    assert "x" in await isolate.call(nested, 3)


@pytest.mark.parametrize("function", [fail_oddly, leave, not_picklable])
async def test_what_cannot_be_carried_back_is_one_of_our_errors_or_pickles_own(isolate: Isolate, function: object):
    with pytest.raises((HandraiserError, AttributeError, pickle.PicklingError)):
        await isolate.call(function)
    assert await isolate.call(add, 1, other=1) == 2


async def test_a_worker_killed_from_outside_is_started_anew(isolate: Isolate):
    os.kill(await isolate.call(process_id), signal.SIGKILL)
    try:
        assert await isolate.call(add, 1, other=1) == 2
    except WorkerDied:  # the kill was noticed only while the call was under way
        assert await isolate.call(add, 1, other=1) == 2


async def test_the_answer_to_a_cancelled_call_never_reaches_another(isolate: Isolate):
    await isolate.call(add, 1, other=1)
    call = asyncio.create_task(isolate.call(sleep, 0.3))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await isolate.call(add, 20, other=22) == 42


async def test_closing_twice_is_fine_and_a_later_call_starts_again():
    isolate = Isolate()
    isolate.close()
    assert await isolate.call(add, 1, other=1) == 2
    isolate.close()
    isolate.close()


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    opened = Workers(2, seconds=20)
    await opened.warm(process_id)
    yield opened
    opened.close()


async def test_two_workers_work_at_the_same_time_and_a_stalled_one_does_not_stop_the_other(workers: Workers):
    stalled = asyncio.create_task(workers.call(sleep, 60, seconds=1.0))
    await asyncio.sleep(0.05)
    others = [await workers.call(process_id) for _ in range(5)]

    assert not stalled.done()
    assert len(set(others)) == 1
    with pytest.raises(TimeLimitExceeded):
        await stalled
    assert await workers.call(add, 1, other=1) == 2


async def test_who_finds_no_worker_free_waits_no_longer_than_its_time(workers: Workers):
    busy = [asyncio.create_task(workers.call(sleep, 1.5, seconds=20)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(TimeLimitExceeded, match=r"no worker was free within 0\.1 seconds"):
        await workers.call(process_id, seconds=0.1)

    assert await workers.call(add, 1, other=1) == 2, "waited until one was"
    assert await asyncio.gather(*busy) == ["slept", "slept"]
