"""What the ways to a run's log have in common: how long a line may be, which count, and how they are shown."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from jupyter_wf.core.errors import InvalidRequest

if TYPE_CHECKING:
    from jupyter_wf.engine.runs import LiveRun

__all__ = ["LEVEL_VARIABLE", "SILENCE", "cut", "least_level", "level_number", "show", "tell"]

#: The lowest level that run loggers take: a name or a number of the standard library's logging; INFO when not set.
LEVEL_VARIABLE = "JUPYTER_WF_LOGGING_LEVEL"
_LONGEST_LINE = 100_000


def cut(text: str) -> str:
    """Return ``text`` with what is beyond 100,000 characters left out, and said so."""
    if len(text) <= _LONGEST_LINE:
        return text
    return f"{text[:_LONGEST_LINE]}… ({len(text) - _LONGEST_LINE} characters left out)"


def level_number(level: str | int, name: str = "level") -> int:
    """Return the number of a level given by its name (in any case) or number; `InvalidRequest` for anything else.

    ``name`` is what the message calls the value.
    """
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    text = level.strip().upper()
    if text in known:
        return known[text]
    if text.isascii() and text.isdigit():
        return int(text)
    raise InvalidRequest(name, level, f"is not a level of logging; give a number or one of {', '.join(known)}")


def least_level() -> int:
    """Return the lowest level that run loggers take: what the environment says. `InvalidRequest` for nonsense."""
    return level_number(os.environ.get(LEVEL_VARIABLE) or "INFO", LEVEL_VARIABLE)


class _Silence:
    """How many blocks want that nothing is written to the logs of runs by loggers and prints."""

    __slots__ = ("_lock", "depth")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.depth = 0

    def begin(self) -> None:
        with self._lock:
            self.depth += 1

    def end(self) -> None:
        with self._lock:
            self.depth -= 1


#: While its ``depth`` is above 0, run loggers of this process write nowhere, and can be had outside any run.
SILENCE = _Silence()


class _Clock:
    """The time of day as text, made once a second."""

    __slots__ = ("second",)

    def __init__(self) -> None:
        self.second = (-1, "")

    def text(self) -> str:
        now = time.time()
        second, text = self.second
        if second != int(now):
            second, text = self.second = int(now), time.strftime("%H:%M:%S", time.localtime(now))
        return f"{text}.{int(now % 1 * 1000):03d}"


_clock = _Clock()


def show(label: str, level: int, text: str) -> None:
    """Show a log line on stderr, with the time, the level and ``label`` before it."""
    stream = sys.stderr
    if stream is not None:
        # The line is in the store already; a terminal that is gone is no reason to say more.
        with suppress(OSError, ValueError):
            stream.write(f"{_clock.text()} | {logging.getLevelName(level):<7} | {label} - {text}\n")


def tell(live: LiveRun, level: int, text: str) -> None:
    """Write what the engine has to say of a run to its log; show it in a program that has not set logging up."""
    live.log(level, text)
    if live.runtime.process.role == "python" and not logging.getLogger().handlers:
        show(f"{live.kind.capitalize()} run {live.name!r}", level, text)
