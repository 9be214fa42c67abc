"""The same life, awaited: asynchronous tasks and flows. Loaded only where there are any: asyncio takes 30 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from typing import Any

from jupyter_wf.core.effects import End, Enter, Invoke, Outcome, Wait
from jupyter_wf.core.lifecycle import Life
from jupyter_wf.engine.calls import Callee, Invocation, end_of_root, hand_out, states_of
from jupyter_wf.engine.capture import printing
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import CANCELLED, enter, raised, settle, stopped, stored, time_out
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.runs import LiveRun

__all__ = ["call_async", "drive_async", "perform_async"]


async def call_async(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any], return_state: bool
) -> Any:
    """Run an asynchronous task or flow in the running event loop; return its value, or its state.

    Raises what `hand_out` raises, unless the state is asked for.
    """
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs, wait_for)
    await _run(invocation, 1)
    return invocation.live.state if return_state else hand_out(invocation.live, asyncio.CancelledError)


async def _run(invocation: Invocation, attempt: int) -> None:
    __tracebackhide__ = True
    try:
        invocation.begin()
        for future in invocation.upstream:
            await future.until_done()
        await perform_async(invocation, attempt)
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None:
            await asyncio.to_thread(end_of_root, invocation.live, lambda: _run_again(invocation))


async def _run_again(invocation: Invocation) -> None:
    invocation.live.begin_again()
    await _run(invocation, invocation.live.attempt + 1)


async def perform_async(invocation: Invocation, attempt: int = 1) -> None:
    """Drive a run whose upstream has ended, from its first call to its closing state."""
    live, callee = invocation.live, invocation.callee
    steps = invocation.steps(attempt)
    with printing(live) if callee.log_prints else nullcontext():
        await drive_async(live, steps, _work(invocation), callee.policy.timeout_seconds)


def _work(invocation: Invocation) -> Callable[[], Awaitable[Any]]:
    live, callee = invocation.live, invocation.callee

    async def work() -> Any:
        __tracebackhide__ = True
        try:
            value = await callee.fn(*invocation.args, **invocation.kwargs)
            while live.submitted:
                future = next(iter(live.submitted.values()))
                await future.until_done()
                live.submitted.pop(future.task_run_id, None)
            return states_of(value) if callee.kind == "flow" else value
        except BaseException:
            for child in list(live.children.values()):
                child.cancel(f"{live.kind} run {live.name!r} was stopped")
            raise

    return work


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
            kind = type(effect)
            if kind is Enter:
                answer = None
                if not enter(live, effect):  # type: ignore[arg-type]
                    return
            elif kind is Invoke:
                answer = await _invoke_async(live, call, timeout)
            elif kind is Wait:
                answer = await _wait_async(live, effect.seconds)  # type: ignore[union-attr]
            else:
                answer = stored(live, effect)  # type: ignore[arg-type]
    except BaseException as error:
        CURRENT.set(around)
        settle(live, error)
        raise


async def _invoke_async(live: LiveRun, call: Callable[[], Awaitable[Any]], timeout: float | None) -> Outcome:
    if live.cancel_requested:
        return CANCELLED
    token = CURRENT.set(live)
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    assert me is not None
    stops = 0

    def stop_here() -> None:
        nonlocal stops
        if running:
            stops += 1
            me.cancel()

    def fire() -> None:
        if running:
            loop.call_soon_threadsafe(stop_here)

    running = True
    live.timed_out = False
    live.cancellers.append(fire)
    handle = None if timeout is None else loop.call_later(timeout, time_out, live, stop_here)
    try:
        return Outcome(End.RETURNED, await call())
    except asyncio.CancelledError as error:
        return stopped(live, timeout, error)
    except Interruption as error:
        return stopped(live, timeout, error)
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
        live.cancellers.remove(fire)
        CURRENT.reset(token)


async def _wait_async(live: LiveRun, seconds: float) -> Outcome | None:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    live.wake = lambda: loop.call_soon_threadsafe(event.set)
    try:
        if not live.cancel_requested:
            async with asyncio.timeout(seconds):
                await event.wait()
    except TimeoutError:
        pass
    finally:
        live.wake = None
    return CANCELLED if live.cancel_requested else None
