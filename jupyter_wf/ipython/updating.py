"""``%wf run``: the tasks that are out of date, in their order; those that need nothing of each other run together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.submit import start
from jupyter_wf.flows import Flow
from jupyter_wf.ipython.cells import Cell, TaskCells
from jupyter_wf.notebook.dataflow import TaskCell
from jupyter_wf.notebook.update import Todo

__all__ = ["update"]


def update(cells: TaskCells, found: Sequence[Todo], cell_of: Callable[[TaskCell], Cell], *, name: str) -> None:
    """Run tasks as one flow run with the name of the notebook; return when all have ended.

    Raises the error of the first one, in their order, that has failed.
    """
    __tracebackhide__ = True
    needed = {before for each in found for before in cells.ledger.dataflow.upstream(each.task.name)}
    names = frozenset(name for each in found for name in each.task.reads | each.task.writes)
    cells.background.settle(needed | {each.task.name for each in found}, names)

    def run_tasks() -> list[RunFuture[Any]]:
        futures: dict[str, RunFuture[Any]] = {}
        for each in found:
            task = each.task
            prepared = cells.prepare(task, cell_of(task), running=futures.keys())
            before = [futures[other] for other in cells.ledger.before(task) if other in futures]
            call = cells.make_call(prepared, later=True, wait_for=before)
            futures[task.name] = future = start(call)
            cells.hear(call, future)
        return list(futures.values())

    Flow(run_tasks, name=name)()
