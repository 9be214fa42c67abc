"""Generator tasks: a run that lasts as long as somebody iterates over it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

from jupyter_wf.core.effects import End, Invoke, Outcome
from jupyter_wf.core.lifecycle import failed
from jupyter_wf.core.signals import Signal
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation, end_of_root, hand_out
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import carry_out, is_cancellation, raised, settle, stopped, time_out
from jupyter_wf.engine.interrupts import Interruption, Target
from jupyter_wf.engine.limits import tag_slots
from jupyter_wf.engine.work import Ending, around, around_run, completed, states_of

__all__ = ["iterate"]


def iterate(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any]
) -> Generator[Any, Any, Any]:
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
        with around(live, callee):
            # No `yield from` here: it would hand on the `GeneratorExit` of those who do not want the rest, too.
            steps, answer = invocation.steps(), None
            while True:
                try:
                    effect = steps.send(answer)
                except StopIteration:
                    break
                if not isinstance(effect, Invoke):
                    goes_on, answer = carry_out(live, effect)
                    if not goes_on:
                        break
                    continue
                attempt = _Attempt(invocation)
                answer = attempt.step()
                while answer is None:
                    try:
                        sent = yield attempt.item
                    except GeneratorExit:
                        answer = attempt.step(close=True) or Outcome(End.RETURNED)
                        if live.runtime.closed:
                            # It was left open at the end of the process: nothing can be recorded any more.
                            return None
                        if isinstance(answer.error, Exception):
                            # Nobody is there for whom it could be tried again.
                            steps, answer = failed(answer.error), None
                            break
                    except BaseException as error:
                        answer = attempt.step(thrown=error)
                    else:
                        answer = attempt.step(sent)
        # Not around the work: between the items the consumer's code would be in it.
        with around_run(live, None, ran=True):
            completed(live, callee)
        if callee.policy.durable:
            live.runtime.journal.flush()
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None and not invocation.live.runtime.closed:
            end_of_root(invocation.live, None)
    return hand_out(live)


class _Attempt:
    """One attempt, step by step: ``item`` is what the last step yielded."""

    def __init__(self, invocation: Invocation) -> None:
        callee = invocation.callee
        self.item: Any = None
        self._live = live = invocation.live
        self._is_flow = callee.kind == "flow"
        self._items = callee.fn(*invocation.args, **invocation.kwargs)
        self._timeout = timeout = callee.policy.timeout_seconds
        self._until = None if timeout is None else time.monotonic() + timeout
        self._around: ExitStack | None = None
        live.stop.timed_out = False

    def step(self, sent: Any = None, *, thrown: BaseException | None = None, close: bool = False) -> Outcome | None:
        """Go on to the next item, or to the end; return how the work ended, None where there is an item.

        Only meanwhile is the run the one that the code is part of, and can it be stopped.
        """
        live = self._live
        token = CURRENT.set(live)
        target = Target()
        live.stop.callbacks.append(target.fire)
        deadline = None
        try:
            with target:
                if live.stop.wanted and not close:
                    raise Interruption
                if self._until is not None and not close:
                    left = max(0.0, self._until - time.monotonic())
                    deadline = live.runtime.deadlines.add(left, partial(time_out, live, target.fire))
                return self._next(sent, thrown, close)
        except Interruption as error:
            return stopped(live, self._timeout, error)
        except Signal as signal:
            return signal.outcome()
        except Exception as error:
            return raised(live, self._timeout, error)
        except BaseException as error:
            is_stop = isinstance(error, KeyboardInterrupt) or is_cancellation(error)
            return Outcome(End.CANCELLED if is_stop else End.CRASHED, None, error)
        finally:
            if deadline is not None:
                live.runtime.deadlines.drop(deadline)
            live.stop.callbacks.remove(target.fire)
            CURRENT.reset(token)

    def _next(self, sent: Any, thrown: BaseException | None, close: bool) -> Outcome | None:
        live, around = self._live, self._around
        if around is None:
            around = self._around = ExitStack()
            if live.tags:
                around.enter_context(tag_slots(live, live.tags))
            around.enter_context(Ending(live))
        value: Any = None
        with around.pop_all() as within:
            try:
                if close:
                    self._items.close()
                elif thrown is not None:
                    self.item = self._items.throw(thrown)
                else:
                    self.item = self._items.send(sent)
            except StopIteration as end:
                value = end.value
            else:
                if not close:
                    # It goes on: what is around stays.
                    self._around = within.pop_all()
                    return None
        return Outcome(End.RETURNED, states_of(value) if self._is_flow else value)
