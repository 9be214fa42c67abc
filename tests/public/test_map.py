"""``Task.map``: what is mapped over, what every call gets, and what comes back."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import pydantic
import pytest

from jupyter_wf import allow_failure, flow, quote, task, unmapped
from jupyter_wf.core.errors import MappingLengthMismatch, MappingMissingIterable, ParameterError, UpstreamFailed
from jupyter_wf.core.models import Run
from jupyter_wf.futures import RunFuture, RunFutureList
from jupyter_wf.task_runners import ProcessPoolTaskRunner, SequentialTaskRunner, ThreadPoolTaskRunner

Runs = Callable[[], list[Run]]


@task
def add(x: Any, y: Any = 0) -> Any:
    return x + y


@task
def pair(x: Any, y: Any = None) -> Any:
    return x, y


@task
def bad(x: Any) -> Any:
    raise KeyError(x)


def letters() -> Iterator[str]:
    yield from "ab"


class Model(pydantic.BaseModel):
    a: int = 1


@dataclass
class Box:
    a: int = 1


@pytest.mark.parametrize("runner", [ThreadPoolTaskRunner(2), SequentialTaskRunner(), ProcessPoolTaskRunner(1)])
def test_one_call_for_each_element_in_order(runner: Any, runs: Runs) -> None:
    @flow(task_runner=runner)
    def main() -> list[int]:
        futures = add.map(range(5), y=[10] * 5)
        assert isinstance(futures, RunFutureList)
        assert all(isinstance(future, RunFuture) for future in futures)
        return futures.result()

    assert main() == [10, 11, 12, 13, 14]
    assert [(run.name, run.parameters["x"], run.state.name) for run in runs()[1:]] == [
        (f"add-{i}", i, "Completed") for i in range(5)
    ]


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        (range(2), [0, 1]),
        (letters, ["a", "b"]),
        ({1: 0, 2: 0}.keys(), [1, 2]),
        (numpy.array([3, 4]), [3, 4]),
    ],
)
def test_what_is_mapped_over(value: Any, elements: list[Any]) -> None:
    given = value() if callable(value) else value
    assert pair.map(given).result() == [(each, None) for each in elements]


@pytest.mark.parametrize(
    "value", ["text", b"bytes", {"a": 1}, 3, None, Model(), Box(), Model, numpy.array(3), io.StringIO("a\nb\n")]
)
def test_what_every_call_gets_as_it_is(value: Any) -> None:
    got = pair.map([1, 2], value).result()
    assert [x for x, _ in got] == [1, 2]
    assert all(y is value for _, y in got)


def test_unmapped_and_quoted_iterables_go_to_every_call() -> None:
    words = ["a", "b", "c"]
    assert pair.map([1, 2], unmapped(words)).result() == [(1, words), (2, words)]
    assert pair.map([1, 2], y=quote(words)).result() == [(1, words), (2, words)]
    assert pair.map(unmapped([7]), y=[1, 2]).result() == [([7], 1), ([7], 2)]


def test_futures_inside_unmapped_values_are_resolved(runs: Runs) -> None:
    @flow
    def main() -> Any:
        one = add.submit(1, 1)
        return pair.map([1, 2], unmapped(one)).result(), pair.map([1], unmapped([one, 3])).result()

    assert main() == ([(1, 2), (2, 2)], [(1, [2, 3])])
    first = runs()[1].id
    assert all(run.upstream == (first,) for run in runs()[2:])


def test_a_mapped_future_and_a_list_of_futures(runs: Runs) -> None:
    @task
    def numbers() -> list[int]:
        return [1, 2, 3]

    @flow
    def main() -> Any:
        future = numbers.submit()
        first = add.map(future, 10)
        second = add.map(first, y=first)
        return second.result(), sum(second.result())

    assert main() == ([22, 24, 26], 72)
    every = runs()
    source = next(run for run in every if run.task_name == "numbers")
    mapped = [run for run in every if run.task_name == "add"]
    assert all(run.upstream == (source.id,) for run in mapped[:3]), "the edge to what was mapped over is kept"
    assert [run.upstream for run in mapped[3:]] == [(run.id,) for run in mapped[:3]]


def test_a_future_that_failed_cannot_be_mapped_over() -> None:
    @flow
    def main() -> None:
        with pytest.raises(KeyError, match="1"):
            add.map(bad.submit(1))

    main()


def test_elements_that_failed_and_elements_that_are_allowed_to(runs: Runs) -> None:
    @task
    def odd(x: int) -> int:
        if x % 2:
            raise ValueError(x)
        return x

    @flow
    def main() -> Any:
        first = odd.map([0, 1, 2])
        second = add.map(first, 1)
        third = pair.map(allow_failure(first))
        with pytest.raises(UpstreamFailed):
            second.result()
        values = second.result(raise_on_failure=False)
        assert isinstance(values[1], UpstreamFailed)
        return values[0], values[2], third.result()

    one, three, third = main()
    assert (one, three) == (1, 3)
    assert [type(x) for x, _ in third] == [int, ValueError, int]
    assert [run.state.name for run in runs() if run.task_name == "add"] == ["Completed", "NotReady", "Completed"]


def test_lengths_are_checked_before_anything_runs(runs: Runs) -> None:
    with pytest.raises(MappingLengthMismatch, match=r"x.*2.*y.*3|y.*3.*x.*2"):
        add.map([1, 2], y=[1, 2, 3])
    with pytest.raises(MappingMissingIterable, match="add"):
        add.map(1, y=unmapped([1]))
    with pytest.raises(MappingMissingIterable, match="add"):
        add.map("text")
    with pytest.raises(ParameterError, match="z"):
        add.map([1], z=[2])
    with pytest.raises(ParameterError, match="missing"):
        add.map(y=[1])
    assert runs() == []


def test_nothing_to_map_over_is_no_call(runs: Runs) -> None:
    futures = add.map([], 1)
    assert futures == []
    assert futures.result() == []
    futures.wait()
    assert runs() == []


def test_wait_for_and_states() -> None:
    order: list[str] = []
    go = threading.Event()

    @task
    def first() -> None:
        go.wait(30)
        order.append("first")

    @task
    def then(x: int) -> None:
        order.append("then")

    @flow
    def main() -> list[str]:
        mapped = then.map([1, 2], wait_for=[first.submit()])
        go.set()
        mapped.wait()
        states = add.map([1, 2], return_state=True)
        return [state.name for state in states] + [str(state.result()) for state in states]

    assert main() == ["Completed", "Completed", "1", "2"]
    assert order == ["first", "then", "then"]


def test_async_tasks_are_mapped_too_in_both_kinds_of_flow() -> None:
    @task
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        return 2 * x

    @flow
    def plain() -> list[int]:
        return double.map([1, 2, 3]).result()

    @flow
    async def awaited() -> list[int]:
        futures = double.map([1, 2, 3])
        return [await future for future in futures]

    assert plain() == [2, 4, 6]
    assert asyncio.run(awaited()) == [2, 4, 6]


def test_variable_arguments_are_mapped() -> None:
    @task
    def many(*args: int, **kwargs: int) -> Any:
        return args, kwargs

    assert many.map([1, 2], 5, a=[3, 4], b=7).result() == [((1, 5), {"a": 3, "b": 7}), ((2, 5), {"a": 4, "b": 7})]


def test_as_many_as_wanted(runs: Runs) -> None:
    @flow
    def main() -> int:
        return sum(add.map(range(1000), 1).result())

    assert main() == 500_500
    assert sum(run.state.is_completed() for run in runs()) == 1000


def test_a_time_out_for_all() -> None:
    stay = threading.Event()

    @task
    def slow(x: int) -> int:
        stay.wait(30)
        return x

    @flow
    def main() -> None:
        futures = slow.map([1, 2])
        with pytest.raises(TimeoutError):
            futures.result(timeout=0.01)
        futures.wait(timeout=0.01)
        assert not any(future.done() for future in futures)
        stay.set()
        assert futures.result() == [1, 2]

    main()
