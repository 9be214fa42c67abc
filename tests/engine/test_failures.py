"""What fails, and what becomes of it: downstream, in the flow that holds it, and in the record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf import allow_failure, flow, task
from jupyter_wf.core.errors import CancelledRun, UpstreamFailed
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import current_runtime

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]


@task
def fails() -> int:
    raise ValueError("no")


@task
async def fails_async() -> int:
    raise ValueError("no")


@task
def double(x: Any) -> Any:
    return x * 2


def by_name(runs: Runs) -> dict[str, Run]:
    return {run.name: run for run in runs()}


# What is after a failure


def test_what_is_after_a_failure_is_not_called(runs: Runs, story: Story) -> None:
    called: list[object] = []

    @task
    def after(x: Any) -> None:
        called.append(x)

    @flow
    def outer() -> str:
        first = fails.submit()
        one = after.submit([first])
        two = after.submit(1, wait_for=[one])
        two.wait()
        assert (one.state.name, two.state.name) == ("NotReady", "NotReady")
        with pytest.raises(UpstreamFailed, match=r"fails-0.* is Failed"):
            one.result()
        # What failed first is said, however far up it is.
        with pytest.raises(UpstreamFailed, match=r"fails-0.* is Failed: ValueError"):
            after(2, wait_for=[one])
        return "went on"

    assert outer() == "went on"
    assert called == []
    found = by_name(runs)
    assert [found[name].state.name for name in ("after-0", "after-1", "after-2")] == ["NotReady"] * 3
    assert found["after-0"].state.type.value == "PENDING"
    assert story(found["after-2"].id) == ["Pending", "NotReady"]


def test_what_is_after_a_failure_in_an_async_flow_is_not_called(runs: Runs) -> None:
    called: list[object] = []

    @task
    async def after(x: Any) -> None:
        called.append(x)

    @flow
    async def outer() -> str:
        first = fails_async.submit()
        with pytest.raises(UpstreamFailed, match="fails_async-0"):
            await after(first)
        with pytest.raises(UpstreamFailed, match="fails_async-0"):
            await after.submit({"x": first})
        return "went on"

    assert asyncio.run(outer()) == "went on"
    assert called == []


def test_allowed_failures_are_handed_on() -> None:
    @task
    def look(x: Any) -> str:
        return type(x).__name__

    @flow
    def outer() -> list[str]:
        failed = fails.submit()
        return [look(allow_failure(failed)), look.submit(allow_failure(failed)).result()]

    assert outer() == ["ValueError", "ValueError"]


# What a failure does to the flow


@flow
def unseen() -> int:
    fails.submit()
    return 1


@flow
def nothing_said() -> None:
    fails.submit().wait()


@flow
def returns_future() -> Any:
    return fails.submit()


@flow
def returns_state() -> Any:
    return fails(return_state=True)


@flow
def returns_several() -> Any:
    return [double.submit(1), fails.submit(), fails.submit()]


@flow
def returns_good_ones() -> Any:
    return double.submit(1), double(2, return_state=True)


@flow
def raises() -> int:
    return fails()


@flow
async def returns_future_async() -> Any:
    return fails_async.submit()


@pytest.mark.parametrize(
    ("what", "state", "message"),
    [
        (unseen, "Completed", None),
        (nothing_said, "Completed", None),
        (returns_future, "Failed", "no"),
        (returns_state, "Failed", "no"),
        (returns_several, "Failed", "2/3 states not completed"),
        (returns_good_ones, "Completed", None),
        (raises, "Failed", "no"),
        (returns_future_async, "Failed", "no"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_final_states(what: Any, state: str, message: str | None, runs: Runs) -> None:
    found = what(return_state=True)
    if asyncio.iscoroutine(found):
        found = asyncio.run(found)
    assert found.name == state
    assert message is None or message in found.message
    if state == "Failed":
        with pytest.raises(ValueError, match="no"):
            found.result()
    (top,) = [run for run in runs() if run.kind == "flow"]
    assert top.state.name == state


def test_a_flow_that_looked_away_gives_its_value() -> None:
    assert unseen() == 1
    assert nothing_said() is None


# Exceptions of every kind


class Unpicklable(Exception):
    def __init__(self, what: object) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I won't say")


class MuteForGood(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I won't say")

    __repr__ = __str__


@pytest.mark.parametrize("how", ["call", "submit", "await", "submit async"])
@pytest.mark.parametrize("kind", [Unpicklable, Mute, MuteForGood])
def test_strange_exceptions_are_told_of(kind: type[Exception], how: str, runs: Runs) -> None:
    error = kind("strange")
    assert failing(how, error) is error
    top, one = runs()
    for run in (top, one):
        assert run.state.name == "Failed"
        assert run.error is not None and run.error.type == kind.__name__
        assert kind.__name__ in (run.state.message or "")
        assert "test_failures.py" in run.error.traceback


def failing(how: str, error: BaseException) -> BaseException | None:
    """Raise the exception in a task of a flow; return what comes out of the flow."""

    def work() -> None:
        raise error

    async def work_async() -> None:
        raise error

    one = task(work_async if how in ("await", "submit async") else work)

    def outer() -> None:
        one.submit().result() if how.startswith("submit") else one()

    async def outer_async() -> None:
        await (one.submit() if how.startswith("submit") else one())

    async def top() -> BaseException | None:
        try:
            await flow(outer_async)()
        except BaseException as raised:
            return raised
        return None

    if one.callee.is_async:
        return asyncio.run(top())
    try:
        flow(outer)()
    except BaseException as raised:
        return raised
    return None


def test_a_huge_exception_is_stored_truncated(runs: Runs) -> None:
    size = 100_000_000
    assert failing("call", ValueError("x" * size)) is not None
    for run in runs():
        assert run.error is not None
        assert len(run.error.message) < 3_000 and len(run.error.traceback) < 30_000
        assert len(run.state.message or "") < 3_000
    current_runtime().journal.flush()
    assert (
        sum(file.stat().st_size for file in current_runtime().settings.home.rglob("*") if file.is_file()) < size // 10
    )


@pytest.mark.parametrize("how", ["call", "submit", "await", "submit async"])
def test_groups_are_kept(how: str, runs: Runs) -> None:
    def deep() -> None:
        raise KeyError("deep one")

    many: list[Exception] = []
    for make in (deep, lambda: int("not a number")):
        try:
            make()
        except Exception as error:
            many.append(error)
    raised = failing(how, ExceptionGroup("two of them", [*many, ExceptionGroup("inner", [OSError("third")])]))
    assert isinstance(raised, ExceptionGroup) and raised.exceptions[:2] == tuple(many)
    for run in runs():
        assert run.error is not None and run.error.type == "ExceptionGroup"
        for word in ("two of them (3 sub-exceptions)", "KeyError: 'deep one'", "in deep", "not a number", "third"):
            assert word in run.error.traceback, word


def test_a_task_group_that_fails_is_one_failure(runs: Runs) -> None:
    @flow
    async def outer() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(fails_async())

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(outer())
    assert [type(each) for each in raised.value.exceptions] == [ValueError] * 3
    assert [run.state.name for run in runs()] == ["Failed"] * 4


# What is not an Exception


ENDS = {
    SystemExit: "Crashed",
    KeyboardInterrupt: "Cancelled",
    GeneratorExit: "Crashed",
    asyncio.CancelledError: "Cancelled",
}


@pytest.mark.parametrize("how", ["call", "submit", "await", "submit async"])
@pytest.mark.parametrize("kind", ENDS)
def test_exits_end_the_runs_and_go_on(kind: type[BaseException], how: str, runs: Runs) -> None:
    raised = failing(how, kind())
    top, one = runs()
    assert one.state.name == ENDS[kind]
    if how.startswith("submit"):
        # It was raised elsewhere: here a task has failed.
        assert isinstance(raised, (CancelledRun, kind)), raised
        assert top.state.is_closed()
    else:
        assert type(raised) in (kind, CancelledRun)
        assert top.state.name in (ENDS[kind], "Failed")


@pytest.mark.parametrize("kind", ENDS)
def test_an_exit_of_a_submitted_task_leaves_its_thread_alive(kind: type[BaseException]) -> None:
    @task
    def leaves() -> None:
        raise kind()

    @flow
    def outer() -> list[int]:
        for _ in range(20):
            assert leaves.submit(return_state=True).name == ENDS[kind]
        return [double.submit(i).result(30) for i in range(20)]

    assert outer() == [2 * i for i in range(20)]


# Below


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_children_are_closed_whatever_happens(kind: type[BaseException], runs: Runs) -> None:
    gate, started = threading.Event(), threading.Event()

    @task
    def busy() -> None:
        started.set()
        while not gate.wait(0.002):
            pass

    @flow
    def inner() -> None:
        first = busy.submit()
        double.submit(1, wait_for=[first])
        assert started.wait(30)
        threading.Timer(0.01, gate.set).start()
        raise kind()

    @flow
    def outer() -> None:
        inner()

    with pytest.raises((kind, CancelledRun)):
        outer()
    assert len(runs()) == 4
    assert [run.name for run in runs() if not run.state.is_closed()] == []
