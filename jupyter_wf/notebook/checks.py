"""What may be wrong with a notebook's tasks: one function for each kind of problem.

Messages count cells from 1, as people do, and say what to do.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from jupyter_wf.notebook.bindings import Bindings
from jupyter_wf.notebook.cells import identifier
from jupyter_wf.notebook.parsed_cells import ParsedCell
from jupyter_wf.notebook.task_cells import Edge, Problem, TaskCell

__all__ = [
    "changed_in_place",
    "cycles",
    "faults",
    "read_too_early",
    "same_names",
    "same_outputs",
    "unknown_after",
    "unknown_results",
]

_MOST_NAMES = 10


def _called(task: TaskCell) -> str:
    return f"task {task.name!r} (cell {task.cell + 1})"


def faults(cell: int, parsed: ParsedCell) -> Iterator[Problem]:
    """Yield what is wrong inside of one cell: ``syntax`` and ``line``."""
    for fault in parsed.faults:
        yield Problem(cell=cell, kind=fault.kind, message=f"cell {cell + 1}: {fault.message}")


def same_names(tasks: Sequence[TaskCell]) -> Iterator[Problem]:
    """Yield a ``duplicate-name`` for each task whose name an earlier one has."""
    first: dict[str, TaskCell] = {}
    for task in tasks:
        other = first.setdefault(task.name, task)
        if other is not task:
            reason = (
                f"cells {other.cell + 1} and {task.cell + 1} are both called {task.name!r}: rename one of the tasks"
            )
            yield Problem(cell=task.cell, kind="duplicate-name", message=reason)


def same_outputs(found: Sequence[tuple[TaskCell, ParsedCell]]) -> Iterator[Problem]:
    """Yield a ``duplicate-output`` for each name that an earlier task writes too.

    Two may import one thing, or define one function alike.
    """
    owners: dict[str, tuple[TaskCell, ParsedCell]] = {}
    for task, parsed in found:
        for name in sorted(task.writes - task.names.imports):
            other, other_parsed = owners.setdefault(name, (task, parsed))
            if other.name == task.name:
                continue
            definitions = [some.definitions.get(name) for some in (parsed, other_parsed)]
            codes = {definition.code if definition else "" for definition in definitions}
            if name in task.data or name in other.data or len(codes) > 1:
                reason = (
                    f"{_called(other)} and {_called(task)} both write {name!r}; its value is of whichever ran last: "
                    f"rename it in one of them, or call it '_{name}' where no other cell needs it"
                )
                yield Problem(cell=task.cell, kind="duplicate-output", message=reason)


def unknown_after(tasks: Sequence[TaskCell]) -> Iterator[Problem]:
    """Yield an ``unknown-after`` for each name that no task has, a ``cycle`` where a task would wait for itself."""
    known = [task.name for task in tasks]
    for task in tasks:
        for name in task.options.after:
            if name == task.name:
                reason = f"{_called(task)} is to run after itself: {name} → {name}; take it out of --after"
                yield Problem(cell=task.cell, kind="cycle", message=reason)
            elif name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                others = ", ".join([other for other in known if other != task.name][:_MOST_NAMES])
                hint = (
                    f"did you mean {near[0]!r}?" if near else f"there are {others}" if others else "there is no other"
                )
                reason = f"{_called(task)} is to run after {name!r}, but no task is called so: {hint}"
                yield Problem(cell=task.cell, kind="unknown-after", message=reason)


def unknown_results(found: Sequence[tuple[TaskCell, ParsedCell]]) -> Iterator[Problem]:
    """Yield a ``line`` for each ``--return`` of something that its cell does not write."""
    for task, parsed in found:
        name = task.options.result
        if name is not None and name not in task.writes and not parsed.names.dynamic and not parsed.faults:
            what = f"it writes {', '.join(sorted(task.writes)[:_MOST_NAMES])}" if task.writes else "it writes nothing"
            reason = f"{_called(task)} is to return {name!r}, which it does not write: {what}"
            yield Problem(cell=task.cell, kind="line", message=reason)


def read_too_early(tasks: Sequence[TaskCell], bindings: Bindings) -> Iterator[Problem]:
    """Yield an ``order`` for each name that a task reads and only cells below it make."""
    for task in tasks:
        for name in sorted(task.reads - task.lazy):
            binding = bindings.find(name, task.cell)
            if binding is None or binding.cell < task.cell or binding.task == task.name:
                continue
            if binding.task is None and bindings.may_hide_names(task.cell):
                continue
            maker = f"task {binding.task!r} (cell {binding.cell + 1})" if binding.task else f"cell {binding.cell + 1}"
            reason = (
                f"{_called(task)} reads {name!r}, which is only made further down, by {maker}: "
                f"move cell {binding.cell + 1} above cell {task.cell + 1}"
            )
            yield Problem(cell=task.cell, kind="order", message=reason)


def changed_in_place(task: TaskCell, parsed: ParsedCell, bindings: Bindings) -> Iterator[Problem]:
    """Yield a ``mutation`` for each name of another task whose value the task changes in place."""
    makers: dict[str, tuple[str, int]] = {}
    changes: dict[str, str] = {}
    for name in task.reads - task.writes:
        binding = bindings.find(name, task.cell)
        if binding is None:
            continue
        if binding.data and binding.task not in (None, task.name):
            makers[name] = (f"task {binding.task!r}", binding.cell)
        if binding.definition is not None:
            through = f"by calling {name!r} of cell {binding.cell + 1}"
            changes.update(dict.fromkeys(binding.definition.changes, through))
    changes |= {name: f"in line {line} ({code})" for name, (line, code) in parsed.changes.items()}
    for name in sorted(makers.keys() & changes.keys()):
        maker, cell = makers[name]
        reason = (
            f"{_called(task)} changes {name!r} of {maker} (cell {cell + 1}) in place, {changes[name]}: run again, it "
            f"would change it twice. Change a copy ({name}_{identifier(task.name)} = {name}.copy()), or do it in cell "
            f"{cell + 1}"
        )
        yield Problem(cell=task.cell, kind="mutation", message=reason)


def cycles(tasks: Sequence[TaskCell], carried: Mapping[Edge, tuple[str, ...]]) -> Iterator[Problem]:
    """Yield a ``cycle`` for each group of tasks that need one another, with the shortest way round."""
    after: dict[str, list[str]] = {}
    for writer, reader in carried:
        after.setdefault(writer, []).append(reader)
    first = {task.name: task for task in reversed(tasks)}
    told: set[str] = set()
    for name in _bound_up(tasks, after):
        way = _way_round(name, after) if name not in told else ()
        if not way:
            continue
        told.update(way)
        shown = " → ".join(f"{step} (cell {first[step].cell + 1})" for step in way[:-1])
        whys = "; ".join(_why(one, other, carried[one, other]) for one, other in pairwise(way))
        reason = (
            f"the tasks {shown} → {way[-1]} wait for one another: {whys}. "
            "Rename one of the names, or take out one --after"
        )
        yield Problem(cell=first[name].cell, kind="cycle", message=reason)


def _why(writer: str, reader: str, names: tuple[str, ...]) -> str:
    if not names:
        return f"{reader!r} is to run after {writer!r}"
    return f"{reader!r} reads {', '.join(map(repr, names))} of {writer!r}"


def _bound_up(tasks: Sequence[TaskCell], after: Mapping[str, list[str]]) -> list[str]:
    """Return the tasks that are in a cycle or behind one, in the order of the notebook."""
    missing = {task.name: 0 for task in tasks}
    for readers in after.values():
        for reader in readers:
            missing[reader] += 1
    ready = [name for name, number in missing.items() if not number]
    while ready:
        for reader in after.get(ready.pop(), ()):
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    return [name for name, number in missing.items() if number]


def _way_round(name: str, after: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the shortest way from a task to itself, with it at both ends; nothing where there is none."""
    came_from: dict[str, str] = {}
    waiting = deque([name])
    while waiting:
        current = waiting.popleft()
        for reader in after.get(current, ()):
            if reader == name:
                way = [name, current]
                while way[-1] != name:
                    way.append(came_from[way[-1]])
                return tuple(reversed(way))
            if reader not in came_from:
                came_from[reader] = current
                waiting.append(reader)
    return ()
