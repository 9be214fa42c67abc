"""A schedule on the command line: in words, and its next times in its zone."""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_wf.cli.text import one_line
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.schedules.spec import parse_schedule
from jupyter_wf.core.schedules.zones import at_wall
from jupyter_wf.core.telling import moment_in, upcoming, words_of, zone_name

__all__ = ["next_lines", "schedule_lines", "spoken_slot"]


def schedule_lines(schedule: DeploymentSchedule, now: float, count: int = 5) -> Iterator[str]:
    """Return the lines that tell a schedule: its words and zone, then its next times where it is active."""
    marks = [one_line(schedule.slug)] if schedule.slug else []
    marks += [] if schedule.active else ["not active"]
    mark = f" ({', '.join(marks)})" if marks else ""
    yield f"{one_line(words_of(schedule))}, {zone_name(schedule)}{mark}"
    if schedule.active:
        yield from (f"  {line}" for line in next_lines(schedule, now, count))


def next_lines(schedule: DeploymentSchedule, now: float, count: int = 5) -> list[str]:
    """Return the next times of a schedule, one a line."""
    return [moment_in(at) for at in upcoming(schedule, now, count)] or ["no more runs"]


def spoken_slot(deployment: Deployment) -> str:
    """Return when the next run of a deployment is due, in its schedule's zone; nothing where none is."""
    slot = deployment.next_slot
    if slot is None:
        return ""
    found = next(each for each in deployment.schedules if each.active and each.next_slot == slot)
    return moment_in(at_wall(slot, parse_schedule(found.spec).zone))
