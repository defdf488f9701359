"""Messages: what is known of a reader before an email is decided, and the one record of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

import orjson

from handraiser.core.assignment import Draw
from handraiser.core.value import dataclass
from handraiser.store.database import Transaction
from handraiser.store.sql import Reads, Row, to_json

Barred = Literal["", "objected", "withdrawn", "suppressed"]


@dataclass(frozen=True, slots=True)
class LookUp:
    """What one email wants to know. ``lookup`` is :func:`handraiser.core.mailbox.lookup` of its reader; ``experiments``
    says that its first exposures matter."""

    controller_id: bytes
    shop_id: bytes
    lookup: bytes
    external_id: str | None = None
    idempotency_key: str | None = None
    order_id: str = ""
    experiments: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One ask that was sent: when (ms), for which purpose, by which block (slug)."""

    at: int
    purpose: str
    block: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One email or page view that passed. ``decision`` holds each slot's placement and what was skipped, with reasons;
    ``request`` what reports tell its reader apart by beside the columns. "" stands for unknown."""

    id: bytes
    controller_id: bytes
    shop_id: bytes
    subject_id: bytes
    type: str
    touchpoint: str
    locale: str
    sent_at: int
    country: str = ""
    market: str = ""
    rule_version: str = ""
    customer_kind: str = ""
    order_id: str = ""
    external_id: str = ""
    test: bool = False
    decision: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replay:
    """What was kept under an Idempotency-Key."""

    message: StoredMessage
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of a reader; for a new one nothing, and version 0.

    ``orders_seen`` counts orders, not mails; ``order_known`` says that this order is one of them. ``standing`` is the
    email channel, by purpose, and ``standing_since`` when each state came to be (ms). ``barred`` says why nobody of
    this customer may be asked: this subject or another of the same customer id objected or withdrew, or the address is
    suppressed. ``paused_until`` is when its break ends (ms); ``told_at`` when the company's other systems last told
    what they know, of whomever (ms). ``drawn`` are its first exposures by experiment, where they were asked for.
    """

    subject_id: bytes | None = None
    version: int = 0
    first_seen: int | None = None
    orders_seen: int = 0
    order_known: bool = False
    asks: tuple[Ask, ...] = ()
    standing: Mapping[str, str] = field(default_factory=dict)
    standing_since: Mapping[str, int] = field(default_factory=dict)
    barred: Barred = ""
    told_at: int | None = None
    paused_until: int = 0
    replay: Replay | None = None
    drawn: Mapping[bytes, Draw] = field(default_factory=dict)


# One statement, so one snapshot: a standing newer than the version read with it could slip past the compare at commit.
_LOOK_UP = """
WITH {rows}, who(n, controller_id, subject_id, own) AS (
  SELECT v.n, s.controller_id, s.subject_id, 1 FROM v JOIN subject s
    ON s.controller_id = v.controller_id AND s.lookup = v.lookup
  UNION ALL
  SELECT v.n, h.controller_id, h.subject_id, 0 FROM v JOIN customer_history h
    ON h.controller_id = v.controller_id AND h.shop_id = v.shop_id AND h.external_id = v.external_id)
SELECT v.n, 1 AS own, s.subject_id, t.version, t.first_seen, t.orders_seen, t.asks,
  CASE WHEN EXISTS (SELECT 1 FROM orders o WHERE o.controller_id = v.controller_id AND o.shop_id = v.shop_id
    AND o.order_id = v.order_id) THEN 1 ELSE 0 END AS order_known,
  CASE WHEN EXISTS (SELECT 1 FROM suppression x WHERE x.controller_id = v.controller_id
    AND x.lookup = v.lookup) THEN 1 ELSE 0 END AS suppressed,
  (SELECT p.paused_until FROM preference p WHERE p.controller_id = s.controller_id
    AND p.subject_id = s.subject_id AND p.purpose = '*') AS paused_until,
  f.told_at, i.message_id, i.request_hash, NULL AS purpose, NULL AS state, NULL AS since
FROM v
LEFT JOIN subject s ON s.controller_id = v.controller_id AND s.lookup = v.lookup
LEFT JOIN subject_state t ON t.controller_id = s.controller_id AND t.subject_id = s.subject_id
LEFT JOIN consent_feed f ON f.controller_id = v.controller_id
LEFT JOIN idempotency i ON i.controller_id = v.controller_id AND i.shop_id = v.shop_id AND i.key = v.key
UNION ALL
SELECT who.n, who.own, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, d.purpose, d.state, d.since
FROM who JOIN standing d ON d.controller_id = who.controller_id AND d.subject_id = who.subject_id
WHERE d.channel = 'email'
"""
# Where a test runs: the experiment in the place of the subject, arm and version of the weights in that of two numbers.
_EXPERIMENTING = f"""{_LOOK_UP}UNION ALL
SELECT v.n, 0, e.experiment_id, e.arm, NULL, e.weights_version, NULL, 0, 0, NULL, NULL, NULL, NULL, '', NULL, NULL
FROM v JOIN subject s ON s.controller_id = v.controller_id AND s.lookup = v.lookup
JOIN exposure e ON e.controller_id = s.controller_id AND e.subject_id = s.subject_id
"""


