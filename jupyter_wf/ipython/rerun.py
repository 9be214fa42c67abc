# mypy: disable-error-code="no-untyped-call"
# (IPython's own functions have no types)
"""Try a run again that ended badly: on the kernel's main thread, when it is idle, with outputs below its own cell."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.ipython.tracebacks import show_user_frames
from jupyter_wf.ipython.views import Board
from jupyter_wf.notebook.elsewhere import CellValue

__all__ = ["Rerunner"]


class Rerunner:
    """Makes the next attempt of ended runs.

    `request` may be called from any thread; the work happens on the kernel's loop between two cells. A loop's callback
    can't begin while a cell blocks it; a cell that awaits is waited for.
    """

    def __init__(self, shell: InteractiveShell, board: Board) -> None:
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        self._board = board
        self._busy = False
        self._waiting: deque[LiveRun] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self._kernel.io_loop.asyncio_loop
        return loop

    def request(self, live: LiveRun) -> None:
        """Have the run tried again."""
        self._waiting.append(live)
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
        task = self._loop.create_task(self._run(self._waiting.popleft()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, live: LiveRun) -> None:
        try:
            if not live.is_open and live.rerun is not None:
                # What is shown from here on belongs to the run's own cell, as far as the front end still has it.
                request = self._board.reopen(live)
                if request:
                    self._kernel.set_parent([], request)
                    self._shell.display_pub.clear_output()
                    self._board.show_again(live.id)
                with _stoppable(live):
                    await self._try_again(live)
        finally:
            self.cell_ended()

    async def _try_again(self, live: LiveRun) -> None:
        error: BaseException | None = None
        try:
            work = live.rerun() if live.rerun is not None else None
            if asyncio.iscoroutine(work):
                await work
        except BaseException as raised:
            error = raised
        self._board.settle()
        if live.state.type is StateType.COMPLETED:
            value = live.state.data
            shown = value.shown if isinstance(value, CellValue) else value
            if shown is not None:
                display(shown)
            return
        error = live.last_error or error
        if error is not None:
            show_user_frames(self._shell, error)
            self._shell.showtraceback((type(error), error, error.__traceback__))


@contextmanager
def _stoppable(live: LiveRun) -> Iterator[None]:
    """Let the stop button cancel the run; between cells a kernel ignores it."""

    def stop(*_: object) -> None:
        # Not here: the signal may have interrupted this very thread while it holds one of the run's locks.
        threading.Thread(target=live.cancel, args=("interrupted",), daemon=True).start()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
