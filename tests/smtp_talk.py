"""Both ends of SMTP, word for word: a next hop that does as it is told, and a client that says what it likes."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from handraiser.core.rules.match import ShopRule
from handraiser.core.rules.recognise import Recognised
from handraiser.doors.relay import Relay
from handraiser.isolate import Workers
from handraiser.passing import Passing
from handraiser.settings import load
from handraiser.telemetry import Metrics
from rows import NOW, an_id


@dataclass(frozen=True)
class Enriched:
    """What the enriching of a test made of a mail."""

    content: bytes
    reason: str = ""


@dataclass
class Enriching:
    """Enriches by a function; ``unsent`` is what was told not to have been sent, and why."""

    recognised: Callable[[bytes, Recognised, str], Awaitable[Enriched]]
    unsent: list[tuple[bytes, str]] = field(default_factory=list)

    async def not_sent(self, enriched: Enriched, why: str) -> None:
        self.unsent.append((enriched.content, why))


CLOSE, SILENT = "close", "silent"


@dataclass
class Delivered:
    """One mail that the hop took."""

    mail: str
    recipients: list[str]
    content: bytes


@dataclass
class ScriptedHop:
    """A next hop.

    ``says`` holds its answer to a command by the command's beginning (``"RCPT TO:<bob"``; ``"."`` is a mail's end):
    a whole answer, a list of them for one time after the other, ``CLOSE`` to hang up, or ``SILENT``.
    """

    says: dict[str, str | list[str]] = field(default_factory=dict)
    offers: Sequence[str] = ("8BITMIME", "SMTPUTF8", "SIZE 30000000", "ENHANCEDSTATUSCODES")
    delivered: list[Delivered] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    at_data: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @asynccontextmanager
    async def open(self, port: int = 0) -> AsyncIterator[ScriptedHop]:
        """Listen, on a free port or a given one."""
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            try:
                await self._talk(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()
                tasks.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", port, limit=2**24)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _answer(self, line: str, usual: str) -> str:
        for beginning, answer in self.says.items():
            if line.upper().startswith(beginning.upper()):
                if isinstance(answer, str):
                    return answer
                return answer.pop(0) if answer else usual
        return usual

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1

        def say(answer: str) -> bool:
            if answer == CLOSE:
                return False
            if answer != SILENT:
                writer.write(answer.encode() + b"\r\n")
            return True

        going = say(self._answer("CONNECT", "220 hop.example ESMTP"))
        sender, recipients = "", []
        while going and (raw := await reader.readline()):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self.heard.append(line)
            verb = line[:4].upper()
            if verb == "EHLO":
                going = say("\r\n".join(["250-hop.example", *(f"250-{one}" for one in self.offers), "250 HELP"]))
                continue
            usual = {"DATA": "354 go on", "QUIT": "221 2.0.0 bye"}.get(verb, "250 2.0.0 OK")
            answer = self._answer(line, usual)
            if answer.startswith("2") and verb == "MAIL":
                sender, recipients = line[5:], []
            if answer.startswith("2") and verb == "RCPT":
                recipients.append(line[8:])
            going = say(answer) and verb != "QUIT"
            if answer.startswith("354"):
                content = b""
                while (row := await reader.readline()) != b".\r\n":
                    if not row:
                        return
                    content += row.removeprefix(b".")
                self.at_data.set()
                answer = self._answer(".", "250 2.0.0 queued")
                if answer.startswith("2"):
                    self.delivered.append(Delivered(sender, recipients, content))
                going = say(answer)


@dataclass
class Client:
    """An SMTP client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> str:
        """The next answer, its lines joined by a line break; "" when the connection ended."""
        lines = []
        async with asyncio.timeout(20):
            with suppress(ConnectionResetError):
                while line := (await self.reader.readline()).decode():
                    lines.append(line.rstrip("\r\n"))
                    if line[3:4] != "-":
                        break
        return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        self.writer.write(line if isinstance(line, bytes) else line.encode() + b"\r\n")
        return await self.answer()

    async def begin(self, *recipients: str, sender: str = "orders@tents.example") -> list[str]:
        """MAIL and RCPT; the answers."""
        said = [await self.say(f"MAIL FROM:<{sender}>")]
        return said + [await self.say(f"RCPT TO:<{one}>") for one in recipients]

    async def data(self, content: bytes) -> str:
        """DATA and the mail (with CRLF), dots stuffed; the answer to it."""
        said = await self.say("DATA")
        if not said.startswith("354"):
            return said
        return await self.say((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")

    async def send(self, content: bytes, *recipients: str, sender: str = "orders@tents.example") -> str:
        """One mail; the answer to its end."""
        await self.begin(*recipients, sender=sender)
        return await self.data(content)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.say("STARTTLS")).startswith("220")
        await self.writer.start_tls(context, server_hostname="localhost")

    async def ended(self) -> bool:
        """Whether the other side has hung up."""
        async with asyncio.timeout(10):
            return await self.reader.read() == b""


@asynccontextmanager
async def talking(port: int, *, greet: bool = True) -> AsyncIterator[Client]:
    """A client that is connected, and has said EHLO."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    client = Client(reader, writer)
    try:
        if greet:
            assert (await client.answer()).startswith("220 ")
            assert (await client.say("EHLO shop.example")).startswith("250-")
        yield client
    finally:
        writer.close()


@asynccontextmanager
async def relaying(
    hop: ScriptedHop | int,
    *,
    rules: Sequence[ShopRule] = (),
    enrich: Enriching | None = None,
    keys: Mapping[tuple[str, str], bytes] | None = None,
    workers: Workers | None = None,
    **given: Any,
) -> AsyncIterator[Relay]:
    """A relay before a hop (or whatever listens on a port); ``workers`` are those of other tests, kept warm."""
    port = hop if isinstance(hop, int) else hop.port
    settings = load(
        {},
        **{
            "relay_next_hop": f"smtp://127.0.0.1:{port}",
            "relay_listen": "127.0.0.1:0",
            "relay_name": "relay.example",
            "relay_hop_seconds": 5.0,
            "relay_data_seconds": 5.0,
            **given,
        },
    )
    own = Workers(settings.enrich_workers, seconds=settings.enrich_seconds)
    passing = Passing(rules=rules, workers=workers or own, enrich=enrich, keys=keys, max_bytes=settings.enrich_bytes)
    ids = map(an_id, itertools.count(1))
    relay = Relay(passing, settings, Metrics(), lambda: NOW, lambda _at: next(ids))
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close(5)
        own.close()


def outcomes(relay: Relay) -> dict[tuple[str, str], int]:
    """What was counted, by outcome and reason."""
    return {
        (sample.labels["outcome"], sample.labels["reason"]): int(sample.value)
        for sample in next(iter(relay.metrics.relayed.collect())).samples
        if sample.name.endswith("_total")
    }
