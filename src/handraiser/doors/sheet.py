"""Answers as CSV (RFC 4180), for those who open them in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

from aiohttp import web

from handraiser.core.import_file import guarded

CSV = "text/csv"

Rows = list[dict[str, Any]]


def wants_csv(request: web.Request) -> bool:
    """Whether the client asks for a table."""
    return CSV in request.headers.get("Accept", "")


def sheet(rows: Rows) -> web.Response:
    """Rows of the same names, under a line of them; no text can become a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return web.Response(text=out.getvalue(), content_type=CSV, charset="utf-8")


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) and not _is_number(value) else value


def _is_number(text: str) -> bool:
    """A negative amount is no formula."""
    return text.removeprefix("-").replace(".", "", 1).isdigit()
