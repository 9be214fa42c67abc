"""What becomes of a flow in a runner process that does not stop when it is to: TERM, then KILL, some seconds apart."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import TracebackType

from jupyter_wf.core.errors import InvalidTransition, StoreError
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun

__all__ = ["GRACE", "Guard"]

#: Seconds to wait after each of interrupt, TERM and KILL.
GRACE = 5.0
_WARNING = 30


class Guard:
    """A context around the execution of a root run in this process, which leads a group of processes.

    A cancellation and a time-out (``timeout``, seconds) first interrupt the flow as they always do. Where the run is
    still open `GRACE` seconds later, the process gets SIGTERM, and the same time after that its record is closed and
    the whole group killed.
    """

    def __init__(self, live: LiveRun, timeout: float | None) -> None:
        self._live = live
        self._timeout = timeout
        self._ended = threading.Event()
        self._cancelled = threading.Event()
        self._forget = live.on_cancel(self._cancelled.set)

    def __enter__(self) -> None:
        # Two threads, because each waits for one thing; most of the time they cost nothing.
        threading.Thread(target=self._after_cancel, name="jupyter-wf-guard", daemon=True).start()
        if self._timeout is not None:
            threading.Thread(target=self._after_timeout, name="jupyter-wf-time-out", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ended.set()
        self._cancelled.set()
        self._forget()

    def _after_cancel(self) -> None:
        self._cancelled.wait()
        self._escalate(StateType.CANCELLED, None, "cancelled on request; it did not stop by itself")

    def _after_timeout(self) -> None:
        if not self._ended.wait(self._timeout):
            told = f"it took longer than {self._timeout:g} s, and did not stop by itself"
            self._escalate(StateType.FAILED, "TimedOut", told)

    def _escalate(self, type_: StateType, name: str | None, message: str) -> None:
        live = self._live
        if self._ended.wait(GRACE):
            return
        live.log(_WARNING, f"the flow did not stop within {GRACE:g} s: its process is ended")
        os.kill(os.getpid(), signal.SIGTERM)
        if self._ended.wait(GRACE):
            return
        # It may have ended at last, and only its process has not.
        with suppress(InvalidTransition):
            live.set_state(type_, name, message)
        with suppress(StoreError, TimeoutError):
            live.runtime.journal.flush(GRACE)
        os.killpg(0, signal.SIGKILL)
