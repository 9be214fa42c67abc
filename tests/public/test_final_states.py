"""Prefect 3's rules for the final state of a flow or task, as a table; and ``return_state`` everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.errors import FailedRun, UnfinishedRun
from jupyter_wf.core.models import Run
from jupyter_wf.states import Cancelled, Completed, Crashed, Failed, Pending, Running, State

Runs = Callable[[], list[Run]]


@task
def good(x: Any = 1) -> Any:
    return x


@task
def bad() -> None:
    raise KeyError("no")


def good_state() -> State:
    return good(return_state=True)


def bad_state() -> State:
    return bad(return_state=True)


#: What the flow's body does and returns; the type and name of its final state; what its call gives: the value, or the
#: class of what it raises.
TABLE: dict[str, tuple[Callable[[], Any], str, str, Any]] = {
    "a value": (lambda: 3, "COMPLETED", "Completed", 3),
    "nothing": (lambda: None, "COMPLETED", "Completed", None),
    "an empty list": (list, "COMPLETED", "Completed", []),
    "a value after a failure nobody looked at": (lambda: (bad.submit().wait(), 3)[1], "COMPLETED", "Completed", 3),
    "nothing after a failure nobody looked at": (lambda: bad.submit().wait(), "COMPLETED", "Completed", None),
    "a value beside a failed state": (lambda: (bad_state(), 3)[1], "COMPLETED", "Completed", 3),
    "a raised exception": (bad, "FAILED", "Failed", KeyError),
    "a looked at failure": (lambda: bad.submit().result(), "FAILED", "Failed", KeyError),
    "an exception as a value": (lambda: KeyError("as a value"), "COMPLETED", "Completed", KeyError),
    "a good future": (lambda: good.submit(4), "COMPLETED", "Completed", 4),
    "a bad future": (lambda: bad.submit(), "FAILED", "Failed", KeyError),
    "good futures": (lambda: [good.submit(1), good.submit(2)], "COMPLETED", "Completed", [1, 2]),
    "what map returns": (lambda: good.map([1, 2]), "COMPLETED", "Completed", [1, 2]),
    "a tuple of futures": (lambda: (good.submit(1), bad.submit()), "FAILED", "Failed", KeyError),
    "good and bad futures": (lambda: [good.submit(1), bad.submit()], "FAILED", "Failed", KeyError),
    "a future that was not ready": (lambda: good.submit(bad.submit()), "FAILED", "Failed", Exception),
    "a future and a value": (lambda: [bad.submit(), 3], "COMPLETED", "Completed", list),
    "a dictionary of futures": (lambda: {"a": bad.submit()}, "COMPLETED", "Completed", dict),
    "a good state": (good_state, "COMPLETED", "Completed", 1),
    "a bad state": (bad_state, "FAILED", "Failed", KeyError),
    "states": (lambda: [good_state(), good_state()], "COMPLETED", "Completed", [1, 1]),
    "states, one bad": (lambda: [good_state(), bad_state()], "FAILED", "Failed", KeyError),
    "states, one cancelled": (lambda: [good_state(), Cancelled("x")], "FAILED", "Failed", FailedRun),
    "a state and a future": (lambda: [good_state(), bad.submit()], "FAILED", "Failed", KeyError),
    "a state and a value": (lambda: [bad_state(), 1], "COMPLETED", "Completed", list),
    "a set of states": (lambda: {Completed(data=1)}, "COMPLETED", "Completed", list),
    "Completed by hand": (lambda: Completed("fine", data=5), "COMPLETED", "Completed", 5),
    "Completed under another name": (lambda: Completed(name="Enough", data=5), "COMPLETED", "Enough", 5),
    "Failed by hand": (lambda: Failed("no good"), "FAILED", "Failed", FailedRun),
    "Failed with an exception": (lambda: Failed(data=IndexError("x")), "FAILED", "Failed", IndexError),
    "Failed under another name": (lambda: Failed(name="Rejected"), "FAILED", "Rejected", FailedRun),
    "Cancelled by hand": (lambda: Cancelled("enough"), "CANCELLED", "Cancelled", Exception),
    "Crashed by hand": (lambda: Crashed("oh"), "CRASHED", "Crashed", Exception),
    "a state that is not final": (Running, "FAILED", "Failed", Exception),
    "another state that is not final": (Pending, "FAILED", "Failed", Exception),
}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("case", TABLE)
def test_a_flow_s_final_state(case: str, asynchronous: bool, runs: Runs) -> None:
    body, type_, name, outcome = TABLE[case]

    @flow
    def main() -> Any:
        return body()

    @flow
    async def main_async() -> Any:
        return body()

    def call(**more: Any) -> Any:
        return asyncio.run(main_async(**more)) if asynchronous else main(**more)

    state = call(return_state=True)
    assert (state.type.value, state.name) == (type_, name)
    top = runs()[0]
    assert (top.state.type.value, top.state.name) == (type_, name)
    raises = isinstance(outcome, type) and issubclass(outcome, Exception) and type_ != "COMPLETED"
    if raises:
        with pytest.raises(outcome):
            call()
        with pytest.raises(outcome):
            state.result()
        assert isinstance(state.result(raise_on_failure=False), outcome)
    else:
        values = [value_of(call()), value_of(state.result())]
        for value in values:
            assert isinstance(value, outcome) if isinstance(outcome, type) else value == outcome


def value_of(value: Any) -> Any:
    """Return values in place of states: those are what Prefect hands out of a flow that returns several."""
    return (
        [each.result() for each in value]
        if isinstance(value, list) and all(isinstance(each, State) for each in value)
        else value
    )


TASKS = {
    "a value": (lambda: 3, "Completed", 3),
    "Completed by hand": (lambda: Completed("fine", data=5), "Completed", 5),
    "Failed by hand": (lambda: Failed("no good"), "Failed", FailedRun),
    "Cancelled by hand": (lambda: Cancelled("enough"), "Cancelled", Exception),
    "an exception as a value": (lambda: KeyError("x"), "Completed", KeyError),
}


@pytest.mark.parametrize("how", ["call", "submit", "async", "in a flow"])
@pytest.mark.parametrize("case", TASKS)
def test_a_task_s_final_state(case: str, how: str) -> None:
    body, name, outcome = TASKS[case]

    @task
    def plain() -> Any:
        return body()

    @task
    async def awaited() -> Any:
        return body()

    def state_of() -> State:
        if how == "submit":
            return plain.submit(return_state=True)
        return asyncio.run(awaited(return_state=True)) if how == "async" else plain(return_state=True)

    state = flow(lambda: [state_of(), None])()[0] if how == "in a flow" else state_of()
    assert state.name == name
    if name == "Completed":
        value = state.result()
        assert isinstance(value, outcome) if isinstance(outcome, type) else value == outcome
    else:
        assert isinstance(state.result(raise_on_failure=False), outcome)
        with pytest.raises(outcome):
            state.result()


def test_states_of_runs_that_go_on_have_no_result_yet() -> None:
    for state in (Pending(), Running()):
        with pytest.raises(UnfinishedRun):
            state.result()


def test_a_future_is_handed_through_sub_flows(runs: Runs) -> None:
    @flow
    def sub(x: Any) -> Any:
        return good.submit(x)

    @flow
    def main() -> Any:
        return sub(sub(good.submit(7)))

    assert main() == 7
    assert {run.state.name for run in runs()} == {"Completed"}


def test_a_failed_sub_flow_is_its_parent_s_failure_only_if_it_is_looked_at(runs: Runs) -> None:
    @flow
    def sub() -> Any:
        bad()

    @flow
    def careless() -> str:
        sub(return_state=True)
        return "fine"

    @flow
    def caring() -> Any:
        return sub(return_state=True)

    assert careless() == "fine"
    with pytest.raises(KeyError):
        caring()
