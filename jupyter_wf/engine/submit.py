"""Submitted tasks: runs on a pool's threads (or in the portal's loop), started when their inputs are there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

from jupyter_wf.core.states import StateType
from jupyter_wf.engine.calls import Callee, begin_run, perform, perform_async
from jupyter_wf.engine.drivers import settle
from jupyter_wf.engine.futures import RunFuture, find_futures

__all__ = ["submit"]


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


def submit(callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Iterable[Any] = ()) -> Any:
    """Create the run of a call and return its `RunFuture` at once.

    Futures among the arguments and in ``wait_for`` become its upstream: it takes a thread only when they have ended.
    """
    upstream = find_futures((*args, *kwargs.values(), *wait_for))
    live = begin_run(callee, args, kwargs, upstream)
    runtime = live.runtime
    parent = live.parent
    future: RunFuture[Any] = RunFuture(live)
    open_futures = runtime.loose if parent is None else parent.submitted
    open_futures[live.id] = future
    context = copy_context()
    started = False

    def finish() -> None:
        live.cancellers.clear()
        future._finish()
        open_futures.pop(live.id, None)

    def cancelled_before_start() -> None:
        if live.state.is_cancelling() and not started:
            live.close(StateType.CANCELLED, "cancelled before it began")
            finish()

    def work() -> None:
        nonlocal started
        started = True
        if live.is_open:
            try:
                context.run(perform, live, callee, args, kwargs, upstream)
            except BaseException as error:
                # The run is closed, its exception is in its state: the pool's thread has nothing left to say.
                settle(live, error)
        finish()

    async def work_async() -> None:
        nonlocal started
        started = True
        if live.is_open:
            try:
                await perform_async(live, callee, args, kwargs, upstream)
            except BaseException as error:
                settle(live, error)
        finish()

    def start() -> None:
        if callee.is_async:
            runtime.portal.start_task_soon(work_async)
        else:
            (live.executor or runtime.executor).spawn(work)

    live.on_cancel(cancelled_before_start)
    waited_for = [f for f in upstream if not f.done()]
    if waited_for:
        countdown = _Countdown(len(waited_for), start)
        for upstream_future in waited_for:
            upstream_future.add_done_callback(countdown)
    else:
        start()
    return future
