"""Tasks on Dask: the same runs, states and logs as in worker processes, without the store."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf import flow, get_run_logger, task
from jupyter_wf.core.errors import CrashedRun, MissingContextError, RemoteTraceback, TaskTimeout
from jupyter_wf.core.models import Run
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.runtime import _holder, current_runtime
from jupyter_wf.task_runners import DaskTaskRunner
from tests import clusters
from tests.waiting import until

Runs = Callable[[], list[Run]]


@pytest.fixture
def runner() -> DaskTaskRunner:
    return DaskTaskRunner(address=clusters.address())


@task
def add(x: int, y: int = 0) -> int:
    return x + y


@task
def where() -> int:
    return os.getpid()


@task
def refuse(x: int) -> None:
    raise LookupError(f"no {x}")


@task
def leave() -> None:
    os._exit(5)


@task
def stay(folder: Path) -> None:
    (folder / "here").touch()
    try:
        while True:
            threading.Event().wait(0.01)
    finally:
        (folder / "left").touch()


@task(timeout_seconds=0.2)
def slow() -> None:
    while True:
        threading.Event().wait(0.01)


@task(log_prints=True)
def talk(x: int) -> tuple[str, str, bool]:
    print("printed", x)
    get_run_logger().warning("logged %d", x)
    run = current_run()
    assert run is not None
    assert run.flow_run is not None
    return run.name, run.flow_run.name, _holder.runtime is None


@task
def nested() -> int:
    return add(1)


def run_of(runs: list[Run], name: str) -> Run:
    (found,) = (run for run in runs if run.name == name)
    return found


def test_submitted_tasks_run_there_and_called_ones_here(runs: Runs, runner: DaskTaskRunner) -> None:
    @flow(task_runner=runner)
    def outer() -> tuple[int, int, int, list[int]]:
        first = add.submit(1)
        return where(), where.submit().result(), add.submit(first, y=2).result(), add.map(range(20), 1).result()

    here, there, total, many = outer()
    assert here == os.getpid() != there
    assert (total, many) == (3, list(range(1, 21)))
    assert {run.state.name for run in runs()} == {"Completed"}
    assert {run.process_id for run in runs()} == {current_runtime().process.id}


def test_an_exception_keeps_its_class_and_tells_where_it_was_raised(runs: Runs, runner: DaskTaskRunner) -> None:
    @flow(task_runner=runner)
    def outer() -> None:
        refuse.submit(3).result()

    with pytest.raises(LookupError, match="no 3") as caught:
        outer()
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    error = run_of(runs(), "refuse-0").error
    assert error is not None
    assert (error.type, error.message) == ("LookupError", "no 3")
    assert "in refuse\n" in error.traceback


def test_a_worker_that_dies_crashes_the_run(runs: Runs, runner: DaskTaskRunner) -> None:
    @flow(task_runner=runner)
    def outer() -> int:
        dead = leave.submit()
        with pytest.raises(CrashedRun, match="the Dask worker of leave-0 died"):
            dead.result()
        return add.submit(1).result()

    assert outer() == 1
    assert run_of(runs(), "leave-0").state.name == "Crashed"


def test_a_call_is_cancelled_and_told(runs: Runs, runner: DaskTaskRunner, tmp_path: Path) -> None:
    @flow(task_runner=runner)
    def outer() -> int:
        future = stay.submit(tmp_path)
        until((tmp_path / "here").exists)
        future.cancel()
        future.wait()
        assert (tmp_path / "left").exists()
        with pytest.raises(TaskTimeout):
            slow.submit().result()
        return add.submit(1).result()

    assert outer() == 1
    assert run_of(runs(), "stay-0").state.name == "Cancelled"
    assert run_of(runs(), "slow-0").state.name == "TimedOut"


def test_log_lines_and_prints_come_back_and_no_store_is_opened(runs: Runs, runner: DaskTaskRunner) -> None:
    @flow(task_runner=runner)
    def outer() -> list[tuple[str, str, bool]]:
        return talk.map(range(8)).result()

    told = outer()
    top, *found = runs()
    assert told == [(f"talk-{i}", top.name, True) for i in range(8)]
    for i, run in enumerate(sorted(found, key=lambda run: run.name)):
        lines = [(line.level, line.logger, line.message) for line in current_runtime().store.logs(run.id, tree=False)]
        assert lines == [
            (logging.INFO, "jupyter_wf.print", f"printed {i}"),
            (logging.WARNING, "jupyter_wf.task_runs", f"logged {i}"),
        ]


def test_a_task_there_can_run_no_others_and_says_so(runner: DaskTaskRunner) -> None:
    @flow(task_runner=runner)
    def outer() -> None:
        nested.submit().result()

    with pytest.raises(MissingContextError, match=r"nested-0 is executed on Dask.*\.fn\("):
        outer()


def test_what_is_defined_in_a_function_goes_along(runner: DaskTaskRunner) -> None:
    base = 10

    @task
    def shift(x: int) -> int:
        return x + base

    @flow(task_runner=runner)
    def outer() -> list[int]:
        return shift.map([1, 2]).result()

    assert outer() == [11, 12]


def test_a_flow_without_a_cluster_makes_its_own() -> None:
    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 2}))
    def outer() -> int:
        return where.submit().result()

    assert outer() != os.getpid()
