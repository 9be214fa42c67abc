"""The notebook as a graph: which task cells there are, what they read and write, and what follows from that.

A task reads a name where it may use it before it has bound it, in functions of its own and in functions of other cells
too. What a function of another cell looks up is looked up where the task stands: the function may be defined above the
cell that makes what it reads. An edge goes from the latest task above that writes the name as data to the reader. Where
a plain cell in between binds the name anew, its value is meant, and there is no edge. Nothing is executed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jupyter_wf.notebook.bindings import Bindings, task_writes
from jupyter_wf.notebook.checks import (
    changed_in_place,
    cycles,
    faults,
    read_too_early,
    same_names,
    same_outputs,
    unknown_after,
    unknown_results,
)
from jupyter_wf.notebook.names import analyse
from jupyter_wf.notebook.parsed_cells import ParsedCell, parse_cell
from jupyter_wf.notebook.source import NotebookSource, cell_tags
from jupyter_wf.notebook.steps import SKIP_TAGS
from jupyter_wf.notebook.task_cells import CellInput, Edge, Problem, TaskCell, is_error

__all__ = [
    "CellInput",
    "Dataflow",
    "Edge",
    "Problem",
    "TaskCell",
    "encode_dataflow",
    "is_error",
    "notebook_cells",
    "read_dataflow",
]


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """The tasks of a notebook and what they take from one another.

    ``tasks`` stand as in the notebook; ``edges`` are sorted; ``problems`` are sorted by cell. ``carried`` says of each
    edge which data go along it: none where only ``--after`` makes it.
    """

    tasks: tuple[TaskCell, ...]
    edges: tuple[Edge, ...]
    problems: tuple[Problem, ...]
    carried: Mapping[Edge, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _by_name(self) -> dict[str, TaskCell]:
        # Of two tasks of one name, which is a problem, the first.
        return {task.name: task for task in reversed(self.tasks)}

    @cached_property
    def _into(self) -> dict[str, list[str]]:
        return _neighbours((reader, writer) for writer, reader in self.edges)

    @cached_property
    def _out_of(self) -> dict[str, list[str]]:
        return _neighbours(self.edges)

    def task(self, name: str) -> TaskCell | None:
        """Return the task of this name, None where there is none."""
        return self._by_name.get(name)

    def upstream(self, name: str) -> tuple[str, ...]:
        """Return all tasks that a task needs, directly or not, in the order of the notebook."""
        return self._reached(name, self._into)

    def downstream(self, name: str) -> tuple[str, ...]:
        """Return all tasks that need a task, directly or not, in the order of the notebook."""
        return self._reached(name, self._out_of)

    def _reached(self, name: str, neighbours: dict[str, list[str]]) -> tuple[str, ...]:
        reached: set[str] = set()
        waiting = [name]
        while waiting:
            for other in neighbours.get(waiting.pop(), ()):
                if other not in reached:
                    reached.add(other)
                    waiting.append(other)
        return tuple(other for other in self._names if other in reached and other != name)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(task.name for task in self.tasks))

    def order(self) -> tuple[str, ...]:
        """Return the names of the tasks, each after those that it needs; among equals that of the notebook.

        In a cycle, which is a problem, the task that stands first in the notebook comes first.
        """
        place = {name: number for number, name in enumerate(self._names)}
        missing = {name: len(self._into.get(name, ())) for name in place}
        ready = [place[name] for name in place if not missing[name]]
        left = dict.fromkeys(place)
        ordered: list[str] = []
        while left:
            name = self._names[heapq.heappop(ready)] if ready else next(iter(left))
            del left[name]
            ordered.append(name)
            for reader in self._out_of.get(name, ()):
                missing[reader] -= 1
                if missing[reader] == 0 and reader in left:
                    heapq.heappush(ready, place[reader])
        return tuple(ordered)


def _neighbours(edges: Iterable[Edge]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one, other in edges:
        found.setdefault(one, []).append(other)
    return found


def notebook_cells(notebook: NotebookSource) -> list[CellInput]:
    """Return the code cells of a notebook on disk."""
    return [
        CellInput(index=index, cell_id=cell.get("id"), source=cell["source"], tags=tuple(cell_tags(cell)))
        for index, cell in enumerate(notebook.cells)
        if cell["cell_type"] == "code"
    ]


def encode_dataflow(dataflow: Dataflow) -> dict[str, Any]:
    """Return the dataflow as JSON: tasks with their names, edges as pairs, problems; cells count from 0."""
    return {
        "tasks": [
            {"name": task.name, "cell": task.cell, "reads": sorted(task.reads), "writes": sorted(task.writes)}
            for task in dataflow.tasks
        ],
        "edges": [list(edge) for edge in dataflow.edges],
        "problems": [
            {"cell": problem.cell, "kind": problem.kind, "message": problem.message} for problem in dataflow.problems
        ],
    }


def read_dataflow(cells: Sequence[CellInput]) -> Dataflow:
    """Return the dataflow of a notebook's code cells, which are in its order.

    Cells with a tag such as ``skip`` are left out, as they are not executed. Never raises for what is in the cells:
    that are problems.
    """
    read = [(cell, parse_cell(cell.source)) for cell in cells if SKIP_TAGS.isdisjoint(cell.tags)]
    bindings = Bindings((cell.index, parsed) for cell, parsed in read)
    found = [(_task(cell, parsed, bindings), parsed) for cell, parsed in read if parsed.task is not None]
    tasks = tuple(task for task, _ in found)
    carried = _carried(tasks, bindings)
    problems = [
        *(problem for cell, parsed in read for problem in faults(cell.index, parsed)),
        *same_names(tasks),
        *same_outputs(found),
        *unknown_after(tasks),
        *unknown_results(found),
        *read_too_early(tasks, bindings),
        *cycles(tasks, carried),
        *(problem for task, parsed in found for problem in changed_in_place(task, parsed, bindings)),
    ]
    return Dataflow(
        tasks=tasks,
        edges=tuple(sorted(carried)),
        problems=tuple(sorted(problems, key=lambda problem: (problem.cell, problem.kind, problem.message))),
        carried=carried,
    )


def _task(cell: CellInput, parsed: ParsedCell, bindings: Bindings) -> TaskCell:
    assert parsed.task is not None
    trees = [parsed.tree, *(tree for tree in (parsed.items, parsed.condition) if tree is not None)]
    # Most cells use no function of another one, and are known already.
    names = [parsed.names, *map(analyse, trees[1:])]
    helper = bindings.helper(cell.index)
    if any(helper(name) for some in names for name in some.reads | some.builtin_reads):
        # A thousand functions that call one another are more than Python can follow.
        with suppress(RecursionError):
            names = [analyse(tree, helper) for tree in trees]
    # Each run of a mapped cell is given its item.
    given = {parsed.options.map[0]} if parsed.options.map else set()
    reads = set().union(*(some.reads | bindings.bound_above(some.builtin_reads, cell.index) for some in names)) - given
    if parsed.items is not None:
        reads |= names[1].reads
    certain = set().union(*(some.reads - some.lazy for some in names))
    return TaskCell(
        name=parsed.task,
        cell=cell.index,
        cell_id=cell.cell_id,
        options=parsed.options,
        names=parsed.names,
        reads=frozenset(reads),
        lazy=frozenset(reads - certain),
        writes=task_writes(parsed),
        source=cell.source,
        body=parsed.body,
    )


def _carried(tasks: Sequence[TaskCell], bindings: Bindings) -> dict[Edge, tuple[str, ...]]:
    """Return the edges, each with the data that go along it."""
    known = {task.name for task in tasks}
    edges: dict[Edge, list[str]] = {}
    for task in tasks:
        for name in sorted(task.reads):
            binding = bindings.find(name, task.cell)
            if binding is None or binding.task in (None, task.name) or not binding.data:
                continue
            assert binding.task is not None
            # A function that the cell only defines is called by another cell, when there is what it reads.
            if binding.cell < task.cell or name not in task.lazy:
                edges.setdefault((binding.task, task.name), []).append(name)
        for name in task.options.after:
            if name in known and name != task.name:
                edges.setdefault((name, task.name), [])
    return {edge: tuple(names) for edge, names in edges.items()}
