"""Tests and holdouts as rows, their weights, and first exposures: the unit that every result counts."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import orjson

from handraiser.core.assignment import Draw, Weights
from handraiser.core.experiment import Design, Experiment, State
from handraiser.core.preference import SLUG
from handraiser.errors import Conflict
from handraiser.store import blocks
from handraiser.store.blocks import BlockRow, GoLive
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row, to_json

_WEIGHED = (
    "SELECT e.*, w.version, w.weights, w.coverage FROM experiment e LEFT JOIN experiment_weights w"
    " ON w.controller_id = e.controller_id AND w.experiment_id = e.experiment_id AND w.version = (SELECT max(x.version)"
    " FROM experiment_weights x WHERE x.controller_id = e.controller_id AND x.experiment_id = e.experiment_id)"
)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A subject's first exposure in one experiment, as far as its message does not tell it."""

    experiment_id: bytes
    draw: Draw
    purchase_type: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exposed:
    """An exposure of one subject; ``at`` in ms, ``message_id`` what it happened in."""

    controller_id: bytes
    subject_id: bytes
    exposure: Exposure
    at: int
    message_id: bytes
    shop_id: bytes
    customer_kind: str
    touchpoint: str
    country: str


@dataclass(frozen=True, slots=True)
class Change:
    """One step of an experiment at ``at`` (ms): its next weights, or another state."""

    controller_id: bytes
    experiment_id: bytes
    at: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Weighing(Change):
    """New weights for a running experiment; ``weights.version`` is the version they follow, plus one."""

    weights: Weights | None = None


@dataclass(frozen=True, slots=True)
class Shipping(Change):
    """The arm that is shown from now on: a block version that is new (``row``) or there (``live``), and which blocks
    go."""

    arm: int = 0
    row: BlockRow | None = None
    live: GoLive | None = None
    off: tuple[bytes, ...] = ()


async def of_company(reads: Reads, controller_id: bytes) -> list[Experiment]:
    """Every test and holdout of a company, the oldest first."""
    rows = await reads.fetch(f"{_WEIGHED} WHERE e.controller_id = $1 ORDER BY e.experiment_id", (controller_id,))
    return [_experiment(row) for row in rows]


async def running(reads: Reads, controller_id: bytes) -> list[Experiment]:
    """The running ones."""
    rows = await reads.fetch(
        f"{_WEIGHED} WHERE e.controller_id = $1 AND e.state = 'running' ORDER BY e.experiment_id", (controller_id,)
    )
    return [_experiment(row) for row in rows]


async def find(reads: Reads, controller_id: bytes, name: str) -> Experiment | None:
    """An experiment by its key or its id."""
    try:
        experiment_id = uuid.UUID(name).bytes
    except ValueError:
        if not SLUG.fullmatch(name):
            return None
        experiment_id = bytes(16)
    rows = await reads.fetch(
        f"{_WEIGHED} WHERE e.controller_id = $1 AND (e.key = $2 OR e.experiment_id = $3)",
        (controller_id, name, experiment_id),
    )
    return _experiment(rows[0]) if rows else None


async def weights_of(reads: Reads, controller_id: bytes, experiment_id: bytes) -> list[tuple[Weights, int]]:
    """Every version of an experiment's weights and since when (ms) it counts, the oldest first."""
    rows = await reads.fetch(
        "SELECT version, weights, coverage, since FROM experiment_weights"
        " WHERE controller_id = $1 AND experiment_id = $2 ORDER BY version",
        (controller_id, experiment_id),
    )
    return [(_weights(row), row["since"]) for row in rows]


async def put(tx: Transaction, rows: Sequence[Experiment]) -> list[bool]:
    """Keep drafts, over an earlier draft of the same key; False where the key belongs to one that has started."""
    kept = []
    for one in rows:
        await blocks.take_turns(tx, {one.controller_id})
        made = await tx.fetch(
            "INSERT INTO experiment (controller_id, experiment_id, shop_id, kind, key, name, state, purpose, settings,"
            " created_at, created_by, started_at) VALUES ($1, $2, $3, $4, $5, $6, 'draft', $7, $8, $9, $10, NULL)"
            " ON CONFLICT (controller_id, key) DO UPDATE SET shop_id = excluded.shop_id, name = excluded.name,"
            " purpose = excluded.purpose, settings = excluded.settings"
            " WHERE experiment.state = 'draft' RETURNING key",
            (
                one.controller_id,
                one.id,
                one.shop_id,
                one.kind,
                one.key,
                one.name,
                one.design.purpose,
                to_json(_settings(one)),
                one.created_at,
                one.created_by,
            ),
        )
        kept.append(bool(made))
    return kept


