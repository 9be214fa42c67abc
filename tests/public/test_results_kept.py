"""What runs leave: whose values are stored, in which format, under which key, and what is said of those that can't."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import flow, runtime, task
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import Runtime

Runs = Callable[[], list[Run]]
calls: list[str] = []


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    calls.clear()


def attempts(**options: Any) -> Callable[..., Any]:
    """Return a decorator of flows that fail once, after their tasks."""

    def decorate(body: Callable[[], Any]) -> Any:
        @flow(retries=1, **options)
        def main() -> Any:
            got = body()
            if runtime.flow_run.run_count == 1:
                raise ValueError("first attempt")
            return got

        return main

    return decorate


@pytest.mark.parametrize("of_flow", [None, True, False])
@pytest.mark.parametrize("of_task", [None, True, False])
@pytest.mark.parametrize("how", ["call", "submit", "nested"])
def test_persistence_is_the_task_s_word_then_the_flow_s(of_task: Any, of_flow: Any, how: str) -> None:
    @task(persist_result=of_task)
    def step() -> int:
        calls.append("step")
        return 1

    @task
    def around() -> int:
        return step()

    @attempts(persist_result=of_flow)
    def main() -> int:
        if how == "nested":
            return around()
        return step() if how == "call" else step.submit().result()

    assert main() == 1
    kept = of_task if of_task is not None else of_flow is not False
    if how == "nested":
        # What the task around it says counts: that is called again, and all that it calls.
        kept = of_flow is not False
    assert len(calls) == (1 if kept else 2)


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        ("json", {"a": [1, None, "x"]}),
        ("compressed/json", ["long"] * 30_000),
        ("pickle", {1, 2}),
        ("compressed/pickle", {3: (4,)}),
        (None, {5: {6}}),
    ],
)
def test_serializers(serializer: str | None, value: Any, runtime: Runtime, runs: Runs) -> None:
    @task(result_serializer=serializer)
    def step() -> Any:
        calls.append("step")
        return value

    @attempts()
    def main() -> Any:
        return step()

    assert main() == value
    assert calls == ["step"]
    kept = runtime.store.run_result(runs()[1].id)
    assert kept is not None
    if serializer is not None:
        assert kept.format.removeprefix("file:") == serializer


def logged(runtime: Runtime, run: Run) -> list[tuple[int, str]]:
    runtime.journal.flush()
    return [(line.level, line.message) for line in runtime.store.logs(run.id)]


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({}, logging.DEBUG),
        ({"persist_result": True}, logging.WARNING),
        ({"result_serializer": "pickle"}, logging.WARNING),
        ({"result_serializer": "json"}, logging.WARNING),
        ({"result_storage_key": "key"}, logging.WARNING),
    ],
)
def test_a_value_that_cannot_be_stored_is_a_line_and_no_failure(
    options: Any, level: int, runtime: Runtime, runs: Runs
) -> None:
    lock = threading.Lock()

    @task(**options)
    def step() -> Any:
        return lock

    state = step(return_state=True)
    assert state.is_completed()
    assert state.result() is lock
    assert step() is lock
    lines = logged(runtime, runs()[0])
    assert [number for number, _ in lines] == [level]
    assert lines[0][1].startswith("result not stored: ")
    assert "\n" not in lines[0][1]


def test_a_storage_key_is_a_template(runtime: Runtime, runs: Runs) -> None:
    @task(result_storage_key="{parameters[x]}-{flow_run.flow_name}-{task_run.task_name}-{x}")
    def step(x: int) -> dict[str, int]:
        return {"x": x}

    @task(result_storage_key="{nowhere}")
    def wrong(x: int) -> int:
        return x

    @flow
    def main() -> None:
        step(1)
        assert wrong(2) == 2

    main()
    runtime.journal.flush()
    found = runtime.store.find_result("1-main-step-1", 0.0)
    assert found is not None
    assert json.loads(found.data) == {"x": 1}
    lines = logged(runtime, runs()[2])
    assert lines[0][0] == logging.WARNING
    assert "result_storage_key '{nowhere}' can't be filled in: KeyError('nowhere')" in lines[0][1]


def test_a_value_that_is_not_kept_in_memory_is_read_each_time(runs: Runs) -> None:
    @task(cache_result_in_memory=False)
    def step() -> list[int]:
        return [1, 2]

    @task
    def takes(x: Any) -> Any:
        return x

    @flow
    def main() -> Any:
        future = step.submit()
        one, other = future.result(), future.result()
        assert one == other == [1, 2]
        assert one is not other
        state = step(return_state=True)
        assert state.result() == [1, 2]
        assert step() == [1, 2]
        return takes(future), takes.submit([future]).result()

    assert main() == ([1, 2], [[1, 2]])


def test_a_flow_s_value_is_kept_too(runtime: Runtime, runs: Runs) -> None:
    @flow
    def sub() -> int:
        return 4

    @flow(persist_result=False)
    def main() -> int:
        return sub()

    main()
    sub()
    runtime.journal.flush()
    assert [runtime.store.run_result(run.id) is not None for run in runs()] == [False, False, True]


def test_a_failed_run_keeps_nothing(runtime: Runtime, runs: Runs) -> None:
    @task
    def bad() -> None:
        raise KeyError

    bad(return_state=True)
    runtime.journal.flush()
    assert runtime.store.run_result(runs()[0].id) is None
