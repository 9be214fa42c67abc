"""What a headless run leaves while it goes on and at its end: the notebook, its place among the cells, what it used."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.states import StateType
from jupyter_wf.notebook import kernels, saving
from jupyter_wf.notebook import runner as runner_module
from jupyter_wf.notebook.runner import NotebookRunner
from tests.notebook.bench import Bench
from tests.notebook.making import printed
from tests.waiting import until


def test_outputs_are_in_the_file_while_the_cell_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_INTERVAL", 0.02)
    gate = bench.folder / "gate"

    def look(runner: NotebookRunner) -> None:
        until(lambda: bench.path.exists() and "halfway" in printed(bench.cells[0]))
        gate.touch()

    waiting = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    run = bench.run(f"import os, time\nprint('half' + 'way')\n{waiting}\nprint('end')", meanwhile=look)
    assert run.state.type is StateType.COMPLETED
    assert printed(bench.cells[0]) == "halfway\nend\n"


def test_a_run_says_at_which_cell_it_is(bench: Bench) -> None:
    seen: list[Any] = []
    gate = bench.folder / "gate"

    def look(runner: NotebookRunner) -> None:
        store = bench.runtime.store
        until(lambda: bench.live is not None and "step" in store.get_run(bench.live.id).source)
        until(lambda: store.get_run(bench.live.id).source["step"]["number"] == 2)
        seen.append(store.get_run(bench.live.id).source["step"])
        gate.touch()

    waiting = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    bench.run("x = 1", waiting, "y = 2", meanwhile=look)
    assert seen == [{"number": 2, "of": 3, "cell": 1}]


def test_a_run_says_what_was_printed_last(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "_INTERVAL", 0.02)
    gate = bench.folder / "gate"

    def look(runner: NotebookRunner) -> None:
        store = bench.runtime.store
        until(lambda: bench.live is not None and store.get_run(bench.live.id).source.get("step", {}).get("line"))
        assert store.get_run(bench.live.id).source["step"]["line"] == "60 %"
        gate.touch()

    waiting = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    bar = "print('10 %\\r', end=''); print('\\x1b[31m60 %\\x1b[0m\\n\\n', end='', flush=True)"
    run = bench.run(f"import os, time\n{bar}\n{waiting}", meanwhile=look)
    assert run.state.type is StateType.COMPLETED


def test_what_the_whole_run_used_is_written_down(bench: Bench) -> None:
    run = bench.run("data = bytearray(60_000_000)", "sum(range(3_000_000))")
    assert run.source["usage"]["memory_bytes"] > 50_000_000
    assert run.source["usage"]["cpu_seconds"] > 0


def test_a_run_that_takes_too_long_ends_even_if_it_swallows_interrupts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "GRACE", 0.2)
    monkeypatch.setattr(kernels, "GRACE", 0.2)
    stubborn = (
        "import time\nfrom IPython.display import clear_output\nwhile True:\n"
        "    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        print('no')"
    )
    run = bench.run("x = 1", stubborn, "print('never')", timeout=3.0)
    assert (run.state.type, run.state.name) == (StateType.FAILED, "TimedOut")
    assert run.state.message == "it took longer than 3 s"
    assert run.error is not None and run.error.type == "RunTimeout"
    assert [child.state.type for child in bench.children()] == [StateType.COMPLETED, StateType.FAILED]
    assert bench.cells[2]["outputs"] == []


def test_a_run_that_is_quick_enough_has_its_time(bench: Bench) -> None:
    assert bench.run("x = 1", timeout=60.0).state.type is StateType.COMPLETED


def test_it_is_published_when_it_is_saved_for_the_last_time(bench: Bench) -> None:
    found: list[str] = []
    threads: list[str] = []

    def publish() -> dict[str, Any]:
        found.append(printed(bench.cells[0]))
        threads.append(threading.current_thread().name)
        return {"outputs": ["out.ipynb"]}

    run = bench.run("print('hello')", publish=publish)
    assert found == ["hello\n"] and threads != ["MainThread"]
    assert run.source["outputs"] == ["out.ipynb"]


def test_what_failed_is_published_too(bench: Bench) -> None:
    run = bench.run("1 / 0", publish=lambda: {"outputs": ["out.ipynb"]})
    assert (run.state.type, run.source["outputs"]) == (StateType.FAILED, ["out.ipynb"])


def test_a_run_whose_notebook_cant_be_published_has_failed(bench: Bench) -> None:
    def publish() -> dict[str, Any]:
        raise PermissionError(13, "Permission denied", "/nowhere")

    run = bench.run("x = 1", publish=publish)
    assert run.state.type is StateType.FAILED and "can't be put where it is wanted" in str(run.state.message)
    assert run.error is not None and run.error.type == "PermissionError"
    assert Path(bench.path).exists()
