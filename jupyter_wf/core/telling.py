"""Schedules as people read them: in words, and as the next times in their zone."""

from __future__ import annotations

from datetime import datetime

from jupyter_wf.core.deployments import DeploymentSchedule
from jupyter_wf.core.schedules.spec import next_times, parse_schedule
from jupyter_wf.core.schedules.words import words

__all__ = ["moment_in", "upcoming", "words_of", "zone_name"]


def words_of(schedule: DeploymentSchedule) -> str:
    """Return in English when a schedule fires, without its zone."""
    return words(parse_schedule(schedule.spec))


def upcoming(schedule: DeploymentSchedule, after: float, count: int = 5) -> list[datetime]:
    """Return up to ``count`` times of a schedule after an instant (epoch seconds), in its zone, within its bounds."""
    left = count if schedule.max_runs is None else min(count, schedule.max_runs - schedule.made)
    rule = parse_schedule(schedule.spec)
    return next_times(rule, after, left, start_at=schedule.start_at, end_at=schedule.end_at)


def zone_name(schedule: DeploymentSchedule) -> str:
    """Return the name of a schedule's zone."""
    return str(schedule.spec.get("timezone") or "UTC")


def moment_in(at: datetime) -> str:
    """Return a time with its weekday and its offset: ``Mon 2026-11-23 06:00 +01:00``; seconds where there are some."""
    clock = "%H:%M:%S" if at.second else "%H:%M"
    offset = at.strftime("%z")
    return f"{at.strftime(f'%a %Y-%m-%d {clock}')} {offset[:3]}:{offset[3:5]}"
