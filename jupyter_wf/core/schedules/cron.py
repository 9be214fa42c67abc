"""Cron expressions: five fields as Debian's cron reads them, and its rule for clocks that are changed.

- A job at fixed times (neither its minutes nor its hours begin with ``*``) runs once for each of its times. One that
  the clocks leave out in spring runs right after the gap (for the day that it was on, even where the gap ends with
  midnight); one that they show twice in autumn runs the first time.
- A job with ``*`` in minutes or hours runs whenever the clocks show one of its times: not in the gap, and in both
  passes of the hour that is repeated.
- A jump of three hours and more is a correction of the calendar: what it leaves out does not run.
- Day of the month and day of the week: either must match where both are given, both must where one begins with ``*``.

``cronsim`` reads the expression and tells which days it names; which instants its times are is decided here.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.zones import fixed_instant, instants, second_pass, wall, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["CronSchedule", "cron_fields", "cron_weekdays"]

_MAX_LENGTH = 256
_MAX_ITEMS = 100
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = ("minute (0-59)", "hour (0-23)", "day of month (1-31, L)", "month (1-12)", "day of week (0-7, MON-SUN)")
#: The library's names of the fields, in its messages.
_PLACES = {"minute": 0, "hour": 1, "day-of-month": 2, "month": 3, "day-of-week": 4}
#: ``7-7/2``: the library reads it as ``7/2``, other crons as ``7``.
_ODD_STEP = re.compile(r"(?:^|,)([0-9A-Z]+)-\1/")
_STEP = re.compile(r"([^,/]*)/([0-9]+)")
_LARGEST = (59, 23, 31, 12, 7)
_START = datetime(2000, 1, 1)
_ONE_DAY, _LONG_MONTH = timedelta(days=1), timedelta(days=32)
#: A leap day on a given day of the week comes within 40 years, also where a year such as 2100 has none.
_YEARS = 50
#: From here on a time that no time comes after is not looked for: datetimes end with the year 9999.
_LAST = 250_000_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSchedule(Schedule):
    """Times by a cron expression of five fields, or an alias such as ``@daily``.

    ``day_or`` false asks for day of month *and* day of week where both are given. Raises `ScheduleError` (fields
    ``cron``, ``timezone``, ``day_or``) for what is no expression and for one that never fires.
    """

    expression: str
    timezone: str | None = None
    day_or: bool = True

    def __post_init__(self) -> None:
        zone_of(self.timezone)
        if not isinstance(self.day_or, bool):
            raise ScheduleError("day_or", self.day_or, "must be true or false")
        if not isinstance(self.expression, str):
            raise ScheduleError("cron", self.expression, "must be a text such as '0 6 * * 1-5'")
        _compiled(self.expression, self.day_or)

    def next_slot(self, after: float) -> float | None:
        """Return the first time strictly after ``after`` (epoch seconds) at which it fires."""
        if not -_LAST < after < _LAST:
            return None
        rule = _compiled(self.expression, self.day_or)
        start = math.floor(after)
        zone = zone_of(self.timezone)
        return rule.fixed_after(start, zone) if rule.fixed else rule.any_after(start, zone)

    def spec(self) -> dict[str, Any]:
        """Return ``{"cron", "timezone"}``, with ``day_or`` where it is not as usual."""
        spec: dict[str, Any] = {"cron": self.expression, "timezone": self.timezone or "UTC"}
        return spec if self.day_or else {**spec, "day_or": False}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> CronSchedule:
        """Return the schedule of ``{"cron", "timezone", "day_or"}``."""
        return cls(expression=spec["cron"], timezone=spec.get("timezone"), day_or=spec.get("day_or", True))


class _Rule:
    """An expression, parsed; its times are those of a wall clock until it is told the zone."""

    __slots__ = ("_days", "_hours", "_known", "_minutes", "_weekdays", "fixed")

    def __init__(self, fields: list[str], day_or: bool) -> None:
        parsed = CronSim(" ".join(fields), _START)
        if not day_or:
            parsed.day_and = True
        self._hours = tuple(sorted(parsed.hours))
        self._minutes = tuple(sorted(parsed.minutes))
        self._weekdays = parsed.weekdays
        # Of the library only its rules for days are asked: it goes through the hours and minutes one by one. Threads
        # share it, because it does not change.
        self._days = parsed
        #: The last answer of `_day_after`.
        self._known = (_START.date(), _START.date())
        self.fixed = not fields[0].startswith("*") and not fields[1].startswith("*")

    @property
    def weekdays(self) -> list[int]:
        """The days of the week, 0 or 7 for Sunday, that are not counted within the month."""
        return [day for day in self._weekdays if isinstance(day, int)]

    def walls(self, after: datetime) -> Iterator[datetime]:
        """Return the wall-clock times after another one, in order, for 50 years."""
        day: date | None = after.date()
        if after.month in self._days.months and self._days.match_day(after.date()):
            hour, minute = after.hour, after.minute
            for later in self._hours[bisect_left(self._hours, hour) :]:
                for each in self._minutes[bisect_right(self._minutes, minute) if later == hour else 0 :]:
                    yield datetime(after.year, after.month, after.day, later, each)
        while day is not None and (day := self._day_after(day)) is not None:
            for hour in self._hours:
                for minute in self._minutes:
                    yield datetime(day.year, day.month, day.day, hour, minute)

    def _day_after(self, day: date) -> date | None:
        """Return the first day after ``day`` that the expression names, None where there is none in 50 years."""
        begin, end = self._known
        if begin <= day < end:
            return end
        months, matches = self._days.months, self._days.match_day
        found = day + _ONE_DAY
        last = found.year + _YEARS
        while found.year <= last:
            if found.month not in months:
                found = (found.replace(day=1) + _LONG_MONTH).replace(day=1)
            elif matches(found):
                self._known = day, found
                return found
            else:
                found += _ONE_DAY
        return None

    def fixed_after(self, start: float, zone: ZoneInfo) -> float | None:
        """Return the first run after ``start`` of a job at fixed times."""
        for naive in self.walls(wall(start, zone)):
            found = fixed_instant(naive, zone)
            if found is not None and found > start:
                return found
        return None

    def any_after(self, start: float, zone: ZoneInfo) -> float | None:
        """Return the first instant after ``start`` at which the clocks show one of the times."""
        here = wall(start, zone)
        found = self._first(here, start, zone)
        back = second_pass(start, zone)
        if back is None:
            return found
        # The clocks will be put back over times that they have shown: those come again before what is next.
        again = self._first(here - back - timedelta(seconds=1), start, zone)
        return min((each for each in (found, again) if each is not None), default=None)

    def _first(self, after: datetime, start: float, zone: ZoneInfo) -> float | None:
        for naive in self.walls(after):
            for instant in instants(naive, zone):
                if instant > start:
                    return instant
        return None


@lru_cache(maxsize=16384)
def _compiled(expression: str, day_or: bool) -> _Rule:
    """Return the parsed expression; raise `ScheduleError` with the reason."""
    fields = cron_fields(expression)
    try:
        rule = _Rule(fields, day_or)
    except CronSimError as error:
        raise ScheduleError("cron", expression, _why(str(error), fields)) from None
    if next(rule.walls(_START), None) is None:
        raise ScheduleError("cron", expression, "never fires: there is no such day in 50 years")
    return rule


def cron_fields(expression: str) -> list[str]:
    """Return the five fields of an expression, in capitals; raise `ScheduleError` where there are not five."""
    text = expression.strip()
    if len(text) > _MAX_LENGTH:
        raise ScheduleError("cron", expression, f"has {len(text)} characters; {_MAX_LENGTH} are allowed")
    if not text.isascii():
        raise ScheduleError("cron", expression, "has characters that no cron expression has")
    if text.startswith("@"):
        found = _ALIASES.get(text.lower())
        if found is None:
            raise ScheduleError("cron", expression, f"is no alias; there are {', '.join(_ALIASES)}")
        text = found
    fields = text.upper().split()
    if len(fields) != 5:
        more = "; there is no field for seconds or years, use an interval for seconds" if len(fields) > 5 else ""
        why = f"has {len(fields)} fields; write five: {', '.join(_FIELDS)}{more}"
        raise ScheduleError("cron", expression, why)
    if sum(1 + field.count(",") for field in fields) > _MAX_ITEMS:
        raise ScheduleError("cron", expression, f"has more than {_MAX_ITEMS} items; use ranges and steps")
    for field, largest in zip(fields, _LARGEST, strict=True):
        if odd := _oddity(field, largest):
            raise ScheduleError("cron", expression, odd)
    return fields


def _oddity(field: str, largest: int) -> str | None:
    """Return what is wrong with a field that the library would take, and read otherwise than people mean it."""
    if odd := _ODD_STEP.search(field):
        return f"{field!r}: a step on a range of one value; write {odd[1]!r}, or {odd[1]}/n for 'from {odd[1]} on'"
    if "*" in field.split(",") and field != "*":
        return f"{field!r}: a * in a list makes the rest of it pointless"
    for start, step in _STEP.findall(field):
        if start.startswith("L"):
            return f"{field!r}: {start} is one day; it has no steps"
        if len(step) > 2 or int(step) > largest:
            return f"{field!r}: a step over {largest} never comes a second time; use an interval for longer distances"
    return None


def cron_weekdays(expression: str) -> list[int]:
    """Return the days of the week of an expression, 0 for Sunday, without those of the kind ``1#2`` and ``5L``."""
    return sorted({day % 7 for day in _compiled(expression, True).weekdays})


def _why(message: str, fields: list[str]) -> str:
    """Return what the library's message means, with the field's text."""
    place = next((at for name, at in _PLACES.items() if message == f"Bad {name}"), None)
    if place is None:
        return message
    days = re.findall(r"\d+", fields[2])
    if place == 2 and days and all(1 <= int(day) <= 31 for day in days) and _day_alone_is_right(fields[2]):
        return f"never fires: no month of {fields[3]!r} has a day {fields[2]}"
    return f"{fields[place]!r} is no {_FIELDS[place]}; write values, ranges a-b, lists a,b and steps */n"


def _day_alone_is_right(field: str) -> bool:
    try:
        CronSim(f"0 0 {field} * *", _START)
    except CronSimError:
        return False
    return True