async def look_up(tx: Reads, keys: Sequence[LookUp]) -> list[Known]:
    """Everything known for each key, in one statement (two when something is replayed)."""
    rows = await tx.fetch_rows(
        _EXPERIMENTING if any(key.experiments for key in keys) else _LOOK_UP,
        "n int, controller_id id, shop_id id, lookup bytes, external_id text, key text, order_id text",
        [
            (n, k.controller_id, k.shop_id, k.lookup, k.external_id or None, k.idempotency_key, k.order_id)
            for n, k in enumerate(keys)
        ],
    )
    heads: list[Row | None] = [None] * len(keys)
    standings: list[dict[str, tuple[str, int]]] = [{} for _ in keys]
    states: list[set[str]] = [set() for _ in keys]
    draws: list[dict[bytes, Draw]] = [{} for _ in keys]
    for row in rows:
        n = row["n"]
        if row["purpose"] == "":
            draws[n][row["subject_id"]] = Draw(row["version"], row["orders_seen"])
            continue
        if row["purpose"] is None:
            heads[n] = row
            continue
        states[n].add(row["state"])
        if row["own"]:
            standings[n][row["purpose"]] = (row["state"], row["since"])
    replays = await _replays(tx, keys, heads)
    return [
        _known(head, standing, state, replay, drawn)
        for head, standing, state, replay, drawn in zip(heads, standings, states, replays, draws, strict=True)
    ]


def _known(
    head: Row | None,
    standing: dict[str, tuple[str, int]],
    states: set[str],
    replay: Replay | None,
    drawn: dict[bytes, Draw],
) -> Known:
    assert head is not None, "every key has its row"
    barred: Barred = ""
    if "objected" in states:
        barred = "objected"
    elif "withdrawn" in states:
        barred = "withdrawn"
    elif head["suppressed"]:
        barred = "suppressed"
    return Known(
        subject_id=head["subject_id"],
        version=head["version"] or 0,
        first_seen=head["first_seen"],
        orders_seen=head["orders_seen"] or 0,
        order_known=bool(head["order_known"]),
        asks=read_asks(head["asks"]),
        standing={purpose: state for purpose, (state, _) in standing.items()},
        standing_since={purpose: since for purpose, (_, since) in standing.items()},
        barred=barred,
        told_at=head["told_at"],
        paused_until=head["paused_until"] or 0,
        replay=replay,
        drawn=drawn,
    )


async def _replays(tx: Reads, keys: Sequence[LookUp], heads: Sequence[Row | None]) -> list[Replay | None]:
    wanted = [(n, head) for n, head in enumerate(heads) if head is not None and head["message_id"] is not None]
    found = await get(tx, [(keys[n].controller_id, head["message_id"]) for n, head in wanted])
    replays: list[Replay | None] = [None] * len(keys)
    for (n, head), message in zip(wanted, found, strict=True):
        if message is not None:
            replays[n] = Replay(message, head["request_hash"])
    return replays


def read_asks(text: str | None) -> tuple[Ask, ...]:
    """The recent asks of a ``subject_state`` row."""
    return tuple(Ask(*ask) for ask in orjson.loads(text)) if text and text != "[]" else ()


