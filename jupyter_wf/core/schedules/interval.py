"""Times at equal distances from an anchor.

Intervals of a day or more keep their time on the wall clock when the clocks are changed, shorter ones count elapsed
time. Without an anchor they count from the beginning of 2020 in the schedule's zone, so that 15 minutes are the
quarters of the hour, wherever and whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from jupyter_wf.core.durations import seconds_of
from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.zones import fixed_instant, read_time, wall, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["DEFAULT_ANCHOR", "IntervalSchedule"]

#: Where intervals count from, and recurrence rules begin, when nothing is said: the first of January on the wall clock.
DEFAULT_ANCHOR = "2020-01-01T00:00:00"
_DAY = 86400.0
_LONGEST = 100 * 366 * _DAY
_RANGE = "must be from a second to a hundred years"
_LAST = 200_000_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalSchedule(Schedule):
    """Times at a distance of ``interval`` (a timedelta, or seconds) from each other.

    ``anchor_date`` is one of them: ISO 8601, a time on the zone's wall clock where it has no offset. Raises
    `ScheduleError` (fields ``interval``, ``anchor_date``, ``timezone``); an interval is a second to a hundred years.
    """

    interval: timedelta | float
    anchor_date: datetime | str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        seconds = self.interval.total_seconds() if isinstance(self.interval, timedelta) else self.interval
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ScheduleError("interval", seconds, "must be a number of seconds")
        if not 1 <= seconds <= _LONGEST:
            raise ScheduleError("interval", seconds, _RANGE)
        # Microseconds are what times can tell apart; 15 and timedelta(seconds=15) are the same schedule.
        object.__setattr__(self, "interval", round(seconds * 1e6) / 1e6)
        if isinstance(self.anchor_date, datetime):
            object.__setattr__(self, "anchor_date", self.anchor_date.isoformat())
        _compiled(self.seconds, self._anchor_text, self.timezone)

    def next_slot(self, after: float) -> float | None:
        """Return the first time strictly after ``after`` (epoch seconds), before the anchor too."""
        if not -_LAST < after < _LAST:
            return None
        anchor = _compiled(self.seconds, self._anchor_text, self.timezone)
        return _on_the_clock(anchor, self.timezone, after) if anchor.wall else _elapsed(anchor, after)

    @property
    def seconds(self) -> float:
        """The interval in seconds."""
        assert isinstance(self.interval, float)
        return self.interval

    def anchor(self) -> datetime:
        """Return the anchor on the wall clock of its zone."""
        return wall(_compiled(self.seconds, self._anchor_text, self.timezone).instant / 1e6, self.zone)

    @property
    def _anchor_text(self) -> str | None:
        assert not isinstance(self.anchor_date, datetime)
        return self.anchor_date

    def spec(self) -> dict[str, Any]:
        """Return ``{"interval" (seconds), "anchor_date", "timezone"}``."""
        anchor = self.anchor_date or DEFAULT_ANCHOR
        return {"interval": self.seconds, "anchor_date": anchor, "timezone": self.timezone or "UTC"}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> IntervalSchedule:
        """Return the schedule of ``{"interval", "anchor_date", "timezone"}``; the interval may be text as ``15m``."""
        interval = spec["interval"]
        try:
            seconds = seconds_of(interval)
        except ValueError as error:
            raise ScheduleError("interval", interval, str(error)) from None
        if not 1 <= seconds <= _LONGEST:
            raise ScheduleError("interval", interval, _RANGE)
        return cls(interval=seconds, anchor_date=spec.get("anchor_date"), timezone=spec.get("timezone"))


class _Anchor(NamedTuple):
    """Where counting starts, in microseconds; ``wall`` is the time on the clock where that is what counts."""

    step: int
    instant: int
    wall: datetime | None


@lru_cache(maxsize=16384)
def _compiled(interval: float, anchor_date: str | None, timezone: str | None) -> _Anchor:
    zone = zone_of(timezone)
    instant = read_time(DEFAULT_ANCHOR if anchor_date is None else anchor_date, zone, "anchor_date")
    at = wall(instant, zone) if interval >= _DAY else None
    return _Anchor(round(interval * 1e6), round(instant * 1e6), at)


def _elapsed(anchor: _Anchor, after: float) -> float:
    count = (int(after * 1e6) - anchor.instant) // anchor.step
    # The division is exact, the float that came in need not be: one step to either side finds the next for sure.
    while (found := (anchor.instant + count * anchor.step) / 1e6) <= after:
        count += 1
    return found


def _on_the_clock(anchor: _Anchor, timezone: str | None, after: float) -> float | None:
    assert anchor.wall is not None
    zone = zone_of(timezone)
    step = timedelta(microseconds=anchor.step)
    count = (wall(after, zone) - anchor.wall) // step - 1
    while True:
        found = fixed_instant(anchor.wall + count * step, zone)
        if found is not None and found > after:
            return found
        count += 1
