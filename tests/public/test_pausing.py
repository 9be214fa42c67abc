"""Pausing and resuming flow runs, with and without an input."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from jupyter_wf import flow, pause_flow_run, resume_flow_run, task, wait_for_flow_run
from jupyter_wf.core.errors import (
    CancelledRun,
    FlowPauseTimeout,
    FlowRunWaitTimeout,
    InputRefused,
    ParameterError,
    PauseError,
    RunFinished,
    RunNotFound,
    TaskTimeout,
)
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.input import RunInput
from jupyter_wf.runtime import flow_run
from tests.waiting import until

Background = Callable[..., Any]


@pytest.fixture
def background() -> Any:
    """Return a function that calls something in a thread and gives its future."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def paused(count: int = 1) -> list[Run]:
    """Wait until so many runs are paused, as the store has it."""

    def look() -> list[Run]:
        found = list(current_runtime().store.list_runs(RunFilter(states=("Paused",))).items)
        return found if len(found) == count else []

    return until(look, "runs are paused")


def names(run_id: str) -> list[str]:
    return [event.payload["name"] for event in current_runtime().store.states(run_id)]


class Order(RunInput):
    name: str
    pieces: int = Field(default=1, gt=0)

    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        if value == "nothing":
            raise ValueError("there is no such thing")
        return value


class Plain(BaseModel):
    x: float


def test_a_paused_flow_goes_on_when_it_is_resumed(background: Background) -> None:
    @flow
    def main() -> tuple[str, Any, str]:
        before = flow_run.id
        return before, pause_flow_run(), "after"

    result = background(main)
    (run,) = paused()
    assert run.source["pause"]["key"] == "pause-0" and run.source["pause"]["schema"] is None
    assert resume_flow_run(run.id) is None
    assert result.result(30) == (run.id, None, "after")
    assert names(run.id) == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert current_runtime().store.get_run(run.id).source["pause"] is None


def test_a_paused_asynchronous_flow(background: Background) -> None:
    @flow
    async def main() -> int:
        answer: int = await pause_flow_run(wait_for_input=int)
        return answer + 1

    result = background(lambda: asyncio.run(main()))
    (run,) = paused()
    resume_flow_run(run.id, run_input=41)
    assert result.result(30) == 42


def test_pausing_and_resuming_in_one_event_loop() -> None:
    @flow
    async def main() -> Any:
        return await pause_flow_run(wait_for_input=str)

    async def both() -> Any:
        running = asyncio.create_task(main())
        (run,) = await asyncio.to_thread(paused)
        await resume_flow_run(run.id, run_input="now")
        assert (await wait_for_flow_run(run.id)).state.is_completed()
        return await running

    assert asyncio.run(both()) == "now"


@pytest.mark.parametrize(
    ("wanted", "given", "value"),
    [
        (int, 3, 3),
        (int, {"value": "3"}, 3),
        (list[int], [1, "2"], [1, 2]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Literal["yes", "no"], "yes", "yes"),
        (Order, {"name": "nut"}, Order(name="nut", pieces=1)),
        (Order, Order(name="nut", pieces=4), Order(name="nut", pieces=4)),
        (Order.with_initial_data(name="bolt"), None, Order(name="bolt")),
        (Order.with_initial_data(name="bolt"), {"pieces": 2}, Order(name="bolt", pieces=2)),
    ],
    ids=str,
)
def test_what_a_pause_can_wait_for(background: Background, wanted: Any, given: Any, value: Any) -> None:
    @flow
    def main() -> Any:
        return pause_flow_run(wait_for_input=wanted, timeout=60)

    result = background(main)
    (run,) = paused()
    resume_flow_run(run.id, run_input=given)
    got = result.result(30)
    if isinstance(value, RunInput):
        assert isinstance(got, Order) and got.model_dump() == value.model_dump()
    else:
        assert got == value and type(got) is type(value)


