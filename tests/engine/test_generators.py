"""Generator tasks: runs that last as long as somebody iterates over them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from jupyter_wf import flow, runtime, task
from jupyter_wf.core.models import Run

Runs = Callable[[], list[Run]]


def states(runs: Runs) -> dict[str, str]:
    return {run.task_name or str(run.flow_name): run.state.name for run in runs()}


def test_a_generator_task_yields_and_completes(runs: Runs) -> None:
    @task
    def count(n: int) -> Iterator[tuple[int, str]]:
        for number in range(n):
            yield number, runtime.task_run.name

    @flow
    def main() -> list[Any]:
        return list(count(3))

    assert main() == [(number, "count-0") for number in range(3)]
    assert states(runs) == {"main": "Completed", "count": "Completed"}


def test_who_does_not_want_the_rest_ends_the_run_without_a_failure(runs: Runs) -> None:
    closed = []

    @task(on_completion=[lambda task, run, state: closed.append(state.name)])
    def count() -> Iterator[int]:
        try:
            yield from range(1_000)
        finally:
            closed.append(runtime.task_run.name)

    @flow
    def first() -> int:
        return next(number for number in count() if number == 2)

    assert first() == 2
    assert states(runs) == {"first": "Completed", "count": "Completed"}
    assert closed == ["count-0", "Completed"]


def test_closing_work_that_raises_then_fails_the_run(runs: Runs) -> None:
    @task
    def count() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("the file can't be closed")

    items = count()
    assert next(iter(items)) == 1
    with pytest.raises(ValueError, match="can't be closed"):
        items.close()  # type: ignore[attr-defined]
    assert states(runs) == {"count": "Failed"}


def test_an_asynchronous_generator_that_is_closed_early(runs: Runs) -> None:
    ended = []

    @task(on_completion=[lambda task, run, state: ended.append(state.name)])
    async def count() -> AsyncIterator[int]:
        for number in range(1_000):
            yield number

    @flow
    async def first() -> int:
        async with contextlib.aclosing(count()) as items:  # type: ignore[type-var]
            async for number in items:
                if number == 2:
                    return number
        return -1

    assert asyncio.run(first()) == 2
    assert states(runs) == {"first": "Completed", "count": "Completed"}
    assert ended == ["Completed"]
