"""Calling tasks and flows: what is returned, raised and recorded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import Task, flow, get_run_logger, task
from jupyter_wf.core.errors import MissingContextError, ParameterError, TaskTimeout, UpstreamFailed
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.states import Completed, Failed, StateType

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]


def test_prefect_s_hello_leaves_one_completed_flow_run_with_two_task_runs(
    runs: Runs, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    @task
    def say_hello() -> None:
        print("Hello, world!")

    @task
    def greet(name: str) -> None:
        print(f"Hello, {name}!")

    @flow
    def main() -> None:
        say_hello()
        greet("Prefect")

    assert main() is None  # type: ignore[func-returns-value]
    assert capsys.readouterr().out == "Hello, world!\nHello, Prefect!\n"
    top, first, second = runs()
    assert (top.kind, top.flow_name, top.state.name) == ("flow", "main", "Completed")
    assert [(run.kind, run.task_name, run.state.name, run.parent_id) for run in (first, second)] == [
        ("task", "say_hello", "Completed", top.id),
        ("task", "greet", "Completed", top.id),
    ]
    assert second.parameters == {"name": "Prefect"}
    assert {run.root_id for run in (top, first, second)} == {top.id}
    assert story(first.id) == ["Pending", "Running", "Completed"]


def test_a_task_outside_a_flow_is_a_run_of_its_own(runs: Runs) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    assert double(4) == 8
    assert double.fn(4) == 8
    (run,) = runs()
    assert (run.kind, run.parent_id, run.root_id) == ("task", None, run.id)


def test_a_failing_task_raises_its_own_error_and_is_recorded_with_the_user_s_frames(runs: Runs) -> None:
    @task
    def bad() -> None:
        raise KeyError("nothing here")

    @flow
    def outer() -> None:
        bad()

    with pytest.raises(KeyError, match="nothing here"):
        outer()
    top, run = runs()
    assert (top.state.type, run.state.type) == (StateType.FAILED, StateType.FAILED)
    assert run.error is not None and run.error.type == "KeyError"
    assert "in bad" in run.error.traceback
    assert "engine/drivers.py" not in run.error.traceback


def test_retries_and_their_story(runs: Runs, story: Story) -> None:
    calls: list[int] = []

    @task(retries=2)
    def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("come back later")
        return len(calls)

    assert flaky() == 3
    (run,) = runs()
    assert (run.attempt, run.max_attempts) == (3, 3)
    assert story(run.id) == ["Pending", "Running", *["AwaitingRetry", "Retrying"] * 2, "Completed"]
    assert run.error is None


@pytest.mark.parametrize("persists", [True, False])
def test_a_flow_s_next_attempt_calls_again_what_left_no_value(persists: bool, runs: Runs, story: Story) -> None:
    calls: list[int] = []
    attempts: list[int] = []

    @task(persist_result=persists)
    def step(x: int) -> int:
        calls.append(x)
        return x + 1

    @flow(retries=1)
    def outer() -> int:
        attempts.append(1)
        total = step(1) + step(2)
        if len(attempts) < 2:
            raise ValueError("first time")
        return total

    assert outer() == 5
    assert calls == ([1, 2] if persists else [1, 2, 1, 2])
    top, first, second = runs()
    assert [run.state.name for run in (top, first, second)] == ["Completed"] * 3
    assert [run.name for run in (first, second)] == ["step-0", "step-1"]
    assert first.attempt == (1 if persists else 2)
    again = [] if persists else ["Pending", "Running", "Completed"]
    assert story(first.id) == ["Pending", "Running", "Completed", *again]


def test_return_state_and_returned_states(runs: Runs) -> None:
    @task
    def bad() -> None:
        raise ValueError("x")

    @task
    def says_failed() -> Any:
        return Failed("on purpose")

    @flow
    def outer() -> Any:
        return Completed(message="all is well")

    state = bad(return_state=True)  # type: ignore[call-arg]
    assert state.is_failed() and isinstance(state.result(raise_on_failure=False), ValueError)
    assert says_failed(return_state=True).message == "on purpose"  # type: ignore[call-arg]
    assert outer(return_state=True).message == "all is well"  # type: ignore[call-arg]
    assert [run.state.message for run in runs()][1:] == ["on purpose", "all is well"]


def test_a_failure_that_nobody_looked_at_does_not_fail_a_flow_that_returns_a_value(runs: Runs) -> None:
    @task
    def bad() -> None:
        raise ValueError("x")

    @flow
    def ignores() -> int:
        bad.submit()
        return 1

    @flow
    def returns_it() -> Any:
        return bad.submit()

    assert ignores() == 1
    with pytest.raises(ValueError, match="x"):
        returns_it()
    assert [run.state.name for run in runs() if run.kind == "flow"] == ["Completed", "Failed"]


def test_arguments_that_do_not_fit_are_refused_before_anything_runs(runs: Runs) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    with pytest.raises(ParameterError, match="double"):
        double()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected"):
        double(1, y=3)  # type: ignore[call-arg]
    assert runs() == []


def test_options_are_checked_and_can_be_replaced() -> None:
    @task(name="other", tags=["b", "a"], retries=1)
    def one() -> int:
        return 1

    assert (one.name, one.tags, one.retries) == ("other", {"a", "b"}, 1)
    more = one.with_options(retries=5)
    assert (more.name, more.retries, one.retries) == ("other", 5, 1)
    with pytest.raises(ParameterError, match="retires"):
        one.with_options(retires=5)
    with pytest.raises(ParameterError, match="tags"):
        task(tags="abc")(one.fn)
    with pytest.raises(TypeError, match="decorates a function"):
        Task(3)  # type: ignore[arg-type]


def test_methods_can_be_tasks(runs: Runs) -> None:
    class Box:
        def __init__(self, value: int) -> None:
            self.value = value

        @task
        def add(self, x: int) -> int:
            return self.value + x

    assert Box(5).add(2) == 7
    assert runs()[0].task_name == "add"


def test_a_time_out_stops_a_task_that_blocks_in_a_system_call_in_the_main_thread(runs: Runs) -> None:
    never = threading.Event()

    @task(timeout_seconds=0.05)
    def stuck() -> None:
        never.wait(60)

    with pytest.raises(TaskTimeout, match=r"0\.05"):
        stuck()
    (run,) = runs()
    assert (run.state.type, run.state.name) == (StateType.FAILED, "TimedOut")


def test_a_time_out_reaches_a_busy_thread_and_an_async_task(runs: Runs) -> None:
    @task(timeout_seconds=0.05)
    def spin() -> None:
        while True:
            pass

    @task(timeout_seconds=0.05)
    async def lazy() -> None:
        await asyncio.sleep(60)

    @flow
    def outer() -> list[bool]:
        futures = [spin.submit(), lazy.submit()]
        for future in futures:
            with pytest.raises(TimeoutError):
                future.result()
        return [future.state.name == "TimedOut" for future in futures]

    assert outer() == [True, True]


def test_a_flow_s_time_out_closes_its_tasks(runs: Runs) -> None:
    never = threading.Event()

    @task
    def stuck() -> None:
        never.wait(60)

    @flow(timeout_seconds=0.1)
    def outer() -> None:
        stuck()

    with pytest.raises(TaskTimeout, match="flow run"):
        outer()
    top, child = runs()
    assert top.state.name == "TimedOut"
    assert child.state.type is StateType.CANCELLED


def test_interrupts_that_come_too_late_do_no_harm() -> None:
    from jupyter_wf.engine.interrupts import Target

    with Target() as target:
        pass
    target.fire()
    done = threading.Event()
    with Target() as target:
        pass
    threading.Thread(target=lambda: (target.fire(), done.set())).start()
    assert done.wait(30)
    assert sum(range(1000)) == 499_500


def test_log_prints_and_the_run_logger(runtime: Runtime, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    @task
    def talk() -> None:
        print("inner", 1)
        get_run_logger().warning("careful %d", 7)

    @task
    def quiet() -> None:
        print("not logged")

    @flow(log_prints=True)
    def outer() -> None:
        print("outer")
        talk()

    outer()
    quiet()
    with pytest.raises(MissingContextError):
        get_run_logger()
    assert capsys.readouterr().out == "outer\ninner 1\nnot logged\n"
    top = runs()[0]
    lines = [(line.level, line.message) for line in runtime.store.logs(top.id)]
    assert lines == [(20, "outer"), (20, "inner 1"), (30, "careful 7")]
    assert runtime.store.logs(runs()[2].id) == []


def test_async_flows_tasks_and_futures(runs: Runs) -> None:
    @task
    async def add(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    @task
    def double(x: int) -> int:
        return 2 * x

    @flow
    async def outer() -> tuple[int, int, int, list[int]]:
        one = await add(1)
        two = add.submit(one)
        three = double.submit(two)
        many = await asyncio.gather(*[add(i) for i in range(5)])
        return one, double(10), await three, many

    assert asyncio.run(outer()) == (2, 20, 6, [1, 2, 3, 4, 5])
    top, *tasks = runs()
    assert {run.state.name for run in (top, *tasks)} == {"Completed"}
    assert len(tasks) == 9


def test_a_cancelled_async_flow_closes_its_tasks(runs: Runs) -> None:
    @task
    async def lazy() -> None:
        await asyncio.sleep(60)

    @flow
    async def outer() -> None:
        await lazy()

    async def main() -> None:
        work = asyncio.ensure_future(outer())
        while len(runs()) < 2 or not all(run.state.is_running() for run in runs()):
            await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert [run.state.name for run in runs()] == ["Cancelled", "Cancelled"]


def test_system_exit_is_a_crash_and_goes_on_outwards(runs: Runs) -> None:
    @task
    def leave() -> None:
        raise SystemExit(3)

    @flow
    def outer() -> None:
        leave()

    with pytest.raises(SystemExit):
        outer()
    assert [run.state.name for run in runs()] == ["Crashed", "Crashed"]


def test_an_upstream_failure_means_not_ready(runs: Runs) -> None:
    @task
    def bad() -> int:
        raise ValueError("x")

    @task
    def after(x: int) -> int:
        raise AssertionError("called")

    @flow
    def outer() -> int:
        future = bad.submit()
        later = after.submit(future)
        with pytest.raises(UpstreamFailed, match="bad-0"):
            later.result()
        with pytest.raises(UpstreamFailed):
            after(future)
        return 1

    assert outer() == 1
    assert [run.state.name for run in runs()] == ["Completed", "Failed", "NotReady", "NotReady"]


def test_exceptions_whose_text_raises_are_recorded(runs: Runs) -> None:
    class Evil(Exception):
        def __str__(self) -> str:
            raise RuntimeError("ha")

    @task
    def bad() -> None:
        raise Evil

    with pytest.raises(Evil):
        bad()
    error = runs()[0].error
    assert error is not None and error.type == "Evil"


def test_class_methods_can_be_tasks() -> None:
    class Shop:
        @classmethod
        @task
        def price(cls, amount: int) -> tuple[str, int]:
            return cls.__name__, amount

    assert Shop.price(3) == ("Shop", 3)
