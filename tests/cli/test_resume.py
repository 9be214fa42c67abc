"""``jupyter wf resume``: paused runs go on where they are, others get their next attempt in the command's process."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime
from tests.cli.conftest import CommandLine
from tests.waiting import until

Wf = Callable[..., tuple[int, str, str]]
FLOWS = """
from pathlib import Path
from jupyter_wf import flow, pause_flow_run, suspend_flow_run, task
from jupyter_wf.input import RunInput

class Answer(RunInput):
    count: int
    note: str = "none"

@task
def step(x):
    print("called", x, flush=True)
    return x

@flow
def fails(n: int, password: str = "none"):
    step(n)
    if not Path("mended").exists():
        raise ValueError("no luck")
    print("password", password, "n", n)

@flow
def pauses():
    print("answer", pause_flow_run(wait_for_input=int))

@flow
async def suspends():
    step(1)
    answer = await suspend_flow_run(wait_for_input=Answer)
    print("answer", answer.count, answer.note)

@flow
def kills():
    import os, signal
    step(1)
    from jupyter_wf.engine.runtime import current_runtime
    current_runtime().journal.flush()
    if not Path("mended").exists():
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def files(command: CommandLine) -> CommandLine:
    (command.folder / "f.py").write_text(FLOWS)
    return command


def root(runtime: Runtime) -> Run:
    (run,) = runtime.store.list_runs(RunFilter(roots_only=True)).items
    return run


@pytest.mark.parametrize("address", ["last", "fails"])
def test_a_run_is_named_as_everywhere(files: CommandLine, runtime: Runtime, address: str) -> None:
    assert files("run", "f.py:fails", "-p", "n=3").returncode == 1
    (files.folder / "mended").touch()
    assert files("resume", address).returncode == 0
    assert root(runtime).state.type is StateType.COMPLETED
    nobody = files("resume", "nobody")
    assert nobody.returncode == 2 and "nobody" in nobody.stderr


def test_a_failed_run_goes_on(files: CommandLine, runtime: Runtime) -> None:
    failed = files("run", "f.py:fails", "-p", "n=3")
    assert failed.returncode == 1 and "called 3" in failed.stdout
    (files.folder / "mended").touch()
    done = files("resume", root(runtime).id[:8])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "password none n 3" in lines and "called 3" not in lines
    assert any(line.startswith("state") and "Completed" in line for line in lines)
    again = files("resume", root(runtime).id)
    assert again.returncode == 2 and "Completed" in again.stderr


def test_parameters_can_be_changed_and_secrets_have_to_be_given(files: CommandLine, runtime: Runtime) -> None:
    files("run", "f.py:fails", "-p", "n=3", "-p", "password=hunter")
    (files.folder / "mended").touch()
    refused = files("resume", root(runtime).id)
    assert refused.returncode == 2 and "'password'" in refused.stderr
    done = files("resume", root(runtime).id, "-p", "n=4", "-p", "password=other", "--json")
    assert done.returncode == 0
    assert "called 4" in done.stderr and "password other n 4" in done.stderr
    assert json.loads(done.stdout)["attempt"] == 2
    assert json.loads(done.stdout)["parameters"] == {"n": 4, "password": "***"}
    wrong = files("resume", root(runtime).id, "-p", "n")
    assert wrong.returncode == 2


def test_a_paused_run_goes_on_where_it_is(files: CommandLine, runtime: Runtime) -> None:
    process = files.start("run", "f.py:pauses")
    run = until(lambda: (runtime.store.list_runs(RunFilter(states=("Paused",))).items or (None,))[0])
    refused = files("resume", run.id, "--input", "many")
    assert refused.returncode == 2 and "'value'" in refused.stderr
    done = files("resume", run.id, "--input", "42")
    assert (done.returncode, done.stderr) == (0, "") and "goes on" in done.stdout
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "answer 42" in out


def test_a_suspended_run_goes_on_here(files: CommandLine, runtime: Runtime) -> None:
    suspended = files("run", "f.py:suspends")
    assert suspended.returncode == 0, suspended.stderr
    run = root(runtime)
    assert "Suspended" in suspended.stdout and f"jupyter wf resume {run.id[:8]}" in suspended.stdout
    for wrong in ((), ("--input", "note=x"), ("--input", "count=many"), ("--input", "count=1", "--input", "more=1")):
        refused = files("resume", run.id, *wrong)
        assert (refused.returncode, root(runtime).state.name) == (2, "Suspended")
    done = files("resume", run.id, "--input", "count=7", "--input", "note=a note")
    assert done.returncode == 0, done.stderr
    assert "answer 7 a note" in done.stdout and "called 1" not in done.stdout


def test_a_killed_run_goes_on(files: CommandLine, runtime: Runtime) -> None:
    assert files("run", "f.py:kills").returncode == -signal.SIGKILL
    until(lambda: root(runtime).state.is_crashed())
    (files.folder / "mended").touch()
    done = files("resume", root(runtime).id)
    assert (done.returncode, done.stderr) == (0, "") and "called 1" not in done.stdout
    assert root(runtime).state.is_completed()


def test_what_cannot_be_resumed(files: CommandLine, runtime: Runtime) -> None:
    unknown = files("resume", "abcdef")
    assert unknown.returncode == 2 and "abcdef" in unknown.stderr
    live = runtime.begin("flow", "by hand", flow_name="made by hand")
    running = files("resume", live.id)
    assert running.returncode == 2
    live.set_state(StateType.RUNNING)
    live.set_state(StateType.FAILED)
    runtime.journal.flush()
    nowhere = files("resume", live.id)
    assert nowhere.returncode == 2 and "can't be imported" in nowhere.stderr
    answered = files("resume", live.id, "--input", "x=1")
    assert answered.returncode == 2 and "paused" in answered.stderr
