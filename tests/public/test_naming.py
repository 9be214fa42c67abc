"""The names of runs: templates and functions, with everything that they may refer to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import flow, runtime, task
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.models import Run

Runs = Callable[[], list[Run]]


def name_of(runs: Runs) -> list[str]:
    return [run.name for run in runs()]


@pytest.mark.parametrize(
    ("template", "args", "kwargs", "name"),
    [
        ("plain", (1,), {}, "plain"),
        ("x is {x}", (1,), {}, "x is 1"),
        ("{x}-{y}", (1,), {}, "1-two"),
        ("{x}-{y}", (1,), {"y": 5}, "1-5"),
        ("{x:03d}|{y!r}", (7,), {}, "007|'two'"),
        ("{x[a]}", ({"a": "inner"},), {}, "inner"),
        ("{x.real}", (3,), {}, "3"),
        ("{{literally}}", (3,), {}, "{literally}"),
    ],
)
def test_templates(template: str, args: Any, kwargs: Any, name: str, runs: Runs) -> None:
    @task(task_run_name=template)
    def step(x: Any, y: Any = "two") -> Any:
        return x

    @flow(flow_run_name=template)
    def main(x: Any, y: Any = "two") -> None:
        step(x, y=y) if kwargs else step(x)
        step.submit(*args, **kwargs).result()

    main(*args, **kwargs)
    assert name_of(runs) == [name] * 3


def test_functions_with_and_without_parameters(runs: Runs) -> None:
    def with_them(parameters: dict[str, Any]) -> str:
        return "+".join(f"{key}={value}" for key, value in sorted(parameters.items()))

    @task(task_run_name=with_them)
    def step(x: int, y: int = 2) -> None: ...

    @task(task_run_name=lambda: f"in {runtime.flow_run.flow_name}")
    def other() -> None: ...

    @flow(flow_run_name=lambda: "made up")
    def main() -> None:
        step(1)
        other()

    main()
    assert name_of(runs) == ["made up", "x=1+y=2", "in main"]


def test_a_name_made_of_futures_is_made_when_they_have_ended(runs: Runs) -> None:
    @task
    def five() -> int:
        return 5

    @task(task_run_name="got {x}")
    def step(x: Any) -> str | None:
        return runtime.task_run.name

    @task(task_run_name=lambda parameters: f"sum {sum(parameters['x'])}")
    async def total(x: Any) -> str | None:
        return runtime.task_run.name

    @flow(flow_run_name="sub {x}")
    def sub(x: Any) -> str | None:
        return runtime.flow_run.name

    @flow
    def main() -> list[Any]:
        future = five.submit()
        return [
            step(future),
            step.submit([future]).result(),
            total.submit((future, 1)).result(),
            step.map([future, 2]).result(),
            sub(future),
        ]

    assert main() == ["got 5", "got [5]", "sum 6", ["got 5", "got 2"], "sub 5"]
    assert name_of(runs)[2:] == ["got 5", "got [5]", "sum 6", "got 5", "got 2", "sub 5"]


def test_a_run_whose_upstream_failed_has_its_task_s_name(runs: Runs) -> None:
    @task
    def bad() -> int:
        raise ValueError

    @task(task_run_name="got {x}")
    def step(x: Any) -> None: ...

    @flow
    def main() -> str:
        return step.submit(bad.submit(), return_state=True).name

    assert main() == "NotReady"
    assert name_of(runs)[1:] == ["bad-0", "step-0"]


def test_flow_run_names_see_validated_parameters(runs: Runs) -> None:
    @flow(flow_run_name="{n:03d}")
    def main(n: int) -> None: ...

    main("7")
    assert name_of(runs) == ["007"]


def test_async_tasks_and_flows_are_named_the_same_way(runs: Runs) -> None:
    @task(task_run_name="a{x}")
    async def step(x: int) -> None: ...

    @flow(flow_run_name="b{x}")
    async def main(x: int) -> None:
        await step(x)

    asyncio.run(main(4))
    assert name_of(runs) == ["b4", "a4"]


@pytest.mark.parametrize("given", ["{nowhere}", "{x.nothing}", "{x[", "{}", lambda: 5, lambda: ""])
def test_what_cannot_be_filled_in_is_said(given: Any, runs: Runs) -> None:
    @task(task_run_name=given)
    def step(x: int) -> None: ...

    @task
    def one() -> int:
        return 1

    with pytest.raises(ParameterError, match="task_run_name"):
        step(1)
    with pytest.raises(ParameterError, match="task_run_name"):
        step.submit(one.submit()).result()
    assert [(run.task_name, run.state.name) for run in runs()] == [("one", "Completed"), ("step", "Failed")]


def test_every_attempt_keeps_the_name(runs: Runs) -> None:
    calls: list[int] = []

    @task(task_run_name=lambda: f"n{len(calls)}", retries=1)
    def step() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError

    step()
    assert name_of(runs) == ["n0"]
