"""Bringing what is stored into line with what a file declares: what would change, field by field, and doing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.telling import words_of, zone_name
from jupyter_wf.notebook.snapshots import keep_snapshot
from jupyter_wf.services.deployables import Deployable
from jupyter_wf.services.deploying import find_stored, save_deployment
from jupyter_wf.store.base import Store

__all__ = ["Change", "FieldChange", "Wanted", "carry_out", "plan_changes"]

_PLAIN = ("target", "pool", "tags", "description", "priority", "kernel", "digest", "declared_in")
_OF_SCHEDULE = ("parameters", "active", "start_at", "end_at", "max_runs", "jitter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deployment that a file declares; ``paused`` is None where it does not say."""

    deployment: Deployment
    what: Deployable
    paused: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field that is another one afterwards; None stands for nothing."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one deployment: ``before`` is what is stored, None where there is nothing."""

    action: Literal["create", "change", "unchanged", "delete"]
    address: str
    before: Deployment | None = None
    wanted: Wanted | None = None
    fields: tuple[FieldChange, ...] = ()


def plan_changes(store: Store, wanted: Sequence[Wanted], *, declared_in: str, prune: bool) -> list[Change]:
    """Return what would have to be done, in the file's order; with ``prune`` also what it does not declare any more.

    Only what was declared in the same file is ever removed.
    """
    changes = [_change(store, each) for each in wanted]
    if prune:
        kept = {change.address for change in changes}
        gone = [each for each in store.deployments.list() if each.declared_in == declared_in]
        changes += [
            Change(action="delete", address=each.address, before=each) for each in gone if each.address not in kept
        ]
    return changes


def carry_out(store: Store, settings: Settings, changes: Iterable[Change], *, now: float) -> None:
    """Do it. Each deployment is changed at once; what comes first in the file is changed first."""
    for change in changes:
        if change.action == "delete" and change.before is not None:
            store.deployments.delete(change.before.id)
        elif change.wanted is not None and change.action != "unchanged":
            wanted = change.wanted
            if wanted.deployment.digest is not None and wanted.what.notebook is not None:
                keep_snapshot(settings, wanted.what.notebook)
            save_deployment(store, wanted.deployment, paused=wanted.paused, now=now)


def _change(store: Store, wanted: Wanted) -> Change:
    after = wanted.deployment
    before = find_stored(store, after.flow_name, after.name)
    if before is None:
        return Change(
            action="create", address=after.address, wanted=wanted, fields=tuple(_differences({}, _told(after)))
        )
    told = _told(before), _told(after)
    if wanted.paused is not None:
        told[0]["paused"], told[1]["paused"] = before.paused, wanted.paused
    found = tuple(_differences(*told))
    action: Literal["change", "unchanged"] = "change" if found else "unchanged"
    return Change(action=action, address=after.address, before=before, wanted=wanted, fields=found)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[FieldChange]:
    for name in dict.fromkeys((*after, *before)):
        if before.get(name) != after.get(name):
            yield FieldChange(field=name, before=before.get(name), after=after.get(name))


def _told(deployment: Deployment) -> dict[str, Any]:
    """Return what there is to say of a deployment, by field; what is as usual is left out."""
    told: dict[str, Any] = {name: getattr(deployment, name) for name in _PLAIN}
    told["tags"] = list(deployment.tags)
    told["pool"] = None if deployment.pool == "default" else deployment.pool
    told["priority"] = deployment.priority or None
    told.update((f"parameters.{name}", value) for name, value in deployment.parameters.items())
    usual = Policies()
    for field in fields(Policies):
        value = getattr(deployment.policies, field.name)
        if value != getattr(usual, field.name):
            # None is a value too: no limit where there is one as usual.
            shown = "none" if value is None else value
            told[f"policies.{field.name}"] = list(shown) if isinstance(shown, tuple) else shown
    for schedule in deployment.schedules:
        told[f"schedules[{schedule.slug or f'{words_of(schedule)}, {zone_name(schedule)}'}]"] = _schedule(schedule)
    return {name: value for name, value in told.items() if value not in (None, "", [])}


def _schedule(schedule: DeploymentSchedule) -> dict[str, Any]:
    usual = {"parameters": {}, "active": True, "start_at": None, "end_at": None, "max_runs": None, "jitter": 0.0}
    told: dict[str, Any] = dict(schedule.spec)
    for name in _OF_SCHEDULE:
        value = getattr(schedule, name)
        value = dict(value) if isinstance(value, Mapping) else value
        if value != usual[name]:
            told[name] = value
    return told
