"""Limits as users take them: in threads, in coroutines, with time-outs and interrupts, and by the tags of a task."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import jupyter_wf.concurrency.asyncio as for_asyncio
import jupyter_wf.concurrency.sync as for_sync
from jupyter_wf import flow, task
from jupyter_wf.concurrency import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    concurrency,
    get_limits,
    rate_limit,
    remove_limit,
    set_limit,
)
from jupyter_wf.context import tags
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.engine import limits as engine_limits
from jupyter_wf.engine.interrupts import Interruption, Target
from jupyter_wf.engine.limits import tag_slots
from jupyter_wf.engine.limits_async import tag_slots_async
from jupyter_wf.engine.runtime import current_runtime
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]


def taken(name: str) -> float:
    return next(limit.taken for limit in get_limits() if limit.name == name)


def waiting() -> int:
    """How many wait for slots in this process."""
    return sum(len(line) for line in list(engine_limits._place.lines.values()))


class Crowd:
    """Counts how many are inside at the same time, and how many were at most."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.entered = 0

    @contextmanager
    def here(self) -> Iterator[None]:
        with self.lock:
            self.inside += 1
            self.entered += 1
            self.most = max(self.most, self.inside)
        yield
        with self.lock:
            self.inside -= 1


def in_threads(work: Callable[[], None], number: int) -> None:
    """Call ``work`` in so many threads, and raise what one of them raises."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_threads_share_the_slots() -> None:
    set_limit("db", 2)
    crowd = Crowd()

    def work() -> None:
        for _ in range(3):
            with concurrency("db"), crowd.here():
                threading.Event().wait(0.002)

    in_threads(work, 8)
    assert (crowd.most, crowd.entered) == (2, 24)
    assert (taken("db"), waiting()) == (0, 0)


def test_coroutines_share_the_slots_with_threads() -> None:
    set_limit("db", 3)
    crowd = Crowd()

    async def awaited() -> None:
        async with for_asyncio.concurrency("db"):
            with crowd.here():
                await asyncio.sleep(0)
                await asyncio.sleep(0.001)

    async def many() -> None:
        await asyncio.gather(*(awaited() for _ in range(20)))

    def blocked() -> None:
        for _ in range(5):
            with for_sync.concurrency(["db"]), crowd.here():
                pass

    work: list[Callable[[], None]] = [lambda: asyncio.run(many()), blocked, blocked]
    in_threads(lambda: work.pop()(), 3)
    assert (crowd.most <= 3, crowd.entered) == (True, 30)
    assert (taken("db"), waiting()) == (0, 0)


def test_one_waits_until_another_thread_gives_back() -> None:
    set_limit("db", 2)
    entered = threading.Event()

    def work() -> None:
        with concurrency("db", occupy=2):
            entered.set()

    with concurrency("db"):
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: waiting() == 1, "the thread waits")
        assert not entered.is_set()
    thread.join(30)
    assert entered.is_set() and taken("db") == 0


def test_who_waits_goes_on_when_the_limit_grows_or_goes() -> None:
    set_limit("db", 1)
    for change in (lambda: set_limit("db", 2), lambda: remove_limit("db")):
        holding = concurrency("db")
        holding.__enter__()
        thread = threading.Thread(target=lambda: concurrency("db").__enter__())
        thread.start()
        until(lambda: waiting() == 1, "the thread waits")
        change()
        thread.join(30)
        assert not thread.is_alive()
        holding.__exit__(None, None, None)
        remove_limit("db")
        set_limit("db", 1)


def test_a_time_out() -> None:
    set_limit("db", 1)
    raised: list[type[BaseException]] = []

    def work() -> None:
        with pytest.raises(TimeoutError, match=r"'db' were free within 0\.05 s") as caught, concurrency("db", 1, 0.05):
            raise AssertionError
        raised.append(caught.type)

    async def awaited() -> None:
        with pytest.raises(AcquireConcurrencySlotTimeoutError):
            async with concurrency("db", timeout_seconds=0):
                raise AssertionError

    with concurrency("db"):
        in_threads(work, 2)
        asyncio.run(awaited())
        with pytest.raises(AcquireConcurrencySlotTimeoutError), concurrency("db", timeout_seconds=0.01):
            raise AssertionError
        assert taken("db") == 1
    assert raised == [AcquireConcurrencySlotTimeoutError] * 2
    assert (taken("db"), waiting()) == (0, 0)


def test_unknown_names_hold_nobody_up_unless_strict() -> None:
    set_limit("known", 1)
    with concurrency("unknown"), concurrency([]):
        rate_limit("unknown")
    with concurrency(["known", "unknown"]):
        assert taken("known") == 1
    for strict in (concurrency(["known", "unknown"], strict=True), concurrency("unknown", strict=True)):
        with pytest.raises(ConcurrencySlotAcquisitionError, match=r"'unknown': there is no such limit"), strict:
            raise AssertionError
    with pytest.raises(ConcurrencySlotAcquisitionError, match="unknown"):
        rate_limit("unknown", strict=True)
    assert taken("known") == 0


def test_a_limit_that_is_switched_off_holds_nobody_up() -> None:
    set_limit("db", 0, active=False)
    with concurrency("db", occupy=5, strict=True):
        assert taken("db") == 0


def test_more_than_there_is_is_refused() -> None:
    set_limit("db", 2)
    with pytest.raises(ConcurrencySlotAcquisitionError, match=r"'db'.*only 2"), concurrency("db", occupy=3):
        raise AssertionError
    for values in ({"occupy": 0}, {"occupy": 1.5}, {"timeout_seconds": -1}):
        with pytest.raises(InvalidRequest):
            concurrency("db", **values)  # type: ignore[arg-type]


def test_who_would_wait_for_itself_is_told() -> None:
    set_limit("db", 1)
    with concurrency("db"):
        with pytest.raises(ConcurrencySlotAcquisitionError, match="wait for ever"), concurrency("db"):
            raise AssertionError
        assert taken("db") == 1

    async def blocks_the_loop() -> None:
        async with concurrency("db"):
            with pytest.raises(ConcurrencySlotAcquisitionError, match="async with"), concurrency("db"):
                raise AssertionError

    asyncio.run(blocks_the_loop())
    assert taken("db") == 0


def test_the_synchronous_form_works_in_async_code() -> None:
    set_limit("db", 1)

    async def work() -> float:
        with concurrency("db"):
            await asyncio.sleep(0)
            return taken("db")

    assert asyncio.run(work()) == 1
    assert taken("db") == 0


def test_a_cancelled_coroutine_gives_back_what_it_would_have_taken() -> None:
    set_limit("db", 1)

    async def wants() -> None:
        async with concurrency("db"):
            raise AssertionError

    async def main() -> None:
        async with concurrency("db"):
            waiter = asyncio.create_task(wants())
            while not waiting():
                await asyncio.sleep(0.001)
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
        # Cancelled at every step of taking a free slot.
        for steps in range(12):
            taker = asyncio.create_task(hold())
            for _ in range(steps):
                await asyncio.sleep(0)
            taker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taker

    async def hold() -> None:
        async with concurrency("db"):
            await asyncio.Event().wait()

    asyncio.run(main())
    assert (taken("db"), waiting()) == (0, 0)


def test_an_interrupted_thread_stops_waiting() -> None:
    set_limit("db", 1)
    target, stopped = Target(), threading.Event()

    def work() -> None:
        try:
            with target, concurrency("db"):
                raise AssertionError
        except Interruption:
            stopped.set()

    with concurrency("db"):
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: waiting() == 1, "the thread waits")
        target.fire()
        assert stopped.wait(30)
        thread.join(30)
    assert (taken("db"), waiting()) == (0, 0)


def test_the_stop_button_ends_the_wait() -> None:
    set_limit("db", 1)
    ready, done = threading.Event(), threading.Event()

    def holder() -> None:
        with concurrency("db"):
            ready.set()
            done.wait(30)

    def press() -> None:
        until(lambda: waiting() == 1, "the main thread waits")
        os.kill(os.getpid(), signal.SIGINT)

    threads = [threading.Thread(target=holder), threading.Thread(target=press)]
    threads[0].start()
    assert ready.wait(30)
    threads[1].start()
    with pytest.raises(KeyboardInterrupt), concurrency("db"):
        raise AssertionError
    assert taken("db") == 1
    done.set()
    for thread in threads:
        thread.join(30)
    assert (taken("db"), waiting()) == (0, 0)


def test_slots_come_back_when_the_block_raises() -> None:
    set_limit("db", 1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), concurrency("db"):
            _ = 1 / 0
    assert taken("db") == 0


def test_a_decorator_holds_slots_around_each_call() -> None:
    set_limit("db", 2)

    @concurrency("db")
    def work(deeper: bool) -> float:
        """Say what is taken."""
        return work(False) if deeper else taken("db")

    @concurrency("db")
    async def awaited() -> float:
        return taken("db")

    assert (work(True), work(False), asyncio.run(awaited())) == (2, 1, 1)
    assert (work.__name__, work.__doc__) == ("work", "Say what is taken.")
    assert taken("db") == 0


def test_one_context_is_for_one_block_at_a_time() -> None:
    set_limit("db", 2)
    slots = concurrency("db")
    with slots:
        with pytest.raises(RuntimeError, match="held already"), slots:
            raise AssertionError
        assert taken("db") == 1
    with slots:
        assert taken("db") == 1
    assert taken("db") == 0


def test_a_rate_limit_uses_slots_up_and_waits_for_them() -> None:
    set_limit("api", 3, slot_decay_per_second=50)
    for _ in range(6):
        rate_limit("api")
    asyncio.run(for_asyncio.rate_limit("api", occupy=2))
    assert 0 < taken("api") <= 3
    set_limit("slow", 1, slot_decay_per_second=0.001)
    rate_limit("slow")
    with pytest.raises(AcquireConcurrencySlotTimeoutError):
        rate_limit("slow", timeout_seconds=0.01)
    with pytest.raises(AcquireConcurrencySlotTimeoutError):
        asyncio.run(for_asyncio.rate_limit("slow", timeout_seconds=0.01))
    assert waiting() == 0


def test_a_plain_limit_is_no_rate() -> None:
    set_limit("db", 1)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="no rate limit"):
        rate_limit("db")


HOLDER = """
import sys
from jupyter_wf.concurrency import concurrency
with concurrency("db"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_holds_the_slots_until_it_dies() -> None:
    set_limit("db", 1)
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        entered = threading.Event()

        def work() -> None:
            with concurrency("db"):
                entered.set()

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: waiting() == 1, "the thread waits")
        assert taken("db") == 1
        holder.kill()
        holder.wait(30)
        assert entered.wait(30)
        thread.join(30)


