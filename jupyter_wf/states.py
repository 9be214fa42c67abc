"""States, and functions that make them, under Prefect's names."""

from __future__ import annotations

import time
from typing import Any

from jupyter_wf.core.states import State, StateType

__all__ = [
    "AwaitingRetry",
    "Cancelled",
    "Cancelling",
    "Completed",
    "Crashed",
    "Failed",
    "Late",
    "Paused",
    "Pending",
    "Retrying",
    "Running",
    "Scheduled",
    "State",
    "StateType",
    "Suspended",
    "TimedOut",
    "get_state_exception",
]


def _make(type_: StateType, name: str, message: str | None, extra: dict[str, Any]) -> State:
    unknown = set(extra) - {"data"}
    if unknown:
        raise TypeError(f"{name}() takes message, name and data, not {', '.join(sorted(unknown))}")
    return State(type=type_, name=name, message=message, at=time.time(), **extra)


def Scheduled(message: str | None = None, *, name: str = "Scheduled") -> State:
    """Return a state of type SCHEDULED."""
    return _make(StateType.SCHEDULED, name, message, {})


def Late(message: str | None = None) -> State:
    """Return a state of type SCHEDULED, named Late: its time has passed and nobody has begun it."""
    return _make(StateType.SCHEDULED, "Late", message, {})


def AwaitingRetry(message: str | None = None) -> State:
    """Return a state of type SCHEDULED, named AwaitingRetry: an attempt failed and another one will follow."""
    return _make(StateType.SCHEDULED, "AwaitingRetry", message, {})


def Pending(message: str | None = None, *, name: str = "Pending") -> State:
    """Return a state of type PENDING."""
    return _make(StateType.PENDING, name, message, {})


def Running(message: str | None = None, *, name: str = "Running") -> State:
    """Return a state of type RUNNING."""
    return _make(StateType.RUNNING, name, message, {})


def Retrying(message: str | None = None) -> State:
    """Return a state of type RUNNING, named Retrying."""
    return _make(StateType.RUNNING, "Retrying", message, {})


def Paused(message: str | None = None, *, name: str = "Paused") -> State:
    """Return a state of type PAUSED."""
    return _make(StateType.PAUSED, name, message, {})


def Suspended(message: str | None = None) -> State:
    """Return a state of type PAUSED, named Suspended."""
    return _make(StateType.PAUSED, "Suspended", message, {})


def Cancelling(message: str | None = None) -> State:
    """Return a state of type CANCELLING."""
    return _make(StateType.CANCELLING, "Cancelling", message, {})


def Completed(message: str | None = None, *, name: str = "Completed", **data: Any) -> State:
    """Return a state of type COMPLETED; ``data=`` is the run's value."""
    return _make(StateType.COMPLETED, name, message, data)


def Failed(message: str | None = None, *, name: str = "Failed", **data: Any) -> State:
    """Return a state of type FAILED; ``data=`` may be an exception."""
    return _make(StateType.FAILED, name, message, data)


def TimedOut(message: str | None = None, **data: Any) -> State:
    """Return a state of type FAILED, named TimedOut."""
    return _make(StateType.FAILED, "TimedOut", message, data)


def Crashed(message: str | None = None, *, name: str = "Crashed", **data: Any) -> State:
    """Return a state of type CRASHED."""
    return _make(StateType.CRASHED, name, message, data)


def Cancelled(message: str | None = None, *, name: str = "Cancelled", **data: Any) -> State:
    """Return a state of type CANCELLED."""
    return _make(StateType.CANCELLED, name, message, data)


def get_state_exception(state: State) -> BaseException:
    """Return the exception of a run that did not complete: its own where this process ran it, else a stand-in.

    Raises `ValueError` for a state that is COMPLETED, `UnfinishedRun` for one that is open.
    """
    if state.is_completed():
        raise ValueError(f"{state} is not a failure: it has no exception")
    error = state.result(raise_on_failure=False)
    assert isinstance(error, BaseException)
    return error
