"""Transactions: hooks in order, nothing half done, in sync and async code, on threads, across attempts."""

from __future__ import annotations

import asyncio
import importlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import Task, flow, task
from jupyter_wf.cache_policies import INPUTS
from jupyter_wf.core.errors import InvalidRequest, MissingResult, ParameterError
from jupyter_wf.core.models import Run
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.results import get_result
from jupyter_wf.task_runners import ProcessPoolTaskRunner
from jupyter_wf.transactions import (
    CommitMode,
    IsolationLevel,
    Transaction,
    TransactionState,
    atransaction,
    get_transaction,
    transaction,
)

Made = Callable[..., Task[..., Any]]


@pytest.fixture
def story() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture
def made(story: list[str]) -> Made:
    """Make a task that notes its calls and hooks under a name."""

    def make(name: str, **options: Any) -> Task[..., Any]:
        @task(name=name, **options)
        def work(value: int = 0) -> str:
            story.append(f"{name} called")
            return f"{name}{value or ''}"

        @work.on_commit
        def committed(txn: Transaction) -> None:
            story.append(f"{name} committed")

        @work.on_rollback
        def rolled_back(txn: Transaction) -> None:
            story.append(f"{name} rolled back")

        return work

    return make


@pytest.fixture
def lines() -> Callable[[], list[str]]:
    """Every log line, oldest first."""

    def told() -> list[str]:
        store = current_runtime().store
        return [each.payload["message"] for each in store.events(after=0) if each.kind == "log"]

    return told


def runs() -> Iterator[Run]:
    return reversed(current_runtime().store.list_runs().items)


def kept(name: str) -> Any:
    """The value that the newest run of a task keeps, or the class of the error."""
    run = next(run for run in current_runtime().store.list_runs().items if run.task_name == name)
    try:
        return get_result(run.id)
    except MissingResult:
        return MissingResult


# -- the order of hooks ------------------------------------------------------------------------------------------


def test_hooks_are_called_at_the_commit_in_order(made: Made, story: list[str]) -> None:
    first, second = made("first"), made("second")

    @flow
    def outer() -> None:
        with transaction() as txn:
            assert txn.is_active()
            first()
            second()
            story.append("end of the block")
        assert txn.is_committed()

    outer()
    assert story == [
        "first called",
        "second called",
        "end of the block",
        "first committed",
        "second committed",
    ]


def test_an_exception_that_leaves_rolls_back_in_reverse_order(made: Made, story: list[str]) -> None:
    first, second = made("first"), made("second")

    @flow
    def outer() -> None:
        with transaction() as txn:
            first()
            second()
            story.append("bad")
            try:
                raise ValueError("broken")
            finally:
                story.append(txn.state.name)

    with pytest.raises(ValueError, match="broken"):
        outer()
    assert story == ["first called", "second called", "bad", "ACTIVE", "second rolled back", "first rolled back"]


def test_a_failing_task_or_flow_inside_rolls_back(made: Made, story: list[str]) -> None:
    first = made("first")

    @task
    def bad() -> None:
        raise KeyError("k")

    @flow
    def inner() -> None:
        first()
        bad()

    for broken in (bad, inner):
        with pytest.raises(KeyError), transaction():
            first()
            broken()
    assert story == ["first called", "first rolled back", *["first called"] * 2, *["first rolled back"] * 2]


def test_a_failure_that_is_handled_rolls_nothing_back(made: Made, story: list[str]) -> None:
    @task(on_rollback=[lambda txn: story.append("never")])
    def bad() -> None:
        raise KeyError("k")

    with transaction() as txn:
        made("good")()
        assert bad(return_state=True).is_failed()
    assert txn.is_committed()
    assert story == ["good called", "good committed"]


def test_to_stop_early_commits(made: Made, story: list[str]) -> None:
    with pytest.raises(StopFlow), transaction() as txn:
        made("first")()
        raise StopFlow("nothing is left", None)
    assert txn.is_committed()
    assert story == ["first called", "first committed"]