def test_the_child_of_a_fork_gives_nothing_of_the_parents_back() -> None:
    set_limit("db", 1)
    slots = concurrency("db")
    with slots:
        lease = slots._lease
        assert lease is not None
        pid = os.getpid()
        lease._pid = pid + 1
        lease.release()
        assert taken("db") == 1
        lease._pid = pid
    assert taken("db") == 0


def live_run(**more: Any) -> Any:
    runtime = current_runtime()
    return runtime.begin("task", "a-task", task_name="a-task", **more)


def test_a_task_waits_for_the_slots_of_its_tags() -> None:
    set_limit("tag:db", 1)
    set_limit("tag:other", 1)
    live = live_run()
    other = threading.Event()

    def work() -> None:
        with tag_slots(live_run(), ["other", "db", "plain"]):
            other.set()

    with tag_slots(live, ["db"]):
        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: waiting() == 1, "the second waits")
        assert (taken("tag:db"), taken("tag:other")) == (1, 0)
        with tag_slots(live, ["plain"]), tag_slots(live, []):
            pass
    assert other.wait(30)
    thread.join(30)

    async def awaited() -> float:
        async with tag_slots_async(live, ["db"]), tag_slots_async(live, ["plain"]):
            return taken("tag:db")

    assert asyncio.run(awaited()) == 1
    assert (taken("tag:db"), taken("tag:other")) == (0, 0)


