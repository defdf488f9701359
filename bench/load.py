"""A closed loop of HTTP/1.1 connections in one thread: each sends its next request when its answer is there.

Small on purpose, so that the server and not this loop is what is busy.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_READ_BYTES = 1 << 18


@dataclass(slots=True)
class Load:
    """What a load did: good answers, the seconds it took, each answer's milliseconds."""

    answers: int = 0
    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    sent_at: float = 0.0
    got: bytearray = field(default_factory=bytearray)
    wanted: int = 0


def run(port: int, request: Callable[[], bytes], *, connections: int, seconds: float, answers: int = 0) -> Load:
    """Send ``request()`` again and again on so many connections, for ``seconds`` or until so many ``answers``.

    Raises :class:`RuntimeError` for any answer that is not 200.
    """
    load = Load()
    buffer = bytearray(_READ_BYTES)
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        started = time.perf_counter()
        end = started + seconds
        for _ in range(connections):
            one = _Connection(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
            one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(one.socket, selectors.EVENT_READ, one)
            _send(one, request())
        open_ones = connections
        while open_ones:
            for key, _ in selector.select(10.0) or _nothing_came():
                one = key.data
                if not _received(one, buffer):
                    continue
                now = time.perf_counter()
                load.answers += 1
                load.taken.append((now - one.sent_at) * 1000)
                if now < end and (not answers or load.answers + open_ones <= answers):
                    _send(one, request())
                else:
                    selector.unregister(one.socket)
                    one.socket.close()
                    open_ones -= 1
        load.seconds = time.perf_counter() - started
    return load


def _send(one: _Connection, request: bytes) -> None:
    one.got.clear()
    one.wanted = 0
    one.sent_at = time.perf_counter()
    one.socket.sendall(request)


def _received(one: _Connection, buffer: bytearray) -> bool:
    """Take what has come; True when the answer is whole."""
    count = one.socket.recv_into(buffer)
    if not count:
        raise RuntimeError("the server closed a connection")
    if one.wanted:
        one.wanted -= count
        return one.wanted == 0
    one.got += memoryview(buffer)[:count]
    end = one.got.find(b"\r\n\r\n")
    if end < 0:
        return False
    length = _LENGTH.search(one.got, 0, end + 2)
    if length is None or not one.got.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not a good answer: {bytes(one.got[:600])!r}")
    one.wanted = end + 4 + int(length.group(1)) - len(one.got)
    return one.wanted == 0


def _nothing_came() -> list[tuple[selectors.SelectorKey, int]]:
    raise RuntimeError("the server did not answer within 10 seconds")
