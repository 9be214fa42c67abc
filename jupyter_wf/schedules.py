"""Schedules for deployments, under Prefect's names: ``Cron("0 6 * * 1-5", timezone="Europe/Oslo")``.

They are checked where they are written: what can't be is a `jupyter_wf.exceptions.ScheduleError` with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jupyter_wf.core.durations import seconds_of
from jupyter_wf.core.schedules.spec import next_times, parse_schedule
from jupyter_wf.core.schedules.words import words
from jupyter_wf.core.schedules.zones import read_time, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["Cron", "Interval", "Once", "RRule", "Schedule"]

_RULES = ("cron", "interval", "rrule", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the runs of a deployment are made; `Cron`, `Interval`, `RRule` and `Once` make them.

    One of ``cron``, ``interval`` (a timedelta, seconds, or a text such as ``15m``), ``rrule`` and ``at`` is given.
    ``timezone`` is an IANA name, UTC where it is left out; times without offset are on the clocks of that zone.
    ``parameters`` go over the deployment's, ``slug`` names the schedule within it. Runs lie from ``start`` (included)
    to ``end`` (not included), at most ``max_runs`` of them, each up to ``jitter`` (as ``interval``) after its time.
    """

    cron: str | None = None
    interval: timedelta | float | str | None = None
    rrule: str | None = None
    at: datetime | str | None = None
    timezone: str | None = None
    anchor_date: datetime | str | None = None
    day_or: bool = True
    active: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    slug: str | None = None
    start: datetime | str | None = None
    end: datetime | str | None = None
    max_runs: int | None = None
    jitter: timedelta | float | str = 0.0

    def __post_init__(self) -> None:
        parse_schedule(self._spec())
        zone = zone_of(self.timezone)
        start, end = (None if each is None else read_time(_text(each), zone, name) for name, each in self._bounds())
        if start is not None and end is not None and end <= start:
            raise ScheduleError("end", _text(self.end), "is not after start")
        if self.max_runs is not None and (type(self.max_runs) is not int or self.max_runs < 1):
            raise ScheduleError("max_runs", self.max_runs, "give a whole number from 1 on")
        try:
            if seconds_of(self.jitter) < 0:
                raise ValueError("give a length of time from 0 on")
        except ValueError as error:
            raise ScheduleError("jitter", self.jitter, str(error)) from None

    def given(self) -> dict[str, Any]:
        """Return it in the form of requests: ``spec`` and what bounds it, JSON but for the parameters' values."""
        given: dict[str, Any] = {"spec": parse_schedule(self._spec()).spec(), "active": self.active}
        start, end = (None if each is None else _text(each) for _, each in self._bounds())
        given |= {"start_at": start, "end_at": end, "max_runs": self.max_runs, "jitter": seconds_of(self.jitter)}
        return {**given, "parameters": dict(self.parameters), "slug": self.slug}

    def describe(self) -> str:
        """Return in English when it fires: ``At 06:00, Monday through Friday (Europe/Oslo)``."""
        return f"{words(parse_schedule(self._spec()))} ({self.timezone or 'UTC'})"

    def next_times(self, after: datetime, count: int = 5) -> list[datetime]:
        """Return its next times after an aware datetime, within its bounds, in its zone."""
        if after.tzinfo is None:
            raise ScheduleError("after", after.isoformat(), "has no time zone; give an aware datetime")
        zone = zone_of(self.timezone)
        start, end = (None if each is None else read_time(_text(each), zone, name) for name, each in self._bounds())
        most = count if self.max_runs is None else min(count, self.max_runs)
        return next_times(parse_schedule(self._spec()), after, most, start_at=start, end_at=end)

    def _bounds(self) -> tuple[tuple[str, datetime | str | None], tuple[str, datetime | str | None]]:
        return ("start", self.start), ("end", self.end)

    def _spec(self) -> dict[str, Any]:
        spec = {name: getattr(self, name) for name in (*_RULES, "anchor_date", "timezone")}
        if not self.day_or:
            spec["day_or"] = self.day_or
        return {name: _plain(value) for name, value in spec.items() if value is not None}


def Cron(
    cron: str,
    /,
    timezone: str | None = None,
    day_or: bool = True,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    max_runs: int | None = None,
    jitter: timedelta | float | str = 0.0,
) -> Schedule:
    """Return a schedule by a cron expression of five fields, or an alias such as ``@daily``.

    ``day_or`` false asks for day of month *and* day of week where both are given. Raises `ScheduleError`.
    """
    return Schedule(
        cron=cron,
        day_or=day_or,
        timezone=timezone,
        active=active,
        parameters=parameters or {},
        slug=slug,
        start=start,
        end=end,
        max_runs=max_runs,
        jitter=jitter,
    )


def Interval(
    interval: timedelta | float | str,
    /,
    anchor_date: datetime | str | None = None,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    max_runs: int | None = None,
    jitter: timedelta | float | str = 0.0,
) -> Schedule:
    """Return a schedule at equal distances from ``anchor_date``, else from the beginning of 2020 in its zone.

    An interval of a day or more keeps its time on the wall clock when the clocks are changed. Raises `ScheduleError`.
    """
    return Schedule(
        interval=interval,
        anchor_date=anchor_date,
        timezone=timezone,
        active=active,
        parameters=parameters or {},
        slug=slug,
        start=start,
        end=end,
        max_runs=max_runs,
        jitter=jitter,
    )


def RRule(
    rrule: str,
    /,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    *,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    max_runs: int | None = None,
    jitter: timedelta | float | str = 0.0,
) -> Schedule:
    """Return a schedule by a recurrence rule of RFC 5545. Raises `ScheduleError`."""
    return Schedule(
        rrule=rrule,
        timezone=timezone,
        active=active,
        parameters=parameters or {},
        slug=slug,
        start=start,
        end=end,
        max_runs=max_runs,
        jitter=jitter,
    )


def Once(
    at: datetime | str,
    /,
    timezone: str | None = None,
    active: bool = True,
    parameters: Mapping[str, Any] | None = None,
    slug: str | None = None,
    *,
    jitter: timedelta | float | str = 0.0,
) -> Schedule:
    """Return a schedule of one time: a datetime, or ISO 8601. Raises `ScheduleError`."""
    return Schedule(at=at, timezone=timezone, active=active, parameters=parameters or {}, slug=slug, jitter=jitter)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _text(value) if isinstance(value, datetime) else value


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
