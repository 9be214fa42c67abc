"""The next attempt of a flow: what had completed is restored, everything else runs (again). Counted by calls."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import flow, skip, task
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner

Runs = Callable[[], list[Run]]
calls: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    calls.clear()


@task
def step(x: Any) -> Any:
    calls[f"step {x}"] += 1
    return x


@task
async def step_async(x: Any) -> Any:
    calls[f"async {x}"] += 1
    await asyncio.sleep(0)
    return x


def first_time(what: str = "flow") -> bool:
    calls[what] += 1
    return calls[what] == 1


def fail_first() -> None:
    if first_time():
        raise ValueError("first attempt")


@pytest.mark.parametrize("runner", [None, SequentialTaskRunner(), ThreadPoolTaskRunner(1)])
def test_calls_submits_and_maps_are_restored(runner: Any, runs: Runs) -> None:
    @flow(retries=1, task_runner=runner)
    def main() -> Any:
        one = step(1)
        two = step.submit(2)
        three = step.map([3, two])
        got = [one, two.result(), *three.result()]
        fail_first()
        return got

    assert main() == [1, 2, 3, 2]
    assert calls == {"flow": 2, "step 1": 1, "step 2": 2, "step 3": 1}
    every = runs()
    assert len(every) == 5, "no run is made twice"
    assert [run.attempt for run in every] == [2, 1, 1, 1, 1]
    assert {run.state.name for run in every} == {"Completed"}
    lines = [line.message for line in current_runtime().store.logs(every[0].id, tree=False)]
    assert lines[-1] == "attempt 2 took over 4 runs that had completed before"


def test_tasks_of_worker_processes_are_restored(runs: Runs, tmp_path: Any) -> None:
    @task
    def mark(x: int) -> int:
        with (tmp_path / f"{x}").open("a") as file:
            file.write("x")
        return x

    @flow(retries=1, task_runner=ProcessPoolTaskRunner(1))
    def main() -> Any:
        got = mark.map([1, 2]).result()
        fail_first()
        return got

    assert main() == [1, 2]
    assert [(tmp_path / name).read_text() for name in "12"] == ["x", "x"]


def test_async_flows_and_what_they_gather(runs: Runs) -> None:
    @flow(retries=1)
    async def main() -> Any:
        got = await asyncio.gather(*(step_async(x) for x in range(5)))
        got.append(await step_async.submit(5))
        got.append(step(6))
        fail_first()
        return got

    assert asyncio.run(main()) == [0, 1, 2, 3, 4, 5, 6]
    assert calls == {"flow": 2, **{f"async {x}": 1 for x in range(6)}, "step 6": 1}
    assert len(runs()) == 8


def test_changed_inputs_run_again_and_say_why(runs: Runs, runtime: Runtime) -> None:
    @flow(retries=1)
    def main() -> Any:
        now = calls["flow"]
        got = [step("same"), step(f"attempt {now}"), step([now]), step("last")]
        fail_first()
        return got

    assert main() == ["same", "attempt 1", [1], "last"]
    assert calls["step same"] == calls["step last"] == 1
    assert calls["step attempt 0"] == calls["step attempt 1"] == 1
    every = runs()
    assert [run.attempt for run in every] == [2, 1, 2, 2, 1]
    assert every[2].parameters == {"x": "attempt 1"}
    runtime.journal.flush()
    lines = [line.message for line in runtime.store.logs(every[2].id)]
    assert "called again: input 'x' changed" in lines


def test_changed_source_runs_again() -> None:
    def old(x: int) -> str:
        calls["old"] += 1
        return "old"

    def new(x: int) -> str:
        calls["new"] += 1
        return "new"

    @flow(retries=1)
    def main() -> Any:
        got = task(name="either")(old if calls["flow"] == 0 else new)(1)
        fail_first()
        return got

    assert main() == "new"
    assert calls == {"flow": 2, "old": 1, "new": 1}


def test_what_failed_was_skipped_or_not_ready_runs_again(runs: Runs) -> None:
    @task
    def flaky(x: int) -> int:
        if first_time(f"flaky {x}"):
            raise KeyError(x)
        return x

    @task
    def maybe() -> int:
        if first_time("maybe"):
            skip("not yet")
        return 5

    @flow(retries=1)
    def main() -> Any:
        failed = flaky.submit(1)
        after = step.submit(failed)
        maybe_after = step.submit(maybe.submit())
        for future in (failed, after, maybe_after):
            future.wait()
        fail_first()
        return [future.result() for future in (failed, after, maybe_after)]

    assert main() == [1, 1, 5]
    assert calls == {"flow": 2, "flaky 1": 2, "maybe": 2, "step 1": 1, "step 5": 1}
    assert [run.state.name for run in runs()] == ["Completed"] * 5


def test_sub_flows_are_restored_whole_or_go_on_inside(runs: Runs) -> None:
    @flow
    def done(x: int) -> int:
        calls["done"] += 1
        return step(x)

    @flow
    def broken() -> int:
        got = step("inner")
        if first_time("broken"):
            raise KeyError("no")
        return got

    @flow(retries=1)
    def main() -> Any:
        return done(1), broken()

    assert main() == (1, "inner")
    assert calls == {"done": 1, "step 1": 1, "broken": 2, "step inner": 1}
    assert len(runs()) == 5


def test_sub_flows_with_retries_of_their_own(runs: Runs) -> None:
    @flow(retries=1)
    def inner() -> Any:
        got = step("inner")
        fail_first()
        return got

    @flow
    def main() -> Any:
        return step("outer"), inner()

    assert main() == ("outer", "inner")
    assert calls == {"flow": 2, "step inner": 1, "step outer": 1}


def test_tasks_that_run_tasks() -> None:
    @task
    def outer() -> Any:
        calls["outer"] += 1
        return step("below")

    @flow(retries=1)
    def main() -> Any:
        got = outer()
        fail_first()
        return got

    assert main() == "below"
    assert calls == {"flow": 2, "outer": 1, "step below": 1}


def test_a_loop_that_grows_and_one_that_shrinks(runs: Runs) -> None:
    @flow(retries=2)
    def main() -> Any:
        many = {0: 3, 1: 5, 2: 2}[calls["flow"]]
        got = [step(x) for x in range(many)]
        calls["flow"] += 1
        if calls["flow"] < 3:
            raise ValueError
        return got

    assert main() == [0, 1]
    assert calls == {"flow": 3, **{f"step {x}": 1 for x in range(5)}}


def test_values_that_cannot_be_compared_or_kept_run_again() -> None:
    @task
    def opaque() -> Any:
        calls["opaque"] += 1
        return (x for x in range(3))

    @task
    def takes(x: Any) -> int:
        calls["takes"] += 1
        return len(list(x))

    @flow(retries=1)
    def main() -> Any:
        got = takes(opaque())
        fail_first()
        return got

    assert main() == 3
    assert calls == {"flow": 2, "opaque": 2, "takes": 2}


@pytest.mark.parametrize(
    "value", [None, 1.5, "text", b"bytes", {"a": [1, 2]}, {1, 2}, (1, (2,)), "long " * 50_000, ValueError("as a value")]
)
def test_every_kind_of_value_comes_back(value: Any) -> None:
    @task
    def gives() -> Any:
        calls["gives"] += 1
        return value

    @flow(retries=1)
    def main() -> Any:
        got = gives()
        fail_first()
        return got

    got = main()
    assert type(got) is type(value)
    assert repr(got) == repr(value)
    assert calls["gives"] == 1


def test_a_request_to_retry_an_ended_flow_restores_too(runtime: Runtime, runs: Runs) -> None:
    roots: list[Any] = []
    runtime.on_root(roots.append)

    @flow
    def main() -> Any:
        got = [step(1), step.submit(2).result()]
        fail_first()
        return got

    with pytest.raises(ValueError, match="first attempt"):
        main()
    roots[0].rerun()
    runtime.journal.flush()
    assert [(run.state.name, run.attempt) for run in runs()] == [("Completed", 2), ("Completed", 1), ("Completed", 1)]
    assert calls == {"flow": 2, "step 1": 1, "step 2": 1}


def test_what_was_torn_down_is_set_up_again() -> None:
    @task
    def close(what: str) -> None:
        calls[f"close {what}"] += 1

    @task(teardown=close)
    def open_() -> str:
        calls["open"] += 1
        return "it"

    @flow(retries=1)
    def main() -> str:
        got = open_()
        fail_first()
        return got

    assert main() == "it"
    assert calls == {"flow": 2, "open": 2, "close it": 2}, "what was closed has to be opened again"


def test_many_are_restored(runs: Runs) -> None:
    @flow(retries=1)
    def main() -> int:
        got = sum(step(x) for x in range(300)) + sum(step.map(range(300, 400)).result())
        fail_first()
        return got

    assert main() == sum(range(400))
    assert sum(calls.values()) == 402
    assert {run.attempt for run in runs()[1:]} == {1}
