"""``serve --workers N``: processes that share the ports (SO_REUSEPORT), looked after until SIGTERM.

Nothing is shared between them but the database and ``state_dir``. A worker says ``ready`` on its standard output; the
end of its standard input tells it to drain, so workers also end when this process is killed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from handraiser.errors import HandraiserError

log = logging.getLogger("handraiser.supervise")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0


class Supervisor:
    """Keeps ``count`` workers running; ``command`` starts one, with ``--worker SOCKET`` behind it."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command, self._count = [sys.executable, "-m", "handraiser", *command], count
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start the workers and return when all have ended after SIGTERM (they drain) or SIGINT.

        The first one prepares what all need (migrations, compiled templates). Raises :class:`HandraiserError` when it
        ends before it is ready: what stops one would stop all. Later a worker that ends is started again, after a
        pause that doubles from 0.5 to 30 s while it does not live for a minute.
        """
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self._stop, sign)
        with tempfile.TemporaryDirectory(prefix="handraiser-workers-") as folder:
            sockets = [Path(folder) / f"worker-{n}.sock" for n in range(self._count)]
            first = await self._start(sockets[0])
            if not await _ready(first) and not self._stopping.is_set():
                raise HandraiserError(f"the first worker ended before it was ready (exit code {await first.wait()})")
            started = [first, *[await self._start(socket) for socket in sockets[1:]]]
            await asyncio.gather(*map(self._keep, sockets, started))

    def _stop(self, sign: signal.Signals) -> None:
        """End every worker: the first SIGTERM by closing its input, because a service manager may have sent it the
        signal too and a second one cuts draining short; any other as it came."""
        repeated = self._stopping.is_set()
        self._stopping.set()
        for worker in self._running:
            if sign is signal.SIGTERM and not repeated:
                _release(worker)
            elif worker.returncode is None:
                worker.send_signal(sign)

    async def _start(self, socket: Path) -> asyncio.subprocess.Process:
        worker = await asyncio.create_subprocess_exec(
            *self._command, "--worker", str(socket), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._running.add(worker)
        if self._stopping.is_set():
            _release(worker)
        return worker

    async def _keep(self, socket: Path, worker: asyncio.subprocess.Process) -> None:
        """Start a worker again whenever it ends, until all shall end."""
        loop = asyncio.get_running_loop()
        pause, began = FIRST_PAUSE, loop.time()
        while True:
            code = await worker.wait()
            self._running.discard(worker)
            if self._stopping.is_set():
                return
            if loop.time() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.error("a worker ended", extra={"facts": {"worker": socket.stem, "code": code, "again_in": pause}})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            pause, began = min(2 * pause, LONGEST_PAUSE), loop.time()
            worker = await self._start(socket)


async def _ready(worker: asyncio.subprocess.Process) -> bool:
    assert worker.stdout is not None
    return await worker.stdout.readline() == b"ready\n"


def _release(worker: asyncio.subprocess.Process) -> None:
    assert worker.stdin is not None
    worker.stdin.close()
