"""Asynchronous generator tasks: a run that lasts as long as somebody iterates over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack
from typing import Any

from jupyter_wf.core.effects import End, Invoke, Outcome
from jupyter_wf.core.lifecycle import failed
from jupyter_wf.core.signals import Signal
from jupyter_wf.engine.asynchronous import AsyncEnding, carry_out_async
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation, end_of_root, hand_out
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import raised, settle, stopped, time_out
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.limits_async import tag_slots_async
from jupyter_wf.engine.work import around, around_run, completed

__all__ = ["iterate_async"]


async def iterate_async(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any]
) -> AsyncGenerator[Any, Any]:
    """Do as `engine.generators.iterate` does, in the running event loop."""
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs, wait_for)
    try:
        live = invocation.begin()
        for future in invocation.upstream.futures:
            await future.until_done()
        with around(live, callee):
            steps, answer = invocation.steps(), None
            while True:
                try:
                    effect = steps.send(answer)
                except StopIteration:
                    break
                if not isinstance(effect, Invoke):
                    goes_on, answer = await carry_out_async(live, effect)
                    if not goes_on:
                        break
                    continue
                attempt = _Attempt(invocation)
                answer = await attempt.step()
                while answer is None:
                    try:
                        sent = yield attempt.item
                    except GeneratorExit:
                        # Nobody wants the rest.
                        answer = await attempt.step(close=True) or Outcome(End.RETURNED)
                        if live.runtime.closed:
                            # It was left open at the end of the process: nothing can be recorded any more.
                            return
                        if isinstance(answer.error, Exception):
                            steps, answer = failed(answer.error), None
                            break
                    except BaseException as error:
                        answer = await attempt.step(thrown=error)
                    else:
                        answer = await attempt.step(sent)
        async with around_run(live, None, ran=True):
            completed(live, callee)
        if callee.policy.durable:
            await asyncio.to_thread(live.runtime.journal.flush)
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None and not invocation.live.runtime.closed:
            await asyncio.to_thread(end_of_root, invocation.live, None)
    hand_out(live, asyncio.CancelledError)


class _Attempt:
    """One attempt, step by step: ``item`` is what the last step yielded."""

    def __init__(self, invocation: Invocation) -> None:
        callee = invocation.callee
        self.item: Any = None
        self._live = live = invocation.live
        self._items = callee.fn(*invocation.args, **invocation.kwargs)
        self._timeout = timeout = callee.policy.timeout_seconds
        self._until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        self._around: AsyncExitStack | None = None
        live.stop.timed_out = False

    async def step(
        self, sent: Any = None, *, thrown: BaseException | None = None, close: bool = False
    ) -> Outcome | None:
        """Go on to the next item, or to the end; return how the work ended, None where there is an item.

        Only meanwhile is the run the one that the code is part of, and can it be stopped.
        """
        live, loop, me = self._live, asyncio.get_running_loop(), asyncio.current_task()
        assert me is not None
        stops = 0
        running = True

        def stop() -> None:
            nonlocal stops
            if running:
                stops += 1
                me.cancel()

        def fire() -> None:
            loop.call_soon_threadsafe(stop)

        token = CURRENT.set(live)
        live.stop.callbacks.append(fire)
        timer = None if self._until is None or close else loop.call_at(self._until, time_out, live, stop)
        try:
            if live.stop.wanted and not close:
                raise Interruption
            return await self._next(sent, thrown, close)
        except (asyncio.CancelledError, Interruption) as error:
            return stopped(live, self._timeout, error)
        except Signal as signal:
            return signal.outcome()
        except Exception as error:
            return raised(live, self._timeout, error)
        except BaseException as error:
            return Outcome(End.CANCELLED if isinstance(error, KeyboardInterrupt) else End.CRASHED, None, error)
        finally:
            running = False
            for _ in range(stops):
                me.uncancel()
            if timer is not None:
                timer.cancel()
            live.stop.callbacks.remove(fire)
            CURRENT.reset(token)

    async def _next(self, sent: Any, thrown: BaseException | None, close: bool) -> Outcome | None:
        live, around = self._live, self._around
        if around is None:
            around = self._around = AsyncExitStack()
            if live.tags:
                await around.enter_async_context(tag_slots_async(live, live.tags))
            await around.enter_async_context(AsyncEnding(live))
        async with around.pop_all() as within:
            try:
                if close:
                    await self._items.aclose()
                elif thrown is not None:
                    self.item = await self._items.athrow(thrown)
                else:
                    self.item = await self._items.asend(sent)
            except StopAsyncIteration:
                pass
            else:
                if not close:
                    # It goes on: what is around stays.
                    self._around = within.pop_all()
                    return None
        return Outcome(End.RETURNED)
