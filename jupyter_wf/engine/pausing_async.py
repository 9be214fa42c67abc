"""The same pause, awaited."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from jupyter_wf.engine.pausing import Hold, Pause
from jupyter_wf.engine.runs import LiveRun

__all__ = ["hold_back_async", "pause_async"]

#: How often (seconds) it is looked whether a held run may go on.
_INTERVAL = 0.02


async def hold_back_async(live: LiveRun) -> None:
    """Let the coroutine wait that is about to make a call in a run which is held."""
    hold = live.resume
    while isinstance(hold, Hold) and not hold.over:
        await asyncio.sleep(_INTERVAL)


async def pause_async(pause: Pause) -> Any:
    """Pause the run until it is resumed; return the input. Raises `FlowPauseTimeout`."""
    await hold_back_async(pause.live)
    loop = asyncio.get_running_loop()
    resumed = asyncio.Event()

    def wake() -> None:
        # The loop may have been closed under a run that nobody awaits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resumed.set)

    try:
        pause.begin(wake)
        await asyncio.to_thread(pause.live.runtime.journal.flush)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.timeout):
                await resumed.wait()
    finally:
        pause.end()
    return pause.result()
