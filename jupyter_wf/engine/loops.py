"""Event loops for submitted asynchronous tasks, each in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from contextvars import Context
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

__all__ = ["Loops", "open_portal"]


class Loops:
    """One loop for each level of asynchronous tasks that submit others.

    A task that blocks its loop until one that it has submitted has ended (``future.result()``) then waits for another
    loop than its own.
    """

    def __init__(self, exit_stack: ExitStack) -> None:
        self._exit = exit_stack
        self._lock = threading.Lock()
        self._loops: list[asyncio.AbstractEventLoop] = []
        #: An event loop itself does not hold the tasks that it runs.
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, level: int, context: Context, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have the coroutine that ``work`` makes run in the loop of ``level``, in ``context``; return at once."""
        loop = self._loop(level)

        def begin() -> None:
            task = loop.create_task(work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        loop.call_soon_threadsafe(begin, context=context)

    def _loop(self, level: int) -> asyncio.AbstractEventLoop:
        with self._lock:
            while len(self._loops) <= level:
                self._loops.append(open_portal(self._exit).call(_this_loop))
            return self._loops[level]


def open_portal(exit_stack: ExitStack) -> BlockingPortal:
    """Start an event loop in a thread of its own, which ends with ``exit_stack``; return the way into it.

    An interrupt of the caller does not wait for the loop to end, as one inside anyio's own start would, for ever.
    """
    opened: list[BlockingPortal] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            opened.append(exit_stack.enter_context(start_blocking_portal()))
        except BaseException as error:
            errors.append(error)

    starter = threading.Thread(target=work, name="jupyter-wf-loop", daemon=True)
    starter.start()
    starter.join()
    for error in errors:
        raise error
    return opened[0]


def _this_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
