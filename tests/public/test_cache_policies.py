"""Caching: only where it is asked for, by content, across processes' lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import Task, flow, task
from jupyter_wf.cache_policies import DEFAULT, FLOW_PARAMETERS, INPUTS, NO_CACHE, NONE, RUN_ID, TASK_SOURCE, CachePolicy
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.fingerprints import Unhashable, fingerprint
from jupyter_wf.engine.runtime import current_runtime, set_runtime


def counted(**options: Any) -> tuple[Task[..., Any], list[tuple[Any, ...]]]:
    """A task that notes its calls."""
    calls: list[tuple[Any, ...]] = []

    @task(**options)
    def work(x: Any, y: int = 0) -> Any:
        calls.append((x, y))
        return [x, y]

    return work, calls


def states() -> list[str]:
    return [run.state.name for run in reversed(current_runtime().store.list_runs().items) if run.kind == "task"]


def test_nothing_is_cached_unasked() -> None:
    work, calls = counted()
    work(1)
    work(1)
    assert len(calls) == 2
    for policy in (NO_CACHE, NONE):
        work, calls = counted(cache_policy=policy)
        work(1)
        work(1)
        assert len(calls) == 2


def test_equal_inputs_are_called_once_also_by_a_later_process() -> None:
    work, calls = counted(cache_policy=INPUTS)
    assert work(1) == [1, 0]
    assert work(x=1, y=0) == [1, 0]
    assert work(1.0) == [1.0, 0]
    runtime = set_runtime(None)
    assert runtime is not None
    runtime.close()
    assert work(1) == [1, 0]
    assert calls == [(1, 0), (1.0, 0)]
    assert states() == ["Completed", "Cached", "Completed", "Cached"]


def test_a_cached_result_says_where_it_is_from() -> None:
    work, _ = counted(cache_policy=INPUTS)
    work(1)
    work(1)
    store = current_runtime().store
    newest, oldest = store.list_runs().items
    (line,) = store.logs(newest.id)
    assert oldest.id[:8] in line.message


def test_an_input_can_be_left_out() -> None:
    work, calls = counted(cache_policy=INPUTS - "y")
    work(1, 2)
    work(1, 3)
    work(2, 3)
    assert calls == [(1, 2), (2, 3)]


def test_default_is_within_one_flow_run() -> None:
    work, calls = counted(cache_policy=DEFAULT)

    @flow
    def outer() -> None:
        work(1)
        work(1)

    outer()
    outer()
    assert len(calls) == 2


def test_flow_parameters_and_run_id() -> None:
    by_parameters, calls = counted(cache_policy=FLOW_PARAMETERS + TASK_SOURCE)
    by_run, others = counted(cache_policy=RUN_ID)

    @flow
    def outer(day: int) -> None:
        by_parameters(1)
        by_parameters(2)
        by_run(1)
        by_run(2)

    outer(1)
    outer(1)
    outer(2)
    assert len(calls) == 2
    assert len(others) == 3


def test_a_key_function_and_refresh() -> None:
    work, calls = counted(cache_key_fn=lambda context, inputs: f"{context.task_name}-{inputs['x'] % 2}")
    work(1)
    work(3)
    assert calls == [(1, 0)]
    work.with_options(refresh_cache=True)(5)
    assert work(7) == [5, 0]
    assert calls == [(1, 0), (5, 0)]


def test_a_result_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    now = time.time()
    work, calls = counted(cache_policy=INPUTS, cache_expiration=timedelta(hours=1))
    work(1)
    monkeypatch.setattr("jupyter_wf.engine.results.time.time", lambda: now + 1800)
    work(1)
    assert len(calls) == 1
    monkeypatch.setattr("jupyter_wf.engine.results.time.time", lambda: now + 7200)
    work(1)
    assert len(calls) == 2


def test_a_failure_is_not_cached() -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS)
    def bad() -> None:
        calls.append(1)
        raise ValueError("x")

    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            bad()
    assert len(calls) == 2


def test_what_cannot_be_hashed_or_stored_is_called_and_said_in_one_line() -> None:
    import threading

    work, calls = counted(cache_policy=INPUTS)
    lock = threading.Lock()
    work(lock)
    work(lock)
    assert len(calls) == 2
    store = current_runtime().store
    line, _ = store.logs(store.list_runs().items[0].id)
    assert line.message.startswith("not cached: input 'x': a lock has no stable fingerprint")
    assert "\n" not in line.message

    @task(cache_policy=INPUTS)
    def makes_a_lock() -> Any:
        return threading.Lock()

    makes_a_lock()
    _, line, _ = store.logs(store.list_runs().items[0].id)
    assert line.message.startswith("not cached: a lock can't be stored")


def test_options_are_checked() -> None:
    with pytest.raises(ParameterError, match="cache_policy"):
        task(cache_policy="inputs")(len)  # type: ignore[call-overload]
    with pytest.raises(ParameterError, match="cache_expiration"):
        task(cache_policy=INPUTS, cache_expiration=timedelta(0))(len)
    with pytest.raises(TypeError, match="compute_key"):
        CachePolicy().compute_key(None, {}, {})  # type: ignore[arg-type]


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Point:
    x: int
    y: list[int]


def make(n: int) -> Callable[[], int]:
    return (lambda: 1) if n == 1 else (lambda: 2)


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1}),
        ({3, 1, 2}, {1, 2, 3}, {1, 2}),
        ([1, 2], [1, 2], (1, 2)),
        (1, 1, True),
        ("ab", "ab", b"ab"),
        (Colour.RED, Colour.RED, Colour.BLUE),
        (Point(1, [2]), Point(1, [2]), Point(1, [3])),
        (Path("/a"), Path("/a"), Path("/b")),
        (["a", "bc"], ["a", "bc"], ["ab", "c"]),
        ("\ud800", "\ud800", "\ud801"),
    ],
)
def test_fingerprints_depend_on_the_content_alone(one: object, same: object, other: object) -> None:
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def test_arrays_and_frames_are_known_by_content() -> None:
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    assert fingerprint(numpy.arange(9)) == fingerprint(numpy.arange(9)) != fingerprint(numpy.arange(9).reshape(3, 3))
    assert fingerprint(numpy.arange(3)) != fingerprint(numpy.arange(3.0))
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert fingerprint(frame) == fingerprint(frame.copy()) != fingerprint(frame.rename(columns={"a": "c"}))


def test_what_is_too_deep_has_no_fingerprint() -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(Unhashable, match="deep"):
        fingerprint(deep)
