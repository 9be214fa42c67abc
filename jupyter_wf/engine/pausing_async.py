"""The same pause, awaited."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from jupyter_wf.engine.pausing import Pause

__all__ = ["pause_async"]


async def pause_async(pause: Pause) -> Any:
    """Pause the run until it is resumed; return the input. Raises `FlowPauseTimeout`."""
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
