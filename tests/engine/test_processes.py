"""What is left of a process that ended: well, by a signal, or by kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store
from tests.waiting import until

LONG = r"""
    import os, signal, threading
    # Whoever starts the tests in the background may have SIGINT ignored: that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from jupyter_wf import flow, task

    @task
    def quick():
        return 1

    @task
    def stuck():
        os.write(1, b"stuck\n")
        threading.Event().wait(120)

    @flow
    def main():
        quick()
        stuck.submit()
        stuck()

    main()
"""


@pytest.fixture
def store(wf_home: Path) -> Iterator[Store]:
    store = open_store(Settings(home=wf_home))
    yield store
    store.close()


@contextmanager
def python(code: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program; end it for certain."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stuck_twice(process: subprocess.Popen[str]) -> None:
    """Wait until both stuck tasks are at work."""
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["stuck\n"] * 2


def insist(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Send a signal until it is noticed.

    CPython notices one that comes in the microsecond before a blocking call only after that call: a person presses
    the keys again.
    """
    for _ in range(10):
        process.send_signal(number)
        try:
            return process.wait(3)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("the process does not end")


def test_a_run_killed_with_9_is_shown_crashed_by_whoever_looks_and_reaped(store: Store) -> None:
    with python(LONG) as process:
        stuck_twice(process)
        until(lambda: len(store.list_runs(RunFilter(states=("RUNNING",))).items) == 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # An owner that was seen alive is believed to be for half a second.
    until(lambda: not store.list_runs(RunFilter(states=("RUNNING",))).items)
    states = {run.task_name: run.state for run in store.list_runs().items}
    assert states["quick"].is_completed()
    assert states["stuck"].is_crashed() and states[None].is_crashed()
    assert str(process.pid) in (states[None].message or "")
    assert len(store.reap(store.list_runs().items[0].created_at + 5)) == 3
    assert store.reap(0) == []
    assert {run.state.type for run in store.list_runs().items} == {StateType.COMPLETED, StateType.CRASHED}


@pytest.mark.parametrize(
    ("number", "state", "code"),
    [(signal.SIGINT, StateType.CANCELLED, {-signal.SIGINT, 130}), (signal.SIGTERM, StateType.CRASHED, {143})],
)
def test_signals_close_every_run(store: Store, number: signal.Signals, state: StateType, code: set[int]) -> None:
    with python(LONG) as process:
        stuck_twice(process)
        assert insist(process, number) in code
    runs = store.list_runs().items
    assert len(runs) == 4
    assert {run.state.type for run in runs if run.task_name != "quick"} == {state}


def test_two_ctrl_c_in_a_row_leave_a_legal_record(store: Store) -> None:
    with python(LONG) as process:
        stuck_twice(process)
        process.send_signal(signal.SIGINT)
        insist(process, signal.SIGINT)
    runs = store.list_runs().items
    assert len(runs) == 4
    assert all(run.state.is_final() for run in runs)


def test_everything_that_ran_is_recorded_though_the_process_ends_at_once(store: Store) -> None:
    code = """
        import os
        from jupyter_wf import flow, task

        @task
        def nothing(i):
            return i

        @flow
        def main():
            for i in range(300):
                nothing(i)

        main()
        os._exit(0)
    """
    with python(code) as process:
        assert process.wait(60) == 0
    (top,) = store.list_runs(RunFilter(roots_only=True)).items
    assert top.state.is_completed()
    assert top.progress is not None and top.progress.counts == {"COMPLETED": 300}


def test_a_task_submitted_outside_a_flow_is_waited_for_at_the_end(store: Store) -> None:
    code = """
        import threading
        from jupyter_wf import task

        @task
        def later():
            threading.Event().wait(0.2)
            return 1

        later.submit()
    """
    with python(code) as process:
        assert process.wait(60) == 0
    assert [run.state.name for run in store.list_runs().items] == ["Completed"]


def test_a_forked_child_has_a_runtime_of_its_own(store: Store) -> None:
    code = """
        import os, warnings
        from jupyter_wf import task

        @task
        def who():
            return os.getpid()

        who()
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            who()
            from jupyter_wf.engine.runtime import current_runtime
            current_runtime().close()
            os._exit(0)
        os.waitpid(child, 0)
        who()
    """
    with python(code) as process:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    runs = store.list_runs().items
    assert [run.state.name for run in runs] == ["Completed"] * 3
    assert len({run.process_id for run in runs}) == 2
