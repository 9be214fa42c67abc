"""The one writer of a process: a queue, a thread that commits what has gathered, and jobs that want a transaction."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.events import Entry
from jupyter_wf.store.base import Committed
from jupyter_wf.store.sqlite.batch import Applied, Batches
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import TransientError, sqlite

__all__ = ["SqliteJournal"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
#: Entries of one transaction: it bounds how long others wait at the gate.
_LARGEST_BATCH = 5_000
#: An interrupt may come between an append and its wake-up call; the thread looks by itself this often (seconds).
_LOOK_AGAIN = 0.5
_FIRST_RETRY, _LONGEST_RETRY = 0.05, 2.0
#: How long (seconds) `close` goes on trying when the file can't be written.
_CLOSE_PATIENCE = 10.0
#: How long (seconds) a reader waits for its own process's writes at most.
_SETTLE_PATIENCE = 2.0
_SLICE = 0.02


class _Job:
    """Something to do between two batches: a transaction of its own, or nothing, where only the place counts."""

    __slots__ = ("_done", "_error", "_result", "_work")

    def __init__(self, work: Callable[[], object] | None) -> None:
        self._work = work
        self._done = threading.Lock()
        self._done.acquire()
        self._result: object = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            if self._work is not None:
                self._result = self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._done.release()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._done.release()

    def wait(self, timeout: float | None) -> bool:
        return self._done.acquire(timeout=-1 if timeout is None else max(0.0, timeout))

    def result(self) -> object:
        if self._error is not None:
            raise self._error
        return self._result


class SqliteJournal:
    """A `Journal` on a `Database`. After a fork the same object is an empty journal of the child."""

    _queue: deque[Entry | _Job]
    _wake: SimpleQueue[None]
    _thread: threading.Thread | None
    _ident: int | None
    _failure: StoreError | None
    _stalled: str | None
    _subscribers: tuple[tuple[Committed], ...]

    def __init__(self, database: Database, *, interval: float, limit: int) -> None:
        self._database = database
        self._interval = interval
        self._limit = limit
        #: How many entries were refused, because another process had closed the run or taken it over.
        self.refused = 0
        self._reset()
        database.forked.append(self._reset)

    def append(self, entry: Entry) -> None:
        """Take ``entry``; wait only where ``journal_limit`` entries are already waiting."""
        if self._refusing:
            raise self._reason()
        if len(self._queue) >= self._limit:
            self._wait_for_room()
        self._queue.append(entry)
        if self._idle:
            self._kick()

    def flush(self, timeout: float | None = None) -> None:
        """Return when all that was appended before is committed and the subscribers were told."""
        if threading.get_ident() == self._ident:
            return
        if self._closing.is_set() and self._thread is not None:
            self._thread.join(timeout)
        if self._failure is None and not self._queue and not self._busy:
            return
        job = self._submit(None)
        if not job.wait(timeout):
            raise TimeoutError(f"the journal was not flushed within {timeout:g} s{self._because()}")
        job.result()

    def settle(self) -> None:
        """Do as `flush` does for a reader of this process: without raising, and not for long when writing is stuck."""
        if not self._queue and not self._busy:
            return
        if self._refusing or self._because() or threading.get_ident() == self._ident:
            return
        with suppress(StoreError):
            job = self._submit(None)
            deadline = time.monotonic() + _SETTLE_PATIENCE
            while not job.wait(_SLICE) and not self._because() and time.monotonic() < deadline:
                pass

    def run(self, work: Callable[[sqlite.Connection], _T], *, tells: bool = True) -> _T:
        """Return ``work(connection)``, done in a write transaction of its own after all that was appended before.

        It is done on the journal's thread, so that no interrupt of the caller can leave it half done. Raises what
        ``work`` raises, and `StoreError`. With ``tells`` the subscribers are told that something was committed.
        """

        def transaction() -> _T:
            with self._database.write() as connection:
                result = work(connection)
                (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
            if tells:
                self._tell(seq, ())
            return result

        if threading.get_ident() == self._ident:
            return transaction()
        job = self._submit(transaction)
        job.wait(None)
        return cast(_T, job.result())

    def subscribe(self, callback: Committed) -> Callable[[], None]:
        """Have ``callback(last_seq, entries)`` called on the journal's thread after each commit."""
        # A tuple of its own for each subscription, so that one callback subscribed twice is ended once.
        entry = (callback,)
        self._subscribers = (*self._subscribers, entry)

        def end() -> None:
            self._subscribers = tuple(each for each in self._subscribers if each is not entry)

        return end

    def close(self) -> None:
        """Commit what waits and stop the thread; `append` raises `StoreError` from then on."""
        if self._closing.is_set():
            return
        self._refusing = True
        self._closing.set()
        atexit.unregister(self.close)
        thread = self._thread
        if thread is None and self._queue:
            thread = self._start()
        if thread is not None and thread.ident != threading.get_ident():
            self._wake.put(None)
            thread.join()

    # -- the callers' side ---------------------------------------------------------------------------------------

    def _reset(self) -> None:
        """Begin anew: at first, and in the child of a fork, whose parent commits what had gathered."""
        self._queue = deque()
        self._wake = SimpleQueue()
        self._closing = threading.Event()
        self._starting = threading.RLock()
        self._thread = None
        self._ident = None
        self._idle = True
        self._busy = False
        self._ended = False
        self._hurry = False
        self._refusing = False
        self._failure = None
        self._stalled = None
        self._subscribers = ()
        self._batches = Batches()

    def _submit(self, work: Callable[[], object] | None) -> _Job:
        if self._refusing:
            raise self._reason()
        job = _Job(work)
        self._queue.append(job)
        self._hurry = True
        self._kick()
        # The thread may have stopped just before: then nobody will look into the queue any more.
        if self._ended:
            self._fail_waiting()
        return job

    def _reason(self) -> StoreError:
        if self._failure is not None:
            return self._failure.with_traceback(None)
        return StoreError("the journal is closed; open the store again to write to it")

    def _kick(self) -> None:
        self._idle = False
        if self._ident is None:
            self._start()
        self._wake.put(None)

    def _start(self) -> threading.Thread:
        # Reentrant, because a signal handler may append while the main thread is here.
        with self._starting:
            thread = self._thread
            # An interrupt may have kept the last one from its start.
            if thread is None or (self._ident is None and not thread.is_alive()):
                thread = threading.Thread(target=self._loop, name="jupyter_wf-journal", daemon=True)
                self._thread = thread
                thread.start()
                atexit.register(self.close)
            return thread

    def _wait_for_room(self) -> None:
        if threading.get_ident() != self._ident:
            self.flush()

    def _because(self) -> str:
        return f": {self._stalled}" if self._stalled else ""

    # -- the thread's side ---------------------------------------------------------------------------------------

    def _loop(self) -> None:
        with self._starting:
            # Of two that were started, by an interrupt in between, one is the journal.
            if self._ident is not None:
                return
            self._ident = threading.get_ident()
        while True:
            self._wait()
            self._busy = True
            self._hurry = False
            try:
                self._drain()
            except StoreError as error:
                self._stop(error)
                return
            except BaseException as error:
                _log.exception("the journal of %s has stopped", self._database.path)
                self._stop(StoreError(f"the journal has stopped: {type(error).__name__}: {error}"))
                return
            finally:
                self._busy = False
            if self._closing.is_set() and not self._queue:
                self._ended = True
                self._fail_waiting()
                return

    def _wait(self) -> None:
        """Sleep until there is something, then gather for the interval unless somebody waits."""
        queue, wake, closing = self._queue, self._wake, self._closing
        while not queue and not closing.is_set():
            self._idle = True
            if queue:
                break
            with suppress(Empty):
                wake.get(timeout=_LOOK_AGAIN)
        self._idle = False
        with suppress(Empty):
            while True:
                wake.get_nowait()
        if not self._hurry and not closing.is_set():
            with suppress(Empty):
                wake.get(timeout=self._interval)

    def _drain(self) -> None:
        queue = self._queue
        while queue:
            batch: list[Entry] = []
            job: _Job | None = None
            try:
                for _ in range(_LARGEST_BATCH):
                    item = queue.popleft()
                    if isinstance(item, _Job):
                        job = item
                        break
                    batch.append(item)
            except IndexError:
                pass
            try:
                if batch:
                    self._commit(batch)
            except BaseException:
                # They fail with the others that wait, once nothing new is taken.
                queue.extendleft([*([job] if job else []), *reversed(batch)])
                raise
            if job is not None:
                job.run()

    def _commit(self, batch: Sequence[Entry]) -> None:
        """Commit ``batch``, however long that takes. Raises the `StoreError` that makes it impossible."""
        delay, deadline = _FIRST_RETRY, None
        while True:
            try:
                with self._database.write() as connection:
                    applied = self._batches.apply(connection, batch)
            except TransientError as error:
                if self._stalled is None:
                    _log.error("%s; %d entries wait and are tried again", error, len(batch) + len(self._queue))
                self._stalled = str(error)
                if self._closing.is_set():
                    deadline = deadline or time.monotonic() + _CLOSE_PATIENCE
                    if time.monotonic() > deadline:
                        raise StoreError(f"{len(batch) + len(self._queue)} entries were not stored: {error}") from error
                    # On the journal's own thread, and only at the end: nobody else waits here.
                    time.sleep(_FIRST_RETRY)
                else:
                    self._closing.wait(delay)
                delay = min(delay * 2, _LONGEST_RETRY)
                if error.by_connection:
                    with suppress(StoreError):
                        self._database.reset_writer()
            except StoreError:
                raise
            except Exception as error:
                self._commit_singly(batch, error)
                return
            else:
                self._stalled = None
                self._committed(applied)
                return

    def _commit_singly(self, batch: Sequence[Entry], error: Exception) -> None:
        """Keep all entries but those that can't be stored at all."""
        if len(batch) == 1:
            _log.error("an entry can't be stored and is left out: %.200r", batch[0], exc_info=error)
            return
        for entry in batch:
            self._commit((entry,))

    def _committed(self, applied: Applied) -> None:
        if applied.refused:
            if not self.refused:
                entry, reason = applied.refused[0]
                _log.error("%.200r is not stored: %s (further ones are only counted)", entry, reason)
            self.refused += len(applied.refused)
        if applied.entries:
            self._tell(applied.last_seq, applied.entries)

    def _tell(self, last_seq: int, entries: Sequence[Entry]) -> None:
        for (callback,) in self._subscribers:
            try:
                callback(last_seq, entries)
            except Exception:
                _log.exception("a subscriber of the journal failed")

    def _stop(self, error: StoreError) -> None:
        lost = sum(not isinstance(item, _Job) for item in self._queue)
        _log.error("the journal of %s has stopped, %d entries are lost: %s", self._database.path, lost, error)
        self._failure = error
        self._refusing = self._ended = True
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        with suppress(IndexError):
            while True:
                item = self._queue.popleft()
                if isinstance(item, _Job):
                    item.fail(self._reason())
