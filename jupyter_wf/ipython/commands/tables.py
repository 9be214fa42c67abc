"""What the commands of ``%wf`` show: as HTML in a notebook, as text in a terminal and to screen readers.

Everything that came from a run is escaped in the one and made harmless in the other. No script, no link, no id.
"""

from __future__ import annotations

import html
import json
import logging
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jupyter_wf.core.durations import duration
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import LogRecord, Run
from jupyter_wf.core.states import State
from jupyter_wf.ipython.looks import QUIET, colour, sign
from jupyter_wf.notebook.facts import begun_or_due, called, spoken
from jupyter_wf.notebook.failures import FrameJSON

__all__ = [
    "NO_WRAP",
    "Cell",
    "LogTable",
    "RunCard",
    "RunList",
    "StoredFailure",
    "Table",
    "label",
    "one_line",
    "state_cell",
]

_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top;white-space:pre-wrap"
#: The style of a cell whose lines are broken only where its text says so.
NO_WRAP = "white-space:pre"
_TABLE = "border-collapse:collapse;font-size:13px;margin:4px 0"
_PRE = "margin:4px 0;white-space:pre-wrap;font-size:12px"


class Cell(NamedTuple):
    """One cell of a table: its text, and the CSS of its colour."""

    text: str
    style: str = ""


def one_line(text: str, width: int = 300) -> str:
    """Return one line of at most ``width`` characters without what a terminal or a page would act on."""
    safe = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text[: width * 4])
    safe = " ".join("".join(_harmless(c) for c in safe).split())
    return safe if len(safe) <= width else f"{safe[: width - 1]}…"


def _lines(text: str) -> str:
    """Return a text of several lines without what a terminal would act on."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "�" for c in map(_harmless, text))


def _harmless(char: str) -> str:
    return "�" if unicodedata.category(char) in ("Cf", "Cs") and char != "\u200d" else char


def label(run: Run) -> str:
    """Return what to call a run: a flow by its flow's name and its own, others by their name."""
    if run.kind == "flow" and run.flow_name and run.flow_name != run.name:
        return one_line(f"{run.flow_name} · {run.name}")
    return one_line(run.name)


