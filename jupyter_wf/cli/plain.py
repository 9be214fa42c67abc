"""The view for pipes and log files: a line for each change of state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from jupyter_wf.cli.follow import Board
from jupyter_wf.cli.text import clock, elapsed, label, one_line
from jupyter_wf.core.durations import duration
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Event, Run
from jupyter_wf.core.states import StateType

__all__ = ["PlainView"]

_ENDS = {StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED}


class PlainView:
    """Writes lines such as ``13:05:09  Completed  load  310 ms`` to ``out`` and flushes each."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown_end = False

    def start(self) -> None:
        """Nothing to do."""

    def changed(self, board: Board, events: Sequence[Event]) -> None:
        """Write a line for each state but PENDING, which every run has for a moment."""
        for event in events:
            run = board.runs[event.run_id]
            type_ = event.payload.get("type")
            if event.kind == "state" and type_ != StateType.PENDING:
                self._shown_end |= run.id == board.root_id and type_ in _ENDS
                message = str(event.payload.get("message") or "")
                # The board may be ahead of the event, in a later attempt.
                attempt = int(event.payload.get("attempt") or run.attempt)
                self._line(event.at, str(event.payload.get("name")), run, message, attempt)

    def stop(self, board: Board) -> None:
        """Write how the root ended where no event said so: its process is dead."""
        root = board.root
        if root is not None and root.state.is_closed() and not self._shown_end:
            self._line(root.state.at, root.state.name, root, root.state.message or "", root.attempt)

    def _line(self, at: float, name: str, run: Run, message: str, attempt: int) -> None:
        what = f"{label(run)} ({short_id(run.id)})" if run.parent_id is None else label(run)
        parts = [clock(at), f"{one_line(name):<10}", what]
        seconds = elapsed(run, at)
        if run.state.name == name and run.state.is_final() and attempt == run.attempt and seconds is not None:
            parts.append(duration(seconds))
        if attempt > 1:
            parts.append(f"attempt {attempt}")
        if message:
            parts.append(one_line(message))
        # In one piece: a flow may print at the same time.
        self._out.write("  ".join(parts) + "\n")
        self._out.flush()
