"""Sums of the reports' tallies: the only thing that reports read."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from handraiser.core.kpi_report import KIND, Arms, Asked, Happened, Question, Spent
from handraiser.store.sql import Reads

_ASKED = ("seen", "eligible", "asked", "asks", "would_have_asked", "opted_in")


async def counted_at(reads: Reads, controller_id: bytes) -> int | None:
    """When the company's customers were all counted last (ms UTC)."""
    rows = await reads.fetch(
        "SELECT counted_at FROM customer_counted WHERE controller_id = $1 AND counted_at > 0", (controller_id,)
    )
    return rows[0]["counted_at"] if rows else None


async def days(reads: Reads, controller_id: bytes, shop_id: bytes) -> tuple[int, int] | None:
    """The first and the last day under which customers of the shop are counted."""
    rows = await reads.fetch(
        "SELECT MIN(day) AS first, MAX(day) AS last FROM opt_in_tally"
        " WHERE controller_id = $1 AND shop_id = $2 AND dimension = 'all'",
        (controller_id, shop_id),
    )
    return None if rows[0]["first"] is None else (rows[0]["first"], rows[0]["last"])


async def first_ask(reads: Reads, controller_id: bytes, shop_id: bytes) -> int | None:
    """The day of the shop's first ask."""
    rows = await reads.fetch(
        "SELECT MIN(day) AS first FROM opt_in_tally"
        " WHERE controller_id = $1 AND shop_id = $2 AND dimension = 'all' AND asked > 0",
        (controller_id, shop_id),
    )
    first: int | None = rows[0]["first"]
    return first


async def opt_ins(
    reads: Reads,
    controller_id: bytes,
    shop_id: bytes,
    question: Question,
    spans: Sequence[tuple[str, int, int]],
    today: int,
) -> list[tuple[str, str, str, Asked]]:
    """(span, value, customer kind, sums) of a dimension; the kind is "" where nobody asked for it.

    A yes is so many days old once that many whole days have passed before ``today``.
    """
    kind = KIND if question.by_kind else "''"
    sums = [f"SUM({name})" for name in _ASKED]
    for age in (30, 90):
        old = f"CASE WHEN t.day + t.lag + {age} < $4"
        sums += [f"SUM({old} THEN opted_in ELSE 0 END)", f"SUM({old} THEN left_{age} ELSE 0 END)"]
    rows = await reads.fetch_rows(
        f"WITH {{rows}} SELECT v.span, t.value, {kind} AS kind, {', '.join(f'CAST({one} AS BIGINT)' for one in sums)}"
        " FROM v JOIN opt_in_tally t ON t.controller_id = $1 AND t.shop_id = $2 AND t.dimension = $3"
        " AND t.day BETWEEN v.first AND v.last GROUP BY 1, 2, 3 HAVING SUM(t.seen) > 0 ORDER BY 1, 2, 3",
        "span text, first int, last int",
        spans,
        (controller_id, shop_id, question.dimension, today),
    )
    return [(span, value, customer_kind, Asked(*counts)) for span, value, customer_kind, *counts in rows]


async def happened(reads: Reads, controller_id: bytes, shop_id: bytes, first: int, last: int) -> Happened:
    """What happened in a shop, or (the company's own id) in the company, in a span of days."""
    sums = ", ".join(f"CAST(COALESCE(SUM({name}), 0) AS BIGINT)" for name in Happened._fields)
    rows = await reads.fetch(
        f"SELECT {sums} FROM day_tally WHERE controller_id = $1 AND shop_id = $2 AND day BETWEEN $3 AND $4",
        (controller_id, shop_id, first, last),
    )
    return Happened(*rows[0])


async def spent(reads: Reads, controller_id: bytes, shop_id: bytes, first: int, last: int) -> list[Spent]:
    """What customers bought who were first asked, or first exposed, in a span of days."""
    key = "experiment_id, weights_version, arm, currency, other"
    sums = ", ".join(f"CAST(SUM({name}) AS BIGINT)" for name in Spent._fields[5:])
    rows = await reads.fetch(
        f"SELECT {key}, {sums} FROM lifetime_tally WHERE controller_id = $1 AND shop_id = $2"
        f" AND day BETWEEN $3 AND $4 GROUP BY {key} ORDER BY {key}",
        (controller_id, shop_id, first, last),
    )
    return [Spent(*row) for row in rows]


async def experiments(reads: Reads, controller_id: bytes) -> dict[bytes, Arms]:
    """The company's experiments, the oldest first."""
    rows = await reads.fetch(
        "SELECT experiment_id, key, kind, settings FROM experiment WHERE controller_id = $1 ORDER BY created_at, key",
        (controller_id,),
    )
    return {
        row["experiment_id"]: Arms(
            row["key"], row["kind"], tuple(arm["key"] for arm in orjson.loads(row["settings"])["arms"])
        )
        for row in rows
    }
