"""What state a run is in: a type that rules look at, a name and a message that people read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from jupyter_wf.core.errors import CancelledRun, CrashedRun, FailedRun, MissingResult, UnfinishedRun, UpstreamFailed

__all__ = ["OPEN_TYPES", "TERMINAL_TYPES", "LazyValue", "State", "StateType"]


class StateType(StrEnum):
    """The nine types of state, Prefect's words."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"


TERMINAL_TYPES = frozenset((StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED))
OPEN_TYPES = frozenset(StateType) - TERMINAL_TYPES

_NO_DATA: Any = object()


class LazyValue:
    """A value that is not kept in memory: ``load`` reads it, each time that a state is asked for its result."""

    __slots__ = ("load",)

    def __init__(self, load: Callable[[], Any]) -> None:
        self.load = load


_WHY = {
    StateType.FAILED: FailedRun,
    StateType.CRASHED: CrashedRun,
    StateType.CANCELLED: CancelledRun,
    StateType.COMPLETED: MissingResult,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state of one run.

    ``at`` is in seconds since the epoch, UTC. ``data`` is the return value of a COMPLETED run or the exception of
    one that did not complete; it lives only in the process that ran it and is never part of the stored record.
    """

    type: StateType
    name: str
    message: str | None = None
    at: float = 0.0
    data: Any = field(default=_NO_DATA, compare=False, repr=False)

    @property
    def timestamp(self) -> datetime:
        """The moment the run entered this state, as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def has_data(self) -> bool:
        """Whether a value or an exception is at hand in this process."""
        return self.data is not _NO_DATA

    def is_scheduled(self) -> bool:
        """Whether the type is SCHEDULED."""
        return self.type is StateType.SCHEDULED

    def is_pending(self) -> bool:
        """Whether the type is PENDING."""
        return self.type is StateType.PENDING

    def is_running(self) -> bool:
        """Whether the type is RUNNING."""
        return self.type is StateType.RUNNING

    def is_paused(self) -> bool:
        """Whether the type is PAUSED."""
        return self.type is StateType.PAUSED

    def is_cancelling(self) -> bool:
        """Whether the type is CANCELLING."""
        return self.type is StateType.CANCELLING

    def is_completed(self) -> bool:
        """Whether the type is COMPLETED."""
        return self.type is StateType.COMPLETED

    def is_failed(self) -> bool:
        """Whether the type is FAILED."""
        return self.type is StateType.FAILED

    def is_crashed(self) -> bool:
        """Whether the type is CRASHED."""
        return self.type is StateType.CRASHED

    def is_cancelled(self) -> bool:
        """Whether the type is CANCELLED."""
        return self.type is StateType.CANCELLED

    def is_final(self) -> bool:
        """Whether the type is terminal: COMPLETED, FAILED, CANCELLED or CRASHED."""
        return self.type in TERMINAL_TYPES

    def is_closed(self) -> bool:
        """Whether nothing more will happen in this attempt: final, or NotReady (never called, so PENDING for good)."""
        return self.type in TERMINAL_TYPES or self.name == "NotReady"

    def result(self, raise_on_failure: bool = True) -> Any:
        """Return the run's value.

        For a run that did not complete, its exception is raised, or returned where ``raise_on_failure`` is false.
        Raises `UnfinishedRun` while the run is open, `MissingResult` where the value is not at hand in this process.
        """
        if self.type is StateType.COMPLETED and self.data is not _NO_DATA:
            return self.data.load() if type(self.data) is LazyValue else self.data
        if not self.is_closed():
            raise UnfinishedRun(f"the run is {self.name}: it has no result yet; wait for it first")
        error = self.data if isinstance(self.data, BaseException) else self._stand_in()
        if self.type is StateType.COMPLETED or raise_on_failure:
            raise error
        return error

    def _stand_in(self) -> Exception:
        cls = _WHY.get(self.type, UpstreamFailed)
        default = "its result is not at hand in this process" if cls is MissingResult else f"the run ended {self.name}"
        return cls(self.message or default)

    def __str__(self) -> str:
        return f"{self.name}({self.message})" if self.message else f"{self.name}()"
