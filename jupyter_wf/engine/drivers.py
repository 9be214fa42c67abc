"""The two drivers that carry out the effects of a run's life: one blocks, one awaits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_wf.core.effects import End, Enter, Find, Invoke, Keep, Outcome, Wait
from jupyter_wf.core.errors import InvalidTransition, TaskTimeout
from jupyter_wf.core.lifecycle import Life, describe
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.interrupts import Interruption, Target
from jupyter_wf.engine.results import find_result, keep_result
from jupyter_wf.engine.runs import LiveRun

__all__ = ["drive", "drive_async", "settle"]

_CANCELLED = Outcome(End.CANCELLED)


def drive(live: LiveRun, steps: Life, call: Callable[[], Any], timeout: float | None) -> None:
    """Carry out ``steps`` in the calling thread, with ``call`` as the work; return when the run has ended.

    An interrupt of the driver itself closes the run and everything below it, and goes on to the caller.
    """
    answer: Outcome | None = None
    try:
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration:
                return
            kind = type(effect)
            if kind is Enter:
                answer = None
                if not _enter(live, effect):  # type: ignore[arg-type]
                    return
            elif kind is Invoke:
                answer = _invoke(live, call, timeout)
            elif kind is Wait:
                answer = _wait(live, effect.seconds)  # type: ignore[union-attr]
            else:
                answer = _stored(live, effect)  # type: ignore[arg-type]
    except BaseException as error:
        settle(live, error)
        raise


async def drive_async(live: LiveRun, steps: Life, call: Callable[[], Awaitable[Any]], timeout: float | None) -> None:
    """Do as `drive` does, in the running event loop, with an awaitable ``call``."""
    answer: Outcome | None = None
    try:
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration:
                return
            kind = type(effect)
            if kind is Enter:
                answer = None
                if not _enter(live, effect):  # type: ignore[arg-type]
                    return
            elif kind is Invoke:
                answer = await _invoke_async(live, call, timeout)
            elif kind is Wait:
                answer = await _wait_async(live, effect.seconds)  # type: ignore[union-attr]
            else:
                answer = _stored(live, effect)  # type: ignore[arg-type]
    except BaseException as error:
        settle(live, error)
        raise


def settle(live: LiveRun, error: BaseException) -> None:
    """Close a run that can't be driven on, and everything below it, however often this is interrupted."""
    cancelled = isinstance(error, (KeyboardInterrupt, Interruption, asyncio.CancelledError))
    while True:
        try:
            if cancelled:
                live.close(StateType.CANCELLED, describe(error) or "Cancelled")
            else:
                live.close(StateType.CRASHED, describe(error), error)
            return
        except (KeyboardInterrupt, Interruption):
            continue


def _enter(live: LiveRun, effect: Enter) -> bool:
    """Enter the state; return False where the run was closed by somebody else meanwhile."""
    outcome = effect.outcome
    try:
        if outcome is None:
            if live.cancel_requested and effect.type is StateType.RUNNING:
                live.set_state(StateType.CANCELLED)
                return False
            live.set_state(effect.type, effect.name, effect.message, new_attempt=effect.new_attempt)
        elif outcome.end is End.RETURNED:
            live.set_state(effect.type, effect.name, effect.message, data=outcome.value)
        else:
            error = None if outcome.end is End.CANCELLED else outcome.error
            live.last_error = outcome.error
            live.set_state(effect.type, effect.name, effect.message, error=error, data=outcome.error)
    except InvalidTransition:
        if live.is_open:
            raise
        return False
    return True


def _stored(live: LiveRun, effect: Find | Keep) -> Outcome | None:
    if isinstance(effect, Find):
        return find_result(live, effect.key)
    keep_result(live, effect.key, effect.value, effect.expiration)
    return None


def _invoke(live: LiveRun, call: Callable[[], Any], timeout: float | None) -> Outcome:
    if live.cancel_requested:
        return _CANCELLED
    token = CURRENT.set(live)
    target = Target()
    live.cancellers.append(target.fire)
    deadline = None
    live.timed_out = False
    try:
        with target:
            if timeout is not None:
                deadline = live.runtime.deadlines.add(timeout, lambda: _time_out(live, target.fire))
            value = call()
        return Outcome(End.RETURNED, value)
    except Interruption as error:
        return _stopped(live, timeout, error)
    except Exception as error:
        return _raised(live, timeout, error)
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        return Outcome(End.CANCELLED, None, error)
    except BaseException as error:
        return Outcome(End.CRASHED, None, error)
    finally:
        if deadline is not None:
            live.runtime.deadlines.drop(deadline)
        live.cancellers.remove(target.fire)
        CURRENT.reset(token)


def _time_out(live: LiveRun, fire: Callable[[], Any]) -> None:
    live.timed_out = True
    for child in list(live.children.values()):
        child.cancel(f"{live.kind} run {live.name!r} timed out")
    fire()


def _raised(live: LiveRun, timeout: float | None, error: Exception) -> Outcome:
    """Return the outcome of an ordinary exception: while the run is to stop, the stop is its cause."""
    if live.timed_out or live.cancel_requested:
        return _stopped(live, timeout, error)
    return Outcome(End.RAISED, None, error)


def _stopped(live: LiveRun, timeout: float | None, error: BaseException) -> Outcome:
    if live.cancel_requested:
        return _CANCELLED
    if live.timed_out:
        late = TaskTimeout(f"{live.kind} run {live.name!r}", timeout or 0.0)
        return Outcome(End.TIMED_OUT, None, late.with_traceback(error.__traceback__))
    # A run further out is to stop, in the same thread: this one ends with it.
    return Outcome(End.CANCELLED, None, error)


def _wait(live: LiveRun, seconds: float) -> Outcome | None:
    event = threading.Event()
    live.wake = event.set
    try:
        if not live.cancel_requested:
            with live.runtime.waiting():
                event.wait(seconds)
    finally:
        live.wake = None
    return _CANCELLED if live.cancel_requested else None


async def _invoke_async(live: LiveRun, call: Callable[[], Awaitable[Any]], timeout: float | None) -> Outcome:
    if live.cancel_requested:
        return _CANCELLED
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
    handle = None if timeout is None else loop.call_later(timeout, _time_out, live, stop_here)
    try:
        return Outcome(End.RETURNED, await call())
    except asyncio.CancelledError as error:
        return _stopped(live, timeout, error)
    except Interruption as error:
        return _stopped(live, timeout, error)
    except Exception as error:
        return _raised(live, timeout, error)
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
    return _CANCELLED if live.cancel_requested else None
