"""Schedules as people give them, in Python, in files and in requests, and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from jupyter_wf.core.deployment_fields import check_name, plain_values
from jupyter_wf.core.deployments import DeploymentSchedule
from jupyter_wf.core.durations import seconds_of
from jupyter_wf.core.schedules.base import Schedule
from jupyter_wf.core.schedules.spec import next_times, parse_schedule
from jupyter_wf.core.schedules.zones import read_time
from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = ["given_schedules", "read_schedule", "read_schedules"]

_SPEC_KEYS = ("cron", "day_or", "interval", "anchor_date", "rrule", "at", "timezone")
_KEYS = ("id", "slug", "spec", "parameters", "active", "start_at", "end_at", "max_runs", "jitter")
_MOST = 100
_MOST_RUNS = 1_000_000_000
_LONGEST_JITTER = 7 * 86400.0


def given_schedules(
    schedules: Iterable[Any] | None = None,
    *,
    cron: Any = None,
    interval: Any = None,
    rrule: Any = None,
    at: Any = None,
    timezone: str | None = None,
) -> list[Any] | None:
    """Return all that was given in one list, None where nothing was.

    Each of ``cron``, ``interval``, ``rrule`` and ``at`` is one value or several; ``timezone`` is theirs. Raises
    `ScheduleError` for a zone without anything that it is the zone of.
    """
    found: list[Any] = []
    for key, value in (("cron", cron), ("interval", interval), ("rrule", rrule), ("at", at)):
        if value is not None:
            several = isinstance(value, Iterable) and not isinstance(value, str | Mapping)
            zone = {} if timezone is None else {"timezone": timezone}
            found += [{key: each, **zone} for each in (value if several else (value,))]
    if timezone is not None and not found:
        raise ScheduleError("timezone", timezone, "goes with cron, interval, rrule or at; a schedule has its own")
    if isinstance(schedules, str | Mapping) or (schedules is not None and not isinstance(schedules, Iterable)):
        raise ScheduleError("schedules", schedules, "give a list of schedules")
    if schedules is None and not found:
        return None
    return [*(schedules or ()), *found]


def read_schedules(
    given: Any, before: Sequence[DeploymentSchedule] = (), *, now: float
) -> tuple[DeploymentSchedule, ...]:
    """Return the schedules of a deployment that are to be stored; ``before`` are those that it has.

    Raises `ScheduleError` with the field, as `read_schedule` does, and for two of one slug.
    """
    if not isinstance(given, list | tuple) or len(given) > _MOST:
        raise ScheduleError("schedules", given, f"give a list of at most {_MOST} schedules")
    found = tuple(read_schedule(each, before, now=now) for each in given)
    slugs = [each.slug for each in found if each.slug is not None]
    for slug in slugs:
        if slugs.count(slug) > 1:
            raise ScheduleError("slug", slug, "two schedules have it")
    return found


def read_schedule(given: Any, before: Sequence[DeploymentSchedule] = (), *, now: float) -> DeploymentSchedule:
    """Return a schedule that is to be stored.

    ``given`` is a `DeploymentSchedule`, a schedule of `jupyter_wf.schedules`, or a mapping in the form of
    `core.scheduling_json.SaveScheduleJSON`, in which the keys of ``spec`` may stand for themselves, and ``every`` for
    ``interval``. One with the id,
    else the slug, else the rule of one in ``before`` is that one, changed. What is new about when it fires holds from
    ``now`` (epoch seconds) on. Raises `ScheduleError` with the field, the value and the reason.
    """
    fields, rule = _fields(given)
    spec = rule.spec()
    old = _same(fields, spec, before)
    zone = rule.zone
    start_at = _moment(fields.get("start_at"), "start_at", zone)
    end_at = _moment(fields.get("end_at"), "end_at", zone)
    if start_at is not None and end_at is not None and end_at <= start_at:
        raise ScheduleError("end_at", fields["end_at"], "is not after start_at")
    slug = fields.get("slug")
    schedule = DeploymentSchedule(
        id=old.id if old else "",
        deployment_id=old.deployment_id if old else "",
        spec=spec,
        slug=None if slug is None else check_name("slug", slug),
        parameters=_parameters(fields.get("parameters", {})),
        active=_flag("active", fields.get("active", True)),
        start_at=start_at,
        end_at=end_at,
        max_runs=_max_runs(fields.get("max_runs")),
        jitter=_jitter(fields.get("jitter", 0.0)),
        made=old.made if old else 0,
    )
    is_same = old is not None and _times(old) == _times(schedule)
    schedule = replace(schedule, watermark=old.watermark if old and is_same else now)
    schedule = replace(schedule, next_slot=_slot_after(schedule, rule, schedule.watermark))
    if schedule.next_slot is None and not is_same:
        raise _never(schedule, rule)
    return schedule


def _times(schedule: DeploymentSchedule) -> tuple[Any, ...]:
    return dict(schedule.spec), schedule.start_at, schedule.end_at, schedule.max_runs, schedule.active


def _fields(given: Any) -> tuple[dict[str, Any], Schedule]:
    """Return what is given beside the rule, by name, and the rule."""
    if isinstance(given, DeploymentSchedule):
        return {name: getattr(given, name) for name in _KEYS if name != "id" or given.id}, parse_schedule(given.spec)
    if isinstance(given, Schedule):
        return {}, given
    if not isinstance(given, Mapping):
        given = _mapping(given)
    if "every" in given and "interval" not in given:
        given = {"interval" if key == "every" else key: value for key, value in given.items()}
    for key in given:
        if key not in (*_KEYS, *_SPEC_KEYS):
            known = ("cron", "interval", "rrule", "at", "timezone", *(each for each in _KEYS if each != "spec"))
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ScheduleError("schedules", key, f"a schedule has no such key; {hint}")
    short = {key: given[key] for key in _SPEC_KEYS if given.get(key) is not None}
    if "spec" in given and short:
        raise ScheduleError("spec", given["spec"], f"give spec, or {', '.join(short)}, not both")
    spec = given.get("spec", short)
    if not isinstance(spec, Mapping):
        raise ScheduleError("spec", spec, "give an object with cron, interval, rrule or at")
    rule = parse_schedule({key: _plain(key, value) for key, value in spec.items()})
    return {key: value for key, value in given.items() if key in _KEYS and key != "spec" and value is not None}, rule


def _mapping(given: Any) -> Mapping[str, Any]:
    """Return what an object of `jupyter_wf.schedules` says, as a mapping."""
    told = getattr(given, "given", None)
    if not callable(told):
        why = "give schedules of jupyter_wf.schedules, or mappings with cron, interval, rrule or at"
        raise ScheduleError("schedules", given, why)
    found: Mapping[str, Any] = told()
    return found


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, date) else value


def _same(
    fields: Mapping[str, Any], spec: Mapping[str, Any], before: Sequence[DeploymentSchedule]
) -> DeploymentSchedule | None:
    for key, value in (("id", fields.get("id")), ("slug", fields.get("slug"))):
        found = next((each for each in before if value and getattr(each, key) == value), None)
        if found is not None:
            return found
    if fields.get("id"):
        raise ScheduleError("id", fields["id"], "the deployment has no such schedule")
    return next((each for each in before if dict(each.spec) == dict(spec)), None)


def _slot_after(schedule: DeploymentSchedule, rule: Schedule, after: float) -> float | None:
    """Return the first slot after an instant, within the schedule's bounds."""
    if schedule.max_runs is not None and schedule.made >= schedule.max_runs:
        return None
    found = next_times(rule, after, 1, start_at=schedule.start_at, end_at=schedule.end_at)
    return found[0].timestamp() if found else None