COLUMNS = (
    "controller_id id, message_id id, shop_id id, subject_id id, type text, touchpoint text, locale text, country text,"
    " market text, rule_version text, customer_kind text, order_id text, external_id text, test small, sent_at int,"
    " decision text, request text"
)
NAMES = ", ".join(part.split()[0] for part in COLUMNS.split(","))


def to_row(message: StoredMessage, subject_id: bytes) -> tuple[Any, ...]:
    """A message as a row of ``COLUMNS``."""
    return (
        message.controller_id,
        message.id,
        message.shop_id,
        subject_id,
        message.type,
        message.touchpoint,
        message.locale,
        message.country,
        message.market,
        message.rule_version,
        message.customer_kind,
        message.order_id,
        message.external_id,
        int(message.test),
        message.sent_at,
        to_json(message.decision),
        to_json(message.request),
    )


def from_row(row: Row) -> StoredMessage:
    """A message from a row of ``NAMES``."""
    return StoredMessage(
        id=row["message_id"],
        controller_id=row["controller_id"],
        shop_id=row["shop_id"],
        subject_id=row["subject_id"],
        type=row["type"],
        touchpoint=row["touchpoint"],
        locale=row["locale"],
        sent_at=row["sent_at"],
        country=row["country"],
        market=row["market"],
        rule_version=row["rule_version"],
        customer_kind=row["customer_kind"],
        order_id=row["order_id"],
        external_id=row["external_id"],
        test=bool(row["test"]),
        decision=orjson.loads(row["decision"]),
        request=orjson.loads(row["request"]),
    )


async def insert(tx: Transaction, rows: Sequence[tuple[StoredMessage, bytes]]) -> None:
    """Keep new messages, each with the subject it hangs on."""
    await tx.execute_rows(
        f"WITH {{rows}} INSERT INTO message ({NAMES}) SELECT {NAMES} FROM v",
        COLUMNS,
        [to_row(message, subject_id) for message, subject_id in rows],
    )


async def get(tx: Reads, keys: Sequence[tuple[bytes, bytes]]) -> list[StoredMessage | None]:
    """Messages by (controller_id, message_id), in the order asked for."""
    names = ", ".join(f"m.{name}" for name in NAMES.split(", "))
    rows = await tx.fetch_rows(
        f"WITH {{rows}} SELECT v.n, {names} FROM v JOIN message m"
        " ON m.controller_id = v.controller_id AND m.message_id = v.message_id",
        "n int, controller_id id, message_id id",
        [(n, *key) for n, key in enumerate(keys)],
    )
    found: list[StoredMessage | None] = [None] * len(keys)
    for row in rows:
        found[row["n"]] = from_row(row)
    return found


async def by_order(
    reads: Reads, controller_id: bytes, shop_id: bytes, order_id: str, limit: int = 100
) -> list[StoredMessage]:
    """The messages of one order, newest first."""
    rows = await reads.fetch(
        f"SELECT {NAMES} FROM message WHERE controller_id = $1 AND shop_id = $2 AND order_id = $3"
        " ORDER BY message_id DESC LIMIT $4",
        (controller_id, shop_id, order_id, limit),
    )
    return [from_row(row) for row in rows]


async def by_subject(reads: Reads, controller_id: bytes, subject_id: bytes, limit: int = 100) -> list[StoredMessage]:
    """The messages to one subject, newest first."""
    rows = await reads.fetch(
        f"SELECT {NAMES} FROM message WHERE controller_id = $1 AND subject_id = $2 ORDER BY message_id DESC LIMIT $3",
        (controller_id, subject_id, limit),
    )
    return [from_row(row) for row in rows]


async def recent(reads: Reads, controller_id: bytes, shop_id: bytes, limit: int = 50) -> list[StoredMessage]:
    """The newest messages of one shop."""
    rows = await reads.fetch(
        f"SELECT {NAMES} FROM message WHERE controller_id = $1 AND shop_id = $2 ORDER BY message_id DESC LIMIT $3",
        (controller_id, shop_id, limit),
    )
    return [from_row(row) for row in rows]
