"""Who binds a name, seen from a cell: the latest cell above it, else the first one below."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jupyter_wf.notebook.definitions import Definition
from jupyter_wf.notebook.parsed_cells import ParsedCell

__all__ = ["Binding", "Bindings", "task_writes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A cell that binds a name.

    ``task`` is the name of the task that the cell is, None for a plain one; ``data`` is false for imports, functions
    and classes; ``definition`` says what the value leads to, where it is known to lead to anything.
    """

    cell: int
    task: str | None
    data: bool
    definition: Definition | None


def task_writes(parsed: ParsedCell) -> frozenset[str]:
    """Return the names that a cell leaves in the notebook: all it writes, but for the item that ``--map`` gives it."""
    return parsed.names.writes - {parsed.options.map[0]} if parsed.options.map else parsed.names.writes


class Bindings:
    """All bindings of a notebook, of cells in its order, each with its index."""

    def __init__(self, cells: Iterable[tuple[int, ParsedCell]]) -> None:
        self._cells: dict[str, list[int]] = {}
        self._bindings: dict[str, list[Binding]] = {}
        #: The first cell that may bind names which its syntax does not show.
        self._dynamic: int | None = None
        for index, parsed in cells:
            values = parsed.names.writes - parsed.names.imports - parsed.names.definitions
            private = parsed.names.private if parsed.task is None else frozenset()
            for name in task_writes(parsed) | private:
                made = Binding(
                    cell=index,
                    task=parsed.task,
                    data=name in values or name in private,
                    definition=parsed.definitions.get(name),
                )
                self._cells.setdefault(name, []).append(index)
                self._bindings.setdefault(name, []).append(made)
            if parsed.names.dynamic and self._dynamic is None:
                self._dynamic = index

    def find(self, name: str, cell: int) -> Binding | None:
        """Return the latest binding above the cell of this index; where there is none the first below, or None."""
        cells = self._cells.get(name)
        if cells is None:
            return None
        above = bisect_left(cells, cell)
        if above:
            return self._bindings[name][above - 1]
        return next((binding for binding in self._bindings[name][:2] if binding.cell != cell), None)

    def bound_above(self, names: Iterable[str], cell: int) -> set[str]:
        """Return those of ``names`` that a cell above the cell of this index binds."""
        return {name for name in names if name in self._cells and self._cells[name][0] < cell}

    def may_hide_names(self, cell: int) -> bool:
        """Return whether a cell above the cell of this index may bind names that its syntax does not show."""
        return self._dynamic is not None and self._dynamic < cell

    def helper(self, cell: int) -> Callable[[str], frozenset[str]]:
        """Return what `analyse` wants to know, for the cell of this index: what a name of another cell looks up."""

        def looks_up(name: str, seen: tuple[str, ...] = ()) -> frozenset[str]:
            binding = self.find(name, cell)
            definition = binding.definition if binding else None
            if definition is None or name in seen:
                return frozenset()
            names = definition.captured
            for other in definition.refers:
                target = self.find(other, cell)
                # Another name of a function; of data it is the data's own name that counts.
                if target is not None and target.definition is not None:
                    names |= looks_up(other, (*seen, name))
            if definition.made_of is not None:
                target = self.find(definition.made_of, cell)
                if target is not None and target.definition is not None and target.definition.is_class:
                    names |= looks_up(definition.made_of, (*seen, name))
            return names

        return looks_up
