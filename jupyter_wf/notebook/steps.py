"""Which cells of a notebook are steps of its run, what they are called, and who makes their runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from jupyter_wf.notebook.parameters import INJECTED_TAG, PARAMETERS_TAG
from jupyter_wf.notebook.source import cell_tags

__all__ = ["SKIP_TAG", "Step", "steps"]

#: nbclient's own name for the tag of cells that are not executed.
SKIP_TAG = "skip-execution"
_LONGEST_NAME = 60
#: ``%%task load --retries 2`` runs at once; ``%%task load(path)`` only defines a task, as any code defines things.
_RUNS_ITSELF = re.compile(r"%%(?:task|flow)[ \t]+(?!.*\()(?P<name>\S+)")
_DEFINES = re.compile(r"%%(?P<what>task|flow)[ \t]+(?P<name>[^\s(]+)[ \t]*\(")
_DEFINITION = re.compile(r"^(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One code cell that will be executed.

    ``index`` counts all cells from 0; ``cell_id`` is None in notebooks older than format 4.5. ``own_run`` tells whether
    the runner makes a cell run for it; for a ``%%task`` or ``%%flow`` cell the kernel makes the run.
    """

    index: int
    cell_id: str | None
    name: str
    own_run: bool


def steps(cells: list[dict[str, Any]]) -> list[Step]:
    """Return the steps of a notebook: its code cells but for empty ones and those tagged ``skip-execution``."""
    return [
        Step(index=index, cell_id=cell.get("id"), name=_name(cell, index), own_run=not _makes_its_run(cell["source"]))
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code" and cell["source"].strip() and SKIP_TAG not in cell_tags(cell)
    ]


def _makes_its_run(source: str) -> bool:
    first = _first_line(source)
    return first.startswith(("%%task", "%%flow")) and not _DEFINES.match(first)


def _first_line(source: str) -> str:
    return source.lstrip().partition("\n")[0].rstrip()


def _name(cell: dict[str, Any], index: int) -> str:
    tags = cell_tags(cell)
    for tag in (INJECTED_TAG, PARAMETERS_TAG):
        if tag in tags:
            return tag.replace("-", " ")
    first = _first_line(cell["source"])
    magic = _RUNS_ITSELF.match(first) or _DEFINES.match(first)
    if magic:
        return magic["name"]
    if first.startswith("@"):
        # A decorator tells less than what is decorated.
        first = ", ".join(_DEFINITION.findall(cell["source"])) or first
    name = first.lstrip("#").strip() if first.startswith("#") else first
    if not any(character.isalnum() for character in name):
        return f"cell {index + 1}"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
