"""The text of a recurrence (RFC 5545): taken apart, checked, and written so that nothing in it is left to defaults.

Rules that can never fire are found here, in bounded time: ``dateutil`` would look for their times until the year 9999.
"""

from __future__ import annotations

import calendar
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil import rrule as library

from jupyter_wf.core.schedules.zones import wall
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["Recurrence", "Rule", "read_recurrence"]

_MAX_LENGTH = 6500
_MAX_LINES = 50
_MAX_COUNT = 10_000
_MAX_INTERVAL = 10_000
_MAX_ITEMS = 400
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY_PARTS = ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY")
_SMALL = ("BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND")
#: What may stand with each frequency: RFC 5545's table, without seconds, and without days picked hour by hour.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "YEARLY": ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS", *_SMALL),
    "MONTHLY": ("BYMONTH", "BYMONTHDAY", "BYSETPOS", *_SMALL),
    "WEEKLY": ("BYMONTH", "BYSETPOS", *_SMALL),
    "DAILY": ("BYMONTH", "BYMONTHDAY", *_SMALL),
    "HOURLY": _SMALL,
    "MINUTELY": ("BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND"),
}
_ALWAYS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST")
_RANGES = {
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYSECOND": (0, 59),
}
_WEEKDAY = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")
_TIME = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?")
#: So many years are looked through for a first time: a leap day comes on a given weekday within 40.
_YEARS = 41
_STEPS = {"HOURLY": 60, "MINUTELY": 1}
_WEEK = 7 * 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One ``RRULE``: ``text`` has neither COUNT nor UNTIL, and says all that would come from ``start`` otherwise."""

    text: str
    frequency: str
    interval: int
    start: datetime
    count: int | None
    until: datetime | None


class Recurrence(NamedTuple):
    """All lines; times are naive, as the clocks show them."""

    rules: tuple[Rule, ...]
    dates: tuple[datetime, ...]
    excluded: frozenset[datetime]


def read_recurrence(text: str, zone: ZoneInfo, default_start: datetime) -> Recurrence:
    """Return what a recurrence says. Raises `ScheduleError` (field ``rrule``) with the reason."""
    if len(text) > _MAX_LENGTH:
        raise ScheduleError("rrule", text, f"has {len(text)} characters; {_MAX_LENGTH:,} are allowed")
    try:
        return _read(text, zone, default_start)
    except _Wrong as error:
        raise ScheduleError("rrule", text, str(error)) from None


class _Wrong(ValueError):
    """A reason, without the text around it."""


def _read(text: str, zone: ZoneInfo, start: datetime) -> Recurrence:
    rules: list[str] = []
    dates: list[datetime] = []
    excluded: list[datetime] = []
    started = False
    for name, parameters, value in _lines(text):
        if name == "RRULE":
            rules.append(value)
        elif name in ("DTSTART", "RDATE", "EXDATE"):
            _check_parameters(name, parameters, zone)
            found = [_time(each, zone) for each in value.split(",")]
            if name == "DTSTART":
                if started or len(found) != 1:
                    raise _Wrong("has more than one DTSTART")
                start, started = found[0], True
            else:
                (dates if name == "RDATE" else excluded).extend(found)
        else:
            raise _Wrong(f"{name!r} is not known here; there are DTSTART, RRULE, RDATE and EXDATE")
    if not rules and not dates:
        raise _Wrong("has no RRULE; write for instance FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=6;BYMINUTE=30")
    return Recurrence(tuple(_rule(each, start, zone) for each in rules), tuple(sorted(set(dates))), frozenset(excluded))


def _lines(text: str) -> Iterator[tuple[str, list[str], str]]:
    """Return name, parameters and value of each line; lines that are continued (RFC 5545) are put together."""
    lines = re.sub(r"\r?\n[ \t]", "", text.strip()).split()
    if len(lines) > _MAX_LINES:
        raise _Wrong(f"has more than {_MAX_LINES} lines")
    for line in lines:
        head, colon, value = line.partition(":")
        name, *parameters = head.split(";") if colon else ["RRULE"]
        yield name.upper(), parameters, (value if colon else line).upper()


def _check_parameters(name: str, parameters: list[str], zone: ZoneInfo) -> None:
    for each in parameters:
        key, _, value = each.partition("=")
        if key.upper() == "TZID" and value != zone.key:
            raise _Wrong(f"{name} is in zone {value!r}, the schedule in {zone.key!r}; give the zone as timezone")
        if key.upper() != "TZID" and each.upper() not in ("VALUE=DATE-TIME", "VALUE=DATE"):
            raise _Wrong(f"{name} has the parameter {each!r}, which is not known here")


def _time(text: str, zone: ZoneInfo) -> datetime:
    if not _TIME.fullmatch(text):
        raise _Wrong(f"{text!r} is no time; write it like 20261201T060000")
    try:
        found = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")
    except ValueError:
        raise _Wrong(f"there is no time {text!r}") from None
    if not 1900 <= found.year <= 9000:
        raise _Wrong(f"{text!r} is too far away")
    return wall(found.replace(tzinfo=ZoneInfo("UTC")).timestamp(), zone) if text.endswith("Z") else found


def _rule(value: str, start: datetime, zone: ZoneInfo) -> Rule:
    parts = _parts(value)
    frequency = parts.pop("FREQ", "")
    if frequency not in _PARTS:
        why = "use an interval for seconds" if frequency == "SECONDLY" else f"use one of {', '.join(_PARTS)}"
        raise _Wrong(f"FREQ={frequency}: {why}" if frequency else f"has no FREQ; {why}")
    for name in parts:
        if name not in _ALWAYS and name not in _PARTS[frequency]:
            raise _Wrong(f"{name} cannot stand with FREQ={frequency}{_instead(name, frequency)}")
    interval = _number("INTERVAL", parts.pop("INTERVAL", "1"), _MAX_INTERVAL)
    count = _number("COUNT", parts.pop("COUNT"), _MAX_COUNT) if "COUNT" in parts else None
    until = _time(parts.pop("UNTIL"), zone) if "UNTIL" in parts else None
    if count is not None and until is not None:
        raise _Wrong("has both COUNT and UNTIL; one of them is allowed")
    for name, given in parts.items():
        _check_part(name, given, frequency)
    _say_defaults(parts, frequency, start)
    text = ";".join([f"FREQ={frequency}", f"INTERVAL={interval}", *(f"{name}={v}" for name, v in parts.items())])
    rule = Rule(text=text, frequency=frequency, interval=interval, start=start, count=count, until=until)
    _check_that_it_fires(rule, parts)
    return rule


def _instead(name: str, frequency: str) -> str:
    if frequency in _STEPS:
        return "; write FREQ=DAILY with BYHOUR and BYMINUTE"
    return "; write FREQ=YEARLY" if name in ("BYYEARDAY", "BYWEEKNO") else ""


def _parts(value: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for pair in value.strip(";").split(";"):
        name, equals, given = pair.partition("=")
        if not equals or not given:
            raise _Wrong(f"{pair!r} is no part of a rule; parts look like BYDAY=MO,TU, with ; between them")
        if name in parts:
            raise _Wrong(f"has {name} twice")
        if name not in _ALWAYS and name not in _PARTS["YEARLY"]:
            raise _Wrong(f"{name} is no part of a rule; there are {', '.join((*_ALWAYS, *_PARTS['YEARLY']))}")
        parts[name] = given
    return parts


def _number(name: str, text: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most or len(text) > 9:
        raise _Wrong(f"{name}={text}: write a whole number from 1 to {most:,}")
    return int(text)


def _check_part(name: str, given: str, frequency: str) -> None:
    items = given.split(",")
    if len(items) > _MAX_ITEMS:
        raise _Wrong(f"{name} has more than {_MAX_ITEMS} items")
    if name == "WKST":
        if given not in _DAYS:
            raise _Wrong(f"WKST={given}: write one of {', '.join(_DAYS)}")
    elif name == "BYDAY":
        for each in items:
            found = _WEEKDAY.fullmatch(each)
            if not found or abs(int(found[1] or 1)) > 53:
                raise _Wrong(f"BYDAY={each}: write days such as MO or, the last Friday, -1FR")
            if found[1] and frequency not in ("YEARLY", "MONTHLY"):
                raise _Wrong(f"BYDAY={each}: a number stands with FREQ=MONTHLY or YEARLY only")
    else:
        low, high = _RANGES[name]
        for each in items:
            if (
                not re.fullmatch(r"[+-]?[0-9]{1,3}", each)
                or not low <= int(each) <= high
                or (low < 0 and not int(each))
            ):
                raise _Wrong(f"{name}={each}: write whole numbers from {low} to {high}{', not 0' if low < 0 else ''}")


def _say_defaults(parts: dict[str, str], frequency: str, start: datetime) -> None:
    """Write down what a rule takes from its beginning, so that it can be asked from another beginning."""
    if not any(name in parts for name in _DAY_PARTS):
        if frequency == "YEARLY":
            parts.setdefault("BYMONTH", str(start.month))
        if frequency in ("YEARLY", "MONTHLY"):
            parts["BYMONTHDAY"] = str(start.day)
        elif frequency == "WEEKLY":
            parts["BYDAY"] = _DAYS[start.weekday()]
    if frequency != "MINUTELY":
        if frequency != "HOURLY":
            parts.setdefault("BYHOUR", str(start.hour))
        parts.setdefault("BYMINUTE", str(start.minute))
    parts.setdefault("BYSECOND", str(start.second))


def _check_that_it_fires(rule: Rule, parts: Mapping[str, str]) -> None:
    try:
        made = library.rrulestr(rule.text, dtstart=rule.start)
    except ValueError as error:
        raise _Wrong(f"never fires: {error}") from None
    if rule.frequency in _STEPS:
        fires = _fires_in_a_week(rule, parts)
    elif rule.frequency == "DAILY":
        fires = _fires_on_a_day(rule, parts)
    elif rule.frequency == "WEEKLY":
        times = len(list(itertools.product(*(parts[name].split(",") for name in _SMALL))))
        fires = all(abs(int(each)) <= times for each in parts.get("BYSETPOS", "1").split(","))
    else:
        fires = any(next(iter(made.replace(dtstart=each, interval=_ONE)), None) for each in _periods(rule))
    if not fires:
        raise _Wrong(f"never fires: no such time comes within {_YEARS - 1} years")


#: An interval that no second period of fits before the end of time: a rule with it tells about one period.
_ONE = 1_000_000


def _periods(rule: Rule) -> Iterator[datetime]:
    """Return where the years or months of a rule begin."""
    year, month = rule.start.year, 1 if rule.frequency == "YEARLY" else rule.start.month
    step = rule.interval * (12 if rule.frequency == "YEARLY" else 1)
    for months in range(0, max(_YEARS * 12, 2 * step), step):
        years, at = divmod(month - 1 + months, 12)
        if year + years < 9000:
            yield datetime(year + years, at + 1, 1)


def _fires_in_a_week(rule: Rule, parts: Mapping[str, str]) -> bool:
    """Go through the minutes of a week that a rule by hours or minutes can come to."""
    days, hours, minutes = _set(parts, "BYDAY"), _set(parts, "BYHOUR"), _set(parts, "BYMINUTE")
    at = rule.start.weekday() * 1440 + rule.start.hour * 60 + rule.start.minute
    hourly = rule.frequency == "HOURLY"
    for each in itertools.islice(itertools.count(at, rule.interval * _STEPS[rule.frequency]), _WEEK):
        day, minute = divmod(each % _WEEK, 1440)
        on_time = hourly or not minutes or minute % 60 in minutes
        if on_time and (not days or _DAYS[day] in days) and (not hours or minute // 60 in hours):
            return True
    return False


def _fires_on_a_day(rule: Rule, parts: Mapping[str, str]) -> bool:
    days, months, dates = _set(parts, "BYDAY"), _set(parts, "BYMONTH"), _set(parts, "BYMONTHDAY")
    for number in range(0, max(_YEARS * 366, 7 * rule.interval + 1), rule.interval):
        day = rule.start + timedelta(days=number)
        if (months and day.month not in months) or (days and _DAYS[day.weekday()] not in days):
            continue
        if not dates or day.day in dates or day.day - 1 - calendar.monthrange(day.year, day.month)[1] in dates:
            return True
    return False


def _set(parts: Mapping[str, str], name: str) -> set[object]:
    given = parts.get(name, "").split(",") if name in parts else []
    return set(given) if name == "BYDAY" else {int(each) for each in given}
