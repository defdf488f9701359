"""What the drivers' errors mean: the store is unavailable, this row is refused, or another transaction was in the way.

No text of ours holds a value: values are personal data.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from handraiser.errors import HandraiserError, StoreError, StoreUnavailable
from handraiser.store.sql import RowRefused, StoreConflict

_SQLITE_GONE = {  # primary result codes: busy, out of memory, read-only, interrupted, I/O, full, no file, no database …
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}  # fmt: skip
# connection, authentication, no database, resources (disk full), operator (shutdown, timeout), system, internal
_POSTGRES_GONE = {"08", "28", "3D", "53", "57", "58", "XX"}


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's error into one of ours."""
    try:
        yield
    except HandraiserError:
        raise
    except sqlite3.Error as error:
        raise _from_sqlite(error) from error
    except (UnicodeEncodeError, OverflowError) as error:
        raise RowRefused("a text holds a lone surrogate, or a number exceeds 64 bits") from error
    except (OSError, TimeoutError) as error:
        raise _unreachable(error) from error
    except Exception as error:
        if type(error).__module__.startswith("asyncpg."):  # known by name: SQLite's users are spared importing it
            raise _from_postgres(error) from error
        if isinstance(error, ValueError):  # aiosqlite after close
            raise StoreUnavailable("the database is closed") from error
        raise


def _from_sqlite(error: sqlite3.Error) -> StoreError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_GONE:
        return StoreUnavailable(f"the database cannot do this now ({error.sqlite_errorname})")
    if isinstance(error, sqlite3.IntegrityError | sqlite3.DataError):
        return RowRefused(str(error))
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreUnavailable("the database is closed")
    return StoreError(f"{type(error).__name__}: {error}")


def _unreachable(error: Exception) -> StoreUnavailable:
    """What to say of an error that is not the database's own; of a certificate and of the URL's TLS words, why."""
    why = getattr(error, "verify_message", "")
    if type(error).__name__ == "ClientConfigurationError":
        why = str(error).partition("\n")[0]
    if isinstance(error, FileNotFoundError):
        why = "a file or socket that database_url names is missing"
    return StoreUnavailable(f"the database cannot be reached ({type(error).__name__}{why and ': '}{why})")


def _from_postgres(error: Exception) -> StoreError:
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:  # the driver's own errors
        return _unreachable(error)
    if state[:2] in _POSTGRES_GONE or state == "25006":  # read-only
        hint = "; is it a transaction pooler? Then set database_pooler" if state == "08P01" else ""
        return StoreUnavailable(f"the database cannot do this now ({type(error).__name__}){hint}")
    if state[:2] == "40" or state == "55P03":
        return StoreConflict(type(error).__name__)
    if state == "P0001":  # raised by our own triggers, whose texts hold no values
        return RowRefused(str(error))
    if state[:2] in ("22", "23"):
        return RowRefused(f"{type(error).__name__} {getattr(error, 'constraint_name', None) or ''}".strip())
    return StoreError(f"{type(error).__name__} ({state})")
