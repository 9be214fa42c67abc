"""The driver that carries out the effects of a run's life in the calling thread; `asynchronous` has the other one."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from jupyter_wf.core.effects import INVOKE, Ask, Effect, End, Enter, Find, Keep, Outcome, Wait
from jupyter_wf.core.errors import InvalidTransition, TaskTimeout
from jupyter_wf.core.lifecycle import Life, describe
from jupyter_wf.core.signals import Signal
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.context import CURRENT, TRANSACTION
from jupyter_wf.engine.hooks import awaited, call_hooks, finish
from jupyter_wf.engine.interrupts import Abandoned, Interruption, Target
from jupyter_wf.engine.loglines import tell
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.tracebacks import without_own_frames

__all__ = [
    "CANCELLED",
    "ask",
    "carry_out",
    "drive",
    "enter",
    "is_cancellation",
    "judged",
    "late",
    "raised",
    "settle",
    "stopped",
    "stored",
    "time_out",
]

CANCELLED = Outcome(End.CANCELLED)
_FREE: AbstractContextManager[None] = nullcontext()
#: Seconds after which a call that has not stopped is interrupted again.
_FIRE_AGAIN = 0.1
#: How often a call is interrupted in vain before its thread is given up, if it is one of a pool.
_MOST_FIRES = 10


def drive(
    live: LiveRun, steps: Life, call: Callable[[], Any], timeout: float | None, answer: Outcome | None = None
) -> None:
    """Carry out ``steps`` in the calling thread, with ``call`` as the work; return when the run has ended.

    ``answer`` is the outcome of a call that another thread has made, where that thread was given up.
    An interrupt of the driver itself closes the run and everything below it, and goes on to the caller.
    """
    around, number = CURRENT.get(), live.stop.call
    try:
        while True:
            try:
                effect = steps.send(answer)
            except StopIteration:
                return
            if effect is INVOKE:
                answer = _invoke(live, call, timeout)
                continue
            goes_on, answer = carry_out(live, effect)
            if not goes_on:
                return
    except BaseException as error:
        if live.stop.call != number:
            raise Abandoned from None
        # The interrupt may have come while the context was changed, there or back.
        CURRENT.set(around)
        settle(live, error)
        raise


def carry_out(live: LiveRun, effect: Effect) -> tuple[bool, Outcome | None]:
    """Carry out an effect other than the call, blocking; return whether the life goes on, and the answer."""
    kind = type(effect)
    if kind is Enter:
        goes_on = enter(live, effect)  # type: ignore[arg-type]
        hooks = live.callee.hooks
        if hooks is not None:
            finish(live, call_hooks(live, hooks, live.state))
        return goes_on, None
    if kind is Wait:
        return True, _wait(live, effect.seconds)  # type: ignore[union-attr]
    if kind is Ask:
        return True, _ask(live, effect)  # type: ignore[arg-type]
    return True, stored(live, effect)  # type: ignore[arg-type]


def is_cancellation(error: BaseException) -> bool:
    """Return whether it is asyncio's `CancelledError`, without importing asyncio (30 ms) where nobody else has."""
    module = sys.modules.get("asyncio.exceptions")
    return module is not None and isinstance(error, module.CancelledError)


def settle(live: LiveRun, error: BaseException) -> None:
    """Close a run that can't be driven on, and everything below it, however often this is interrupted."""
    cancelled = isinstance(error, (KeyboardInterrupt, Interruption)) or is_cancellation(error)
    closed = False
    while True:
        try:
            if cancelled:
                why = None if live.stop.requested else describe(error)
                closed |= live.close(StateType.CANCELLED, why)
            else:
                closed |= live.close(StateType.CRASHED, describe(error), error)
            break
        except (KeyboardInterrupt, Interruption):
            continue
    if closed and live.callee is not None and live.callee.hooks is not None:
        with suppress(KeyboardInterrupt, Interruption):
            finish(live, call_hooks(live, live.callee.hooks, live.state))


