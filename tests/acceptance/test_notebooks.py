"""Every notebook of the gallery, executed by our own runner from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.store.sqlite import open_store

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
QUICKSTART = ROOT / "notebooks/quickstart.ipynb"
_TASK = re.compile(r"^%%task\s+([\w-]+)")


def wf_run(notebook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a notebook as a user does, from the project's folder."""
    command = [sys.executable, "-m", "jupyter_wf", "run", str(notebook.relative_to(ROOT)), "--json", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def finished(done: subprocess.CompletedProcess[str], *, code: int = 0) -> dict[str, Any]:
    """Return the run that the command printed, once it has ended as it should."""
    assert done.returncode == code, f"stdout:\n{done.stdout}\nstderr:\n{done.stderr}"
    run: dict[str, Any] = json.loads(done.stdout)
    return run


def below(run_id: str) -> list[Run]:
    """Return every run of the tree below ``run_id``, oldest first."""
    store = open_store(load_settings())
    try:
        page = store.list_runs(RunFilter(root_id=run_id, oldest_first=True), limit=1000)
    finally:
        store.close()
    return [run for run in page.items if run.id != run_id]


def texts(executed: Path) -> str:
    """Return all text that an executed notebook shows as output."""
    notebook = nbformat.read(executed, as_version=4)
    shown = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown += [output.get("text", ""), output.get("data", {}).get("text/plain", ""), output.get("evalue", "")]
    return "\n".join(shown)


def test_there_are_notebooks() -> None:
    assert QUICKSTART in NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"strip the outputs of cell {cell.id}"
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_completes_and_each_task_cell_is_a_task(path: Path) -> None:
    run = finished(wf_run(path))
    assert run["state"]["type"] == "COMPLETED"
    children = below(run["id"])
    assert [child.name for child in children if not child.state.is_closed()] == []
    cells = [child for child in children if child.parent_id == run["id"]]
    assert {cell.state.type.value for cell in cells} == {"COMPLETED"}
    code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.task_name for cell in cells if cell.kind == "task"] == [
        n for text in code for n in _TASK.findall(text)
    ]


@pytest.mark.parametrize(
    ("stem", "shown"),
    [
        (
            "flows-and-tasks",
            ["most rain in 2014", "wet_days-0 × 4", "never more than 2 at the printer", "(6171, True)"],
        ),
        ("failures-and-retries", ["TimedOut", "'alarm': 'alarm!'", "still open? False", "– called: ['bake']"]),
        ("caching-and-transactions", ["input 'weather' changed", "source changed", "rolled back", "was paid before"]),
        ("pause-for-input", ["'decision': Input should be", "42.50 € paid", "a sketch of wind", "good morning, Grace"]),
    ],
)
def test_what_a_tutorial_shows(stem: str, shown: list[str]) -> None:
    run = finished(wf_run(ROOT / f"notebooks/{stem}.ipynb"))
    text = texts(Path(run["source"]["executed"]))
    assert [line for line in shown if line not in text] == []


def test_the_tutorials_fail_only_where_they_mean_to() -> None:
    """What did not complete in a tutorial, by the name of its flow or task."""

    def odd(stem: str) -> set[str]:
        run = finished(wf_run(ROOT / f"notebooks/{stem}.ipynb"))
        wrong = [child for child in below(run["id"]) if not child.state.is_completed()]
        return {str(child.task_name or child.flow_name) for child in wrong}

    assert odd("flows-and-tasks") == {"rain"}
    assert odd("caching-and-transactions") == {"publish", "check"}
    assert odd("pause-for-input") == set()


def test_quickstart_shows_a_retry() -> None:
    tasks = {child.task_name: child for child in below(finished(wf_run(QUICKSTART))["id"]) if child.kind == "task"}
    assert list(tasks) == ["load", "rain", "temperature", "wind", "plot", "table"]
    assert {name: task.attempt for name, task in tasks.items() if task.attempt > 1} == {"load": 2}
    store = open_store(load_settings())
    states = [event.payload for event in store.states(tasks["load"].id)]
    lines = [record.message for record in store.logs(tasks["load"].id)]
    store.close()
    names = [state["name"] for state in states]
    assert names.index("AwaitingRetry") < names.index("Retrying") < names.index("Completed")
    assert "the line was cut" in states[names.index("AwaitingRetry")]["message"]
    assert any("reading the record, try 2" in line for line in lines)


def test_quickstart_takes_its_parameters() -> None:
    run = finished(wf_run(QUICKSTART, "-p", "year=2014"))
    assert run["parameters"]["year"] == 2014
    shown = texts(Path(run["source"]["executed"]))
    assert "365 days of 2014" in shown
    assert "Wettest month" in shown


def test_a_year_that_is_no_number_is_refused_in_one_line() -> None:
    done = wf_run(QUICKSTART, "-p", "year=soon")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "year" in line


def test_a_year_without_records_fails_and_the_notebook_says_why() -> None:
    run = finished(wf_run(QUICKSTART, "-p", "year=1999"), code=1)
    assert run["state"]["type"] == "FAILED"
    assert "no day of 1999 in the record" in run["error"]["message"]
    assert "no day of 1999 in the record" in texts(Path(run["source"]["executed"]))
    (load,) = [child for child in below(run["id"]) if child.task_name == "load"]
    assert (load.attempt, load.state.type.value) == (3, "FAILED")
