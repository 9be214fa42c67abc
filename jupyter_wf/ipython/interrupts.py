"""The stop button where IPython would lose it: while it waits for a command, and while it shows what was stopped."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Deafness", "HeededInterrupts", "Noted", "noted_interrupts", "raised_interrupts"]

#: IPython's modules that wait for a command, end it on an interrupt, and then go on as if nothing had happened.
_SWALLOWING = ("IPython.utils._process", "IPython.core.magics.script")
_MAIN = threading.main_thread()
#: Seconds between two looks at whether IPython has come back from a command that was interrupted.
_LOOK = 0.02


@contextmanager
def raised_interrupts() -> Iterator[None]:
    """While the block runs in the main thread, an interrupt raises `KeyboardInterrupt` in it.

    In a cell that awaits ipykernel makes a callback of the event loop of it, which would not come while the block
    keeps the loop waiting. Where interrupts are ignored, or not handled by Python, they stay so.
    """
    with HeededInterrupts(signal.default_int_handler):
        yield


class HeededInterrupts:
    """While its block runs, an interrupt that reaches IPython's ``!command`` also reaches the code that called it.

    IPython ends the command and swallows the `KeyboardInterrupt`; here it is sent again as soon as IPython is back, at
    the latest raised where the block ends. The same goes for one that comes while Python runs something whose errors it
    ignores: finalizers, callbacks of weak references and of the garbage collector (ipykernel 6 has one). What the
    block's own code catches stays caught. ``handler`` takes the interrupts instead of what does now. Outside the main
    thread, or where interrupts are not handled by Python, it does nothing.
    """

    def __init__(self, handler: Callable[[int, FrameType | None], Any] | None = None) -> None:
        self._handler = handler
        self._previous: Callable[[int, FrameType | None], Any] | None = None
        self._hook: Callable[[Any], Any] = sys.unraisablehook
        self._over = threading.Event()
        self._repeater: threading.Thread | None = None
        self._owed = False

    def __enter__(self) -> HeededInterrupts:
        previous = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is _MAIN and callable(previous):
            self._previous, self._hook = previous, sys.unraisablehook
            sys.unraisablehook = self._ignored
            signal.signal(signal.SIGINT, self._heed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._previous is None:
            return
        if signal.getsignal(signal.SIGINT) == self._heed:
            signal.signal(signal.SIGINT, self._previous)
        if sys.unraisablehook == self._ignored:
            sys.unraisablehook = self._hook
        self._over.set()
        if self._repeater is not None:
            self._repeater.join()
        if self._owed and (error is None or isinstance(error, Exception)):
            # An error here says that the command was ended.
            raise KeyboardInterrupt from error

    def _heed(self, number: int, frame: FrameType | None) -> None:
        self._owed = False
        if _swallows(frame):
            self._owe()
        handler = self._handler or self._previous
        if handler is not None:
            handler(number, frame)

    def _ignored(self, unraisable: Any) -> None:
        """Take in that Python has ignored an error, as a hook of its."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self._owe()
            return
        try:
            self._hook(unraisable)
        except KeyboardInterrupt:
            # It would be ignored in its turn.
            self._owe()

    def _owe(self) -> None:
        self._owed = True
        if self._repeater is None:
            self._repeater = threading.Thread(target=self._repeat, name="jupyter-wf-interrupt", daemon=True)
            self._repeater.start()

    def _repeat(self) -> None:
        # Until it was heard: one that comes just before the main thread blocks is noticed only when that is over.
        while not self._over.wait(_LOOK):
            if self._owed and not _swallows(sys._current_frames().get(_MAIN.ident or 0)):
                signal.pthread_kill(_MAIN.ident or 0, signal.SIGINT)


def _swallows(frame: FrameType | None) -> bool:
    """Return whether the code of ``frame`` was called by something that swallows interrupts.

    That is what waits for a command, and a finalizer, such as that of a command's terminal: Python ignores its errors.
    """
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__", "").startswith(_SWALLOWING):
            return True
        frame = frame.f_back
    return False


class Deafness:
    """Drops the interrupts that come after the one that has stopped a cell, until the cell is over.

    Impatient people press the button twice. The second one would hit IPython while it shows the first, and ipykernel 7
    then never answers the request: the cell would look as if it ran for ever.
    """

    def __init__(self) -> None:
        self._previous: Any = None

    def begin(self, previous: Any = None) -> None:
        """Drop interrupts from now on, until ``previous`` (None: what there is now) takes care of them again.

        Does nothing outside the main thread.
        """
        if self._previous is None and threading.current_thread() is _MAIN:
            now = signal.signal(signal.SIGINT, _drop)
            self._previous = now if previous is None else previous

    def end(self) -> None:
        """Hear them again."""
        previous, self._previous = self._previous, None
        if previous is not None and signal.getsignal(signal.SIGINT) is _drop:
            signal.signal(signal.SIGINT, previous)


@dataclass(slots=True)
class Noted:
    """Whether an interrupt ``came``. No event: its lock may be held by the very code that a signal interrupts."""

    came: bool = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take an interrupt in, as a signal's handler."""
        self.came = True


@contextmanager
def noted_interrupts(deafness: Deafness) -> Iterator[Noted]:
    """While the block runs in the main thread, interrupts are noted, and do nothing else: nothing is torn apart.

    ``deafness`` begins where one came: all that follow mean the same. Where interrupts are ignored, or not handled by
    Python, they stay so.
    """
    noted, previous = Noted(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not _MAIN or not callable(previous):
        yield noted
        return
    signal.signal(signal.SIGINT, noted.note)
    try:
        yield noted
    finally:
        if noted.came:
            deafness.begin(previous)
        else:
            signal.signal(signal.SIGINT, previous)


def _drop(number: int, frame: FrameType | None) -> None:
    pass