def test_a_task_whose_tag_has_the_limit_0_never_runs() -> None:
    live = live_run()
    with tag_slots(live, ["db"]):
        pass
    set_limit("tag:db", 0)
    with pytest.raises(ConcurrencySlotAcquisitionError, match=r"tag:db.*no slots"), tag_slots(live, ["db"]):
        raise AssertionError
    remove_limit("tag:db")
    with tag_slots(live, ["db"]):
        pass


def test_a_tag_limit_of_another_process_is_seen() -> None:
    live = live_run()
    with tag_slots(live, ["db"]):
        pass
    current_runtime().store.limits.set("tag:db", 3)

    def counted() -> bool:
        with tag_slots(live, ["db"]):
            return taken("tag:db") == 1

    until(counted, "the limit counts")


def test_tasks_with_a_limited_tag_run_in_turn() -> None:
    set_limit("tag:db", 2)
    crowd = Crowd()

    @task(tags=["db"])
    def threaded() -> None:
        with crowd.here():
            threading.Event().wait(0.002)

    @task(tags=["db"])
    async def awaited() -> None:
        with crowd.here():
            await asyncio.sleep(0.002)

    @flow
    def pipeline() -> None:
        with tags("db"):
            futures = [*(threaded.submit() for _ in range(10)), *(awaited.submit() for _ in range(10))]
            for future in futures:
                future.result()

    @flow
    async def async_pipeline() -> None:
        await asyncio.gather(*(awaited() for _ in range(10)))

    with tags("db"):
        pipeline()
    asyncio.run(async_pipeline())
    assert (crowd.most, crowd.entered, taken("tag:db"), waiting()) == (2, 30, 0, 0)


