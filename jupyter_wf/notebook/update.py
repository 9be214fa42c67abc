"""Which tasks of a notebook are to run so that it is up to date, and why each."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.notebook.dataflow import TaskCell
from jupyter_wf.notebook.ledger import Ledger
from jupyter_wf.notebook.parsed_cells import parse_cell

__all__ = ["Todo", "missing_names", "todo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """A task that is to run, and the reason, as the end of a sentence that begins with its name."""

    task: TaskCell
    why: str


def todo(
    ledger: Ledger, names: Sequence[str] = (), *, everything: bool = False, downstream: bool = False
) -> list[Todo]:
    """Return what is to run, in an order in which it can.

    Without ``names``: what has not run, has failed or is out of date, and what comes after that; with ``everything``
    all tasks. With names: these tasks, and of what they need what is not up to date; with ``downstream`` also all that
    comes after them. Raises `ParameterError` for a task that there is not.
    """
    dataflow = ledger.dataflow
    wants = {status.task.name: status.wants for status in ledger.status() if status.wants is not None}
    for name in names:
        if dataflow.task(name) is None:
            known = ", ".join(repr(task.name) for task in dataflow.tasks) or "none"
            raise ParameterError("NAME", f"the notebook has no task {name!r}; there is {known}")
    why: dict[str, str] = {}
    if everything:
        why = {task.name: wants.get(task.name, "all tasks are to run") for task in dataflow.tasks}
    elif names:
        for name in names:
            why[name] = wants.get(name, "it is to run")
            if downstream:
                why |= {after: f"it comes after {name!r}" for after in dataflow.downstream(name) if after not in why}
        needed = {before for name in why for before in dataflow.upstream(name)}
        _spread(ledger, {name: wants[name] for name in needed if name in wants}, why, within=needed)
    else:
        _spread(ledger, wants, why, within=[task.name for task in dataflow.tasks])
    found = []
    for name in dataflow.order():
        task = dataflow.task(name)
        if name in why and task is not None:
            found.append(Todo(task=task, why=why[name]))
    return found


def _spread(ledger: Ledger, wants: dict[str, str], why: dict[str, str], *, within: Container[str]) -> None:
    """Add to ``why`` what wants to run, and what comes after it."""
    for name, reason in wants.items():
        why.setdefault(name, reason)
        for after in ledger.dataflow.downstream(name):
            if after in within and after not in wants:
                why.setdefault(after, f"{name!r} runs again")


def missing_names(ledger: Ledger, found: Sequence[Todo], namespace: Container[str]) -> list[str]:
    """Return what is wrong where a task reads a name that a plain cell makes which has not run: one line for each."""
    made = {name for each in found for name in each.task.writes}
    plain: dict[str, int] = {}
    for cell in ledger.cells:
        parsed = parse_cell(cell.source)
        if parsed.task is None:
            plain |= dict.fromkeys(parsed.names.writes, cell.index)
    lines = []
    for each in found:
        lost = sorted(name for name in each.task.reads if name not in namespace and name not in made and name in plain)
        if lost:
            names = ", ".join(repr(name) for name in lost)
            cells = ", ".join(sorted({f"cell {plain[name] + 1}" for name in lost}))
            lines.append(
                f"the task {each.task.name!r} reads {names}, which {cells} makes, a plain cell: run it by hand first"
            )
    return lines
