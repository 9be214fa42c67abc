"""The line below a cell that waits for tasks in the background."""

from __future__ import annotations

import html
import itertools
import threading
import time
from collections.abc import Sequence

from jupyter_wf.core.durations import duration
from jupyter_wf.ipython.looks import QUIET
from jupyter_wf.ipython.screens import Bundle, Screen

__all__ = ["Wait"]

#: Seconds before a wait is shown: most are over sooner.
_SHOWN_AFTER = 0.2
#: How many names are said.
_MOST_NAMES = 5
_numbers = itertools.count(1)


class Wait:
    """One wait: shown when it lasts, counted on by `paint` (on any thread), and left saying how long it took.

    It is below the cell that is running: that is the one that waits.
    """

    def __init__(self, screen: Screen, names: Sequence[str]) -> None:
        self._screen = screen
        self._names = list(names)
        self._began = time.monotonic()
        self._display_id = f"jupyter-wf-wait-{time.time_ns()}-{next(_numbers)}"
        self._lock = threading.Lock()
        self._shown: str | None = None
        self._has_ended = False

    def paint(self) -> None:
        """Show how long the wait has lasted, if somebody may look."""
        with self._lock:
            waited = time.monotonic() - self._began
            if waited >= _SHOWN_AFTER and self._screen.has_widgets and not self._has_ended:
                self._put(f"waiting for {self._said()} … {int(waited)} s")

    def end(self) -> None:
        """Say how long it took, if that is worth saying."""
        with self._lock:
            self._has_ended = True
            waited = time.monotonic() - self._began
            if self._shown is not None or waited >= _SHOWN_AFTER:
                self._put(f"waited {duration(waited)} for {self._said()}")

    def _put(self, text: str) -> None:
        if text == self._shown:
            return
        # A terminal shows nothing at first: what it gets as a change is what it prints.
        put = self._screen.show if self._shown is None and self._screen.can_change else self._screen.update
        self._shown = text
        put(_form(text), self._display_id, {})

    def _said(self) -> str:
        named = ", ".join(" ".join(name.split())[:100] for name in self._names[:_MOST_NAMES])
        more = len(self._names) - _MOST_NAMES
        return f"{named} and {more:,} more" if more > 0 else named


def _form(text: str) -> Bundle:
    style = f"{QUIET};font-size:13px"
    return {"text/html": f"<span style='{style}'>{html.escape(text)}</span>", "text/plain": text}
