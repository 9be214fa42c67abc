"""Slots: which schedules are due, and what becomes of each slot, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, SlotDecision
from jupyter_wf.core.failpoints import failpoint
from jupyter_wf.store.scheduling import Due, Slots, SlotStore
from jupyter_wf.store.sqlite.batched import write_events
from jupyter_wf.store.sqlite.cancelling import cancel
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_integer
from jupyter_wf.store.sqlite.closing import find_above
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.deployment_rows import (
    DEPLOYMENT_COLUMNS,
    SCHEDULE_COLUMNS,
    deployment_from,
    schedule_from,
)
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.slot_rows import LIVE_COLUMNS, Live, Shared, SlotRows, shared_by
from jupyter_wf.store.sqlite.texts import state_payload

__all__ = ["SlotTable"]

_WIDTH = len(SCHEDULE_COLUMNS.split(", "))
_LIVE = "s.live = 1 AND s.next_slot IS NOT NULL"
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
            events: list[object] = []
            for n, _, message, attempt in found:
                events += (now, n, "state", state_payload("SCHEDULED", "Late", message, attempt), None)
            write_events(connection, events)
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
        self._rows = SlotRows(connection, now)
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
        self._rows.write()
        connection.executemany(
            "UPDATE schedules SET watermark = ?, next_slot = ?, made = made + ? WHERE id = ?", self._marks
        )
        return self._rows.run_ids

    def _decide(self, live: Live, decisions: Iterable[SlotDecision], taken: set[tuple[str, float]]) -> int:
        """Note the runs of one schedule; return how many of them will be executed."""
        made = 0
        shared: Shared | None = None
        for decision in decisions:
            key = (live.schedule_id, decision.slot)
            if key in taken:
                continue
            taken.add(key)
            if shared is None:
                shared = shared_by(live)
            self._rows.add(live, shared, decision)
            made += decision.outcome == "run"
            if decision.cancels:
                self._cancels.add(live.deployment_id)
        return made


def _pair(row: Sequence[Any]) -> tuple[DeploymentSchedule, Deployment]:
    return schedule_from(row[:_WIDTH], _spec(row[2])), _deployment(row[_WIDTH:])


#: Most rows are the same when they are next read.
_deployment = lru_cache(maxsize=2_000)(deployment_from)


@lru_cache(maxsize=2_000)
def _spec(text: str) -> Mapping[str, Any]:
    """Return what says when, the same object for the same text: only readers get it."""
    spec: Mapping[str, Any] = json.loads(text)
    return spec


def _load_live(connection: sqlite.Connection, schedule_ids: Sequence[str]) -> dict[str, Live]:
    rows = connection.execute(
        f"SELECT {LIVE_COLUMNS} FROM schedules s CROSS JOIN deployments d ON d.id = s.deployment_id "
        f"WHERE s.id IN {_NAMED} AND s.live = 1",
        (json.dumps(schedule_ids),),
    )
    return {row[0]: Live(*row) for row in rows.fetchall()}


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
