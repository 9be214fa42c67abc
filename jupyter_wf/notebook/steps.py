"""Which cells of a notebook are steps of its run, what they are called, and who makes their runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.notebook.cell_options import parse_cell_options
from jupyter_wf.notebook.heads import split_head
from jupyter_wf.notebook.parameters import INJECTED_TAG, PARAMETERS_TAG
from jupyter_wf.notebook.source import cell_tags

__all__ = ["SKIP_TAGS", "Step", "steps"]

#: Tags of cells that are not executed; the second is nbclient's.
SKIP_TAGS = frozenset(("skip", "skip-execution"))
#: What ``--run-if`` may say of a cell that is looked at although something has failed.
_AFTER_FAILURE = frozenset(("all_done", "one_failed", "all_failed", "one_success"))
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
    ``after_failure`` tells that it is a task which asks, by ``--run-if``, to be looked at when something has failed:
    the kernel then decides whether it is called.
    """

    index: int
    cell_id: str | None
    name: str
    own_run: bool
    after_failure: bool = False


def steps(cells: list[dict[str, Any]]) -> list[Step]:
    """Return the steps of a notebook: its code cells but for empty ones and those with one of `SKIP_TAGS`."""
    return [
        Step(
            index=index,
            cell_id=cell.get("id"),
            name=_name(cell, index),
            own_run=not _makes_its_run(cell["source"]),
            after_failure=_is_for_failures(cell["source"]),
        )
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code" and cell["source"].strip() and SKIP_TAGS.isdisjoint(cell_tags(cell))
    ]


def _is_for_failures(source: str) -> bool:
    first = _first_line(source)
    if not first.startswith("%%task") or "--run-if" not in first:
        return False
    try:
        head = split_head("task", first.removeprefix("%%task"))
        return parse_cell_options("task", head).run_if in _AFTER_FAILURE
    except CellLineError:
        # The cell itself will say what is wrong with its line.
        return False


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
