"""What still runs when something has failed, and what is left running."""

from __future__ import annotations

from jupyter_wf.core.states import StateType
from tests.notebook.bench import Bench
from tests.notebook.making import printed

LOAD = "%load_ext jupyter_wf"


def names(bench: Bench) -> list[tuple[str, str]]:
    return [(child.name, child.state.name) for child in bench.children()]


def test_after_a_failure_only_cells_that_are_meant_for_it_run(bench: Bench) -> None:
    run = bench.run(
        LOAD,
        "%%task load\nrows = [1]\n1 / 0",
        "print('never')",
        "%%task next\nprint('never')",
        "%%task strict --run-if all_success\nprint('never')",
        "%%task tidy --after load --run-if all_done\nprint('tidied')",
        "%%task tell --after load --run-if one_failed\nprint('told')",
        "%%task bad --after load --run-if all_failed\nraise ValueError('later')",
    )
    assert (run.state.type, run.state.message) == (StateType.FAILED, "cell 2: ZeroDivisionError: division by zero")
    assert run.error is not None and run.error.type == "ZeroDivisionError", "what failed first is why"
    assert names(bench) == [
        (LOAD, "Completed"),
        ("load", "Failed"),
        ("tidy", "Completed"),
        ("tell", "Completed"),
        ("bad", "Failed"),
    ]
    assert "tidied" in printed(bench.cells[5]) and "told" in printed(bench.cells[6])
    assert all(bench.cells[index]["execution_count"] is None for index in (2, 3, 4))


def test_a_plain_cell_that_fails_lets_those_cells_run_too(bench: Bench) -> None:
    run = bench.run(LOAD, "1 / 0", "%%task tidy --run-if all_done\nprint('tidied')", "print('never')")
    assert run.state.message == "cell 2: ZeroDivisionError: division by zero"
    assert names(bench)[1:] == [("1 / 0", "Failed"), ("tidy", "Completed")]


def test_nothing_runs_in_a_kernel_that_is_dead(bench: Bench) -> None:
    run = bench.run(LOAD, "import os\nos._exit(3)", "%%task tidy --run-if all_done\nprint('never')")
    assert (run.state.type, run.state.message) == (StateType.CRASHED, "the kernel died: exit code 3")
    assert len(bench.children()) == 2


def test_a_stop_after_a_failure_does_not_hide_it(bench: Bench) -> None:
    run = bench.run(LOAD, "1 / 0", "%%task tidy --run-if all_done\nimport sys\nsys.exit(0)")
    assert (run.state.type, run.state.message) == (StateType.FAILED, "cell 2: ZeroDivisionError: division by zero")


def test_a_background_task_that_fails_last_fails_the_run_as_its_cell(bench: Bench) -> None:
    run = bench.run(LOAD, "%%task side -b\nraise KeyError('lost')", "x = 1")
    assert run.state.type is StateType.FAILED
    assert run.error is not None and run.error.type == "KeyError"
    assert str(run.state.message).startswith("cell 2: KeyError")
    assert dict(names(bench))["side"] == "Failed"


def test_background_tasks_are_waited_for(bench: Bench) -> None:
    held = "from pathlib import Path\nimport threading\nlast = threading.Event()"
    run = bench.run(
        f"{LOAD}\n{held}",
        "%%task side -b\nlast.wait(60)\nPath('written').write_text('by side')",
        "last.set()",
    )
    assert run.state.type is StateType.COMPLETED, run.state.message
    assert (bench.folder / "written").read_text() == "by side"
    assert dict(names(bench))["side"] == "Completed"


#: Sends a message as if a thread of the cell that `parent` was taken from had done so.
SEND = "kernel.session.send(kernel.iopub_socket, {!r}, {!r}, parent=parent);"


def test_what_comes_late_goes_to_the_cell_that_it_is_of(bench: Bench) -> None:
    shown = {"data": {"text/plain": "drawn"}, "metadata": {}}
    bench.run(
        "kernel = get_ipython().kernel\nparent = kernel.get_parent()\nprint('first')",
        SEND.format("stream", {"name": "stdout", "text": "late\n"}) + "\nprint('second')",
        SEND.format("display_data", shown) + "\nprint('third')",
        SEND.format("status", {"execution_state": "idle"}) + "\nprint('fourth')",
    )
    assert [printed(cell) for cell in bench.cells] == ["first\nlate\ndrawn", "second\n", "third\n", "fourth\n"]
    assert ("stdout", "late") in bench.logged()


def test_a_late_clearing_clears_only_its_own_cell(bench: Bench) -> None:
    bench.run(
        "kernel = get_ipython().kernel\nparent = kernel.get_parent()\nprint('first')",
        "print('kept')\n" + SEND.format("clear_output", {"wait": True}) + "\nprint('too')",
        SEND.format("stream", {"name": "stdout", "text": "anew\n"}),
    )
    assert [printed(cell) for cell in bench.cells] == ["anew\n", "kept\ntoo\n", ""]


def test_cells_tell_what_they_have_used(bench: Bench) -> None:
    bench.run(
        "import time",
        "held = bytearray(b'x') * 2**27\ndel held\nend = time.process_time() + 0.2",
        "while time.process_time() < end: pass",
    )
    used = [child.source["usage"] for child in bench.children()]
    assert used[1]["memory_bytes"] > 2**27 * 0.9
    assert used[2]["cpu_seconds"] > 0.05 and used[2]["memory_bytes"] < 2**26


def test_the_run_tells_what_it_was_made_with(bench: Bench) -> None:
    run = bench.run("x = 1")
    assert run.source["kernel"]["name"] == "python3"
    assert run.source["environment"]["packages"] > 20
    assert (bench.runtime.settings.environments / f"{run.source['environment']['digest']}.json").is_file()
    assert run.source["host"]
