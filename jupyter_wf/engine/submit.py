"""Submitted tasks: runs on a pool's threads (or in an event loop of their own), started when their inputs are there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from jupyter_wf.core.effects import Outcome
from jupyter_wf.core.signals import SkipRun, StopFlow
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation, perform
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import settle
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.runs import LiveRun

__all__ = ["start", "submit"]


def submit(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Iterable[Any] = ()
) -> RunFuture[Any]:
    """Create the run of a call and return its future at once.

    Futures among the arguments and in ``wait_for`` become its upstream: it takes a thread only when they have ended.
    """
    return start(Invocation(callee, args, kwargs, wait_for, submitted=True))


def start(invocation: Invocation) -> RunFuture[Any]:
    """Have a prepared call made as soon as its upstream has ended; return its future at once."""
    submission = _Submission(invocation)
    try:
        submission.begin()
    except BaseException as error:
        submission.give_up(error)
        raise
    if submission.worker == threading.get_ident():
        _go_on_outwards(submission.live)
    return submission.future


def _go_on_outwards(live: LiveRun) -> None:
    """Raise, for a task that was done at once in its caller's thread, what stops the caller too."""
    error = live.last_error
    if error is not None and not isinstance(error, (Exception, Interruption, SkipRun)):
        raise error
    if live.parent is not None and live.parent.stopping:
        raise Interruption


def _level(live: LiveRun) -> int:
    """Return how many asynchronous tasks a run is below."""
    level, above = 0, live.parent
    while above is not None:
        level += above.kind == "task" and above.callee is not None and above.callee.is_async
        above = above.parent
    return level


class _Submission:
    """One submitted call on its way: created, waiting for its upstream, on a thread, ended."""

    __slots__ = ("context", "future", "invocation", "live", "open_futures", "started", "worker")
    live: LiveRun
    future: RunFuture[Any]
    open_futures: dict[str, Any]

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.context = copy_context()
        self.started = False
        self.worker = 0

    def begin(self) -> None:
        """Make the run, and start it when every upstream run has ended."""
        live = self.live = self.invocation.begin()
        self.future = RunFuture(live)
        # Whoever ends first waits for these: the run that submitted them, or the process.
        self.open_futures = live.runtime.loose if live.parent is None else live.parent.submitted
        self.open_futures[live.id] = self.future
        live.on_cancel(self._cancelled)
        waited_for = [future for future in self.invocation.upstream.futures if not future.done()]
        if not waited_for:
            self._start()
            return
        countdown = _Countdown(len(waited_for), self._start)
        for future in waited_for:
            future.add_done_callback(countdown)

    def give_up(self, error: BaseException) -> None:
        """Close what an interrupt has left half begun; a thread that has begun with it goes on."""
        if self.started or not self.invocation.begun:
            return
        settle(self.invocation.live, error)
        if hasattr(self, "open_futures"):
            self._finish()

    def _start(self) -> None:
        if self.invocation.callee.is_async:
            # In the context of the submission: its upstream may have ended on another thread.
            self.live.runtime.loops.start(_level(self.live), self.context, self._work_async)
        else:
            (self.live.executor or self.live.runtime.executor).spawn(self._work)

    def _cancelled(self) -> None:
        if not self.started:
            self.live.close(StateType.CANCELLED, "cancelled before it began")
            self._finish()

    def _work(self) -> None:
        self.started = True
        self.worker = threading.get_ident()
        if self.live.is_open or self.invocation.earlier is not None:
            self._may_be_given_up()
            self._perform(self.context, None)
        else:
            self._finish()

    def _may_be_given_up(self) -> None:
        """See to it that another thread goes on with the run, should the call in this one not stop."""
        callee, thread = self.invocation.callee, threading.current_thread()
        pool = getattr(thread, "executor", None)
        serial = callee.results is not None and callee.results.serial
        # A transaction is left where it was entered.
        own = pool is (self.live.executor or self.live.runtime.executor)
        if pool is None or not own or callee.transactional is not None or serial:
            return
        replace = pool.replace

        def go_on(outcome: Outcome) -> None:
            self.live.stop.call += 1
            replace(thread, partial(self._go_on, outcome))

        self.live.stop.give_up = go_on

    def _go_on(self, outcome: Outcome) -> None:
        self.worker = threading.get_ident()
        self._may_be_given_up()
        context = self.context.copy()
        context.run(CURRENT.set, self.live.parent)
        self._perform(context, outcome)

    def _perform(self, context: Context, outcome: Outcome | None) -> None:
        number = self.live.stop.call
        try:
            context.run(perform, self.invocation, 1, outcome)
        except BaseException as error:
            if self.live.stop.call != number:
                # Another thread goes on with the run.
                return
            # The run is closed, its exception is in its record: the pool's thread has nothing left to say.
            settle(self.live, error)
            self.live.last_error = error
        self._finish()

    async def _work_async(self) -> None:
        # Only those who submit async tasks pay for asyncio.
        from jupyter_wf.engine.asynchronous import perform_async

        self.started = True
        if self.live.is_open or self.invocation.earlier is not None:
            try:
                await perform_async(self.invocation)
            except BaseException as error:
                settle(self.live, error)
        self._finish()

    def _finish(self) -> None:
        live = self.live
        live.stop.callbacks.clear()
        live.stop.give_up = None
        if type(live.last_error) is StopFlow and (flow := live.flow_run) is not None:
            flow.stop_early(live.last_error)
        self.future._finish()
        self.open_futures.pop(self.live.id, None)


class _Countdown:
    """Calls ``then`` when the last of several futures has ended."""

    __slots__ = ("_left", "_lock", "_then")

    def __init__(self, many: int, then: Callable[[], Any]) -> None:
        self._left = many
        self._lock = threading.Lock()
        self._then = then

    def __call__(self, future: RunFuture[Any]) -> None:
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._then()
