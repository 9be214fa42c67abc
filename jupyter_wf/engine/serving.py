"""Executing background tasks: `TaskServer` claims the runs that `Task.delay` has left, and makes their calls."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context, ContextVar
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from jupyter_wf.core.errors import ParameterError, RunFinished, StoreError
from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.callee import Callee, bind
from jupyter_wf.engine.calls import continue_run
from jupyter_wf.engine.delayed import TASK_KEY, is_of_object, is_same_task, take_call, task_key
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.executors.base import Executor
from jupyter_wf.executors.registry import make_executor

__all__ = ["TaskServer", "exit_on_sigterm", "giving_place"]

#: How long (seconds) what runs may take to stop when the server is stopped; then its record is closed all the same.
_GRACE = 5.0
_MOST = 10_000
_PAGE = 50
_STOPPED = "the process that served its task was stopped"

#: The runs that servers of this process have taken: the store tells processes apart, not the servers of one.
_taken: set[str] = set()
_taking = threading.Lock()


class _Place:
    """One of the places that a server has, while a run occupies it."""

    def __init__(self, free: Callable[[int], None]) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._waiting = 0

    def wait(self, more: int) -> None:
        """Take note of one more, or one less, who waits in this place: it is free as long as somebody does."""
        with self._lock:
            before = self._waiting > 0
            self._waiting += more
            after = self._waiting > 0
        if before != after:
            self._free(1 if after else -1)


_place: ContextVar[_Place | None] = ContextVar("jupyter_wf_served_place", default=None)


@contextmanager
def giving_place() -> Iterator[None]:
    """Within the block, a run that a server of this process executes leaves its place to others, as it waits for them.

    Runs that wait for one another could otherwise occupy every place.
    """
    place = _place.get()
    if place is None:
        yield
        return
    place.wait(1)
    try:
        yield
    finally:
        place.wait(-1)


class TaskServer:
    """Executes the background runs of some tasks, as long as it is told to.

    ``callees`` are the tasks, under whatever names; ``limit`` is how many runs are executed at the same time, None for
    any number. One that waits for another background run does not count. ``on_change`` is called, on any thread, with
    each run when it has been taken and when it has ended.

    Raises `ParameterError` for a limit that is no whole number from 1, and for tasks that can't be told apart.
    """

    def __init__(
        self,
        callees: Mapping[str, Callee],
        *,
        limit: int | None = 10,
        on_change: Callable[[LiveRun], Any] | None = None,
    ) -> None:
        if limit is not None and (type(limit) is not int or not 1 <= limit <= _MOST):
            raise ParameterError("limit", f"{limit!r} is not a whole number from 1 to {_MOST}")
        self._served = _by_name(callees.values())
        self._runtime: Runtime = current_runtime()
        # Its first use makes this process known in the store.
        self._runtime.journal.flush()
        self._threads = _MOST if limit is None else limit
        self._free = self._threads
        self._lock = threading.Lock()
        self._on_change = on_change
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._busy: dict[str, LiveRun] = {}

    def stop(self) -> None:
        """Make `serve` return, from any thread, when what runs has ended."""
        self._stopping = True
        self._bell.put(None)

    def serve(self) -> None:
        """Claim runs and execute them until `stop` is called.

        What interrupts the calling thread (Ctrl-C; SIGTERM, where nobody handles it, as `SystemExit`) cancels what
        runs, and goes on to the caller at the latest `_GRACE` seconds later.
        """
        ended: SimpleQueue[BaseException | None] = SimpleQueue()
        # An interrupt can't come between a claim and the run's beginning: it hits this thread, which does nothing.
        worker = threading.Thread(target=self._work, args=(ended,), name="jupyter-wf-server", daemon=True)
        with exit_on_sigterm():
            try:
                worker.start()
                trouble = ended.get()
            except BaseException:
                self._cancel(worker)
                raise
        if trouble is not None:
            self._cancel(worker)
            raise trouble

    def _work(self, ended: SimpleQueue[BaseException | None]) -> None:
        store, trouble = self._runtime.store, None
        version: int | None = None
        try:
            with ExitStack() as stack:
                pool = make_executor("thread", self._threads)
                pool.start(stack)
                while not self._stopping or self._busy:
                    now = store.data_version()
                    if now != version and self._free > 0 and not self._stopping:
                        # Remembered before the look: what is committed meanwhile is looked for again.
                        version = now if self._claim(pool) else None
                    with suppress(Empty):
                        self._bell.get(timeout=self._runtime.settings.tail_interval)
                        version = None
        except BaseException as error:
            trouble = error
        ended.put(trouble)

    def _cancel(self, worker: threading.Thread) -> None:
        """Stop what runs; close the records of what does not stop in time."""
        try:
            self.stop()
            for live in list(self._busy.values()):
                live.cancel(_STOPPED)
            until = time.monotonic() + _GRACE
            pause: SimpleQueue[None] = SimpleQueue()
            while (self._busy or worker.is_alive()) and time.monotonic() < until:
                for live in list(self._busy.values()):
                    # It may have been taken since.
                    if not live.cancel_requested:
                        live.cancel(_STOPPED)
                with suppress(Empty):
                    pause.get(timeout=0.01)
        finally:
            for live in list(self._busy.values()):
                live.close(StateType.CANCELLED, _STOPPED)
            # What does not stop is nobody's any more.
            self._busy.clear()
            with suppress(StoreError):
                self._runtime.journal.flush()

    def _change_free(self, more: int) -> None:
        with self._lock:
            self._free += more
        self._bell.put(None)

    def _claim(self, pool: Executor) -> bool:
        """Begin what waits, as far as there are places; return whether nothing that is ours still waits."""
        where = RunFilter(
            kinds=("task",), states=("SCHEDULED",), tasks=tuple(self._served), unowned=True, oldest_first=True
        )
        cursor: str | None = None
        while True:
            page = self._runtime.store.list_runs(where, limit=_PAGE, cursor=cursor)
            for run in page.items:
                callee = self._callee_of(run)
                if callee is None:
                    continue
                if self._free <= 0 or self._stopping:
                    return False
                if self._take(run):
                    self._begin(run, callee, pool)
            cursor = page.next_cursor
            if cursor is None:
                return True

    def _callee_of(self, run: Run) -> Callee | None:
        served, key = self._served.get(run.task_name or "", {}), run.source.get(TASK_KEY)
        if not isinstance(key, str) or run.state.name != "Scheduled":
            return None
        return served.get(key) or next((callee for other, callee in served.items() if is_same_task(key, other)), None)

    def _take(self, run: Run) -> bool:
        """Claim a run; return whether it is ours."""
        with _taking:
            if run.id in _taken:
                return False
            try:
                self._runtime.store.claim(run.id, self._runtime.process.id)
            except RunFinished:
                # Somebody else was quicker, or it was cancelled.
                return False
            _taken.add(run.id)
            return True

    def _begin(self, run: Run, callee: Callee, pool: Executor) -> None:
        place = _Place(self._change_free)
        with self._lock:
            self._free -= 1
        live = self._runtime.adopt(replace(run, process_id=self._runtime.process.id))
        live.max_attempts = run.max_attempts
        self._busy[run.id] = live
        # Nothing of what is around the server is around the run.
        context = Context()
        context.run(_place.set, place)
        pool.spawn(partial(context.run, self._execute, run, callee, live))

    def _execute(self, run: Run, callee: Callee, live: LiveRun) -> None:
        """Make a run's call; on a thread of the pool."""
        try:
            self._tell(live)
            args, kwargs = take_call(self._runtime, run)
            live.parameters = bind(callee, args, kwargs)
            if not callee.is_async:
                continue_run(callee, live, args, kwargs)
                self._end(live)
                return
            # Only async background tasks need it.
            from jupyter_wf.engine.asynchronous import continue_async

            work = self._runtime.portal.start_task_soon(continue_async, callee, live, args, kwargs)
            work.add_done_callback(lambda done: self._end(live, None if done.cancelled() else done.exception()))
        except BaseException as error:
            self._end(live, error)

    def _end(self, live: LiveRun, error: BaseException | None = None) -> None:
        """Take note that a run is over; one that could not be executed is closed."""
        try:
            if live.is_open and live.state.name != "Suspended":
                live.close(StateType.CRASHED, f"it could not be executed: {describe(error)}", error)
                self._runtime.journal.flush()
        except StoreError:
            # Those who wait for the server hear of it.
            pass
        finally:
            self._busy.pop(live.id, None)
            _taken.discard(live.id)
            self._change_free(1)
            self._tell(live)

    def _tell(self, live: LiveRun) -> None:
        if self._on_change is not None:
            self._on_change(live)