def test_outside_any_transaction_a_task_commits_by_itself(made: Made, story: list[str]) -> None:
    made("first")()

    @task(on_commit=[lambda txn: story.append("no")], on_rollback=[lambda txn: story.append("no")])
    def bad() -> None:
        raise ValueError("x")

    assert bad(return_state=True).is_failed()
    assert story == ["first called", "first committed"]


def test_tasks_of_a_task_with_hooks_wait_for_it(made: Made, story: list[str]) -> None:
    inner = made("inner")

    @task(on_commit=[lambda txn: story.append("outer committed")])
    def outer(fail: bool) -> None:
        inner()
        if fail:
            raise ValueError("x")

    outer(False)
    assert story == ["inner called", "inner committed", "outer committed"]
    story.clear()
    assert outer(True, return_state=True).is_failed()
    assert story == ["inner called", "inner rolled back"]


def test_a_restored_task_has_no_hooks(made: Made, story: list[str]) -> None:
    cached = made("cached", cache_policy=INPUTS)
    cached(1)
    with pytest.raises(ValueError, match="x"), transaction():
        cached(1)
        raise ValueError("x")
    assert story == ["cached called", "cached committed"]


# -- nested ------------------------------------------------------------------------------------------------------


def test_an_inner_transaction_commits_with_the_outer_one(made: Made, story: list[str]) -> None:
    with transaction() as outer:
        with transaction() as inner:
            made("a")()
        assert inner.commit_mode is CommitMode.LAZY and inner.is_active() and inner.get_parent() is outer
        made("b")()
    assert story == ["a called", "b called", "a committed", "b committed"]
    assert inner.is_committed() and outer.is_committed()


def test_an_eager_one_commits_at_its_own_end_and_stays(made: Made, story: list[str]) -> None:
    with pytest.raises(ValueError, match="x"), transaction() as outer:
        made("a")()
        with transaction(commit_mode="EAGER") as inner:
            assert inner.commit_mode is CommitMode.EAGER
            made("b")()
        made("c")()
        raise ValueError("x")
    assert story == ["a called", "b called", "b committed", "c called", "c rolled back", "a rolled back"]
    assert inner.is_committed() and outer.is_rolled_back()


def test_off_is_rolled_back_unless_it_was_committed(made: Made, story: list[str]) -> None:
    with transaction(commit_mode=CommitMode.OFF) as txn:
        made("a")()
    assert txn.is_rolled_back() and story == ["a called", "a rolled back"]
    story.clear()
    with transaction(commit_mode=CommitMode.OFF) as txn:
        made("b")()
        assert txn.commit() and not txn.commit() and not txn.rollback()
    assert txn.is_committed() and story == ["b called", "b committed"]


def test_what_was_rolled_back_inside_can_not_be_had_as_a_whole(made: Made, story: list[str]) -> None:
    with transaction() as outer:
        made("a")()
        with pytest.raises(ValueError, match="x"), transaction() as inner:
            made("b")()
            raise ValueError("x")
        assert outer.is_rolled_back() and inner.is_rolled_back()
        made("c")()
    assert story == ["a called", "b called", "b rolled back", "a rolled back", "c called", "c rolled back"]


def test_hooks_of_the_transaction_itself(story: list[str]) -> None:
    def staged(txn: Transaction, name: str) -> None:
        txn.stage(name, [lambda t: story.append(f"back {name}")], [lambda t: story.append(f"commit {name}")])
        assert txn.is_staged()

    with transaction() as outer:
        with transaction() as inner:
            staged(inner, "inner")
        staged(outer, "outer")
    assert story == ["commit inner", "commit outer"]
    story.clear()
    with transaction() as outer:
        with transaction() as inner:
            staged(inner, "inner")
        staged(outer, "outer")
        outer.rollback()
        outer.stage("late", [lambda t: story.append("late")])
    assert story == ["back outer", "back inner"]


# -- hooks that fail ---------------------------------------------------------------------------------------------


