"""Where a flow's submitted tasks run: ``@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))``."""

from __future__ import annotations

import os
from dataclasses import dataclass

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.executors.base import Executor
from jupyter_wf.executors.inline import InlineExecutor
from jupyter_wf.executors.registry import make_executor
from jupyter_wf.executors.thread import ThreadExecutor

__all__ = [
    "ConcurrentTaskRunner",
    "ProcessPoolTaskRunner",
    "SequentialTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]


@dataclass(frozen=True, slots=True)
class TaskRunner:
    """What makes an executor for each run of a flow; a base for runners of one's own."""

    def make_executor(self) -> Executor:
        """Return a new executor for one flow run."""
        raise TypeError(f"{type(self).__name__} does not say which executor it makes: define make_executor()")


@dataclass(frozen=True, slots=True)
class ThreadPoolTaskRunner(TaskRunner):
    """Submitted tasks run on at most ``max_workers`` threads (32, at least 4 for each processor, when None).

    A task that waits for another one does not count, so a full pool can't deadlock.
    """

    max_workers: int | None = None

    def __post_init__(self) -> None:
        _check(self.max_workers)

    def make_executor(self) -> Executor:
        """Return a new pool."""
        return ThreadExecutor(self.max_workers or max(32, 4 * (os.cpu_count() or 1)))


@dataclass(frozen=True, slots=True)
class ProcessPoolTaskRunner(TaskRunner):
    """Submitted tasks run in at most ``max_workers`` processes (one for each processor when None).

    For work that keeps a processor busy, and for calls into C code that have to be stopped: a time-out or a
    cancellation ends the process. Functions, arguments and values are pickled; what is defined in ``__main__`` or a
    notebook goes along. Tasks that such a task runs itself run in its process, submitted ones on threads of it.
    """

    max_workers: int | None = None

    def __post_init__(self) -> None:
        _check(self.max_workers)

    def make_executor(self) -> Executor:
        """Return a new pool; its processes are started when tasks come."""
        return make_executor("process", self.max_workers or os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class SequentialTaskRunner(TaskRunner):
    """Submitted tasks run at once, one after the other, in the flow's own thread: for debugging."""

    def make_executor(self) -> Executor:
        """Return a new inline executor."""
        return InlineExecutor()


def _check(workers: int | None) -> None:
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ParameterError("max_workers", f"{workers!r} is not a whole number from 1")


#: The name it had in Prefect 2.
ConcurrentTaskRunner = ThreadPoolTaskRunner
