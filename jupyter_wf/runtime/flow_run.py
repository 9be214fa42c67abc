"""The flow run that the calling code is part of: ``jupyter_wf.runtime.flow_run.id`` and so on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jupyter_wf.engine.lineage import flow_runs
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.runtime.attributes import look_up, version_of

__all__ = [
    "api_url",
    "flow_name",
    "flow_version",
    "id",
    "name",
    "parameters",
    "parent_flow_run_id",
    "root_flow_run_id",
    "run_count",
    "scheduled_start_time",
    "tags",
    "ui_url",
]

#: Always None: a run has no address of its own.
api_url: str | None
flow_name: str | None
flow_version: str | None
id: str | None
name: str | None
#: The values that the flow was called with; JSON values where another process runs it.
parameters: dict[str, Any]
parent_flow_run_id: str | None
root_flow_run_id: str | None
#: The number of the attempt, from 1; 0 outside any run.
run_count: int
#: When the run was meant to begin, UTC; now outside any run.
scheduled_start_time: datetime
tags: list[str]
#: Always None: a run has no address of its own.
ui_url: str | None


def _of(attribute: str) -> Any:
    run = next(flow_runs(), None)
    return None if run is None else getattr(run, attribute)


def _version() -> str | None:
    run = next(flow_runs(), None)
    return None if run is None else version_of(run)


def _parent() -> str | None:
    runs = flow_runs()
    next(runs, None)
    parent = next(runs, None)
    return None if parent is None else parent.id


def _root() -> str | None:
    ids = [run.id for run in flow_runs()]
    return ids[-1] if ids else None


def _scheduled() -> datetime:
    run = next(flow_runs(), None)
    if run is None:
        return datetime.now(UTC)
    slot = run.source.get("slot")
    if isinstance(slot, str):
        return datetime.fromisoformat(slot).astimezone(UTC)
    # What nobody scheduled was meant to begin when it did.
    return datetime.fromtimestamp((run.started_at or run.state.at) if isinstance(run, LiveRun) else run.created_at, UTC)


_FIELDS = {
    "api_url": lambda: None,
    "flow_name": lambda: _of("flow_name"),
    "flow_version": _version,
    "id": lambda: _of("id"),
    "name": lambda: _of("name"),
    "parameters": lambda: dict(_of("parameters") or {}),
    "parent_flow_run_id": _parent,
    "root_flow_run_id": _root,
    "run_count": lambda: _of("attempt") or 0,
    "scheduled_start_time": _scheduled,
    "tags": lambda: list(_of("tags") or ()),
    "ui_url": lambda: None,
}


def __getattr__(name: str) -> Any:
    return look_up("flow_run", _FIELDS, name)


def __dir__() -> list[str]:
    return sorted(__all__)