def test_a_plain_model_comes_back_as_one(background: Background) -> None:
    @flow
    def main() -> Any:
        return pause_flow_run(wait_for_input=Plain)

    result = background(main)
    (run,) = paused()
    resume_flow_run(run.id, run_input={"x": 2})
    got = result.result(30)
    assert isinstance(got, Plain) and got.x == 2.0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "'name'"),
        ({"name": "nut", "pieces": 0}, "'pieces'.*greater than 0"),
        ({"name": "nothing"}, "'name'.*no such thing"),
        ({"name": "nut", "colour": "red"}, "'colour'"),
        ("nut", "input"),
    ],
)
def test_what_is_no_answer_is_told_to_who_gave_it(background: Background, given: Any, told: str) -> None:
    @flow
    def main() -> Any:
        return pause_flow_run(wait_for_input=Order).name

    result = background(main)
    (run,) = paused()
    with pytest.raises(InputRefused, match=told):
        resume_flow_run(run.id, run_input=given)
    assert paused() and not result.done()
    resume_flow_run(run.id, run_input={"name": "good"})
    assert result.result(30) == "good"


def test_what_a_form_needs_is_in_the_record(background: Background) -> None:
    form = Order.with_initial_data(description="# How many?", name="bolt")

    @flow
    def main() -> Any:
        return pause_flow_run(wait_for_input=form, key="order", timeout=100)

    result = background(main)
    (run,) = paused()
    told = run.source["pause"]
    assert (told["key"], told["description"], told["initial"]) == ("order", "# How many?", {"name": "bolt"})
    assert told["schema"]["properties"]["pieces"]["exclusiveMinimum"] == 0
    assert told["schema"]["properties"]["name"]["default"] == "bolt"
    assert told["timeout_at"] == pytest.approx(run.state.at + 100, abs=30)
    assert run.state.message == "waits for its input"
    resume_flow_run(run.id)
    assert result.result(30).name == "bolt"


def test_the_time_out_fails_the_flow() -> None:
    @flow
    def main() -> None:
        pause_flow_run(timeout=0.05)

    state = main(return_state=True)
    assert state.is_failed() and isinstance(state.result(raise_on_failure=False), FlowPauseTimeout)

    @flow
    async def later() -> None:
        await pause_flow_run(timeout=0.05)

    with pytest.raises(FlowPauseTimeout, match=r"0\.05 s"):
        asyncio.run(later())


def test_a_flow_can_live_with_a_time_out() -> None:
    @flow
    def main() -> str:
        try:
            return str(pause_flow_run(wait_for_input=str, timeout=0.05))
        except FlowPauseTimeout:
            return "default"

    assert main() == "default"


def test_a_pause_that_was_answered_does_not_ask_again(background: Background) -> None:
    asked: list[Any] = []

    @flow(retries=1)
    def main() -> list[Any]:
        asked.append(pause_flow_run(wait_for_input=int))
        asked.append(pause_flow_run(wait_for_input=str, key="name"))
        if len(asked) == 2:
            raise ValueError("once")
        return [*asked, pause_flow_run(wait_for_input=str, key="name")]

    result = background(main)
    (run,) = paused()
    resume_flow_run(run.id, run_input=7)
    until(lambda: paused()[0].source["pause"]["key"] == "name")
    resume_flow_run(run.id, run_input="Ada")
    assert result.result(30) == [7, "Ada", 7, "Ada", "Ada"]
    assert names(run.id).count("Paused") == 2


def test_a_cancelled_pause_ends(background: Background) -> None:
    @flow
    def main() -> None:
        pause_flow_run()

    @flow
    async def later() -> None:
        await pause_flow_run()

    results = [background(main), background(lambda: asyncio.run(later()))]
    for run in paused(2):
        current_runtime().store.request(run.id, "cancel")
    for result in results:
        with pytest.raises(CancelledRun):
            result.result(30)
    for run in current_runtime().store.list_runs(RunFilter(kinds=("flow",))).items:
        assert names(run.id) == ["Pending", "Running", "Paused", "Cancelling", "Cancelled"]
        assert run.source["pause"] is None


