"""A thread that does small chores again and again, soon after it was nudged and otherwise now and then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

__all__ = ["Upkeep"]

_log = logging.getLogger(__name__)


class Upkeep:
    """Does every chore at the start, after each `nudge`, and every ``interval`` seconds.

    ``chores`` are by the words in which a failure is told: ``"the agent could not be started"``. One that fails keeps
    neither the others nor its next time from being done; the same failure is told once.
    """

    def __init__(self, chores: Mapping[str, Callable[[], object]], *, interval: float = 5.0) -> None:
        self._chores = dict(chores)
        self._interval = interval
        self._complaints: dict[str, str] = {}
        self._nudged = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jupyter_wf-upkeep", daemon=True)

    def start(self) -> None:
        """Begin, at once."""
        self._thread.start()

    def nudge(self) -> None:
        """Have the chores done soon. Safe from any thread."""
        self._nudged.set()

    def stop(self) -> None:
        """Return when the thread has ended. A second call does nothing."""
        self._stopped.set()
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> None:
        """Do every chore once; never raises what they raise."""
        for failed, chore in self._chores.items():
            try:
                chore()
                self._complaints.pop(failed, None)
            except Exception as error:  # the thread must outlive whatever one chore meets
                if self._complaints.get(failed) != str(error):
                    _log.warning("%s: %s", failed, error, exc_info=True)
                self._complaints[failed] = str(error)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._nudged.clear()
            self.step()
            self._nudged.wait(self._interval)
