"""Seeing what other processes have committed: new events, and requests to the runs that this process owns."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from jupyter_wf.core.errors import StoreError
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.store.base import Store

if TYPE_CHECKING:
    from jupyter_wf.core.models import Event
    from jupyter_wf.core.processes import Request

__all__ = ["RequestWatcher", "Tail"]

_log = logging.getLogger(__name__)


class Tail:
    """Reads the stream of events as it grows. For one thread.

    ``after`` is the sequence number to begin behind (the newest event when None); ``interval`` in seconds is how often
    the database is looked at, which costs microseconds.
    """

    def __init__(
        self, store: Store, after: int | None = None, interval: float = 0.03, *, with_logs: bool = True
    ) -> None:
        self._store = store
        self._interval = interval
        self._with_logs = with_logs
        self._closed = threading.Event()
        self._version: int | None = None
        self.after = store.last_seq() if after is None else after

    def wait(self, timeout: float) -> list[Event]:
        """Return the next events, at most 1,000, as soon as there are any; an empty list after ``timeout`` seconds.

        Returns an empty list at once after `close`.
        """
        until = time.monotonic() + timeout
        while not self._closed.is_set():
            version = self._store.data_version()
            if version != self._version:
                events = self._store.events(after=self.after, limit=1000, with_logs=self._with_logs)
                if events:
                    self.after = events[-1].seq
                    return events
                # Remembered only when there was nothing left: a full page may have more behind it.
                self._version = version
            left = until - time.monotonic()
            if left <= 0:
                break
            self._closed.wait(min(self._interval, left))
        return []

    def close(self) -> None:
        """Make a waiting `wait` return; may be called from another thread."""
        self._closed.set()


class RequestWatcher:
    """Looks, while this process owns open runs, for requests to them, and carries them out.

    One daemon thread; while only ended runs are kept (for a later retry) it looks every `IDLE_INTERVAL` seconds. One
    that has completed is let go of, with what it was given and has returned.
    """

    IDLE_INTERVAL = 0.25
    KEPT = 100

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, LiveRun] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._after = 0

    def add(self, live: LiveRun) -> None:
        """Watch a run that has no parent in this process; its descendants are found through it."""
        with self._lock:
            if len(self._runs) >= self.KEPT:
                self._forget()
            self._runs[live.id] = live
            # An interrupt may have kept the last one from its start.
            if (self._thread is None or not self._thread.is_alive()) and not self._stop.is_set():
                self._thread = threading.Thread(target=self._work, name="jupyter-wf-requests", daemon=True)
                self._thread.start()

    def _forget(self) -> None:
        """Drop what has ended: first what can't be tried again, then the oldest of the others."""
        for live in [run for run in self._runs.values() if not run.is_open and run.rerun is None]:
            del self._runs[live.id]
        ended = [run.id for run in self._runs.values() if not run.is_open]
        for run_id in ended[: max(0, len(self._runs) - self.KEPT + 1)]:
            del self._runs[run_id]

    def find(self, run_id: str) -> LiveRun | None:
        """Return a watched run or an open descendant of one."""
        with self._lock:
            stack = list(self._runs.values())
        while stack:
            live = stack.pop()
            if live.id == run_id:
                return live
            stack.extend(list(live.children.values()))
        return None

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _work(self) -> None:
        store = self._host.store
        version: int | None = None
        while not self._stop.is_set():
            try:
                now = store.data_version()
                if now != version:
                    version = now
                    for request in store.requests(after=self._after, process_id=self._host.process.id):
                        self._after = request.id
                        store.answer(request.id, self._carry_out(request))
            except StoreError as error:
                _log.warning("requests can't be read: %s", error)
                self._stop.wait(1.0)
            self._let_go()
            self._stop.wait(self._pause())

    def _let_go(self) -> None:
        with self._lock:
            for run_id in [run.id for run in self._runs.values() if run.state.is_completed()]:
                del self._runs[run_id]

    def _pause(self) -> float:
        with self._lock:
            busy = any(run.is_open for run in self._runs.values())
        return self._host.settings.tail_interval if busy else self.IDLE_INTERVAL

    def _carry_out(self, request: Request) -> str:
        live = self.find(request.run_id)
        if live is None:
            return "the run has ended"
        if request.kind == "cancel":
            live.cancel("cancelled on request")
            return "cancelling"
        if request.kind == "pause":
            # Few runs are.
            from jupyter_wf.engine.pausing import pause_on_request

            return pause_on_request(live)
        if request.kind == "resume":
            resume = live.resume
            return "the run is not paused" if resume is None else str(resume(request.payload))
        if live.retry_now():
            return "retrying now"
        if live.is_open or live.state.is_completed():
            return f"the run is {live.state.name}: nothing to retry"
        if live.rerun is None:
            return "this run can't be tried again on its own"
        self._host.rerun(live)
        return "retrying"
