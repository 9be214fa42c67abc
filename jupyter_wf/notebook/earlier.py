"""What earlier attempts of a notebook run have left: the runs of its plain cells, and its cells' outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.source import read_notebook
from jupyter_wf.notebook.steps import Step

__all__ = ["EarlierCells", "EarlierOutputs"]

_PAGE = 1_000
#: How the view of a run begins, as `ipython.html` makes it.
_VIEW = "<table class='jupyter-wf-run "


class EarlierCells:
    """The runs of plain cells below a run that is attempted again: each begins its next attempt with its cell."""

    def __init__(self, live: LiveRun, steps: Sequence[Step]) -> None:
        self._ids = {step.cell_id for step in steps if step.cell_id is not None}
        self._left: list[Run] = []
        if live.attempt == 1:
            return
        where = RunFilter(kinds=("cell",), parent_id=live.id, oldest_first=True)
        cursor: str | None = None
        while True:
            page = live.runtime.store.list_runs(where, limit=_PAGE, cursor=cursor)
            self._left += page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def take(self, step: Step) -> Run | None:
        """Return the run of a cell: that of the cell with its id, else of a gone one with its name; None for none."""
        for run in self._left:
            if run.state.is_closed() and self._is_of(step, run):
                self._left.remove(run)
                return run
        return None

    def _is_of(self, step: Step, run: Run) -> bool:
        cell_id = run.source.get("cell_id")
        if step.cell_id is not None and cell_id in self._ids:
            return bool(cell_id == step.cell_id)
        return run.name == step.name


class EarlierOutputs:
    """The outputs of a notebook's cells, as earlier attempts have saved them; ``executed`` are paths, newest first."""

    def __init__(self, cells: Sequence[dict[str, Any]], executed: Sequence[str]) -> None:
        self._cells = cells
        self._paths = list(executed)
        self._read: list[list[dict[str, Any]]] = []

    def __call__(self, index: int) -> list[dict[str, Any]] | None:
        """Return the newest outputs of a good execution of the cell at ``index``, None where there are none."""
        cell = self._cells[index]
        number = 0
        while number < len(self._read) or self._paths:
            if number == len(self._read):
                self._read_next()
            found = _same(cell, self._read[number])
            if found is not None and _is_good(found):
                return [joined for output in found["outputs"] if not _is_view(joined := _joined(output))] or None
            number += 1
        return None

    def _read_next(self) -> None:
        try:
            cells = read_notebook(self._paths.pop(0)).cells
        except TargetError:
            # Somebody has taken it away, or changed it.
            cells = []
        self._read.append(cells)


def _same(cell: dict[str, Any], cells: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the cell with the same id, in notebooks without ids the one with the same source."""
    key = "id" if cell.get("id") else "source"
    return next((each for each in cells if each["cell_type"] == "code" and each.get(key) == cell[key]), None)


def _is_good(cell: dict[str, Any]) -> bool:
    """Whether the cell was executed, and did not fail."""
    ran = cell["execution_count"] is not None
    return ran and all(output["output_type"] != "error" for output in cell["outputs"])


def _joined(output: dict[str, Any]) -> dict[str, Any]:
    """Return an output with its texts in one piece: on the disk they are lists of lines."""
    data = output.get("data")
    if not isinstance(data, dict):
        return output
    whole = {
        kind: "".join(value) if isinstance(value, list) and not kind.endswith("json") else value
        for kind, value in data.items()
    }
    return {**output, "data": whole}


def _is_view(output: dict[str, Any]) -> bool:
    """Whether an output is the view of a task's run: the attempt that restores the task shows one of its own."""
    return _VIEW in str(output.get("data", {}).get("text/html", ""))
