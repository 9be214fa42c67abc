"""Backfills: groups of runs for slots of the past, under the same unique key as those of schedulers."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from jupyter_wf.core.backfills import Backfill, Reprocess
from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import Deployment, QueuedRun
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.scheduling_errors import BackfillNotFound, DeploymentNotFound
from jupyter_wf.store.backfills import BackfillStore
from jupyter_wf.store.sqlite.cancelling import cancel
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_id, checked_integer, encoded_json
from jupyter_wf.store.sqlite.closing import find_above
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.deployment_checks import checked_time
from jupyter_wf.store.sqlite.deployment_rows import encode_policies, load_deployments
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.queue_rows import NewRun, place, put, source_of

__all__ = ["Backfills"]

_MOST = (1 << 31) - 1
#: Runs of one transaction.
_CHUNK = 1_000
_COLUMNS = "id, deployment_id, begin_at, end_at, reprocess, parallel, newest_first, created_at, cancelled_at"
_SLOTS = """
    SELECT s.schedule_id, s.slot, r.state_type, r.state_name, r.ended_at FROM json_each(?) k
    CROSS JOIN slots s ON s.schedule_id = k.value ->> 0 AND s.slot = k.value ->> 1
    LEFT JOIN runs r ON r.id = s.run_id"""
_FAILED = ("FAILED", "CRASHED", "CANCELLED")
_OPEN = """
    SELECT q.run_id FROM queue q CROSS JOIN runs r ON r.n = q.n
    WHERE q.group_id = ? AND r.ended_at IS NULL ORDER BY q.n"""


class Backfills(BackfillStore):
    """The `BackfillStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners, ring: Callable[[], None]) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners
        self._ring = ring

    def vacant(self, slots: Sequence[tuple[str, float]], reprocess: Reprocess) -> builtins.list[tuple[str, float]]:
        """Return the slots that are to get a run."""
        _check_reprocess(reprocess)
        self._journal.settle()
        with self._database.snapshot() as connection:
            return _vacant(connection, slots, reprocess)

    def create(
        self, backfill: Backfill, slots: Sequence[tuple[str, float]], *, parameters: Mapping[str, Any], priority: int
    ) -> Backfill:
        """Store a backfill with its runs."""
        _check(backfill)
        checked_integer("priority", priority, -_MOST, _MOST)
        encoded_json("parameters", dict(parameters))
        for _, slot in slots:
            checked_time("slot", slot)
        row = (
            *(backfill.id or new_id(), backfill.deployment_id, backfill.begin_at, backfill.end_at, backfill.reprocess),
            *(backfill.parallel, int(backfill.newest_first), backfill.created_at, None),
        )

        def begin(connection: sqlite.Connection) -> None:
            _check_schedules(_deployment(connection, backfill.deployment_id), slots)
            connection.execute(f"INSERT INTO backfills ({_COLUMNS}) VALUES ({', '.join('?' * 9)})", row)

        def add(part: Sequence[tuple[str, float]], connection: sqlite.Connection) -> None:
            if connection.execute("SELECT 1 FROM backfills WHERE id = ? AND cancelled_at IS NULL", row[:1]).fetchone():
                deployment = _deployment(connection, backfill.deployment_id)
                vacant = _vacant(connection, part, backfill.reprocess)
                _add(connection, deployment, row[0], vacant, parameters, priority, backfill.created_at)

        self._journal.run(begin, tells=False)
        for part in _chunks(slots):
            self._journal.run(partial(add, part))
        self._ring()
        return self.get(row[0])

    def get(self, backfill_id: str) -> Backfill:
        """Return a backfill."""
        found = []
        if checked_id(backfill_id):
            self._journal.settle()
            # 'g' comes after every character of an id.
            low = backfill_id.lower()
            found = self._load("id >= ? AND id < ?", (low, low + "g"), 2)
        if len(found) != 1:
            raise BackfillNotFound(str(backfill_id)[:300])
        return found[0]

    def list(self, *, deployment_id: str | None = None, limit: int = 100) -> builtins.list[Backfill]:
        """Return backfills, newest first."""
        checked_integer("limit", limit, 1, HIGHEST)
        self._journal.settle()
        if deployment_id is None:
            return self._load("1", (), limit)
        return self._load("deployment_id = ?", (deployment_id,), limit)

    def cancel(self, backfill_id: str, now: float) -> int:
        """Cancel what is open of it."""
        found = self.get(backfill_id)

        def work(connection: sqlite.Connection) -> int:
            connection.execute(
                "UPDATE backfills SET cancelled_at = coalesce(cancelled_at, ?) WHERE id = ?", (now, found.id)
            )
            ids = [run_id for (run_id,) in connection.execute(_OPEN, (found.id,)).fetchall()]
            for run_id in ids:
                run = find_above(connection, run_id)
                if run is not None and not run.is_closed:
                    cancel(connection, self._owners, run, now, "its backfill was cancelled")
            return len(ids)

        cancelled = self._journal.run(work)
        self._ring()
        return cancelled

    def _load(self, where: str, parameters: Sequence[object], limit: int) -> builtins.list[Backfill]:
        with self._database.snapshot() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM backfills WHERE {where} ORDER BY created_at DESC, rowid DESC LIMIT ?",
                (*parameters, limit),
            ).fetchall()
            return [_backfill_from(connection, row) for row in rows]


def _backfill_from(connection: sqlite.Connection, row: Sequence[Any]) -> Backfill:
    counts: dict[str, int] = {}
    unended = 0
    counted = connection.execute(
        "SELECT r.state_name, r.ended_at IS NULL, count(*) FROM queue q CROSS JOIN runs r ON r.n = q.n "
        "WHERE q.group_id = ? GROUP BY 1, 2",
        (row[0],),
    )
    for name, is_open, number in counted.fetchall():
        counts[name] = counts.get(name, 0) + number
        unended += number if is_open else 0
    return Backfill(
        id=row[0],
        deployment_id=row[1],
        begin_at=row[2],
        end_at=row[3],
        reprocess=row[4],
        parallel=row[5],
        newest_first=bool(row[6]),
        created_at=row[7],
        cancelled_at=row[8],
        runs=sum(counts.values()),
        open=unended,
        counts=counts,
    )


def _vacant(
    connection: sqlite.Connection, slots: Sequence[tuple[str, float]], reprocess: str
) -> list[tuple[str, float]]:
    taken = set()
    for schedule_id, slot, type_, name, ended in connection.execute(_SLOTS, (json.dumps(slots),)).fetchall():
        never = name in ("Missed", "Skipped") and type_ == "CANCELLED"
        again = reprocess == "all" or (reprocess == "failed" and type_ in _FAILED)
        if not never and not (again and (ended is not None or type_ is None)):
            taken.add((schedule_id, slot))
    return [each for each in dict.fromkeys(slots) if each not in taken]


def _add(
    connection: sqlite.Connection,
    deployment: Deployment,
    group_id: str,
    slots: Sequence[tuple[str, float]],
    more: Mapping[str, Any],
    priority: int,
    now: float,
) -> None:
    """Write the runs of some slots."""
    policies, tags = encode_policies(deployment.policies), json.dumps(list(deployment.tags))
    own = {each.id: each.parameters for each in deployment.schedules}
    runs, keys = [], []
    for schedule_id, slot in slots:
        parameters = {**deployment.parameters, **own.get(schedule_id, {}), **more}
        queued = QueuedRun(
            run_id=new_id(),
            kind=deployment.kind,
            target=deployment.target,
            parameters=parameters,
            policies=deployment.policies,
            pool=deployment.pool,
            priority=priority,
            due_at=now,
            slot=slot,
            schedule_id=schedule_id,
            deployment_id=deployment.id,
            group_id=group_id,
            kernel=deployment.kernel,
            digest=deployment.digest,
            tags=deployment.tags,
        )
        created = RunCreated(
            *(queued.run_id, now, "flow", run_name(), deployment.flow_name, None, None, queued.run_id, None),
            parameters=to_json(parameters),
            tags=tags,
            source=json.dumps(source_of(queued, deployment.address, {})),
            max_attempts=deployment.policies.retries + 1,
        )
        begun = StateChanged(queued.run_id, now, 1, "SCHEDULED", "Scheduled", f"backfill of {iso(slot)}")
        runs.append(
            NewRun(created, begun, place(queued, parameters=json.dumps(parameters), policies=policies, tags=tags))
        )
        keys.append((schedule_id, slot, queued.run_id))
    put(connection, runs)
    connection.executemany("INSERT OR REPLACE INTO slots (schedule_id, slot, run_id) VALUES (?, ?, ?)", keys)


def _deployment(connection: sqlite.Connection, deployment_id: str) -> Deployment:
    found = load_deployments(connection, "id = ?", (deployment_id,)) if checked_id(deployment_id) else []
    if not found:
        raise DeploymentNotFound(str(deployment_id)[:300])
    return found[0]


def _check(backfill: Backfill) -> None:
    _check_reprocess(backfill.reprocess)
    checked_integer("parallel", backfill.parallel, 1, _MOST)
    for field in ("begin_at", "end_at", "created_at"):
        checked_time(field, getattr(backfill, field))


def _check_reprocess(reprocess: object) -> None:
    if reprocess not in ("none", "failed", "all"):
        raise InvalidRequest("reprocess", reprocess, "must be none, failed or all")


def _check_schedules(deployment: Deployment, slots: Sequence[tuple[str, float]]) -> None:
    known = {each.id for each in deployment.schedules}
    for schedule_id in {schedule_id for schedule_id, _ in slots} - known:
        raise InvalidRequest("schedule", schedule_id, f"is none of the deployment {deployment.address!r}")


def _chunks(slots: Sequence[tuple[str, float]]) -> Iterator[Sequence[tuple[str, float]]]:
    for first in range(0, len(slots), _CHUNK):
        yield slots[first : first + _CHUNK]
