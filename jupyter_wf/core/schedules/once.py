"""One time only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.zones import at_wall, read_time, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["OnceSchedule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceSchedule(Schedule):
    """The time ``at``: ISO 8601 or a datetime, on the zone's wall clock where it has no offset.

    A time that the clocks leave out is the end of the gap, one that they show twice is the first.
    Raises `ScheduleError` (fields ``at``, ``timezone``).
    """

    at: datetime | str
    timezone: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.at, datetime):
            object.__setattr__(self, "at", self.at.isoformat())
        if not isinstance(self.at, str):
            raise ScheduleError("at", self.at, "must be a time such as 2026-12-01T06:00")
        self._instant()

    def next_slot(self, after: float) -> float | None:
        """Return its time (epoch seconds) while that lies ahead of ``after``, else None."""
        found = self._instant()
        return found if found > after else None

    def when(self) -> datetime:
        """Return the time, aware, in its zone."""
        return at_wall(self._instant(), self.zone)

    def _instant(self) -> float:
        assert isinstance(self.at, str)
        return _instant(self.at, self.timezone)

    def spec(self) -> dict[str, Any]:
        """Return ``{"at", "timezone"}``."""
        return {"at": self.at, "timezone": self.timezone or "UTC"}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> OnceSchedule:
        """Return the schedule of ``{"at", "timezone"}``."""
        return cls(at=spec["at"], timezone=spec.get("timezone"))


@lru_cache(maxsize=4096)
def _instant(at: str, timezone: str | None) -> float:
    return read_time(at, zone_of(timezone), "at")
