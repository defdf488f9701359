"""Experiments whose exposures and ledger entries are written straight into the store, for tests of the counting."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from handraiser.core.assignment import Weights
from handraiser.core.consent import Entry
from handraiser.core.experiment import Arm, Design, Experiment
from handraiser.core.ledger_head import HeadKeys
from handraiser.store import experiments, ledger, seals
from handraiser.store.database import Database
from handraiser.store.ledger import Append, Change
from rows import DAY, NOW, TENT_SHOP, TENTS, an_id

HEADS = HeadKeys([(1, b"k" * 40)])
EXPERIMENT = an_id(9_001)
OTHER = an_id(9_002)
WINDOW = 14
STATE = {"renewed": "granted"}
_EVENTS = itertools.count(500_000)

Exposed = tuple[bytes, bytes, int, int, str, str, str, str, str]
"""(experiment, subject, arm, at, customer_kind, touchpoint, purchase_type, segments, country)."""


async def an_experiment(
    database: Database,
    experiment_id: bytes = EXPERIMENT,
    *,
    purpose: str = "tips",
    at: int = NOW,
    whose: tuple[bytes, bytes] = (TENTS, TENT_SHOP),
) -> None:
    """A running test of two even arms, of a company and shop."""
    test = Experiment(
        controller_id=whose[0],
        id=experiment_id,
        shop_id=whose[1],
        kind="test",
        key=f"bold-{experiment_id.hex()}",
        name="Bold",
        state="draft",
        design=Design(purpose, (Arm("plain"), Arm("bold")), window=WINDOW),
        weights=Weights(1, (5_000, 5_000)),
        plan={"subjects": 30_000},
        created_at=at,
        started_at=at,
    )
    async with database.transaction() as tx:
        assert await experiments.put(tx, [test]) == [True]
        await experiments.start(tx, [test])


async def expose(
    database: Database, subjects: Iterable[int], experiment_id: bytes = EXPERIMENT, *, at: int = NOW, **given: str
) -> None:
    """First exposures of subjects: of arm 0 those with an even number."""
    facts = {"customer_kind": "new", "touchpoint": "email:order_confirmation", "purchase_type": "", "segments": "[]"}
    facts |= {"country": "US"} | given
    await put(database, [(experiment_id, an_id(n), n % 2, at, *facts.values()) for n in subjects])


async def put(database: Database, rows: Sequence[Exposed], whose: tuple[bytes, bytes] = (TENTS, TENT_SHOP)) -> None:
    """Exposures as they are recorded with a message."""
    facts = "customer_kind, touchpoint, purchase_type, segments, country"
    async with database.transaction() as tx:
        await tx.execute_rows(
            f"WITH {{rows}} INSERT INTO exposure (controller_id, shop_id, weights_version, experiment_id, subject_id,"
            f" message_id, arm, exposed_at, {facts}) SELECT $1, $2, 1, experiment_id, subject_id, subject_id, arm, at,"
            f" {facts} FROM v",
            "experiment_id id, subject_id id, arm int, at int, customer_kind text, touchpoint text, purchase_type text,"
            " segments text, country text",
            rows,
            whose,
        )


def an_entry(
    subject: int | bytes, event: str, at: int, *, pressed: bool = True, controller_id: bytes = TENTS, **more: Any
):
    """An entry of a subject at a moment (ms)."""
    number = next(_EVENTS)
    return Entry(
        event_id=an_id(number),
        controller_id=controller_id,
        subject_id=subject if isinstance(subject, bytes) else an_id(subject),
        event=event,
        occurred_at=at,
        received_at=at,
        recorded_at=at,
        dedup_key=number.to_bytes(32),
        method="button" if pressed else "auto",
        attestation="sec_fetch_user" if pressed else "none",
        **{"purpose": "tips"} | more,
    )


async def say(database: Database, subject: int, event: str, day: float, **more: Any) -> None:
    """One entry of a subject, ``day`` days after NOW; not sealed yet."""
    await append(database, [an_entry(subject, event, NOW + int(day * DAY), **more)])


async def append(database: Database, entries: Iterable[Entry]) -> None:
    async with database.transaction() as tx:
        await ledger.append(tx, [Append((Change(one, STATE.get(one.event, one.event)),)) for one in entries])


async def seal(database: Database, controller_id: bytes = TENTS) -> None:
    """Put what waits under signed heads."""
    waits = True
    while waits:
        async with database.transaction() as tx:
            waits = await seals.seal(tx, controller_id, NOW, 1_000, HEADS.sign) is not None


async def look_around(database: Database) -> None:
    """What PostgreSQL's autovacuum does within a minute: without it the planner knows nothing of a freshly filled
    table."""
    if database.dialect == "postgresql":
        async with database.transaction(seconds=60) as tx:
            await tx.execute("ANALYZE")
