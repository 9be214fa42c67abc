"""What a kernel knows of a notebook's task cells: their text, how their last runs ended, what is out of date."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jupyter_wf.core.states import State
from jupyter_wf.notebook.celltask import code_of_task
from jupyter_wf.notebook.dataflow import CellInput, Dataflow, TaskCell, read_dataflow
from jupyter_wf.notebook.seen import Seen, see

__all__ = ["Ledger", "Record", "TaskStatus"]

#: Cells without an id (a terminal's) that are remembered.
_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The last run of a task cell in this kernel.

    ``code`` is the fingerprint of the body that ran. ``turn`` counts the runs of the kernel that have left something;
    ``saw`` are the turns of the tasks before it, by name, when it began, and ``read`` what it found under the names
    that no task makes. ``state`` is None while it goes on.
    """

    run_id: str
    code: str
    turn: int
    saw: dict[str, int]
    read: dict[str, Seen]
    state: State | None = None

    @property
    def is_good(self) -> bool:
        """Whether the run has completed, be it that there was nothing to do."""
        return self.state is not None and self.state.is_completed()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """How one task of the notebook stands. ``stale`` says why it is out of date; ``wants`` why it would run now."""

    task: TaskCell
    record: Record | None
    stale: str | None
    wants: str | None


class Ledger:
    """Keeps the book of the notebook whose names are in ``namespace``.

    All methods may be called from any thread.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._lock = threading.RLock()
        self._saved: tuple[CellInput, ...] = ()
        self._executed: dict[str, CellInput] = {}
        self._dataflow: Dataflow | None = None
        self._records: dict[str, Record] = {}
        self._turn = 0
        self._unnamed = 0

    # -- the notebook's text ---------------------------------------------------------------------------------------

    def read(self, saved: Sequence[CellInput]) -> None:
        """Take in the notebook as it is on the disk: its order, and the text of cells that have not been executed."""
        with self._lock:
            self._saved = tuple(saved)
            there = {cell.cell_id for cell in saved}
            # Executed cells win where they are newer; those that were saved with the same text need not be remembered.
            self._executed = {
                key: cell
                for key, cell in self._executed.items()
                if cell.cell_id not in there or not _is_same(cell, self._saved)
            }
            self._dataflow = None

    def execute(self, source: str, cell_id: str | None, deleted: Iterable[str] = ()) -> None:
        """Note that a cell is executed; ``deleted`` are the ids of cells that the notebook has no more."""
        with self._lock:
            gone = set(deleted)
            if gone:
                self._saved = tuple(cell for cell in self._saved if cell.cell_id not in gone)
                self._executed = {key: cell for key, cell in self._executed.items() if cell.cell_id not in gone}
                self._dataflow = None
            known = next((cell for cell in self._saved if cell_id is not None and cell.cell_id == cell_id), None)
            if known is not None and known.source == source and cell_id not in self._executed:
                return
            key = cell_id or self._key_of(source)
            before = self._executed.get(key)
            if before is not None and before.source == source:
                return
            self._executed[key] = CellInput(index=len(self._executed), cell_id=cell_id, source=source)
            while len(self._executed) > _MOST:
                del self._executed[next(iter(self._executed))]
            self._dataflow = None

    def _key_of(self, source: str) -> str:
        """Return the key of a cell without an id: a task's name, else a new one."""
        first = source.lstrip().partition("\n")[0]
        if first.startswith("%%task"):
            return first.partition("-")[0].strip()
        self._unnamed += 1
        return f"#{self._unnamed}"

    @property
    def cells(self) -> list[CellInput]:
        """The cells, in the notebook's order; those that are not saved yet come last."""
        cells = []
        used = set()
        for cell in self._saved:
            newer = self._executed.get(cell.cell_id or "")
            if newer is not None:
                used.add(newer.cell_id)
            cells.append(cell if newer is None else replace(cell, source=newer.source))
        last = max((cell.index for cell in self._saved), default=-1)
        for cell in self._executed.values():
            if cell.cell_id is None or cell.cell_id not in used:
                last += 1
                cells.append(replace(cell, index=last))
        return cells

    @property
    def dataflow(self) -> Dataflow:
        """The notebook's dataflow."""
        with self._lock:
            if self._dataflow is None:
                self._dataflow = read_dataflow(self.cells)
            return self._dataflow

    # -- runs ------------------------------------------------------------------------------------------------------

    def begin(self, task: TaskCell, run_id: str) -> None:
        """Note that a task's run begins."""
        with self._lock:
            saw = {
                name: self._records[name].turn for name in self.dataflow.upstream(task.name) if name in self._records
            }
            turn = self._records[task.name].turn if task.name in self._records else 0
            read = see({name: self._namespace[name] for name in self._others(task) if name in self._namespace})
            self._records[task.name] = Record(run_id=run_id, code=code_of_task(task), turn=turn, saw=saw, read=read)

    def _others(self, task: TaskCell) -> set[str]:
        """Return the names that a task reads, that no task before it makes, and that it does not make itself."""
        carried = self.dataflow.carried
        made = {name for (_, target), names in carried.items() if target == task.name for name in names}
        return set(task.reads - task.writes - made)

    def end(self, name: str, run_id: str, state: State) -> None:
        """Note how a task's run has ended, if it is the last one."""
        with self._lock:
            record = self._records.get(name)
            if record is None or record.run_id != run_id:
                return
            turn = record.turn
            if state.is_completed():
                self._turn += 1
                turn = self._turn
            self._records[name] = replace(record, state=state, turn=turn)

    def record(self, name: str) -> Record | None:
        """Return the last run of a task in this kernel."""
        return self._records.get(name)

    def before(self, task: TaskCell) -> list[str]:
        """Return the names of the tasks from which edges lead to this one."""
        return [source for source, target in self.dataflow.edges if target == task.name]

    def edges(self, task: TaskCell) -> list[str]:
        """Return the ids of the last runs of the tasks right before this one."""
        return [self._records[name].run_id for name in self.before(task) if name in self._records]

    # -- what is out of date ---------------------------------------------------------------------------------------

    def stale(self, task: TaskCell) -> str | None:
        """Return why what a task has left is out of date; None where it is not, or there is nothing."""
        record = self._records.get(task.name)
        if record is None or not record.is_good:
            return None
        if code_of_task(task) != record.code:
            return "its source has changed"
        for name in self.dataflow.upstream(task.name):
            theirs, before = self._records.get(name), self.dataflow.task(name)
            if theirs is None or before is None:
                continue
            if theirs.turn > record.saw.get(name, 0):
                return f"{name!r} was run again"
            if code_of_task(before) != theirs.code:
                return f"the source of {name!r} has changed"
            if (changed := self._read_anew(theirs)) is not None:
                return f"{changed!r}, which {name!r} reads, has changed"
        changed = self._read_anew(record)
        return None if changed is None else f"{changed!r} has changed"

    def _read_anew(self, record: Record) -> str | None:
        """Return a name that no task makes and that is not what a task found there when it ran; None where all are."""
        for name, seen in record.read.items():
            if name in self._namespace and not seen.is_now(self._namespace[name]):
                return name
        return None

    def status(self) -> list[TaskStatus]:
        """Return how each task of the notebook stands, in the notebook's order."""
        with self._lock:
            found = []
            for task in self.dataflow.tasks:
                record, stale = self._records.get(task.name), self.stale(task)
                found.append(TaskStatus(task=task, record=record, stale=stale, wants=_wants(record, stale)))
            return found


def _wants(record: Record | None, stale: str | None) -> str | None:
    if record is None:
        return "it has not run in this kernel"
    if record.state is None:
        return None
    if not record.is_good:
        return f"its last run is {record.state.name}"
    return stale


def _is_same(cell: CellInput, saved: Iterable[CellInput]) -> bool:
    return any(other.cell_id == cell.cell_id and other.source == cell.source for other in saved)
