"""``jupyter wf check``: what is wrong with the tasks of a notebook, without running it."""

from __future__ import annotations

import json

import click

from jupyter_wf.cli.app import FAILED
from jupyter_wf.cli.text import clean, columns
from jupyter_wf.core.errors import TargetError
from jupyter_wf.notebook.dataflow import Dataflow, encode_dataflow, is_error, notebook_cells, read_dataflow
from jupyter_wf.notebook.source import read_notebook

__all__ = ["check", "counted", "load_dataflow"]

_COLOURS = {True: "red", False: "yellow"}


@click.command(short_help="Look for mistakes in a notebook's tasks.")
@click.argument("notebook")
@click.option("--json", "as_json", is_flag=True, help="Print tasks, edges and problems as JSON; cells count from 0.")
def check(notebook: str, as_json: bool) -> int:
    """List what is wrong with the tasks of NOTEBOOK, without running anything.

    Found are: cells that are no Python, wrong lines of %%task, two tasks of one name, two that write one variable,
    tasks that wait for one another or run after a task that there is not. Warnings: a task reads what is made only
    further down, or changes another one's variable in place. Cells count from 1.

    Exit codes: 0 nothing found, 1 something found, warnings included, 2 the notebook can't be read.
    """
    dataflow = load_dataflow(notebook)
    if as_json:
        click.echo(json.dumps(encode_dataflow(dataflow), ensure_ascii=True))
    else:
        _tell(dataflow)
    return FAILED if dataflow.problems else 0


def load_dataflow(path: str) -> Dataflow:
    """Return the dataflow of the notebook at ``path``. Raises `TargetError` for what is no notebook with Python."""
    notebook = read_notebook(path)
    if notebook.language != "python":
        raise TargetError(path, f"is a notebook in {notebook.language}; only Python can be looked into")
    return read_dataflow(notebook_cells(notebook))


def counted(dataflow: Dataflow) -> str:
    """Return how many tasks, edges and problems there are, in words."""
    numbers = (("task", len(dataflow.tasks)), ("edge", len(dataflow.edges)), ("problem", len(dataflow.problems)))
    return ", ".join(f"{number or 'no'} {word}{'' if number == 1 else 's'}" for word, number in numbers)


def _tell(dataflow: Dataflow) -> None:
    rows = []
    for problem in dataflow.problems:
        wrong = is_error(problem.kind)
        severity = click.style("error" if wrong else "warning", fg=_COLOURS[wrong])
        message = " ".join(clean(problem.message).split())
        rows.append((f"cell {problem.cell + 1}", severity, problem.kind, message))
    if rows:
        for line in columns(rows):
            click.echo(line)
    click.echo(counted(dataflow))