def test_a_rollback_hook_that_raises_is_logged_and_the_others_are_called(
    made: Made, story: list[str], lines: Callable[[], list[str]]
) -> None:
    @task
    def odd() -> None: ...

    @odd.on_rollback
    def cannot(txn: Transaction) -> None:
        raise OSError("no way")

    @flow
    def outer() -> None:
        with transaction():
            made("a")()
            odd()
            made("b")()
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        outer()
    assert story[2:] == ["b rolled back", "a rolled back"]
    assert "the rollback hook 'cannot' failed: OSError: no way" in lines()


def test_a_commit_hook_that_raises_rolls_everything_back(
    made: Made, story: list[str], lines: Callable[[], list[str]]
) -> None:
    @task
    def odd() -> None: ...

    @odd.on_commit
    def cannot(txn: Transaction) -> None:
        raise OSError("no way")

    @flow
    def outer() -> TransactionState:
        with transaction() as txn:
            made("a")()
            odd()
            made("b")()
        return txn.state

    assert outer() is TransactionState.ROLLED_BACK
    assert story == ["a called", "b called", "a committed", "b rolled back", "a rolled back"]
    assert "not committed, but rolled back: OSError: no way" in lines()
    assert (kept("a"), kept("odd")) == (MissingResult, MissingResult)