def _never(schedule: DeploymentSchedule, rule: Schedule) -> ScheduleError:
    """Return why a new schedule would make no run."""
    if "at" in schedule.spec:
        return ScheduleError("at", schedule.spec["at"], "is in the past, or not within start_at and end_at")
    if schedule.end_at is not None:
        return ScheduleError("end_at", datetime.fromtimestamp(schedule.end_at, rule.zone).isoformat(), "no run before")
    kind = next(key for key in ("cron", "interval", "rrule") if key in schedule.spec)
    return ScheduleError(kind, schedule.spec[kind], "it never fires again")


def _moment(value: Any, field: str, zone: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value)
    text = value.isoformat() if isinstance(value, date) else value
    return read_time(text, zone, field)


def _parameters(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ScheduleError("parameters", value, "give an object: parameters by name")
    return plain_values(value)


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ScheduleError(field, value, "give true or false")
    return value


def _max_runs(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value <= _MOST_RUNS):
        raise ScheduleError("max_runs", value, f"give a whole number from 1 to {_MOST_RUNS:,}")
    return value


def _jitter(value: Any) -> float:
    try:
        seconds = seconds_of(value)
    except ValueError as error:
        raise ScheduleError("jitter", value, str(error)) from None
    if not 0 <= seconds <= _LONGEST_JITTER:
        raise ScheduleError("jitter", value, "give a length of time from 0 s to 7 days")
    return seconds
