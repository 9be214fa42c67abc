"""What a run prints, written to its log as well, where it asks for that."""

from __future__ import annotations

import builtins
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.loglines import SILENCE, cut
from jupyter_wf.engine.runs import LiveRun

__all__ = ["printing"]


class _Printing:
    """Replaces the built-in ``print`` while at least one run wants its prints logged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The runs that want it. A set, because an interrupted `begin` is ended too.
        self._users: set[LiveRun] = set()
        self._original = builtins.print

    def begin(self, live: LiveRun) -> None:
        with self._lock:
            self._users.add(live)
            if builtins.print != self._print:
                self._original = builtins.print
                builtins.print = self._print

    def end(self, live: LiveRun | None) -> None:
        with self._lock:
            # Also those whose own end was interrupted.
            self._users = {user for user in self._users if user is not live and user.is_open}
            # Somebody else may have replaced it meanwhile: theirs stays.
            if not self._users and builtins.print == self._print:
                builtins.print = self._original

    def _print(self, *values: Any, sep: Any = " ", end: Any = "\n", file: Any = None, **more: Any) -> None:
        live = CURRENT.get()
        elsewhere = file is not None and file is not sys.stdout and file is not sys.stderr
        if live is None or not live.log_prints or elsewhere or SILENCE.depth:
            self._original(*values, sep=sep, end=end, file=file, **more)
            if live is None:
                self.end(None)
            return
        if (sep is not None and not isinstance(sep, str)) or (end is not None and not isinstance(end, str)):
            # It says what is wrong.
            self._original(*values, sep=sep, end=end, file=file, **more)
            return
        # As one text: each value is asked for its text once, each write may cost a change of threads, and the line's
        # end is not to come after another thread's line.
        text = (" " if sep is None else sep).join([str(value) for value in values]) + ("\n" if end is None else end)
        self._original(text, end="", file=file, **more)
        text = text.rstrip()
        if text:
            live.log(logging.INFO, cut(text), "jupyter_wf.print")


_printing = _Printing()


@contextmanager
def printing(live: LiveRun) -> Iterator[None]:
    """While the block runs, what ``live`` and the runs below it print is also written to their logs."""
    live.log_prints = True
    try:
        _printing.begin(live)
        yield
    finally:
        _printing.end(live)
