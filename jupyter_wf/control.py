"""Ending a run early without a failure: ``skip("no new files")``, ``stop_flow("nothing is left to be done")``."""

from __future__ import annotations

from typing import Any, NoReturn

from jupyter_wf.core.errors import MissingContextError
from jupyter_wf.core.signals import SkipRun, StopFlow
from jupyter_wf.engine.context import CURRENT

__all__ = ["skip", "stop_flow"]


def skip(reason: str | None = None) -> NoReturn:
    """End the task (or flow) run that calls this: COMPLETED as ``Skipped``, with None as its value.

    Tasks that depend on it are skipped too, unless their ``trigger`` says otherwise. Raises `MissingContextError`
    outside any run.
    """
    if CURRENT.get() is None:
        raise MissingContextError("skip() ends a run: call it inside a task or flow")
    raise SkipRun(reason)


def stop_flow(reason: str | None = None, *, value: Any = None) -> NoReturn:
    """End the flow run that calls this, or whose task calls this: COMPLETED, with ``value`` as its value.

    The task that calls it COMPLETED; what else runs is cancelled. Raises `MissingContextError` outside any run.
    """
    if CURRENT.get() is None:
        raise MissingContextError("stop_flow() ends a flow run: call it inside a flow or task")
    raise StopFlow(reason, value)
