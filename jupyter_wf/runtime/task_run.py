"""The task run that the calling code is part of: ``jupyter_wf.runtime.task_run.id`` and so on."""

from __future__ import annotations

from typing import Any

from jupyter_wf.engine.lineage import task_run
from jupyter_wf.runtime.attributes import look_up

__all__ = ["api_url", "id", "name", "parameters", "run_count", "tags", "task_name", "ui_url"]

#: Always None: a run has no address of its own.
api_url: str | None
id: str | None
name: str | None
#: The values that the task was called with; JSON values where another process runs it.
parameters: dict[str, Any]
#: The number of the attempt, from 1; 0 outside any task.
run_count: int
tags: list[str]
task_name: str | None
#: Always None: a run has no address of its own.
ui_url: str | None


def _of(attribute: str) -> Any:
    run = task_run()
    return None if run is None else getattr(run, attribute)


_FIELDS = {
    "api_url": lambda: None,
    "id": lambda: _of("id"),
    "name": lambda: _of("name"),
    "parameters": lambda: dict(_of("parameters") or {}),
    "run_count": lambda: _of("attempt") or 0,
    "tags": lambda: list(_of("tags") or ()),
    "task_name": lambda: _of("task_name"),
    "ui_url": lambda: None,
}


def __getattr__(name: str) -> Any:
    return look_up("task_run", _FIELDS, name)


def __dir__() -> list[str]:
    return sorted(__all__)