def test_a_task_that_waits_for_a_slot_can_be_cancelled() -> None:
    set_limit("tag:db", 1)
    go, holds = threading.Event(), threading.Event()

    @task(tags=["db"])
    def work() -> None:
        holds.set()
        assert go.wait(30)

    @flow
    def pipeline() -> list[str]:
        first = work.submit()
        assert holds.wait(30)
        second = work.submit()
        until(lambda: waiting() == 1, "the second waits")
        second.cancel()
        second.wait(30)
        go.set()
        first.wait(30)
        return [first.state.name, second.state.name]

    assert pipeline() == ["Completed", "Cancelled"]
    assert (taken("tag:db"), waiting()) == (0, 0)


def test_a_task_below_the_one_that_holds_the_slots_is_told() -> None:
    set_limit("tag:db", 1)

    @task(tags=["db"])
    def inner() -> None:
        raise AssertionError

    @task(tags=["db"])
    async def async_inner() -> None:
        raise AssertionError

    @task(tags=["db"])
    def outer(way: str) -> None:
        inner() if way == "call" else inner.submit().result()

    @task(tags=["db"])
    async def async_outer() -> None:
        await async_inner()

    for work in (lambda: outer("call"), lambda: outer("submit"), lambda: asyncio.run(async_outer())):
        with pytest.raises(ConcurrencySlotAcquisitionError, match="wait for ever"):
            work()
    assert (taken("tag:db"), waiting()) == (0, 0)


def test_a_task_with_the_limit_0_fails_and_says_why() -> None:
    set_limit("tag:db", 0)

    @task(tags=["db"])
    def work() -> None:
        raise AssertionError

    state = work(return_state=True)
    assert state.is_failed() and "tag:db" in (state.message or "")
