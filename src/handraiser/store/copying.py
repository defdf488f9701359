"""An installation's rows carried over from SQLite to PostgreSQL, whose catalogue says which tables there are.

First what the target has and the source has not, or has otherwise, is taken away; then comes what the target lacks: a
name that has gone over from one row to another is free by then. So a second time costs reading, and writes what has
changed alone. Both go page by page, in the order of each table's key, and each page is its own commit: whoever is
stopped between two begins anew and loses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from handraiser.errors import StoreError
from handraiser.store import partitions
from handraiser.store.database import Database, Transaction
from handraiser.store.sql import TYPES, Reads, RowRefused

LEFT = frozenset({"schema_migration", "lease", "visit_rate"})
"""Tables of the database itself, and of this minute: the only ones that do not move."""
GROUPS = {"click": ("controller_id", "message_id")}
"""Tables without a key of their own: whose rows are compared together."""
PAGE = 500
_PAGES = {"compiled": 10}
"""Rows of a page, where they are large."""
_MARK = "copy-to"
SECONDS = 60.0

_CATALOGUE = """
SELECT c.relname::text AS name, a.attname::text AS attribute, format_type(a.atttypid, NULL) AS type,
  a.attidentity::text <> '' AS identity, array_position(i.indkey::int2[], a.attnum) AS place
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
ORDER BY c.relname, a.attnum
"""
_REFERENCES = """
SELECT c.relname::text AS name, r.relname::text AS needs FROM pg_constraint f
JOIN pg_class c ON c.oid = f.conrelid JOIN pg_class r ON r.oid = f.confrelid
WHERE f.contype = 'f' AND c.relnamespace = current_schema()::regnamespace
"""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns with their kinds, what its rows are found by, and the column that is counted up."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    unique: bool
    identity: str | None
    named: bool
    """Whether other tables refer to it, so that its rows are changed and never taken away."""

    def declared(self, names: Sequence[str]) -> str:
        kinds = dict(self.columns)
        return ", ".join(f"{name} {kinds[name]}" for name in names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)


@dataclass(slots=True)
class Copied:
    """What was done for one table: rows written new, changed, taken away, and left for the next time."""

    table: str
    new: int = 0
    changed: int = 0
    removed: int = 0
    left: int = 0


async def tables(target: Reads) -> list[Table]:
    """Every table that moves, those first that others refer to; those last that triggers fill as others are written."""
    found: dict[str, list[Any]] = {}
    for row in await target.fetch(_CATALOGUE):
        found.setdefault(row["name"], []).append(row)
    references = await target.fetch(_REFERENCES)
    named = {row["needs"] for row in references}
    kinds = {postgres: kind for kind, (_, postgres) in TYPES.items()}
    made = {}
    for name in found.keys() - LEFT:
        keyed = sorted((row for row in found[name] if row["place"] is not None), key=lambda row: row["place"])
        made[name] = Table(
            name,
            tuple((row["attribute"], kinds[row["type"]]) for row in found[name]),
            tuple(row["attribute"] for row in keyed) or GROUPS[name],
            bool(keyed),
            next((row["attribute"] for row in found[name] if row["identity"]), None),
            name in named,
        )
    order: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(made):
        order.add(name, *(sorted(made.keys() - set(_filled(made))) if name in _filled(made) else ()))
    for row in references:
        order.add(row["name"], row["needs"])
    # A head tells of leaves and a leaf of an entry: in this order none tells of what came later and is missing.
    order.add("ledger_leaf", "ledger_head")
    order.add("consent_entry", "ledger_leaf")
    return [made[name] for name in order.static_order()]


def _filled(names: Any) -> list[str]:
    return [name for name in names if name.endswith("_waiting")]


async def prepare(source: Database, target: Database, now: int) -> None:
    """Make sure that the target is empty or a copy of this installation that nobody has opened since, and give it the
    months that the source's rows are of. Raises :class:`StoreError`."""
    companies = "SELECT controller_id, slug FROM controller"
    here = {row["controller_id"] for row in await source.fetch(companies)}
    there = await target.fetch(companies)
    if strange := sorted(row["slug"] for row in there if row["controller_id"] not in here):
        raise StoreError(f"the target holds another installation's data ({', '.join(strange)}): name an empty database")
    async with target.transaction() as tx:
        await tx.exclusive(_MARK)
        if not await tx.fetch("SELECT 1 FROM lease WHERE name = $1", (_MARK,)):
            if there or await tx.fetch("SELECT 1 FROM api_key LIMIT 1"):
                raise StoreError(
                    "a service or a command has opened the target since it was copied: name an empty database"
                )
            await tx.execute("INSERT INTO lease (name, holder, until) VALUES ($1, $1, 0)", (_MARK,))
    for table, column in partitions.PARTITIONED.items():
        (oldest,) = await source.fetch(f"SELECT MIN({column}) AS first FROM {table}")
        if (first := oldest["first"]) is not None:
            at = first if isinstance(first, int) else int.from_bytes(first[:6])
            await partitions.make_since(target, table, at, now)
    await partitions.make_ahead(target, now)


async def opened(database: Database) -> None:
    """Note in a copied database that it is in use: nothing is copied over it any more."""
    if database.dialect == "postgresql" and await database.fetch("SELECT 1 FROM lease WHERE name = $1", (_MARK,)):
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM lease WHERE name = $1", (_MARK,))


