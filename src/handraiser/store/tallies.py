"""Tallies: what experiments add up to, by day of first exposure, lag and one dimension. Reports read nothing else.

At every commit the tallies are the sum over the exposures that do not wait any more, each with the outcome that is kept
beside it; and outcomes are read from the ledger's entries before the cursor, in the order they were sealed in, and from
the scores that are marked as counted. So what commits out of order, comes twice or is cut off by a kill cannot make
them differ from a recount.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import orjson

from handraiser.core.outcome import DAY_MS, EVENTS, Outcome, Said, outcome
from handraiser.store import feedback
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row

DIMENSIONS = ("customer_kind", "touchpoint", "purchase_type", "country")
SEGMENT = "segment"
"""What customers are told apart by, as they were at their first exposure; they may be in several segments."""

ALL = "all"
"""The dimension that holds everybody, once."""

CHUNK = 1_000
"""Rows of one statement: SQLite takes some 32,000 values."""

_KEY = "controller_id, experiment_id, shop_id, dimension, value, weights_version, arm, day, lag"
_COUNTS = ("exposed", "converted", "withdrawn", "objected", "not_me", "scored", "unhappy")
_DECLARED = (
    "controller_id id, experiment_id id, shop_id id, dimension text, value text, weights_version int, arm int,"
    f" day int, lag int, {', '.join(f'{name} int' for name in _COUNTS)}"
)
_EXPOSED = (
    "SELECT e.*, x.purpose, x.settings FROM exposure e JOIN experiment x"
    " ON x.controller_id = e.controller_id AND x.experiment_id = e.experiment_id"
)
_NAMES = ("controller_id", "subject_id", "experiment_id")
_WHICH = ", ".join(f"{name} id" for name in _NAMES)
_SAME = " AND ".join(f"v.{name} = e.{name}" for name in _NAMES)
_NOTED = ", ".join(f"'{event}'" for event in EVENTS)

T = TypeVar("T")

Deltas = Counter[tuple[tuple[bytes | str | int, ...], str]]
"""What a change of outcomes adds to the tallies: by (key, count)."""


class Counted(NamedTuple):
    """One exposure with what came of it: what it was counted as (None: not yet), and what it is now."""

    exposure: Row
    before: Outcome | None
    now: Outcome


async def companies(reads: Reads) -> list[bytes]:
    """The companies that have experiments which were started."""
    rows = await reads.fetch(
        "SELECT DISTINCT controller_id FROM experiment WHERE started_at IS NOT NULL ORDER BY controller_id"
    )
    return [row["controller_id"] for row in rows]


async def catch_up(tx: Transaction, controller_id: bytes, limit: int) -> int:
    """Count up to ``limit`` new exposures, and again those whose subjects the next ``limit`` sealed entries are of.

    Returns how many rows that were; 0 when the tallies are up to date. Only one at a time may do this.
    """
    start, end, subjects = await _next_entries(tx, controller_id, limit)
    scored = await feedback.begin_counting(tx, controller_id, limit)
    found = await tx.fetch(
        f"SELECT {', '.join(_NAMES)} FROM exposure_waiting WHERE controller_id = $1"
        " ORDER BY experiment_id, subject_id LIMIT $2",
        (controller_id, limit),
    )
    waiting = [tuple(row) for row in found]
    exposures = await tx.fetch_rows(
        f"WITH {{rows}} {_EXPOSED} JOIN v ON {_SAME}",
        _WHICH,
        waiting,
    )
    exposures += await tx.fetch_rows(
        f"WITH {{rows}} {_EXPOSED} JOIN v ON v.controller_id = e.controller_id AND v.subject_id = e.subject_id"
        " WHERE e.counted IS NOT NULL",
        "controller_id id, subject_id id",
        [(controller_id, one) for one in sorted(subjects | {*scored})],
    )
    changed = [one for one in await read(tx, exposures, end) if one.before != one.now]
    await _add(tx, _deltas(changed))
    for some in _chunks(changed):
        await tx.execute_rows(
            f"WITH {{rows}} UPDATE exposure AS e SET counted = v.counted FROM v WHERE {_SAME}",
            f"{_WHICH}, counted text",
            [(*(one.exposure[name] for name in _NAMES), one.now.packed) for one in some],
        )
    await tx.execute_rows(
        "WITH {rows} DELETE FROM exposure_waiting WHERE (controller_id, subject_id, experiment_id)"
        " IN (SELECT controller_id, subject_id, experiment_id FROM v)",
        _WHICH,
        waiting,
    )
    await _outdate(tx, controller_id, {one.exposure["experiment_id"] for one in changed})
    if end > start:
        await tx.execute("UPDATE tally_cursor SET leaf_index = $2 WHERE controller_id = $1", (controller_id, end))
    return len(exposures) + len(scored) + end - start


async def _next_entries(tx: Transaction, controller_id: bytes, limit: int) -> tuple[int, int, set[bytes]]:
    """Where the cursor stands, where it goes, and the subjects of the entries in between that matter.

    A company's first cursor stands after all that is sealed: no exposure has been counted before it.
    """
    await tx.execute(
        "INSERT INTO tally_cursor (controller_id, leaf_index) SELECT $1, COALESCE(MAX(leaf_index) + 1, 0)"
        " FROM ledger_leaf WHERE controller_id = $1 ON CONFLICT DO NOTHING",
        (controller_id,),
    )
    start = await cursor(tx, controller_id)
    rows = await tx.fetch(
        "SELECT l.leaf_index, c.subject_id, c.event FROM ledger_leaf l LEFT JOIN consent_entry c"
        " ON c.controller_id = l.controller_id AND c.seq = l.seq"
        " WHERE l.controller_id = $1 AND l.leaf_index >= $2 ORDER BY l.leaf_index LIMIT $3",
        (controller_id, start, limit),
    )
    end = rows[-1]["leaf_index"] + 1 if rows else start
    return start, end, {row["subject_id"] for row in rows if row["event"] in EVENTS}


async def cursor(reads: Reads, controller_id: bytes) -> int:
    """How many of a company's sealed entries the tallies know."""
    rows = await reads.fetch("SELECT leaf_index FROM tally_cursor WHERE controller_id = $1", (controller_id,))
    return rows[0]["leaf_index"] if rows else 0


