"""Telling this process's own listeners of runs: that one begins here, that one has failed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jupyter_wf.engine.runs import LiveRun

__all__ = ["Listeners"]

_log = logging.getLogger(__name__)


class Listeners:
    """Those who hear of something that happens to runs; ``what`` says what that is, for the log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._listeners: list[Callable[[LiveRun], None]] = []

    def subscribe(self, callback: Callable[[LiveRun], None]) -> Callable[[], None]:
        """Add a listener; return the function that removes it."""
        self._listeners.append(callback)

        def remove() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return remove

    def tell(self, live: LiveRun) -> None:
        """Call the listeners. One that raises is logged: a view must not stop the work."""
        for callback in list(self._listeners):
            try:
                callback(live)
            except Exception:
                _log.exception("a listener failed at the %s of run %s", self._what, live.id)
