"""A call in a pool's thread that nothing can stop: its run ends in time, another thread goes on, the record stays."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.errors import CancelledRun, TaskTimeout
from jupyter_wf.core.models import Run
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.task_runners import ThreadPoolTaskRunner
from tests.waiting import until

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]


class Stuck:
    """Calls that can't be interrupted: a thread that waits for a lock notices nothing."""

    def __init__(self) -> None:
        self.locks: list[threading.Lock] = []
        self.threads: list[threading.Thread] = []

    def call(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        self.locks.append(lock)
        self.threads.append(threading.current_thread())
        lock.acquire()

    def let_go(self) -> None:
        while self.locks:
            self.locks.pop().release()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    one = Stuck()
    yield one
    one.let_go()


@task
def double(x: int) -> int:
    return x * 2


def test_a_call_that_can_not_be_stopped_times_out(stuck: Stuck, runs: Runs, story: Story) -> None:
    late: list[str] = []

    @task(timeout_seconds=0.01)
    def stays() -> None:
        try:
            stuck.call()
        finally:
            logging.getLogger("jupyter_wf.late").warning("too late")
            late.append("ended")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def outer() -> int:
        first = stays.submit()
        with pytest.raises(TaskTimeout):
            first.result(30)
        assert late == []
        # The pool has one thread, and that is stuck.
        return double.submit(4).result(30)

    assert outer() == 8
    found = {run.name: run for run in runs()}
    assert found["stays-0"].state.name == "TimedOut"
    before = story(found["stays-0"].id)
    assert before == ["Pending", "Running", "TimedOut"]
    stuck.let_go()
    assert late == ["ended"]
    current_runtime().journal.flush()
    assert story(found["stays-0"].id) == before
    assert len(runs()) == 3
    assert "left behind" in " ".join(line.message for line in current_runtime().store.logs(run_id=found["stays-0"].id))


def test_it_is_tried_again_in_another_thread(stuck: Stuck, runs: Runs, story: Story) -> None:
    @task(timeout_seconds=0.05, retries=1)
    def second_time() -> str:
        run = current_run()
        assert run is not None
        if run.attempt == 1:
            stuck.call()
        return threading.current_thread().name

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def outer() -> str:
        return second_time.submit().result(30)

    assert outer() != stuck.threads[0].name
    stuck.let_go()
    current_runtime().journal.flush()
    (one,) = [run for run in runs() if run.kind == "task"]
    assert story(one.id) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]


def test_it_is_cancelled(stuck: Stuck, runs: Runs) -> None:
    @task
    def stays() -> None:
        stuck.call()

    @flow
    def outer() -> str:
        future = stays.submit()
        until(lambda: stuck.threads, "the call")
        future.cancel()
        with pytest.raises(CancelledRun):
            future.result(30)
        return future.state.name

    assert outer() == "Cancelled"
    stuck.let_go()
    current_runtime().journal.flush()
    assert sorted(run.state.name for run in runs()) == ["Cancelled", "Completed"]


def test_what_it_calls_is_closed_with_it(stuck: Stuck, runs: Runs) -> None:
    @task
    def inner() -> None:
        stuck.call()

    @task(timeout_seconds=0.05)
    def stays() -> None:
        inner()
        double(1)

    @flow
    def outer() -> str:
        return stays.submit(return_state=True).name

    assert outer() == "TimedOut"
    found = {run.name: run.state.name for run in runs()}
    assert found["inner-0"] == "Cancelled" and found["stays-0"] == "TimedOut"
    stuck.let_go()
    current_runtime().journal.flush()
    assert {run.name: run.state.name for run in runs()} == found


def test_many_of_them_leave_the_pool_as_it_was(stuck: Stuck) -> None:
    @task(timeout_seconds=0.01)
    def stays() -> None:
        stuck.call()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def outer() -> list[int]:
        left = [stays.submit() for _ in range(6)]
        values = [double.submit(i).result(60) for i in range(20)]
        assert {future.state.name for future in left if future.wait(60) is None} == {"TimedOut"}
        return values

    assert outer() == [2 * i for i in range(20)]
    stuck.let_go()
