"""The executors by name: ours, and those that other packages bring by the entry point ``jupyter_wf.executors``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyter_wf.executors.base import Executor
from jupyter_wf.executors.inline import InlineExecutor
from jupyter_wf.executors.thread import ThreadExecutor

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINT", "Maker", "executor_names", "make_executor"]

ENTRY_POINT = "jupyter_wf.executors"

#: Makes an executor for at most so many calls at the same time.
Maker = Callable[[int], Executor]


def _inline(size: int) -> Executor:
    return InlineExecutor()


def _process(size: int) -> Executor:
    # Most flows never start a process.
    from jupyter_wf.executors.process import ProcessExecutor

    return ProcessExecutor(size)


def _dask(size: int) -> Executor:
    # Half a second, and packages that few have installed.
    from jupyter_wf.executors.dask import DaskExecutor

    return DaskExecutor(size)


_OURS: dict[str, Maker] = {"dask": _dask, "inline": _inline, "process": _process, "thread": ThreadExecutor}


def _theirs() -> dict[str, EntryPoint]:
    # 30 ms that nobody needs who uses ours.
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINT)}


def executor_names() -> list[str]:
    """Return the names that `make_executor` knows."""
    return sorted({*_OURS, *_theirs()})


def make_executor(name: str, size: int) -> Executor:
    """Return a new executor, not yet started, for at most ``size`` calls at the same time.

    Raises `ValueError` for a name that nobody has registered, `ModuleNotFoundError` where what it needs is not
    installed.
    """
    maker = _OURS.get(name)
    if maker is None:
        found = _theirs().get(name)
        if found is None:
            raise ValueError(f"there is no executor {name!r}; there are {', '.join(executor_names())}")
        maker = found.load()
    executor: Executor = maker(size)
    return executor