def test_hooks_are_told_in_the_log_or_to_a_logger_of_ones_own(
    made: Made, lines: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    made("a")()
    assert lines() == ["called the commit hook 'committed'"]
    with caplog.at_level(logging.INFO), transaction(logger=logging.getLogger("mine")) as txn:
        txn.stage(on_commit_hooks=[print])
    assert [(each.name, each.message) for each in caplog.records] == [("mine", "called the commit hook 'print'")]


# -- values ------------------------------------------------------------------------------------------------------


def test_values_are_seen_by_hooks_and_further_in() -> None:
    seen: list[Any] = []

    @task
    def work() -> None:
        inner = get_transaction()
        assert inner is not None and inner.get_parent() is txn
        inner.set("mine", 2)

    @work.on_commit
    def look(txn: Transaction) -> None:
        seen.append((txn.get("path"), txn.get("mine"), txn.get("none", None)))

    with transaction() as txn:
        assert get_transaction() is txn
        txn.set("path", ["a"])
        work()
        txn.get("path").append("changes a copy")
        with pytest.raises(ValueError, match="mine") as raised:
            txn.get("mine")
        assert isinstance(raised.value, InvalidRequest)
    assert get_transaction() is None
    assert seen == [(["a"], 2, None)]


def test_a_transaction_is_entered_once_and_options_are_checked() -> None:
    with transaction() as txn:
        assert txn.key != transaction().key
    with pytest.raises(RuntimeError, match="again"), txn:
        raise AssertionError
    for wrong in ({"commit_mode": "SOON"}, {"isolation_level": "X"}, {"key": ""}, {"key": 1}, {"key": "x" * 901}):
        with pytest.raises(ParameterError):
            transaction(**wrong)  # type: ignore[arg-type]
    assert [each.value for each in CommitMode] == ["LAZY", "EAGER", "OFF"]


# -- threads and coroutines --------------------------------------------------------------------------------------


def test_submitted_tasks_are_part_of_it(made: Made, story: list[str]) -> None:
    work = made("work")

    @flow
    def outer(fail: bool) -> None:
        with transaction():
            first = work.submit()
            work.submit(wait_for=[first]).wait()
            if fail:
                raise ValueError("x")

    outer(False)
    assert story == ["work called"] * 2 + ["work committed"] * 2
    story.clear()
    with pytest.raises(ValueError, match="x"):
        outer(True)
    assert story == ["work called"] * 2 + ["work rolled back"] * 2


@pytest.mark.parametrize("fail", [False, True])
def test_one_that_ends_later_fares_as_the_rest_did(fail: bool, story: list[str]) -> None:
    ended = threading.Event()

    @task(on_commit=[lambda t: story.append("committed")], on_rollback=[lambda t: story.append("rolled back")])
    def slow() -> int:
        assert ended.wait(30)
        return 1

    @flow
    def outer() -> Any:
        try:
            with transaction():
                future = slow.submit()
                if fail:
                    raise ValueError("x")
        except ValueError:
            pass
        finally:
            ended.set()
        return future.result()

    assert outer() == 1
    assert story == ["rolled back" if fail else "committed"]
    assert kept("slow") == (MissingResult if fail else 1)


@pytest.mark.parametrize("fail", [False, True])
def test_in_async_code_hooks_are_awaited(fail: bool, story: list[str]) -> None:
    @task
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        story.append(f"called {n}")
        return n

    @work.on_commit
    async def committed(txn: Transaction) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        story.append(f"committed {loop is txn.get('loop', None)}")

    @work.on_rollback
    async def rolled_back(txn: Transaction) -> None:
        await asyncio.sleep(0)
        story.append("rolled back")

    @flow
    async def outer() -> None:
        async with atransaction() as txn:
            txn.set("loop", None)
            await asyncio.gather(work(1), work(2))
            await asyncio.wrap_future(_future_of(work.submit(3)))
            if fail:
                raise ValueError("x")

    if fail:
        with pytest.raises(ValueError, match="x"):
            asyncio.run(outer())
    else:
        asyncio.run(outer())
    assert sorted(story[:3]) == ["called 1", "called 2", "called 3"]
    assert story[3:] == (["rolled back"] * 3 if fail else ["committed False"] * 3)


def _future_of(future: Any) -> Any:
    from concurrent.futures import Future

    done: Future[Any] = Future()
    future.add_done_callback(lambda each: done.set_result(each.state))
    return done


def test_async_hooks_that_fail(story: list[str], lines: Callable[[], list[str]]) -> None:
    @task
    async def work() -> None: ...

    @work.on_commit
    async def committed(txn: Transaction) -> None:
        await asyncio.sleep(0)
        raise OSError("no way")

    @work.on_rollback
    async def rolled_back(txn: Transaction) -> None:
        await asyncio.sleep(0)
        story.append("rolled back")
        raise OSError("neither")

    @flow
    async def outer() -> bool:
        async with transaction() as txn:
            await work()
        return txn.is_rolled_back()

    assert asyncio.run(outer())
    assert story == ["rolled back"]
    assert [line for line in lines() if "OSError" in line] == [
        "not committed, but rolled back: OSError: no way",
        "the rollback hook 'rolled_back' failed: OSError: neither",
    ]


def test_a_sync_task_may_have_async_hooks(story: list[str]) -> None:
    @task
    def work() -> None: ...

    @work.on_commit
    async def committed(txn: Transaction) -> None:
        await asyncio.sleep(0)
        story.append("committed")

    @work.on_rollback
    async def rolled_back(txn: Transaction) -> None:
        raise OSError("no way")

    work()
    with pytest.raises(ValueError, match="x"), transaction():
        work()
        raise ValueError("x")
    assert story == ["committed"]


def test_generator_tasks_have_hooks(story: list[str]) -> None:
    @task(on_commit=[lambda t: story.append("committed")], on_rollback=[lambda t: story.append("rolled back")])
    def numbers() -> Iterator[int]:
        yield 1
        story.append("between")
        yield 2

    assert list(numbers()) == [1, 2]
    assert story == ["between", "committed"]
    story.clear()
    with pytest.raises(ValueError, match="x"), transaction():
        for n in numbers():
            story.append(str(n))
        raise ValueError("x")
    assert story == ["1", "between", "2", "rolled back"]


def test_tasks_in_other_processes_have_their_hooks_here(made: Made, story: list[str]) -> None:
    @task
    def work(n: int) -> int:
        return n + 1

    work.on_commit(lambda txn: story.append("committed"))
    work.on_rollback(lambda txn: story.append("rolled back"))

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def outer(fail: bool) -> None:
        with transaction():
            assert work.submit(1).result() == 2
            if fail:
                raise ValueError("x")

    outer(False)
    with pytest.raises(ValueError, match="x"):
        outer(True)
    assert story == ["committed", "rolled back"]


# -- what is stored ----------------------------------------------------------------------------------------------


def test_results_are_stored_at_the_commit(made: Made, story: list[str], lines: Callable[[], list[str]]) -> None:
    cached, plain = made("cached", cache_policy=INPUTS), made("plain", result_storage_key="here")
    store = current_runtime().store
    with transaction():
        cached(1)
        plain()
        assert store.last_result("cached") is None and store.find_result("here", 0.0) is None
        assert (kept("cached"), kept("plain")) == (MissingResult, MissingResult)
        cached(1)
        assert story.count("cached called") == 1
    assert (kept("cached"), kept("plain")) == ("cached1", "plain")
    assert store.last_result("cached") is not None and store.find_result("here", 0.0) is not None
    with pytest.raises(ValueError, match="x"), transaction():
        cached(2)
        raise ValueError("x")
    cached(2)
    assert story.count("cached called") == 3
    assert "the transaction is rolled back" in lines()


def test_the_next_attempt_calls_again_what_was_rolled_back(made: Made, story: list[str]) -> None:
    before, inside = made("before"), made("inside")

    @flow(retries=1)
    def outer() -> None:
        before()
        with transaction() as txn:
            inside()
            if story.count("inside called") < 2:
                raise ValueError("x")
        assert txn.is_committed()
        story.append("end")

    outer()
    assert story == [
        "before called",
        "before committed",
        "inside called",
        "inside rolled back",
        "inside called",
        "inside committed",
        "end",
    ]


def test_the_next_attempt_restores_what_was_committed_without_its_hooks(made: Made, story: list[str]) -> None:
    inside = made("inside")
    plain = made("plain").with_options(on_commit=[], on_rollback=[])

    @flow(retries=1)
    def outer() -> None:
        with transaction():
            inside()
            plain()
        if "after" not in story:
            story.append("after")
            raise ValueError("x")

    outer()
    assert story == ["inside called", "plain called", "inside committed", "after"]


# -- keys --------------------------------------------------------------------------------------------------------


def test_a_key_is_done_once(story: list[str]) -> None:
    def download(**options: Any) -> Any:
        with transaction("download", **options) as txn:
            if txn.is_committed():
                record = txn.read()
                assert record is not None and record.key == "download"
                return record.result
            assert options or txn.read() is None
            story.append("downloaded")
            txn.stage({"rows": len(story)})
        return None

    assert [download(), download()] == [None, {"rows": 1}]
    assert download(overwrite=True) is None
    assert download() == {"rows": 2}
    download(overwrite=True, write_on_commit=False)
    assert download() == {"rows": 2}
    assert story == ["downloaded"] * 3


def test_a_key_belongs_to_the_run_that_committed_it() -> None:
    @flow
    def outer() -> Any:
        with transaction("key") as txn:
            txn.stage([1])
        return txn.read()

    record = outer()
    (run,) = runs()
    assert (record.run_id, record.result, record.expiration) == (run.id, [1], None)
    assert record.stored_at.timestamp() == pytest.approx(run.ended_at, abs=60)
    with transaction("other"):
        pass
    other = transaction("other")
    assert other.read() is None
    with other:
        found = other.read()
    assert found is not None and (found.run_id, found.result) == (None, None)


def test_a_rolled_back_key_is_not_done() -> None:
    with pytest.raises(ValueError, match="x"), transaction("key"):
        raise ValueError("x")
    with transaction("key") as txn:
        assert not txn.is_committed()
        txn.stage(threading.Lock())
    assert txn.is_rolled_back()
    with transaction("key", commit_mode="OFF"):
        pass
    with transaction("key") as txn:
        assert not txn.is_committed()


def test_serialized_ones_wait_for_each_other(story: list[str]) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with transaction("key", isolation_level=IsolationLevel.SERIALIZABLE) as txn:
            inside.set()
            assert go_on.wait(30)
            story.append("first")
            txn.stage(1)

    def second() -> None:
        with transaction("key", isolation_level="SERIALIZABLE") as txn:
            story.append(f"second {txn.is_committed()}")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(30)
    threads[1].start()
    with transaction("other", isolation_level="SERIALIZABLE"):
        story.append("other")
    with transaction("key"):
        story.append("not serialized")
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert story == ["other", "not serialized", "first", "second True"]
    assert current_runtime().store.limits.list() == []


def test_the_lock_is_ones_own_further_in_and_given_back_after_a_failure() -> None:
    with pytest.raises(ValueError, match="x"), transaction("key", isolation_level="SERIALIZABLE", commit_mode="OFF"):
        with transaction("key") as inner:
            assert inner.isolation_level is IsolationLevel.SERIALIZABLE
        with transaction("key", isolation_level="SERIALIZABLE"):
            pass
        raise ValueError("x")

    async def again() -> None:
        async with transaction("key", isolation_level="SERIALIZABLE") as txn:
            assert not txn.is_committed()

    asyncio.run(again())
    with transaction("key", isolation_level="SERIALIZABLE") as txn:
        assert txn.is_committed()


def test_coroutines_wait_for_a_lock_without_blocking_each_other(story: list[str]) -> None:
    async def one(n: int) -> None:
        async with transaction("key", isolation_level="SERIALIZABLE", overwrite=True):
            story.append(f"in {n}")
            await asyncio.sleep(0)
            story.append(f"out {n}")

    async def both() -> None:
        await asyncio.gather(one(1), one(2))

    asyncio.run(both())
    assert [each.split()[0] for each in story] == ["in", "out", "in", "out"]


def test_a_flow_that_is_drawn_leaves_nothing() -> None:
    @task
    def work() -> int:
        return 1

    @flow
    def outer() -> None:
        with transaction("key") as txn:
            assert not txn.is_committed()
            work()

    outer.visualize()
    assert current_runtime().store.find_result("key", 0.0) is None


# -- interrupted and killed --------------------------------------------------------------------------------------


def test_a_flow_that_is_timed_out_rolls_back_all_of_it(made: Made, story: list[str]) -> None:
    first, second = made("first"), made("second")

    @task
    def slow_to_undo() -> None: ...

    @slow_to_undo.on_rollback
    def undo(txn: Transaction) -> None:
        assert not threading.Event().wait(0.3)
        story.append("undone")

    @flow(timeout_seconds=0.2)
    def outer() -> None:
        with transaction():
            first()
            slow_to_undo()
            second()
            threading.Event().wait(30)

    assert outer(return_state=True).name == "TimedOut"
    assert story == ["first called", "second called", "second rolled back", "undone", "first rolled back"]


_PROGRAM = """
import os, sys
from jupyter_wf import flow, task
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.transactions import transaction

called = []

@task
def before():
    called.append("before")

@task
def inside():
    called.append("inside")

inside.on_commit(lambda txn: called.append("committed"))

@flow
def outer():
    before()
    with transaction("key", isolation_level="SERIALIZABLE") as txn:
        inside()
        if __name__ == "__main__":
            current_runtime().journal.flush()
            os.kill(os.getpid(), 9)
    return txn.is_committed()

if __name__ == "__main__":
    outer()
"""


def test_a_killed_process_has_committed_nothing_and_holds_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "killed_inside.py"
    path.write_text(_PROGRAM)
    ended = subprocess.run([sys.executable, str(path)], cwd=Path(__file__).parents[2], timeout=60, check=False)
    assert ended.returncode == -9
    monkeypatch.syspath_prepend(str(tmp_path))
    program = importlib.import_module("killed_inside")
    monkeypatch.delitem(sys.modules, "killed_inside")
    (run,) = [run for run in runs() if run.kind == "flow"]
    assert program.outer.resume(run.id) is True
    assert program.called == ["inside", "committed"]