async def start(tx: Transaction, rows: Sequence[Experiment]) -> list[None]:
    """Run drafts from ``started_at`` on, with their weights as the first version (a holdout that was stopped: as the
    next).

    Raises :class:`Conflict` for what has started, for a pinned version that is not the live one of its block any more,
    and for a block that another running test of the same customers pins.
    """
    for one in rows:
        await blocks.take_turns(tx, {one.controller_id})
        await _check_pins(tx, one)
        before = await tx.fetch(
            "UPDATE experiment SET state = 'running', started_at = COALESCE(started_at, $3), stopped_at = NULL"
            " WHERE controller_id = $1 AND experiment_id = $2 AND (state = 'draft' OR kind = 'holdout')"
            " RETURNING state",
            (one.controller_id, one.id, one.started_at),
        )
        if not before:
            raise Conflict(f"the test {one.key} has started already")
        await _weigh(tx, one.controller_id, one.id, one.weights, one.started_at or 0, one.created_by)
        await blocks.raise_revision(tx, one.controller_id)
    return [None] * len(rows)


async def weigh(tx: Transaction, rows: Sequence[Weighing]) -> list[None]:
    """The next weights of running experiments; raises :class:`Conflict` when others weighed first, or none runs."""
    for row in rows:
        await blocks.take_turns(tx, {row.controller_id})
        assert row.weights is not None
        at = await tx.fetch(
            "SELECT e.key, max(w.version) AS version FROM experiment e JOIN experiment_weights w"
            " ON w.controller_id = e.controller_id AND w.experiment_id = e.experiment_id"
            " WHERE e.controller_id = $1 AND e.experiment_id = $2 AND e.state = 'running' GROUP BY e.key",
            (row.controller_id, row.experiment_id),
        )
        if not at:
            raise Conflict("only a running test has weights that can be changed")
        if at[0]["version"] != row.weights.version - 1:
            raise Conflict("others changed the weights at the same moment; look, and try again")
        await _weigh(tx, row.controller_id, row.experiment_id, row.weights, row.at, row.by)
        await blocks.raise_revision(tx, row.controller_id)
    return [None] * len(rows)


async def stop(tx: Transaction, rows: Sequence[Change]) -> list[None]:
    """End running experiments; raises :class:`Conflict` when one is not running."""
    for row in rows:
        await blocks.take_turns(tx, {row.controller_id})
        await _move(tx, row, "running", "stopped", "stopped_at = $5", row.at)
        await blocks.raise_revision(tx, row.controller_id)
    return [None] * len(rows)


async def ship(tx: Transaction, rows: Sequence[Shipping]) -> list[None]:
    """Show one arm of a stopped test from now on, and nothing of the others; raises :class:`Conflict` when it is not
    stopped, or a version that was to be new is there."""
    for row in rows:
        await blocks.take_turns(tx, {row.controller_id})
        await _move(tx, row, "stopped", "shipped", "shipped_arm = $5", row.arm)
        if row.row is not None and not (await blocks.put_versions(tx, [row.row]))[0]:
            raise Conflict("the block was changed at the same moment; look, and try again")
        if row.live is not None:
            await blocks.go_live(tx, [row.live])
        await blocks.go_live(tx, [GoLive(row.controller_id, block_id, None) for block_id in row.off])
    return [None] * len(rows)


async def stored(reads: Reads, subjects: Iterable[tuple[bytes, bytes]]) -> dict[tuple[bytes, bytes, bytes], int]:
    """The arms of subjects (controller_id, subject_id) by (controller_id, subject_id, experiment_id)."""
    rows = await reads.fetch_rows(
        "WITH {rows} SELECT e.controller_id, e.subject_id, e.experiment_id, e.arm FROM v JOIN exposure e"
        " ON e.controller_id = v.controller_id AND e.subject_id = v.subject_id",
        "controller_id id, subject_id id",
        sorted(set(subjects)),
    )
    return {(row["controller_id"], row["subject_id"], row["experiment_id"]): row["arm"] for row in rows}