async def read(reads: Reads, exposures: Sequence[Row], size: int) -> list[Counted]:
    """What came of exposures of one company, by its first ``size`` sealed entries."""
    said: dict[bytes, list[Said]] = defaultdict(list)
    scores: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for whose in _chunks(sorted({(one["controller_id"], one["subject_id"]) for one in exposures})):
        rows = await reads.fetch_rows(
            "WITH {rows} SELECT c.subject_id, c.purpose, c.event, c.occurred_at, c.method, c.attestation, c.actor"
            " FROM v JOIN consent_entry c ON c.controller_id = v.controller_id AND c.subject_id = v.subject_id"
            f" WHERE c.event IN ({_NOTED}) AND (SELECT l.leaf_index FROM ledger_leaf l"
            " WHERE l.controller_id = c.controller_id AND l.seq = c.seq) < $1 ORDER BY c.subject_id, c.seq",
            "controller_id id, subject_id id",
            whose,
            (size,),
        )
        for subject_id, *rest in rows:
            said[subject_id].append(Said(*rest))
        for row in await reads.fetch_rows(
            "WITH {rows} SELECT f.subject_id, f.occurred_at, f.score FROM v JOIN feedback f"
            " ON f.controller_id = v.controller_id AND f.subject_id = v.subject_id WHERE f.counted = 1",
            "controller_id id, subject_id id",
            whose,
        ):
            scores[row["subject_id"]].append((row["occurred_at"], row["score"]))
    windows = {one["experiment_id"]: orjson.loads(one["settings"]).get("window", 0) for one in exposures}
    return [
        Counted(
            one,
            None if one["counted"] is None else Outcome.unpacked(one["counted"]),
            outcome(
                one["exposed_at"],
                one["purpose"],
                windows[one["experiment_id"]],
                said[one["subject_id"]],
                scores[one["subject_id"]],
            ),
        )
        for one in exposures
    ]


def _deltas(changed: Iterable[Counted]) -> Deltas:
    """What takes the tallies from what these exposures were counted as to what they are."""
    deltas: Deltas = Counter()
    for exposure, before, now in changed:
        if before is None:
            _put(deltas, exposure, "exposed", 0, 1)
        for name, was, lag in zip(_COUNTS[1:], before or Outcome(), now, strict=True):
            if was != lag:
                _put(deltas, exposure, name, was, -1)
                _put(deltas, exposure, name, lag, 1)
    return deltas


def _put(deltas: Deltas, exposure: Row, name: str, lag: int | None, by: int) -> None:
    if lag is None:
        return
    place = exposure["controller_id"], exposure["experiment_id"], exposure["shop_id"]
    when = exposure["weights_version"], exposure["arm"], exposure["exposed_at"] // DAY_MS, lag
    told = [(ALL, ""), *((dimension, exposure[dimension]) for dimension in DIMENSIONS if exposure[dimension])]
    for dimension, value in [*told, *((SEGMENT, one) for one in orjson.loads(exposure["segments"]))]:
        deltas[(*place, dimension, value, *when), name] += by


def _chunks(rows: list[T]) -> Iterator[list[T]]:
    return (rows[n : n + CHUNK] for n in range(0, len(rows), CHUNK))


