"""Asynchronous generator tasks: a run that lasts as long as somebody iterates over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from jupyter_wf.core.effects import End, Invoke, Outcome
from jupyter_wf.core.signals import Signal
from jupyter_wf.engine.asynchronous import carry_out_async
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation, end_of_root, hand_out
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import CANCELLED, raised, settle, stopped, time_out
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.transaction import around_run
from jupyter_wf.engine.work import around, completed

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
                attempt = _Attempt(live, callee.fn(*invocation.args, **invocation.kwargs), callee)
                try:
                    async for item in attempt.items():
                        yield item
                except GeneratorExit:
                    # Nobody wants the rest: the life goes on to its end before this generator may.
                    await attempt.close()
                    for effect in _rest(steps, Outcome(End.RETURNED)):
                        await carry_out_async(live, effect)
                    raise
                answer = attempt.outcome
        async with around_run(live, None, ran=True):
            completed(live, callee)
    except GeneratorExit:
        raise
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None:
            await asyncio.to_thread(end_of_root, invocation.live, None)
    hand_out(live, asyncio.CancelledError)


def _rest(steps: Any, answer: Outcome | None) -> Iterable[Any]:
    """Yield the effects that follow an outcome which is not tried again."""
    try:
        while True:
            effect = steps.send(answer)
            answer = None
            yield effect
    except StopIteration:
        return


class _Attempt:
    """One attempt: its items, and how it ended."""

    def __init__(self, live: LiveRun, items: AsyncGenerator[Any, Any], callee: Callee) -> None:
        self._live = live
        self._items = items
        self._timeout = callee.policy.timeout_seconds
        self.outcome = CANCELLED

    async def items(self) -> AsyncGenerator[Any, Any]:
        """Yield the items; ``outcome`` is set at the end."""
        live, loop = self._live, asyncio.get_running_loop()
        if live.stop.requested:
            return
        live.stop.timed_out = False
        until = None if self._timeout is None else loop.time() + self._timeout
        while True:
            try:
                item = await self._next(until)
            except StopAsyncIteration:
                self.outcome = Outcome(End.RETURNED)
                return
            except (asyncio.CancelledError, Interruption) as error:
                self.outcome = stopped(live, self._timeout, error)
                return
            except Signal as signal:
                self.outcome = signal.outcome()
                return
            except Exception as error:
                self.outcome = raised(live, self._timeout, error)
                return
            yield item

    async def _next(self, until: float | None) -> Any:
        """Return the next item. Only meanwhile is the run the one that the code is part of, and can it be stopped."""
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
        timer = None if until is None else loop.call_at(until, time_out, live, stop)
        try:
            if live.stop.wanted:
                raise Interruption
            return await anext(self._items)
        finally:
            running = False
            for _ in range(stops):
                me.uncancel()
            if timer is not None:
                timer.cancel()
            live.stop.callbacks.remove(fire)
            CURRENT.reset(token)

    async def close(self) -> None:
        """End the user's generator."""
        await self._items.aclose()