def enter(live: LiveRun, effect: Enter) -> bool:
    """Enter the state; return False where the run was closed by somebody else meanwhile."""
    outcome = effect.outcome
    if live.resume is not None and outcome is not None:
        # Held, but its work is over: there is nothing left to be held.
        live.resume(None)
    try:
        if outcome is None:
            if live.stop.requested and effect.type is StateType.RUNNING:
                live.set_state(StateType.CANCELLED)
                return False
            live.set_state(effect.type, effect.name, effect.message, new_attempt=effect.new_attempt)
        elif outcome.end is End.RETURNED:
            _enter_with_value(live, effect, outcome)
        else:
            error = None if outcome.end is End.CANCELLED else outcome.error
            live.last_error = outcome.error
            if error is not None:
                level = logging.WARNING if effect.type is StateType.SCHEDULED else logging.ERROR
                tell(live, level, effect.message or effect.name)
            live.set_state(effect.type, effect.name, effect.message, error=error, data=outcome.error)
            if error is not None and effect.type is not StateType.SCHEDULED:
                live.runtime.failures.tell(live)
    except InvalidTransition:
        if live.is_open:
            raise
        return False
    return True


def _enter_with_value(live: LiveRun, effect: Enter, outcome: Outcome) -> None:
    value, kept = outcome.value, None
    if outcome.error is not None:
        live.last_error = outcome.error
    if live.persist and effect.type is StateType.COMPLETED:
        keeping = live.callee.keeping
        kept = keeping.kept(live, value)
        if not keeping.in_memory:
            value = keeping.data(live, value, kept)
    if effect.type is StateType.COMPLETED and (transaction := TRANSACTION.get()) is not None:
        transaction.complete(live, effect, value, kept)
    else:
        live.set_state(effect.type, effect.name, effect.message, data=value, kept=kept)


def late(live: LiveRun, seconds: float) -> None:
    """Say that a run still goes on so many seconds after it began."""
    if live.state.type is not StateType.RUNNING:
        return
    message = f"still running {seconds:g} s after it began"
    with suppress(InvalidTransition):
        live.set_state(StateType.RUNNING, "Late", message)
        live.log(logging.WARNING, f"late: {message}")
        if live.callee.hooks is not None:
            finish(live, call_hooks(live, live.callee.hooks, live.state))


def ask(live: LiveRun, effect: Ask) -> Any:
    """Return what the user's own condition says of a failed attempt: an answer, or what gives it when awaited.

    A condition that raises is logged, and counts as no.
    """
    callee, outcome = live.callee, effect.outcome
    failed = State(type=StateType.FAILED, name="Failed", message=describe(outcome.error), data=outcome.error)
    try:
        answer = callee.condition(callee.owner, live, failed)
    except Exception as error:
        return _refused(live, error)
    return _answered(live, answer) if inspect.isawaitable(answer) else answer


