"""An asynchronous context, opened in a thread of its own, for plain tests: those that drive what blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Threaded:
    """What was opened (``it``), and a way to run coroutines where it lives."""

    it: Any
    loop: asyncio.AbstractEventLoop

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


@contextmanager
def in_a_thread(open_it: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[Threaded]:
    opened: Future[Threaded] = Future()
    over = threading.Event()

    async def live() -> None:
        try:
            async with open_it() as it:
                opened.set_result(Threaded(it, asyncio.get_running_loop()))
                await asyncio.to_thread(over.wait)
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        yield opened.result(120)
    finally:
        over.set()
        thread.join(30)
