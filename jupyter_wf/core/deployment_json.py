"""Deployments and their schedules in the JSON forms of `core.scheduling_json`; secrets among parameters are masked."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies
from jupyter_wf.core.parameters import masked
from jupyter_wf.core.scheduling_json import DeploymentJSON, PoliciesJSON, ScheduleJSON
from jupyter_wf.core.telling import upcoming, words_of, zone_name

__all__ = ["encode_deployment", "encode_policies", "encode_schedule"]


def encode_policies(policies: Policies) -> PoliciesJSON:
    """Return the JSON form of policies, all of them."""
    told: dict[str, Any] = {field.name: getattr(policies, field.name) for field in fields(Policies)}
    return cast(PoliciesJSON, {**told, "formats": list(policies.formats)})


def encode_schedule(schedule: DeploymentSchedule, *, now: float) -> ScheduleJSON:
    """Return the JSON form of a schedule; ``next``: its times after ``now`` (epoch seconds), as if it were active."""
    return {
        "id": schedule.id,
        "slug": schedule.slug,
        "spec": dict(schedule.spec),
        "words": words_of(schedule),
        "timezone": zone_name(schedule),
        "parameters": masked(schedule.parameters),
        "active": schedule.active,
        "start_at": None if schedule.start_at is None else iso(schedule.start_at),
        "end_at": None if schedule.end_at is None else iso(schedule.end_at),
        "max_runs": schedule.max_runs,
        "jitter": schedule.jitter,
        "next_slot": None if schedule.next_slot is None else iso(schedule.next_slot),
        "next": [each.isoformat() for each in upcoming(schedule, now)],
        "made": schedule.made,
    }


def encode_deployment(deployment: Deployment, *, now: float, path: str | None = None) -> DeploymentJSON:
    """Return the JSON form of a deployment; ``path`` is where its notebook is for the front end."""
    return {
        "id": deployment.id,
        "address": deployment.address,
        "name": deployment.name,
        "flow_name": deployment.flow_name,
        "kind": deployment.kind,
        "target": deployment.target,
        "path": path,
        "parameters": masked(deployment.parameters),
        "pool": deployment.pool,
        "tags": list(deployment.tags),
        "description": deployment.description,
        "priority": deployment.priority,
        "kernel": deployment.kernel,
        "policies": encode_policies(deployment.policies),
        "schedules": [encode_schedule(each, now=now) for each in deployment.schedules],
        "paused": deployment.paused,
        "paused_reason": deployment.paused_reason,
        "failures": deployment.failures,
        "next_slot": None if deployment.next_slot is None else iso(deployment.next_slot),
        "created_at": iso(deployment.created_at),
        "updated_at": iso(deployment.updated_at),
    }
