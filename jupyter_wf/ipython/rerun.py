"""Try a failed cell again: on the kernel's main thread, when it is idle, with its outputs below its own cell."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# (IPython's own functions have no types)
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from jupyter_wf.core.states import StateType
from jupyter_wf.engine.calls import Callee, perform, perform_async
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.ipython.tracebacks import show_user_frames
from jupyter_wf.ipython.views import Board

__all__ = ["Rerunner"]


class Rerunner:
    """Runs ended runs of cells again, as new attempts of the same runs.

    `request` may be called from any thread; the work happens on the kernel's loop between two cells. A loop's callback
    can't begin while a cell blocks it; one that awaits is waited for.
    """

    def __init__(self, shell: InteractiveShell, board: Board) -> None:
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        self._board = board
        self._busy = False
        self._waiting: deque[tuple[LiveRun, Callee, dict[str, Any]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._kernel.io_loop.asyncio_loop
        return loop

    def request(self, live: LiveRun, callee: Callee, parent: dict[str, Any]) -> None:
        """Have the run tried again; ``parent`` is the message whose cell gets the outputs."""
        self._waiting.append((live, callee, parent))
        self._loop.call_soon_threadsafe(self._next)

    def cell_begins(self) -> None:
        """Hold back what waits until the cell has ended."""
        self._busy = True

    def cell_ended(self) -> None:
        """Go on with what waits, once the kernel is idle."""
        self._busy = False
        if self._waiting:
            self._loop.call_soon_threadsafe(self._next)

    def _next(self) -> None:
        if self._busy or not self._waiting:
            return
        self._busy = True
        task = self._loop.create_task(self._run(*self._waiting.popleft()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, live: LiveRun, callee: Callee, parent: dict[str, Any]) -> None:
        try:
            if not live.is_open:
                self._kernel.set_parent([], parent)
                with self._interruptible():
                    await self._try_again(live, callee)
        finally:
            self.cell_ended()

    async def _try_again(self, live: LiveRun, callee: Callee) -> None:
        self._shell.display_pub.clear_output()
        self._board.reopen(live.id)
        live.cancel_requested = False
        try:
            if callee.is_async:
                await perform_async(live, callee, (), {}, [], attempt=live.attempt + 1)
            else:
                perform(live, callee, (), {}, [], attempt=live.attempt + 1)
            error = live.last_error
        except BaseException as raised:
            error = raised
        live.runtime.journal.flush()
        self._board.settle()
        if live.state.type is StateType.COMPLETED:
            if live.state.data is not None:
                display(live.state.data)
        elif error is not None:
            show_user_frames(self._shell, error)
            self._shell.showtraceback((type(error), error, error.__traceback__))

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let the stop button raise `KeyboardInterrupt`, as it does in a cell; between cells a kernel ignores it."""
        self._kernel.pre_handler_hook()
        try:
            yield
        finally:
            self._kernel.post_handler_hook()
