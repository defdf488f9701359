"""A file of consents or orders, read piece by piece: CSV (RFC 4180) with names, or NDJSON; a bad row fails alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from handraiser.errors import Fault

Kind = Literal["csv", "ndjson"]

ROW_BYTES = 65_536
"""The longest row of consents."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row: its number (from 1, without the line of names), what it holds or what is wrong with it, and where in the
    file (in bytes) the next one begins."""

    number: int
    given: dict[str, Any] | None
    fault: Fault | None
    end: int


class FileRows:
    """Takes a file in pieces of any size and gives its rows; what it holds in memory is one row and one piece.

    To go on in the middle of a file give the line of names to :meth:`names_are`, and ``number`` and ``end`` of the last
    row that is done. ``limit`` is the longest row (bytes), ``loads`` reads a line of NDJSON.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        number: int = 0,
        end: int = 0,
        limit: int = ROW_BYTES,
        loads: Callable[[str], Any] = json.loads,
    ) -> None:
        self._csv = kind == "csv"
        self._limit, self._loads = limit, loads
        self._number, self._end = number, end
        self._names: list[str] = []
        self._comma = ","
        self._held = bytearray()
        self._seen, self._quoted, self._given_up = 0, False, False

    def names_are(self, line: bytes) -> None:
        """Take the line of names; raises :class:`ValueError` when it is none."""
        text = line.decode("utf-8-sig").strip("\r\n")
        self._comma = max(",;\t", key=text.count)
        names = [name.strip().lower().replace(" ", "_") for name in next(csv.reader([text], delimiter=self._comma), [])]
        if "event" not in names or len(set(names)) < len(names):
            raise ValueError("the first line must name the columns, each once: email, purpose, event, …")
        self._names = names

    def push(self, piece: bytes) -> Iterator[FileRow]:
        """The rows that are whole with this piece; raises :class:`ValueError` when the first line names no columns."""
        self._held += piece
        if self._given_up:  # the rest of a line that was too long: its fault is told already
            rest = self._held.find(b"\n") + 1
            self._given_up = not rest
            rest = rest or len(self._held)
            del self._held[:rest]
            self._end += rest
        while True:
            stop = self._whole()
            if stop < 0 and len(self._held) <= self._limit:
                return
            if stop < 0:
                # A quote that is never closed would swallow the rest of the file: only its own line is given up.
                stop = self._held.find(b"\n") + 1 or len(self._held)
                self._given_up = self._held[stop - 1] != 0x0A
            raw = bytes(self._held[:stop])
            del self._held[:stop]
            whole, self._seen, self._quoted = not self._quoted and stop <= self._limit, 0, False
            if whole:
                yield from self._row(raw)
            else:
                yield self._bad(raw, "too_long", f"more than {self._limit} bytes, or a quote that is not closed")

    def close(self) -> Iterator[FileRow]:
        """The last row, where its line end is missing."""
        raw = bytes(self._held)
        self._held.clear()
        if raw.strip():
            yield from self._row(raw)

    def _whole(self) -> int:
        """Where the first row ends; -1 while it is not whole. A quoted cell may hold line ends; each byte is looked at
        once."""
        while self._seen <= self._limit and (line := self._held.find(b"\n", self._seen) + 1):
            if self._csv and self._held.count(b'"', self._seen, line) % 2:
                self._quoted = not self._quoted
            self._seen = line
            if not self._quoted:
                return line
        return -1

    def _row(self, raw: bytes) -> Iterator[FileRow]:
        if self._csv and not self._names:
            self._end += len(raw)
            self.names_are(raw)
        elif not raw.strip():
            self._end += len(raw)
        else:
            try:
                given = self._cells(raw) if self._csv else self._loads(raw.decode("utf-8-sig"))
            except (ValueError, csv.Error, RecursionError) as error:
                code = "not_utf8" if isinstance(error, UnicodeDecodeError) else "malformed"
                yield self._bad(raw, code, str(error)[:200] if code == "malformed" else "write UTF-8")
                return
            if not isinstance(given, dict):
                yield self._bad(raw, "wrong_type", "an object a line")
                return
            self._number += 1
            self._end += len(raw)
            yield FileRow(self._number, given, None, self._end)

    def _cells(self, raw: bytes) -> dict[str, Any]:
        """A CSV row by name; an empty cell is left out."""
        cells = next(csv.reader(io.StringIO(raw.decode("utf-8"), newline=""), delimiter=self._comma, strict=True))
        if len(cells) > len(self._names):
            raise ValueError(f"{len(cells)} cells for {len(self._names)} columns")
        named = zip(self._names, map(_bare, cells), strict=False)
        return {name: cell for name, cell in named if cell.strip()}

    def _bad(self, raw: bytes, code: str, detail: str) -> FileRow:
        self._number += 1
        self._end += len(raw)
        return FileRow(self._number, None, Fault("", code, detail), self._end)


_FORMULA = tuple("'=+-@\t\r")


def guarded(cell: str) -> str:
    """A cell as CSV may hold it: one that a spreadsheet would run as a formula gets an apostrophe (OWASP)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _bare(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