def test_a_flows_own_time_out_goes_on_while_it_is_paused(background: Background) -> None:
    @flow(timeout_seconds=0.2)
    def main() -> None:
        pause_flow_run()

    with pytest.raises(TaskTimeout):
        main()
    with pytest.raises(TaskTimeout):
        background(main).result(30)


def test_a_paused_flow_in_a_pool_gives_its_place_back() -> None:
    """One thread: the resuming task has to run while the sub-flow waits in that very thread."""
    from jupyter_wf.task_runners import ThreadPoolTaskRunner

    @flow
    def inner() -> Any:
        return pause_flow_run(wait_for_input=int)

    @task
    def call_inner() -> Any:
        return inner()

    @task
    def answer() -> None:
        (run,) = paused()
        resume_flow_run(run.id, run_input=5)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def main() -> Any:
        waiting = call_inner.submit()
        answer.submit().result()
        return waiting.result()

    assert main() == 5


def test_a_sub_flow_is_paused_by_itself(background: Background) -> None:
    @flow
    def inner() -> Any:
        return pause_flow_run(wait_for_input=int)

    @flow
    def outer() -> Any:
        return inner() * 2

    result = background(outer)
    (run,) = paused()
    assert run.flow_name == "inner" and run.parent_id is not None
    with pytest.raises(RunFinished, match="Running"):
        resume_flow_run(run.parent_id)
    resume_flow_run(run.id, 21)
    assert result.result(30) == 42


def test_only_flows_can_be_paused() -> None:
    @task
    def inside() -> None:
        pause_flow_run()

    @flow
    def main() -> None:
        inside()

    with pytest.raises(PauseError, match="no flow run"):
        pause_flow_run()
    with pytest.raises(PauseError, match="task run 'inside-0'"):
        main()


