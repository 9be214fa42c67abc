"""Generator tasks: a run that lasts as long as somebody iterates, plain and asynchronous."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow, runtime, skip, task
from jupyter_wf.core.errors import TaskTimeout, UpstreamFailed
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.task_runners import ProcessPoolTaskRunner

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]


@task
def count(many: int) -> Iterator[int]:
    yield from range(many)


@task
async def count_async(many: int) -> AsyncIterator[int]:
    for number in range(many):
        await asyncio.sleep(0)
        yield number


async def listed(items: Any) -> list[Any]:
    return [item async for item in items]


def test_items_come_one_by_one_and_the_run_ends_with_the_last(runs: Runs, story: Story) -> None:
    items = count(2)
    assert isinstance(items, Generator)
    assert runs() == [], "nothing runs before the first item is asked for"
    assert next(items) == 0
    assert story(runs()[0].id)[-1] == "Running"
    assert next(items) == 1
    with pytest.raises(StopIteration):
        next(items)
    (run,) = runs()
    assert (run.state.name, story(run.id)) == ("Completed", ["Pending", "Running", "Completed"])


def test_asynchronous_ones(runs: Runs, story: Story) -> None:
    async def main() -> None:
        items = count_async(2)
        assert await anext(items) == 0
        assert await anext(items) == 1
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    asyncio.run(main())
    assert story(runs()[0].id) == ["Pending", "Running", "Completed"]


def test_inside_flows_they_are_children(runs: Runs) -> None:
    @flow
    def main() -> int:
        return sum(count(4))

    @flow
    async def awaited() -> int:
        return sum(await listed(count_async(4)))

    assert main() == 6
    assert asyncio.run(awaited()) == 6
    every = runs()
    assert [run.state.name for run in every] == ["Completed"] * 4
    assert [run.parent_id for run in every] == [None, every[0].id, None, every[2].id]


def test_what_is_sent_thrown_and_returned_goes_through() -> None:
    @task
    def talk() -> Generator[Any, Any, str]:
        got = yield "ready"
        try:
            yield f"got {got}"
        except KeyError as error:
            yield f"caught {error.args[0]}"
        return "bye"

    items = talk()
    assert next(items) == "ready"
    assert items.send("this") == "got this"
    assert items.throw(KeyError("that")) == "caught that"
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value == "bye"

    @task
    def outer() -> Generator[Any, Any, str]:
        return (yield from talk())

    items = outer()
    assert [next(items), items.send(1), items.throw(KeyError(2))] == ["ready", "got 1", "caught 2"]
    items.close()


def test_what_is_sent_and_thrown_goes_through_asynchronous_ones(runs: Runs) -> None:
    @task
    async def talk() -> Any:
        got = yield "ready"
        try:
            yield f"got {got}"
        except KeyError as error:
            yield f"caught {error.args[0]}"

    async def main() -> None:
        items = talk()
        assert await anext(items) == "ready"
        assert await items.asend("this") == "got this"
        assert await items.athrow(KeyError("that")) == "caught that"
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    asyncio.run(main())
    assert [run.state.name for run in runs()] == ["Completed"]


@pytest.mark.parametrize("how", ["close", "break", "collect"])
def test_nobody_wants_the_rest(how: str, runs: Runs, story: Story) -> None:
    closed: list[str | None] = []

    @task
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(runtime.task_run.name)

    @flow
    def main() -> None:
        items = endless()
        if how == "break":
            for _ in items:
                break
            items.close()
        else:
            next(items)
            if how == "close":
                items.close()
        del items
        gc.collect()

    main()
    assert closed == ["endless-0"], "it is closed as part of its run"
    assert story(runs()[1].id) == ["Pending", "Running", "Completed"]


def test_nobody_wants_the_rest_of_an_asynchronous_one(runs: Runs, story: Story) -> None:
    closed: list[str | None] = []

    @task
    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(runtime.task_run.name)

    @flow
    async def main() -> None:
        async with aclosing(endless()) as items:
            async for _ in items:
                break

    asyncio.run(main())
    assert closed == ["endless-0"]
    assert story(runs()[1].id) == ["Pending", "Running", "Completed"]


def test_one_that_does_not_want_to_be_closed_fails(runs: Runs) -> None:
    @task
    def clings() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("closing failed")

    items = clings()
    next(items)
    with pytest.raises(ValueError, match="closing failed"):
        items.close()
    assert runs()[0].state.name == "Failed"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_failures_and_retries_begin_anew(asynchronous: bool, runs: Runs, story: Story) -> None:
    calls: list[int] = []

    def body() -> Iterator[int]:
        calls.append(1)
        yield 1
        if len(calls) < 2:
            raise ConnectionError("again")
        yield 2

    @task(retries=1)
    def plain() -> Iterator[int]:
        yield from body()

    @task(retries=1)
    async def awaited() -> AsyncIterator[int]:
        for item in body():
            yield item

    got = asyncio.run(listed(awaited())) if asynchronous else list(plain())
    assert got == [1, 1, 2]
    (run,) = runs()
    assert story(run.id) == ["Pending", "Running", "AwaitingRetry", "Retrying", "Completed"]
    assert run.attempt == 2


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_goes_to_the_consumer(asynchronous: bool, runs: Runs) -> None:
    @task
    def plain() -> Iterator[int]:
        yield 1
        raise KeyError("no")

    @task
    async def awaited() -> AsyncIterator[int]:
        yield 1
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        asyncio.run(listed(awaited())) if asynchronous else list(plain())
    assert runs()[0].state.name == "Failed"


def test_an_exception_of_the_consumer_is_not_the_task_s(runs: Runs) -> None:
    @flow
    def main() -> None:
        with closing(count(5)) as items:
            for _ in items:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        main()
    assert [run.state.name for run in runs()] == ["Failed", "Completed"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_time_out_stops_a_step_that_takes_too_long(asynchronous: bool, runs: Runs) -> None:
    @task(timeout_seconds=0.05)
    def plain() -> Iterator[int]:
        yield 1
        never = threading.Event()
        while not never.wait(0.01):
            pass

    @task(timeout_seconds=0.05)
    async def awaited() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    with pytest.raises(TaskTimeout):
        asyncio.run(listed(awaited())) if asynchronous else list(plain())
    assert runs()[0].state.name == "TimedOut"


def test_between_the_items_the_consumer_is_not_part_of_the_task(runs: Runs) -> None:
    @task
    def where() -> str | None:
        return runtime.task_run.name

    @task
    def names() -> Iterator[str | None]:
        for _ in range(2):
            yield runtime.task_run.name
            where()

    @flow
    def main() -> list[Any]:
        seen = []
        for name in names():
            seen += [name, runtime.task_run.name, where()]
        return seen

    assert main() == ["names-0", None, "where-0", "names-0", None, "where-1"]
    every = runs()
    generator = next(run for run in every if run.task_name == "names")
    assert sum(run.parent_id == generator.id for run in every) == 2


@pytest.mark.parametrize("runner", [None, ProcessPoolTaskRunner(1)])
def test_submitted_and_mapped_ones_give_lists(runner: Any) -> None:
    @flow(task_runner=runner)
    def main() -> Any:
        return count.submit(3).result(), count_async.submit(2).result(), count.map([1, 2]).result()

    assert main() == ([0, 1, 2], [0, 1], [[0], [0, 1]])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_with_return_state_the_items_are_the_value(asynchronous: bool) -> None:
    state = asyncio.run(count_async(3, return_state=True)) if asynchronous else count(3, return_state=True)
    assert state.is_completed()
    assert state.result() == [0, 1, 2]


def test_futures_are_resolved_before_the_first_item() -> None:
    @task
    def three() -> int:
        return 3

    @task
    def bad() -> int:
        raise ValueError

    @flow
    def main() -> Any:
        assert list(count(three.submit())) == [0, 1, 2]
        with pytest.raises(UpstreamFailed):
            list(count(bad.submit()))

    main()

    @flow
    async def awaited() -> Any:
        assert await listed(count_async(three.submit())) == [0, 1, 2]
        with pytest.raises(UpstreamFailed):
            await listed(count_async(bad.submit()))

    asyncio.run(awaited())


def test_one_can_skip(runs: Runs) -> None:
    @task
    def maybe() -> Iterator[int]:
        yield 1
        skip("no more")

    @flow
    def main() -> list[int]:
        return list(maybe())

    assert main() == [1]
    assert (runs()[1].state.name, runs()[1].state.message) == ("Skipped", "no more")


def test_generator_flows(runs: Runs) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @flow
    def numbers(many: int) -> Iterator[int]:
        for number in range(many):
            yield double(number)

    @flow
    async def numbers_async(many: int) -> AsyncIterator[int]:
        for number in range(many):
            yield double(number)

    assert list(numbers(3)) == [0, 2, 4]
    assert asyncio.run(listed(numbers_async(2))) == [0, 2]
    top, *tasks = runs()[:4]
    assert all(run.parent_id == top.id for run in tasks)


def test_two_at_the_same_time(runs: Runs) -> None:
    @flow
    def main() -> list[tuple[int, int]]:
        return list(zip(count(3), count(3), strict=True))

    assert main() == [(0, 0), (1, 1), (2, 2)]
    assert [run.state.name for run in runs()] == ["Completed"] * 3


def test_a_cancelled_run_stops_the_consumer(runs: Runs) -> None:
    from jupyter_wf.core.errors import CancelledRun
    from jupyter_wf.engine.context import CURRENT

    @task
    def stops() -> Iterator[int]:
        live = CURRENT.get()
        assert live is not None
        yield 1
        live.cancel()
        yield 2

    @flow
    def main() -> None:
        with pytest.raises(CancelledRun):
            list(stops())

    main()
    assert runs()[1].state.name == "Cancelled"


def test_one_that_is_left_open_when_the_process_ends_says_nothing(wf_home: Path) -> None:
    code = """
from jupyter_wf import task

@task
def endless():
    while True:
        yield 1

items = endless()
print(next(items))
"""
    environ = {**os.environ, "JUPYTER_WF_HOME": str(wf_home)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
    (run,) = current_runtime().store.list_runs(RunFilter(), limit=10).items
    assert run.state.is_final()
