"""Every notebook of the gallery, executed by our own runner from the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.notebooks import run_notebook
from jupyter_wf.store.sqlite import open_store

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
QUICKSTART = ROOT / "notebooks/quickstart.ipynb"
RESUMED = ROOT / "notebooks/resume-after-failure.ipynb"
_TASK = re.compile(r"^%%task\s+([\w-]+)")
#: Task cells that are meant to fail, by the notebook's name; the notebook goes on all the same.
_FAIL = {"debug-a-failure": {"snow"}}


def wf(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Call ``jupyter wf`` as a user does, from the project's folder."""
    command = [sys.executable, "-m", "jupyter_wf", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def wf_run(notebook: Path, *options: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a notebook as a user does, from the project's folder."""
    return wf("run", str(notebook.relative_to(folder)), "--json", *options, folder=folder)


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


def tasks(run: dict[str, Any]) -> dict[str, Run]:
    """Return the runs of the notebook's own task cells, by name; not what ``%wf run`` has run again."""
    return {str(each.task_name): each for each in below(run["id"]) if each.parent_id == run["id"] and each.task_name}


def ends(run: dict[str, Any]) -> dict[str, str]:
    """Return how each task cell of the notebook has ended, by name."""
    return {name: each.state.name for name, each in tasks(run).items()}


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
def test_nothing_is_wrong_with_its_tasks(path: Path) -> None:
    done = wf("check", str(path), "--json")
    assert json.loads(done.stdout)["problems"] == []


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path != RESUMED], ids=lambda path: path.stem)
def test_notebook_completes_and_each_task_cell_is_a_task(path: Path) -> None:
    run = finished(wf_run(path))
    assert run["state"]["type"] == "COMPLETED"
    children = below(run["id"])
    assert [child.name for child in children if not child.state.is_closed()] == []
    cells = [child for child in children if child.parent_id == run["id"]]
    assert {cell.task_name for cell in cells if not cell.state.is_completed()} == _FAIL.get(path.stem, set())
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
    run = tasks(finished(wf_run(QUICKSTART)))
    assert list(run) == ["load", "rain", "temperature", "wind", "plot", "table"]
    assert {name: task.attempt for name, task in run.items() if task.attempt > 1} == {"load": 2}
    store = open_store(load_settings())
    states = [event.payload for event in store.states(run["load"].id)]
    lines = [record.message for record in store.logs(run["load"].id)]
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


# -- notebooks as pipelines ------------------------------------------------------------------------------------------