def _by_name(callees: Iterable[Callee]) -> dict[str, dict[str, Callee]]:
    """Return the tasks by name and key. Raises `ParameterError` for two of one key, and for an object's method."""
    found: dict[str, dict[str, Callee]] = {}
    for callee in callees:
        if is_of_object(callee):
            why = f"{callee.name!r} is a method of one object; serve it as its class has it: {callee.fn.__qualname__}"
            raise ParameterError("tasks", why)
        same = found.setdefault(callee.name, {})
        key = task_key(callee)
        if key in same:
            raise ParameterError("tasks", f"two of them are {key!r} and named {callee.name!r}: give one another name")
        same[key] = _whole(callee)
    if not found:
        raise ParameterError("tasks", "give at least one task to serve")
    return found


def _whole(callee: Callee) -> Callee:
    """Return a generator task as one that returns the list of what it yields, as it does when it is submitted."""
    if not callee.yields:
        return callee
    fn = partial(_listed_async if callee.is_async else _listed, callee.fn)
    return callee._replace(yields=False, fn=fn)


def _listed(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return list(fn(*args, **kwargs))


async def _listed_async(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return [item async for item in fn(*args, **kwargs)]


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """In the main thread, where nobody handles it, make SIGTERM a `SystemExit` for the block."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)
