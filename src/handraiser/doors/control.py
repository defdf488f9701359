"""The CLI's way into a running service: one JSON line in, one out, over a unix socket only its owner can open.

SQLite allows one process; a command that finds the database taken asks the process that holds it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from handraiser.errors import HandraiserError

log = logging.getLogger("handraiser.control")

LINE_BYTES = 40_000_000
"""Room for a mail in base64."""
ANSWER_SECONDS = 60.0
SOCKET_NAME = "control.sock"

Run = Callable[[str, dict[str, Any]], Awaitable[Any]]


class ControlFailed(HandraiserError):
    """The running service refused the command, or no service answers at the socket."""


class NoService(ControlFailed):
    """Nothing answers at the socket."""


class Control:
    """Serves commands at the socket ``name`` in ``state_dir`` (mode 0600) until closed."""

    def __init__(self, state_dir: Path, run: Run, name: str = SOCKET_NAME) -> None:
        self._path = state_dir / name
        self._run = run
        self._server: asyncio.Server | None = None
        self._at_work: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._answer, str(self._path), limit=LINE_BYTES)
        finally:
            os.umask(mask)

    async def close(self) -> None:
        """Stop what is at work, which may take hours, and tell its callers."""
        if self._server is not None:
            self._server.close()
            for task in self._at_work:
                task.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        try:
            request = orjson.loads(await asyncio.wait_for(reader.readline(), ANSWER_SECONDS))
            answer: dict[str, Any] = {"result": await self._run(request["command"], request["arguments"])}
        except HandraiserError as error:
            answer = {"error": str(error)}
        except asyncio.CancelledError:
            answer = {"error": "the service is stopping and has not finished this"}
        except Exception as error:
            log.error("command failed", exc_info=error)
            answer = {"error": f"the service could not do this ({type(error).__name__}); its log says more"}
        try:
            writer.write(orjson.dumps(answer, default=str) + b"\n")
            await writer.drain()
        except ConnectionError:
            log.info("the command's caller went away")
        finally:
            writer.close()


async def ask(
    state_dir: Path,
    command: str,
    arguments: dict[str, Any],
    *,
    seconds: float | None = ANSWER_SECONDS,
    name: str = SOCKET_NAME,
) -> Any:
    """Send one command to the service that runs on ``state_dir``; raises :class:`ControlFailed`, :class:`NoService`.

    ``seconds`` is the longest wait for the answer; None waits for as long as the command takes.
    """
    path = state_dir / name
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_BYTES)
    except OSError:
        raise NoService(f"no service answers at {path}") from None
    try:
        writer.write(orjson.dumps({"command": command, "arguments": arguments}) + b"\n")
        await writer.drain()
        line = await asyncio.wait_for(reader.readline(), seconds)
    finally:
        writer.close()
    if not line:
        raise ControlFailed("the service ended before it answered")
    answer = orjson.loads(line)
    if "error" in answer:
        raise ControlFailed(answer["error"])
    return answer["result"]
