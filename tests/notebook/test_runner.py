"""Notebooks in real kernels: cells as runs, failures, cancellation, deaths, limits."""

from __future__ import annotations

import os
import signal
import stat

import pytest

from jupyter_wf.core.settings import PARENT_VARIABLE
from jupyter_wf.core.states import StateType
from jupyter_wf.notebook import kernels
from jupyter_wf.notebook import runner as runner_module
from jupyter_wf.notebook.runner import NotebookRunner, Outcome
from tests.notebook.bench import Bench
from tests.notebook.making import code, is_running, markdown, printed
from tests.waiting import until


def test_every_cell_is_a_run_and_the_notebook_is_saved(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.run(
        markdown("# Title"),
        "# Load\nimport os, sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7",
        code("skipped = True", "skip-execution"),
        code("1 / 0", "raises-exception"),
        "meta = get_ipython().kernel.get_parent()['metadata']['jupyter_wf']\nprint(meta)",
        f"print(os.environ['{PARENT_VARIABLE}'], os.getcwd(), get_ipython().history_manager.enabled)",
        "import subprocess\nprint(subprocess.Popen(['sleep', '300']).pid)",
    )
    assert (run.state.type, run.error) == (StateType.COMPLETED, None)
    children = bench.children()
    assert [(c.kind, c.state.type, c.source["cell"], c.source["cell_id"]) for c in children] == [
        ("cell", StateType.COMPLETED, index, f"id-{index}") for index in (1, 3, 4, 5, 6)
    ]
    assert [c.name for c in children[:2]] == ["Load", "1 / 0"]
    assert children[1].state.message == "raised ZeroDivisionError, which its tag allows"
    cells = bench.cells
    assert [c["execution_count"] for c in cells if c["cell_type"] == "code"] == [1, 99, 2, 3, 4, 5]
    assert printed(cells[1]) == "out\nerr\n42"
    assert printed(cells[2]) == "output of an earlier run\n", "a skipped cell is left as it was"
    assert cells[3]["outputs"][0]["ename"] == "ZeroDivisionError"
    stamps = ["iopub.status.busy", "iopub.execute_input", "shell.execute_reply", "shell.execute_reply.started"]
    assert set(cells[1]["metadata"]["execution"]) == {*stamps, "iopub.status.idle"}
    assert repr(children[2].id) in printed(cells[4]) and repr(run.id) in printed(cells[4])
    assert printed(cells[5]).split() == [run.id, str(bench.folder), "False"]
    assert bench.logged()[:2] == [("stdout", "out"), ("stderr", "err")]
    assert stat.S_IMODE(bench.path.stat().st_mode) == 0o600
    assert not is_running(int(printed(cells[6]))), "what the kernel had started is gone with it"


def test_a_failure_ends_the_run_with_its_error_in_the_notebook(bench: Bench) -> None:
    run = bench.run("x = 1", "print('before')\nx / 0", "print('never')")
    assert (run.state.type, run.state.message) == (StateType.FAILED, "cell 2: ZeroDivisionError: division by zero")
    assert run.error is not None and run.error.type == "ZeroDivisionError"
    assert "x / 0" in run.error.traceback and "\x1b" not in run.error.traceback
    assert [c.state.type for c in bench.children()] == [StateType.COMPLETED, StateType.FAILED]
    assert bench.children()[1].error == run.error
    cells = bench.cells
    assert [output["output_type"] for output in cells[1]["outputs"]] == ["stream", "error"]
    assert (cells[2]["outputs"], cells[2]["execution_count"]) == ([], None), "outputs of an earlier run are gone"


def test_a_dead_kernel_is_a_crash_with_its_cause(bench: Bench) -> None:
    run = bench.run("import os\nos._exit(7)", "x = 1")
    assert (run.state.type, run.state.message) == (StateType.CRASHED, "the kernel died: exit code 7")
    assert [c.state.type for c in bench.children()] == [StateType.CRASHED]


def wait_for_line(bench: Bench, line: str) -> None:
    until(lambda: ("stdout", line) in bench.logged())


def test_what_a_killed_kernel_had_printed_is_saved(bench: Bench) -> None:
    def kill(runner: NotebookRunner) -> None:
        wait_for_line(bench, "last words")
        os.kill(int(bench.logged()[0][1]), signal.SIGKILL)

    run = bench.run("import os, time\nprint(os.getpid())\nprint('last words')\ntime.sleep(600)", meanwhile=kill)
    assert (run.state.type, run.state.message) == (StateType.CRASHED, "the kernel died: killed by SIGKILL")
    assert printed(bench.cells[0]).endswith("last words\n")


def test_a_cancelled_run_is_interrupted_and_saved(bench: Bench) -> None:
    def cancel(runner: NotebookRunner) -> None:
        wait_for_line(bench, "begun")
        bench.live.cancel("enough")

    run = bench.run("print('begun')\nimport time\ntime.sleep(600)", "print('never')", meanwhile=cancel)
    assert run.state.type is StateType.CANCELLED
    assert [c.state.type for c in bench.children()] == [StateType.CANCELLED]
    outputs = bench.cells[0]["outputs"]
    assert outputs[-1]["ename"] == "KeyboardInterrupt"
    assert bench.cells[1]["outputs"] == []


def test_a_run_cancelled_before_it_began_starts_no_cell(bench: Bench) -> None:
    run = bench.run("print('never')", meanwhile=lambda runner: bench.live.cancel())
    assert run.state.type is StateType.CANCELLED
    assert "never" not in "".join(line for _, line in bench.logged())


def test_a_cell_that_swallows_interrupts_loses_its_kernel(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "GRACE", 0.2)
    monkeypatch.setattr(kernels, "GRACE", 0.2)

    def cancel(runner: NotebookRunner) -> None:
        wait_for_line(bench, "begun")
        bench.live.cancel()

    stubborn = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('begun')
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            print('no')
    """
    run = bench.run(stubborn, meanwhile=cancel)
    assert run.state.type is StateType.CANCELLED
    assert printed(bench.cells[0]).split() == ["begun", "no"]


def test_a_stop_in_a_hurry_does_not_wait(bench: Bench) -> None:
    def stop(runner: NotebookRunner) -> None:
        wait_for_line(bench, "begun")
        runner.stop(Outcome(type=StateType.CRASHED, message="the lights went out"), now=True)

    run = bench.run("print('begun')\nimport time\ntime.sleep(600)", meanwhile=stop)
    assert (run.state.type, run.state.message) == (StateType.CRASHED, "the lights went out")
    assert [c.state.type for c in bench.children()] == [StateType.CRASHED]
    assert printed(bench.cells[0]).startswith("begun")


def test_an_unknown_kernel_is_named(bench: Bench) -> None:
    run = bench.run("1", metadata={"kernelspec": {"name": "no-such-kernel"}})
    assert run.state.type is StateType.CRASHED
    assert "asks for the kernel 'no-such-kernel', which is not installed (installed: python3" in str(run.state.message)


def test_a_flood_of_output_is_cut(bench: Bench) -> None:
    run = bench.run("line = 'x' * 99\nfor _ in range(100_000): print(line)", metadata={})
    assert run.state.type is StateType.COMPLETED
    text = printed(bench.cells[0])
    assert 5_000_000 < len(text) < 5_000_200 and "the output was cut here" in text
    counted = 0
    after = 0
    while lines := bench.runtime.store.logs(bench.children()[0].id, after=after, limit=1000):
        counted, after = counted + len(lines), lines[-1].seq
    assert counted == 10_001


def test_messages_updated_and_cleared_displays_are_kept_as_a_front_end_would(bench: Bench) -> None:
    bench.run(
        "from IPython.display import display, clear_output\n"
        "h = display('first', display_id=True)\nprint('gone')\nclear_output()\nprint('kept')",
        "h2 = display('one', display_id=True)\nprint('text')",
        "h2.update('two')",
    )
    assert printed(bench.cells[0]) == "kept\n"
    assert printed(bench.cells[1]) == "'two'text\n"


def test_a_cell_finds_the_run_that_it_is_part_of_at_once(bench: Bench) -> None:
    ask = "runtime.flow_run.flow_name"
    run = bench.run("from jupyter_wf import runtime\n%load_ext jupyter_wf", *[ask] * 20)
    assert run.state.type is StateType.COMPLETED, run.state.message
    shown = [output["data"]["text/plain"] for cell in bench.cells for output in cell["outputs"]]
    assert shown == [["'n'"]] * 20
