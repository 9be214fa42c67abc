"""What the store has of a run, as the journal entries that a `RunTree` is fed with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from jupyter_wf.core.events import Entry, LogWritten, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.models import Event, Run, RunError

__all__ = ["entry_of", "made", "stored_entries"]


def made(run: Run) -> RunCreated:
    """Return the entry that a run was made by."""
    return RunCreated(
        *(run.id, run.created_at, run.kind, run.name, run.flow_name, run.task_name, run.parent_id, run.root_id),
        run.process_id,
        *(json.dumps(dict(run.parameters)), json.dumps(run.tags), json.dumps(run.upstream)),
        *(json.dumps(dict(run.source)), run.expected, run.max_attempts),
    )


def stored_entries(run: Run, states: Iterable[Event] = ()) -> list[Entry]:
    """Return entries that tell of a run what the store has of it: that it was made, what it did, and its state.

    ``states`` are the run's ``state`` events, oldest first; without them it is only told when the run began.
    """
    told: list[Entry] = [made(run)]
    before = [entry for event in states if (entry := entry_of(event)) is not None]
    if before:
        told += before
    elif run.started_at is not None:
        told.append(StateChanged(run.id, run.started_at, run.attempt, "RUNNING", "Running"))
    state = run.state
    # The last event says the same; but not the traceback, and not what a reader sees of a run whose process is gone.
    told.append(
        StateChanged(
            *(run.id, state.at, run.attempt, state.type.value, state.name, state.message),
            None if run.error is None else _error_text(run.error),
        )
    )
    return told


def entry_of(event: Event) -> Entry | None:
    """Return a ``state``, ``log`` or ``patch`` event as the entry that it came from; None for another one."""
    payload = event.payload
    if event.kind == "state":
        error: Mapping[str, str] | None = payload.get("error")
        return StateChanged(
            *(event.run_id, event.at, payload["attempt"], payload["type"], payload["name"], payload.get("message")),
            None if error is None else json.dumps({**error, "traceback": ""}),
        )
    if event.kind == "log":
        return LogWritten(event.run_id, event.at, payload["level"], payload["logger"], payload["message"])
    if event.kind == "patch":
        return RunPatched(event.run_id, event.at, json.dumps(dict(payload)))
    return None


def _error_text(error: RunError) -> str:
    return json.dumps({"type": error.type, "message": error.message, "traceback": error.traceback})
