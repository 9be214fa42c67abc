"""Where a flow's submitted tasks run: ``@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.executors.base import Executor
from jupyter_wf.executors.inline import InlineExecutor
from jupyter_wf.executors.registry import make_executor
from jupyter_wf.executors.thread import ThreadExecutor

__all__ = [
    "ConcurrentTaskRunner",
    "DaskTaskRunner",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskTaskRunner(TaskRunner):
    """Submitted tasks run on the workers of a Dask cluster, as many at the same time as it has threads.

    ``address`` is that of a scheduler, ``cluster`` a cluster object that is there already. With neither, each flow run
    makes a cluster when its first task is submitted, and ends it: ``cluster_class`` (a class or its dotted name,
    `distributed.LocalCluster` when None) called with ``cluster_kwargs``. ``adapt_kwargs`` (such as ``minimum`` and
    ``maximum``) let that cluster, or ``cluster``, grow and shrink; ``client_kwargs`` go to `distributed.Client`.

    Functions, arguments and values are pickled; what is defined in ``__main__`` or a notebook goes along. A task that
    runs there can't run other tasks: the workers never see the store. Its log lines and prints come back. One that is
    cancelled or timed out is interrupted at its next bytecode; the worker of a cluster of the flow's own with one
    thread is ended, if that does not help. A worker that dies crashes the run of its task, which is not called again.

    Needs ``pip install 'jupyter_wf[dask]'``: a flow that is called without it raises `ModuleNotFoundError`. A script
    that makes a local cluster calls its flow below ``if __name__ == "__main__":``. Raises `ParameterError` for
    arguments that exclude each other.
    """

    address: str | None = None
    cluster: Any = None
    cluster_class: Any = None
    cluster_kwargs: Mapping[str, Any] | None = None
    adapt_kwargs: Mapping[str, Any] | None = None
    client_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.address is not None and (type(self.address) is not str or not self.address):
            raise ParameterError("address", f"{self.address!r} is not the address of a scheduler: tcp://host:8786")
        if self.cluster_class is not None and not (callable(self.cluster_class) or "." in str(self.cluster_class)):
            raise ParameterError("cluster_class", f"{self.cluster_class!r} is neither a class nor its dotted name")
        for here, others in {
            "address": ("cluster", "cluster_class", "cluster_kwargs", "adapt_kwargs"),
            "cluster": ("cluster_class", "cluster_kwargs"),
        }.items():
            for other in others:
                if getattr(self, here) is not None and getattr(self, other) is not None:
                    raise ParameterError(other, f"can't be given with {here}=: that cluster is there already")

    def make_executor(self) -> Executor:
        """Return a new executor; it makes its cluster, or connects to it, when tasks come."""
        # Half a second, and packages that few have installed.
        from jupyter_wf.executors.dask import DaskExecutor
        from jupyter_wf.executors.dask_place import Place

        place = Place(
            *(self.address, self.cluster, self.cluster_class),
            *(self.cluster_kwargs, self.adapt_kwargs, self.client_kwargs),
        )
        return DaskExecutor(None, place)


def _check(workers: int | None) -> None:
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ParameterError("max_workers", f"{workers!r} is not a whole number from 1")


#: The name it had in Prefect 2.
ConcurrentTaskRunner = ThreadPoolTaskRunner
