"""The JSON forms of the records: what REST, the CLI's ``--json``, the stream and the widget show.

The ``TypedDict`` classes are the one definition; the TypeScript types are generated from them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

from jupyter_wf.core.models import Event, LogRecord, Progress, Run, RunError, RunPage
from jupyter_wf.core.processes import Request
from jupyter_wf.core.states import State

__all__ = [
    "CopyNotebookJSON",
    "EnvironmentJSON",
    "ErrorJSON",
    "EventJSON",
    "LogJSON",
    "LogPageJSON",
    "MetaJSON",
    "NotebookCopyJSON",
    "ProgressJSON",
    "RequestJSON",
    "RerunJSON",
    "ResultJSON",
    "ResumeJSON",
    "RunErrorJSON",
    "RunJSON",
    "RunPageJSON",
    "StartRunJSON",
    "StateJSON",
    "StreamJSON",
    "encode_event",
    "encode_log",
    "encode_page",
    "encode_request",
    "encode_run",
    "encode_state",
    "iso",
]


class StateJSON(TypedDict):
    """A state. ``at`` is ISO 8601 in UTC with microseconds and a ``Z``."""

    type: str
    name: str
    message: str | None
    at: str


class RunErrorJSON(TypedDict):
    """Why a run did not complete."""

    type: str
    message: str
    traceback: str


class ProgressJSON(TypedDict):
    """How far the children of a run are; ``counts`` maps state types to numbers."""

    total: int
    done: int
    counts: dict[str, int]


class RunJSON(TypedDict):
    """A run."""

    id: str
    kind: str
    name: str
    flow_name: str | None
    task_name: str | None
    parent_id: str | None
    root_id: str
    attempt: int
    max_attempts: int
    state: StateJSON
    parameters: dict[str, Any]
    tags: list[str]
    upstream: list[str]
    source: dict[str, Any]
    created_at: str
    started_at: str | None
    ended_at: str | None
    progress: ProgressJSON | None
    error: RunErrorJSON | None
    can_retry: bool
    can_resume: bool


class RunPageJSON(TypedDict):
    """A page of runs; ``next`` continues the list as ``?cursor=``, null at its end."""

    items: list[RunJSON]
    next: str | None


class LogJSON(TypedDict):
    """A log line; ``level`` as in Python's logging (20 is INFO)."""

    seq: int
    run_id: str
    at: str
    level: int
    logger: str
    message: str


class LogPageJSON(TypedDict):
    """Log lines in the order of their ``seq``; ``next_after`` continues as ``?after=``."""

    items: list[LogJSON]
    next_after: int


class EventJSON(TypedDict):
    """One event of the stream; ``kind`` is run, state, log, patch, request or artifact."""

    seq: int
    at: str
    run_id: str
    kind: str
    payload: dict[str, Any]


class StreamJSON(TypedDict):
    """One message of the WebSocket: events, and the runs they are about as they are now.

    ``seq`` is the last event looked at: reconnect with ``?after=seq``. An empty message is a heartbeat.
    """

    seq: int
    events: list[EventJSON]
    runs: list[RunJSON]


class RequestJSON(TypedDict):
    """A request to a run's owner; ``kind`` is cancel, retry, pause or resume.

    ``outcome`` is null until the owner has answered. What a resume brings along is not shown.
    """

    id: int
    run_id: str
    kind: str
    created_at: str
    outcome: str | None


class StartRunJSON(TypedDict, total=False):
    """The body of ``POST runs``: a notebook's path below the server's root, and its parameters."""

    notebook: str
    parameters: dict[str, Any]


class ResumeJSON(TypedDict, total=False):
    """The body of ``POST runs/{id}/resume`` and ``…/repair``: parameters that are to have other values."""

    parameters: dict[str, Any]


RerunJSON = TypedDict("RerunJSON", {"parameters": dict[str, Any], "from": str}, total=False)
RerunJSON.__doc__ = """The body of ``POST runs/{id}/rerun``: changed parameters, and the task to begin from."""


class CopyNotebookJSON(TypedDict, total=False):
    """The body of ``POST runs/{id}/notebook/copy``: the executed notebook, or the snapshot of what was run."""

    what: Literal["executed", "snapshot"]


class ResultJSON(TypedDict):
    """What a run returned: the value itself where ``is_json``, else its type and ``repr`` as far as they are known.

    ``size`` is that of the stored value, in bytes.
    """

    is_json: bool
    value: Any
    type: str | None
    repr: str | None
    size: int


class EnvironmentJSON(TypedDict):
    """What a run's kernel had installed: the Python, its platform, and the version of each package."""

    python: str
    implementation: str
    platform: str
    executable: str
    packages: dict[str, str]


class MetaJSON(TypedDict):
    """What the server is: versions, the state file, the number of the newest event."""

    version: str
    api: int
    database: str
    sqlite: str
    seq: int


class NotebookCopyJSON(TypedDict):
    """The answer to ``POST runs/{id}/notebook/copy``: the copy's contents path, to be opened in the front end."""

    path: str


class ErrorJSON(TypedDict):
    """Every refusal: the error's class name and its text."""

    error: str
    message: str


def iso(at: float) -> str:
    """Return epoch seconds as ``2026-01-31T12:00:00.000000Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _iso(at: float | None) -> str | None:
    return None if at is None else iso(at)


def encode_state(state: State) -> StateJSON:
    """Return the JSON form of a state."""
    return {"type": state.type.value, "name": state.name, "message": state.message, "at": iso(state.at)}


def _encode_error(error: RunError | None) -> RunErrorJSON | None:
    if error is None:
        return None
    return {"type": error.type, "message": error.message, "traceback": error.traceback}


def _encode_progress(progress: Progress | None) -> ProgressJSON | None:
    if progress is None:
        return None
    return {"total": progress.total, "done": progress.done, "counts": dict(progress.counts)}


def encode_run(run: Run) -> RunJSON:
    """Return the JSON form of a run."""
    return {
        "id": run.id,
        "kind": run.kind,
        "name": run.name,
        "flow_name": run.flow_name,
        "task_name": run.task_name,
        "parent_id": run.parent_id,
        "root_id": run.root_id,
        "attempt": run.attempt,
        "max_attempts": run.max_attempts,
        "state": encode_state(run.state),
        "parameters": dict(run.parameters),
        "tags": list(run.tags),
        "upstream": list(run.upstream),
        "source": dict(run.source),
        "created_at": iso(run.created_at),
        "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
        "progress": _encode_progress(run.progress),
        "error": _encode_error(run.error),
        "can_retry": run.can_retry,
        "can_resume": run.can_resume,
    }


def encode_page(page: RunPage) -> RunPageJSON:
    """Return the JSON form of a page of runs."""
    return {"items": [encode_run(run) for run in page.items], "next": page.next_cursor}


def encode_log(record: LogRecord) -> LogJSON:
    """Return the JSON form of a log line."""
    return {
        "seq": record.seq,
        "run_id": record.run_id,
        "at": iso(record.at),
        "level": record.level,
        "logger": record.logger,
        "message": record.message,
    }


def encode_event(event: Event) -> EventJSON:
    """Return the JSON form of an event."""
    return {
        "seq": event.seq,
        "at": iso(event.at),
        "run_id": event.run_id,
        "kind": event.kind,
        "payload": dict(event.payload),
    }


def encode_request(request: Request) -> RequestJSON:
    """Return the JSON form of a request."""
    return {
        "id": request.id,
        "run_id": request.run_id,
        "kind": request.kind,
        "created_at": iso(request.created_at),
        "outcome": request.outcome,
    }
