"""``skip``, ``stop_flow``, trigger rules and teardowns, in every kind of task and flow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import flow, skip, stop_flow, task
from jupyter_wf.core.errors import MissingContextError, UpstreamFailed
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner

Runs = Callable[[], list[Run]]
RUNNERS = [None, SequentialTaskRunner(), ProcessPoolTaskRunner(1)]


def states(runs: Runs) -> dict[str, str]:
    return {run.task_name or run.flow_name or "": run.state.name for run in runs()}


@task
def skips() -> int:
    skip("nothing new")


@task
async def skips_async() -> int:
    skip("nothing new")


@task
def follows(x: Any = None) -> str:
    return "called"


@task
def bad() -> None:
    raise KeyError("no")


def test_outside_any_run_there_is_nothing_to_end() -> None:
    for end in (skip, stop_flow):
        with pytest.raises(MissingContextError, match="inside"):
            end("why")


@pytest.mark.parametrize("how", ["call", "submit", "async", "async submit"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_a_skipped_task_has_no_value_and_what_depends_on_it_is_skipped(how: str, runner: Any, runs: Runs) -> None:
    @flow(task_runner=runner)
    def main() -> Any:
        if how == "call":
            assert skips() is None
            before: Any = skips(return_state=True)
        elif how == "async":
            assert asyncio.run(skips_async()) is None
            before = asyncio.run(skips_async(return_state=True))
        else:
            before = (skips if how == "submit" else skips_async).submit()
            assert before.result() is None
        after = follows.submit(before)
        return after.result(), follows(before), follows([before, 1], return_state=True).name

    assert main() == (None, None, "Skipped")
    every = runs()
    assert {run.state.type.value for run in every} == {"COMPLETED"}
    assert {(run.task_name, run.state.name) for run in every[1:]} == {
        (("skips_async" if "async" in how else "skips"), "Skipped"),
        ("follows", "Skipped"),
    }
    assert every[1].state.message == "nothing new"


def test_a_skipped_flow_and_a_task_that_is_skipped_by_a_sub_flow(runs: Runs) -> None:
    @flow
    def sub() -> int:
        follows()
        skip("not today")

    @flow
    async def sub_async() -> int:
        skip("not today")

    @flow
    def main() -> Any:
        return sub(), asyncio.run(sub_async()), sub(return_state=True).name

    assert main() == (None, None, "Skipped")
    assert states(runs) == {"main": "Completed", "sub": "Skipped", "follows": "Completed", "sub_async": "Skipped"}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("how", ["call", "submit"])
def test_a_task_stops_its_flow(how: str, runner: Any, runs: Runs) -> None:
    after: list[int] = []

    @flow(task_runner=runner)
    def main() -> Any:
        done = task(stops)() if how == "call" else task(stops).submit().result()
        after.append(1)
        return done

    assert main() == "enough"
    assert after == []
    assert states(runs) == {"main": "Completed", "stops": "Completed"}
    assert runs()[0].state.message == "stopped: all done"


def stops() -> None:
    stop_flow("all done", value="enough")


def test_an_async_flow_is_stopped(runs: Runs) -> None:
    after: list[int] = []

    @task
    async def awaited() -> None:
        stop_flow("all done", value="enough")

    @flow
    async def main(how: str) -> Any:
        if how == "await":
            await awaited()
        elif how == "submit":
            await awaited.submit()
            await asyncio.Event().wait()
        elif how == "gather":
            await asyncio.gather(awaited(), asyncio.Event().wait())
        elif how == "sync":
            task(stops)()
        else:
            stop_flow("all done", value="enough")
        after.append(1)

    for how in ("await", "submit", "gather", "sync", "itself"):
        assert asyncio.run(main(how)) == "enough", how
    assert after == []
    assert set(states(runs).values()) == {"Completed"}


def test_only_the_flow_that_the_task_is_part_of_is_stopped(runs: Runs) -> None:
    @flow
    def sub() -> Any:
        task(stops)()

    @flow
    def main() -> Any:
        return sub(), follows()

    assert main() == ("enough", "called")
    assert states(runs) == {"main": "Completed", "sub": "Completed", "stops": "Completed", "follows": "Completed"}


def test_what_else_runs_is_cancelled_when_a_flow_is_stopped(runs: Runs) -> None:
    running, never = threading.Event(), threading.Event()

    @task
    def stays() -> None:
        running.set()
        while not never.wait(0.01):
            pass

    @task
    def stops_then() -> None:
        running.wait(30)
        stop_flow(value=7)

    @flow
    def main() -> Any:
        stays.submit()
        stops_then.submit().wait()
        while not never.wait(0.01):
            pass

    assert main() == 7
    assert states(runs) == {"main": "Completed", "stays": "Cancelled", "stops_then": "Completed"}


def test_neither_is_a_failure_that_is_tried_again(runs: Runs) -> None:
    calls: list[int] = []

    @task(retries=3)
    def once() -> None:
        calls.append(1)
        try:
            skip("x")
        except Exception:
            calls.append(2)

    @flow(retries=3)
    def main() -> None:
        once()
        stop_flow()

    assert main() is None
    assert calls == [1]
    assert [run.attempt for run in runs()] == [1, 1]


RESULTS = {"good": "Completed", "skipped": "Skipped", "bad": "Failed"}
CALLED = {
    "all_success": {"good"},
    "all_done": {"good", "skipped", "bad"},
    "one_success": {"good"},
    "one_failed": {"bad"},
    "none_failed": {"good", "skipped"},
    "all_failed": {"bad"},
    "always": {"good", "skipped", "bad"},
}


@pytest.mark.parametrize("rule", CALLED)
@pytest.mark.parametrize("kind", ["sync", "async", "submit"])
def test_each_trigger(rule: str, kind: str) -> None:
    @task
    def ends(how: str) -> str:
        if how == "bad":
            raise KeyError("no")
        if how == "skipped":
            skip()
        return how

    @task(trigger=rule)
    def then(value: Any) -> Any:
        return "called", value

    @task(trigger=rule)
    async def then_async(value: Any) -> Any:
        return "called", value

    @flow
    def main() -> dict[str, Any]:
        got = {}
        for how in RESULTS:
            before = ends.submit(how)
            before.wait()
            if kind == "sync":
                state = then(before, return_state=True)
            elif kind == "async":
                state = asyncio.run(then_async(before, return_state=True))
            else:
                state = then.submit(before, return_state=True)
            got[how] = state
        return {how: (state.name, state.result(raise_on_failure=False)) for how, state in got.items()}

    got = main()
    assert {how for how, (name, _) in got.items() if name == "Completed"} == CALLED[rule]
    for how, (name, value) in got.items():
        if name == "Completed":
            assert value[0] == "called"
            assert value[1] == how if how == "good" else isinstance(value[1], KeyError) if how == "bad" else True
        else:
            assert name in ("Skipped", "NotReady")


def test_wait_for_counts_as_upstream() -> None:
    @flow
    def main() -> Any:
        failed = bad.submit()
        with pytest.raises(UpstreamFailed, match="bad-0"):
            follows.submit(wait_for=[failed]).result()
        return follows.with_options(trigger="all_failed").submit(wait_for=[failed]).result()

    assert main() == "called"


@pytest.mark.parametrize("ends", ["returns", "raises", "stops", "skips"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_teardowns_are_called_last_in_reverse_whatever_happened(ends: str, asynchronous: bool, runs: Runs) -> None:
    order: list[Any] = []

    @task
    def close(what: str) -> None:
        order.append(f"close {what}")

    @task
    async def close_async() -> None:
        order.append("close async")

    @task(teardown=close)
    def open_(what: str) -> str:
        order.append(f"open {what}")
        return what

    @task(teardown=close_async)
    async def open_async() -> None:
        order.append("open async")

    @task(teardown=close)
    def fails_to_open() -> None:
        raise KeyError("no")

    def body() -> str:
        order.append("body")
        if ends == "raises":
            raise ValueError("body")
        if ends == "stops":
            stop_flow(value="value")
        if ends == "skips":
            skip()
        return "value"

    @flow
    def main() -> str:
        open_("a")
        open_.submit("b").wait()
        fails_to_open(return_state=True)
        return body()

    @flow
    async def main_async() -> str:
        open_("a")
        await open_async()
        fails_to_open(return_state=True)
        return body()

    state = asyncio.run(main_async(return_state=True)) if asynchronous else main(return_state=True)
    second = "async" if asynchronous else "b"
    assert order == ["open a", f"open {second}", "body", f"close {second}", "close a"]
    assert state.name == {"raises": "Failed", "skips": "Skipped"}.get(ends, "Completed")
    top = runs()[0]
    assert all(run.parent_id == top.id for run in runs()[1:])


def test_a_teardown_that_fails_decides_nothing(runs: Runs, runtime: Runtime) -> None:
    @task
    def close() -> None:
        raise ValueError("can't close")

    @task(teardown=close)
    def open_() -> int:
        return 1

    @flow
    def main() -> int:
        return open_()

    assert main() == 1
    assert states(runs) == {"main": "Completed", "open_": "Completed", "close": "Failed"}


def test_a_task_that_is_a_teardown_runs_whatever_came_before_and_does_not_decide() -> None:
    @task(teardown=True)
    def clean(x: Any = None) -> str:
        raise ValueError("cleaning failed")

    @flow
    def main() -> Any:
        failed = bad.submit()
        cleaned = clean.submit(wait_for=[failed])
        cleaned.wait()
        assert cleaned.state.name == "Failed"
        return [follows.submit(), cleaned]

    assert main(return_state=True).is_completed()


def test_teardowns_come_when_a_flow_is_cancelled(runs: Runs, runtime: Runtime) -> None:
    closed: list[int] = []

    @task
    def close() -> None:
        closed.append(1)

    @task(teardown=close)
    def open_() -> None: ...

    never = threading.Event()
    roots: list[Any] = []

    @flow
    def main() -> None:
        open_()
        roots[0].cancel()
        while not never.wait(0.01):
            pass

    runtime.on_root(roots.append)
    assert main(return_state=True).name == "Cancelled"
    assert closed == [1]
    assert states(runs)["close"] == "Completed"
