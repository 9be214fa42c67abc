"""The same waiting for slots, awaited. Loaded only where somebody awaits: asyncio takes 30 ms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

from jupyter_wf.engine.host import Host
from jupyter_wf.engine.limits import Ask, Lease, tags_limited, wait_in_line
from jupyter_wf.engine.runs import LiveRun

__all__ = ["release_async", "tag_slots_async", "take_async"]


async def take_async(lease: Lease, runtime: Host, timeout: float | None) -> None:
    """Wait, while the event loop goes on, until the slots are taken.

    A cancellation gives back what was taken. Raises `ConcurrencySlotAcquisitionError` and
    `AcquireConcurrencySlotTimeoutError`.
    """
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def wake() -> None:
        # A loop that is closed has nobody left to wake.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    steps = wait_in_line(lease, runtime.store.data_version, wake, timeout)
    answer: float | None = None
    waits = False
    try:
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                return
            if isinstance(step, Ask):
                # A commit takes long enough to let others go on.
                answer = await loop.run_in_executor(None, lease.ask)
                continue
            if timeout is None and not waits:
                lease.refuse_to_wait_for_itself(blocking=False)
                waits = True
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), step)
            event.clear()
    except BaseException:
        steps.close()
        lease.abandon()
        raise


async def release_async(lease: Lease) -> None:
    """Give the slots back while the event loop goes on; a cancellation does not stop it."""
    try:
        giving_back = asyncio.get_running_loop().run_in_executor(None, lease.release)
    except RuntimeError:
        # The loop is about to end, and takes no more work for its threads.
        lease.release()
        return
    await asyncio.shield(giving_back)


@asynccontextmanager
async def _slots(lease: Lease, runtime: Host) -> AsyncIterator[None]:
    await take_async(lease, runtime, None)
    try:
        yield
    finally:
        await release_async(lease)


_FREE: AbstractAsyncContextManager[None] = nullcontext()


def tag_slots_async(live: LiveRun, tags: Iterable[str]) -> AbstractAsyncContextManager[None]:
    """Return what `tag_slots` returns, to be used with ``async with``."""
    lease = tags_limited(live, tags)
    return _FREE if lease is None else _slots(lease, live.runtime)
