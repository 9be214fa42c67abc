"""Background tasks: `Task.delay` leaves a run for whoever serves the task, in this process or another."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from jupyter_wf.core.errors import MissingResult, ParameterError, RunFinished
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import Run
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.arguments import Upstream, find_upstream, resolve
from jupyter_wf.engine.callee import Callee, bind, named
from jupyter_wf.engine.context import CURRENT, TAGS, ambient_parent
from jupyter_wf.engine.delayed import TASK_KEY, keep_call, task_key
from jupyter_wf.engine.ended import endings_of
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.engine.serving import TaskServer, giving_place
from jupyter_wf.store.blobs import Payload

__all__ = ["BackgroundFuture", "TaskServer", "delay"]

#: How often (seconds) a thread that waits can be interrupted, where no signal reaches it.
_SLICE = 0.1


class BackgroundFuture:
    """The result-to-be of a background task, whichever process executes it.

    It can be pickled: as an argument of another background task it arrives there as itself.
    """

    def __init__(self, host: Host, run_id: str) -> None:
        self._host = host
        #: The id of the task's run.
        self.task_run_id = run_id

    def __reduce__(self) -> tuple[Any, ...]:
        return _future_of, (self.task_run_id,)

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
        if self.done():
            return
        until = None if timeout is None else time.monotonic() + timeout
        bell: SimpleQueue[bool] = SimpleQueue()
        forget = endings_of(self._host).watch(self.task_run_id, lambda: bell.put(True))
        try:
            with giving_place(), self._host.waiting():
                while not self.done():
                    rung = False
                    while not rung:
                        left = _SLICE if until is None else min(_SLICE, until - time.monotonic())
                        if left <= 0:
                            return
                        with suppress(Empty):
                            rung = bell.get(timeout=left)
        finally:
            forget()

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
        if stored is not None:
            return self._host.blobs.load(Payload(stored.format, stored.data))
        if run.state.name == "Skipped":
            return None
        raise MissingResult(f"task run {run.name!r} completed, but its value was not stored; its log may say why")

    def cancel(self) -> None:
        """Ask the run to stop; one that nobody has begun is cancelled at once. Does nothing when it has ended."""
        with suppress(RunFinished):
            self._host.store.request(self.task_run_id, "cancel")

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result_async().__await__()

    async def _result_async(self) -> Any:
        # Only who awaits needs it, and has it already.
        import asyncio

        if not self.done():
            loop, ended = asyncio.get_running_loop(), asyncio.Event()

            def ring() -> None:
                with suppress(RuntimeError):
                    # The loop may be gone.
                    loop.call_soon_threadsafe(ended.set)

            forget = endings_of(self._host).watch(self.task_run_id, ring)
            try:
                with giving_place():
                    while not self.done():
                        await ended.wait()
                        ended.clear()
            finally:
                forget()
        return await asyncio.to_thread(self.result)

    def __repr__(self) -> str:
        return f"<BackgroundFuture {self.task_run_id}>"


def _future_of(run_id: str) -> BackgroundFuture:
    return BackgroundFuture(current_runtime(), run_id)


def delay(
    callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any], wait_for: Iterable[Any] = ()
) -> BackgroundFuture:
    """Store a call as a SCHEDULED run of its own, which belongs to nobody yet; return its future.

    Futures among the arguments, and ``wait_for``, are waited for. The arguments stay stored, readable for this user
    only, until the run begins; what the record shows of them is masked as everywhere. Raises `ParameterError` for
    arguments that do not fit (nothing is stored then), `MissingResult` for one that can't be stored, and what a task
    raised whose future is among the arguments.
    """
    host = current_runtime()
    upstream = find_upstream((*args, *kwargs.values()), wait_for)
    if upstream:
        bind(callee, args, kwargs)
        _wait_for(callee, upstream)
        args, kwargs = tuple(map(resolve, args)), {name: resolve(value) for name, value in kwargs.items()}
    arguments = bind(callee, args, kwargs)
    run_id, now = new_id(), time.time()
    name = named(callee, arguments) or f"{callee.name}-{run_id[:8]}"
    kept = keep_call(host, run_id, callee, args, dict(kwargs), arguments)
    created = RunCreated(
        *(run_id, now, "task", name, None, callee.name, None, run_id, None),
        parameters=to_json(arguments),
        tags=json.dumps(sorted({*TAGS.get(), *callee.tags})),
        upstream=json.dumps([future.task_run_id for future in upstream.futures]),
        source=json.dumps({**callee.source, TASK_KEY: task_key(callee), **_origin()}),
        max_attempts=callee.policy.retries + 1,
    )
    journal = host.journal
    # The arguments first: whoever sees the run finds them.
    for entry in (kept, created, StateChanged(run_id, now, 1, StateType.SCHEDULED.value, "Scheduled")):
        journal.append(entry)
    journal.flush()
    return BackgroundFuture(host, run_id)


def _origin() -> dict[str, str]:
    """Tell which flow run (or task run, where there is no flow) a call was delayed in."""
    around, ambient = CURRENT.get(), ambient_parent()
    if around is not None:
        return {"delayed_by": around.flow_run_id or around.id}
    return {} if ambient is None else {"delayed_by": ambient.run_id}


def _wait_for(callee: Callee, upstream: Upstream) -> None:
    """Wait until every future has ended; raise what the first raised that was not to fail."""
    around = CURRENT.get()
    awaiting = around is not None and around.callee is not None and around.callee.is_async
    for future in upstream.futures:
        if awaiting and not future.done():
            why = f"the future of {future.run.name!r} is not done; await it before the task is delayed"
            raise ParameterError(callee.name, why)
        future.wait()
    for future in upstream.futures:
        if future.task_run_id not in upstream.excused:
            future.result()
