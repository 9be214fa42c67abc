"""Background tasks: left by one process, executed by another, or by a thread of the same one."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from jupyter_wf import allow_failure, flow, tags, task
from jupyter_wf.cli.app import main as command_line
from jupyter_wf.core.errors import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    ParameterError,
    TaskTimeout,
)
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine import background, delayed
from jupyter_wf.engine.background import BackgroundFuture, TaskServer
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.task_worker import serve
from jupyter_wf.tasks import Task
from tests.waiting import until

CHORES = """
    import os, signal, threading
    from dataclasses import dataclass
    from jupyter_wf import task

    @dataclass
    class Point:
        x: int
        y: int

    @task(tags=["mine"], task_run_name="add {a}")
    def add(a, b=2):
        return a + b

    @task
    async def swap(point):
        return Point(point.y, point.x)

    @task
    def count(n):
        yield from range(n)

    @task
    async def count_async(n):
        for each in range(n):
            yield each

    @task
    def note(path, number):
        # One short write: lines of several processes stay whole.
        with open(path, "a") as file:
            file.write(f"{os.getpid()} {number}\\n")

    @task
    def stuck(path):
        open(path, "w").close()
        # A thread notices that it is to stop between two instructions, not within one.
        while True:
            threading.Event().wait(0.01)

    class Shop:
        def __init__(self, name):
            self.name = name

        @task
        def sell(self, what):
            return f"{self.name}: {what}"

        @classmethod
        def _kind(cls):
            return cls.__name__

    if __name__ == "__main__":
        print(add.delay(40).task_run_id)
