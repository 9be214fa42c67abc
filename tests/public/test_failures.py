"""Failures of every kind, and flows of every shape: nothing hangs, nothing is left open, everything is recorded."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner

Runs = Callable[[], list[Run]]


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Blank(Mute):
    def __repr__(self) -> str:
        raise RuntimeError("no text at all")


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("held")
        self.lock = threading.Lock()


class Picky(Exception):
    """Its constructor wants more than pickle gives it."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def mute() -> None:
    raise Mute


def blank() -> None:
    raise Blank


def unpicklable() -> None:
    raise Unpicklable


def picky() -> None:
    raise Picky(1, 2)


def grouped() -> None:
    raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])


def caused() -> None:
    try:
        raise ValueError("inner")
    except ValueError as error:
        raise KeyError("outer") from error


FAILURES = [
    (mute, Mute),
    (blank, Blank),
    (unpicklable, Unpicklable),
    (picky, Picky),
    (grouped, ExceptionGroup),
    (caused, KeyError),
]


@pytest.mark.parametrize("how", ["call", "submit", "async"])
@pytest.mark.parametrize(("work", "kind"), FAILURES)
def test_exceptions_arrive_as_they_are(work: Any, kind: Any, how: str, runs: Runs) -> None:
    if how == "async" and kind is Blank:
        # The event loop itself can't go on where an exception has no repr().
        how = "submit"

    @task
    async def awaited() -> None:
        work()

    @flow
    def main() -> None:
        if how == "call":
            task(work)()
        elif how == "submit":
            task(work).submit().result()
        else:
            asyncio.run(awaited())

    with pytest.raises(kind) as caught:
        main()
    assert type(caught.value) is kind
    if kind is ExceptionGroup:
        assert [type(each) for each in caught.value.exceptions] == [ValueError, KeyError]
    if work is caused:
        assert isinstance(caught.value.__cause__, ValueError)
    assert [(run.state.name, run.error.type if run.error else None) for run in runs()] == [
        ("Failed", kind.__name__)
    ] * 2


@pytest.mark.parametrize(("work", "kind"), FAILURES)
def test_exceptions_of_other_processes_arrive_as_something_of_that_name(work: Any, kind: Any, runs: Runs) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(1))
    def main() -> Any:
        return task(work).submit(return_state=True).result(raise_on_failure=False)

    state = main(return_state=True)
    assert state.is_final()
    error = runs()[1].error
    assert error is not None
    if work is unpicklable:
        assert (error.type, error.message) == ("RemoteError", "Unpicklable: held")
    else:
        assert error.type == kind.__name__


class Odd(BaseException):
    """Neither an Exception nor one of Python's own."""


BASE = [
    (SystemExit, "Crashed"),
    (KeyboardInterrupt, "Cancelled"),
    (GeneratorExit, "Crashed"),
    (asyncio.CancelledError, "Cancelled"),
    (Odd, "Crashed"),
]


@pytest.mark.parametrize(("kind", "name"), BASE)
@pytest.mark.parametrize("runner", [None, SequentialTaskRunner()])
@pytest.mark.parametrize("how", ["call", "submit"])
def test_what_is_no_exception_ends_the_run_and_goes_on(kind: Any, name: str, runner: Any, how: str, runs: Runs) -> None:
    @task(retries=2)
    def leaves() -> None:
        raise kind

    @flow(task_runner=runner)
    def main() -> None:
        leaves() if how == "call" else leaves.submit().result()

    with pytest.raises(kind):
        main()
    assert [(run.state.name, run.attempt) for run in runs()] == [(name, 1)] * 2


@pytest.mark.parametrize(("kind", "name"), [case for case in BASE if case[0] not in (SystemExit, KeyboardInterrupt)])
def test_so_it_does_in_async_work(kind: Any, name: str, runs: Runs) -> None:
    @task(retries=2)
    async def leaves() -> None:
        raise kind

    @flow
    async def main() -> None:
        await leaves()

    async def outside() -> None:
        with pytest.raises(kind):
            await main()

    asyncio.run(outside())
    assert [(run.state.name, run.attempt) for run in runs()] == [(name, 1)] * 2


def test_a_task_group_s_failures_stay_a_group(runs: Runs) -> None:
    @task
    async def bad(x: int) -> None:
        raise ValueError(x)

    @flow
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad(1))
            group.create_task(asyncio.Event().wait())

    with pytest.raises(ExceptionGroup):
        asyncio.run(main())
    top = runs()[0]
    assert top.error is not None
    assert top.error.type == "ExceptionGroup"
    assert all(run.state.is_final() for run in runs())


@task
def add(x: int, y: int) -> int:
    return x + y


def test_sub_flows_of_the_other_kind() -> None:
    @flow
    def plain(x: int) -> int:
        return add(x, 1)

    @flow
    async def awaited(x: int) -> int:
        return add(x, 10)

    @flow
    def sync_main() -> Any:
        return asyncio.run(awaited(1)) + plain(1)

    @flow
    async def async_main() -> Any:
        return await awaited(1) + plain(1) + await asyncio.to_thread(plain, 2)

    assert sync_main() == 13
    assert asyncio.run(async_main()) == 16