def _edited(path: Path, cell_id: str, old: str, new: str) -> None:
    """Change the text of one cell of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    assert old in cell.source
    cell.source = cell.source.replace(old, new)
    nbformat.write(notebook, path)


def test_dataflow_and_background() -> None:
    path = ROOT / "notebooks/dataflow-and-background.ipynb"
    graph = json.loads(wf("graph", str(path), "--json").stdout)
    assert sorted(map(tuple, graph["edges"])) == [
        ("heat", "report"),
        ("load", "heat"),
        ("load", "rain"),
        ("load", "wind"),
        ("rain", "report"),
        ("report", "save"),
        ("save", "post"),
        ("wind", "report"),
        ("wind", "warn"),
    ]
    run = finished(wf_run(path))
    first = tasks(run)
    again = {str(each.task_name): each for each in below(run["id"]) if each.task_name and each.parent_id != run["id"]}
    # What was changed is read by the first one, so all of them run again.
    assert {name: each.state.name for name, each in first.items()} == {
        name: each.state.name for name, each in again.items()
    }
    assert {name for name, each in first.items() if each.state.name == "Skipped"} == {"warn"}
    for runs in (first, again):
        assert set(runs["report"].upstream) == {runs[name].id for name in ("rain", "heat", "wind")}
        assert runs["post"].upstream == (runs["save"].id,)
    three = [again[name] for name in ("rain", "heat", "wind")]
    assert max(each.started_at or 0 for each in three) < min(each.ended_at or 0 for each in three)
    # The cell had returned before its task had ended.
    assert (first["heat"].started_at or 0) < (first["rain"].ended_at or 0)
    text = texts(Path(run["source"]["executed"]))
    for shown in (
        "stale: 'corrections' has changed",
        "stale: 'corrections', which 'load' reads, has changed",
        "posted: report.csv",
        "between 2.70 and 3.38 mm a day",
        "2.71   3.39",
    ):
        assert shown in text


def test_without_background_the_values_are_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(ROOT / "notebooks", folder)
    path = folder / "dataflow-and-background.ipynb"
    for name in ("rain", "heat", "wind"):
        _edited(path, name, f"%%task {name} -b", f"%%task {name}")
    run = finished(wf_run(path, folder=folder))
    first = tasks(run)
    assert (first["rain"].ended_at or 0) <= (first["heat"].started_at or 0)
    text = texts(Path(run["source"]["executed"]))
    assert "between 2.70 and 3.38 mm a day" in text
    assert "2.71   3.39" in text


def test_resume_after_a_failure() -> None:
    failed = finished(wf_run(RESUMED), code=1)
    assert failed["state"]["type"] == "FAILED"
    well = {"load": "Completed", "chances": "Completed", "party": "Failed", "tell": "Completed"}
    assert ends(failed) == well
    assert "no answer for '2015-06-31'" in texts(Path(failed["source"]["executed"]))
    restored = {**well, "load": "Resumed", "chances": "Resumed"}
    again = finished(wf("resume", failed["id"][:8], "--json"), code=1)
    assert (again["id"], again["attempt"]) == (failed["id"], 2)
    assert ends(again) == restored
    mended = finished(wf("resume", failed["id"][:8], "--json", "-p", "day=2015-06-30"))
    assert (mended["id"], mended["attempt"]) == (failed["id"], 3)
    assert ends(mended) == {**restored, "party": "Completed", "tell": "Skipped", "answer": "Completed"}
    text = texts(Path(mended["source"]["executed"]))
    assert "30 June: rain on 20% of such days" in text
    assert "the chance of rain is known for every day" in text
    anew = finished(wf("rerun", failed["id"][:8], "--from", "chances", "--json"))
    assert anew["id"] != failed["id"]
    assert anew["parameters"] == {"day": "2015-06-30"}
    assert ends(anew) == {**well, "load": "Resumed", "party": "Completed", "tell": "Skipped", "answer": "Completed"}


def test_repair_restores_what_was_changed_and_resume_runs_it(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(ROOT / "notebooks", folder)
    path = folder / RESUMED.name
    failed = finished(wf_run(path, folder=folder), code=1)
    _edited(path, "chances", "for every day of the year", "for each day of the year")
    repaired = finished(wf("repair", failed["id"], "--json", folder=folder), code=1)
    assert ends(repaired)["chances"] == "Resumed"
    resumed = finished(wf("resume", failed["id"], "--json", "-p", "day=2015-06-30", folder=folder))
    assert ends(resumed) == {
        "load": "Resumed",
        "chances": "Completed",
        "party": "Completed",
        "tell": "Skipped",
        "answer": "Completed",
    }
    assert "source changed" in wf("logs", failed["id"]).stdout


def test_a_notebook_is_a_function() -> None:
    assert run_notebook(RESUMED, day="2015-06-30").result().startswith("30 June: rain on 20% of such days")


def test_map_and_cache() -> None:
    path = ROOT / "notebooks/map-and-cache.ipynb"

    def items(run: dict[str, Any]) -> list[list[str]]:
        """Return how the items of each run of ``hottest`` have ended, in their order."""
        runs = [each for each in below(run["id"]) if each.task_name == "hottest"]
        return [
            [item.state.name for item in sorted(runs, key=lambda item: item.name) if item.parent_id == each.id]
            for each in runs
            if each.name == "hottest"
        ]

    def others(run: dict[str, Any]) -> list[tuple[str, str]]:
        """Return how each run of the two last tasks has ended."""
        return [(each.name, each.state.name) for each in below(run["id"]) if each.task_name in ("forecast", "record")]

    run = finished(wf_run(path))
    assert items(run) == [
        ["Completed"] * 3,
        ["Cached"] * 3 + ["Completed"],
        ["Cached", "Completed", "Cached", "Cached"],
    ]
    always = [("forecast", "Completed")] * 2 + [("record", "Completed")] * 2
    assert others(run) == always
    text = texts(Path(run["source"]["executed"]))
    assert "hottest 4 of 4" in text
    assert "2015 30 June to 06 July 2015 32.2" in " ".join(text.split())
    later = finished(wf_run(path))
    assert items(later) == [["Cached"] * 3, ["Cached"] * 4, ["Cached"] * 4]
    assert others(later) == always


def test_debug_a_failure() -> None:
    run = finished(wf_run(ROOT / "notebooks/debug-a-failure.ipynb"))
    text = texts(Path(run["source"]["executed"]))
    for shown in (
        "attempt to get argmax of an empty sequence",
        "month = 5",
        "snow_days = pandas.DataFrame of 0",
        "its inputs, and its source",
        "days_of_snow[month] = windiest(snow_days)",
        "2012-02-29 00:00:00  7.0",
    ):
        assert shown in text
    store = open_store(load_settings())
    snow = find_address(store, "debug-a-failure/snow", failed=True)
    store.close()
    assert (snow.task_name, snow.state.name, snow.root_id) == ("snow", "Failed", run["id"])


def test_scheduling_a_notebook_leaves_nothing_behind() -> None:
    run = finished(wf_run(ROOT / "notebooks/scheduling-a-notebook.ipynb"))
    text = texts(Path(run["source"]["executed"]))
    for shown in (
        "At 06:00, Monday through Friday, Europe/Oslo",
        "'25' is no hour",
        "2026-03-29 03:00:00+02:00",
        "{'month': 'June 2014', 'mm of rain': 18.8, '°C at most': 26.1}",
        "one after the other: True",
        "4 of 4 slots would be run",
        "the agent has ended: 0",
    ):
        assert shown in text
    store = open_store(load_settings())
    roots = store.list_runs(RunFilter(flow="scheduling-a-notebook", roots_only=True), limit=10).items
    deployments, agents = store.deployments.list(), store.agents.list(time.time())
    store.close()
    made = [each for each in roots if each.id != run["id"]]
    # A run that was made by a deployment ends where the tutorial about schedules begins.
    assert {each.state.name for each in made} == {"Stopped"}
    assert sorted(each.parameters["month"] for each in made) == [1, 2, 6]
    assert {each.source["deployment"] for each in made} == {"scheduling-a-notebook/weather"}
    assert deployments == []
    assert [each for each in agents if each.alive] == []
