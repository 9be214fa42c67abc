"""Submitted tasks: order, edges, pools that can't deadlock, cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jupyter_wf import as_completed, flow, task, wait
from jupyter_wf.core.errors import CancelledRun, ParameterError
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.task_runners import SequentialTaskRunner, ThreadPoolTaskRunner
from tests.waiting import until

Runs = Callable[[], list[Run]]


@task
def add(x: int, y: int = 0) -> int:
    return x + y


def test_futures_are_awaited_and_become_edges(runs: Runs) -> None:
    @task
    def total(numbers: list[int], more: dict[str, int]) -> int:
        return sum(numbers) + sum(more.values())

    @flow
    def outer() -> int:
        a, b, c = add.submit(1), add.submit(2), add.submit(3)
        return total.submit([a, b], {"c": c}).result()

    assert outer() == 6
    top, a, b, c, last = runs()
    assert set(last.upstream) == {a.id, b.id, c.id}
    assert top.progress is not None and (top.progress.done, top.progress.total) == (4, 4)


def test_tasks_run_at_the_same_time() -> None:
    meeting = threading.Barrier(4)

    @task
    def meet() -> int:
        return meeting.wait(30)

    @flow
    def outer() -> set[int]:
        return {future.result() for future in [meet.submit() for _ in range(4)]}

    assert outer() == {0, 1, 2, 3}


def test_a_full_pool_whose_tasks_wait_for_one_another_does_not_deadlock() -> None:
    @task
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down.submit(n - 1).result(30)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def outer() -> int:
        return down.submit(20).result(60)

    assert outer() == 20


def test_a_flow_ends_after_its_submitted_tasks(runs: Runs) -> None:
    gate = threading.Event()

    @task
    def slow() -> None:
        gate.wait(30)

    @flow
    def outer() -> int:
        slow.submit()
        threading.Timer(0.05, gate.set).start()
        return 1

    assert outer() == 1
    assert [run.state.name for run in runs()] == ["Completed", "Completed"]


def test_sequential_runner_keeps_the_order() -> None:
    seen: list[int] = []

    @task
    def note(i: int) -> int:
        seen.append(i)
        return threading.get_ident()

    @flow(task_runner=SequentialTaskRunner())
    def outer() -> set[int]:
        return {note.submit(i).result() for i in range(5)}

    assert outer() == {threading.get_ident()}
    assert seen == [0, 1, 2, 3, 4]


def test_task_runners_are_checked() -> None:
    with pytest.raises(ParameterError, match="max_workers"):
        ThreadPoolTaskRunner(max_workers=0)
    with pytest.raises(ParameterError, match="task_runner"):
        flow(task_runner="threads")(lambda: None)


def test_wait_for_as_completed_and_wait() -> None:
    order: list[str] = []
    gate = threading.Event()

    @task
    def first() -> None:
        gate.wait(30)
        order.append("first")

    @task
    def second() -> None:
        order.append("second")

    @flow
    def outer() -> None:
        one = first.submit()
        two = second.submit(wait_for=[one])
        assert two.state.is_pending()
        with pytest.raises(TimeoutError):
            two.result(timeout=0.01)
        gate.set()
        done, left = wait([one, two])
        assert done == {one, two} and not left
        assert list(as_completed([one, two])) == [one, two]

    outer()
    assert order == ["first", "second"]


def test_submit_outside_a_flow(runs: Runs) -> None:
    assert add.submit(1, 2).result() == 3
    assert runs()[0].parent_id is None


def test_a_thousand_futures_are_all_recorded(runtime: Runtime) -> None:
    @flow
    def outer() -> int:
        futures = [add.submit(i) for i in range(1000)]
        return sum(future.result() for future in futures)

    assert outer() == 499_500
    (top,) = runtime.store.list_runs(RunFilter(kinds=("flow",))).items
    assert top.progress is not None and top.progress.counts == {"COMPLETED": 1000}


def test_a_request_cancels_a_running_flow_and_its_tasks(runtime: Runtime, runs: Runs) -> None:
    never = threading.Event()
    started = threading.Event()

    @task
    def stuck() -> None:
        started.set()
        # No lock in the loop: an exception raised inside `Event.set` would leave the event locked for the other task.
        while not never.is_set():
            pass

    @flow
    def outer() -> None:
        stuck.submit()
        stuck()

    def ask() -> None:
        started.wait(30)
        (top,) = (run for run in runtime.store.list_runs().items if run.kind == "flow")
        runtime.store.request(top.id, "cancel")

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(CancelledRun):
        outer()
    asking.join()
    assert {run.state.type for run in runs()} == {StateType.CANCELLED}
    assert add(1) == 1


def test_a_request_cancels_one_task_only(runtime: Runtime, runs: Runs) -> None:
    never = threading.Event()

    @task
    def stuck() -> None:
        never.wait(60)

    @flow
    def outer() -> str:
        def ask() -> None:
            (child,) = until(lambda: [run for run in runs() if run.task_name == "stuck" and run.state.is_running()])
            runtime.store.request(child.id, "cancel")

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            stuck()
        except CancelledRun:
            return "went on"
        finally:
            asking.join()
        return "not cancelled"

    assert outer() == "went on"
    assert [run.state.name for run in runs()] == ["Completed", "Cancelled"]


def test_a_task_that_has_not_begun_is_cancelled_at_once(runs: Runs) -> None:
    gate = threading.Event()

    @task
    def first() -> None:
        gate.wait(30)

    @flow
    def outer() -> str:
        blocker = first.submit()
        later = add.submit(1, wait_for=[blocker])
        later.cancel()
        with pytest.raises(CancelledRun):
            later.result(30)
        gate.set()
        return "done"

    assert outer() == "done"
    assert [run.state.name for run in runs()] == ["Completed", "Completed", "Cancelled"]


def test_a_request_to_retry_cuts_the_wait_short(runtime: Runtime, runs: Runs) -> None:
    calls: list[int] = []

    @task(retries=1, retry_delay_seconds=3600)
    def flaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("x")
        return 5

    def ask() -> None:
        (waiting,) = until(lambda: [run for run in runs() if run.state.name == "AwaitingRetry"])
        runtime.store.request(waiting.id, "retry")

    asking = threading.Thread(target=ask)
    asking.start()
    assert flaky() == 5
    asking.join()


def test_a_request_to_retry_an_ended_run_makes_its_next_attempt(runtime: Runtime, runs: Runs) -> None:
    calls: list[int] = []
    again = threading.Event()

    @task
    def flaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("x")
        again.set()
        return 5

    with pytest.raises(ValueError, match="x"):
        flaky()
    (run,) = runs()
    runtime.store.request(run.id, "retry")
    assert again.wait(30)
    until(lambda: runs()[0].state.is_completed())
    assert runs()[0].attempt == 2


def test_ctrl_c_cancels_everything_and_the_next_call_works(runs: Runs) -> None:
    import signal

    never, over = threading.Event(), threading.Event()

    @task
    def stuck() -> None:
        never.wait(60)

    @flow
    def outer() -> None:
        stuck.submit()
        stuck.submit()
        stuck()

    def interrupt() -> None:
        until(lambda: len([run for run in runs() if run.state.is_running()]) == 4)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
        # CPython notices one that comes in the instant before a blocking call only after it: a person presses again.
        while not over.wait(3):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]

    asking = threading.Thread(target=interrupt)
    asking.start()
    with pytest.raises(KeyboardInterrupt):
        outer()
    over.set()
    asking.join()
    assert [run.state.name for run in runs()] == ["Cancelled"] * 4
    assert add(2) == 2
    never.set()


def test_a_future_tells_what_it_is() -> None:
    future: RunFuture[int] = add.submit(1)
    future.wait()
    assert future.done() and future.state.is_completed()
    assert "add-0" in repr(future)
    seen: list[object] = []
    future.add_done_callback(seen.append)
    assert seen == [future]


def test_a_container_may_contain_itself(runs: Runs) -> None:
    @task
    def count(items: list[object]) -> int:
        return len(items)

    items: list[object] = [1, 2]
    items.append(items)
    assert count(items) == 3
    (run,) = runs()
    assert run.state.name == "Completed"
