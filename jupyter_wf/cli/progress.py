"""The view for terminals: a line for each task and cell that changes in place."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jupyter_wf.cli.follow import Board
from jupyter_wf.cli.text import COLOURS, elapsed, label, one_line
from jupyter_wf.core.durations import duration
from jupyter_wf.core.models import Event, Run
from jupyter_wf.core.states import StateType

__all__ = ["TerminalView"]

_MARKS = {
    StateType.COMPLETED: "✔",
    StateType.FAILED: "✘",
    StateType.CRASHED: "✘",
    StateType.CANCELLED: "■",
    StateType.RUNNING: "●",
    StateType.PAUSED: "‖",
}
_REFRESH = 8
_BAR = 24
#: Lines of the terminal that are not rows: the head, the bar, what is left out, and the prompt.
_OTHER_LINES = 5


class TerminalView:
    """Draws a board on ``console`` at most eight times a second; texts of runs are shown as text, never as markup."""

    def __init__(self, console: Console, *, redirect: bool = True) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._root: Run | None = None
        self._rows: list[Run] = []
        self._logs: dict[str, str] = {}
        self._live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=_REFRESH,
            redirect_stdout=redirect,
            redirect_stderr=redirect,
        )

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def changed(self, board: Board, events: Sequence[Event]) -> None:
        """Take a picture of the board; the next refresh draws it."""
        with self._lock:
            self._root, self._rows = board.root, board.rows()
            self._logs = dict(board.last_logs)

    def stop(self, board: Board) -> None:
        """Draw the last picture and leave it on the terminal."""
        self.changed(board, ())
        self._live.stop()

    def _draw(self) -> RenderableType:
        with self._lock:
            root, rows, logs = self._root, self._rows, self._logs
        if root is None:
            return Text("starting …", style="dim")
        now = time.time()
        shown, hidden = _choose(rows, max(3, self._console.height - _OTHER_LINES))
        parts: list[RenderableType] = [_head(root, now)]
        if root.progress is not None and root.progress.total:
            parts.append(_bar(root))
        if shown:
            parts.append(_table(shown, logs, now, self._console.width))
        if hidden:
            parts.append(Text(f"  … and {hidden} more", style="dim"))
        return Group(*parts)


def _choose(rows: list[Run], room: int) -> tuple[list[Run], int]:
    """Return the rows to show, in order, and how many are left out: those that run or went wrong come first."""
    if len(rows) <= room:
        return rows, 0
    weight = {StateType.COMPLETED: 2, StateType.RUNNING: 0, StateType.FAILED: 0, StateType.CRASHED: 0}
    ranked = sorted(enumerate(rows), key=lambda item: (weight.get(item[1].state.type, 1), -item[0]))[:room]
    return [row for _, row in sorted(ranked, key=lambda item: item[0])], len(rows) - room


def _head(root: Run, now: float) -> Text:
    seconds = elapsed(root, now)
    head = _state(root)
    head.append(f"  {label(root)}", style="bold")
    if seconds is not None:
        head.append(f"  {duration(seconds)}", style="dim")
    return head


def _bar(root: Run) -> RenderableType:
    assert root.progress is not None
    done, total = root.progress.done, root.progress.total
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        Text(" "),
        ProgressBar(total=total, completed=min(done, total), width=_BAR),
        Text(f"{done}/{total}", style="dim"),
    )
    return grid


def _state(run: Run) -> Text:
    text = f"{_MARKS.get(run.state.type, '○')} {one_line(run.state.name)}"
    return Text(text, style=COLOURS[run.state.type], no_wrap=True)


def _table(rows: list[Run], logs: dict[str, str], now: float, width: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=2)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(12, width // (3 if width >= 80 else 5)))
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    # rich takes the room that is missing from the columns that may wrap: this one gives way first, cut, not wrapped.
    table.add_column(ratio=1)
    for run in rows:
        seconds = elapsed(run, now)
        said = run.state.message if run.state.type is not StateType.COMPLETED else None
        table.add_row(
            "",
            _state(run),
            Text(label(run)),
            Text(duration(seconds) if seconds is not None else "", style="dim"),
            Text(f"attempt {run.attempt}" if run.attempt > 1 else "", style="yellow"),
            Text(one_line(said or logs.get(run.id, "")), style="dim", no_wrap=True, overflow="ellipsis"),
        )
    return table
