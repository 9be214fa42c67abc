"""The state file: opening and checking it, one reading connection a thread, one writing connection, and ``fork``."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import DatabaseDamaged, DatabaseTooNew, StoreError
from jupyter_wf.core.settings import HOME_VARIABLE
from jupyter_wf.store.sqlite.driver import connect, sqlite, translated
from jupyter_wf.store.sqlite.folder import create_private, network_filesystem, prepare_folder, protect_file
from jupyter_wf.store.sqlite.gate import Gate
from jupyter_wf.store.sqlite.migrations import APPLICATION_ID, SCHEMA_VERSION, create, migrate

__all__ = ["Database"]

_log = logging.getLogger(__name__)
_BUSY_SECONDS = 5.0
#: How long (seconds) a fork waits for the end of a query or transaction that runs in another thread.
_FORK_SECONDS = 2.0
#: Connections that a fork caught in the middle of a call: the child must not touch them, not even to free them.
_ABANDONED: list[sqlite.Connection] = []

_Identity = tuple[int, int] | None


class _Handle:
    """One connection, the lock of whoever uses it now, and the ``-wal`` file that it has open."""

    __slots__ = ("__weakref__", "connection", "lock", "wal")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.connection: sqlite.Connection | None = None
        self.wal: _Identity = None

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        # The thread that owned it is gone.
        with suppress(Exception):
            self.close()


class Database:
    """An open state file. All methods may be called from any thread.

    Raises `DatabaseDamaged` and `DatabaseTooNew` for a file that must not be touched, `StoreError` for a folder that
    can't be trusted, and for a file that was removed or replaced while it was open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gate = Gate(path.with_name(path.name + ".wlock"))
        #: Called in the child after a fork, when connections and gate are new.
        self.forked: list[Callable[[], None]] = []
        self._wal_path = f"{path}-wal"
        self._master = threading.RLock()
        self._handles: weakref.WeakSet[_Handle] = weakref.WeakSet()
        self._local = threading.local()
        self._writer = _Handle()
        self._handles.add(self._writer)
        self._generation = 0
        self._closed = False
        self._identity = self._open()
        _databases.add(self)

    @contextmanager
    def write(self) -> Iterator[sqlite.Connection]:
        """Hold the gate and a write transaction; commit at the end, roll back on any error or interrupt."""
        with translated(self.path), self.gate.held():
            self._check(self._writer)
            with self._writer.lock:
                connection = self._connected(self._writer, read_only=False)
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    self._check_version(connection)
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite.Connection]:
        """Hold a read transaction, so that several queries see the same commit. Never yield or await inside."""
        with translated(self.path), self._reading() as connection:
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of one query."""
        with translated(self.path), self._reading() as connection:
            return connection.execute(sql, parameters).fetchall()

    def data_version(self) -> int:
        """Return a number that differs after another connection has committed (for the calling thread only)."""
        with translated(self.path), self._reading() as connection:
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
            return version + (self._generation << 32)

    def reset_writer(self) -> None:
        """Close the writing connection; the next write opens another."""
        with translated(self.path), self.gate.held(), self._writer.lock:
            self._writer.close()

    def close(self) -> None:
        """Close every connection of this process; the last one on the host moves the log into the file."""
        with self._master:
            if self._closed:
                return
            self._closed = True
            with suppress(StoreError), translated(self.path), self.gate.held():
                self._close_all(writer_last=True)
            self.gate.close()
        _databases.discard(self)

    # -- connections ---------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite.Connection]:
        handle: _Handle | None = getattr(self._local, "handle", None)
        if handle is None:
            handle = self._local.handle = _Handle()
            with self._master:
                self._handles.add(handle)
        self._check(handle)
        with handle.lock:
            yield self._connected(handle, read_only=True)

    def _connected(self, handle: _Handle, *, read_only: bool) -> sqlite.Connection:
        """Return the connection of a handle whose lock is held. Lock order: ``_master`` before any handle's."""
        connection = handle.connection
        if connection is None:
            self._refuse_closed()
            connection = connect(self.path, read_only=read_only, busy_seconds=_BUSY_SECONDS)
            handle.connection = connection
            # The first look at the file opens the -wal, whose identity is then known.
            self._check_version(connection)
            handle.wal = _identity(self._wal_path)
        elif connection.in_transaction:
            # Left by an interrupt that came between two bytecodes of our own clean-up.
            connection.execute("ROLLBACK")
        return connection

    def _check(self, handle: _Handle) -> None:
        """Raise `StoreError` if the file is another one by now; open anew if its ``-wal`` is."""
        self._refuse_closed()
        if _identity(self.path) != self._identity:
            raise StoreError(
                f"the state file {self.path} was removed or replaced while it was open; nothing more is written to "
                "it: restart this process to use what is there now"
            )
        if handle.connection is not None and _identity(self._wal_path) != handle.wal:
            self._reopen(handle)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self.path} is closed; open it again with open_store")

    def _reopen(self, stale: _Handle) -> None:
        """Close every connection of this process, because the ``-wal`` beside the file is not the one they have open.

        That happens when code in this process opens and closes the database file by itself, which drops the locks
        that SQLite holds on it (POSIX), so that another process may tidy up under our feet. All have to go: a new
        connection beside an old one would share the old one's ideas of locks and shared memory.
        """
        with self._master:
            if stale.connection is None or _identity(self._wal_path) == stale.wal:
                return
            _log.warning(
                "the write-ahead log of %s was removed or replaced; opening it again (does some code in this process "
                "open the file by itself?)",
                self.path,
            )
            self._generation += 1
            # With a reading connection still open, closing the writing one never checkpoints its stale log.
            guard = connect(self.path, read_only=True, busy_seconds=_BUSY_SECONDS)
            try:
                self._check_version(guard)
                self._close_all(writer_last=False)
            finally:
                guard.close()

    def _close_all(self, *, writer_last: bool) -> None:
        readers = [handle for handle in list(self._handles) if handle is not self._writer]
        for handle in (*readers, self._writer) if writer_last else (self._writer, *readers):
            with handle.lock:
                handle.close()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> tuple[int, int]:
        prepare_folder(self.path.parent)
        kind = network_filesystem(self.path.parent)
        if kind is not None:
            _log.warning(
                "%s is on a network file system (%s), which can't carry a database that several processes write; "
                "set %s to a folder on a local disk",
                self.path.parent,
                kind,
                HOME_VARIABLE,
            )
        with translated(self.path):
            if not self.path.exists():
                self._create()
            protect_file(self.path)
            found = _identity(self.path)
            if found is None:
                raise StoreError(f"the state file {self.path} was removed while it was being opened; try again")
            self._identity = found
            self._check_file()
        return found

    def _create(self) -> None:
        """Make a complete file under another name and put it in place in one step: it is never there half-made."""
        with self.gate.held():
            if self.path.exists():
                return
            self._refuse_orphaned_log()
            draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{threading.get_ident()}")
            _remove(draft)
            create_private(draft)
            try:
                connection = connect(draft, read_only=False, busy_seconds=_BUSY_SECONDS)
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                    create(connection)
                finally:
                    connection.close()
                with suppress(FileExistsError):
                    _publish(draft, self.path)
            finally:
                for suffix in ("", "-wal", "-shm"):
                    _remove(Path(f"{draft}{suffix}"))

    def _refuse_orphaned_log(self) -> None:
        wal = Path(self._wal_path)
        if wal.exists() and wal.stat().st_size:
            raise DatabaseDamaged(
                str(self.path), f"it is gone, but its log {wal.name} is there ({wal.stat().st_size} bytes)"
            )

    def _check_file(self) -> None:
        if self.path.stat().st_size == 0:
            raise DatabaseDamaged(str(self.path), "it is empty")
        with self._reading() as connection:
            version = self._check_version(connection)
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if version == SCHEMA_VERSION and mode == "wal":
            return
        with self.gate.held(), self._writer.lock:
            connection = self._connected(self._writer, read_only=False)
            connection.execute("PRAGMA journal_mode=WAL")
            if self._check_version(connection) < SCHEMA_VERSION:
                migrate(connection)

    def _check_version(self, connection: sqlite.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            if application != APPLICATION_ID:
                raise DatabaseDamaged(str(self.path), "it is not a state file of jupyter_wf")
            if version > SCHEMA_VERSION:
                raise DatabaseTooNew(str(self.path), version, SCHEMA_VERSION)
        return version

    # -- fork ----------------------------------------------------------------------------------------------------

    def before_fork(self) -> list[_Handle]:
        """Wait until no call is in SQLite, and return the handles that are locked now."""
        self._master.acquire()
        return [h for h in list(self._handles) if h.lock.acquire(timeout=_FORK_SECONDS)]

    def after_fork_in_parent(self, locked: list[_Handle]) -> None:
        """Let everybody go on."""
        for handle in locked:
            handle.lock.release()
        self._master.release()

    def after_fork_in_child(self, locked: list[_Handle]) -> None:
        """Drop what belongs to the parent: connections, the gate's lock, and whoever registered in ``forked``."""
        handles = list(self._handles)
        self._master = threading.RLock()
        for handle in sorted(handles, key=lambda h: h is not self._writer):
            if handle in locked:
                # Closing is what makes SQLite forget the parent's locks; it can't have any effect outside, because
                # the child holds no lock on the file, and the parent's keep it from tidying up.
                with suppress(Exception):
                    handle.close()
            elif handle.connection is not None:
                _ABANDONED.append(handle.connection)
                handle.connection = None
            handle.lock = threading.RLock()
        self.gate.forget()
        for callback in self.forked:
            callback()


def _identity(path: str | Path) -> _Identity:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _publish(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system; the gate keeps others out meanwhile.
        draft.rename(path)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
#: What the fork that this thread is in the middle of has locked; two threads may fork at once.
_forking = threading.local()


def _before_fork() -> None:
    _forking.locked = [(database, database.before_fork()) for database in list(_databases)]


def _after_fork_in_parent() -> None:
    for database, locked in reversed(_forking.__dict__.pop("locked", [])):
        database.after_fork_in_parent(locked)


def _after_fork_in_child() -> None:
    for database, locked in reversed(_forking.__dict__.pop("locked", [])):
        database.after_fork_in_child(locked)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
