"""The queue in front of SQLite's write lock: a ``flock`` that every writer of every process holds for its transaction.

SQLite's own busy handler starves (one of 16 writers got one transaction in ten seconds); this does not.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_wf.store.sqlite.driver import TransientError

__all__ = ["Gate"]

#: How long (seconds) to wait for the lock. A stopped process may hold it for ever: after that SQLite's lock decides.
_PATIENCE = 5.0
_FIRST_NAP = 0.0001
_LONGEST_NAP = 0.004


class Gate:
    """The lock file beside a database. One for each database and process, also between the threads of a process."""

    def __init__(self, path: Path, *, patience: float = _PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._lock = threading.RLock()
        self._depth = 0
        self._fd: int | None = None

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the gate; the value says whether it was got (false: its holder is stuck, go on without). Reentrant."""
        with self._lock:
            if self._depth:
                yield True
                return
            locked = False
            try:
                self._depth = 1
                locked = self._wait()
                yield locked
            finally:
                self._depth = 0
                if locked and self._fd is not None:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock file; the gate opens it again when it is needed."""
        with self._lock:
            self._drop()

    def forget(self) -> None:
        """Make a child of ``fork`` independent: the lock belongs to the parent, who alone may release it."""
        self._lock = threading.RLock()
        self._depth = 0
        self._drop()

    def _drop(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _wait(self) -> bool:
        fd = self._open()
        nap = _FIRST_NAP
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
            else:
                return True
            # flock has no waiting with a limit of its own.
            time.sleep(nap)
            nap = min(nap * 1.5, _LONGEST_NAP)

    def _open(self) -> int:
        fd = self._fd
        if fd is None or not _is_file(fd, self._path):
            self._drop()
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                self._fd = fd
                os.fchmod(fd, 0o600)
            except OSError as error:
                raise TransientError(f"the lock file {self._path} can't be opened: {error.strerror}") from error
        return fd


def _is_file(fd: int, path: Path) -> bool:
    """Return whether the open file is still the one at ``path``: a lock on a removed file keeps nobody out."""
    mine = os.fstat(fd)
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
