"""One worker process as its parent sees it: started, spoken to, stopped step by step, buried."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from jupyter_wf.executors.line import CALL, END, HELLO, LAST, LOG, READY, Line

__all__ = ["INTERRUPT_GRACE", "KILL_GRACE", "TERMINATE_GRACE", "Child", "WorkerDied"]

T = TypeVar("T")

#: How long (seconds) a call has to end after SIGINT, and then after SIGTERM, before the next step is taken.
INTERRUPT_GRACE = 1.0
TERMINATE_GRACE = 0.5
#: How long (seconds) the end of a killed process is waited for: one that the kernel holds on to is left to it.
KILL_GRACE = 5.0

#: Where a worker finds this package before it has been told its parent's path.
_ROOT = str(Path(__file__).parents[2])
_START = "import sys; sys.path.insert(0, {!r}); from jupyter_wf.executors.worker import main; main({}, {})"


class WorkerDied(Exception):
    """The process ended, or hung up, without saying how its call ended; ``how`` says how it ended itself."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Child:
    """A worker process in a session and process group of its own. Used by one thread, which nobody interrupts."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        try:
            fds = theirs.fileno(), lifeline
            command = [sys.executable, *_flags(), "-c", _START.format(_ROOT, *fds)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=fds, start_new_session=True)
        except BaseException:
            ours.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(lifeline)
        self._line = Line(ours.detach(), self._tick)
        self._ready = False
        self._wanted: Callable[[], bool] = _always
        self._next = signal.SIGINT
        self._at: float | None = None
        #: Whether it can be given another call.
        self.usable = True
        #: Where it has been told to find modules.
        self._path: list[str] = []

    @property
    def pid(self) -> int:
        """The number of the process, and of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still be spoken to."""
        return self.usable and self._process.poll() is None

    def call(self, parcel: bytes, log: Callable[[int, str, str], Any], wanted: Callable[[], bool]) -> bytearray:
        """Have the worker make a call and return what it says of its end.

        ``log`` is given its log lines; what it raises goes to the caller. When ``wanted`` says no, the call is stopped
        by SIGINT, then SIGTERM, then SIGKILL to its process group. Raises `WorkerDied` where the process ends first.
        """
        self._wanted = wanted
        if self._path != sys.path:
            self._path = path = list(sys.path)
            self._spoken(lambda: self._line.send(HELLO, pickle.dumps(path, 5)))
        self._spoken(lambda: self._line.send(CALL, parcel))
        while True:
            kind, payload = self._spoken(self._line.receive)
            if kind == LOG:
                try:
                    log(*pickle.loads(payload))
                except BaseException:
                    self.usable = False
                    raise
                # One that talks all the time never lets us look around otherwise.
                self._stop_if_unwanted()
            elif kind == READY:
                self._ready = True
            elif kind in (END, LAST):
                # A signal that is still on its way must not meet the next call.
                self.usable = kind == END and self._at is None
                return payload

    def _spoken(self, speak: Callable[[], T]) -> T:
        """Return what ``speak`` does over the line. Raises `WorkerDied` where nobody is at the other end."""
        try:
            return speak()
        except (EOFError, OSError):
            raise WorkerDied(self._how_it_ended()) from None

    def end(self) -> None:
        """Hang up and see the process to its end: an idle worker leaves by itself, another one is killed.

        Later calls do nothing.
        """
        if self._lifeline < 0:
            return
        self.usable = False
        self._line.close()
        if not self._ended_within(INTERRUPT_GRACE if self._at is None else TERMINATE_GRACE):
            self._signal(signal.SIGTERM)
            if not self._ended_within(TERMINATE_GRACE):
                self._signal(signal.SIGKILL)
                self._ended_within(KILL_GRACE)
        if self._at is not None:
            # What a stopped call has started and left behind.
            self._signal(signal.SIGKILL)
        self._let_go()

    def _tick(self) -> None:
        """Look, while the worker says nothing, whether the process has ended or its call is to stop."""
        if self._process.poll() is not None:
            raise EOFError("the process has ended")
        self._stop_if_unwanted()

    def _stop_if_unwanted(self) -> None:
        """Take the next step where the call is to stop and its grace is over."""
        if self._wanted():
            return
        now = time.monotonic()
        if self._at is not None and now < self._at:
            return
        # Before it is ready SIGINT would only make it complain.
        step = self._next if self._ready or self._next is not signal.SIGINT else signal.SIGTERM
        self._signal(step)
        if step is signal.SIGINT:
            self._next, self._at = signal.SIGTERM, now + INTERRUPT_GRACE
        elif step is signal.SIGTERM:
            self._next, self._at = signal.SIGKILL, now + TERMINATE_GRACE
        else:
            self._at = now + KILL_GRACE

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _ended_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _let_go(self) -> None:
        fd, self._lifeline = self._lifeline, -1
        if fd >= 0:
            os.close(fd)

    def _how_it_ended(self) -> str:
        self.usable = False
        self._line.close()
        if not self._ended_within(TERMINATE_GRACE):
            self._signal(signal.SIGKILL)
            self._ended_within(KILL_GRACE)
            return "hung up"
        # What it has started goes with it.
        self._signal(signal.SIGKILL)
        code = self._process.returncode
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"


def _always() -> bool:
    return True


def _flags() -> list[str]:
    """Return the interpreter's own options (-O, -W, -X …), so that workers behave like their parent."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags
