"""Log lines of runs: from loggers, and from ``print`` where a run asks for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import InvalidRequest, MissingContextError
from jupyter_wf.core.events import LogWritten
from jupyter_wf.core.secrets import mask
from jupyter_wf.core.settings import EXTRA_LOGGERS_VARIABLE
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.loglines import SILENCE, cut, least_level, level_number, show
from jupyter_wf.engine.recording import RECORDING
from jupyter_wf.engine.runs import LiveRun

if TYPE_CHECKING:
    from jupyter_wf.core.models import Run, RunKind

__all__ = [
    "ForeignRun",
    "RunLogHandler",
    "RunLogger",
    "include_loggers",
    "run_logger",
]

_WRITTEN = "_jupyter_wf_written"
_FLOW_LOGGER = logging.getLogger("jupyter_wf.flow_runs")
_TASK_LOGGER = logging.getLogger("jupyter_wf.task_runs")
_FORMATTER = logging.Formatter()


class ForeignRun:
    """A run that another process owns, as far as somebody here may write to its log."""

    __slots__ = ("flow_name", "id", "kind", "name", "parent", "runtime", "task_name")

    def __init__(self, run: Run, runtime: Host) -> None:
        self.id = run.id
        self.kind: RunKind = run.kind
        self.name = run.name
        self.flow_name = run.flow_name
        self.task_name = run.task_name
        self.parent: LiveRun | None = None
        self.runtime = runtime

    def log(self, level: int, message: str, logger: str = "jupyter_wf") -> None:
        """Write a log line; ``level`` is a number of the standard library's logging."""
        self.runtime.journal.append(LogWritten(self.id, time.time(), level, logger, mask(message)))


_Target = LiveRun | ForeignRun
#: The run that a run logger is writing to. It is not put into the record, which others may keep or pickle.
_TARGET: ContextVar[_Target | None] = ContextVar("jupyter_wf_log_target", default=None)


class RunLogHandler(logging.Handler):
    """Writes log records to the run that they are made in; each record once, however many loggers have the handler.

    Outside any run it does nothing but what logging does where there is no handler: warnings are shown on stderr.
    """

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Write the record unless a filter says no. No lock is needed: the journal takes entries from any thread."""
        passed = self.filter(record) if self.filters else record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record to its run's log, cut at 100,000 characters."""
        run = _TARGET.get() or CURRENT.get()
        facts = record.__dict__
        if _WRITTEN in facts:
            return
        facts[_WRITTEN] = True
        if run is None:
            if record.levelno >= logging.WARNING and logging.lastResort is not None and _only_ours(_origin(record)):
                logging.lastResort.handle(record)
            return
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{(self.formatter or _FORMATTER).formatException(record.exc_info)}"
            if record.stack_info:
                text = f"{text}\n{record.stack_info}"
            run.log(record.levelno, cut(text), record.name)
        except Exception:
            self.handleError(record)
            return
        if run.runtime.process.role == "python" and _only_ours(_origin(record)):
            show(_label(run), record.levelno, text)


_HANDLER = RunLogHandler()


def _only_ours(logger: logging.Logger) -> bool:
    """Return whether nobody but run log handlers gets what ``logger`` takes."""
    place: logging.Logger | None = logger
    while place is not None:
        for handler in place.handlers:
            if not isinstance(handler, RunLogHandler):
                return False
        place = place.parent if place.propagate else None
    return True


def _label(run: _Target) -> str:
    return f"{run.kind.capitalize()} run {run.name!r}"


def _logger(kind: str) -> logging.Logger:
    logger = _FLOW_LOGGER if kind == "flow" else _TASK_LOGGER
    # `logging.config` takes handlers off loggers that it has not been told of, and disables them.
    if logger.disabled or _HANDLER not in logger.handlers:
        if logger.level == logging.NOTSET:
            logger.setLevel(least_level())
        logger.addHandler(_HANDLER)
        logger.disabled = False
    return logger


def _origin(record: logging.LogRecord) -> logging.Logger:
    """Return the logger that made the record, without the lock of `logging.getLogger`."""
    known = logging.Logger.manager.loggerDict.get(record.name)
    return known if isinstance(known, logging.Logger) else logging.getLogger()


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of one run. ``extra`` becomes attributes of the records, for handlers of the user's own.

    Such handlers also find ``flow_run_id``, ``flow_run_name``, ``flow_name`` and, of a task's run, ``task_run_id``,
    ``task_run_name`` and ``task_name`` on each record.
    """

    def __init__(self, run: _Target | None, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(_logger(run.kind if run is not None else "task"), extra or {})
        self.run = run

    def isEnabledFor(self, level: int) -> bool:
        """Return whether a line of this level would be written."""
        return self.run is not None and not SILENCE.depth and self.logger.isEnabledFor(level)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line to the run's log and to whoever else listens to the logger. Never raises for the line's sake."""
        run, logger = self.run, self.logger
        if run is None or SILENCE.depth or not logger.isEnabledFor(level):
            return
        # A record is only made where somebody could see it: it costs more than all the rest.
        if not kwargs and not logger.filters and not _HANDLER.filters and not _HANDLER.level and _only_ours(logger):
            try:
                text = _message(msg, args)
                run.log(level, cut(text), logger.name)
            except Exception:
                # The long way says what is wrong as logging does.
                pass
            else:
                if run.runtime.process.role == "python":
                    show(_label(run), level, text)
                return
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        self.process(msg, kwargs)
        token = _TARGET.set(run)
        try:
            logger._log(level, msg, args, **kwargs)
        finally:
            _TARGET.reset(token)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Return the message as it is, and ``kwargs`` with the facts of the run under the line's own ``extra``."""
        facts = _facts(self.run) if self.run is not None else {}
        if self.extra:
            facts.update(self.extra)
        if kwargs.get("extra"):
            facts.update(kwargs["extra"])
        kwargs["extra"] = facts
        return msg, kwargs

    def getChild(self, suffix: str, extra: Mapping[str, object] | None = None) -> RunLogger:
        """Return a logger of the same run whose name has ``.suffix`` at its end, and with further ``extra``."""
        child = RunLogger(self.run, {**(self.extra or {}), **(extra or {})})
        child.logger = self.logger.getChild(suffix)
        return child


def _message(msg: object, args: tuple[object, ...]) -> str:
    """Return the text of a line as `logging.LogRecord` makes it."""
    text = msg if type(msg) is str else str(msg)
    if not args:
        return text
    if len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        return text % args[0]
    return text % args


def _facts(run: _Target) -> dict[str, object]:
    """Return what the records of a run's logger are told of it, under Prefect's names."""
    facts: dict[str, object] = {}
    if run.kind == "task":
        facts = {"task_run_id": run.id, "task_run_name": run.name, "task_name": run.task_name}
    place: _Target | None = run
    while place is not None and place.kind != "flow":
        place = place.parent
    if place is not None:
        facts["flow_run_id"] = place.id
        facts["flow_run_name"] = place.name
        facts["flow_name"] = place.flow_name
    return facts


def run_logger(run: _Target | None = None, extra: Mapping[str, object] | None = None) -> RunLogger:
    """Return a logger that writes to ``run``, by default to the run that the caller is part of.

    Raises `MissingContextError` outside any run, unless run loggers are silenced (`SILENCE`).
    """
    target = run or CURRENT.get()
    # Where a flow is only drawn nobody reads the lines.
    if target is None and not SILENCE.depth and RECORDING.get() is None:
        raise MissingContextError(
            "there is no active flow or task run: call get_run_logger() inside one, or use disable_run_logger()"
        )
    return RunLogger(target, extra)


class _Included:
    """The further loggers whose records go to runs, each with how often it was asked for and the level it had."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, int]] = {}

    def add(self, name: str, level: int | None) -> None:
        logger = logging.getLogger(None if name == "root" else name)
        with self._lock:
            times, before = self._known.get(name, (0, logger.level))
            self._known[name] = times + 1, before
            if level is not None:
                logger.setLevel(level)
            elif logger.level == logging.NOTSET:
                logger.setLevel(least_level())
            logger.addHandler(_HANDLER)

    def remove(self, name: str) -> None:
        logger = logging.getLogger(None if name == "root" else name)
        with self._lock:
            times, before = self._known[name]
            if times > 1:
                self._known[name] = times - 1, before
                return
            del self._known[name]
            logger.removeHandler(_HANDLER)
            logger.setLevel(before)


_included = _Included()


def include_loggers(*names: str, level: str | int | None = None) -> Callable[[], None]:
    """Have what these loggers, and those below them, take written to the run it is logged in; return what ends it.

    ``level`` (a name or number) becomes their level; when None, one without a level of its own gets that of run
    loggers. ``"root"`` is every logger that propagates. Raises `InvalidRequest` for what is not a name or a level.
    """
    number = None if level is None else level_number(level)
    for name in names:
        given: object = name
        if not isinstance(given, str) or not given.strip():
            raise InvalidRequest("logger", name, "is not a logger's name, such as 'sklearn'")
    for name in names:
        _included.add(name, number)
    left = list(names)

    def end() -> None:
        while left:
            _included.remove(left.pop())

    return end


include_loggers(*filter(None, map(str.strip, os.environ.get(EXTRA_LOGGERS_VARIABLE, "").split(","))))
