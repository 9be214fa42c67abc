"""Slots: which schedules are due, and what becomes of each slot, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import (
    Deployment,
    DeploymentKind,
    DeploymentSchedule,
    Policies,
    QueuedRun,
    SlotDecision,
    address_of,
)
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
    policies_from,
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
_LIVE_COLUMNS = (
    "s.id, s.watermark, s.parameters, d.id, d.flow_name, d.name, d.kind, d.target, d.parameters, d.pool, d.tags, "
    "d.priority, d.kernel, d.digest, d.policies"
)
_ENDS = {"missed": "Missed", "skipped": "Skipped"}
_SOON_LATE = "stage = 'waiting' AND late = 0 AND due_at < ?"
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
            asking = {deployment.id for _, deployment in found if deployment.policies.overlap == "skip"}
            runs = self._open_runs(connection, asking) if asking else {}
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

        def work(connection: sqlite.Connection) -> list[str]:
            found = connection.execute(
                "SELECT q.n, q.run_id, r.state_message, r.attempt FROM queue q CROSS JOIN runs r ON r.n = q.n "
                f"WHERE {_SOON_LATE} AND r.state_type = 'SCHEDULED' AND r.state_name = 'Scheduled'",
                (now - after,),
            ).fetchall()
            connection.execute(f"UPDATE queue SET late = 1 WHERE {_SOON_LATE}", (now - after,))
            connection.executemany(
                "UPDATE runs SET state_name = 'Late', state_at = ? WHERE n = ?", [(now, row[0]) for row in found]
            )
            for n, _, message, attempt in found:
                write_event(connection, n, now, "state", state_payload("SCHEDULED", "Late", message, attempt))
            return [row[1] for row in found]

        self._journal.settle()
        if not self._database.rows(f"SELECT 1 FROM queue WHERE {_SOON_LATE} LIMIT 1", (now - after,)):
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

    def decide(self, slots: Sequence[Slots]) -> list[str]:
        connection = self._connection
        live = _load_live(connection, [each.schedule_id for each in slots])
        taken = _taken(connection, slots)
        for each in slots:
            found = live.pop(each.schedule_id, None)
            if found is not None and found.watermark == each.before:
                made = self._decide(found, each.decisions, taken)
                self._marks.append((each.watermark, each.next_slot, made, found.schedule_id))
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

    def _decide(self, live: _Live, decisions: Iterable[SlotDecision], taken: set[tuple[str, float]]) -> int:
        """Note the runs of one schedule; return how many of them will be executed."""
        made = 0
        texts: _Texts | None = None
        for decision in decisions:
            key = (live.schedule_id, decision.slot)
            if key in taken:
                continue
            taken.add(key)
            if texts is None:
                texts = _texts(live)
            run_id = new_id()
            self._runs.append(self._new(run_id, live, decision, texts))
            self._slots.append((live.schedule_id, decision.slot, run_id))
            made += decision.outcome == "run"
            if decision.cancels:
                self._cancels.add(live.deployment_id)
        return made

    def _new(self, run_id: str, live: _Live, decision: SlotDecision, texts: _Texts) -> NewRun:
        created = RunCreated(
            *(run_id, self._now, "flow", run_name(), live.flow_name, None, None, run_id, None),
            parameters=texts.shown,
            tags=live.tags,
            # One more name at the end of a JSON object.
            source=f'{texts.source[:-1]}, "slot": "{iso(decision.slot)}"}}',
            max_attempts=texts.policies.retries + 1,
        )
        if decision.outcome == "run":
            message = decision.message or f"due {iso(decision.due_at)}"
            begun = StateChanged(run_id, self._now, 1, "SCHEDULED", "Scheduled", message)
            stage = "waiting"
        else:
            begun = StateChanged(run_id, self._now, 1, "CANCELLED", _ENDS[decision.outcome], decision.message)
            stage = "ended"
        queued = texts.queued(live, run_id=run_id, due_at=decision.due_at, slot=decision.slot)
        row = place(queued, parameters=texts.parameters, policies=live.policies, tags=live.tags, stage=stage)
        return NewRun(created, begun, row)


class _Live(NamedTuple):
    """What is needed of a schedule and its deployment, as it is stored: most of it is only copied."""

    schedule_id: str
    watermark: float
    more: str
    deployment_id: str
    flow_name: str
    name: str
    kind: DeploymentKind
    target: str
    parameters: str
    pool: str
    tags: str
    priority: int
    kernel: str | None
    digest: str | None
    policies: str


class _Texts(NamedTuple):
    """What the runs of a schedule share: parameters as JSON, unmasked and masked, and where the runs come from."""

    parameters: str
    shown: str
    source: str
    policies: Policies

    def queued(self, live: _Live, *, run_id: str, due_at: float, slot: float | None) -> QueuedRun:
        """Return what the row of the queue is made of; parameters and tags are there as texts."""
        return QueuedRun(
            run_id=run_id,
            kind=live.kind,
            target=live.target,
            parameters={},
            policies=self.policies,
            pool=live.pool,
            priority=live.priority,
            due_at=due_at,
            slot=slot,
            schedule_id=live.schedule_id,
            deployment_id=live.deployment_id,
            kernel=live.kernel,
            digest=live.digest,
        )


def _texts(live: _Live) -> _Texts:
    parameters = live.parameters
    if live.more != "{}":
        parameters = json.dumps({**json.loads(parameters), **json.loads(live.more)})
    texts = _Texts(parameters, to_json(json.loads(parameters)), "", policies_from(live.policies))
    queued = texts.queued(live, run_id="", due_at=0.0, slot=None)
    return texts._replace(source=json.dumps(source_of(queued, address_of(live.flow_name, live.name), {})))


def _pair(row: Sequence[Any]) -> tuple[DeploymentSchedule, Deployment]:
    return schedule_from(row[:_WIDTH]), deployment_from(row[_WIDTH:])


def _load_live(connection: sqlite.Connection, schedule_ids: Sequence[str]) -> dict[str, _Live]:
    rows = connection.execute(
        f"SELECT {_LIVE_COLUMNS} FROM schedules s CROSS JOIN deployments d ON d.id = s.deployment_id "
        f"WHERE s.id IN {_NAMED} AND s.live = 1",
        (json.dumps(schedule_ids),),
    )
    return {row[0]: _Live(*row) for row in rows.fetchall()}


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
