"""Many tasks on few threads: nothing waits for ever, nothing is lost; threads and processes of the user's own."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import as_completed, flow, task, wait
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.task_runners import ThreadPoolTaskRunner

Runs = Callable[[], list[Run]]


@task
def double(x: int) -> int:
    return x * 2


@task
async def double_async(x: int) -> int:
    return x * 2


def by_name(runs: Runs) -> dict[str, Run]:
    return {run.name: run for run in runs()}


def recorded() -> Counter[tuple[str, str]]:
    """Return how many runs of each kind are in each state."""
    runtime = current_runtime()
    runtime.journal.flush()
    counts: Counter[tuple[str, str]] = Counter()
    cursor: str | None = None
    while True:
        page = runtime.store.list_runs(RunFilter(), limit=1000, cursor=cursor)
        counts.update((run.kind, run.state.name) for run in page.items)
        cursor = page.next_cursor
        if cursor is None:
            return counts


# Nobody waits for ever


@task
def down(n: int) -> int:
    return 0 if n == 0 else 1 + down.submit(n - 1).result(60)


@task
async def down_awaited(n: int) -> int:
    return 0 if n == 0 else 1 + await down_awaited.submit(n - 1)


@task
async def down_blocking(n: int) -> int:
    return 0 if n == 0 else 1 + down_blocking.submit(n - 1).result(60)


@task
def down_in_turn(n: int) -> int:
    return 0 if n == 0 else 1 + down_in_turn_async.submit(n - 1).result(60)


@task
async def down_in_turn_async(n: int) -> int:
    return 0 if n == 0 else 1 + await down_in_turn.submit(n - 1)


@task
async def down_in_turn_blocking(n: int) -> int:
    return 0 if n == 0 else 1 + down_to_blocking.submit(n - 1).result(60)


@task
def down_to_blocking(n: int) -> int:
    return 0 if n == 0 else 1 + down_in_turn_blocking.submit(n - 1).result(60)


WAYS_DOWN = [down, down_awaited, down_blocking, down_in_turn, down_in_turn_async, down_in_turn_blocking]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("way", WAYS_DOWN, ids=lambda each: each.name)
def test_tasks_that_wait_for_tasks_never_fill_the_pool(way: Any, threads: int) -> None:
    @flow(task_runner=ThreadPoolTaskRunner(max_workers=threads))
    def outer() -> list[int]:
        return [future.result(60) for future in [way.submit(n) for n in (50, 49, 1)]]

    assert outer() == [50, 49, 1]
    assert recorded() == {("flow", "Completed"): 1, ("task", "Completed"): 103}


@pytest.mark.parametrize("way", WAYS_DOWN, ids=lambda each: each.name)
def test_nor_in_an_async_flow(way: Any) -> None:
    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    async def outer() -> list[int]:
        return await asyncio.gather(*[way.submit(n) for n in (50, 3)])

    assert asyncio.run(outer()) == [50, 3]


@pytest.mark.parametrize("threads", [1, 2])
def test_flows_in_tasks_of_a_full_pool_end(threads: int) -> None:
    @flow
    def inner(n: int) -> int:
        return sum(double.map(range(n)).result(60))

    @task
    def through(n: int) -> int:
        return inner(n)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=threads))
    def outer() -> int:
        return sum(through.map([3] * 6).result(60))

    assert outer() == 36


def test_waiting_for_any_of_several_gives_the_place_back() -> None:
    @task
    def collect(n: int) -> int:
        return sum(future.result() for future in as_completed([double.submit(i) for i in range(n)]))

    @task
    def collect_all(n: int) -> int:
        return len(wait([double.submit(i) for i in range(n)])[0])

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def outer() -> list[int]:
        return [collect.submit(10).result(60), collect_all.submit(10).result(60)]

    assert outer() == [90, 10]


# Many


def test_ten_thousand_futures_gathered_at_once() -> None:
    @flow
    async def outer() -> int:
        return sum(await asyncio.gather(*[double.submit(i) for i in range(10_000)]))

    assert asyncio.run(outer()) == 99_990_000
    assert recorded() == {("flow", "Completed"): 1, ("task", "Completed"): 10_000}


def test_ten_thousand_async_futures_gathered_at_once() -> None:
    @flow
    async def outer() -> int:
        return sum(await asyncio.gather(*[double_async.submit(i) for i in range(10_000)]))

    assert asyncio.run(outer()) == 99_990_000
    assert recorded() == {("flow", "Completed"): 1, ("task", "Completed"): 10_000}


def test_ten_thousand_futures_waited_for() -> None:
    @flow
    def outer() -> int:
        futures = [double.submit(i) for i in range(10_000)]
        assert sum(future.result() for future in as_completed(futures)) == 99_990_000
        done, left = wait(futures)
        assert not left
        return len(done)

    assert outer() == 10_000
    assert recorded() == {("flow", "Completed"): 1, ("task", "Completed"): 10_000}


def test_a_task_that_submits_a_thousand() -> None:
    @task
    def many() -> int:
        return sum(future.result() for future in [double.submit(i) for i in range(1000)])

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def outer() -> int:
        return many.submit().result(60)

    assert outer() == 999_000
    assert recorded() == {("flow", "Completed"): 1, ("task", "Completed"): 1001}


# Threads and processes of the user's own


def test_tasks_called_by_threads_of_the_user_are_recorded(runs: Runs) -> None:
    @flow
    def outer() -> int:
        found: list[int] = []
        threads = [threading.Thread(target=lambda i=i: found.append(double(i))) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return sum(found)

    assert outer() == 56
    current_runtime().journal.flush()
    assert [run.state.name for run in runs()] == ["Completed"] * 9


@pytest.mark.parametrize("leave", ["_exit", "unwind"])
def test_a_child_of_fork_has_a_runtime_of_its_own(leave: str, runs: Runs) -> None:
    reader, writer = os.pipe()

    @task
    def forks() -> int:
        child = os.fork()
        if child == 0:
            os.write(writer, pickle.dumps((double(21), current_runtime().process.id)))
            current_runtime().journal.flush()
            if leave == "_exit":
                os._exit(0)
            raise SystemExit(0)
        return os.waitpid(child, 0)[1]

    @flow
    def outer() -> int:
        me = os.getpid()
        try:
            return forks()
        finally:
            if os.getpid() != me:
                os._exit(0)

    assert outer() == 0
    value, process = pickle.loads(os.read(reader, 10_000))
    os.close(reader)
    os.close(writer)
    assert value == 42
    assert process != current_runtime().process.id
    found = by_name(runs)
    assert found["double-0"].process_id == process
    assert found["double-0"].parent_id == found["forks-0"].id
    assert {run.state.name for run in runs()} == {"Completed"}