class Table:
    """Rows of cells under titles; ``empty`` is what stands for a table without rows."""

    def __init__(self, titles: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str = "") -> None:
        self.titles = tuple(titles)
        self.rows = [tuple(row) for row in rows]
        self.empty = empty

    def __repr__(self) -> str:
        if not self.rows:
            return self.empty
        texts = [tuple(cell.text for cell in row) for row in self.rows]
        if any(self.titles):
            texts.insert(0, self.titles)
        widths = [max(map(_width, column)) for column in zip(*texts, strict=True)]
        return "\n".join(
            "  ".join(text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in texts
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p style='font-size:13px;margin:4px 0'>{html.escape(self.empty)}</p>" if self.empty else ""
        head = "".join(f"<th style='{_CELL}'>{html.escape(title)}</th>" for title in self.titles)
        rows = [f"<tr>{head}</tr>"] if any(self.titles) else []
        for row in self.rows:
            cells = "".join(f"<td style='{_CELL};{cell.style}'>{html.escape(cell.text)}</td>" for cell in row)
            rows.append(f"<tr>{cells}</tr>")
        return f"<table style='{_TABLE}'>{''.join(rows)}</table>"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _took(run: Run) -> str:
    if run.started_at is None:
        return ""
    return duration((time.time() if run.ended_at is None else run.ended_at) - run.started_at)


def state_cell(state: State) -> Cell:
    """Return a state with its sign, in its colour."""
    text = f"{sign(state.type)} {one_line(state.name)}"
    return Cell(text, f"{colour(state.type)};font-weight:600")


class RunList(Table):
    """A list of runs. ``runs`` are the runs themselves."""

    def __init__(self, runs: Iterable[Run], *, more: bool = False, empty: str = "no runs") -> None:
        self.runs = tuple(runs)
        rows: list[tuple[Cell, ...]] = [
            (
                Cell(short_id(run.id)),
                Cell(run.kind),
                state_cell(run.state),
                Cell(f"{run.progress.done:,}/{run.progress.total:,}" if run.progress and run.progress.total else ""),
                Cell(begun_or_due(run, _moment), NO_WRAP),
                Cell(_took(run)),
                Cell(one_line(called(run))),
            )
            for run in self.runs
        ]
        if more:
            rows.append((Cell("…"), *[Cell("")] * 5, Cell("there are more: --limit", QUIET)))
        super().__init__(("id", "kind", "state", "steps", "started", "time", "name"), rows, empty=empty)


class StoredFailure:
    """A failure as it was stored: its traceback, and the user's frames with what the variables were."""

    def __init__(self, run: Run, frames: Sequence[FrameJSON], hint: str = "") -> None:
        self.run = run
        self.frames = tuple(frames)
        self.hint = hint

    @property
    def _what(self) -> str:
        error = self.run.error
        said = f"{error.type}: {error.message}" if error is not None and error.message else error.type if error else ""
        return one_line(f"{label(self.run)} ({short_id(self.run.id)}) is {self.run.state.name}. {said}")

    def __repr__(self) -> str:
        parts = [self._what]
        if self.run.error is not None and self.run.error.traceback:
            parts.append(_lines(self.run.error.traceback).rstrip())
        parts += ["\n".join(_frame_lines(frame)) for frame in self.frames]
        parts += [self.hint] if self.hint else []
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        parts = [f"<p style='{colour('FAILED')};font-weight:600'>{html.escape(self._what)}</p>"]
        if self.run.error is not None and self.run.error.traceback:
            told = html.escape(_lines(self.run.error.traceback).rstrip())
            parts.append(_details("Traceback", f"<pre style='{_PRE}'>{told}</pre>", is_open=True))
        parts += [_frame_html(frame, is_open=frame is self.frames[-1]) for frame in self.frames]
        parts += [f"<p>{html.escape(self.hint)}</p>"] if self.hint else []
        return f"<div style='font-size:13px'>{''.join(parts)}</div>"


def _details(title: str, body: str, *, is_open: bool = False) -> str:
    mark = " open" if is_open else ""
    return f"<details{mark}><summary style='cursor:pointer'>{html.escape(title)}</summary>{body}</details>"


def _place(frame: FrameJSON) -> str:
    return one_line(f"{frame['function']}, line {frame['line']} of {frame['file']}")


def _frame_lines(frame: FrameJSON) -> list[str]:
    lines = [_place(frame)]
    lines += [f"  > {one_line(frame['source'])}"] if frame["source"] else []
    lines += [f"    {one_line(name, 60)} = {one_line(text)}" for name, text in frame["locals"].items()]
    lines += [f"    … and {frame['more']:,} more names"] if frame["more"] else []
    return lines


def _frame_html(frame: FrameJSON, *, is_open: bool) -> str:
    source = f"<pre style='{_PRE}'>{html.escape(_lines(frame['source']))}</pre>" if frame["source"] else ""
    rows: list[tuple[Cell, ...]] = [
        (Cell(one_line(name, 60)), Cell(one_line(text))) for name, text in frame["locals"].items()
    ]
    rows += [(Cell("…"), Cell(f"{frame['more']:,} more names", QUIET))] if frame["more"] else []
    return _details(_place(frame), source + Table(("", ""), rows)._repr_html_(), is_open=is_open)


class RunCard:
    """One run: its facts, what is below it, its error. ``value`` is what it left, ``state`` its state's name."""

    def __init__(
        self,
        run: Run,
        below: Sequence[Run] = (),
        *,
        more: bool = False,
        frames: Sequence[FrameJSON] = (),
        load: Callable[[], Any] | None = None,
    ) -> None:
        self.run = run
        self.below = RunList(below, more=more, empty="")
        self._failure = StoredFailure(run, frames) if run.error is not None else None
        self._load = load

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def state(self) -> str:
        """The name of the run's state."""
        return self.run.state.name

    @property
    def value(self) -> Any:
        """What the run left: a cell's names with their values, or the value of a flow or task.

        Raises `MissingResult` where it left none, or none was stored.
        """
        return None if self._load is None else self._load()

    def _facts(self) -> Table:
        run = self.run
        message = f"  {one_line(run.state.message)}" if run.state.message else ""
        state = state_cell(run.state)
        facts: list[tuple[str, Cell]] = [
            ("run", Cell(run.id)),
            ("kind", Cell(run.kind)),
            ("name", Cell(label(run))),
            ("state", Cell(state.text + message, state.style)),
        ]
        if run.max_attempts > 1 or run.attempt > 1:
            facts.append(("attempt", Cell(f"{run.attempt} of {max(run.attempt, run.max_attempts)}")))
        facts += [("started", Cell(begun_or_due(run, _moment))), ("time", Cell(_took(run)))]
        facts += [("inside", Cell(run.parent_id))] if run.parent_id else []
        facts += [("tags", Cell(one_line(", ".join(run.tags))))] if run.tags else []
        facts += [(one_line(name, 30), Cell(one_line(text, 500))) for name, text in spoken(run.source)]
        facts += [(f"-p {one_line(name, 60)}", Cell(_json(value))) for name, value in run.parameters.items()]
        return Table(("", ""), [(Cell(name, QUIET), cell) for name, cell in facts if cell.text])

    def __repr__(self) -> str:
        parts = [repr(self._facts()), repr(self.below)]
        if self._failure is not None:
            parts.append(repr(self._failure))
        return "\n\n".join(part for part in parts if part)

    def _repr_html_(self) -> str:
        failure = self._failure._repr_html_() if self._failure is not None else ""
        return f"{self._facts()._repr_html_()}{self.below._repr_html_()}{failure}"


def _json(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


class LogTable(Table):
    """Log lines, each with its time, its level and the run that wrote it."""

    def __init__(self, lines: Sequence[LogRecord], names: Mapping[str, str], *, before: bool = False) -> None:
        rows: list[tuple[Cell, ...]] = [
            (
                Cell(time.strftime("%H:%M:%S", time.localtime(line.at)), QUIET),
                Cell(logging.getLevelName(line.level), _level(line.level)),
                Cell(names.get(line.run_id, short_id(line.run_id)), QUIET),
                Cell(_lines(line.message)),
            )
            for line in lines
        ]
        if before:
            rows.insert(0, (Cell("…"), Cell(""), Cell(""), Cell("there are lines before these: --tail", QUIET)))
        super().__init__(("", "", "", ""), rows, empty="no log lines")


def _level(level: int) -> str:
    return colour("FAILED") if level >= logging.ERROR else colour("CRASHED") if level >= logging.WARNING else ""
