"""Makes CRASHED what a dead process left open, within a second of its death."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from jupyter_wf.store.base import Store

__all__ = ["Reaper"]

_log = logging.getLogger(__name__)


class Reaper:
    """A thread that looks after open runs while there are any.

    It looks every ``interval`` seconds, but asks the store no more than whether something was committed while it knows
    of no open run. ``clock`` gives epoch seconds. ``on_look`` is called on the thread after each real look, with the
    number of open root runs whose process lives.
    """

    def __init__(
        self,
        store: Store,
        *,
        interval: float = 0.5,
        clock: Callable[[], float] = time.time,
        on_look: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._interval = interval
        self._clock = clock
        self._on_look = on_look
        self._version: int | None = None
        self._complaint = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jupyter_wf-reaper", daemon=True)
        #: Open root runs at the last look.
        self.open_runs = 0

    def start(self) -> None:
        """Begin to look, at once and then every ``interval`` seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended. A second call does nothing."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> list[str]:
        """Look once; return the ids of the runs that became CRASHED. For one thread only. Raises `StoreError`."""
        version = self._store.data_version()
        if version == self._version and not self.open_runs:
            return []
        reaped = self._store.reap(self._clock())
        self.open_runs = self._store.open_roots()
        self._version = version
        if self._on_look:
            self._on_look(self.open_runs)
        return reaped

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                for run_id in self.look():
                    _log.info("run %s is CRASHED: its process is gone", run_id)
                self._complaint = ""
            except Exception as error:  # the thread must outlive whatever one look meets
                if str(error) != self._complaint:
                    _log.warning("open runs could not be looked after: %s", error, exc_info=True)
                self._complaint = str(error)
            self._stopped.wait(self._interval)
