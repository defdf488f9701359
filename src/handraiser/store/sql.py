"""SQL written once: the same text for SQLite and PostgreSQL, with a batch of rows as the relation ``v``.

A statement may hold

- ``$1``, ``$2`` …: single parameters;
- ``WITH {rows} …``: the batch as ``v(name, …)``, rendered as ``VALUES`` on SQLite and as ``unnest`` of one array a
  column on PostgreSQL, where the text therefore stays the same for every batch size and is prepared once;
- ``{lock}`` or ``{lock:alias}``: ``FOR UPDATE [OF alias]`` on PostgreSQL; nothing on SQLite, which has one writer;
- ``{claim}``: ``FOR UPDATE SKIP LOCKED`` on PostgreSQL.

Migrations use ``{id} {bytes} {int} {small} {text}`` for types, ``{strict}`` for SQLite's type checks, ``{by_key}`` for
these in a table that SQLite keeps in the order of its key (small rows, found by key; half the trees to write), and keep
what differs between ``-- sqlite``, ``-- postgresql`` and ``-- both`` lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

import orjson

from handraiser.errors import StoreError

Dialect = Literal["sqlite", "postgresql"]

TYPES: dict[str, tuple[str, str]] = {
    "id": ("BLOB", "uuid"),
    "bytes": ("BLOB", "bytea"),
    "int": ("INTEGER", "bigint"),
    "small": ("INTEGER", "smallint"),
    "text": ("TEXT", "text"),
}
_PARAMETER = re.compile(r"\$(\d+)")
_LOCK = re.compile(r"\{lock(?::(\w+))?\}")
_SECTION = re.compile(r"^-- (sqlite|postgresql|both)$")


class RowRefused(StoreError):
    """The database does not take this data: a constraint, a trigger, or a value outside its type."""


class StoreConflict(StoreError):
    """Another transaction was in the way (deadlock, serialization); nothing was written, it may be tried again."""


class Row(Protocol):
    """One row of an answer, read by column name or position."""

    def __getitem__(self, key: str | int, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class Reads(Protocol):
    """Anything that answers reading statements: a database, or a session or transaction of one."""

    @property
    def dialect(self) -> Dialect: ...

    async def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[Row]: ...

    async def fetch_rows(
        self, sql: str, columns: str, rows: Sequence[Sequence[Any]], params: Sequence[Any] = ()
    ) -> list[Row]: ...


def to_json(value: object) -> str:
    """JSON as it is stored. NUL is escaped in it, which both databases take; lone surrogates are refused here."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise RowRefused(
            "a value that is not JSON: a lone surrogate, a number beyond 64 bits, or another type"
        ) from error


@lru_cache(maxsize=1024)
def parse_columns(columns: str) -> tuple[tuple[str, str], ...]:
    """``"n int, lookup bytes"`` as ((name, kind), …); a kind is one of ``TYPES``."""
    pairs = [part.split() for part in columns.split(",")]
    for pair in pairs:
        if len(pair) != 2 or pair[1] not in TYPES:
            raise ValueError(f"declare a column as 'name kind', kind one of {', '.join(TYPES)}: {' '.join(pair)!r}")
    return tuple((name, kind) for name, kind in pairs)


@lru_cache(maxsize=1024)
def render(dialect: Dialect, sql: str, columns: str = "", count: int = 0) -> str:
    """The text for one database; ``count`` is the number of rows on SQLite and always 0 on PostgreSQL."""
    declared = parse_columns(columns) if columns else ()
    if dialect == "sqlite":
        shift = len(declared) * count
        text = _PARAMETER.sub(lambda found: f"?{int(found[1]) + shift}", sql)
        one = f"({','.join('?' * len(declared))})"
        relation = f"VALUES {','.join([one] * count)}"
        text = _LOCK.sub("", text).replace("{claim}", "")
    else:
        text = _PARAMETER.sub(lambda found: f"${int(found[1]) + len(declared)}", sql)
        arrays = ",".join(f"${n}::{TYPES[kind][1]}[]" for n, (_, kind) in enumerate(declared, 1))
        relation = f"SELECT * FROM unnest({arrays})"
        text = _LOCK.sub(lambda found: f"FOR UPDATE OF {found[1]}" if found[1] else "FOR UPDATE", text)
        text = text.replace("{claim}", "FOR UPDATE SKIP LOCKED")
    names = ",".join(name for name, _ in declared)
    return text.replace("{rows}", f"v({names}) AS ({relation})")


def bind(dialect: Dialect, columns: str, rows: Sequence[Sequence[Any]], params: Sequence[Any]) -> list[Any]:
    """The values in the order that :func:`render` numbered them."""
    if dialect == "sqlite":
        return [value for row in rows for value in row] + list(params)
    declared = len(parse_columns(columns))
    return [list(column) for column in zip(*rows, strict=True)][:declared] + list(params)


def for_dialect(script: str, dialect: Dialect) -> str:
    """A migration's text for one database."""
    kept: list[str] = []
    section = "both"
    for line in script.splitlines():
        if found := _SECTION.match(line):
            section = found[1]
        elif section in ("both", dialect):
            kept.append(line)
    text = "\n".join(kept)
    for name, (lite, postgres) in TYPES.items():
        text = text.replace(f"{{{name}}}", lite if dialect == "sqlite" else postgres)
    strict, by_key = ("STRICT", "STRICT, WITHOUT ROWID") if dialect == "sqlite" else ("", "")
    return text.replace("{strict}", strict).replace("{by_key}", by_key)
