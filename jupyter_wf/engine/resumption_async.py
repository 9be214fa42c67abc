"""The same, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from jupyter_wf.engine.asynchronous import continue_async
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.drivers import settle
from jupyter_wf.engine.resumption import take_over
from jupyter_wf.engine.runs import LiveRun

__all__ = ["resume_async"]


async def resume_async(callee: Callee, run_id: str, changed: Mapping[str, Any]) -> LiveRun:
    """Make the next attempt of a run of an asynchronous flow, in the running event loop; return the run."""
    live, args, kwargs = await asyncio.to_thread(take_over, callee, run_id, changed)
    try:
        return await continue_async(callee, live, args, kwargs)
    except BaseException as error:
        settle(live, error)
        raise
