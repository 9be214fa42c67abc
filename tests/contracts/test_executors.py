"""What every executor keeps to, whatever its kind."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.signals import SkipRun, StopFlow
from jupyter_wf.executors.base import Call, Executor
from tests import clusters
from tests.contracts.executors import (
    FACTORIES,
    Driver,
    Odd,
    Stop,
    add,
    answer,
    fail,
    fail_oddly,
    meet,
    stay,
    stay_for_ever,
    talk,
    wait_for,
    where,
)
from tests.waiting import until

#: Those that do more than one thing at a time.
POOLS = sorted(FACTORIES.keys() - {"inline"})


@pytest.fixture(params=sorted(FACTORIES))
def any_kind(request: pytest.FixtureRequest) -> str:
    if request.param == "dask":
        # What its cluster starts is not the executor's.
        clusters.address()
    return str(request.param)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(name: str, size: int, stack: ExitStack) -> Executor:
    executor = FACTORIES[name](size)
    assert executor.name == name
    executor.start(stack)
    return executor


@pytest.fixture
def executor(any_kind: str, stack: ExitStack) -> Executor:
    """One for two calls at the same time."""
    return start(any_kind, 2, stack)


def test_a_call_returns(executor: Executor) -> None:
    assert executor.run(Call(add, (1,), {"y": 2})) == Outcome(End.RETURNED, 3)
    assert executor.run(Call(answer, (None,))) == Outcome(End.RETURNED, None)
    assert Driver(executor, add, 5).wait().value == 5


def test_only_a_remote_executor_calls_elsewhere(executor: Executor) -> None:
    pid, thread = executor.run(Call(where)).value
    assert executor.remote == (pid != os.getpid())
    assert executor.remote or thread == threading.get_ident()


@pytest.mark.parametrize("value", [b"x" * 5_000_000, {"a": [1, (2, {3})]}, Odd], ids=["large", "nested", "class"])
def test_values_go_there_and_come_back(executor: Executor, value: Any) -> None:
    assert executor.run(Call(answer, (value,))).value == value


def test_what_is_around_a_call_makes_it_and_logs(executor: Executor) -> None:
    lines: list[tuple[int, str, str]] = []
    call = Call(add, (1,), {"y": 2}, "run", "root", "add-0", lambda *line: lines.append(line), talk)
    assert executor.run(call).value == [3]
    assert lines == [(logging.INFO, "before add", "test"), (logging.WARNING, "after 3", "test")]


def test_an_exception_is_an_outcome(executor: Executor) -> None:
    outcome = executor.run(Call(fail, (LookupError("nowhere", 3),)))
    assert outcome.end is End.RAISED
    assert type(outcome.error) is LookupError
    assert outcome.error.args == ("nowhere", 3)
    assert "in fail\n" in "".join(traceback.format_exception(outcome.error))


def test_an_exception_keeps_its_facts_whatever_its_constructor_takes(executor: Executor) -> None:
    error = executor.run(Call(fail_oddly)).error
    assert isinstance(error, Odd)
    assert (error.number, error.reason, str(error)) == (3, "it is not even", "3 is odd")


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (KeyboardInterrupt(), End.CANCELLED),
        (asyncio.CancelledError(), End.CANCELLED),
        (SystemExit(3), End.CRASHED),
        (GeneratorExit(), End.CRASHED),
        (SkipRun("nothing to do"), End.SKIPPED),
        (StopFlow("enough", value=7), End.STOPPED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_exceptions_are_outcomes_too(executor: Executor, error: BaseException, end: End) -> None:
    outcome = executor.run(Call(fail, (error,)))
    assert outcome.end is end
    assert type(outcome.error) is type(error)
    assert outcome.error.args == error.args
    assert outcome.value == (7 if end is End.STOPPED else None)
    assert executor.run(Call(add, (1,))).value == 1, "the executor goes on"


def test_one_thread_keeps_the_order(any_kind: str, stack: ExitStack) -> None:
    executor = start(any_kind, 1, stack)
    seen: list[int] = []
    done = threading.Event()
    for i in range(50):
        executor.spawn(lambda i=i: seen.append(i))  # type: ignore[misc]
    executor.spawn(done.set)
    assert done.wait(30)
    assert seen == list(range(50))


def test_a_thousand_calls(any_kind: str, stack: ExitStack) -> None:
    executor = start(any_kind, 3, stack)
    drivers = [Driver(executor, add, i, name=f"add-{i}") for i in range(1000)]
    assert [driver.wait().value for driver in drivers] == list(range(1000))


@pytest.mark.parametrize("pool", POOLS)
def test_calls_run_at_the_same_time(pool: str, stack: ExitStack, tmp_path: Path) -> None:
    executor = start(pool, 3, stack)
    drivers = [Driver(executor, meet, tmp_path, f"call-{i}", 3) for i in range(3)]
    assert [driver.wait().value for driver in drivers] == [True] * 3


@pytest.mark.parametrize("pool", POOLS)
def test_no_more_calls_than_asked_for_run_at_the_same_time(pool: str, stack: ExitStack, tmp_path: Path) -> None:
    executor = start(pool, 2, stack)
    drivers = [Driver(executor, stay, tmp_path, f"call-{i}") for i in range(6)]
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    (tmp_path / "go").touch()
    assert max(driver.wait().value for driver in drivers) == 2


@pytest.mark.parametrize("pool", POOLS)
def test_a_size_of_nothing_is_refused(pool: str) -> None:
    with pytest.raises(ValueError, match="=0: at least one"):
        FACTORIES[pool](0)


def test_whoever_waits_gives_the_place_back(any_kind: str, stack: ExitStack) -> None:
    executor = start(any_kind, 1, stack)

    def down(n: int, done: threading.Event, values: list[Any]) -> None:
        values.append(executor.run(Call(add, (n,))).value)
        if n:
            below = threading.Event()
            executor.spawn(lambda: down(n - 1, below, values))
            with executor.waiting():
                assert below.wait(60)
        values.append(executor.run(Call(add, (-n,))).value)
        done.set()

    done, values = threading.Event(), list[Any]()
    executor.spawn(lambda: down(10, done, values))
    assert done.wait(60)
    assert values == [*range(10, -1, -1), *range(0, -11, -1)]


def test_waiting_is_nothing_on_another_thread(executor: Executor) -> None:
    with executor.waiting(), executor.waiting():
        assert executor.run(Call(add, (1,))).value == 1
    assert Driver(executor, add, 2).wait().value == 2


def test_an_interrupt_of_the_calling_thread_stops_the_call(any_kind: str, stack: ExitStack, tmp_path: Path) -> None:
    executor = start(any_kind, 1, stack)
    drivers: list[Driver] = []
    ident: list[int] = []

    def interrupt() -> None:
        assert wait_for((tmp_path / "call-0").exists)
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident[0]), ctypes.py_object(Stop))
        assert raised == 1

    class Watched(Driver):
        def _work(self) -> None:
            ident.append(threading.get_ident())
            super()._work()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    drivers.append(Watched(executor, stay_for_ever, tmp_path, "call-0"))
    assert drivers[0].done.wait(60)
    interrupter.join()
    assert isinstance(drivers[0].error, Stop)
    assert (tmp_path / "call-0 left").exists(), "the call was told, and has ended before its caller goes on"
    assert Driver(executor, add, 1).wait().value == 1


def test_work_can_be_spawned_on_many_threads(executor: Executor) -> None:
    drivers: list[Driver] = []
    threads = [
        threading.Thread(target=lambda i=i: drivers.extend(Driver(executor, add, i + n) for n in range(20)))  # type: ignore[misc]
        for i in range(0, 100, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(driver.wait().value for driver in drivers) == list(range(100))


def test_after_the_shutdown_nothing_is_spawned(any_kind: str) -> None:
    with ExitStack() as stack:
        executor = start(any_kind, 2, stack)
        drivers = [Driver(executor, add, i) for i in range(4)]
        assert [driver.wait().value for driver in drivers] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="shut down"):
        executor.spawn(lambda: None)


def test_one_that_was_never_used_is_shut_down(any_kind: str) -> None:
    threads = threading.active_count()
    with ExitStack() as stack:
        start(any_kind, 2, stack)
        assert threading.active_count() == threads
