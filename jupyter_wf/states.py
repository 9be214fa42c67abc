"""States, and functions that make them, under Prefect's names."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, TypeGuard

from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.states import State, StateType

__all__ = [
    "AwaitingRetry",
    "Cached",
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
    "Skipped",
    "State",
    "StateType",
    "Suspended",
    "TimedOut",
    "exception_to_crashed_state",
    "exception_to_failed_state",
    "get_state_exception",
    "get_state_result",
    "is_state",
    "is_state_iterable",
    "raise_state_exception",
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


def Cached(message: str | None = None, **data: Any) -> State:
    """Return a state of type COMPLETED, named Cached: a stored value stands for the call."""
    return _make(StateType.COMPLETED, "Cached", message, data)


def Skipped(message: str | None = None, **data: Any) -> State:
    """Return a state of type COMPLETED, named Skipped: what depends on the run is skipped too."""
    return _make(StateType.COMPLETED, "Skipped", message, {"data": None, **data})


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


def raise_state_exception(state: State) -> None:
    """Raise the exception of a run that did not complete; do nothing for a COMPLETED one.

    Raises `UnfinishedRun` for one that is open.
    """
    if not state.is_completed():
        raise get_state_exception(state)


def get_state_result(state: State, raise_on_failure: bool = True) -> Any:
    """Return what ``state.result()`` does."""
    return state.result(raise_on_failure=raise_on_failure)


def is_state(obj: object) -> TypeGuard[State]:
    """Return whether ``obj`` is a state."""
    return isinstance(obj, State)


def is_state_iterable(obj: object) -> TypeGuard[Iterable[State]]:
    """Return whether ``obj`` is a list, tuple or set of states, and not an empty one."""
    return isinstance(obj, (list, tuple, set)) and bool(obj) and all(isinstance(each, State) for each in obj)


def exception_to_failed_state(exc: BaseException, **more: Any) -> State:
    """Return the FAILED state of a run that raised ``exc``; ``message`` and ``name`` may be given."""
    return Failed(**{"message": describe(exc), **more}, data=exc)


def exception_to_crashed_state(exc: BaseException, **more: Any) -> State:
    """Return the CRASHED state of a run that was ended by ``exc``; ``message`` and ``name`` may be given."""
    return Crashed(**{"message": describe(exc), **more}, data=exc)
