"""A cell as the dataflow sees it: what is given, the task that it is, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_wf.notebook.cell_options import CellOptions
from jupyter_wf.notebook.names import CellNames

__all__ = ["CellInput", "Edge", "Problem", "TaskCell", "is_error"]

#: From whom, to whom: names of tasks.
Edge = tuple[str, str]
#: Kinds of problems with which a notebook still does what it says, if maybe not what is meant.
_WARNINGS = frozenset(("mutation", "order"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CellInput:
    """A code cell. ``index`` counts all cells of the notebook from 0; ``cell_id`` is None where there is no id."""

    index: int
    cell_id: str | None
    source: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCell:
    """A cell with ``%%task NAME``.

    ``reads`` are the names that it takes from the notebook's namespace, through functions of other cells and the
    expressions of its line too; ``lazy`` those of them that only functions of the cell read which it does not call
    itself. ``writes`` are the public names that it leaves there. ``names`` is the analysis of the body
    alone. ``source`` is the whole cell as written, ``body`` its Python text: line n of it is line n of the cell.
    """

    name: str
    cell: int
    cell_id: str | None
    options: CellOptions
    names: CellNames
    reads: frozenset[str]
    writes: frozenset[str]
    source: str
    body: str
    lazy: frozenset[str] = frozenset()

    @property
    def data(self) -> frozenset[str]:
        """The writes that are values: no imports, functions or classes."""
        return self.writes - self.names.imports - self.names.definitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong with a notebook, or may be.

    ``cell`` is the cell's index from 0; ``message`` names cells as people count them, from 1. Kinds: ``syntax``,
    ``line`` (the line of a ``%%task``), ``duplicate-name``, ``duplicate-output``, ``cycle``, ``unknown-after``, and the
    warnings ``order`` and ``mutation``.
    """

    cell: int
    kind: str
    message: str


def is_error(kind: str) -> bool:
    """Return whether a problem of this kind is an error; else it is a warning."""
    return kind not in _WARNINGS