async def copy(
    source: Database,
    target: Database,
    table: Table,
    filled: Sequence[str],
    moved: Callable[[int], None],
    *,
    final: bool,
) -> Copied:
    """Make one table of the target what it is in the source; ``moved`` is told how many rows were looked at.

    ``filled`` are tables that triggers have marked and that are copied later. Where the source goes on changing (not
    ``final``) a page that the target does not take is left for the next time. Raises :class:`StoreError`.
    """
    done, seen = Copied(table.name), 0
    async for keys, here, there in _pages(target, source, table):
        gone = [key for key in keys if key not in there]
        unlike = [key for key in keys if key in there and here[key] != there[key]]
        changed = [row for key in unlike for row in there[key]]
        if gone or unlike:
            try:
                async with target.transaction(seconds=SECONDS) as tx:
                    await _remove(tx, table, gone if table.named else gone + unlike)
                    await _change(tx, table, changed if table.named else [])
                    await _unmark(tx, filled)
            except RowRefused as error:
                raise StoreError(f"{table.name}: the target's rows are not this installation's ({error})") from error
        done.removed += sum(len(here[key]) for key in gone)
        done.changed += len(changed)
        seen += len(keys)
        moved(seen)
    async for keys, here, there in _pages(source, target, table):
        fresh = [row for key in keys if key not in there for row in here.get(key, ())]
        try:
            if fresh:
                async with target.transaction(seconds=SECONDS) as tx:
                    await _add(tx, table, fresh)
                    await _unmark(tx, filled)
                done.new += len(fresh)
        except RowRefused as error:
            if final:
                raise StoreError(f"{table.name}: the target does not take a row ({error})") from error
            done.left += len(fresh)
        seen += len(keys)
        moved(seen)
    if not table.named:
        done.new = max(done.new - done.changed, 0)
    await _count_on(target, table)
    return done


async def differing(source: Database, target: Database, table: Table) -> int:
    """How many of the target's keys stand for other rows in the source, or for none."""
    count = 0
    async for keys, here, there in _pages(target, source, table):
        count += sum(here[key] != there.get(key) for key in keys)
    return count


async def count(reads: Reads, table: Table) -> int:
    """How many rows it has."""
    rows = await reads.fetch(f"SELECT COUNT(*) AS count FROM {table.name}")
    found: int = rows[0]["count"]
    return found


async def _pages(
    walked: Reads, other: Reads, table: Table
) -> AsyncIterator[tuple[list[Key], dict[Key, list[Key]], dict[Key, list[Key]]]]:
    """Pages of keys of one database, in its own order, each with the rows there and in the other."""
    names = ", ".join(table.key)
    places = ", ".join(f"${n}" for n in range(1, len(table.key) + 1))
    every = "" if table.unique else "DISTINCT "
    last: Key = ()
    while True:
        where = f" WHERE ({names}) > ({places})" if last else ""
        page = f"SELECT {every}{names} FROM {table.name}{where} ORDER BY {names} LIMIT {_PAGES.get(table.name, PAGE)}"
        keys = [tuple(row) for row in await walked.fetch(page, last)]
        if not keys:
            return
        rows, others = await _rows(walked, table, keys), await _rows(other, table, keys)
        yield [key for key in keys if key in rows], rows, others
        last = keys[-1]


async def _rows(reads: Reads, table: Table, keys: list[Key]) -> dict[Key, list[Key]]:
    columns = ", ".join(f"t.{name}" for name in table.names)
    sql = f"WITH {{rows}} SELECT {columns} FROM v CROSS JOIN {table.name} t WHERE {_same(table, 't', 'v')}"
    places = [table.names.index(name) for name in table.key]
    found: dict[Key, list[Key]] = {}
    for row in await reads.fetch_rows(sql, table.declared(table.key), keys):
        values = tuple(row)
        found.setdefault(tuple(values[place] for place in places), []).append(values)
    for rows in found.values():
        rows.sort(key=repr)
    return found


def _same(table: Table, one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in table.key)


async def _add(tx: Transaction, table: Table, rows: list[Key]) -> None:
    names = ", ".join(table.names)
    # The numbers of entries are kept: other tables and the ledger's proof name them.
    sql = f"WITH {{rows}} INSERT INTO {table.name} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM v"
    await tx.execute_rows(sql, table.declared(table.names), rows)


async def _change(tx: Transaction, table: Table, rows: list[Key]) -> None:
    given = ", ".join(f"{name} = v.{name}" for name in table.names if name not in table.key)
    sql = f"WITH {{rows}} UPDATE {table.name} t SET {given} FROM v WHERE {_same(table, 't', 'v')}"
    await tx.execute_rows(sql, table.declared(table.names), rows)


async def _remove(tx: Transaction, table: Table, keys: list[Key]) -> None:
    sql = f"WITH {{rows}} DELETE FROM {table.name} t USING v WHERE {_same(table, 't', 'v')}"
    await tx.execute_rows(sql, table.declared(table.key), keys)


async def _unmark(tx: Transaction, filled: Sequence[str]) -> None:
    """What triggers marked to be sealed or counted: the source knows better what is."""
    for name in filled:
        await tx.execute(f"DELETE FROM {name}")


async def _count_on(target: Database, table: Table) -> None:
    """Numbers that the database gives go on after the highest one."""
    if table.identity is None:
        return
    async with target.transaction(seconds=SECONDS) as tx:
        await tx.fetch(
            f"SELECT setval(pg_get_serial_sequence($1, $2), MAX({table.identity}))"
            f" FROM {table.name} HAVING MAX({table.identity}) IS NOT NULL",
            (table.name, table.identity),
        )
