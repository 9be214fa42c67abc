"""Stopping synchronous work: an exception raised in the thread that does it, for a cancellation or a time-out.

The main thread is reached by a real signal, so that it also leaves a blocking system call (`time.sleep`); other threads
get the exception at their next bytecode. SIGURG is used because its default is to be ignored: one that arrives late,
or after our handler was replaced, does no harm.
"""

from __future__ import annotations

import heapq
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from types import FrameType
from typing import Any

__all__ = ["Abandoned", "Deadlines", "Interruption", "Target", "interrupt_thread", "look_at_handler"]


class Interruption(BaseException):
    """Raised inside work that is to stop. Not an `Exception`, so that ``except Exception`` does not swallow it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        # It is made in the thread that it is raised in, not where that was asked for.
        for target in _fired.get(threading.get_ident(), ()):
            target.raised = True


class Abandoned(BaseException):
    """Raised in a thread whose work was given up, when the work ends at last: somebody else has taken over its run."""


class Target:
    """The thread that does a piece of synchronous work, for as long as the work may be interrupted.

    Used as a context manager around the call. ``fire`` may be called from any thread, any number of times; after the
    block has ended it does nothing, and an exception on its way to the thread is taken back.
    """

    __slots__ = ("_abandoned", "_fired", "_ident", "_lock", "_on", "raised", "times")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on = False
        self._fired = False
        self._abandoned = False
        #: How often it was fired.
        self.times = 0
        #: Whether the exception has reached the thread.
        self.raised = False
        self._ident = 0

    def __enter__(self) -> Target:
        self._ident = threading.get_ident()
        if self._ident == _MAIN.ident and not _handler.installed:
            _handler.install()
        self._on = True
        return self

    def __exit__(self, *exc: object) -> None:
        # Taken without blocking on a signal: `fire` holds the lock for a few instructions of another thread only.
        self._on = False
        with self._lock:
            fired = self._fired
        if fired and self._ident != _MAIN.ident:
            _raise_in(self._ident, None)
            self._forget()
        if self._abandoned:
            raise Abandoned

    def _forget(self) -> None:
        others = tuple(target for target in _fired.get(self._ident, ()) if target is not self)
        if others:
            _fired[self._ident] = others
        else:
            _fired.pop(self._ident, None)

    @property
    def pending(self) -> bool:
        """Whether the signal handler has to raise now."""
        return self._on and self._fired and not self.raised

    def fire(self) -> bool:
        """Raise `Interruption` in the thread, if the block is still running; return whether it may have been missed.

        A signal that arrives in the microsecond before the main thread blocks in a system call is only noticed when
        that call returns; in another thread the exception can be lost in a destructor or a callback. Whoever needs
        certainty fires again while this returns true; once the exception was raised nothing more happens, so that the
        work's own clean-up is left in peace.
        """
        with self._lock:
            if not self._on or self.raised:
                return False
            if self._ident != _MAIN.ident and not self._fired:
                _fired[self._ident] = (*_fired.get(self._ident, ()), self)
            self._fired = True
            self.times += 1
            interrupt_thread(self._ident, self)
            return True

    def abandon(self) -> bool:
        """Give the work up, if it is still running and nothing has reached it; return whether it is given up now.

        When it ends at last, the block ends with `Abandoned`.
        """
        with self._lock:
            if not self._on or self.raised:
                return False
            self._on = False
            self._abandoned = True
            return True


def interrupt_thread(ident: int, target: Target) -> None:
    """Raise `Interruption` in the thread ``ident``; in the main thread only while ``target`` is pending."""
    if ident == _MAIN.ident and _SIGNAL is not None:
        _wanted.append(target)
        signal.pthread_kill(ident, _SIGNAL)
    elif not _starting():
        _raise_in(ident, Interruption)


def _starting() -> bool:
    """Return whether a thread is being started.

    Before Python 3.12 a thread that has not begun goes by the number of the one that starts it, and would be the one
    to get the exception; its starter would then wait for it for ever.
    """
    return sys.version_info < (3, 12) and bool(getattr(threading, "_limbo", None))


def _raise_in(ident: int, error: type[BaseException] | None) -> None:
    """Have a thread raise ``error`` at its next bytecode; None takes back what it has not raised yet."""
    # Only an interrupted thread needs it.
    import ctypes

    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), what)


_MAIN = threading.main_thread()
_SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)
_wanted: list[Target] = []
#: The targets in each thread but the main one whose exception is on its way, or was raised, by the thread's number.
_fired: dict[int, tuple[Target, ...]] = {}


def _handle(signum: int, frame: FrameType | None) -> None:
    # One exception does for all of them: a call that was stopped passes the stop on to the ones around it.
    stopping = [target for target in _wanted if target.pending]
    _wanted.clear()
    for target in stopping:
        target.raised = True
    if stopping:
        raise Interruption


class _Handler:
    """Whether our signal handler is in place. Looked at anew for each root run, because a program may replace it."""

    def __init__(self) -> None:
        self.installed = False

    def install(self) -> None:
        """Put the handler in place. Only in the main thread."""
        if _SIGNAL is not None and signal.getsignal(_SIGNAL) is not _handle:
            signal.signal(_SIGNAL, _handle)
        self.installed = True


_handler = _Handler()


def look_at_handler() -> None:
    """Have the next call in the main thread see to it that our signal handler is in place."""
    _handler.installed = False


class Deadlines:
    """One thread that calls functions at given moments; it ends itself when nothing was due for a while."""

    def __init__(self, idle: float = 5.0) -> None:
        self._idle = idle
        self._heap: list[tuple[float, int, Callable[[], Any]]] = []
        self._ids = count()
        # Taken by itself, in C: an interrupt inside the condition's own `__enter__` would leave it taken for ever.
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def add(self, seconds: float, callback: Callable[[], Any]) -> int:
        """Call ``callback`` in ``seconds`` from now, on this object's thread; return a number for `drop`."""
        with self._lock:
            number = next(self._ids)
            heapq.heappush(self._heap, (time.monotonic() + seconds, number, callback))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="jupyter-wf-deadlines", daemon=True)
                self._thread.start()
            else:
                self._condition.notify()
            return number

    def drop(self, number: int) -> None:
        """Forget a callback; nothing happens where it has been called already."""
        with self._lock:
            self._heap = [item for item in self._heap if item[1] != number]
            heapq.heapify(self._heap)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._heap:
                    self._condition.wait(self._idle)
                    if not self._heap:
                        self._thread = None
                        return
                wait = self._heap[0][0] - time.monotonic()
                if wait > 0:
                    self._condition.wait(min(wait, 30.0))
                    continue
                callback = heapq.heappop(self._heap)[2]
            callback()
