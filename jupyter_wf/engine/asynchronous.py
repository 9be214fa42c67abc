"""The same life, awaited: asynchronous tasks and flows. Loaded only where there are any: asyncio takes 30 ms."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from jupyter_wf.core.effects import INVOKE, Ask, Effect, End, Enter, Outcome, Wait
from jupyter_wf.core.lifecycle import Life
from jupyter_wf.core.signals import Signal, SuspendRun
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation, end_of_root, hand_out, hand_out_state
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import CANCELLED, ask, enter, judged, raised, settle, stopped, stored, time_out
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.hooks import call_hooks
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.pausing_async import hold_back_async
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.work import (
    GRACE,
    ORDERLY,
    around,
    around_run,
    cancel_children,
    cancel_waiting,
    completed,
    next_attempt,
    next_teardown,
    states_of,
    teardown_failed,
)

__all__ = [
    "AsyncEnding",
    "call_async",
    "carry_out_async",
    "continue_async",
    "drive_async",
    "execute_async",
    "perform_async",
    "run_again",
]

_FREE: AbstractAsyncContextManager[None] = nullcontext()


async def call_async(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any], return_state: bool
) -> Any:
    """Run an asynchronous task or flow in the running event loop; return its value, or its state.

    Raises what `hand_out` raises, unless the state is asked for.
    """
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs, wait_for)
    await _run(invocation, 1)
    hand = hand_out_state if return_state else hand_out
    return hand(invocation.live, asyncio.CancelledError)


async def continue_async(callee: Callee, live: LiveRun, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LiveRun:
    """Run the next attempt of a run that this process has taken over, in the running event loop; return the run."""
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs)
    invocation.take(live)
    live.runtime.announce(live)
    return await execute_async(invocation)


async def execute_async(invocation: Invocation) -> LiveRun:
    """Run a prepared call in the running event loop, to its end; return its run: a new one, or the one it was given."""
    __tracebackhide__ = True
    await _run(invocation, invocation.live.attempt if invocation.begun else 1)
    return invocation.live


async def _run(invocation: Invocation, attempt: int) -> None:
    __tracebackhide__ = True
    try:
        around = CURRENT.get()
        if around is not None and around.resume is not None:
            await hold_back_async(around)
        invocation.begin()
        for future in invocation.upstream.futures:
            await future.until_done()
        await perform_async(invocation, attempt)
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None:
            await asyncio.to_thread(end_of_root, invocation.live, lambda: run_again(invocation))


async def run_again(invocation: Invocation) -> None:
    """Make the next attempt of an ended root run, in the running event loop."""
    invocation.live.begin_again()
    await _run(invocation, invocation.live.attempt + 1)


async def perform_async(invocation: Invocation, attempt: int = 1) -> None:
    """Drive a run whose upstream has ended, from its first call to its closing state."""
    live, callee = invocation.live, invocation.callee
    steps = invocation.steps(attempt)
    if callee.quiet:
        await drive_async(live, steps, _work(invocation), callee.policy.timeout_seconds)
        return
    with around(live, callee):
        async with around_run(live, invocation.key):
            await drive_async(live, steps, _work(invocation), callee.policy.timeout_seconds)
    completed(live, callee)
    if callee.policy.durable:
        await asyncio.to_thread(live.runtime.journal.flush)


def _work(invocation: Invocation) -> Callable[[], Awaitable[Any]]:
    live, callee = invocation.live, invocation.callee
    fn = partial(_listed, callee.fn) if callee.yields else callee.fn

    async def work() -> Any:
        __tracebackhide__ = True
        async with AsyncEnding(live):
            value = await fn(*invocation.args, **invocation.kwargs)
            return await _judged(value) if callee.kind == "flow" else value

    return work


class AsyncEnding:
    """What comes after the work of a run, as `engine.work.Ending` has it, in the running event loop."""

    __slots__ = ("_live", "_task")

    def __init__(self, live: LiveRun) -> None:
        self._live = live
        self._task = asyncio.current_task()

    async def __aenter__(self) -> None:
        if self._live.attempt > 1 and self._live.kind == "flow":
            await asyncio.to_thread(next_attempt, self._live)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: object) -> None:
        live = self._live
        if not live.has_family:
            return
        if error is None:
            try:
                await _wait_all(live)
                await _tear_down(live)
            except BaseException as interruption:
                await _after(live, interruption, self._task)
                raise
        else:
            await _after(live, error, self._task)


async def _after(live: LiveRun, error: BaseException, me: asyncio.Task[Any] | None) -> None:
    """Do what comes after work that has raised, as `work.Ending` does; ``me`` is the task that did the work."""
    if isinstance(error, GeneratorExit) and _running_task() is not me:
        # The coroutine is being closed by somebody who will not drive it on: nothing can be awaited any more.
        cancel_children(live)
        return
    try:
        if isinstance(error, SuspendRun):
            await _wait_all(live)
            return
        if isinstance(error, ORDERLY):
            cancel_waiting(live)
            await _wait_all(live)
            await _tear_down(live)
            return
    except BaseException:
        await _stop_children(live)
        raise
    await _stop_children(live)


def _running_task() -> asyncio.Task[Any] | None:
    """Return the asyncio task that this code runs in, None where no event loop is running."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


