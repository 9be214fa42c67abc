"""Rows to records and back: the only place that knows the order of columns."""

from __future__ import annotations

import json
from typing import Any

from jupyter_wf.core.models import Earlier, Event, LogRecord, Run, RunError, StoredResult
from jupyter_wf.core.states import State, StateType

__all__ = [
    "EARLIER_COLUMNS",
    "EVENT_COLUMNS",
    "LOG_COLUMNS",
    "OPEN",
    "RESULT_COLUMNS",
    "RUN_COLUMNS",
    "earlier_from",
    "event_from",
    "log_from",
    "result_from",
    "run_from",
]

#: The condition of an open run, word for word that of the index ``runs_open``.
OPEN = "ended_at IS NULL AND state_name <> 'NotReady'"
RUN_COLUMNS = (
    "id, kind, name, flow_name, task_name, parent_id, root_id, attempt, max_attempts, state_type, state_name, "
    "state_message, state_at, parameters, tags, upstream, source, error, created_at, started_at, ended_at, expected, "
    "process_id"
)
EVENT_COLUMNS = "e.seq, e.at, coalesce(r.id, ''), e.kind, e.payload"
LOG_COLUMNS = "e.seq, r.id, e.at, e.payload"
EARLIER_COLUMNS = (
    "id, kind, name, flow_name, task_name, call_number, attempt, state_type, state_name, state_message, state_at, "
    "parameters, code, inputs, result_format, result, process_id"
)
RESULT_COLUMNS = "run_id, format, data, expires_at, code, inputs, at"

_TYPES = {each.value: each for each in StateType}


def run_from(row: tuple[Any, ...]) -> Run:
    """Return the run of a row of `RUN_COLUMNS`, without progress."""
    return Run(
        id=row[0],
        kind=row[1],
        name=row[2],
        flow_name=row[3],
        task_name=row[4],
        parent_id=row[5],
        root_id=row[6],
        attempt=row[7],
        max_attempts=row[8],
        state=State(type=StateType(row[9]), name=row[10], message=row[11], at=row[12]),
        parameters=_decode_object(row[13]),
        tags=_decode_list(row[14]),
        upstream=_decode_list(row[15]),
        source=_decode_object(row[16]),
        error=None if row[17] is None else _decode_error(row[17]),
        created_at=row[18],
        started_at=row[19],
        ended_at=row[20],
        expected=row[21],
        process_id=row[22],
    )


def event_from(row: tuple[Any, ...]) -> Event:
    """Return the event of a row of `EVENT_COLUMNS`."""
    return Event(seq=row[0], at=row[1], run_id=row[2], kind=row[3], payload=_decode_object(row[4]))


def log_from(row: tuple[Any, ...]) -> LogRecord:
    """Return the log line of a row of `LOG_COLUMNS`."""
    payload = _decode_object(row[3])
    return LogRecord(
        seq=row[0],
        run_id=row[1],
        at=row[2],
        level=payload["level"],
        logger=payload["logger"],
        message=payload["message"],
    )


def earlier_from(row: tuple[Any, ...]) -> Earlier:
    """Return the child of a row of `EARLIER_COLUMNS`; its owner, the last of them, is no part of it."""
    state = State(type=_TYPES[row[7]], name=row[8], message=row[9], at=row[10])
    return Earlier._make((*row[:7], state, *row[11:16]))


def result_from(row: tuple[Any, ...]) -> StoredResult:
    """Return the result of a row of `RESULT_COLUMNS`."""
    return StoredResult(
        run_id=row[0], format=row[1], data=row[2], expires_at=row[3], code=row[4], inputs=row[5], at=row[6]
    )


def _decode_object(text: str) -> dict[str, Any]:
    value = {} if text == "{}" else json.loads(text)
    return value if isinstance(value, dict) else {}


def _decode_list(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


def _decode_error(text: str) -> RunError | None:
    found = json.loads(text)
    if not isinstance(found, dict):
        return None
    return RunError(
        type=str(found.get("type", "Exception")),
        message=str(found.get("message", "")),
        traceback=str(found.get("traceback", "")),
    )
