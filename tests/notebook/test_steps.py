"""Which cells are steps, what they are called, and who makes their runs."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.notebook.steps import steps


def cell(source: str, *tags: str, kind: str = "code") -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": source}


@pytest.mark.parametrize(
    ("source", "name", "own_run"),
    [
        ("x = 1\ny = 2", "x = 1", True),
        ("\n\n# Load the data\nx = 1", "Load the data", True),
        ("#\nx = 1", "cell 1", True),
        ("%%bash\nls", "%%bash", True),
        ("%%task load --retries 2\nx = 1", "load", False),
        ("\n%%task load\nx = 1", "load", False),
        ("%%flow nightly", "nightly", False),
        ("%%task clean(path, n=2) -> out\nout = 1", "clean", True),
        ("%%flow nightly (day)\npass", "nightly", True),
        ("%%task", "%%task", False),
        ("@task\ndef read():\n    def inner(): ...\n\n@flow(\n  name='x')\nasync def main(): ...", "read, main", True),
        ("@", "cell 1", True),
        ("y" * 100, "y" * 59 + "…", True),
    ],
)
def test_names_and_owners(source: str, name: str, own_run: bool) -> None:
    (step,) = steps([cell(source)])
    assert (step.name, step.own_run, step.index, step.cell_id) == (name, own_run, 0, None)


def test_what_is_not_executed_is_no_step() -> None:
    cells = [
        cell("# Title", kind="markdown"),
        cell("x = 1", "skip-execution"),
        cell("   \n"),
        cell("x = 2", "parameters"),
        cell("x = 3", "injected-parameters"),
        cell("x", kind="raw"),
    ]
    assert [(step.index, step.name) for step in steps(cells)] == [(3, "parameters"), (4, "injected parameters")]
