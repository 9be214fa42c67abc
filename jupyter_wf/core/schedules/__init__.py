"""When things happen: cron expressions, intervals, recurrence rules and single times, in the zones of the world.

Pure: the same answer for the same question in every process, whatever was asked before. Times are aware datetimes, or
seconds since the epoch where schedulers ask. `words` is in `core.schedules.words`.
"""

from __future__ import annotations

from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.cron import CronSchedule
from jupyter_wf.core.schedules.interval import IntervalSchedule
from jupyter_wf.core.schedules.once import OnceSchedule
from jupyter_wf.core.schedules.rrule import RRuleSchedule
from jupyter_wf.core.schedules.spec import next_times, parse_schedule, to_spec
from jupyter_wf.core.schedules.words import words
from jupyter_wf.core.schedules.zones import read_time, zone_of

__all__ = [
    "CronSchedule",
    "IntervalSchedule",
    "OnceSchedule",
    "RRuleSchedule",
    "Schedule",
    "next_times",
    "parse_schedule",
    "read_time",
    "to_spec",
    "words",
    "zone_of",
]
