"""Templates compiled once for a run of tests in several processes: compiling them again would prove nothing."""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import Iterable
from pathlib import Path

from handraiser.store import blocks
from handraiser.store.database import Database


class Programs(dict[bytes, str]):
    """Compiled programs by content address, and the file in which the processes of a run tell each other of them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._read = 0

    def hear(self) -> None:
        """Take in what other processes compiled meanwhile."""
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            file.seek(self._read)
            for line in iter(file.readline, ""):
                key, program = json.loads(line)
                self[bytes.fromhex(key)] = program
            self._read = file.tell()

    def tell(self, rows: Iterable[tuple[bytes, str]]) -> None:
        """Keep what was compiled here."""
        fresh = {key: program for key, program in rows if key not in self}
        self.update(fresh)
        with self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.writelines(json.dumps([key.hex(), program]) + "\n" for key, program in fresh.items())


async def put_into(database_url: str, programs: Programs, *, pooler: bool = False) -> None:
    """Give a new database all programs, as if it had compiled them."""
    programs.hear()
    if not programs:
        return
    database = await Database.open(database_url, pooler=pooler)
    async with database.transaction() as tx:
        await blocks.put_compiled(tx, [(key, program, 0) for key, program in programs.items()])
    await database.close()


async def keep_those_of(database: Database, programs: Programs) -> None:
    """Remember what a service compiled."""
    try:
        rows = await database.fetch("SELECT hash, program FROM compiled")
    except Exception:  # a test may have taken the database away
        return
    programs.tell((bytes(row["hash"]), row["program"]) for row in rows)


def put_into_state(state_dir: Path, programs: Programs) -> None:
    """Give the embedded database of a command line's state folder all programs."""
    state_dir.mkdir(parents=True, exist_ok=True)
    asyncio.run(put_into(f"sqlite:///{state_dir / 'handraiser.db'}", programs))