async def _stop_children(live: LiveRun) -> None:
    cancel_children(live)
    waited_for = [asyncio.ensure_future(future.until_done()) for future in list(live.submitted.values())]
    if waited_for:
        _, late = await asyncio.wait(waited_for, timeout=GRACE)
        for each in late:
            each.cancel()
    await _tear_down(live)


async def _judged(value: Any) -> Any:
    """Return what `states_of` does, without blocking the event loop."""
    for each in value if isinstance(value, (list, tuple, set, frozenset)) else (value,):
        if isinstance(each, RunFuture):
            await each.until_done()
    return states_of(value)


async def _listed(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return [item async for item in fn(*args, **kwargs)]


async def _wait_all(live: LiveRun) -> None:
    while live.submitted:
        future = next(iter(live.submitted.values()))
        await future.until_done()
        live.submitted.pop(future.task_run_id, None)


async def _tear_down(live: LiveRun) -> None:
    teardowns = live.family.teardowns
    while teardowns:
        task, args = next_teardown(live)
        try:
            if task.callee.is_async:
                await task(*args, return_state=True)
            else:
                task(*args, return_state=True)
        except Exception as error:
            teardown_failed(live, task.name, error)


async def drive_async(live: LiveRun, steps: Life, call: Callable[[], Awaitable[Any]], timeout: float | None) -> None:
    """Do as `drive` does, in the running event loop, with an awaitable ``call``."""
    answer: Outcome | None = None
    around = CURRENT.get()
    try:
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration:
                return
            if effect is INVOKE:
                answer = await _invoke_async(live, call, timeout)
                continue
            goes_on, answer = await carry_out_async(live, effect)
            if not goes_on:
                return
    except BaseException as error:
        CURRENT.set(around)
        settle(live, error)
        raise


async def carry_out_async(live: LiveRun, effect: Effect) -> tuple[bool, Outcome | None]:
    """Do as `carry_out` does, awaiting what there is to wait for."""
    kind = type(effect)
    if kind is Enter:
        goes_on = enter(live, effect)  # type: ignore[arg-type]
        hooks = live.callee.hooks
        if hooks is not None:
            for each in call_hooks(live, hooks, live.state):
                await each
        return goes_on, None
    if kind is Wait:
        return True, await _wait_async(live, effect.seconds)  # type: ignore[union-attr]
    if kind is Ask:
        said = ask(live, effect)  # type: ignore[arg-type]
        return True, judged(effect, await said if inspect.isawaitable(said) else said)  # type: ignore[arg-type]
    return True, stored(live, effect)  # type: ignore[arg-type]


async def _invoke_async(live: LiveRun, call: Callable[[], Awaitable[Any]], timeout: float | None) -> Outcome:
    stopping = live.stop
    if stopping.requested:
        return CANCELLED
    token = CURRENT.set(live)
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None
    stops = 0

    def stop_here() -> None:
        nonlocal stops
        # Once: the work's own clean-up is left in peace.
        if running and not stops:
            stops += 1
            me.cancel()

    def fire() -> None:
        if running:
            loop.call_soon_threadsafe(stop_here)

    running = True
    stopping.timed_out = False
    stopping.callbacks.append(fire)
    handle: asyncio.TimerHandle | None = None
    try:
        async with _slots(live) if live.tags else _FREE:
            # Waiting for a slot does not count.
            handle = None if timeout is None else loop.call_later(timeout, time_out, live, stop_here)
            return Outcome(End.RETURNED, await call())
    except asyncio.CancelledError as error:
        return stopped(live, timeout, error)
    except Interruption as error:
        return stopped(live, timeout, error)
    except Signal as signal:
        return signal.outcome()
    except Exception as error:
        return raised(live, timeout, error)
    except KeyboardInterrupt as error:
        return Outcome(End.CANCELLED, None, error)
    except BaseException as error:
        return Outcome(End.CRASHED, None, error)
    finally:
        running = False
        for _ in range(stops):
            me.uncancel()
        if handle is not None:
            handle.cancel()
        stopping.callbacks.remove(fire)
        CURRENT.reset(token)


def _slots(live: LiveRun) -> AbstractAsyncContextManager[None]:
    # Only tasks with tags can be limited.
    from jupyter_wf.engine.limits_async import tag_slots_async

    return tag_slots_async(live, live.tags)


async def _wait_async(live: LiveRun, seconds: float) -> Outcome | None:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    live.stop.wake = lambda: loop.call_soon_threadsafe(event.set)
    try:
        if not live.stop.requested:
            async with asyncio.timeout(seconds):
                await event.wait()
    except TimeoutError:
        pass
    finally:
        live.stop.wake = None
    return CANCELLED if live.stop.requested else None
