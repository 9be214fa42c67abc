"""Deployments and their schedules."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.scheduling_errors import (
    AmbiguousDeployment,
    DeploymentExists,
    DeploymentNotFound,
    ScheduleNotFound,
)
from jupyter_wf.store.scheduling import DeploymentStore
from jupyter_wf.store.sqlite.cancelling import cancel_now
from jupyter_wf.store.sqlite.checks import checked_id
from jupyter_wf.store.sqlite.closing import find_above, write_event
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.deployment_checks import check_deployment, check_schedule
from jupyter_wf.store.sqlite.deployment_rows import (
    DEPLOYMENT_COLUMNS,
    SCHEDULE_COLUMNS,
    encode_policies,
    load_deployments,
    places_of,
)
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.event_triggers import forget_triggers
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners

__all__ = ["Deployments"]

_T = TypeVar("_T")
_SHORTEST_PREFIX = 6
_SHOWN_MATCHES = 5
_TIMING = ("spec", "active", "start_at", "end_at", "max_runs", "jitter")
_NAMES = DEPLOYMENT_COLUMNS.split(", ")
_SAVE = (
    f"INSERT OR REPLACE INTO deployments ({DEPLOYMENT_COLUMNS}, places) VALUES ({', '.join('?' * (len(_NAMES) + 1))})"
)
_SAVE_SCHEDULE = (
    f"INSERT OR REPLACE INTO schedules ({SCHEDULE_COLUMNS}, position, live) "
    f"VALUES ({', '.join('?' * (len(SCHEDULE_COLUMNS.split(', ')) + 2))})"
)


class Deployments(DeploymentStore):
    """The `DeploymentStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners, ring: Callable[[], None]) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners
        self._ring = ring

    def save(self, deployment: Deployment, *, replace: bool = True) -> Deployment:
        """Store a deployment with exactly its schedules."""
        check_deployment(deployment)

        def work(connection: sqlite.Connection) -> Deployment:
            there = _same(connection, deployment)
            if there is not None and not replace:
                raise DeploymentExists(there.address)
            saved = _merged(deployment, there, time.time())
            if there is not None:
                gone = {each.id for each in there.schedules} - {each.id for each in saved.schedules}
                _forget_schedules(connection, gone)
            _refuse_strangers(connection, saved)
            _write(connection, saved)
            return _told(connection, saved.id, "saved")

        return self._changed(work)

    def get(self, deployment_id: str) -> Deployment:
        """Return the deployment with this id."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            return _load(connection, deployment_id)

    def find(self, address: str) -> Deployment:
        """Return the deployment that is meant."""
        text = checked_id(address)
        if not text:
            raise DeploymentNotFound(str(address)[:300])
        self._journal.settle()
        conditions: builtins.list[tuple[str, tuple[str, ...]]]
        conditions = [("flow_name || '/' || name = ?", (text,)), ("id = ?", (text,)), ("name = ?", (text,))]
        if len(text) >= _SHORTEST_PREFIX:
            # 'g' comes after every character of an id.
            low = text.lower()
            conditions.append(("id >= ? AND id < ?", (low, low + "g")))
        with self._database.snapshot() as connection:
            for condition, parameters in conditions:
                found = load_deployments(connection, condition, parameters)
                if len(found) > 1:
                    raise AmbiguousDeployment(text, tuple(each.address for each in found[:_SHOWN_MATCHES]))
                if found:
                    return found[0]
        raise DeploymentNotFound(text[:300])

    def list(self, *, pool: str | None = None, target: str | None = None, text: str = "") -> list[Deployment]:
        """Return deployments by address."""
        conditions, parameters = ["1"], []
        for column, value in (("pool", pool), ("target", target)):
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        if text:
            conditions.append("instr(lower(flow_name || '/' || name), lower(?)) > 0")
            parameters.append(text)
        self._journal.settle()
        with self._database.snapshot() as connection:
            return load_deployments(connection, " AND ".join(conditions), parameters)

    def delete(self, deployment_id: str) -> int:
        """Remove a deployment; what waits of it is cancelled."""

        def work(connection: sqlite.Connection) -> int:
            now = time.time()
            deployment = _load(connection, deployment_id)
            # Twice the stage, so that the index of what is open is used.
            waiting = connection.execute(
                "SELECT run_id FROM queue WHERE deployment_id = ? AND stage IN ('waiting', 'claimed') "
                "AND stage = 'waiting'",
                (deployment_id,),
            ).fetchall()
            for (run_id,) in waiting:
                run = find_above(connection, run_id)
                if run is not None and not run.is_closed:
                    cancel_now(connection, self._owners, run, now, "its deployment was deleted")
            _forget_schedules(connection, {each.id for each in deployment.schedules})
            forget_triggers(connection, deployment_id)
            connection.execute("DELETE FROM deployments WHERE id = ?", (deployment_id,))
            _tell(connection, deployment, "deleted", now)
            return len(waiting)

        return self._changed(work)

    def pause(self, deployment_id: str, reason: str, now: float) -> Deployment:
        """Have its schedules make no more runs."""

        def work(connection: sqlite.Connection) -> Deployment:
            _load(connection, deployment_id)
            connection.execute(
                "UPDATE deployments SET paused_at = coalesce(paused_at, ?), paused_reason = ?, updated_at = ? "
                "WHERE id = ?",
                (now, reason, now, deployment_id),
            )
            connection.execute("UPDATE schedules SET live = 0 WHERE deployment_id = ?", (deployment_id,))
            return _told(connection, deployment_id, "paused")

        return self._changed(work)

    def unpause(self, deployment_id: str, now: float) -> Deployment:
        """Have its schedules make runs again, from ``now`` on."""

        def work(connection: sqlite.Connection) -> Deployment:
            if not _load(connection, deployment_id).paused:
                return _load(connection, deployment_id)
            connection.execute(
                "UPDATE deployments SET paused_at = NULL, paused_reason = NULL, failures = 0, updated_at = ? "
                "WHERE id = ?",
                (now, deployment_id),
            )
            connection.execute(
                "UPDATE schedules SET live = active, watermark = max(watermark, ?) WHERE deployment_id = ?",
                (now, deployment_id),
            )
            return _told(connection, deployment_id, "unpaused")

        return self._changed(work)

    def set_schedule(self, schedule: DeploymentSchedule) -> Deployment:
        """Add a schedule to its deployment, or change it."""
        check_schedule(schedule)

        def work(connection: sqlite.Connection) -> Deployment:
            deployment = _load(connection, schedule.deployment_id)
            others = [each for each in deployment.schedules if each.id != schedule.id]
            if schedule.slug is not None and schedule.slug in {each.slug for each in others}:
                raise InvalidRequest("slug", schedule.slug, "another schedule of this deployment has it")
            there = next((each for each in deployment.schedules if each.id == schedule.id), None)
            changed = replace(schedule, id=schedule.id or new_id())
            if there is not None:
                # Whoever hands it in has read it before: a scheduler may have been at work meanwhile.
                changed = replace(changed, watermark=max(there.watermark, schedule.watermark), made=there.made)
            position = len(others) if there is None else deployment.schedules.index(there)
            merged = replace(deployment, schedules=(*others[:position], changed, *others[position:]))
            _refuse_strangers(connection, merged)
            _write_schedule(connection, changed, position, live=not deployment.paused)
            connection.execute("UPDATE deployments SET updated_at = ? WHERE id = ?", (time.time(), deployment.id))
            return _told(connection, deployment.id, "schedule")

        return self._changed(work)

    def remove_schedule(self, schedule_id: str) -> Deployment:
        """Remove a schedule; what waits of it stays."""

        def work(connection: sqlite.Connection) -> Deployment:
            row = None
            if checked_id(schedule_id) is not None:
                row = connection.execute("SELECT deployment_id FROM schedules WHERE id = ?", (schedule_id,)).fetchone()
            if row is None:
                raise ScheduleNotFound(str(schedule_id)[:300])
            _forget_schedules(connection, {schedule_id})
            connection.execute("UPDATE deployments SET updated_at = ? WHERE id = ?", (time.time(), row[0]))
            return _told(connection, row[0], "schedule")

        return self._changed(work)

    def count_end(self, deployment_id: str, *, failed: bool) -> int:
        """Count a run's end."""

        def work(connection: sqlite.Connection) -> int:
            count = "failures + 1" if failed else "0"
            rows = connection.execute(
                f"UPDATE deployments SET failures = {count} WHERE id = ? RETURNING failures", (deployment_id,)
            ).fetchall()
            return rows[0][0] if rows else 0

        return self._journal.run(work, tells=False)

    def _changed(self, work: Callable[[sqlite.Connection], _T]) -> _T:
        result = self._journal.run(work)
        self._ring()
        return result


def _load(connection: sqlite.Connection, deployment_id: str) -> Deployment:
    known = checked_id(deployment_id) is not None
    found = load_deployments(connection, "id = ?", (deployment_id,)) if known else []
    if not found:
        raise DeploymentNotFound(str(deployment_id)[:300])
    return found[0]


def _same(connection: sqlite.Connection, deployment: Deployment) -> Deployment | None:
    """Return the stored deployment that is meant: by its address, else by its id (it gets another address)."""
    by_address = "flow_name = ? AND name = ?", (deployment.flow_name, deployment.name)
    for condition, parameters in (by_address, ("id = ?", (deployment.id,))):
        found = load_deployments(connection, condition, parameters)
        if found:
            if deployment.id not in ("", found[0].id) and load_deployments(connection, "id = ?", (deployment.id,)):
                raise DeploymentExists(found[0].address)
            return found[0]
    return None


def _merged(given: Deployment, there: Deployment | None, now: float) -> Deployment:
    """Return what is to be stored: what is given, with what stays of what is there."""
    deployment_id = there.id if there is not None else given.id or new_id()
    matches = _matches(given.schedules, () if there is None else there.schedules)
    schedules = tuple(_kept(each, matches.get(i), deployment_id) for i, each in enumerate(given.schedules))
    stays: dict[str, Any] = {"created_at": given.created_at or now}
    if there is not None:
        stays = {name: getattr(there, name) for name in ("created_at", "failures", "paused_at", "paused_reason")}
    return replace(given, id=deployment_id, schedules=schedules, updated_at=now, **stays)


def _matches(given: Sequence[DeploymentSchedule], known: Sequence[DeploymentSchedule]) -> dict[int, DeploymentSchedule]:
    """Return which stored schedule each of the given ones is: by id, what is left by slug, then by what it says."""
    left = builtins.list(known)
    found: dict[int, DeploymentSchedule] = {}
    for same in (
        lambda one, other: bool(one.id) and one.id == other.id,
        lambda one, other: one.slug is not None and one.slug == other.slug,
        lambda one, other: dict(one.spec) == dict(other.spec),
    ):
        for i, each in enumerate(given):
            match = None if i in found else next((other for other in left if same(each, other)), None)
            if match is not None:
                found[i] = match
                left.remove(match)
    return found


def _kept(given: DeploymentSchedule, there: DeploymentSchedule | None, deployment_id: str) -> DeploymentSchedule:
    if there is None:
        return replace(given, id=given.id or new_id(), deployment_id=deployment_id)
    kept = replace(given, id=there.id, deployment_id=deployment_id, made=there.made, watermark=there.watermark)
    if all(getattr(given, name) == getattr(there, name) for name in _TIMING):
        return replace(kept, next_slot=there.next_slot)
    # Slots of another spec that lie in the past are no missed ones.
    return replace(kept, watermark=max(there.watermark, given.watermark))


def _write(connection: sqlite.Connection, deployment: Deployment) -> None:
    texts = {
        "parameters": json.dumps(dict(deployment.parameters)),
        "tags": json.dumps(list(deployment.tags)),
        "policies": encode_policies(deployment.policies),
    }
    values = [texts[name] if name in texts else getattr(deployment, name) for name in _NAMES]
    connection.execute(_SAVE, (*values, places_of(deployment.policies)))
    for position, schedule in enumerate(deployment.schedules):
        _write_schedule(connection, schedule, position, live=not deployment.paused)


def _write_schedule(connection: sqlite.Connection, schedule: DeploymentSchedule, position: int, *, live: bool) -> None:
    values = (
        *(schedule.id, schedule.deployment_id, json.dumps(dict(schedule.spec)), schedule.slug),
        *(json.dumps(dict(schedule.parameters)), int(schedule.active), schedule.start_at, schedule.end_at),
        *(schedule.max_runs, schedule.jitter, schedule.watermark, schedule.next_slot, schedule.made),
    )
    connection.execute(_SAVE_SCHEDULE, (*values, position, int(live and schedule.active)))


def _refuse_strangers(connection: sqlite.Connection, deployment: Deployment) -> None:
    """Raise `InvalidRequest` where a schedule's id belongs to another deployment, or twice to this one."""
    ids = [each.id for each in deployment.schedules]
    for schedule_id in ids:
        if checked_id(schedule_id) is None or ids.count(schedule_id) > 1:
            raise InvalidRequest("schedule", schedule_id, "is no id, or that of two schedules")
        row = connection.execute("SELECT deployment_id FROM schedules WHERE id = ?", (schedule_id,)).fetchone()
        if row is not None and row[0] != deployment.id:
            raise InvalidRequest("schedule", schedule_id, "belongs to another deployment")


def _forget_schedules(connection: sqlite.Connection, schedule_ids: set[str]) -> None:
    for table, column in (("schedules", "id"), ("slots", "schedule_id")):
        connection.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(schedule_ids)),),
        )


def _told(connection: sqlite.Connection, deployment_id: str, change: str) -> Deployment:
    """Write the event of a change, and return the deployment as it is stored now."""
    deployment = _load(connection, deployment_id)
    _tell(connection, deployment, change, time.time())
    return deployment


def _tell(connection: sqlite.Connection, deployment: Deployment, change: str, now: float) -> None:
    payload = {"deployment_id": deployment.id, "address": deployment.address, "change": change}
    write_event(connection, 0, now, "deployment", json.dumps(payload))
