"""Group commit: what arrives while a commit runs is the next transaction; every caller is answered after its own.
Each transaction is one method's.

The same for look-ups: what arrives while a look-up runs is the next one, so a round trip to the database is shared.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from handraiser.errors import Overloaded, StoreUnavailable
from handraiser.store.database import Database, Session, Transaction
from handraiser.store.sql import StoreConflict

R = TypeVar("R")
T = TypeVar("T")

_TRIES = 4
_REFUSED_SECONDS = 5.0
"""So long a failed commit counts against being ready: without work nothing would show that the disk has room again."""


@dataclass(slots=True, eq=False)
class _Job:
    method: Callable[..., Awaitable[Sequence[Any]]]
    row: Any
    answer: asyncio.Future[Any]


class _Batcher(ABC):
    """A bounded queue, emptied batch by batch by at most ``parallel`` tasks."""

    def __init__(
        self, database: Database, *, batch_limit: int, queue_limit: int, parallel: int, seconds: float | None
    ) -> None:
        self._database = database
        self._batch_limit = batch_limit
        self._queue_limit = queue_limit
        self._parallel = parallel
        self._seconds = database.seconds if seconds is None else seconds
        self._queue: deque[_Job] = deque()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._closing = False

    @property
    def depth(self) -> int:
        """How many wait."""
        return len(self._queue)

    async def close(self) -> None:
        """Refuse newcomers, finish what waits."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._watch is not None:
            self._watch.cancel()

    async def _submit(self, method: Callable[..., Awaitable[Sequence[Any]]], row: Any) -> Any:
        if self._closing:
            raise StoreUnavailable("the service is closing")
        if len(self._queue) >= self._queue_limit:
            raise Overloaded(f"{self._queue_limit} wait for the database")
        loop = asyncio.get_running_loop()
        job = _Job(method, row, loop.create_future())
        self._queue.append(job)
        if self._running < self._parallel:
            self._running += 1
            task = loop.create_task(self._empty())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._waiting.append((loop.time() + self._seconds, job.answer))
        if self._watch is None:
            self._watch = loop.call_later(self._seconds, self._give_up)
        return await job.answer

    def _give_up(self) -> None:
        """Answer those who have waited too long. One timer for all, because all wait equally long: a timer for each
        caller would cost as much as its look-up."""
        loop = asyncio.get_running_loop()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= loop.time()):
            answer = self._waiting.popleft()[1]
            if not answer.done():
                answer.set_exception(StoreUnavailable("the database did not answer in time"))
        self._watch = loop.call_at(self._waiting[0][0], self._give_up) if self._waiting else None

    async def _empty(self) -> None:
        try:
            await asyncio.sleep(0)  # let everyone who is ready in this turn of the loop join the first batch
            while self._queue:
                if batch := self._next():
                    await self._serve(batch)
        finally:
            # Not when the task is done: a newcomer between the two would wait for nobody.
            self._running -= 1

    def _next(self) -> list[_Job]:
        """The longest waiting job and all others of its method.

        Methods lock rows in an order of their own. Two replicas whose transactions ran several methods would lock
        the same subjects crosswise, and PostgreSQL takes a second to see a deadlock.
        """
        batch: list[_Job] = []
        others: deque[_Job] = deque()
        while self._queue and len(batch) < self._batch_limit:
            job = self._queue.popleft()
            if job.answer.done():
                continue  # its caller has given up: it must not be written behind its back
            (others if batch and job.method != batch[0].method else batch).append(job)
        self._queue.extendleft(reversed(others))
        return batch

    async def _serve(self, batch: list[_Job]) -> None:
        try:
            await self._run(batch)
        except StoreUnavailable as error:
            self._fail([*batch, *self._queue], error)  # those who wait would only wait for the same
            self._queue.clear()
        except BaseException as error:
            self._fail([*batch, *self._queue], StoreUnavailable(f"the batch was stopped ({type(error).__name__})"))
            self._queue.clear()
            raise

    async def _run(self, batch: list[_Job]) -> None:
        """Run one batch; if the database refuses it, run its halves, so that one bad row fails alone."""
        for attempt in range(1, _TRIES + 1):
            try:
                answers = await self._together(batch)
            except StoreUnavailable:
                raise
            except StoreConflict as error:
                if attempt == _TRIES:
                    raise StoreUnavailable("other transactions were in the way") from error
                await asyncio.sleep(0.005 * attempt)
            except Exception as error:
                if len(batch) == 1:
                    _answer(batch[0], error=error)
                    return
                middle = len(batch) // 2
                await self._run(batch[:middle])
                await self._run(batch[middle:])
                return
            else:
                for job, answer in zip(batch, answers, strict=True):
                    _answer(job, answer)
                return

    @abstractmethod
    async def _together(self, batch: list[_Job]) -> list[Any]:
        """The answers to one batch, all or nothing."""

    @staticmethod
    def _fail(jobs: Sequence[_Job], error: StoreUnavailable) -> None:
        for job in jobs:
            # Each caller gets an exception of its own: a shared one would gather every caller's traceback.
            _answer(job, error=StoreUnavailable(str(error)))


