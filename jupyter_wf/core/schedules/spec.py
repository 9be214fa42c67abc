"""Schedules as JSON, in Prefect's forms, and the times of a schedule between two bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.cron import CronSchedule
from jupyter_wf.core.schedules.interval import IntervalSchedule
from jupyter_wf.core.schedules.once import OnceSchedule
from jupyter_wf.core.schedules.rrule import RRuleSchedule
from jupyter_wf.core.schedules.zones import at_wall, zone_of
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["next_times", "parse_schedule", "to_spec"]

_KINDS: Mapping[str, tuple[type[Schedule], frozenset[str]]] = {
    "cron": (CronSchedule, frozenset(("cron", "timezone", "day_or"))),
    "interval": (IntervalSchedule, frozenset(("interval", "anchor_date", "timezone"))),
    "rrule": (RRuleSchedule, frozenset(("rrule", "timezone"))),
    "at": (OnceSchedule, frozenset(("at", "timezone"))),
}
_MAX_LENGTH = 8000


def parse_schedule(spec: Mapping[str, Any]) -> Schedule:
    """Return the schedule of one of the forms with ``cron``, ``interval``, ``rrule`` or ``at``, each with ``timezone``.

    ``interval`` is in seconds, or a text such as ``15m``. Raises `ScheduleError`, whose ``field`` says what is wrong.
    """
    if not isinstance(spec, Mapping):
        raise ScheduleError("spec", spec, 'must be an object such as {"cron": "0 6 * * *", "timezone": "UTC"}')
    try:
        text = json.dumps(dict(spec), sort_keys=True)
    except (TypeError, ValueError):
        raise ScheduleError("spec", spec, "must be JSON: texts and numbers") from None
    if len(text) > _MAX_LENGTH:
        raise ScheduleError("spec", text, f"must have at most {_MAX_LENGTH:,} characters")
    return _parsed(text)


@lru_cache(maxsize=16384)
def _parsed(text: str) -> Schedule:
    spec = json.loads(text)
    kinds = [name for name in _KINDS if spec.get(name) is not None]
    if len(kinds) != 1:
        said = f"has {' and '.join(kinds)}" if kinds else "says no time"
        raise ScheduleError("spec", spec, f"{said}; give one of cron, interval, rrule and at")
    made, known = _KINDS[kinds[0]]
    given = {name: value for name, value in spec.items() if value is not None}
    for name in given:
        if name not in known:
            why = f"has no place in a schedule by {kinds[0]}; there are {', '.join(sorted(known))}"
            raise ScheduleError(name, given[name], why)
    for name in ("timezone", "anchor_date", "at"):
        if not isinstance(given.get(name, ""), str):
            raise ScheduleError(name, given[name], "must be a text")
    return made.from_spec(given)


def to_spec(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as JSON, with its zone written down: `parse_schedule` gives an equal one."""
    return schedule.spec()


def next_times(
    schedule: Schedule,
    after: float | datetime,
    count: int,
    *,
    start_at: float | None = None,
    end_at: float | None = None,
) -> list[datetime]:
    """Return up to ``count`` times after ``after``, aware, in the schedule's zone.

    ``after`` is an aware datetime or epoch seconds, as ``start_at`` (included) and ``end_at`` (not included) are.
    """
    zone = zone_of(schedule.timezone)
    at = after.timestamp() if isinstance(after, datetime) else after
    if start_at is not None and start_at > at:
        at = math.nextafter(start_at, -math.inf)
    found: list[datetime] = []
    while len(found) < count:
        slot = schedule.next_slot(at)
        if slot is None or (end_at is not None and slot >= end_at):
            break
        found.append(at_wall(slot, zone))
        at = slot
    return found
