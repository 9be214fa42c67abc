"""Log lines of runs: from loggers, and from ``print`` where a run asks for it."""

from __future__ import annotations

import builtins
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_wf.core.errors import MissingContextError
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.runs import LiveRun

__all__ = ["RunLogHandler", "printing", "run_logger"]

_LONGEST_LINE = 100_000
_FIELD = "jupyter_wf_run"


class RunLogHandler(logging.Handler):
    """Writes log records to the run that they belong to; records from outside any run are left alone."""

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record to its run's log, cut at 100,000 characters."""
        live: LiveRun | None = getattr(record, _FIELD, None) or CURRENT.get()
        if live is None:
            return
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{(self.formatter or _FORMATTER).formatException(record.exc_info)}"
            live.log(record.levelno, _cut(text), record.name)
        except Exception:
            self.handleError(record)


_FORMATTER = logging.Formatter()
_CONSOLE = logging.Formatter(
    "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(jupyter_wf_label)s - %(message)s", "%H:%M:%S"
)


class _ConsoleHandler(logging.Handler):
    """Shows a run's log lines on stderr in a plain Python program that has not set logging up itself."""

    def emit(self, record: logging.LogRecord) -> None:
        live: LiveRun | None = getattr(record, _FIELD, None)
        if live is None or live.runtime.process.role != "python" or logging.getLogger().handlers:
            return
        record.jupyter_wf_label = f"{live.kind.capitalize()} run {live.name!r}"
        try:
            sys.stderr.write(f"{_CONSOLE.format(record)}\n")
        except Exception:
            self.handleError(record)


def _cut(text: str) -> str:
    """Return ``text`` with what is beyond 100,000 characters left out, and said so."""
    if len(text) <= _LONGEST_LINE:
        return text
    return f"{text[:_LONGEST_LINE]}… ({len(text) - _LONGEST_LINE} characters left out)"


def _logger(kind: str) -> logging.Logger:
    logger = logging.getLogger(f"jupyter_wf.{'flow' if kind == 'flow' else 'task'}_runs")
    if not any(isinstance(handler, RunLogHandler) for handler in logger.handlers):
        logger.addHandler(RunLogHandler())
        logger.addHandler(_ConsoleHandler())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    return logger


def run_logger(live: LiveRun | None = None) -> logging.LoggerAdapter[logging.Logger]:
    """Return a logger that writes to ``live``, by default to the run that the caller is part of.

    Raises `MissingContextError` outside any run.
    """
    run = live or CURRENT.get()
    if run is None:
        raise MissingContextError("there is no active flow or task run: call get_run_logger() inside one")
    return logging.LoggerAdapter(_logger(run.kind), {_FIELD: run})


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

    def _print(
        self, *values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, **more: Any
    ) -> None:
        self._original(*values, sep=sep, end=end, file=file, **more)
        live = CURRENT.get()
        if live is None:
            self.end(None)
            return
        if not live.log_prints or (file is not None and file not in (sys.stdout, sys.stderr)):
            return
        text = (" " if sep is None else sep).join(map(str, values))
        if text.strip():
            live.log(logging.INFO, _cut(text), "jupyter_wf.print")


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
