"""Serving background tasks: ``serve(send_mail, resize)`` executes what was left by ``send_mail.delay(…)``."""

from __future__ import annotations

from typing import Any

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.background import BackgroundFuture
from jupyter_wf.engine.serving import TaskServer
from jupyter_wf.tasks import Task

__all__ = ["BackgroundFuture", "serve"]


def serve(*tasks: Task[..., Any], limit: int | None = 10) -> None:
    """Execute the background runs of ``tasks``, at most ``limit`` at the same time, until the process is interrupted.

    Any number of processes may serve the same task: each run is executed by one of them. A run that waits for another
    background run does not count. Ctrl-C and SIGTERM cancel what runs, and go on to the caller as `KeyboardInterrupt`
    and `SystemExit`. Tasks of the same name are told apart by the modules that they are in.

    Raises `ParameterError` for what is no task, for two tasks that can't be told apart, and for a limit below 1.
    """
    callees = {}
    for number, each in enumerate(tasks):
        if not isinstance(each, Task):
            raise ParameterError("tasks", f"{each!r:.100} is no task; decorate it with @task")
        callees[str(number)] = each.callee
    TaskServer(callees, limit=limit).serve()
