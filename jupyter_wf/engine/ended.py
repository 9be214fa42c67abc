"""Hearing of the end of runs of other processes: one thread for all who wait, as long as anybody does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_wf.core.errors import StoreError
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.tail import Tail
from jupyter_wf.store.base import Store

__all__ = ["Endings", "endings_of"]

#: How often (seconds) all runs are looked at without an event: that their process has died is none.
_RECHECK = 0.5


class Endings:
    """Calls functions when runs have ended, whichever process executed them.

    ``interval`` in seconds is how often the database is looked at, which costs microseconds.
    """

    def __init__(self, store: Store, interval: float) -> None:
        self._store = store
        self._interval = interval
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Callable[[], Any]]] = {}
        self._tail: Tail | None = None

    def watch(self, run_id: str, callback: Callable[[], Any]) -> Callable[[], None]:
        """Have ``callback`` called, on another thread, when the run has ended, or can't be looked at any more.

        Whoever asks looks at the run again afterwards: it may have ended before. Returns what takes it back.
        """
        with self._lock:
            self._waiting.setdefault(run_id, []).append(callback)
            if self._tail is None:
                self._tail = Tail(self._store, interval=self._interval, with_logs=False)
                work = threading.Thread(target=self._work, args=(self._tail,), name="jupyter-wf-endings", daemon=True)
                work.start()

        def forget() -> None:
            with self._lock:
                callbacks = self._waiting.get(run_id, [])
                if callback in callbacks:
                    callbacks.remove(callback)
                if not callbacks:
                    self._waiting.pop(run_id, None)
                if not self._waiting and self._tail is not None:
                    self._tail.close()
                    self._tail = None

        return forget

    def _work(self, tail: Tail) -> None:
        looked = 0.0
        try:
            while self._tail is tail:
                events = tail.wait(_RECHECK)
                with self._lock:
                    ids = set(self._waiting)
                now = time.monotonic()
                if now - looked < _RECHECK:
                    ids &= {event.run_id for event in events if event.kind == "state"}
                else:
                    looked = now
                for run in self._store.get_runs(ids).values():
                    if run.state.is_closed():
                        self._call(run.id)
        except StoreError:
            # Whoever waits looks at the run, and sees the trouble.
            for run_id in list(self._waiting):
                self._call(run_id)

    def _call(self, run_id: str) -> None:
        for callback in list(self._waiting.get(run_id, ())):
            callback()


_known: WeakKeyDictionary[Host, Endings] = WeakKeyDictionary()
_lock = threading.Lock()


def endings_of(host: Host) -> Endings:
    """Return the one object of its kind that a process needs for its store."""
    with _lock:
        found = _known.get(host)
        if found is None:
            found = _known[host] = Endings(host.store, host.settings.tail_interval)
        return found
