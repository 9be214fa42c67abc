"""The work of a run: the call itself, with what its submitted tasks and teardowns need when it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.signals import StopFlow, SuspendRun
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.drivers import late
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.runs import LiveRun

if TYPE_CHECKING:
    from jupyter_wf.engine.calls import Invocation

__all__ = [
    "GRACE",
    "ORDERLY",
    "Ending",
    "around",
    "around_run",
    "cancel_children",
    "cancel_waiting",
    "completed",
    "make_work",
    "next_attempt",
    "next_teardown",
    "states_of",
    "stop_children",
    "teardown_failed",
]

#: How long (seconds) a cancelled flow waits for its tasks to stop before it closes their records.
GRACE = 0.4
#: What ends the work of a run without stopping what is below it: a failure, or there is no more to be done.
ORDERLY = (Exception, StopFlow, GeneratorExit)
_NO_TRANSACTION = nullcontext()
_DONE = State(type=StateType.COMPLETED, name="Completed", data=None)


@contextmanager
def around(live: LiveRun, callee: Callee) -> Iterator[None]:
    """While the block drives a run: its prints are logged, and it may become late, where its options ask for it."""
    seconds = callee.policy.late_after
    deadline = None if seconds is None else live.runtime.deadlines.add(seconds, partial(late, live, seconds))
    if callee.log_prints is False:
        live.log_prints = False
    try:
        if callee.log_prints:
            # Only those who ask for it need it.
            from jupyter_wf.engine.prints import printing

            with printing(live):
                yield
        else:
            yield
    finally:
        if deadline is not None:
            live.runtime.deadlines.drop(deadline)


def around_run(live: LiveRun, key: str | None, *, ran: bool = False) -> Any:
    """Return the transaction of a run, for ``with`` and ``async with``: nothing where its task needs none.

    ``key`` is its cache key, if it has one; ``ran`` tells that the run has been executed already.
    """
    callee = live.callee
    serial = key is not None and callee.results is not None and callee.results.serial
    if callee.transactional is None and not serial:
        return _NO_TRANSACTION
    # Most tasks have no hooks of transactions.
    from jupyter_wf.engine.transaction import RunTransaction

    return RunTransaction(live, key, serial, ran)


def completed(live: LiveRun, callee: Callee) -> None:
    """Leave the teardown of a task that has completed with the flow run that it is part of."""
    teardown, flow = callee.teardown, live.flow_run
    if teardown is None or teardown is True or flow is None or not live.state.is_completed():
        return
    signature = teardown.callee.signature
    takes_value = signature is None or bool(signature.parameters)
    flow.family.teardowns.append((teardown, (live.state.result(),) if takes_value else ()))


class Ending:
    """What comes after the work of a run, however it ended, as a context manager around the work.

    Submitted tasks are waited for. Prefect's rule for a flow that raises: what runs may end, what has not begun is
    cancelled. A run that is interrupted stops what is below it. Teardowns are called last.
    """

    __slots__ = ("call", "live")

    def __init__(self, live: LiveRun) -> None:
        self.live = live
        self.call = live.stop.call

    def __enter__(self) -> None:
        if self.live.attempt > 1 and self.live.kind == "flow":
            next_attempt(self.live)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        live = self.live
        if not live.has_family or live.stop.call != self.call:
            return
        try:
            if error is None:
                _wait_all(live)
                _tear_down(live)
            elif isinstance(error, SuspendRun):
                _wait_all(live)
            elif isinstance(error, ORDERLY):
                cancel_waiting(live)
                _wait_all(live)
                _tear_down(live)
            else:
                stop_children(live)
        except BaseException:
            stop_children(live)
            raise


def make_work(invocation: Invocation) -> Callable[[], Any]:
    """Return the function that does the work of a run, in the calling thread."""
    live, callee = invocation.live, invocation.callee
    fn = callee.fn
    executor = live.executor
    if invocation.submitted and executor is not None and executor.remote:
        # Only flows whose tasks run elsewhere need it.
        from jupyter_wf.engine.remote import send

        fn = partial(send, executor, live, callee)
    elif callee.yields:
        fn = partial(_listed, fn)
    if callee.kind == "task":

        def work() -> Any:
            __tracebackhide__ = True
            with Ending(live):
                return fn(*invocation.args, **invocation.kwargs)

    else:

        def work() -> Any:
            __tracebackhide__ = True
            with Ending(live):
                value = fn(*invocation.args, **invocation.kwargs)
                return states_of(value)

    return work


def _listed(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    """Return all that a generator function yields: the value of a submitted generator task."""
    return list(fn(*args, **kwargs))


def next_attempt(live: LiveRun) -> None:
    """Before the work of a flow run: a later attempt goes on with what the earlier ones left."""
    # Only later attempts need it.
    from jupyter_wf.engine.resuming import load_earlier

    live.family.begin_again()
    load_earlier(live)


def cancel_children(live: LiveRun) -> None:
    """Cancel every open run below this one, which is stopped."""
    for child in live.family.in_stopping_order():
        child.cancel(f"{live.kind} run {live.name!r} was stopped")


def cancel_waiting(live: LiveRun) -> None:
    """Cancel the submitted runs below this one that have not begun."""
    for future in list(live.submitted.values()):
        if future.state.is_pending():
            future.cancel()


def stop_children(live: LiveRun) -> None:
    """Cancel every open child and give them `GRACE` seconds to stop; then call the teardowns."""
    cancel_children(live)
    for future in list(live.submitted.values()):
        future.wait(GRACE / max(1, len(live.submitted)))
    _tear_down(live)


def _wait_all(live: LiveRun) -> None:
    submitted = live.submitted
    while submitted:
        for future in list(submitted.values()):
            future.wait()
            submitted.pop(future.task_run_id, None)


def next_teardown(live: LiveRun) -> tuple[Any, tuple[Any, ...]]:
    """Take the teardown that is to be called next: it is called in each attempt, though one before completed it."""
    task, args = live.family.teardowns.pop()
    earlier = live.family.earlier
    for key in [key for key in earlier if key[0] == task.callee.key]:
        earlier[key] = earlier[key]._replace(format=None)
    return task, args


def _tear_down(live: LiveRun) -> None:
    """Call the teardowns, the last one first. One that fails is logged: it does not decide the run's state."""
    teardowns = live.family.teardowns
    while teardowns:
        task, args = next_teardown(live)
        try:
            if task.callee.is_async:
                task.submit(*args).wait()
            else:
                task(*args, return_state=True)
        except Exception as error:
            teardown_failed(live, task.name, error)


def teardown_failed(live: LiveRun, name: str, error: Exception) -> None:
    """Log that a teardown could not be called."""
    live.log(logging.ERROR, f"the teardown {name!r} failed: {describe(error)}")


def states_of(value: Any) -> Any:
    """Return the states in place of returned futures, so that the final-state rules can judge them.

    The future of a task with ``teardown=True`` does not decide: it counts as completed.
    """
    if isinstance(value, RunFuture):
        value.wait()
        callee = value.run.callee
        return _DONE if callee is not None and callee.teardown is True else value.state
    if (
        isinstance(value, (list, tuple, set, frozenset))
        and value
        and all(isinstance(item, (RunFuture, State)) for item in value)
    ):
        return [states_of(item) for item in value]
    return value
