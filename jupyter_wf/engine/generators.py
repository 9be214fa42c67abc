"""Generator tasks: a run that lasts as long as somebody iterates over it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from jupyter_wf.core.effects import End, Invoke, Outcome
from jupyter_wf.core.signals import Signal
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation, end_of_root, hand_out
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import CANCELLED, carry_out, is_cancellation, raised, settle, stopped, time_out
from jupyter_wf.engine.interrupts import Interruption, Target
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.transaction import around_run
from jupyter_wf.engine.work import Ending, around, completed, states_of

__all__ = ["iterate"]

_Items = Generator[Any, Any, Any]


def iterate(callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any]) -> _Items:
    """Yield what a generator task (or flow) yields; the run begins with the first item that is asked for.

    It COMPLETED when the function has returned, or when nobody wants the rest. A failed attempt that is tried again
    yields from the beginning. Raises what `hand_out` raises.
    """
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs, wait_for)
    try:
        live = invocation.begin()
        for future in invocation.upstream.futures:
            future.wait()
        with around(live, callee), suppress(GeneratorExit):
            # Where nobody wants the rest `_drive` ends the run; ``yield from`` then raises this here all the same.
            yield from _drive(invocation)
        # Not around the work: between the items the consumer's code would be in it.
        with around_run(live, None, ran=True):
            completed(live, callee)
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None:
            end_of_root(invocation.live, None)
    return hand_out(live)


def _drive(invocation: Invocation) -> _Items:
    """Carry out the life of the run; the work is done between the items."""
    live, steps = invocation.live, invocation.steps()
    answer: Outcome | None = None
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration:
            return
        if isinstance(effect, Invoke):
            items, timeout = _work(invocation), invocation.callee.policy.timeout_seconds
            try:
                answer = yield from _iterated(live, items, timeout)
            except GeneratorExit:
                answer = _closed(live, items, timeout)
        else:
            goes_on, answer = carry_out(live, effect)
            if not goes_on:
                return


def _work(invocation: Invocation) -> _Items:
    with Ending(invocation.live):
        value = yield from invocation.callee.fn(*invocation.args, **invocation.kwargs)
        return states_of(value)


def _iterated(live: LiveRun, items: _Items, timeout: float | None) -> Generator[Any, Any, Outcome]:
    """Yield the items of one attempt; return how it ended."""
    if live.stop.requested:
        return CANCELLED
    live.stop.timed_out = False
    until = None if timeout is None else time.monotonic() + timeout
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        item, outcome = _step(live, items, sent, thrown, timeout, until)
        if outcome is not None:
            return outcome
        sent = thrown = None
        try:
            sent = yield item
        except GeneratorExit:
            raise
        except BaseException as error:
            thrown = error


def _closed(live: LiveRun, items: _Items, timeout: float | None) -> Outcome:
    """Have the work end where it is, since nobody wants the rest; return how it did."""
    token = CURRENT.set(live)
    try:
        items.close()
    except Exception as error:
        return raised(live, timeout, error)
    finally:
        CURRENT.reset(token)
    return Outcome(End.RETURNED)


def _step(
    live: LiveRun, items: _Items, sent: Any, thrown: BaseException | None, timeout: float | None, until: float | None
) -> tuple[Any, Outcome | None]:
    """Return the next item, or how the work ended. Only meanwhile is the run the one that the code is part of."""
    token = CURRENT.set(live)
    target = Target()
    live.stop.callbacks.append(target.fire)
    deadline = None
    try:
        with target:
            if live.stop.wanted:
                raise Interruption
            if until is not None:
                left = max(0.0, until - time.monotonic())
                deadline = live.runtime.deadlines.add(left, partial(time_out, live, target.fire))
            item = items.throw(thrown) if thrown is not None else items.send(sent)
        return item, None
    except StopIteration as end:
        return None, Outcome(End.RETURNED, end.value)
    except Interruption as error:
        return None, stopped(live, timeout, error)
    except Signal as signal:
        return None, signal.outcome()
    except Exception as error:
        return None, raised(live, timeout, error)
    except BaseException as error:
        is_stop = isinstance(error, KeyboardInterrupt) or is_cancellation(error)
        return None, Outcome(End.CANCELLED if is_stop else End.CRASHED, None, error)
    finally:
        if deadline is not None:
            live.runtime.deadlines.drop(deadline)
        live.stop.callbacks.remove(target.fire)
        CURRENT.reset(token)