class Writer(_Batcher):
    """``await writer.write(method, row)`` returns after the commit that holds ``row``.

    A method is ``async (tx, rows) -> results``, one result a row, in order. At most ``queue_limit`` rows wait, then
    :class:`Overloaded`. When the database is down or does not commit within ``seconds``, callers get
    :class:`StoreUnavailable`: the outcome is then unknown and a retry must carry the same key. A row that the database
    refuses fails alone with its own error.
    """

    def __init__(
        self,
        database: Database,
        *,
        batch_limit: int = 256,
        queue_limit: int = 4096,
        seconds: float | None = None,
    ) -> None:
        super().__init__(database, batch_limit=batch_limit, queue_limit=queue_limit, parallel=1, seconds=seconds)
        self._refused_at = float("-inf")

    async def write(self, method: Callable[[Transaction, Sequence[R]], Awaitable[Sequence[T]]], row: R) -> T:
        """Write one row with the next commit and return the method's result for it."""
        result: T = await self._submit(method, row)
        return result

    async def ready(self) -> bool:
        """Whether the database answers and takes what it is given: a full or read-only one still answers."""
        lately = asyncio.get_running_loop().time() - self._refused_at < _REFUSED_SECONDS
        return not lately and await self._database.answers()

    async def _together(self, batch: list[_Job]) -> list[Any]:
        try:
            async with self._database.transaction(brief=True) as tx:
                answers = await _answers(tx, batch)
        except StoreUnavailable:
            self._refused_at = asyncio.get_running_loop().time()
            raise
        self._refused_at = float("-inf")
        return answers


class Reader(_Batcher):
    """``await reader.read(method, key)``: look-ups that arrive together are one; errors as with :class:`Writer`."""

    def __init__(
        self,
        database: Database,
        *,
        batch_limit: int = 256,
        queue_limit: int = 4096,
        parallel: int = 1,
        seconds: float | None = None,
    ) -> None:
        super().__init__(database, batch_limit=batch_limit, queue_limit=queue_limit, parallel=parallel, seconds=seconds)

    async def read(self, method: Callable[[Session, Sequence[R]], Awaitable[Sequence[T]]], key: R) -> T:
        """Look one key up with the next batch and return the method's result for it."""
        result: T = await self._submit(method, key)
        return result

    async def _together(self, batch: list[_Job]) -> list[Any]:
        async with self._database.reading() as session:
            return await _answers(session, batch)


async def _answers(session: Session, batch: list[_Job]) -> list[Any]:
    return list(await batch[0].method(session, [job.row for job in batch]))


def _answer(job: _Job, answer: Any = None, *, error: Exception | None = None) -> None:
    if job.answer.done():
        return
    if error is None:
        job.answer.set_result(answer)
    else:
        job.answer.set_exception(error)
