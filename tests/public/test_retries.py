"""Retries: which failures, how many, how soon, and who decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf import flow, runtime, task
from jupyter_wf.core.models import Run
from jupyter_wf.core.policy import make_policy
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.task_runners import ProcessPoolTaskRunner
from jupyter_wf.tasks import exponential_backoff

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]


class Flaky:
    """Raises what it is given, one after the other, then returns the number of calls."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        return self.calls


def run_it(made: Any, how: str) -> Any:
    if how == "async":
        return asyncio.run(made())
    return made.submit().result() if how == "submit" else made()


def decorated(work: Flaky, how: str, make: Any = task, **options: Any) -> Any:
    def plain() -> int:
        return work()

    async def awaited() -> int:
        await asyncio.sleep(0)
        return work()

    return make(**options)(awaited if how == "async" else plain)


@pytest.mark.parametrize("how", ["call", "async", "submit"])
@pytest.mark.parametrize(
    ("options", "errors", "calls"),
    [
        ({"retries": 2}, [OSError(), OSError()], 3),
        ({"retries": 1}, [OSError(), OSError()], -2),
        ({}, [OSError()], -1),
        ({"retries": 3, "retry_on": ConnectionError}, [ConnectionResetError(), ValueError()], -2),
        ({"retries": 3, "retry_on": (KeyError, IndexError)}, [KeyError(), IndexError()], 3),
        ({"retries": 3, "retry_on": LookupError}, [KeyError(), IndexError()], 3),
        ({"retries": 3, "retry_on": [KeyError]}, [OSError()], -1),
        ({"retries": 3, "retry_on": ()}, [OSError()], -1),
    ],
)
def test_which_failures_are_tried_again(how: str, options: Any, errors: Any, calls: int, runs: Runs) -> None:
    work = Flaky(*errors)
    made = decorated(work, how, **options)
    if calls < 0:
        with pytest.raises(type(errors[-calls - 1])):
            run_it(made, how)
    else:
        assert run_it(made, how) == calls
    assert work.calls == abs(calls)
    (run,) = runs()
    assert (run.attempt, run.max_attempts) == (abs(calls), options.get("retries", 0) + 1)


