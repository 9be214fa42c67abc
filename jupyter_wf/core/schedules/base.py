"""What all schedules can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from jupyter_wf.core.schedules.zones import at_wall, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["Schedule"]


class Schedule(ABC):
    """Says when something is to happen. A value: two of the same rule and zone are equal."""

    __slots__ = ()

    #: The IANA name of its zone, None for UTC.
    timezone: str | None

    @property
    def zone(self) -> ZoneInfo:
        """Its zone."""
        return zone_of(self.timezone)

    @abstractmethod
    def next_slot(self, after: float) -> float | None:
        """Return the first time strictly after another one, both in seconds since the epoch; None for none."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return it as JSON, in the form that `parse_schedule` reads."""

    def next_after(self, t: datetime) -> datetime | None:
        """Return the first time strictly after an aware datetime, in the schedule's zone; None for none.

        Raises `ScheduleError` for a datetime without a zone.
        """
        if t.tzinfo is None:
            raise ScheduleError("t", t.isoformat(), "has no time zone; give an aware datetime")
        found = self.next_slot(t.timestamp())
        return None if found is None else at_wall(found, self.zone)

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Schedule:
        """Return the schedule of a JSON form. Raises `ScheduleError`, which names the field."""
