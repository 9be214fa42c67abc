"""What runs in a worker process: takes one call after the other from its line and sends back how each ended.

The main thread makes the calls, so that a signal reaches them. SIGINT stops the call, and the worker ends after it.
When the parent hangs up or is gone, the worker and all that its call has started are killed, whatever they are doing;
an idle worker leaves in good order.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import pickle
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from jupyter_wf.executors.line import CALL, END, HELLO, LAST, LOG, READY, Line
from jupyter_wf.executors.parcels import answer

__all__ = ["main"]

#: How long (seconds) an idle worker may take to leave, before it is killed with all that it has started.
_GRACE = 2.0
#: How often (seconds) a worker looks whether its parent is still the same: a copy of the parent's end of the line may
#: live on in another child of the parent.
_LOOK = 1.0


class _Worker:
    """The line to the parent, and whether the worker is to end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._line = Line(fd)
        self._sending = threading.Lock()
        self._main_sends = False
        self._interrupted = False
        self._idle = threading.Event()
        self._parent = os.getppid()

    def serve(self) -> None:
        """Take calls until the parent hangs up or interrupts."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        threading.Thread(target=self._watch, name="jupyter-wf-parent", daemon=True).start()
        try:
            self._send(READY)
            while not self._is_interrupted():
                self._idle.set()
                kind, payload = self._line.receive()
                self._idle.clear()
                if kind == HELLO:
                    sys.path[:] = pickle.loads(payload)
                elif kind == CALL:
                    outcome = answer(payload, self.log)
                    del payload
                    _flush()
                    self._send(LAST if self._is_interrupted() else END, outcome)
        finally:
            self._idle.set()

    def log(self, level: int, message: str, logger: str) -> None:
        """Send a log line of the call; on any thread."""
        # Nobody is there to be told when the parent is gone.
        with suppress(OSError):
            self._send(LOG, pickle.dumps((level, message, logger), 5))

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        if threading.current_thread() is not threading.main_thread():
            with self._sending:
                self._line.send(kind, payload)
            return
        # An interrupt in the middle of a frame would make the rest of the line unreadable: it is raised behind it.
        before, self._main_sends = self._interrupted, True
        try:
            with self._sending:
                self._line.send(kind, payload)
        finally:
            self._main_sends = False
        if self._interrupted and not before and kind == LOG:
            raise KeyboardInterrupt

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        self._interrupted = True
        if not self._main_sends:
            raise KeyboardInterrupt

    def _is_interrupted(self) -> bool:
        return self._interrupted

    def _watch(self) -> None:
        """Wait for the parent to hang up or to be gone, and see to it that this process ends too."""
        hung_up = select.poll()
        hung_up.register(self._fd, 0)
        while not hung_up.poll(_LOOK * 1000) and os.getppid() == self._parent:
            pass
        if self._idle.is_set():
            # The main thread leaves when it finds that nobody is there, and this one with it.
            threading.Event().wait(_GRACE)
        os.killpg(0, signal.SIGKILL)


def _die_with_the_owner_of(lifeline: int) -> None:
    """Have the kernel kill this process group when nobody holds the other end of ``lifeline`` (a pipe) any more.

    On Linux. It also reaches a call in C code that keeps the interpreter's lock, and with it every thread, for itself.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # They may have been closed, or replaced by something else.
        with suppress(Exception):
            stream.flush()


def main(fd: int, lifeline: int) -> None:
    """Be a worker at the end ``fd`` of a line, while somebody holds the end of ``lifeline``; does not return."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _die_with_the_owner_of(lifeline)
    worker = _Worker(fd)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        worker.serve()
    _leave()


def _leave() -> None:
    """End the process at once, but with what others have registered for its end; threads are not waited for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_exit_functions: Callable[[], Any] = atexit._run_exitfuncs
    run_exit_functions()
    _flush()
    os._exit(0)