async def expose(tx: Transaction, rows: Collection[Exposed]) -> None:
    """Keep first exposures; one that is there already stays."""
    columns = (
        "controller_id id, subject_id id, experiment_id id, arm small, weights_version int, exposed_at int,"
        " message_id id, shop_id id, customer_kind text, touchpoint text, purchase_type text, segments text,"
        " country text"
    )
    names = ", ".join(part.split()[0] for part in columns.split(","))
    first = {(row.controller_id, row.subject_id, row.exposure.experiment_id): row for row in reversed(list(rows))}
    await tx.execute_rows(
        f"WITH {{rows}} INSERT INTO exposure ({names}) SELECT {names} FROM v WHERE true ON CONFLICT DO NOTHING",
        columns,
        [
            (
                *key,
                row.exposure.draw.arm,
                row.exposure.draw.weights_version,
                row.at,
                row.message_id,
                row.shop_id,
                row.customer_kind,
                row.touchpoint,
                row.exposure.purchase_type,
                to_json(row.exposure.segments),
                row.country,
            )
            for key, row in sorted(first.items(), key=lambda item: item[0])
        ],
    )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Subjects seen since ``first`` (ms), and how many of them said yes to a purpose after their first message."""

    subjects: int
    first: int
    granted: int


async def traffic(
    reads: Reads,
    controller_id: bytes,
    shop_id: bytes | None,
    touchpoints: Collection[str],
    purpose: str,
    since: int,
    limit: int = 100_000,
) -> Traffic:
    """Who came since a moment (ms) to these touchpoints (none named: to all) of a shop, or of all shops; of very many
    messages the newest ``limit`` tell."""
    rows = await reads.fetch_rows(
        "WITH {rows}, m(subject_id, first) AS (SELECT n.subject_id, min(n.sent_at) FROM ("
        "SELECT subject_id, sent_at, touchpoint FROM message WHERE controller_id = $1 AND message_id >= $2"
        f" AND test = 0{' AND shop_id = $5' if shop_id else ''} ORDER BY message_id DESC LIMIT $3) n"
        " WHERE EXISTS (SELECT 1 FROM v WHERE v.touchpoint IN ('', n.touchpoint)) GROUP BY n.subject_id)"
        " SELECT count(*) AS subjects, min(m.first) AS first, COALESCE(sum(CASE WHEN EXISTS (SELECT 1 FROM standing s"
        " WHERE s.controller_id = $1 AND s.subject_id = m.subject_id AND s.purpose = $4 AND s.channel = 'email'"
        " AND s.state = 'granted' AND s.since >= m.first) THEN 1 ELSE 0 END), 0) AS granted FROM m",
        "touchpoint text",
        [(one,) for one in touchpoints] or [("",)],
        (controller_id, (since << 80).to_bytes(16), limit, purpose, *([shop_id] if shop_id else [])),
    )
    return Traffic(rows[0]["subjects"], rows[0]["first"] or since, rows[0]["granted"])


async def _check_pins(tx: Transaction, starting: Experiment) -> None:
    slugs = {arm.block for arm in starting.design.arms}
    for one in await running(tx, starting.controller_id):
        shared = slugs & {arm.block for arm in one.design.arms if arm.block}
        if shared and (None in (one.shop_id, starting.shop_id) or one.shop_id == starting.shop_id):
            raise Conflict(f"the running test {one.key} holds {', '.join(sorted(map(str, shared)))}: stop it first")
    live = {
        row["slug"]: row["live_version"]
        for row in await tx.fetch(
            "SELECT slug, live_version FROM block WHERE controller_id = $1 AND live_version IS NOT NULL",
            (starting.controller_id,),
        )
    }
    for arm in starting.design.arms:
        if arm.block and live.get(arm.block, arm.version) != arm.version:
            raise Conflict(f"{arm.block} has another live version by now: put the draft again to pin that")


async def _move(tx: Transaction, row: Change, before: State, state: State, also: str, value: int) -> None:
    moved = await tx.fetch(
        f"UPDATE experiment SET state = $3, {also} WHERE controller_id = $1 AND experiment_id = $2 AND state = $4"
        " RETURNING key",
        (row.controller_id, row.experiment_id, state, before, value),
    )
    if not moved:
        raise Conflict(f"only a {before} test can become {state}")


async def _weigh(
    tx: Transaction, controller_id: bytes, experiment_id: bytes, weights: Weights, since: int, by: str
) -> None:
    await tx.execute(
        "INSERT INTO experiment_weights (controller_id, experiment_id, version, coverage, weights, since, created_by)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        (controller_id, experiment_id, weights.version, weights.coverage, to_json(weights.parts), since, by),
    )


def _settings(one: Experiment) -> dict[str, object]:
    """What is kept as JSON: the design, the plan, and a draft's weights until they are a version."""
    return {
        **one.design.to_json(),
        "rate": one.plan.get("rate"),
        "plan": dict(one.plan),
        "weights": list(one.weights.parts),
        "coverage": one.weights.coverage,
    }


def _experiment(row: Row) -> Experiment:
    settings = orjson.loads(row["settings"])
    draft = Weights(1, tuple(settings["weights"]), settings["coverage"])
    return Experiment(
        controller_id=row["controller_id"],
        id=row["experiment_id"],
        shop_id=row["shop_id"],
        kind=row["kind"],
        key=row["key"],
        name=row["name"],
        state=row["state"],
        design=Design.from_json(settings),
        weights=draft if row["version"] is None else _weights(row),
        plan=settings["plan"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        started_at=row["started_at"],
        stopped_at=row["stopped_at"],
        shipped_arm=row["shipped_arm"],
    )


def _weights(row: Row) -> Weights:
    return Weights(row["version"], tuple(orjson.loads(row["weights"])), row["coverage"])
