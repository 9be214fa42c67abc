"""Functions that work in both worlds: they block in synchronous code, and give something to await in an event loop."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from jupyter_wf.engine.context import CURRENT

__all__ = ["either", "is_awaiting"]

#: Keeps what nobody awaits from being collected before it is done.
_begun: set[Any] = set()


def is_awaiting() -> bool:
    """Return whether the caller is to get something to await: an event loop runs in its thread.

    In the body of a synchronous run that is never so: a notebook's kernel runs such a one inside of its event loop.
    """
    live = CURRENT.get()
    if live is not None and live.callee is not None and not live.callee.is_async:
        return False
    # Where a loop runs, somebody has imported it.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def either(work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns; in an event loop an awaitable of it, which goes its way even if nobody awaits it.

    ``work`` is then called in a thread.
    """
    if not is_awaiting():
        return work()
    # Only those who await need it.
    import asyncio

    task = asyncio.ensure_future(asyncio.to_thread(work))
    _begun.add(task)
    task.add_done_callback(_begun.discard)
    return task
