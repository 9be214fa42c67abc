"""Notebooks that end early by will, and cells that are left out."""

from __future__ import annotations

import pytest

from jupyter_wf.core.states import StateType
from tests.notebook.bench import Bench
from tests.notebook.making import code, printed

STOP = "from jupyter_wf.core.signals import StopFlow\nraise StopFlow({!r})"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys\nprint('said')\nsys.exit(0)", "sys.exit() was called"),
        ("import sys\nprint('said')\nsys.exit()", "sys.exit() was called"),
        ("print('said')\nraise SystemExit", "sys.exit() was called"),
        ("print('said')\nexit()", "exit() was called"),
        ("print('said')\n" + STOP.format("no new data"), "no new data"),
    ],
    ids=["zero", "nothing", "raised", "exit", "signal"],
)
def test_a_run_that_stops_early_is_completed(bench: Bench, source: str, reason: str) -> None:
    run = bench.run("x = 1", source, "print('never')")
    assert (run.state.type, run.state.name, run.state.message) == (StateType.COMPLETED, "Stopped", reason)
    assert run.error is None
    assert [child.state.name for child in bench.children()] == ["Completed", "Completed"]
    assert bench.children()[1].state.message == f"stopped the run: {reason}"
    stopped, never = bench.cells[1:]
    assert printed(stopped) == f"said\nThe run was stopped here: {reason}"
    assert [output["output_type"] for output in stopped["outputs"]] == ["stream", "display_data"]
    assert (never["outputs"], never["execution_count"]) == ([], None)


def test_what_a_cell_wrote_to_stderr_stays_without_the_hint_about_leaving(bench: Bench) -> None:
    bench.run("import sys\nprint('mine', file=sys.stderr)\nsys.exit(0)")
    texts = [output["text"] for output in bench.cells[0]["outputs"] if output.get("name") == "stderr"]
    assert texts == [["mine\n"]]


@pytest.mark.parametrize("status", [1, "it went wrong"])
def test_an_exit_with_an_error_is_a_failure(bench: Bench, status: int | str) -> None:
    run = bench.run(f"import sys\nsys.exit({status!r})", "print('never')")
    assert (run.state.type, run.state.name) == (StateType.FAILED, "Failed")
    assert run.state.message == f"cell 1: SystemExit: {status}"
    assert bench.cells[0]["outputs"][0]["ename"] == "SystemExit"


def test_an_exit_stops_the_run_also_where_errors_are_allowed(bench: Bench) -> None:
    run = bench.run(code("import sys\nsys.exit(0)", "raises-exception"), "print('never')")
    assert (run.state.name, [child.name for child in bench.children()]) == ("Stopped", ["import sys"])


def test_the_word_of_the_extension_stops_too(bench: Bench) -> None:
    run = bench.run("%load_ext jupyter_wf", "%wf stop nothing to do today", "print('never')")
    assert (run.state.type, run.state.name) == (StateType.COMPLETED, "Stopped")
    assert "nothing to do today" in str(run.state.message)
    assert printed(bench.cells[2]) == ""


@pytest.mark.parametrize("tag", ["skip", "skip-execution"])
def test_cells_with_a_tag_are_left_out(bench: Bench, tag: str) -> None:
    run = bench.run("x = 1", code("x = 2", tag), code("%%task t\nx = 3", tag), "print(x)")
    assert run.state.type is StateType.COMPLETED, run.state.message
    assert [child.source["cell"] for child in bench.children()] == [0, 3]
    assert printed(bench.cells[3]) == "1\n"
    assert printed(bench.cells[1]) == "output of an earlier run\n", "a skipped cell is left as it was"


@pytest.mark.parametrize(
    ("line", "reader"),
    [
        ("quit -b", "print('never', made)"),
        # Nobody waits for it: the run ends when the task has.
        ("quit -b", "x = 1"),
        ("quit --map i=[1,2,3]", "print('never')"),
        ("quit", "print('never')"),
    ],
    ids=["read", "unread", "mapped", "here"],
)
def test_a_task_stops_the_run_wherever_it_runs(bench: Bench, line: str, reader: str) -> None:
    run = bench.run("%load_ext jupyter_wf", f"%%task {line}\nimport sys\nsys.exit(0)\nmade = 1", reader)
    assert (run.state.type, run.state.name) == (StateType.COMPLETED, "Stopped")
    assert "never" not in printed(bench.cells[2])
    assert bench.children()[1].state.type is StateType.COMPLETED
