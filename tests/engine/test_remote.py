"""Tasks in worker processes: the same runs, states, logs and children as on threads."""

from __future__ import annotations

import logging
import os
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow, get_run_logger, task
from jupyter_wf.core.errors import CrashedRun, ParameterError, RemoteTraceback, RunFinished, TaskTimeout
from jupyter_wf.core.models import Run
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.runtime import Runtime, _holder, current_runtime
from jupyter_wf.task_runners import ProcessPoolTaskRunner
from tests.waiting import until

Runs = Callable[[], list[Run]]


class Shortage(Exception):
    def __init__(self, of: str, *, missing: int) -> None:
        super().__init__(f"{missing} {of} missing")
        self.missing = missing


@task
def add(x: int, y: int = 0) -> int:
    return x + y


@task
def where() -> int:
    return os.getpid()


@task
def short() -> None:
    raise Shortage("bolts", missing=3)


@task
def leave() -> None:
    os._exit(5)


@task(timeout_seconds=0.1)
def stuck_in_c_code() -> None:
    re.match(r"(a|a)+$", "a" * 50 + "b")


@task
def stay(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    threading.Event().wait(60)


@task(log_prints=True)
def talk(x: int) -> None:
    print("printed", x)
    get_run_logger().warning("logged %d", x)
    get_run_logger().debug("not wanted")


@task
def facts() -> tuple[Any, ...]:
    run = current_run()
    assert run is not None
    flow_run = run.flow_run
    assert flow_run is not None
    return run.id, run.name, run.task_name, run.root_id, flow_run.id, flow_run.name, run.run_count, run.is_open


@task
def nested(n: int) -> int:
    values = [add(n), add.submit(n, 1).result()]
    add.submit(n, 2)
    return sum(values)


@task
def nested_failure() -> None:
    add.submit(1)
    raise ValueError("afterwards")


@task
def opened() -> bool:
    return _holder.runtime is not None


def run_of(runs: list[Run], name: str) -> Run:
    (found,) = (run for run in runs if run.name == name)
    return found


def messages(run: Run) -> list[tuple[int, str, str]]:
    return [(line.level, line.logger, line.message) for line in current_runtime().store.logs(run.id, tree=False)]


def test_submitted_tasks_run_elsewhere_and_called_ones_here(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def outer() -> tuple[int, int, int]:
        first = add.submit(1)
        return where(), where.submit().result(), add.submit(first, y=2).result()

    here, there, total = outer()
    assert here == os.getpid() != there
    assert total == 3
    assert [run.state.name for run in runs()] == ["Completed"] * 5
    assert {run.process_id for run in runs()} == {current_runtime().process.id}


def test_an_exception_keeps_its_class_and_tells_where_it_was_raised(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> None:
        short.submit().result()

    with pytest.raises(Shortage, match="3 bolts missing") as caught:
        outer()
    assert caught.value.missing == 3
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    error = run_of(runs(), "short-0").error
    assert error is not None
    assert (error.type, error.message) == ("Shortage", "3 bolts missing")
    assert "in short\n" in error.traceback


def test_a_worker_that_dies_crashes_the_run_and_no_other(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> int:
        dead = leave.submit()
        dead.wait()
        assert dead.state.is_crashed()
        with pytest.raises(CrashedRun, match="the worker process of leave-0 ended with exit code 5"):
            dead.result()
        return add.submit(1).result()

    assert outer() == 1
    assert run_of(runs(), "leave-0").state.name == "Crashed"


def test_a_call_that_is_stuck_in_c_code_times_out(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> int:
        with pytest.raises(TaskTimeout):
            stuck_in_c_code.submit().result()
        return add.submit(1).result()

    assert outer() == 1
    assert run_of(runs(), "stuck_in_c_code-0").state.name == "TimedOut"


def test_a_call_can_be_cancelled(runs: Runs, tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> int:
        future = stay.submit(folder)
        until(lambda: list(folder.iterdir()))
        future.cancel()
        future.wait()
        return add.submit(1).result()

    assert outer() == 1
    assert run_of(runs(), "stay-0").state.name == "Cancelled"
    for path in folder.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_log_lines_and_prints_come_back(runs: Runs, capfd: pytest.CaptureFixture[str]) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> None:
        talk.submit(7).result()

    outer()
    assert messages(run_of(runs(), "talk-0")) == [
        (logging.INFO, "jupyter_wf.print", "printed 7"),
        (logging.WARNING, "jupyter_wf.task_runs", "logged 7"),
    ]
    out, err = capfd.readouterr()
    assert out == "printed 7\n"
    assert "Task run 'talk-0' - logged 7" in err


def test_a_call_knows_its_run(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> tuple[Any, ...]:
        return facts.submit().result()

    found = outer()
    top, run = runs()
    assert found == (run.id, "facts-0", "facts", top.id, top.id, top.name, 1, True)


def test_the_store_is_opened_by_those_only_who_need_it() -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> list[bool]:
        before = opened.submit().result()
        nested.submit(1).wait()
        return [before, opened.submit().result()]

    assert outer() == [False, True]


def test_tasks_of_a_call_are_its_children(runs: Runs, runtime: Runtime) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> int:
        return nested.submit(5).result()

    assert outer() == 11
    top, parent, *children = runs()
    assert parent.name == "nested-0"
    assert sorted(child.name for child in children) == ["add-0", "add-1", "add-2"]
    for child in children:
        assert (child.parent_id, child.root_id, child.state.name) == (parent.id, top.id, "Completed")
        assert child.process_id != runtime.process.id


def test_tasks_of_a_call_that_fails_are_closed(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> None:
        nested_failure.submit().result()

    with pytest.raises(ValueError, match="afterwards"):
        outer()
    assert all(run.state.is_closed() for run in runs())


def test_what_cannot_be_sent_fails_with_the_arguments_name(runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer() -> None:
        add.submit(1, y=threading.Lock()).result()  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="argument 'y' of add-0 \\(a lock\\) can't be sent to a worker process"):
        outer()
    assert run_of(runs(), "add-0").state.name == "Failed"


def test_a_runner_says_what_it_needs() -> None:
    with pytest.raises(ParameterError, match="max_workers"):
        ProcessPoolTaskRunner(max_workers=0)
    executor = ProcessPoolTaskRunner().make_executor()
    assert (executor.name, executor.remote) == ("process", True)


def test_errors_of_this_package_can_be_pickled() -> None:
    for error in (ParameterError("x", "is missing"), RunFinished("1", "Completed", "cancelled"), TaskTimeout("it", 3)):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (str(copy), copy.__dict__) == (str(error), error.__dict__)
