"""Backfills: the slots of a deployment's schedules in a time that has passed, run as one group."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from jupyter_wf.core.backfills import Backfill, Reprocess
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.schedules.spec import parse_schedule
from jupyter_wf.core.schedules.zones import at_wall
from jupyter_wf.core.scheduling_errors import ScheduleNotFound
from jupyter_wf.store.base import Store

__all__ = ["MOST", "PlannedSlot", "create_backfill", "plan_backfill", "zone_of"]

#: More runs than these are no backfill but a mistake.
MOST = 10_000


class PlannedSlot(NamedTuple):
    """A slot (epoch seconds) of a schedule, and whether the backfill would run it."""

    schedule_id: str
    slot: float
    runs: bool


def plan_backfill(
    store: Store,
    deployment: Deployment,
    *,
    begin: float,
    end: float,
    reprocess: Reprocess = "none",
    newest_first: bool = False,
    schedule: str | None = None,
    now: float | None = None,
) -> list[PlannedSlot]:
    """Return the slots from ``begin`` to ``end`` (epoch seconds, both included), in the order in which they would run.

    They are those of the active schedules, or of the one named by ``schedule`` (its id, its slug, or how its id
    begins); none lies after ``now``. Raises `InvalidRequest` for times in the wrong order, for a deployment without a
    schedule, and for more than `MOST` slots; `ScheduleNotFound`.
    """
    if not begin <= end:
        why = f"must not be before the beginning, {_told(deployment, schedule, begin)}"
        raise InvalidRequest("to", _told(deployment, schedule, end), why)
    last = min(end, time.time() if now is None else now)
    slots: list[tuple[float, str]] = []
    for each in _chosen(deployment, schedule):
        slots += ((slot, each.id) for slot in _slots(each, begin, last, MOST + 1 - len(slots)))
        if len(slots) > MOST:
            why = f"these are more than {MOST:,} slots: choose a shorter time"
            raise InvalidRequest("from", _told(deployment, schedule, begin), why)
    keys = [(schedule_id, slot) for slot, schedule_id in sorted(slots, reverse=newest_first)]
    vacant = set(store.backfills.vacant(keys, reprocess))
    return [PlannedSlot(*key, key in vacant) for key in keys]


def create_backfill(
    store: Store,
    deployment: Deployment,
    *,
    begin: float,
    end: float,
    reprocess: Reprocess = "none",
    parallel: int = 1,
    newest_first: bool = False,
    schedule: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    now: float | None = None,
) -> Backfill:
    """Put a run for each slot that `plan_backfill` names into the queue, as one group, and return that.

    At most ``parallel`` of them are executed at a time, after what waits of the deployment otherwise; ``parameters``
    go over those of deployment and schedule. Raises as `plan_backfill`, and `InvalidRequest` where nothing is to be
    run.
    """
    at = time.time() if now is None else now
    planned = plan_backfill(
        store,
        deployment,
        begin=begin,
        end=end,
        reprocess=reprocess,
        newest_first=newest_first,
        schedule=schedule,
        now=at,
    )
    wanted = [(each.schedule_id, each.slot) for each in planned if each.runs]
    if not wanted:
        why = "all slots of this time have been run" if planned else "there is no slot in this time"
        told = _told(deployment, schedule, begin)
        raise InvalidRequest("from", told, f"{why}; reprocess failed or all runs them again" if planned else why)
    backfill = Backfill(
        id="",
        deployment_id=deployment.id,
        begin_at=begin,
        end_at=end,
        reprocess=reprocess,
        parallel=parallel,
        newest_first=newest_first,
        created_at=at,
        counts={},
    )
    return store.backfills.create(backfill, wanted, parameters=parameters or {}, priority=deployment.priority - 1)


def _chosen(deployment: Deployment, wanted: str | None) -> list[DeploymentSchedule]:
    if wanted is None:
        active = [each for each in deployment.schedules if each.active]
        if not active:
            raise InvalidRequest("deployment", deployment.address, "has no active schedule whose slots could be run")
        return active
    for same in (
        [each for each in deployment.schedules if wanted in (each.id, each.slug)],
        [each for each in deployment.schedules if len(wanted) >= 6 and each.id.startswith(wanted.lower())],
    ):
        if len(same) == 1:
            return same
    raise ScheduleNotFound(wanted)


def _told(deployment: Deployment, wanted: str | None, at: float) -> str:
    """Return an instant (epoch seconds) as people write it, in the zone of the schedules that were chosen."""
    return at_wall(at, zone_of(deployment, wanted)).isoformat(timespec="seconds")


def zone_of(deployment: Deployment, wanted: str | None = None) -> ZoneInfo:
    """Return the zone in which times of a backfill are meant: that of its first schedule, UTC where there is none.

    ``wanted`` is one of the schedules: its slug, its id, or how that begins.
    """
    schedules = [each for each in deployment.schedules if each.active or wanted is not None]
    named = [each for each in schedules if wanted is None or wanted == each.slug or each.id.startswith(wanted)]
    return parse_schedule(named[0].spec).zone if named else ZoneInfo("UTC")


def _slots(schedule: DeploymentSchedule, begin: float, last: float, most: int) -> Iterable[float]:
    timetable = parse_schedule(schedule.spec)
    first = begin if schedule.start_at is None else max(begin, schedule.start_at)
    at = math.nextafter(first, -math.inf)
    for _ in range(most):
        slot = timetable.next_slot(at)
        if slot is None or slot > last or (schedule.end_at is not None and slot >= schedule.end_at):
            return
        yield slot
        at = slot
