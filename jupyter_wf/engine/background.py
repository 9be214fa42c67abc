"""Background tasks: `Task.delay` leaves a run for whoever serves the task, in this process or another."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from jupyter_wf.core.errors import MissingResult, RunFinished
from jupyter_wf.core.events import ResultStored, RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.arguments import find_upstream, resolve
from jupyter_wf.engine.callee import Callee, bind
from jupyter_wf.engine.calls import continue_run
from jupyter_wf.engine.context import TAGS
from jupyter_wf.engine.runs import Host
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.engine.tail import Tail
from jupyter_wf.store.blobs import Payload

__all__ = ["BackgroundFuture", "TaskServer", "delay"]

_KEY = "delayed/"
_WAITING = RunFilter(kinds=("task",), states=("SCHEDULED",), unowned=True, oldest_first=True)


class BackgroundFuture:
    """The result-to-be of a background task, whichever process executes it."""

    def __init__(self, host: Host, run_id: str) -> None:
        self._host = host
        #: The id of the task's run.
        self.task_run_id = run_id

    @property
    def run(self) -> Run:
        """The run as it was last committed."""
        return self._host.store.get_run(self.task_run_id)

    @property
    def state(self) -> State:
        """The state the run was last in."""
        return self.run.state

    def done(self) -> bool:
        """Whether the run has ended."""
        return self.state.is_closed()

    def wait(self, timeout: float | None = None) -> None:
        """Return when the run has ended, or after ``timeout`` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        tail = Tail(self._host.store, interval=self._host.settings.tail_interval, with_logs=False)
        with self._host.waiting():
            while not self.done():
                left = 0.5 if until is None else until - time.monotonic()
                if left <= 0:
                    return
                # Also without news: that its process has died is no event.
                tail.wait(min(left, 0.5))

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Wait for the run and return its value.

        Raises `FailedRun` and its like (or returns it, without ``raise_on_failure``) where it did not complete,
        `MissingResult` where its value was not stored, and `TimeoutError` after ``timeout`` seconds.
        """
        self.wait(timeout)
        run = self.run
        if not run.state.is_closed():
            raise TimeoutError(f"task run {run.name!r} did not end within {timeout:g} s")
        if not run.state.is_completed():
            return run.state.result(raise_on_failure=raise_on_failure)
        stored = self._host.store.run_result(run.id)
        if stored is None:
            raise MissingResult(f"task run {run.name!r} completed, but its value was not stored")
        return self._host.blobs.load(Payload(stored.format, stored.data))

    def cancel(self) -> None:
        """Ask the run to stop; one that nobody has begun is cancelled at once."""
        self._host.store.request(self.task_run_id, "cancel")

    def __await__(self) -> Generator[Any, None, Any]:
        # Only who awaits needs it, and has it already.
        import asyncio

        return asyncio.to_thread(self.result).__await__()

    def __repr__(self) -> str:
        return f"<BackgroundFuture {self.task_run_id}>"


def delay(
    callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any], wait_for: Iterable[Any] = ()
) -> BackgroundFuture:
    """Store a call as a SCHEDULED run of its own, which belongs to nobody yet; return its future.

    Futures among the arguments are waited for. Raises `ParameterError` for arguments that do not fit, `MissingResult`
    for one that can't be stored.
    """
    host = current_runtime()
    upstream = find_upstream((*args, *kwargs.values()), wait_for)
    for future in upstream.futures:
        future.result()
    args, kwargs = tuple(resolve(value) for value in args), {name: resolve(value) for name, value in kwargs.items()}
    arguments = bind(callee, args, kwargs)
    payload = host.blobs.keep((args, kwargs), "pickle")
    run_id, now = new_id(), time.time()
    tags = tuple(sorted({*TAGS.get(), *callee.tags}))
    created = RunCreated(
        run_id,
        now,
        "task",
        f"{callee.name}-{run_id[:8]}",
        *(None, callee.name, None, run_id, None),
        parameters=to_json(arguments),
        tags=json.dumps(tags),
        upstream=json.dumps([future.task_run_id for future in upstream.futures]),
        source=json.dumps(dict(callee.source)),
        max_attempts=callee.policy.retries + 1,
    )
    # The arguments first: whoever sees the run finds them.
    host.journal.append(ResultStored(run_id, now, _KEY + run_id, None, payload.format, payload.data))
    host.journal.append(created)
    host.journal.append(StateChanged(run_id, now, 1, StateType.SCHEDULED.value, "Scheduled"))
    host.journal.flush()
    return BackgroundFuture(host, run_id)


class TaskServer:
    """Executes the background runs of some tasks, as long as it is told to.

    ``callees`` are the tasks by name; ``limit`` is how many run at the same time.
    """

    def __init__(self, callees: Mapping[str, Callee], *, limit: int) -> None:
        self._callees = callees
        self._runtime: Runtime = current_runtime()
        self._limit = limit
        self._free = threading.Semaphore(limit)
        self._stopping = threading.Event()
        self._busy: dict[str, Any] = {}

    def stop(self) -> None:
        """Make `serve` return, from any thread, when what runs has ended."""
        self._stopping.set()

    def serve(self, idle: Callable[[], Any] | None = None) -> None:
        """Claim runs and execute them until `stop` is called; call ``idle`` each time there is nothing to claim.

        An interrupt (Ctrl-C) cancels what runs and goes on to the caller.
        """
        tail = Tail(self._runtime.store, interval=self._runtime.settings.tail_interval, with_logs=False)
        try:
            while not self._stopping.is_set():
                if not self._claim_all():
                    if idle is not None:
                        idle()
                    tail.wait(0.5)
        except BaseException:
            for live in list(self._busy.values()):
                live.cancel("the process that served its task was stopped")
            raise
        finally:
            self._drain()

    def _drain(self) -> None:
        """Wait for what runs."""
        for _ in range(self._limit):
            self._free.acquire()

    def _claim_all(self) -> int:
        many = 0
        for run in self._runtime.store.list_runs(_WAITING, limit=100).items:
            callee = self._callees.get(run.task_name or "")
            if callee is None or run.state.name != "Scheduled" or self._stopping.is_set():
                continue
            self._free.acquire()
            try:
                run = self._runtime.store.claim(run.id, self._runtime.process.id)
            except RunFinished:
                # Somebody else was quicker.
                self._free.release()
                continue
            self._begin(run, callee)
            many += 1
        return many

    def _begin(self, run: Run, callee: Callee) -> None:
        live = self._runtime.adopt(run)
        self._busy[run.id] = live

        def work() -> None:
            try:
                stored = self._runtime.store.find_result(_KEY + run.id, time.time())
                if stored is None:
                    raise MissingResult(f"the arguments of task run {run.name!r} are not there any more")
                args, kwargs = self._runtime.blobs.load(Payload(stored.format, stored.data))
                live.parameters = bind(callee, args, kwargs)
                if callee.is_async:
                    from jupyter_wf.engine.asynchronous import continue_async

                    self._runtime.portal.call(continue_async, callee, live, args, kwargs)
                else:
                    continue_run(callee, live, args, kwargs)
            except Exception as error:
                live.close(StateType.CRASHED, f"it could not be executed: {error}", error)
            finally:
                self._busy.pop(run.id, None)
                self._free.release()

        self._runtime.executor.spawn(work)