@pytest.mark.parametrize("wrong", [{"key": ""}, {"key": 3}, {"timeout": -1}, {"timeout": "long"}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    @flow
    def main() -> None:
        pause_flow_run(**wrong)

    with pytest.raises(ParameterError, match=next(iter(wrong))):
        main()


def test_what_cannot_be_asked_for_or_answered(background: Background) -> None:
    @flow
    def main(wanted: Any) -> None:
        pause_flow_run(wait_for_input=wanted)

    with pytest.raises(ParameterError, match="wait_for_input"):
        main(threading.Lock)
    result = background(main, int)
    (run,) = paused()
    with pytest.raises(ParameterError, match="run_input"):
        resume_flow_run(run.id, run_input=object())
    resume_flow_run(run.id, 1)
    result.result(30)


def test_only_a_paused_run_can_be_resumed() -> None:
    @flow
    def main() -> str:
        return flow_run.id

    with pytest.raises(RunFinished, match="Completed"):
        resume_flow_run(main())
    with pytest.raises(RunNotFound):
        resume_flow_run("no such run")


def test_of_two_who_answer_one_is_heard(background: Background) -> None:
    @flow
    def main() -> Any:
        return pause_flow_run(wait_for_input=int)

    result = background(main)
    (run,) = paused()
    answers = [background(resume_flow_run, run.id, number) for number in (1, 2, 3)]
    value = result.result(30)
    assert value in (1, 2, 3)
    for each in answers:
        assert each.exception(30) is None or isinstance(each.exception(), (PauseError, RunFinished))
    stored = current_runtime().store.find_result(f"pause/{run.id}/pause-0", 0.0)
    assert stored is not None and json.loads(stored.data) == value


def test_waiting_for_a_run(background: Background, caplog: pytest.LogCaptureFixture) -> None:
    @flow
    def main() -> None:
        pause_flow_run()

    result = background(main)
    (run,) = paused()
    with pytest.raises(FlowRunWaitTimeout, match="Paused"):
        wait_for_flow_run(run.id, timeout=0.05)
    waiting = background(wait_for_flow_run, run.id, log_states=True, poll_interval=0.01)
    with caplog.at_level("INFO", "jupyter_wf.flow_runs"):
        resume_flow_run(run.id)
        assert waiting.result(30).state.is_completed()
    result.result(30)
    told = [record.message for record in caplog.records if run.name in record.message]
    assert told[-1].endswith("Completed")
    with pytest.raises(RunNotFound):
        wait_for_flow_run("no such run")


# -- paused on request -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["call", "submit", "awaited"])
def test_a_run_that_is_paused_on_request_begins_nothing_new(background: Background, form: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    called: list[int] = []

    @task
    def step(x: int) -> int:
        called.append(x)
        if x == 0:
            begun.set()
            assert go_on.wait(30)
        return x

    @task
    async def step_async(x: int) -> int:
        return await asyncio.to_thread(step.fn, x)

    @flow
    def main() -> int:
        if form == "submit":
            return sum(step.submit(x).result() for x in range(3))
        return sum(step(x) for x in range(3))

    @flow
    async def main_async() -> int:
        return sum([await step_async(x) for x in range(3)])

    result = background((lambda: asyncio.run(main_async())) if form == "awaited" else main)
    assert begun.wait(30)
    store = current_runtime().store
    (run,) = store.list_runs(RunFilter(kinds=("flow",))).items
    store.request(run.id, "pause")
    (run,) = paused()
    assert run.state.message == "paused on request"
    go_on.set()
    first = lambda: store.list_runs(RunFilter(kinds=("task",), states=("Completed",))).items  # noqa: E731
    until(first)
    assert len(store.list_runs(RunFilter(kinds=("task",))).items) == 1 and not result.done()
    resume_flow_run(run.id)
    assert result.result(30) == 3 and called == [0, 1, 2]
    assert names(run.id) == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_a_held_run_whose_body_ends_is_not_held_any_more(background: Background) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @flow
    def main() -> int:
        begun.set()
        assert go_on.wait(30)
        return 1

    result = background(main)
    assert begun.wait(30)
    store = current_runtime().store
    (run,) = store.list_runs().items
    store.request(run.id, "pause")
    paused()
    go_on.set()
    assert result.result(30) == 1
    assert names(run.id) == ["Pending", "Running", "Paused", "Running", "Completed"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_held_run_can_be_cancelled(background: Background, asynchronous: bool) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @task
    def step() -> None: ...

    @task
    async def step_async() -> None: ...

    @flow
    def main() -> None:
        begun.set()
        assert go_on.wait(30)
        step()

    @flow
    async def main_async() -> None:
        begun.set()
        assert await asyncio.to_thread(go_on.wait, 30)
        await step_async()

    result = background((lambda: asyncio.run(main_async())) if asynchronous else main)
    assert begun.wait(30)
    store = current_runtime().store
    (run,) = store.list_runs().items
    store.request(run.id, "pause")
    paused()
    go_on.set()
    store.request(run.id, "cancel")
    with pytest.raises(CancelledRun):
        result.result(30)
    assert not store.list_runs(RunFilter(kinds=("task",))).items


def test_a_held_run_that_pauses_itself_waits_for_both(background: Background) -> None:
    begun, go_on = threading.Event(), threading.Event()

    @flow
    def main() -> Any:
        begun.set()
        assert go_on.wait(30)
        return pause_flow_run(wait_for_input=int)

    result = background(main)
    assert begun.wait(30)
    store = current_runtime().store
    (run,) = store.list_runs().items
    store.request(run.id, "pause")
    paused()
    go_on.set()
    resume_flow_run(run.id)
    until(lambda: paused()[0].source.get("pause"))
    resume_flow_run(run.id, 4)
    assert result.result(30) == 4
