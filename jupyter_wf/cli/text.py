"""How things look in text: times, durations, states, and text of users made harmless for a terminal."""

from __future__ import annotations

import shlex
import time
import unicodedata
from collections.abc import Iterable, Sequence

import click

from jupyter_wf.core.models import Run
from jupyter_wf.core.states import State, StateType

__all__ = ["COLOURS", "clean", "clock", "columns", "elapsed", "in_shell", "label", "moment", "one_line", "styled"]

#: State type → colour; a name that terminals have.
COLOURS = {
    StateType.SCHEDULED: "yellow",
    StateType.PENDING: "white",
    StateType.RUNNING: "blue",
    StateType.PAUSED: "magenta",
    StateType.CANCELLING: "yellow",
    StateType.COMPLETED: "green",
    StateType.FAILED: "red",
    StateType.CANCELLED: "yellow",
    StateType.CRASHED: "red",
}


def clean(text: str) -> str:
    """Return ``text`` with every control character but newline and tab as ``�``: no text of a run may steer a terminal.

    Direction marks of bidirectional text count as control characters, lone surrogates as well.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "�" for c in text)


def one_line(text: str, width: int = 200) -> str:
    """Return ``text`` cleaned, in one line, cut to ``width`` characters."""
    line = " ".join(clean(text[: width * 4]).split())
    return line if len(line) <= width else f"{line[: max(0, width - 1)]}…"


def in_shell(text: str) -> str:
    """Return ``text`` as one word of a command that people copy."""
    return shlex.quote(one_line(text, 600))


def clock(at: float) -> str:
    """Return the local time of day of a moment (epoch seconds): ``13:05:09``."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def moment(at: float) -> str:
    """Return the local date and time of a moment (epoch seconds): ``2026-01-31 13:05:09``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def elapsed(run: Run, now: float) -> float | None:
    """Return for how many seconds a run has run, or ran; None where it has not begun."""
    if run.started_at is None:
        return None
    return (run.ended_at if run.ended_at is not None else now) - run.started_at


def label(run: Run) -> str:
    """Return what to call a run: a flow by its flow's name and its own, others by their name."""
    if run.kind == "flow" and run.flow_name and run.flow_name != run.name:
        return one_line(f"{run.flow_name} · {run.name}")
    return one_line(run.name)


def styled(state: State, text: str | None = None) -> str:
    """Return the state's name, or ``text``, in the state's colour; `click.echo` drops it where there is no terminal."""
    return click.style(text or one_line(state.name), fg=COLOURS[state.type])


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> Iterable[str]:
    """Lay out cells of text in aligned columns; yield the lines."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        yield gap.join(cells).rstrip()


def _width(text: str) -> int:
    plain = click.unstyle(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)
