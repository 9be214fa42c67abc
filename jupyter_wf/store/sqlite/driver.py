"""The one place that decides which SQLite is used, and what its errors mean to us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_wf.core.errors import DatabaseDamaged, StoreError

if TYPE_CHECKING:
    import sqlite3 as sqlite
else:
    # pysqlite3 brings a release without the WAL-reset bug (3.7.0 to 3.51.2), which can corrupt a file that several
    # processes write; Python's own is the stand-in where pysqlite3 has no wheel.
    try:
        from pysqlite3 import dbapi2 as sqlite
    except ImportError:
        import sqlite3 as sqlite
    else:
        # It looks for an adapter of each None and of each bytes that it is given, which takes ten times as long as to
        # bind them; these are found at once, and leave the value as it is. A task binds some ten of them.
        sqlite.adapters.setdefault((type(None), sqlite.PrepareProtocol), {}.get)
        sqlite.adapters.setdefault((bytes, sqlite.PrepareProtocol), bytes)

__all__ = ["TransientError", "connect", "sqlite", "translated"]

_CORRUPT, _NOTADB = 11, 26
_READONLY_DBMOVED = 8 | (4 << 8)
#: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL: may go away by themselves.
_TRANSIENT = frozenset((5, 6, 7, 8, 9, 10, 13, 14, 15))
#: IOERR, CANTOPEN, PROTOCOL.
_BY_CONNECTION = frozenset((10, 14, 15))
_HINTS = {
    5: "another process has held the write lock for too long",
    8: "the file or its folder is read-only",
    13: "the disk is full",
    14: "the file can't be opened",
}


class TransientError(StoreError):
    """The state file can't be written or read now, but nothing is lost: the same again may work later.

    ``by_connection`` is true where a new connection may help.
    """

    def __init__(self, message: str, *, by_connection: bool = False) -> None:
        super().__init__(message)
        self.by_connection = by_connection


def connect(path: Path, *, read_only: bool, busy_seconds: float) -> sqlite.Connection:
    """Open an existing file in autocommit mode; never makes a new one."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite.connect(
        uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA cache_size=-16000")
            # A longer log is moved into the file more rarely: whoever commits just then waits for the disk, and a page
            # that was written a hundred times meanwhile is moved once.
            connection.execute("PRAGMA wal_autocheckpoint=4000")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into `DatabaseDamaged`, `TransientError` or `StoreError`, with the path and what to do."""
    try:
        yield
    except sqlite.Error as error:
        raise _translate(path, error) from error


def _translate(path: Path, error: sqlite.Error) -> Exception:
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    primary = code & 0xFF
    if primary in (_CORRUPT, _NOTADB):
        return DatabaseDamaged(str(path), str(error))
    if code == _READONLY_DBMOVED:
        return StoreError(f"the state file {path} was moved or removed while it was open; restart this process")
    if primary in _TRANSIENT:
        hint = _HINTS.get(primary)
        text = f"the state file {path} can't be used now: {error}{f' ({hint})' if hint else ''}"
        return TransientError(text, by_connection=primary in _BY_CONNECTION)
    if isinstance(error, sqlite.ProgrammingError) and "closed" in str(error):
        return StoreError(f"the store {path} is closed; open it again with open_store")
    return error
