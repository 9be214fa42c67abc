"""Recurrence rules of RFC 5545: ``DTSTART``, several ``RRULE`` lines, ``RDATE`` and ``EXDATE``.

``dateutil`` finds times on the wall clock; which instants those are is decided here, by the rule that cron jobs have:
a rule by days or longer keeps its times when the clocks are changed (a time in a gap is the gap's end, one that comes
twice is the first), a rule by hours or minutes fires whenever the clocks show one of its times.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from dateutil import rrule as library

from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.interval import DEFAULT_ANCHOR
from jupyter_wf.core.schedules.rrule_text import Rule, read_recurrence
from jupyter_wf.core.schedules.zones import fixed_instant, instants, second_pass, wall, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["RRuleSchedule"]

_SHORT = ("HOURLY", "MINUTELY")
_UNITS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
}
#: A walk is begun anew, nearer, where going on with it would pass by more than this many periods.
_FAR = 1000
_LAST = 250_000_000_000.0
_AGO = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RRuleSchedule(Schedule):
    """Times by a recurrence rule, on the wall clock of ``timezone``.

    Without ``DTSTART`` it begins with 2020. Raises `ScheduleError` (fields ``rrule``, ``timezone``) for what is no
    rule, one that never fires, and one that would cost too much: ``FREQ=SECONDLY``, a ``COUNT`` over 10,000, and
    months or dates picked in a rule by hours or minutes.
    """

    rrule: str
    timezone: str | None = None

    def __post_init__(self) -> None:
        zone_of(self.timezone)
        if not isinstance(self.rrule, str):
            raise ScheduleError("rrule", self.rrule, "must be a text such as 'FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=6'")
        _compiled(self.rrule, self.timezone)

    def next_slot(self, after: float) -> float | None:
        """Return the first time strictly after ``after`` (epoch seconds), None where the rule has ended."""
        if not -_LAST < after < _LAST:
            return None
        zone = zone_of(self.timezone)
        lines, excluded = _compiled(self.rrule, self.timezone)
        found = [_next(line, after, zone, excluded) for line in lines]
        return min((each for each in found if each is not None), default=None)

    def spec(self) -> dict[str, Any]:
        """Return ``{"rrule", "timezone"}``."""
        return {"rrule": self.rrule, "timezone": self.timezone or "UTC"}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> RRuleSchedule:
        """Return the schedule of ``{"rrule", "timezone"}``."""
        return cls(rrule=spec["rrule"], timezone=spec.get("timezone"))


class _Dates:
    """Times that are given one by one."""

    short = False

    def __init__(self, dates: tuple[datetime, ...]) -> None:
        self._dates = dates

    def after(self, naive: datetime) -> datetime | None:
        """Return the first time on the wall clock strictly after another one."""
        return next((date for date in self._dates if date > naive), None)


class _Walk:
    """The times of one rule. One who asks goes on from where he was: the rule is not begun anew at each question."""

    def __init__(self, rule: Rule) -> None:
        self.short = rule.frequency in _SHORT
        self._rule = rule
        self._lock = threading.Lock()
        #: All times after this one are still ahead, ``_ahead`` first.
        self._passed: datetime | None = None
        self._ahead: datetime | None = None
        self._times: Iterator[datetime] = iter(())

    def after(self, naive: datetime) -> datetime | None:
        """Return the first time on the wall clock strictly after another one."""
        with self._lock:
            if self._passed is None or naive < self._passed or self._is_far(naive):
                self._begin(naive)
            while self._ahead is not None and self._ahead <= naive:
                self._passed, self._ahead = self._ahead, next(self._times, None)
            return self._ahead

    def _is_far(self, naive: datetime) -> bool:
        unit = _UNITS.get(self._rule.frequency)
        if self._rule.count is not None or unit is None or self._ahead is None:
            return False
        return (naive - self._ahead) // unit > _FAR * self._rule.interval

    def _begin(self, naive: datetime) -> None:
        rule = self._rule
        start = rule.start if rule.count is not None else max(rule.start, _near(rule, naive))
        made = library.rrulestr(rule.text, dtstart=start)
        self._times = iter(made.replace(count=rule.count, until=rule.until))
        self._passed = datetime.min if start == rule.start else naive
        self._ahead = next(self._times, None)


def _near(rule: Rule, naive: datetime) -> datetime:
    """Return a beginning before ``naive`` from which the rule has the same times as from its own, from then on."""
    start, unit = rule.start, _UNITS.get(rule.frequency)
    if unit is not None:
        step = unit * rule.interval
        return start + step * ((naive - start) // step - 1) if naive > start else start
    step_months = rule.interval * (12 if rule.frequency == "YEARLY" else 1)
    months = (naive.year - start.year) * 12 + naive.month - start.month
    years, month = divmod(start.month - 1 + step_months * (months // step_months - 1), 12)
    year = start.year + years
    return datetime(year, month + 1, 1) if year >= 1 and months > step_months else start


class _Compiled(NamedTuple):
    lines: tuple[_Walk | _Dates, ...]
    excluded: frozenset[datetime]


@lru_cache(maxsize=4096)
def _compiled(text: str, timezone: str | None) -> _Compiled:
    found = read_recurrence(text, zone_of(timezone), datetime.fromisoformat(DEFAULT_ANCHOR))
    return _Compiled((*map(_Walk, found.rules), _Dates(found.dates)), found.excluded)


def _next(line: _Walk | _Dates, after: float, zone: ZoneInfo, excluded: frozenset[datetime]) -> float | None:
    """Return the first instant strictly after another one."""
    here = wall(after, zone)
    found = _first(line, here, after, zone, excluded)
    back = second_pass(after, zone) if line.short else None
    if back is None:
        return found
    again = _first(line, here - back, after, zone, excluded)
    return min((each for each in (found, again) if each is not None), default=None)


def _first(
    line: _Walk | _Dates, here: datetime, after: float, zone: ZoneInfo, excluded: frozenset[datetime]
) -> float | None:
    # What the clock shows is rounded to microseconds, the instant is not: begin a little before it.
    naive, best = line.after(here - _AGO), None
    while naive is not None:
        if naive not in excluded:
            fixed = None if line.short else fixed_instant(naive, zone)
            shown = instants(naive, zone) if line.short else () if fixed is None else (fixed,)
            if best is not None and shown and shown[0] >= best:
                break
            # In the hour that comes twice, a later time's first instant lies before an earlier time's second one.
            best = min((instant for instant in (*shown, best) if instant is not None and instant > after), default=None)
            if shown and best == shown[0]:
                break
        naive = line.after(naive)
    return best
