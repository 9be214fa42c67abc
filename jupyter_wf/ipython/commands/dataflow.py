"""``%wf run``, ``status``, ``graph``, ``check``, ``wait`` and ``stop``: the tasks of the notebook."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jupyter_wf.core.durations import duration
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.commands.tables import Cell, Table, state_cell
from jupyter_wf.ipython.tracebacks import show_line
from jupyter_wf.ipython.updating import update
from jupyter_wf.notebook.dataflow import is_error
from jupyter_wf.notebook.dataflow_graph import dataflow_graph
from jupyter_wf.notebook.ledger import TaskStatus
from jupyter_wf.notebook.parsed_cells import parse_cell
from jupyter_wf.notebook.update import missing_names, todo

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS"]

_NO_TASKS = "The notebook has no task cells: %%task NAME in a cell's first line makes it one."


def _task_names(session: Session) -> list[str]:
    session.look_at_notebook()
    return [task.name for task in session.cells.ledger.dataflow.tasks]


class _Run(Command):
    name = "run"
    help = "Bring the notebook up to date: run the tasks that have not run or are out of date, in their order."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="Only this task, and what it needs.")
        parser.add_argument("--all", action="store_true", help="Every task, whether it is out of date or not.")
        parser.add_argument("--downstream", action="store_true", help="Also what comes after the tasks that are named.")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would run, and why.")

    def run(self, session: Session, args: argparse.Namespace) -> Table | None:
        if args.names and args.all:
            raise UsageError("%wf run: give names of tasks or --all, not both")
        if args.downstream and not args.names:
            raise UsageError("%wf run --downstream needs the name of a task")
        session.look_at_notebook()
        ledger = session.cells.ledger
        # A cell that is no task and no Python either, such as notes, is none of those that are to run.
        notes = {cell.index for cell in ledger.cells if parse_cell(cell.source).task is None}
        problems = [p for p in ledger.dataflow.problems if not (p.kind == "syntax" and p.cell in notes)]
        wrong = [problem.message for problem in problems if is_error(problem.kind)]
        if wrong:
            raise UsageError(f"%wf run: {wrong[0]}" + (f" (and {len(wrong) - 1} more: %wf check)" if wrong[1:] else ""))
        found = todo(ledger, args.names, everything=args.all, downstream=args.downstream)
        if args.dry_run:
            rows = [[Cell(each.task.name), Cell(f"cell {each.task.cell + 1}"), Cell(each.why)] for each in found]
            return Table(("Task", "Cell", "Why"), rows, empty=self._nothing(session))
        if not found:
            print(self._nothing(session))
            return None
        lost = missing_names(ledger, found, session.shell.user_ns)
        if lost:
            raise UsageError(f"%wf run: {lost[0]}" + (f" (and {len(lost) - 1} more tasks)" if lost[1:] else ""))
        with session.showing_user_frames():
            update(session.cells, found, session.cell_of, name=session.notebook_name)
        return None

    def _nothing(self, session: Session) -> str:
        return "Everything is up to date." if session.cells.ledger.dataflow.tasks else _NO_TASKS

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return [name for name in _task_names(session) if name not in words[:-1]]


class _Status(Command):
    name = "status"
    help = "List the notebook's tasks: how their last runs in this kernel ended, and what is out of date."

    def run(self, session: Session, args: argparse.Namespace) -> Table:
        session.look_at_notebook()
        rows = [_status_row(status) for status in session.cells.ledger.status()]
        return Table(("Task", "Cell", "State", "Ended", ""), rows, empty=_NO_TASKS)


def _status_row(status: TaskStatus) -> list[Cell]:
    task, record = status.task, status.record
    row = [Cell(task.name), Cell(f"cell {task.cell + 1}")]
    if record is None:
        return [*row, Cell("○ never ran"), Cell(""), Cell("")]
    if record.state is None:
        return [*row, Cell("▶ Running"), Cell(""), Cell("")]
    ago = f"{duration(max(0.0, time.time() - record.state.at))} ago"
    note = f"stale: {status.stale}" if status.stale else (record.state.message or "")
    return [*row, state_cell(record.state), Cell(ago), Cell(note)]


class _Graph(Command):
    name = "graph"
    help = "Draw the tasks of the notebook and what they take from one another."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--mermaid", action="store_true", help="As Mermaid text, for Markdown.")

    def run(self, session: Session, args: argparse.Namespace) -> Any:
        session.look_at_notebook()
        ledger = session.cells.ledger
        if not ledger.dataflow.tasks:
            print(_NO_TASKS)
            return None
        graph = dataflow_graph(ledger.dataflow, dict(map(_standing, ledger.status())), name=session.notebook_name)
        if args.mermaid:
            print(graph.to_mermaid(), end="")
            return None
        return graph


def _standing(status: TaskStatus) -> tuple[str, str]:
    record = status.record
    if record is None:
        return status.task.name, "Never ran"
    if record.state is None:
        return status.task.name, "Running"
    return status.task.name, "Stale" if status.stale else record.state.name


class _Check(Command):
    name = "check"
    help = "List what is wrong with the notebook's tasks, with the numbers of the cells."

    def run(self, session: Session, args: argparse.Namespace) -> Table:
        session.look_at_notebook()
        rows = [
            [
                Cell(f"cell {problem.cell + 1}"),
                Cell("error" if is_error(problem.kind) else "warning"),
                Cell(problem.kind),
                Cell(problem.message),
            ]
            for problem in session.cells.ledger.dataflow.problems
        ]
        many = len(session.cells.ledger.dataflow.tasks)
        empty = f"No problems in {many} task{'' if many == 1 else 's'}." if many else _NO_TASKS
        return Table(("Cell", "", "Kind", "Problem"), rows, empty=empty)


class _Wait(Command):
    name = "wait"
    help = "Wait for the tasks in the background; an error that no cell has shown is shown."

    def run(self, session: Session, args: argparse.Namespace) -> None:
        with session.showing_user_frames():
            session.cells.background.wait_all()


class _Stop(Command):
    name = "stop"
    help = "End the run of the notebook early, as completed: nothing is left to be done."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("reason", nargs="*", help="Why, for the run's record.")

    def run(self, session: Session, args: argparse.Namespace) -> None:
        stop = StopFlow(" ".join(args.reason) or None)
        show_line(
            stop, f"The notebook is to stop here: {stop.reason}" if stop.reason else "The notebook is to stop here."
        )
        raise stop


COMMANDS: tuple[Command, ...] = (_Run(), _Status(), _Graph(), _Check(), _Wait(), _Stop())
