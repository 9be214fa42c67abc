"""The options of ``@task`` and ``@flow``: one table, checked when the function is decorated, and replaceable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from jupyter_wf import Flow, Task, flow, get_run_logger, runtime, task
from jupyter_wf.cache_policies import INPUTS
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.models import Run
from jupyter_wf.engine.options import FlowOptions, SharedOptions, TaskOptions
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.task_runners import SequentialTaskRunner
from jupyter_wf.tasks import exponential_backoff

Runs = Callable[[], list[Run]]


def work(x: int = 1) -> int:
    """Do the work."""
    return x


@task
def clean() -> None: ...


def hook(*_: Any) -> None: ...


#: A value for every option: a table that grows has to grow here too.
SHARED: dict[str, Any] = {
    "name": "mine",
    "description": "Mine.",
    "version": "1.2",
    "retries": 2,
    "retry_delay_seconds": [0, 0],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": hook,
    "retry_on": (KeyError,),
    "timeout_seconds": 60,
    "late_after": timedelta(seconds=60),
    "log_prints": True,
    "persist_result": True,
    "result_serializer": "json",
    "cache_result_in_memory": False,
    "on_running": hook,
    "on_completion": [hook],
    "on_failure": [hook, hook],
    "on_crashed": (hook,),
    "on_cancellation": [],
    "on_late": hook,
    "source": {"line": 3},
}
TASK: dict[str, Any] = {
    "tags": ["a", "b"],
    "task_run_name": "run {x}",
    "cache_policy": INPUTS,
    "cache_key_fn": lambda context, parameters: "key",
    "cache_expiration": timedelta(days=1),
    "refresh_cache": True,
    "result_storage_key": "at-{x}",
    "trigger": "all_done",
    "teardown": clean,
    "durable": True,
    "on_commit": hook,
    "on_rollback": [hook],
    "viz_return_value": 3,
}
FLOW: dict[str, Any] = {
    "flow_run_name": "run {x}",
    "task_runner": SequentialTaskRunner(),
    "validate_parameters": False,
}


def test_the_tables_are_what_is_tested_here() -> None:
    assert set(SharedOptions.__annotations__) == set(SHARED)
    assert set(TaskOptions.__annotations__) == {*SHARED, *TASK}
    assert set(FlowOptions.__annotations__) == {*SHARED, *FLOW}


@pytest.mark.parametrize(("make", "options"), [(task, SHARED | TASK), (flow, SHARED | FLOW)])
def test_every_option_can_be_given_alone_together_and_afterwards_and_as_none(make: Any, options: Any) -> None:
    for name, value in options.items():
        if name == "cache_key_fn":
            assert make(**{name: value})(work)(1) == 1
            continue
        assert make(**{name: value})(work)(1) == 1, name
        assert make(work).with_options(**{name: value})(1) == 1, name
        assert make(**{name: None})(work)(1) == 1, name
    together = {name: value for name, value in options.items() if name != "cache_key_fn"}
    made = make(**together)(work)
    assert made(1) == 1
    again = made.with_options(**dict.fromkeys(together))
    assert again(2) == 2
    assert (again.name, again.retries, again.version) == ("work", 0, None)
    assert made.name == "mine", "the original is as it was"


@pytest.mark.parametrize("make", [task, flow])
@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("name", [3, "  ", "x" * 301]),
        ("version", [3]),
        ("retries", [-1, 1.5, True, "2", 10_001]),
        ("retry_delay_seconds", [-1, "1", float("nan"), float("inf"), [1, -1], lambda n: ["x"], 1e12]),
        ("retry_jitter_factor", [-0.1, "1", float("nan"), True]),
        ("retry_condition_fn", [3]),
        ("retry_on", [3, "KeyError", (KeyError, 3), KeyError()]),
        ("timeout_seconds", [0, -1, "1", float("nan")]),
        ("late_after", [-1, "1", timedelta(seconds=-1)]),
        ("result_serializer", ["yaml", 3, ""]),
        ("on_running", [3, [hook, 3], "hook"]),
        ("on_completion", [3]),
        ("on_failure", [3]),
        ("on_crashed", [3]),
        ("on_cancellation", [3]),
        ("on_late", [3]),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(make: Any, option: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ParameterError, match=option):
            make(**{option: value})(work)
        with pytest.raises(ParameterError, match=option):
            make(work).with_options(**{option: value})


@pytest.mark.parametrize(
    ("make", "option", "values"),
    [
        (task, "tags", ["one", [3], [""], ["x" * 301]]),
        (task, "task_run_name", [3, ["x"]]),
        (task, "cache_expiration", [-1, "1"]),
        (task, "cache_key_fn", [3]),
        (task, "cache_policy", [3, "INPUTS"]),
        (task, "result_storage_key", [3, ""]),
        (task, "trigger", ["sometimes", 3]),
        (task, "teardown", [3, hook, flow(work)]),
        (task, "on_commit", [3]),
        (task, "on_rollback", [3]),
        (flow, "flow_run_name", [3]),
        (flow, "task_runner", [3, "threads", SequentialTaskRunner]),
    ],
)
def test_so_is_what_tasks_or_flows_alone_have(make: Any, option: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ParameterError, match=option):
            make(**{option: value})(work)


def test_an_option_that_there_is_not_is_named_with_those_that_there_are() -> None:
    for make in (task, flow):
        with pytest.raises(ParameterError, match=r"retry_delay.*retry_delay_seconds"):
            make(retry_delay=3)(work)
        with pytest.raises(ParameterError, match="colour"):
            make(work).with_options(colour="red")
    with pytest.raises(ParameterError, match="tags"):
        flow(tags=["a"])(work)
    with pytest.raises(ParameterError, match="flow_run_name"):
        task(flow_run_name="x")(work)


def test_only_what_can_be_called_can_be_decorated() -> None:
    for make in (task, flow):
        with pytest.raises(TypeError, match="decorates a function"):
            make(3)
        with pytest.raises(TypeError, match="decorates a function"):
            make(retries=1)("text")


def test_with_options_keeps_everything_else_and_makes_something_new(runs: Runs) -> None:
    seen: list[str] = []

    @task(retries=2, tags=["a"], on_completion=lambda *_: seen.append("first"))
    def step(x: int) -> int:
        return x

    other = step.with_options(name="other", tags=["b", "c"])
    assert isinstance(other, Task)
    assert other is not step
    assert (step.name, step.tags, step.retries) == ("step", {"a"}, 2)
    assert (other.name, other.tags, other.retries) == ("other", {"b", "c"}, 2)
    other.on_completion(lambda *_: seen.append("second"))
    step(1)
    assert seen == ["first"]
    other(1)
    assert seen == ["first", "first", "second"]
    third = other.with_options(retries=None)
    third(1)
    assert seen[3:] == ["first", "second"], "hooks that were added later go along"
    assert third.retries == 0
    assert [(run.task_name, run.tags) for run in runs()] == [
        ("step", ("a",)),
        ("other", ("b", "c")),
        ("other", ("b", "c")),
    ]


def test_a_flow_s_options(runs: Runs) -> None:
    ident = threading.get_ident()

    @task
    def where() -> bool:
        return threading.get_ident() == ident

    @flow
    def main() -> bool:
        return where.submit().result()

    assert main() is False
    assert main.with_options(task_runner=SequentialTaskRunner(), name="other")() is True
    assert isinstance(main.with_options(version="2"), Flow)
    assert [run.flow_name for run in runs() if run.kind == "flow"] == ["main", "other"]


def test_version_description_and_tags_are_shown_with_the_run(runs: Runs) -> None:
    @task(version="3", tags=["b", "a", "a"])
    def step() -> Any:
        return runtime.task_run.tags

    @flow(version="1.0", description="Mine.")
    def main() -> Any:
        return step()

    assert main() == ["a", "b"]
    assert (main.version, main.description) == ("1.0", "Mine.")
    top, run = runs()
    assert top.source["version"] == "1.0"
    assert run.source["version"] == "3"
    assert run.tags == ("a", "b")


def test_log_prints_is_inherited_unless_it_is_said(runs: Runs, runtime: Runtime, capsys: Any) -> None:
    @task
    def inherits() -> None:
        print("inherits")

    @task(log_prints=False)
    def refuses() -> None:
        print("refuses")

    @flow(log_prints=True)
    def main() -> None:
        inherits()
        refuses()
        get_run_logger().info("said")

    main()
    runtime.journal.flush()
    lines = [line.message for line in runtime.store.logs(runs()[0].id)]
    assert lines == ["inherits", "said"]


def test_backoff_is_prefect_s() -> None:
    assert exponential_backoff(10)(4) == [10, 20, 40, 80]
    assert exponential_backoff(0.5)(0) == []
    with pytest.raises(ParameterError, match="backoff_factor"):
        exponential_backoff(-1)
