"""The executors of a process, each started when it is first asked for."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

from jupyter_wf.executors.base import Executor
from jupyter_wf.executors.registry import make_executor

__all__ = ["Pools"]


class Pools:
    """Executors by name.

    What has to be undone is left on ``exit_stack``; ``threads`` is the size of the thread pool.
    """

    def __init__(self, exit_stack: ExitStack, threads: int) -> None:
        self._exit = exit_stack
        self._threads = threads
        self._lock = threading.Lock()
        self._made: dict[str, Executor] = {}

    def named(self, name: str) -> Executor:
        """Return the executor ``thread``, ``process``, … of this process.

        Raises `ValueError` for a name that nobody has registered.
        """
        made = self._made.get(name)
        if made is not None:
            return made
        with self._lock:
            if name not in self._made:
                executor = make_executor(name, self._threads if name == "thread" else os.cpu_count() or 1)
                executor.start(self._exit)
                self._made[name] = executor
            return self._made[name]
