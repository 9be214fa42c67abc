"""Serving background tasks: ``serve(send_mail, resize)`` executes what was left by ``send_mail.delay(…)``."""

from __future__ import annotations

from typing import Any

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.background import BackgroundFuture, TaskServer
from jupyter_wf.tasks import Task

__all__ = ["BackgroundFuture", "serve"]


def serve(*tasks: Task[..., Any], limit: int | None = 10) -> None:
    """Execute the background runs of ``tasks``, at most ``limit`` at the same time, until the process is interrupted.

    Any number of processes may serve the same task: each run is executed by one of them. Ctrl-C cancels what runs.
    Raises `ParameterError` for what is no task, for two tasks of one name, and for a limit below 1.
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ParameterError("limit", f"{limit!r} is not a whole number from 1")
    callees = {}
    for each in tasks:
        if not isinstance(each, Task):
            raise ParameterError("tasks", f"{each!r:.100} is no task")
        if each.name in callees:
            raise ParameterError("tasks", f"two of them are named {each.name!r}: give one another name")
        callees[each.name] = each.callee
    if not callees:
        raise ParameterError("tasks", "give at least one task")
    TaskServer(callees, limit=limit or 1_000).serve()
