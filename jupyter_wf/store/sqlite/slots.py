"""Slots: which schedules are due, and what becomes of each slot, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, QueuedRun, SlotDecision
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.failpoints import failpoint
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.parameters import to_json
from jupyter_wf.store.scheduling import Due, Slots, SlotStore
from jupyter_wf.store.sqlite.cancelling import cancel
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_integer
from jupyter_wf.store.sqlite.closing import find_above, write_event
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.deployment_rows import (
    DEPLOYMENT_COLUMNS,
    SCHEDULE_COLUMNS,
    deployment_from,
    encode_policies,
    schedule_from,
)
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.queue_rows import NewRun, place, put, source_of
from jupyter_wf.store.sqlite.texts import state_payload

__all__ = ["SlotTable"]

_WIDTH = len(SCHEDULE_COLUMNS.split(", "))
_LIVE = "s.live = 1 AND s.next_slot IS NOT NULL"
_ENDS = {"missed": "Missed", "skipped": "Skipped"}
_NAMED = "(SELECT value FROM json_each(?))"


def _columns(prefix: str, columns: str) -> str:
    return ", ".join(f"{prefix}.{column}" for column in columns.split(", "))


_BOTH = f"{_columns('s', SCHEDULE_COLUMNS)}, {_columns('d', DEPLOYMENT_COLUMNS)}"


class SlotTable(SlotStore):
    """The `SlotStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners, ring: Callable[[], None]) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners
        self._ring = ring

    def due(self, now: float, *, limit: int = 1000) -> list[Due]:
        """Return schedules with an undecided slot."""
        checked_integer("limit", limit, 1, HIGHEST)
        self._journal.settle()
        with self._database.snapshot() as connection:
            rows = connection.execute(
                f"SELECT {_BOTH} FROM schedules s CROSS JOIN deployments d ON d.id = s.deployment_id "
                f"WHERE {_LIVE} AND s.next_slot <= ? ORDER BY s.next_slot LIMIT ?",
                (now, limit),
            ).fetchall()
            found = [_pair(row) for row in rows]
            runs = self._open_runs(connection, {deployment.id for _, deployment in found}) if found else {}
        return [Due(schedule, deployment, tuple(runs.get(deployment.id, ()))) for schedule, deployment in found]

    def next_slot(self) -> float | None:
        """Return the earliest next slot."""
        self._journal.settle()
        slot: float | None = self._database.rows(f"SELECT min(s.next_slot) FROM schedules s WHERE {_LIVE}")[0][0]
        return slot

    def decide(self, slots: Sequence[Slots], now: float) -> list[str]:
        """Write down what becomes of slots."""
        if not slots:
            return []

        def work(connection: sqlite.Connection) -> list[str]:
            runs = _Deciding(connection, self._owners, now).decide(slots)
            failpoint("slot.before_commit")
            return runs

        made = self._journal.run(work)
        failpoint("slot.after_commit")
        if made:
            self._ring()
        return made

    def mark_late(self, now: float, after: float) -> list[str]:
        """Name `Late` what waits too long."""
        late = "SELECT n, run_id FROM queue WHERE stage = 'waiting' AND late = 0 AND due_at < ?"

        def work(connection: sqlite.Connection) -> list[str]:
            marked = []
            for n, run_id in connection.execute(late, (now - after,)).fetchall():
                connection.execute("UPDATE queue SET late = 1 WHERE n = ?", (n,))
                run = find_above(connection, run_id)
                if run is None or run.type != "SCHEDULED" or run.name != "Scheduled":
                    continue
                connection.execute("UPDATE runs SET state_name = 'Late', state_at = ? WHERE n = ?", (now, n))
                (message,) = connection.execute("SELECT state_message FROM runs WHERE n = ?", (n,)).fetchone()
                write_event(connection, n, now, "state", state_payload("SCHEDULED", "Late", message, run.attempt))
                marked.append(run_id)
            return marked

        self._journal.settle()
        if not self._database.rows(f"{late} LIMIT 1", (now - after,)):
            return []
        return self._journal.run(work)

    def _open_runs(self, connection: sqlite.Connection, deployment_ids: Collection[str]) -> dict[str, list[str]]:
        dead = self._owners.dead(connection)
        runs: dict[str, list[str]] = {}
        for run_id, deployment_id, process_id in _open_of(connection, deployment_ids):
            if process_id not in dead:
                runs.setdefault(deployment_id, []).append(run_id)
        return runs


class _Deciding:
    """The work of one transaction."""

    def __init__(self, connection: sqlite.Connection, owners: Owners, now: float) -> None:
        self._connection = connection
        self._owners = owners
        self._now = now
        self._runs: list[NewRun] = []
        self._slots: list[tuple[str, float, str]] = []
        self._marks: list[tuple[object, ...]] = []
        self._cancels: set[str] = set()
        self._policies: dict[int, str] = {}

    def decide(self, slots: Sequence[Slots]) -> list[str]:
        connection = self._connection
        live = _load_live(connection, [each.schedule_id for each in slots])
        taken = _taken(connection, slots)
        for each in slots:
            schedule, deployment = live.pop(each.schedule_id, (None, None))
            if schedule is None or deployment is None or schedule.watermark != each.before:
                continue
            made = self._decide(schedule, deployment, each.decisions, taken)
            self._marks.append((each.watermark, each.next_slot, made, schedule.id))
        # Before the new ones are there, which are not meant.
        for run_id, _, _ in _open_of(connection, self._cancels):
            run = find_above(connection, run_id)
            if run is not None:
                cancel(connection, self._owners, run, self._now, "a newer run of its deployment is due")
        put(connection, self._runs)
        connection.executemany("INSERT INTO slots (schedule_id, slot, run_id) VALUES (?, ?, ?)", self._slots)
        connection.executemany(
            "UPDATE schedules SET watermark = ?, next_slot = ?, made = made + ? WHERE id = ?", self._marks
        )
        return [run.created.run_id for run in self._runs]

    def _decide(
        self,
        schedule: DeploymentSchedule,
        deployment: Deployment,
        decisions: Iterable[SlotDecision],
        taken: set[tuple[str, float]],
    ) -> int:
        """Note the runs of one schedule; return how many of them will be executed."""
        made = 0
        texts: tuple[dict[str, Any], str, str, str, str] | None = None
        for decision in decisions:
            key = (schedule.id, decision.slot)
            if key in taken:
                continue
            taken.add(key)
            if texts is None:
                texts = self._texts(schedule, deployment)
            run_id = new_id()
            self._runs.append(self._new(run_id, schedule, deployment, decision, texts))
            self._slots.append((schedule.id, decision.slot, run_id))
            made += decision.outcome == "run"
            if decision.cancels:
                self._cancels.add(deployment.id)
        return made

    def _texts(self, schedule: DeploymentSchedule, deployment: Deployment) -> tuple[dict[str, Any], str, str, str, str]:
        """Return what its runs share: the parameters; these as JSON, unmasked and masked; policies and tags."""
        parameters = {**deployment.parameters, **schedule.parameters}
        policies = self._policies.get(id(deployment.policies))
        if policies is None:
            policies = self._policies[id(deployment.policies)] = encode_policies(deployment.policies)
        tags = json.dumps(list(deployment.tags))
        return parameters, json.dumps(parameters), to_json(parameters), policies, tags

    def _new(
        self,
        run_id: str,
        schedule: DeploymentSchedule,
        deployment: Deployment,
        decision: SlotDecision,
        texts: tuple[dict[str, Any], str, str, str, str],
    ) -> NewRun:
        parameters, queued_parameters, shown_parameters, policies, tags = texts
        queued = QueuedRun(
            run_id=run_id,
            kind=deployment.kind,
            target=deployment.target,
            parameters=parameters,
            policies=deployment.policies,
            pool=deployment.pool,
            priority=deployment.priority,
            due_at=decision.due_at,
            slot=decision.slot,
            schedule_id=schedule.id,
            deployment_id=deployment.id,
            kernel=deployment.kernel,
            digest=deployment.digest,
            tags=deployment.tags,
        )
        created = RunCreated(
            *(run_id, self._now, "flow", run_name(), deployment.flow_name, None, None, run_id, None),
            parameters=shown_parameters,
            tags=tags,
            source=json.dumps(source_of(queued, deployment.address, {})),
            max_attempts=deployment.policies.retries + 1,
        )
        if decision.outcome == "run":
            message = decision.message or f"due {iso(decision.due_at)}"
            begun = StateChanged(run_id, self._now, 1, "SCHEDULED", "Scheduled", message)
            stage = "waiting"
        else:
            begun = StateChanged(run_id, self._now, 1, "CANCELLED", _ENDS[decision.outcome], decision.message)
            stage = "ended"
        return NewRun(
            created, begun, place(queued, parameters=queued_parameters, policies=policies, tags=tags, stage=stage)
        )


def _pair(row: Sequence[Any]) -> tuple[DeploymentSchedule, Deployment]:
    return schedule_from(row[:_WIDTH]), deployment_from(row[_WIDTH:])


def _load_live(
    connection: sqlite.Connection, schedule_ids: Sequence[str]
) -> dict[str, tuple[DeploymentSchedule, Deployment]]:
    rows = connection.execute(
        f"SELECT {_BOTH} FROM schedules s CROSS JOIN deployments d ON d.id = s.deployment_id "
        f"WHERE s.id IN {_NAMED} AND s.live = 1",
        (json.dumps(schedule_ids),),
    )
    return {row[0]: _pair(row) for row in rows.fetchall()}


def _taken(connection: sqlite.Connection, slots: Iterable[Slots]) -> set[tuple[str, float]]:
    """Return those of the slots that have a run already."""
    keys = [[each.schedule_id, decision.slot] for each in slots for decision in each.decisions]
    rows = connection.execute(
        "SELECT s.schedule_id, s.slot FROM json_each(?) k "
        "CROSS JOIN slots s ON s.schedule_id = k.value ->> 0 AND s.slot = k.value ->> 1",
        (json.dumps(keys),),
    )
    return {(schedule_id, slot) for schedule_id, slot in rows.fetchall()}


def _open_of(connection: sqlite.Connection, deployment_ids: Collection[str]) -> list[tuple[str, str, str | None]]:
    """Return id, deployment and owner of the open runs of deployments, backfills left out, oldest first."""
    if not deployment_ids:
        return []
    return connection.execute(
        "SELECT q.run_id, q.deployment_id, r.process_id FROM queue q CROSS JOIN runs r ON r.n = q.n "
        f"WHERE q.deployment_id IN {_NAMED} AND q.stage IN ('waiting', 'claimed') AND q.group_id IS NULL "
        "AND r.ended_at IS NULL ORDER BY q.n",
        (json.dumps(sorted(deployment_ids)),),
    ).fetchall()
