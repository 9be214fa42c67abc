"""Hooks: which are called, with what, when, and that they decide nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import flow, runtime, task
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.states import Cancelled, Crashed, Failed
from jupyter_wf.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner

Runs = Callable[[], list[Run]]
HOOKS = ("on_running", "on_completion", "on_failure", "on_crashed", "on_cancellation")


class Recorder:
    """Hooks of every kind, and what they saw."""

    def __init__(self, asynchronous: bool = False) -> None:
        self.seen: list[tuple[str, str, str, str]] = []
        self.asynchronous = asynchronous

    def hook(self, name: str) -> Callable[..., Any]:
        def plain(owner: Any, run: Any, state: Any) -> None:
            self.seen.append((name, owner.name, run.name, state.name))

        async def awaited(owner: Any, run: Any, state: Any) -> None:
            await asyncio.sleep(0)
            plain(owner, run, state)

        return awaited if self.asynchronous else plain

    def options(self) -> dict[str, Any]:
        return {name: [self.hook(name)] for name in HOOKS}


def returns() -> int:
    return 1


def fails() -> int:
    raise KeyError("no")


def exits() -> int:
    raise SystemExit(3)


def cancelled() -> Any:
    raise KeyboardInterrupt


def says_failed() -> Any:
    return Failed("said")


def says_crashed() -> Any:
    return Crashed("said")


def says_cancelled() -> Any:
    return Cancelled("said")


CASES = [
    (returns, None, ["on_running Running", "on_completion Completed"]),
    (fails, KeyError, ["on_running Running", "on_failure Failed"]),
    (exits, SystemExit, ["on_running Running", "on_crashed Crashed"]),
    (cancelled, KeyboardInterrupt, ["on_running Running", "on_cancellation Cancelled"]),
    (says_failed, Exception, ["on_running Running", "on_failure Failed"]),
    (says_crashed, Exception, ["on_running Running", "on_crashed Crashed"]),
    (says_cancelled, Exception, ["on_running Running", "on_cancellation Cancelled"]),
]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain hooks", "async hooks"])
@pytest.mark.parametrize("make", [task, flow])
@pytest.mark.parametrize(("work", "error", "expected"), CASES)
def test_each_state_has_its_hook(
    make: Any, work: Callable[[], Any], error: Any, expected: list[str], asynchronous: bool, runs: Runs
) -> None:
    recorder = Recorder(asynchronous)
    made = make(**recorder.options())(work)
    if error is None:
        made()
    else:
        with pytest.raises(error):
            made()
    assert [f"{hook} {state}" for hook, _, _, state in recorder.seen] == expected
    (run,) = runs()
    assert {(owner, name) for _, owner, name, _ in recorder.seen} == {(work.__name__, run.name)}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain hooks", "async hooks"])
@pytest.mark.parametrize("make", [task, flow])
@pytest.mark.parametrize(("work", "error", "expected"), [case for case in CASES if case[0] is not cancelled])
def test_so_it_has_in_async_work(make: Any, work: Any, error: Any, expected: list[str], asynchronous: bool) -> None:
    recorder = Recorder(asynchronous)

    async def awaited() -> Any:
        await asyncio.sleep(0)
        return work()

    made = make(**recorder.options())(awaited)
    if error is None:
        asyncio.run(made())
    else:
        with pytest.raises(error):
            asyncio.run(made())
    assert [f"{hook} {state}" for hook, _, _, state in recorder.seen] == expected


@pytest.mark.parametrize("runner", [None, SequentialTaskRunner(), ProcessPoolTaskRunner(1)])
def test_hooks_of_submitted_tasks_are_called_in_the_flow_s_process(runner: Any) -> None:
    recorder = Recorder()

    @flow(task_runner=runner)
    def main() -> None:
        good = task(**recorder.options())(returns)
        bad = task(**recorder.options())(fails)
        good.submit().wait()
        bad.submit().wait()

    main()
    assert [(hook, owner) for hook, owner, _, _ in recorder.seen] == [
        ("on_running", "returns"),
        ("on_completion", "returns"),
        ("on_running", "fails"),
        ("on_failure", "fails"),
    ]


def test_hooks_as_decorators_come_after_the_given_ones_and_are_functions_still() -> None:
    seen: list[str] = []

    @task(on_completion=[lambda *_: seen.append("given")])
    def step() -> None: ...

    @step.on_completion
    def first(*_: Any) -> None:
        seen.append("first")

    @step.on_completion
    def second(*_: Any) -> None:
        seen.append("second")

    @flow
    def main() -> None:
        step()

    @main.on_completion
    def done(*_: Any) -> None:
        seen.append("flow")

    main()
    assert seen == ["given", "first", "second", "flow"]
    first()
    assert seen[-1] == "first"


@pytest.mark.parametrize("name", [*HOOKS, "on_late", "on_commit", "on_rollback"])
def test_every_hook_of_tasks_can_be_a_decorator(name: str) -> None:
    made = task(returns)
    hook = getattr(made, name)(lambda *_: None)
    assert callable(hook)
    lists = made.callee.transactional if name in ("on_commit", "on_rollback") else made.callee.hooks
    assert lists is not None
    assert lists.lists == {name: [hook]}


def test_a_hook_that_fails_is_logged_and_the_next_ones_are_called(runs: Runs, runtime: Runtime) -> None:
    seen: list[str] = []

    def broken(*_: Any) -> None:
        raise ValueError("hook")

    async def broken_too(*_: Any) -> None:
        raise ValueError("async hook")

    async def fine(*_: Any) -> None:
        seen.append("fine")

    options: dict[str, Any] = {"on_completion": [broken, broken_too, fine], "on_running": broken}

    @task(**options)
    def step() -> int:
        return 1

    @task(**options)
    async def async_step() -> int:
        return 2

    assert step() == 1
    assert asyncio.run(async_step()) == 2
    assert step.submit().result() == 1
    runtime.journal.flush()
    assert seen == ["fine"] * 3
    for run in runs():
        assert run.state.name == "Completed"
        lines = [line.message for line in runtime.store.logs(run.id)]
        assert lines == [
            "the hook 'broken' failed: ValueError: hook",
            "the hook 'broken' failed: ValueError: hook",
            "the hook 'broken_too' failed: ValueError: async hook",
        ]


def test_on_running_comes_with_each_attempt_and_the_end_once() -> None:
    recorder = Recorder()
    calls: list[int] = []

    @task(retries=2, **recorder.options())
    def flaky() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError

    flaky()
    assert [(hook, state) for hook, _, _, state in recorder.seen] == [
        ("on_running", "Running"),
        ("on_running", "Retrying"),
        ("on_running", "Retrying"),
        ("on_completion", "Completed"),
    ]


def test_a_hook_gets_the_value_the_exception_and_the_run(runs: Runs) -> None:
    got: list[Any] = []

    @task(on_completion=lambda task, run, state: got.append((task, run, state.result())))
    def good(x: int) -> int:
        return x + 1

    @task(on_failure=lambda task, run, state: got.append((task, run, state.result(raise_on_failure=False))))
    def bad() -> None:
        raise KeyError("no")

    assert good(1) == 2
    with pytest.raises(KeyError) as caught:
        bad()
    (first, run, value), (second, other, error) = got
    assert first is good
    assert second is bad
    assert value == 2
    assert error is caught.value
    assert [run.id, other.id] == [each.id for each in runs()]
    assert run.parameters == {"x": 1}


def test_hooks_of_a_run_that_is_never_called() -> None:
    recorder = Recorder()

    @task(**recorder.options())
    def step(x: Any) -> None: ...

    @flow
    def main() -> str:
        return step.submit(task(fails).submit(), return_state=True).name

    assert main() == "NotReady"
    assert recorder.seen == []


def test_a_cancelled_flow_calls_the_hooks_of_what_it_stops(runtime: Runtime) -> None:
    recorder = Recorder()
    running, never = threading.Event(), threading.Event()

    @task(**recorder.options())
    def stays() -> None:
        running.set()
        while not never.wait(0.01):
            pass

    @flow(**recorder.options())
    def main() -> None:
        stays.submit()

    roots: list[Any] = []
    runtime.on_root(roots.append)
    thread = threading.Thread(target=lambda: main(return_state=True), daemon=True)
    thread.start()
    assert running.wait(30)
    roots[0].cancel()
    thread.join(30)
    assert not thread.is_alive()
    ended = [(hook, owner) for hook, owner, _, _ in recorder.seen if hook != "on_running"]
    assert sorted(ended) == [("on_cancellation", "main"), ("on_cancellation", "stays")]


def test_a_hook_can_see_the_flow_run_that_it_is_about() -> None:
    seen: list[Any] = []

    def inside(flow: Any, run: Any, state: Any) -> None:
        seen.append((run.flow_name, run.run_count, state.is_running()))

    @flow(on_running=[inside])
    def main() -> str | None:
        return runtime.flow_run.flow_name

    assert main() == "main"
    assert seen == [("main", 1, True)]


def test_retry_conditions_are_no_hooks_but_hooks_may_run_tasks(runs: Runs) -> None:
    @task
    def tell(what: str) -> None: ...

    @flow(on_completion=[lambda flow, run, state: tell(state.name)])
    def main() -> None: ...

    main()
    assert [(run.task_name, run.parameters) for run in runs()[1:]] == [("tell", {"what": "Completed"})]