def test_flows_inside_tasks_inside_flows(runs: Runs) -> None:
    @flow
    def inner(x: int) -> int:
        return add.submit(x, 1).result()

    @task
    def around(x: int) -> int:
        return inner(x)

    @flow
    def main() -> list[int]:
        return around.map([1, 2]).result()

    assert main() == [2, 3]
    by_id = {run.id: run for run in runs()}
    for run in by_id.values():
        if run.task_name == "add":
            parent = by_id[run.parent_id or ""]
            assert (parent.flow_name, by_id[parent.parent_id or ""].task_name) == ("inner", "around")


@pytest.fixture
def recursion_limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("recursion_limit")
@pytest.mark.parametrize("how", ["tasks", "flows", "both"])
def test_recursion(how: str, runtime: Runtime) -> None:
    depth = 200

    @task
    def task_down(n: int) -> int:
        return 0 if n == 0 else 1 + (task_down(n - 1) if how == "tasks" else flow_down(n - 1))

    @flow
    def flow_down(n: int) -> int:
        return 0 if n == 0 else 1 + (flow_down(n - 1) if how == "flows" else task_down(n - 1))

    @flow
    def main() -> int:
        return task_down(depth) if how == "tasks" else flow_down(depth)

    assert main() == depth
    assert len(list(runtime.store.list_runs(RunFilter(), limit=1000).items)) == depth + 2


@pytest.mark.usefixtures("recursion_limit")
def test_asynchronous_recursion() -> None:
    @task
    async def down(n: int) -> int:
        return 0 if n == 0 else 1 + await down(n - 1)

    @flow
    async def main() -> int:
        return await down(200)

    assert asyncio.run(main()) == 200


@pytest.mark.usefixtures("recursion_limit")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_recursion_that_never_ends_is_a_failure(asynchronous: bool, runs: Runs) -> None:
    @task
    def down(n: int) -> int:
        return down(n + 1)

    @task
    async def down_async(n: int) -> int:
        return await down_async(n + 1)

    @flow
    def main() -> int:
        return asyncio.run(down_async(0)) if asynchronous else down(0)

    state = main(return_state=True)
    assert state.name == "Failed"
    assert isinstance(state.result(raise_on_failure=False), RecursionError)
    assert all(run.state.is_final() for run in runs())


def test_submitted_recursion_in_a_pool_of_one(runs: Runs) -> None:
    @task
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down.submit(n - 1).result()

    @flow(task_runner=ThreadPoolTaskRunner(1))
    def main() -> int:
        return down.submit(200).result()

    assert main() == 200
    assert {run.state.name for run in runs()} == {"Completed"}


def test_a_graph_that_grows_while_it_runs() -> None:
    @task
    def half(n: int) -> int:
        return n // 2 if n % 2 == 0 else 3 * n + 1

    @flow(task_runner=ThreadPoolTaskRunner(2))
    def main() -> int:
        steps, value = 0, half.submit(27)
        while value.result() != 1:
            steps, value = steps + 1, half.submit(value)
        return steps + 1

    assert main() == 111


def completed(runtime: Runtime) -> int:
    many, cursor = 0, None
    while True:
        page = runtime.store.list_runs(RunFilter(), limit=1000, cursor=cursor)
        many += sum(run.state.is_completed() for run in page.items)
        cursor = page.next_cursor
        if cursor is None:
            return many


def test_ten_thousand_futures_at_once(runtime: Runtime) -> None:
    @task
    def total(values: list[int]) -> int:
        return sum(values)

    @flow
    def main() -> int:
        return total([add.submit(n, 0) for n in range(10_000)])

    assert main() == 49_995_000
    runtime.journal.flush()
    assert completed(runtime) == 10_002


@pytest.mark.parametrize("how", ["call", "submit", "map", "async", "flow", "async flow"])
def test_wait_for_with_everything(how: str, runs: Runs) -> None:
    order: list[str] = []
    go = threading.Event()

    @task
    def before() -> None:
        go.wait(30)
        order.append("before")

    @task
    def plain(x: int = 1) -> None:
        order.append("after")

    @task
    async def awaited() -> None:
        order.append("after")

    @flow
    def sub() -> None:
        order.append("after")

    @flow
    async def sub_async() -> None:
        order.append("after")

    @flow
    def main() -> None:
        first = before.submit()
        threading.Timer(0.01, go.set).start()
        call: dict[str, Callable[[], Any]] = {
            "call": lambda: plain(wait_for=[first]),
            "submit": lambda: plain.submit(wait_for=[first]).result(),
            "map": lambda: plain.map([1], wait_for=[first]).result(),
            "async": lambda: asyncio.run(awaited(wait_for=[first])),
            "flow": lambda: sub(wait_for=[first]),
            "async flow": lambda: asyncio.run(sub_async(wait_for=[first])),
        }
        call[how]()

    main()
    assert order == ["before", "after"]
    every = runs()
    assert every[2].upstream == (every[1].id,)
