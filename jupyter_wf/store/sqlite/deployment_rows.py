"""Deployments, schedules and policies to rows and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies
from jupyter_wf.store.sqlite.driver import sqlite

__all__ = [
    "DEPLOYMENT_COLUMNS",
    "SCHEDULE_COLUMNS",
    "deployment_from",
    "encode_policies",
    "load_deployments",
    "places_of",
    "policies_from",
    "schedule_from",
]

DEPLOYMENT_COLUMNS = (
    "id, flow_name, name, kind, target, parameters, pool, tags, description, priority, kernel, digest, policies, "
    "paused_at, paused_reason, failures, declared_in, created_at, updated_at"
)
SCHEDULE_COLUMNS = (
    "id, deployment_id, spec, slug, parameters, active, start_at, end_at, max_runs, jitter, watermark, next_slot, made"
)
_POLICY_NAMES = frozenset(each.name for each in fields(Policies))


def encode_policies(policies: Policies) -> str:
    """Return policies as a JSON text."""
    return json.dumps(asdict(policies))


@lru_cache(maxsize=1_000)
def policies_from(text: str) -> Policies:
    """Return the policies of a JSON text; what a later release has added is left out."""
    found = {name: value for name, value in json.loads(text).items() if name in _POLICY_NAMES}
    if "formats" in found:
        found["formats"] = tuple(found["formats"])
    return Policies(**found)


def places_of(policies: Policies) -> int | None:
    """Return how many runs of a deployment may be executed at once, None for any number."""
    return None if policies.overlap == "allow" else policies.concurrency_limit


def deployment_from(row: Sequence[Any], schedules: Iterable[DeploymentSchedule] = ()) -> Deployment:
    """Return the deployment of a row of `DEPLOYMENT_COLUMNS`."""
    return Deployment(
        id=row[0],
        flow_name=row[1],
        name=row[2],
        kind=row[3],
        target=row[4],
        parameters=json.loads(row[5]),
        pool=row[6],
        tags=() if row[7] == "[]" else tuple(json.loads(row[7])),
        description=row[8],
        priority=row[9],
        kernel=row[10],
        digest=row[11],
        policies=policies_from(row[12]),
        paused_at=row[13],
        paused_reason=row[14],
        failures=row[15],
        declared_in=row[16],
        created_at=row[17],
        updated_at=row[18],
        schedules=tuple(schedules),
    )


def schedule_from(row: Sequence[Any], spec: Mapping[str, Any] | None = None) -> DeploymentSchedule:
    """Return the schedule of a row of `SCHEDULE_COLUMNS`; its ``spec`` need not be read again where it is known."""
    return DeploymentSchedule(
        id=row[0],
        deployment_id=row[1],
        spec=json.loads(row[2]) if spec is None else spec,
        slug=row[3],
        parameters={} if row[4] == "{}" else json.loads(row[4]),
        active=bool(row[5]),
        start_at=row[6],
        end_at=row[7],
        max_runs=row[8],
        jitter=row[9],
        watermark=row[10],
        next_slot=row[11],
        made=row[12],
    )


def load_deployments(
    connection: sqlite.Connection, where: str = "1", parameters: Sequence[object] = ()
) -> list[Deployment]:
    """Return the deployments for which the condition ``where`` holds, by address, with their schedules."""
    rows = connection.execute(
        f"SELECT {DEPLOYMENT_COLUMNS} FROM deployments WHERE {where} ORDER BY flow_name || '/' || name", parameters
    ).fetchall()
    schedules: dict[str, list[DeploymentSchedule]] = {row[0]: [] for row in rows}
    found = connection.execute(
        f"SELECT {SCHEDULE_COLUMNS} FROM schedules WHERE deployment_id IN (SELECT value FROM json_each(?)) "
        "ORDER BY deployment_id, position",
        (json.dumps(list(schedules)),),
    )
    for row in found.fetchall():
        schedules[row[1]].append(schedule_from(row))
    return [deployment_from(row, schedules[row[0]]) for row in rows]
