"""The wire between the service and its PostgreSQL, which can be cut, swallow everything, or be slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from running import free_port


@dataclass
class Wire:
    """Leads to a Unix socket. ``state`` may be set at any time, from any thread.

    ``cut``: what is open ends with its next byte, what is new at once. ``hole``: both stay open and hear nothing more,
    not even afterwards, as behind a firewall that has forgotten them. ``delay`` (seconds) is added to each answer.
    """

    to: str
    port: int = field(default_factory=free_port)
    state: Literal["whole", "cut", "hole"] = "whole"
    delay: float = 0.0
    _pumps: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"postgresql://handraiser@127.0.0.1:{self.port}/postgres"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        """Lead until the end."""
        server = await asyncio.start_server(self._lead, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()
            for pump in list(self._pumps):
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            await server.wait_closed()

    async def _lead(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        writers = [to_client]
        try:
            if self.state == "whole":
                from_server, to_server = await asyncio.open_unix_connection(self.to)
                writers.append(to_server)
                pumps = [
                    asyncio.create_task(self._pump(from_client, to_server, slow=False)),
                    asyncio.create_task(self._pump(from_server, to_client, slow=True)),
                ]
                self._pumps.update(pumps)
                for pump in pumps:
                    pump.add_done_callback(self._pumps.discard)
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
            elif self.state == "hole":
                await from_client.read()
        except OSError:
            pass  # the server is dead
        finally:
            for writer in writers:
                with suppress(OSError):
                    writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.state == "cut":
                    return
                if self.state == "hole":
                    await asyncio.Event().wait()
                if slow and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
