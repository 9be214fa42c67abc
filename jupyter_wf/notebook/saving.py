"""Saves the notebook that is executed: after each cell, and about once a second while one prints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import nbformat

from jupyter_wf.notebook.source import write_atomically

__all__ = ["Saver", "Settles"]

#: Seconds between two saves while a cell is executed.
_INTERVAL = 1.0
#: A large notebook rests so many times as long as saving it took.
_RESTS = 20.0
#: nbformat says nothing about its types.
_to_text: Callable[[Any], str] = nbformat.v4.writes


class Settles(Protocol):
    """Holds outputs that are still on their way into the notebook: `CellClient`."""

    @property
    def taken(self) -> int:
        """How many messages with outputs have come so far."""

    @property
    def last_line(self) -> str:
        """The last line that was printed; empty where that is nothing."""

    def settle(self, *, last: bool = False) -> None:
        """Put what has come into the cells' outputs."""


class Saver:
    """Writes ``notebook`` to ``path``, each time whole or not at all. For the thread of the event loop.

    ``client`` is what executes it, None while nothing does. ``on_line`` is told the last line that was printed, about
    as often as the notebook is saved.
    """

    def __init__(
        self,
        notebook: Any,
        path: Path,
        *,
        on_line: Callable[[str], None] = lambda line: None,
        interval: float = _INTERVAL,
    ) -> None:
        self._notebook = notebook
        self._path = path
        self._interval = interval
        self._on_line = on_line
        self.client: Settles | None = None

    def save(self, *, last: bool = False) -> None:
        """Save it as it is now; ``last``: nothing more will come. Raises `OSError`."""
        if self.client is not None:
            self.client.settle(last=last)
        write_atomically(self._path, _to_text(self._notebook) + "\n")

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Save it now and then within the block, where something has come, and at its end."""
        watch = asyncio.get_running_loop().create_task(self._watch(self.client)) if self.client is not None else None
        try:
            yield
        finally:
            if watch is not None:
                watch.cancel()
            self.save()

    async def _watch(self, client: Settles) -> None:
        pause, seen = self._interval, client.taken
        while True:
            await asyncio.sleep(pause)
            if client.taken == seen:
                continue
            seen, began = client.taken, time.monotonic()
            # What can't be written now is tried again: it is the save at the end that counts.
            with suppress(OSError):
                self.save()
            if client.last_line:
                self._on_line(client.last_line)
            pause = max(self._interval, _RESTS * (time.monotonic() - began))
