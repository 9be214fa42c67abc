"""Futures of submitted tasks, and finding them in arguments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from jupyter_wf.core.states import State
from jupyter_wf.engine.runs import LiveRun

__all__ = ["RunFuture", "RunFutureList", "as_completed", "wait"]

R = TypeVar("R")

#: Seconds for which a thread waits in one go: a signal that comes just before it blocks is noticed only afterwards.
_SLICE = 0.2


class RunFuture(Generic[R]):
    """The result-to-be of a submitted task.

    May be passed as an argument to other tasks, also inside containers, dataclasses and models: they wait for it.
    """

    __slots__ = ("__weakref__", "_callbacks", "_done", "_gate", "_run")

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._done = False
        self._callbacks: list[Callable[[RunFuture[R]], Any]] = []
        # A held lock is the cheapest thing that several threads can wait for.
        self._gate = threading.Lock()
        self._gate.acquire()

    @property
    def task_run_id(self) -> str:
        """The id of the task's run."""
        return self._run.id

    @property
    def run(self) -> LiveRun:
        """The run itself."""
        return self._run

    @property
    def state(self) -> State:
        """The state the run is in now."""
        return self._run.state

    def done(self) -> bool:
        """Whether the run has ended."""
        return self._done

    def wait(self, timeout: float | None = None) -> None:
        """Return when the run has ended, or after ``timeout`` seconds."""
        if self._done:
            return
        until = None if timeout is None else time.monotonic() + timeout
        with self._run.runtime.waiting():
            while not self._done:
                left = _SLICE if until is None else min(_SLICE, max(0.0, until - time.monotonic()))
                if self._gate.acquire(timeout=left):
                    self._gate.release()
                    return
                if until is not None and time.monotonic() >= until:
                    return

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Wait for the run and return its value.

        Raises the task's own exception where it did not complete (or returns it, without ``raise_on_failure``), and
        `TimeoutError` after ``timeout`` seconds.
        """
        self.wait(timeout)
        if not self._done:
            raise TimeoutError(f"task run {self._run.name!r} did not end within {timeout:g} s")
        value: R = self._run.state.result(raise_on_failure=raise_on_failure)
        return value

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._run.cancel()

    def add_done_callback(self, callback: Callable[[RunFuture[R]], Any]) -> None:
        """Call ``callback`` with this future when the run has ended, on the thread that ends it; at once if it has."""
        with self._run.lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def _finish(self) -> None:
        """Called once by the thread that has driven the run to its end."""
        with self._run.lock:
            if self._done:
                return
            self._done = True
            callbacks, self._callbacks = self._callbacks, []
        self._gate.release()
        for callback in callbacks:
            callback(self)

    def __await__(self) -> Generator[Any, None, R]:
        return self._result_async().__await__()

    async def _result_async(self) -> R:
        await self.until_done()
        return self.result()

    async def until_done(self) -> None:
        """Wait, without blocking the event loop, until the run has ended."""
        # Only who awaits needs it, and has it already.
        import asyncio

        if self._done:
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
        await ended.wait()

    def __repr__(self) -> str:
        return f"<RunFuture {self._run.name!r} {self._run.state.name}>"


class RunFutureList(list[RunFuture[R]]):
    """The futures of mapped calls, in the order of the calls."""

    def wait(self, timeout: float | None = None) -> None:
        """Return when all have ended, or after ``timeout`` seconds."""
        wait(self, timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """Wait for all and return their values in order.

        Raises the first exception, in order, of a run that did not complete (it is in its place in the list without
        ``raise_on_failure``), and `TimeoutError` where they have not all ended ``timeout`` seconds after the call.
        """
        until = None if timeout is None else time.monotonic() + timeout
        return [
            future.result(None if until is None else max(0.0, until - time.monotonic()), raise_on_failure)
            for future in self
        ]


def wait(
    futures: Iterable[RunFuture[Any]], timeout: float | None = None
) -> tuple[set[RunFuture[Any]], set[RunFuture[Any]]]:
    """Wait for all ``futures``, at most ``timeout`` seconds; return (done, not done)."""
    many = list(futures)
    pending = list(as_completed(many, timeout=timeout, raise_on_timeout=False))
    done = set(pending)
    return done, set(many) - done


def as_completed(
    futures: Iterable[RunFuture[Any]], timeout: float | None = None, *, raise_on_timeout: bool = True
) -> Iterator[RunFuture[Any]]:
    """Yield ``futures`` in the order in which they end.

    Raises `TimeoutError` when some have not ended ``timeout`` seconds after the previous one did (it just stops when
    ``raise_on_timeout`` is false).
    """
    many = list(dict.fromkeys(futures))
    if not many:
        return
    ready = threading.Semaphore(0)
    order: list[RunFuture[Any]] = []

    def note(future: RunFuture[Any]) -> None:
        order.append(future)
        ready.release()

    for future in many:
        future.add_done_callback(note)
    runtime = many[0].run.runtime
    for number in range(len(many)):
        with runtime.waiting():
            in_time = ready.acquire(timeout=timeout)
        if not in_time:
            if raise_on_timeout:
                raise TimeoutError(f"{len(many) - number} of {len(many)} futures have not ended")
            return
        yield order[number]
