"""Spawned, killable workers: what may stall, crash or eat memory runs there, never in the serving process."""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import pickle
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from handraiser.errors import TimeLimitExceeded, WorkerDied

T = TypeVar("T")
_START_SECONDS = 30.0


class Isolate:
    """One worker process, started at the first call and again after it was killed; calls take turns.

    ``preload`` names modules that it imports before the first call's time begins.
    """

    def __init__(
        self, *, seconds: float = 10.0, memory_bytes: int = 1_000_000_000, preload: tuple[str, ...] = ()
    ) -> None:
        self._seconds = seconds
        self._preload = preload
        self._memory_bytes = memory_bytes
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._turn = asyncio.Lock()

    async def call(self, function: Callable[..., T], *args: Any, seconds: float | None = None, **kwargs: Any) -> T:
        """``function(*args, **kwargs)`` in the worker; arguments and result are pickled.

        An exception raised there comes back as itself. Raises :class:`TimeLimitExceeded` after ``seconds`` and
        :class:`WorkerDied` when the process ends without an answer (a crash, or the memory limit).
        """
        limit = seconds or self._seconds
        async with self._turn:
            try:
                pipe = await self._started()
                pipe.send((function, args, kwargs))
                if not await _answers(pipe, limit):
                    raise TimeLimitExceeded(f"not done within {limit:g} seconds")
                good, value = pipe.recv()
            except (EOFError, OSError):
                self._kill()
                raise WorkerDied("the isolated process ended without an answer") from None
            except BaseException:
                # Also when the caller is cancelled: the next one must not get the answer to this call.
                self._kill()
                raise
        if good:
            result: T = value
            return result
        raise value

    async def _started(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._pipe is not None:
            return self._pipe
        self._kill()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._memory_bytes, self._preload), daemon=True)
        try:
            await asyncio.to_thread(self._process.start)
        finally:
            theirs.close()
        if not await asyncio.to_thread(self._pipe.poll, _START_SECONDS):
            raise TimeLimitExceeded("the isolated process did not start")
        self._pipe.recv()
        return self._pipe

    def _kill(self) -> None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is not None:
            if process.pid is not None:
                process.kill()
                process.join()
            process.close()
        if pipe is not None:
            pipe.close()

    def close(self) -> None:
        """End the worker; may be called again."""
        self._kill()


async def _answers(pipe: Connection, seconds: float) -> bool:
    """Whether something comes within ``seconds``; no thread waits for it."""
    loop, came, number = asyncio.get_running_loop(), asyncio.Event(), pipe.fileno()
    loop.add_reader(number, came.set)
    try:
        async with asyncio.timeout(seconds):
            await came.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(number)
    return True


class Workers:
    """Several isolated workers behind one call. Whoever finds all of them busy waits, but no longer than its time."""

    def __init__(
        self,
        count: int,
        *,
        seconds: float = 10.0,
        memory_bytes: int = 1_000_000_000,
        preload: tuple[str, ...] = (),
    ) -> None:
        self._all = [Isolate(seconds=seconds, memory_bytes=memory_bytes, preload=preload) for _ in range(count)]
        self._free: asyncio.LifoQueue[Isolate] = asyncio.LifoQueue()
        self._seconds = seconds
        for one in self._all:
            self._free.put_nowait(one)

    async def warm(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Start every worker and have it do ``function`` once, so that the first real call finds it awake."""
        await asyncio.gather(*(one.call(function, *args, seconds=_START_SECONDS, **kwargs) for one in self._all))

    async def call(self, function: Callable[..., T], *args: Any, seconds: float | None = None, **kwargs: Any) -> T:
        """As :meth:`Isolate.call`, in the first worker that is free.

        Waiting for one counts: what has not begun within ``seconds`` raises :class:`TimeLimitExceeded` too.
        """
        limit = seconds or self._seconds
        try:
            async with asyncio.timeout(limit):
                worker = await self._free.get()
        except TimeoutError:
            raise TimeLimitExceeded(f"no worker was free within {limit:g} seconds") from None
        try:
            return await worker.call(function, *args, seconds=limit, **kwargs)
        finally:
            self._free.put_nowait(worker)

    def close(self) -> None:
        """End the workers; may be called again."""
        for one in self._all:
            one.close()


def _work(pipe: Connection, memory_bytes: int, preload: tuple[str, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the serving process decides
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for module in preload:
        importlib.import_module(module)
    pipe.send("ready")
    while True:
        try:
            function, args, kwargs = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send((True, function(*args, **kwargs)))
        except MemoryError:
            pipe.send((False, WorkerDied("the isolated process reached its memory limit")))
        except BaseException as error:  # also the engine's panics, which are no Exception
            pipe.send((False, error if _carries(error) else WorkerDied(type(error).__name__)))


def _carries(error: BaseException) -> bool:
    """Whether an error can be pickled back as itself."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, one line above
    except Exception:
        return False
    return isinstance(error, Exception)
