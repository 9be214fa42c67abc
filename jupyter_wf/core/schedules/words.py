"""Schedules in English."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from jupyter_wf.core.durations import duration
from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.cron import CronSchedule, cron_fields, cron_weekdays
from jupyter_wf.core.schedules.interval import DEFAULT_ANCHOR, IntervalSchedule
from jupyter_wf.core.schedules.once import OnceSchedule
from jupyter_wf.core.schedules.rrule import RRuleSchedule
from jupyter_wf.core.schedules.rrule_text import Rule, read_recurrence

__all__ = ["words"]

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_PERIODS = {
    "YEARLY": "year",
    "MONTHLY": "month",
    "WEEKLY": "week",
    "DAILY": "day",
    "HOURLY": "hour",
    "MINUTELY": "minute",
}
_DAYS = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}
_DAY_NAMES = tuple(_DAYS.values())
_SMALL = ("BYHOUR", "BYMINUTE", "BYSECOND")
_MONTHS = "January February March April May June July August September October November December".split()
_NUMBERS = {
    "1": "first",
    "2": "second",
    "3": "third",
    "4": "fourth",
    "5": "fifth",
    "-1": "last",
    "-2": "second to last",
}


def words(schedule: Schedule) -> str:
    """Return in English when a schedule fires, without its zone: ``At 06:00, Monday through Friday``."""
    if isinstance(schedule, CronSchedule):
        return _cron(schedule.expression, schedule.day_or)
    if isinstance(schedule, IntervalSchedule):
        return _interval(schedule)
    if isinstance(schedule, RRuleSchedule):
        return _recurrence(schedule.rrule, schedule.zone)
    if isinstance(schedule, OnceSchedule):
        return _once(schedule)
    raise TypeError(f"{schedule!r} is no schedule of this package")


@lru_cache(maxsize=1024)
def _cron(expression: str, day_or: bool) -> str:
    from cron_descriptor import ExpressionDescriptor, Options

    fields = cron_fields(expression)
    told = list(fields)
    if "/" in fields[4]:
        # The library takes steps in days of the week for weeks.
        told[4] = ",".join(map(str, cron_weekdays(expression)))
    options = Options(use_24hour_time_format=True, locale_code="en_US")
    said = str(ExpressionDescriptor(" ".join(told), options).get_full_description())
    if fields[2] == "*" or fields[4] == "*":
        return said
    # The library does not know which of the two rules for days counts here.
    both = not day_or or fields[2].startswith("*") or fields[4].startswith("*")
    return f"{said.replace(', or on ', ', on ')} (on days that match {'both' if both else 'either'})"


def _interval(schedule: IntervalSchedule) -> str:
    seconds = schedule.seconds
    unit, size = next((each for each in _UNITS if seconds % each[1] == 0), ("", 0.0))
    if not unit:
        return f"Every {duration(seconds)}"
    number = int(seconds // size)
    every = f"Every {unit}" if number == 1 else f"Every {number:,} {unit}s"
    if seconds % 86400:
        # Its time of day is another one each time.
        return every
    return f"{every} at {_clock(schedule.anchor())}"


def _once(schedule: OnceSchedule) -> str:
    found = schedule.when()
    date = f"{_DAY_NAMES[found.weekday()]}, {found.day} {_MONTHS[found.month - 1]} {found.year}"
    return f"Once, on {date} at {_clock(found)}"


def _clock(time: datetime) -> str:
    return f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"


@lru_cache(maxsize=1024)
def _recurrence(text: str, zone: ZoneInfo) -> str:
    found = read_recurrence(text, zone, datetime.fromisoformat(DEFAULT_ANCHOR))
    said = "; and ".join(_rule(rule) for rule in found.rules)
    if found.dates:
        said = (
            f"{said}; and on {_count(len(found.dates), 'given date')}"
            if said
            else (f"On {_count(len(found.dates), 'given date')}")
        )
    return f"{said}; except on {_count(len(found.excluded), 'given date')}" if found.excluded else said


def _rule(rule: Rule) -> str:
    parts = dict(part.split("=") for part in rule.text.split(";"))
    period = _PERIODS[rule.frequency]
    said = [f"Every {period}" if rule.interval == 1 else f"Every {rule.interval:,} {period}s"]
    if "BYMONTH" in parts:
        said.append("in " + _list([_MONTHS[int(each) - 1] for each in parts["BYMONTH"].split(",")]))
    for name, of in (("BYMONTHDAY", "day"), ("BYYEARDAY", "day of the year"), ("BYWEEKNO", "week")):
        if name in parts:
            said.append(f"on {of} {_list([_nth(each) for each in parts[name].split(',')])}")
    if "BYDAY" in parts:
        said.append("on " + _list([_day(each) for each in parts["BYDAY"].split(",")]))
    said.append(_times(parts))
    if "BYSETPOS" in parts:
        said.append(f"only number {_list([_nth(each) for each in parts['BYSETPOS'].split(',')])} of those")
    if rule.start != datetime.fromisoformat(DEFAULT_ANCHOR):
        said.append(f"from {rule.start:%Y-%m-%d} on")
    if rule.count is not None:
        said.append(_count(rule.count, "time"))
    if rule.until is not None:
        said.append(f"until {rule.until:%Y-%m-%d %H:%M}")
    return ", ".join(each for each in said if each)


def _times(parts: dict[str, str]) -> str:
    hours, minutes, seconds = (parts[name].split(",") if name in parts else [] for name in _SMALL)
    tail = "" if seconds in ([], ["0"]) else ":" + ",".join(each.zfill(2) for each in seconds)
    if hours and minutes and len(hours) * len(minutes) <= 12:
        return "at " + _list([f"{hour.zfill(2)}:{minute.zfill(2)}{tail}" for hour in hours for minute in minutes])
    said = [f"in the hours {_list(hours)}"] if hours else []
    said += [f"at minute {_list(minutes)}{tail}"] if minutes else []
    return ", ".join(said)


def _day(text: str) -> str:
    name, number = _DAYS[text[-2:]], text[:-2].lstrip("+")
    return f"the {_NUMBERS.get(number) or _nth(number)} {name}" if number else name


def _nth(number: str) -> str:
    return (
        number.lstrip("+") if not number.startswith("-") else "last" if number == "-1" else f"{number[1:]} from the end"
    )


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