def rows_of(deltas: Deltas) -> list[tuple[bytes | str | int, ...]]:
    """The deltas as rows of ``tally``, in the order of its key; what adds up to nothing is left out."""
    by_key: dict[tuple[bytes | str | int, ...], dict[str, int]] = defaultdict(dict)
    for (key, name), by in deltas.items():
        if by:
            by_key[key][name] = by
    return [(*key, *(counts.get(name, 0) for name in _COUNTS)) for key, counts in sorted(by_key.items())]


async def _add(tx: Transaction, deltas: Deltas) -> None:
    names = f"{_KEY}, {', '.join(_COUNTS)}"
    for some in _chunks(rows_of(deltas)):
        await tx.execute_rows(
            f"WITH {{rows}} INSERT INTO tally ({names}) SELECT {names} FROM v WHERE true ON CONFLICT ({_KEY})"
            f" DO UPDATE SET {', '.join(f'{one} = tally.{one} + excluded.{one}' for one in _COUNTS)}",
            _DECLARED,
            some,
        )


async def _outdate(tx: Transaction, controller_id: bytes, experiments: Iterable[bytes]) -> None:
    """The results of these experiments are to be computed anew."""
    await tx.execute_rows(
        "WITH {rows} INSERT INTO results (controller_id, experiment_id, tallied, computed, computed_at, content)"
        " SELECT $1, v.experiment_id, 1, 0, 0, '' FROM v WHERE true"
        " ON CONFLICT (controller_id, experiment_id) DO UPDATE SET tallied = results.tallied + 1",
        "experiment_id id",
        [(one,) for one in sorted(experiments)],
        (controller_id,),
    )


async def forget(tx: Transaction, controller_id: bytes, experiment_id: bytes) -> None:
    """Take an experiment's tallies away and let :func:`catch_up` count its exposures from the first on."""
    names, which = ", ".join(_NAMES), "WHERE controller_id = $1 AND experiment_id = $2"
    for statement in (
        f"DELETE FROM tally {which}",
        f"UPDATE exposure SET counted = NULL {which}",
        f"INSERT INTO exposure_waiting ({names}) SELECT {names} FROM exposure {which} ON CONFLICT DO NOTHING",
    ):
        await tx.execute(statement, (controller_id, experiment_id))
    await _outdate(tx, controller_id, [experiment_id])


async def pages(reads: Reads, controller_id: bytes, experiment_id: bytes) -> AsyncIterator[list[Row]]:
    """The counted exposures of an experiment, a page at a time."""
    after: tuple[int, bytes] = (0, bytes(16))
    while page := await reads.fetch(
        f"{_EXPOSED} WHERE e.controller_id = $1 AND e.experiment_id = $2 AND e.counted IS NOT NULL"
        " AND (e.exposed_at, e.subject_id) > ($3, $4) ORDER BY e.exposed_at, e.subject_id LIMIT $5",
        (controller_id, experiment_id, *after, CHUNK),
    ):
        yield page
        after = page[-1]["exposed_at"], page[-1]["subject_id"]


async def recounted(reads: Reads, controller_id: bytes, experiment_id: bytes) -> tuple[int, set[tuple[object, ...]]]:
    """How many exposures have been counted, and the rows that the tallies should hold by their raw rows."""
    size = await cursor(reads, controller_id)
    exposures = 0
    deltas: Deltas = Counter()
    async for page in pages(reads, controller_id, experiment_id):
        exposures += len(page)
        deltas.update(_deltas(Counted(one.exposure, None, one.now) for one in await read(reads, page, size)))
    return exposures, set(rows_of(deltas))


async def kept(reads: Reads, controller_id: bytes, experiment_id: bytes) -> set[tuple[object, ...]]:
    """The rows that the tallies hold, but for those that have come to nothing."""
    rows = await reads.fetch(
        f"SELECT {_KEY}, {', '.join(_COUNTS)} FROM tally WHERE controller_id = $1 AND experiment_id = $2",
        (controller_id, experiment_id),
    )
    return {tuple(row) for row in rows if any(row[name] for name in _COUNTS)}


async def by_day(reads: Reads, controller_id: bytes, experiment_id: bytes) -> list[tuple[str | int, ...]]:
    """(dimension, value, weights_version, arm, day, exposed, converted, withdrawn, objected, not_me, scored, unhappy),
    all shops and lags added up."""
    key = "dimension, value, weights_version, arm, day"
    sums = ", ".join(f"CAST(SUM({name}) AS BIGINT) AS {name}" for name in _COUNTS)
    rows = await reads.fetch(
        f"SELECT {key}, {sums} FROM tally WHERE controller_id = $1 AND experiment_id = $2"
        f" GROUP BY {key} ORDER BY {key}",
        (controller_id, experiment_id),
    )
    return [tuple(row) for row in rows]