async def _answered(live: LiveRun, answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except Exception as error:
        return _refused(live, error)


def _refused(live: LiveRun, error: Exception) -> bool:
    live.log(logging.ERROR, f"retry_condition_fn failed, so there is no other attempt: {describe(error)}")
    return False


def judged(effect: Ask, answer: object) -> Outcome | None:
    """Return the answer as a life takes it: None for yes."""
    return None if answer else effect.outcome


def _ask(live: LiveRun, effect: Ask) -> Outcome | None:
    answer = ask(live, effect)
    if inspect.isawaitable(answer):
        answer = live.runtime.portal.call(awaited, answer)
    return judged(effect, answer)


def stored(live: LiveRun, effect: Find | Keep) -> Outcome | None:
    """Carry out what has to do with stored results."""
    if isinstance(effect, Find):
        found: Outcome | None = live.callee.results.find(live, effect)
        return found
    live.callee.results.keep(live, effect)
    return None


def _invoke(live: LiveRun, call: Callable[[], Any], timeout: float | None) -> Outcome:
    stopping = live.stop
    if stopping.requested:
        return CANCELLED
    token = CURRENT.set(live)
    target = Target()
    stop = partial(_fire, live, target, timeout)
    stopping.callbacks.append(stop)
    deadline = None
    stopping.timed_out = False
    try:
        with target, _slots(live) if live.tags else _FREE:
            # Waiting for a slot does not count.
            if timeout is not None:
                deadline = live.runtime.deadlines.add(timeout, partial(time_out, live, stop))
            value = call()
        return Outcome(End.RETURNED, value)
    except Interruption as error:
        return stopped(live, timeout, error)
    except Signal as signal:
        return signal.outcome()
    except Exception as error:
        return raised(live, timeout, error)
    except Abandoned:
        raise
    except BaseException as error:
        stopped_here = isinstance(error, KeyboardInterrupt) or is_cancellation(error)
        return Outcome(End.CANCELLED if stopped_here else End.CRASHED, None, error)
    finally:
        if deadline is not None:
            live.runtime.deadlines.drop(deadline)
        if stop in stopping.callbacks:
            stopping.callbacks.remove(stop)
        CURRENT.reset(token)


def _slots(live: LiveRun) -> AbstractContextManager[None]:
    # Only tasks with tags can be limited.
    from jupyter_wf.engine.limits import tag_slots

    return tag_slots(live, live.tags)


def _fire(live: LiveRun, target: Target, timeout: float | None) -> None:
    """Interrupt the call, again and again until it has stopped, or has to be given up."""
    give_up = live.stop.give_up
    if give_up is not None and target.times >= _MOST_FIRES and target.abandon():
        live.stop.callbacks.clear()
        live.log(logging.WARNING, "the call can't be stopped: its thread is left behind")
        give_up(stopped(live, timeout, Interruption()))
    elif target.fire():
        live.runtime.deadlines.add(_FIRE_AGAIN, partial(_fire, live, target, timeout))


def time_out(live: LiveRun, fire: Callable[[], Any]) -> None:
    """Stop the work of a run whose time is up: what is below it, then, by ``fire``, its own call."""
    live.stop.timed_out = True
    for child in live.family.in_stopping_order():
        child.cancel(f"{live.kind} run {live.name!r} timed out")
    fire()


def raised(live: LiveRun, timeout: float | None, error: Exception) -> Outcome:
    """Return the outcome of an ordinary exception: while the run is to stop, the stop is its cause."""
    if live.stop.wanted:
        return stopped(live, timeout, error)
    error.__traceback__ = without_own_frames(error.__traceback__)
    return Outcome(End.RAISED, None, error)


def stopped(live: LiveRun, timeout: float | None, error: BaseException) -> Outcome:
    """Return the outcome of a call that was interrupted: by a cancellation, by its time-out, or from further out."""
    if live.stop.requested:
        return CANCELLED
    if live.stop.timed_out:
        why = TaskTimeout(f"{live.kind} run {live.name!r}", timeout or 0.0)
        return Outcome(End.TIMED_OUT, None, why.with_traceback(without_own_frames(error.__traceback__)))
    if live.stop.early is not None:
        return live.stop.early.outcome()
    # A run further out is to stop, in the same thread: this one ends with it.
    return Outcome(End.CANCELLED, None, error)


def _wait(live: LiveRun, seconds: float) -> Outcome | None:
    # Waits in C: an interrupt inside a condition's own Python code would leave its lock in disorder.
    bell: SimpleQueue[None] = SimpleQueue()
    live.stop.wake = partial(bell.put, None)
    try:
        if not live.stop.requested:
            with live.runtime.waiting(), suppress(Empty):
                bell.get(timeout=seconds)
    finally:
        live.stop.wake = None
    return CANCELLED if live.stop.requested else None
