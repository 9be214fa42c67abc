"""Deployments and pools as callers hand them in, checked before anything is written."""

from __future__ import annotations

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.store.sqlite.checks import checked_integer, checked_name, encoded_json

__all__ = ["check_deployment", "check_schedule", "checked_label", "checked_time"]

_LONGEST_NAME = 250
_LONGEST_TEXT = 100_000
_HIGHEST = (1 << 31) - 1
#: The last second that a date can name: the end of the year 9999.
_LAST = 253_402_300_799


def check_deployment(deployment: Deployment) -> None:
    """Raise `InvalidRequest` for what can be no deployment."""
    for field in ("name", "flow_name"):
        checked_label(field, getattr(deployment, field))
    checked_label("pool", deployment.pool)
    if deployment.kind not in ("notebook", "flow"):
        raise InvalidRequest("kind", deployment.kind, "must be notebook or flow")
    checked_name("target", deployment.target, _LONGEST_TEXT)
    checked_name("description", deployment.description, _LONGEST_TEXT, shortest=0)
    checked_integer("priority", deployment.priority, -_HIGHEST, _HIGHEST)
    if deployment.policies.concurrency_limit is not None:
        checked_integer("concurrency_limit", deployment.policies.concurrency_limit, 1, _HIGHEST)
    encoded_json("parameters", dict(deployment.parameters))
    for tag in deployment.tags:
        checked_name("tags", tag, _LONGEST_NAME)
    for field in ("kernel", "digest", "declared_in", "paused_reason"):
        value = getattr(deployment, field)
        if value is not None:
            checked_name(field, value, _LONGEST_TEXT, shortest=0)
    slugs = [each.slug for each in deployment.schedules if each.slug is not None]
    for slug in slugs:
        if slugs.count(slug) > 1:
            raise InvalidRequest("slug", slug, "two schedules of one deployment can't have the same")
    for schedule in deployment.schedules:
        check_schedule(schedule)


def check_schedule(schedule: DeploymentSchedule) -> None:
    """Raise `InvalidRequest` for what can't be stored as a schedule; its ``spec`` was judged by whoever knows times."""
    encoded_json("spec", dict(schedule.spec))
    encoded_json("parameters", dict(schedule.parameters))
    if schedule.slug is not None:
        checked_label("slug", schedule.slug)
    if schedule.max_runs is not None:
        checked_integer("max_runs", schedule.max_runs, 0, _HIGHEST)
    for field in ("start_at", "end_at", "jitter", "watermark", "next_slot"):
        value = getattr(schedule, field)
        if value is not None:
            checked_time(field, value)


def checked_label(field: str, value: object) -> str:
    """Return a name that people type. Raises `InvalidRequest` for one that is empty, too long or unprintable."""
    text = checked_name(field, value, _LONGEST_NAME)
    if not text.isprintable() or text != text.strip():
        raise InvalidRequest(field, value, "must be printable, without blanks around it")
    if "/" in text:
        raise InvalidRequest(field, value, "must not hold a slash: it stands between a flow's and a deployment's name")
    return text


def checked_time(field: str, value: object) -> float:
    """Return epoch seconds. Raises `InvalidRequest` for what no date can name."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LAST:
        raise InvalidRequest(field, value, "must be a number of seconds since 1970, up to the year 9999")
    return value
