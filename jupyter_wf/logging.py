"""The logger of the run that the calling code is part of, and which other loggers' lines are the run's too.

Lines belong to a run by the context of the code that writes them. Tasks have theirs on any thread, and so has what
asyncio and `asyncio.to_thread` start; a bare `threading.Thread` or a pool of the user's own starts without a context:
what is logged or printed there belongs to no run, unless it is started as ``contextvars.copy_context().run`` of the
function, or is given a logger that `get_run_logger` returned in the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from jupyter_wf.context import FlowRunContext, TaskRunContext
from jupyter_wf.engine.capture import ForeignRun, include_loggers, run_logger
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.lineage import Known, innermost
from jupyter_wf.engine.loglines import SILENCE
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import current_runtime

__all__ = ["disable_run_logger", "get_run_logger", "include_loggers"]

F = TypeVar("F", bound=Callable[..., Any])


def get_run_logger(
    context: FlowRunContext | TaskRunContext | None = None, **extra: Any
) -> logging.LoggerAdapter[logging.Logger]:
    """Return a standard logger whose lines go to the log of the current task or flow run, or of ``context``'s.

    It takes lines from INFO up, or from the level that ``JUPYTER_WF_LOGGING_LEVEL`` names. In a cell of a headless
    notebook it is the cell's. ``extra`` becomes attributes of the records, for log handlers of your own. A kept logger
    goes on writing to its run from any thread. Raises `MissingContextError` outside any run (see
    `disable_run_logger`), `TypeError` for another kind of context.
    """
    if context is not None:
        if not isinstance(context, (FlowRunContext, TaskRunContext)):
            raise TypeError(f"get_run_logger() takes what get_run_context() returned, not {context!r:.80}")
        return run_logger(_target(context.run), extra)
    if CURRENT.get() is not None:
        return run_logger(None, extra)
    ambient = innermost()
    return run_logger(None if ambient is None else _target(ambient), extra)


def _target(run: Known) -> LiveRun | ForeignRun:
    return run if isinstance(run, LiveRun) else ForeignRun(run, current_runtime())


class disable_run_logger(ContextDecorator):
    """A block, or as ``@disable_run_logger()`` a function, in which run loggers write nowhere and need no run.

    For unit tests of functions that log: ``my_task.fn(…)`` can then be called outside any run. It holds for the whole
    process, for loggers taken before as well, and for prints; the loggers of `include_loggers` go on.
    """

    def __enter__(self) -> None:
        SILENCE.begin()

    def __exit__(self, *error: object) -> None:
        SILENCE.end()

    def __call__(self, func: F) -> F:
        """Return ``func`` with its calls inside such a block; of an async function until it has returned."""
        if not iscoroutinefunction(func):
            return super().__call__(func)

        @wraps(func)
        async def quiet(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await func(*args, **kwargs)

        return quiet  # type: ignore[return-value]