@pytest.mark.parametrize("how", ["call", "async", "submit"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain condition", "async condition"])
def test_a_condition_decides_and_sees_everything(how: str, asynchronous: bool, runs: Runs) -> None:
    asked: list[Any] = []

    def plain(task: Any, run: Any, state: Any) -> bool:
        asked.append((task.name, run.run_count, state.name, type(state.result(raise_on_failure=False))))
        return isinstance(state.result(raise_on_failure=False), OSError)

    async def awaited(task: Any, run: Any, state: Any) -> bool:
        await asyncio.sleep(0)
        return plain(task, run, state)

    work = Flaky(OSError(), KeyError())
    made = decorated(work, how, retries=5, retry_condition_fn=awaited if asynchronous else plain, name="mine")
    with pytest.raises(KeyError):
        run_it(made, how)
    assert asked == [("mine", 1, "Failed", OSError), ("mine", 2, "Failed", KeyError)]
    assert work.calls == 2


@pytest.mark.parametrize("how", ["call", "async", "submit"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain condition", "async condition"])
def test_a_condition_that_raises_is_logged_and_counts_as_no(
    how: str, asynchronous: bool, runtime: Runtime, runs: Runs
) -> None:
    def plain(*_: Any) -> bool:
        raise ValueError("broken condition")

    async def awaited(*_: Any) -> bool:
        raise ValueError("broken condition")

    work = Flaky(OSError("first"))
    made = decorated(work, how, retries=5, retry_condition_fn=awaited if asynchronous else plain)
    with pytest.raises(OSError, match="first"):
        run_it(made, how)
    assert work.calls == 1
    runtime.journal.flush()
    lines = [line.message for line in runtime.store.logs(runs()[0].id)]
    assert "retry_condition_fn failed, so there is no other attempt: ValueError: broken condition" in lines


def test_a_condition_is_not_asked_where_there_is_nothing_to_decide() -> None:
    asked: list[int] = []

    def condition(*_: Any) -> bool:
        asked.append(1)
        return True

    for options, errors in [({"retries": 0}, [OSError()]), ({"retries": 2, "retry_on": KeyError}, [OSError()])]:
        with pytest.raises(OSError):
            decorated(Flaky(*errors), "call", retry_condition_fn=condition, **options)()
    assert decorated(Flaky(), "call", retries=2, retry_condition_fn=condition)() == 1
    assert asked == []


@pytest.mark.parametrize("how", ["call", "async"])
def test_flows_are_tried_again_too(how: str, runs: Runs, story: Story) -> None:
    work = Flaky(OSError(), OSError())
    made = decorated(work, how, flow, retries=2, retry_delay_seconds=0)
    assert run_it(made, how) == 3
    (run,) = runs()
    assert story(run.id) == ["Pending", "Running", *["AwaitingRetry", "Retrying"] * 2, "Completed"]


def test_in_another_process(runs: Runs, tmp_path: Any) -> None:
    @task(retries=2)
    def flaky(path: Any) -> int | None:
        with path.open("a") as file:
            file.write("x")
        if len(path.read_text()) < 3:
            raise OSError
        return runtime.task_run.run_count

    @flow(task_runner=ProcessPoolTaskRunner(1))
    def main() -> Any:
        return flaky.submit(tmp_path / "calls").result()

    assert main() == 3


def test_a_time_out_is_tried_again_like_a_failure(runs: Runs) -> None:
    calls: list[int] = []

    @task(retries=1, timeout_seconds=0.05)
    async def slow() -> int:
        calls.append(1)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return len(calls)

    assert asyncio.run(slow()) == 2
    assert runs()[0].state.name == "Completed"


def test_the_number_of_the_attempt_is_known_inside() -> None:
    seen: list[Any] = []

    @task(retries=2)
    def step() -> None:
        seen.append(runtime.task_run.run_count)
        if len(seen) < 3:
            raise OSError

    step()
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("given_", "retries", "delays"),
    [
        (None, 3, [0, 0, 0]),
        (2, 3, [2, 2, 2]),
        (0.5, 1, [0.5]),
        ([1, 2, 3], 3, [1, 2, 3]),
        ((1, 2), 4, [1, 2, 2, 2]),
        ([], 2, [0, 0]),
        (lambda retries: [10 * n for n in range(retries)], 3, [0, 10, 20]),
        (exponential_backoff(10), 4, [10, 20, 40, 80]),
        (exponential_backoff(backoff_factor=1e6), 3, [1e6, 2e6, 30 * 86_400]),
    ],
)
def test_delays(given_: Any, retries: int, delays: list[float]) -> None:
    policy = make_policy(retries=retries, retry_delay_seconds=given_)
    assert [policy.delay(attempt) for attempt in range(1, retries + 1)] == delays


@given(st.floats(0, 1e4), st.floats(0, 10), st.floats(0, 1))
def test_jitter_keeps_to_its_bounds(seconds: float, factor: float, number: float) -> None:
    policy = make_policy(retries=1, retry_delay_seconds=seconds, retry_jitter_factor=factor)
    got = policy.delay(1, lambda: number)
    assert max(0.0, seconds * (1 - factor)) - 1e-6 <= got <= seconds * (1 + factor) + 1e-6
    assert policy.delay(1, lambda: 0.5) == pytest.approx(seconds)


def test_the_wait_is_said_and_can_be_cut_short(runtime: Runtime, runs: Runs) -> None:
    work = Flaky(OSError("first"))
    roots: list[Any] = []
    runtime.on_root(roots.append)

    @task(retries=1, retry_delay_seconds=3600, on_running=lambda *_: None)
    def step() -> int:
        return work()

    @task
    async def hurry() -> None: ...

    async def main() -> Any:
        waiting = asyncio.create_task(asyncio.to_thread(step))
        while not (roots and roots[0].state.name == "AwaitingRetry" and roots[0].retry_now()):
            await asyncio.sleep(0.005)
        return await waiting

    assert asyncio.run(main()) == 2
    runtime.journal.flush()
    messages = [event.payload["message"] for event in runtime.store.states(runs()[0].id)]
    assert "attempt 1 failed, next one in 3.6e+03 s: OSError: first" in messages
