"""Story 8: an installation moves from SQLite to PostgreSQL: copied while it runs, and once more when it has stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from handraiser.errors import Busy, StoreError
from handraiser.store import copying
from handraiser.store.database import Database

COMPARED = frozenset({"standing", "preference", "suppression"})
"""Tables whose every row is compared once more at the end, beside the counts of all and the hashes of the ledger."""

Moved = Callable[[int, int, str], None]
"""Told how many tables of how many are done, and which one it is at, with the rows looked at in it."""


class Moving:
    """Copies the installation's database into another, and proves the copy."""

    COMMANDS = frozenset({"copy_to", "copied"})

    def __init__(
        self, database: Database, prove: Callable[[Database], Awaitable[dict[str, Any]]], clock: Callable[[], int]
    ) -> None:
        """``prove`` verifies the ledger in a database against the heads that are kept outside."""
        self._database, self._prove, self._clock = database, prove, clock
        self._done = (0, 0, "")
        self._busy = False

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, answered in JSON's types, in a service that goes on changing the database."""
        if name == "copied":
            return self._done
        if self._busy:
            raise Busy("a copy is being made already")
        self._busy = True
        try:
            return await self.copy_to(arguments["url"], self._note, final=False)
        finally:
            self._busy, self._done = False, (0, 0, "")

    def _note(self, done: int, total: int, at: str) -> None:
        self._done = (done, total, at)

    async def copy_to(self, url: str, moved: Moved, *, final: bool) -> dict[str, Any]:
        """Copy all into the PostgreSQL database at ``url``, which is empty or an earlier copy, and count both.

        ``final`` says that nobody writes meanwhile: then counts must agree, standings, preferences and suppressions
        row by row, and the copied ledger must be whole. Raises :class:`StoreError` for a target that is none, and for
        a copy that is not the same.
        """
        if self._database.dialect != "sqlite" or not url.startswith(("postgresql://", "postgres://")):
            raise StoreError("copy-to moves an installation from SQLite to postgresql://user@host/name")
        target = await Database.open(url, seconds=copying.SECONDS, lock_seconds=10.0, pool_size=2)
        try:
            await copying.prepare(self._database, target, self._clock())
            copied = await self._copy(target, moved, final=final)
            ledger = await self._check(target) if final else None
        finally:
            await target.close()
        return {"final": final, "tables": copied, "ledger": ledger}

    async def _copy(self, target: Database, moved: Moved, *, final: bool) -> list[dict[str, Any]]:
        all_tables = await copying.tables(target)
        waiting = [table.name for table in all_tables if table.name.endswith("_waiting")]
        copied = []
        for done, table in enumerate(all_tables):

            def seen(rows: int, done: int = done, name: str = table.name) -> None:
                moved(done, len(all_tables), f"{name}: {rows} rows")

            filled = [] if table.name in waiting else waiting
            copied.append(await copying.copy(self._database, target, table, filled, seen, final=final))
        moved(len(all_tables), len(all_tables), "")
        return [asdict(one) for one in copied]

    async def _check(self, target: Database) -> dict[str, Any]:
        """What verifying the copied ledger found. Raises :class:`StoreError` where anything is not the same."""
        for table in await copying.tables(target):
            here, there = await copying.count(self._database, table), await copying.count(target, table)
            if here != there:
                raise StoreError(f"{table.name}: {there} of {here} rows are there; copy once more")
            if table.name in COMPARED and (unlike := await copying.differing(self._database, target, table)):
                raise StoreError(f"{table.name}: {unlike} rows are not the same; copy once more")
        ledger = await self._prove(target)
        if not ledger["ok"]:
            raise StoreError(f"the copied ledger is not whole: {ledger['broken'][0]['detail']}")
        return ledger