"""


@pytest.fixture
def chores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of tasks that other processes can import too."""
    (tmp_path / "chores.py").write_text(textwrap.dedent(CHORES))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("chores")
    del sys.modules["chores"]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a server of these tasks of `chores`, and returns when it serves."""
    started: list[subprocess.Popen[str]] = []

    def start(*names: str, limit: int | None = 10) -> subprocess.Popen[str]:
        code = f"""
            import signal
            # Whoever starts the tests in the background may have SIGINT ignored: that is inherited.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            import chores
            from jupyter_wf.task_worker import serve
            print("ready", flush=True)
            serve({", ".join(f"chores.{name}" for name in names)}, limit={limit})
        """
        path = os.pathsep.join((str(tmp_path), str(Path(__file__).resolve().parents[2])))
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@contextmanager
def serving(*tasks: Task[..., Any], limit: int | None = 10) -> Iterator[TaskServer]:
    """Serve tasks on another thread of this process."""
    server = TaskServer({str(number): each.callee for number, each in enumerate(tasks)}, limit=limit)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def of(future: BackgroundFuture) -> Run:
    """Wait for a background run, and return it."""
    future.wait(30)
    return future.run


# -- in another process ------------------------------------------------------------------------------------------------


def test_another_process_executes_what_was_left(
    chores: ModuleType, start: Start, runtime: Runtime, story: Callable[[str], list[str]]
) -> None:
    before = chores.add.delay(40)
    assert before.state.name == "Scheduled" and before.run.process_id is None and not before.done()
    start("add", "swap", "count", "count_async", "Shop.sell")
    assert before.result(timeout=30) == 42
    assert chores.swap.delay(chores.Point(1, 2)).result(timeout=30) == chores.Point(2, 1)
    assert chores.count.delay(3).result(timeout=30) == chores.count_async.delay(n=3).result(timeout=30) == [0, 1, 2]
    assert chores.Shop("corner").sell.delay("tea").result(timeout=30) == "corner: tea"
    assert chores.add.apply_async((1,), {"b": 1}).result(timeout=30) == 2
    run = before.run
    assert run.process_id not in (None, runtime.process.id)
    assert (run.kind, run.name, run.tags, run.parameters) == ("task", "add 40", ("mine",), {"a": 40})
    assert story(run.id) == ["Scheduled", "Running", "Completed"]
    assert before.done() and before.task_run_id in repr(before)


def test_a_script_leaves_it_and_a_module_of_that_name_takes_it(
    chores: ModuleType, start: Start, tmp_path: Path, runtime: Runtime
) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    left = subprocess.run(
        [sys.executable, tmp_path / "chores.py"], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    future = BackgroundFuture(runtime, left.stdout.strip())
    assert future.state.name == "Scheduled"
    start("add")
    assert future.result(timeout=30) == 42


def test_two_processes_share_the_runs(chores: ModuleType, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    futures = [chores.note.delay(str(path), number) for number in range(200)]
    start("note", limit=4)
    start("note", limit=4)
    for future in futures:
        assert future.result(timeout=60) is None
    lines = [line.split() for line in path.read_text().splitlines()]
    assert sorted(int(number) for _, number in lines) == list(range(200))
    assert {run.process_id for run in (future.run for future in futures)} != {None}


def test_a_server_is_killed(chores: ModuleType, start: Start, tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    begun, waiting = chores.stuck.delay(str(mark)), chores.add.delay(1)
    server = start("stuck", "add", limit=1)
    until(mark.exists)
    server.kill()
    server.wait()
    assert of(begun).state.is_crashed() and "is gone" in str(begun.state.message)
    with pytest.raises(CrashedRun, match="is gone"):
        begun.result(timeout=30)
    assert waiting.state.name == "Scheduled"
    start("add")
    assert waiting.result(timeout=30) == 3
    assert begun.state.is_crashed()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_server_is_stopped(
    chores: ModuleType,
    start: Start,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    story: Callable[[str], list[str]],
) -> None:
    mark = tmp_path / "begun"
    begun, waiting = chores.stuck.delay(str(mark)), chores.add.delay(1)
    server = start("stuck", "add", limit=1)
    until(mark.exists)
    server.send_signal(number)
    assert server.wait(30) == code
    assert story(begun.task_run_id) == ["Scheduled", "Running", "Cancelling", "Cancelled"]
    assert "was stopped" in json.dumps([event.payload for event in begun._host.store.states(begun.task_run_id)])
    assert waiting.state.name == "Scheduled"


def test_an_idle_server_is_stopped(chores: ModuleType, start: Start) -> None:
    server = start("add")
    assert chores.add.delay(1).result(timeout=30) == 3
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 143


def test_cancelled_while_another_process_runs_it(chores: ModuleType, start: Start, tmp_path: Path) -> None:
    start("stuck", limit=2)
    for number, cancel in enumerate((BackgroundFuture.cancel, lambda each: command_line(["cancel", each.task_run_id]))):
        mark = tmp_path / f"begun-{number}"
        future = chores.stuck.delay(str(mark))
        until(mark.exists)
        cancel(future)
        with pytest.raises(CancelledRun):
            future.result(timeout=30)
        future.cancel()
        assert future.state.is_cancelled()


# -- what a run is like ------------------------------------------------------------------------------------------------


def test_what_was_left_an_hour_ago_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    @task
    def old() -> int:
        return 1

    with monkeypatch.context() as patched:
        an_hour_ago = SimpleNamespace(time=lambda: time.time() - 3600, monotonic=time.monotonic)
        patched.setattr(background, "time", an_hour_ago)
        patched.setattr(delayed, "time", an_hour_ago)
        future = old.delay()
    assert future.run.created_at < time.time() - 3000
    with serving(old):
        assert future.result(timeout=30) == 1


def test_retries_timeouts_and_failures(story: Callable[[str], list[str]]) -> None:
    calls: list[int] = []

    @task(retries=2)
    def third_time() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("not yet")
        return len(calls)

    @task(timeout_seconds=0.05)
    async def slow() -> None:
        await asyncio.sleep(60)

    @task(retries=1)
    def bad() -> None:
        raise ValueError("never")

    with serving(third_time, slow, bad):
        lucky, late, failed = third_time.delay(), slow.delay(), bad.delay()
        assert lucky.result(timeout=30) == 3
        assert (lucky.run.attempt, lucky.run.max_attempts) == (3, 3)
        assert story(lucky.task_run_id)[:4] == ["Scheduled", "Running", "AwaitingRetry", "Retrying"]
        assert of(late).state.name == "TimedOut"
        with pytest.raises(FailedRun, match=TaskTimeout.__name__):
            late.result()
        with pytest.raises(FailedRun, match="ValueError: never"):
            failed.result(timeout=30)
        assert isinstance(failed.result(raise_on_failure=False), FailedRun)
        error = failed.run.error
        assert failed.run.attempt == 2 and error is not None and error.type == "ValueError"


def test_cancelled_before_anybody_has_begun() -> None:
    @task
    def never() -> None:
        raise AssertionError

    @task
    def after() -> int:
        return 1

    future = never.delay()
    future.cancel()
    assert future.state.is_cancelled() and future.state.message == "cancelled before it began"
    with serving(never, after, limit=1):
        assert after.delay().result(timeout=30) == 1
    assert future.state.is_cancelled()


@pytest.mark.parametrize("is_async", [False, True])
def test_cancelled_while_it_runs(is_async: bool, story: Callable[[str], list[str]]) -> None:
    begun = threading.Event()

    def work() -> None:
        begun.set()
        until(lambda: False, seconds=60)

    async def work_async() -> None:
        begun.set()
        await asyncio.sleep(60)

    stuck: Task[..., Any] = task(name="stuck")(work_async if is_async else work)
    with serving(stuck):
        future = stuck.delay()
        assert begun.wait(30)
        future.cancel()
        with pytest.raises(CancelledRun):
            future.result(timeout=30)
    assert story(future.task_run_id) == ["Scheduled", "Running", "Cancelling", "Cancelled"]


def test_arguments_that_cannot_be_stored(runs: Callable[[], list[Run]], wf_home: Path) -> None:
    @task
    def use(first: Any, *more: Any, **named: Any) -> None: ...

    lock = threading.Lock()
    for args, kwargs, name in [((lock,), {}, "first"), ((1, lock), {}, "more"), ((1,), {"it": lock}, "it")]:
        with pytest.raises(MissingResult, match=rf"argument '{name}' of the background task 'use': .*lock"):
            use.delay(*args, **kwargs)
    with pytest.raises(ParameterError, match="first"):
        use.delay()
    with pytest.raises(ParameterError, match="first"):
        use.delay(more=use.submit(1))
    use.fn(1)
    assert [run.name for run in runs()] == ["use-0"]
    assert not list((wf_home / "results").rglob("*.*"))


def test_a_large_argument() -> None:
    @task
    def size(data: bytes) -> int:
        return len(data)

    with serving(size):
        assert size.delay(b"x" * 1_000_000).result(timeout=30) == 1_000_000


def test_arguments_are_masked_in_the_record_and_forgotten_when_the_run_begins(runtime: Runtime, wf_home: Path) -> None:
    @task
    def login(user: str, password: str) -> int:
        return len(password)

    future = login.delay("me", password="canary-in-a-mine")
    assert future.run.parameters == {"user": "me", "password": "***"}
    key = f"delayed/{future.task_run_id}"
    stored = runtime.store.find_result(key, time.time())
    assert stored is not None and b"canary" in stored.data
    with serving(login):
        assert future.result(timeout=30) == 16
    assert runtime.store.find_result(key, time.time()) is None
    left = runtime.store.find_result(key, -1.0)
    assert left is not None and left.data == b"null"


def test_futures_among_the_arguments(runtime: Runtime) -> None:
    @task
    def one() -> int:
        return 1

    @task
    def broken() -> int:
        raise ValueError("upstream")

    @task
    def total(numbers: list[Any], more: Any = 0) -> str:
        return f"{numbers} {more}"

    with serving(total):
        first, second = one.submit(), one.submit()
        future = total.delay([first, {"x": second}], more=allow_failure(broken.submit()))
        assert future.result(timeout=30).startswith("[1, {'x': 1}] upstream")
        assert {first.task_run_id, second.task_run_id} < set(future.run.upstream)
        waited = total.apply_async(([],), wait_for=[first])
        assert waited.run.upstream == (first.task_run_id,)
        with pytest.raises(ValueError, match="upstream"):
            total.delay([broken.submit()])
        assert waited.result(timeout=30) == "[] 0"


def test_the_future_of_a_background_task_arrives_as_itself() -> None:
    @task
    def one() -> int:
        return 1

    @task
    def more(future: BackgroundFuture) -> int:
        value: int = future.result(timeout=30)
        return value + 1

    with serving(one, more, limit=1):
        first = one.delay()
        assert more.delay(first).result(timeout=30) == 2
        assert pickle.loads(pickle.dumps(first)).result(timeout=30) == 1


async def _delayed_too_early(one: Task[..., Any], gate: threading.Event) -> None:
    future = one.submit(gate)
    try:
        with pytest.raises(ParameterError, match="await it"):
            one.delay(future)
    finally:
        gate.set()
    await future


def test_an_event_loop_is_not_blocked_by_a_future() -> None:
    @task
    def one(gate: threading.Event) -> bool:
        return gate.wait(30)

    @flow
    async def main() -> None:
        await _delayed_too_early(one, threading.Event())

    asyncio.run(main())


def test_a_flow_is_not_the_parent_but_known(runtime: Runtime) -> None:
    @task
    def chore() -> int:
        return 1

    @task
    def leaves() -> str:
        return chore.delay().task_run_id

    @flow
    def main() -> tuple[BackgroundFuture, str]:
        with tags("night"):
            return chore.delay(), leaves()

    @flow
    def outer() -> Any:
        return main()

    future, other = outer()
    run = future.run
    (flow_run,) = runtime.store.list_runs(RunFilter(flow="main", kinds=("flow",))).items
    assert (run.parent_id, run.root_id, run.flow_name) == (None, run.id, None)
    assert run.tags == ("night",)
    assert run.source["delayed_by"] == flow_run.id == runtime.store.get_run(other).source["delayed_by"]
    assert "delayed_by" not in chore.delay().run.source
    assert all(child.state.is_closed() for child in runtime.store.list_runs(RunFilter(parent_id=flow_run.id)).items)
    alone = runtime.store.get_run(leaves())
    (leaver,) = [each for each in runtime.store.list_runs(RunFilter(tasks=("leaves",))).items if each.parent_id is None]
    assert alone.source["delayed_by"] == leaver.id
    with serving(chore):
        assert future.result(timeout=30) == 1


def test_values_that_were_not_stored() -> None:
    @task(persist_result=False)
    def forgets() -> int:
        return 1

    @task
    def skips() -> None:
        from jupyter_wf import skip

        skip("nothing to do")

    with serving(forgets, skips):
        with pytest.raises(MissingResult, match="not stored"):
            forgets.delay().result(timeout=30)
        skipped = skips.delay()
        assert skipped.result(timeout=30) is None
        assert skipped.state.name == "Skipped"


def test_arguments_that_the_server_cannot_use() -> None:
    def make(fn: Callable[..., Any]) -> Task[..., Any]:
        fn.__qualname__ = "changed"
        return task(name="changed")(fn)

    before, now = make(lambda a: a), make(lambda a, b: a)
    with serving(now):
        future = before.delay(1)
        with pytest.raises(CrashedRun, match=r"could not be executed.*'b'"):
            future.result(timeout=30)


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_waiting_for_a_while(runtime: Runtime) -> None:
    @task
    def add(a: int) -> int:
        return a + 1

    futures = [add.delay(number) for number in range(50)]
    with pytest.raises(TimeoutError, match=r"0\.01 s"):
        futures[0].result(timeout=0.01)
    futures[0].wait(timeout=0)

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*futures)

    with serving(add):
        assert asyncio.run(all_of_them()) == [number + 1 for number in range(50)]
        assert asyncio.run(all_of_them()) == [number + 1 for number in range(50)]
        # The thread that listened has nothing left to do.
        until(lambda: "jupyter-wf-endings" not in [thread.name for thread in threading.enumerate()])


@pytest.mark.parametrize("limit", [1, 3, None])
def test_runs_that_wait_for_one_another_leave_their_places(limit: int | None) -> None:
    @task
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down.delay(n - 1).result(timeout=60)

    @task
    async def down_async(n: int) -> int:
        return 0 if n == 0 else 1 + await down_async.delay(n - 1)

    with serving(down, down_async, limit=limit):
        assert [down.delay(6).result(timeout=60), down_async.delay(6).result(timeout=60)] == [6, 6]


def test_waiting_in_a_submitted_task() -> None:
    @task
    def leaf(n: int) -> int:
        return n

    @task
    def asks(n: int) -> int:
        value: int = leaf.delay(n).result(timeout=60)
        return value

    @task
    def parent() -> list[int]:
        return asks.map(range(5)).result()

    with serving(leaf, parent, limit=1):
        assert parent.delay().result(timeout=60) == [0, 1, 2, 3, 4]


# -- servers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_so_many_at_the_same_time(is_async: bool) -> None:
    lock, together = threading.Lock(), threading.Barrier(3)
    now, most = 0, 0

    def enter(more: int) -> None:
        nonlocal now, most
        with lock:
            now += more
            most = max(most, now)

    @task
    def work() -> None:
        enter(1)
        together.wait(30)
        enter(-1)

    @task
    async def work_async() -> None:
        enter(1)
        await asyncio.to_thread(together.wait, 30)
        enter(-1)

    which = work_async if is_async else work
    with serving(which, limit=3):
        for future in [which.delay() for _ in range(12)]:
            future.result(timeout=60)
    assert most == 3


def test_two_servers_of_one_process_share_the_runs() -> None:
    done: list[int] = []

    @task
    def note(number: int) -> None:
        done.append(number)

    with serving(note), serving(note):
        for future in [note.delay(number) for number in range(100)]:
            future.result(timeout=60)
    assert sorted(done) == list(range(100))


def test_what_nobody_serves_is_in_nobodys_way() -> None:
    @task
    def unwanted() -> None: ...

    @task
    def wanted() -> int:
        return 1

    left = [unwanted.delay() for _ in range(120)]
    with serving(wanted, limit=1):
        assert wanted.delay().result(timeout=30) == 1
    assert {future.state.name for future in left} == {"Scheduled"}


def test_tasks_of_one_name_are_told_apart() -> None:
    def make(module: str, value: int) -> Task[..., Any]:
        def report() -> int:
            return value

        report.__qualname__ = f"{module}.report"
        return task(report)

    one, two, three = make("one", 1), make("two", 2), make("three", 3)
    futures = [one.delay(), two.delay(), three.delay()]
    assert {future.run.task_name for future in futures} == {"report"}
    with serving(one, two):
        assert [future.result(timeout=30) for future in futures[:2]] == [1, 2]
        assert futures[2].state.name == "Scheduled"
    assert delayed.is_same_task("a.b.f", "b.f") and not delayed.is_same_task("a.b.f", "c.b.f")
    assert delayed.is_same_task("f", "a.b.f") and not delayed.is_same_task("ab.f", "b.f")


@dataclass
class Till:
    name: str

    @task
    def open(self) -> str:
        return self.name


@pytest.mark.parametrize(
    ("tasks", "limit", "reason"),
    [
        ((), 10, "at least one"),
        ((print,), 10, "no task"),
        ((Till.open, Till.open), 10, "name"),
        ((Till("x").open,), 10, "Till.open"),
        ((Till.open,), 0, "0 is not"),
        ((Till.open,), True, "True is not"),
        ((Till.open,), 2.5, "2.5 is not"),
        ((Till.open,), 10**6, "10000"),
    ],
)
def test_what_cannot_be_served(tasks: tuple[Any, ...], limit: Any, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        serve(*tasks, limit=limit)


def test_the_limit_of_a_task_that_is_served_alone() -> None:
    with pytest.raises(ParameterError, match="limit"):
        Till.open.serve(limit=-1)


def test_a_task_that_does_not_stop_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Interrupt the server's own thread while a run ignores that it is to stop."""
    begun, go = threading.Event(), threading.Event()
    monkeypatch.setattr("jupyter_wf.engine.serving._GRACE", 0.2)

    @task
    def stubborn() -> None:
        begun.set()
        # In C: it can't be interrupted.
        go.wait(60)

    future = stubborn.delay()

    def interrupt() -> None:
        assert begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            serve(stubborn)
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
        assert future.state.is_cancelled()
        go.set()
    # What it does now has no effect on its record.
    until(lambda: not [each for each in threading.enumerate() if each.name == "jupyter-wf-server"])
    assert future.state.is_cancelled()


def test_arguments_that_are_missing_are_refused_at_once(runs: Callable[[], list[Run]]) -> None:
    @task
    def keyword_only(*, a: int) -> int:
        return a

    for call in (keyword_only, keyword_only.submit, keyword_only.delay):
        with pytest.raises(ParameterError, match="'a'"):
            call()
    assert runs() == []


def test_runs_are_listed_by_their_tasks(runtime: Runtime) -> None:
    @task
    def one() -> None: ...

    @task
    def two() -> None: ...

    ids = [each.delay().task_run_id for each in (one, two, one)]

    def listed(*tasks: str) -> list[str]:
        return [run.id for run in runtime.store.list_runs(RunFilter(tasks=tasks, oldest_first=True)).items]

    assert (listed("one"), listed("one", "two"), listed("three")) == ([ids[0], ids[2]], ids, [])
