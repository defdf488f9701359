"""What may befall the database of a running service beside being killed: each lasts as long as its context."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from postgres import Killable
from wire import Wire


class Outage(NamedTuple):
    """``felt``: the service cannot record anything meanwhile, so receipts go out without the database."""

    name: str
    begin: Callable[[], AbstractContextManager[None]]
    felt: bool = True


def of_sqlite(file: Path, process: int) -> list[Outage]:
    """Those of the file that this process has open."""
    return [
        Outage("disk full", partial(no_byte_more, process)),
        Outage("locked by another program", partial(_locked, file)),
    ]


def of_postgresql(server: Killable, wire: Wire) -> list[Outage]:
    """Those of this server and of the wire to it."""
    full = [Outage("disk full", server.filled)] if server.small else []
    return [
        Outage("read-only", partial(_read_only, server)),
        Outage("connection cut", partial(_on_the_wire, wire, "cut")),
        *full,
        Outage("connection swallowed", partial(_on_the_wire, wire, "hole")),
        Outage("slow", partial(_slow, wire), felt=False),
    ]


@contextmanager
def no_byte_more(process: int) -> Iterator[None]:
    """No file of the process may grow beyond what the journal of withdrawals needs: SQLite cannot write its log."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE, (32_768, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def _read_only(server: Killable) -> Iterator[None]:
    server.read_only(True)
    try:
        yield
    finally:
        server.read_only(False)


@contextmanager
def _on_the_wire(wire: Wire, state: Literal["cut", "hole"]) -> Iterator[None]:
    wire.state = state
    try:
        yield
    finally:
        wire.state = "whole"


@contextmanager
def _slow(wire: Wire) -> Iterator[None]:
    wire.delay = 0.1
    try:
        yield
    finally:
        wire.delay = 0.0
