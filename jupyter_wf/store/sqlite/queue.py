"""The runs that agents execute: how they get there, who has them, and what follows from their end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import Claimed, Pool, QueuedRun
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.models import Run
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.scheduling_errors import LeaseLost
from jupyter_wf.store.scheduling import QueueStore
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_id, checked_integer, encoded_json
from jupyter_wf.store.sqlite.claims import Places, lost_claims
from jupyter_wf.store.sqlite.closing import StoredRun, answer_all, close_below, find_above, find_stored, write_event
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.deployment_checks import checked_label, checked_time
from jupyter_wf.store.sqlite.deployment_rows import encode_policies
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.fences import take
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.pools import read_pools, remove_pool, write_pool
from jupyter_wf.store.sqlite.queue_rows import QUEUE_COLUMNS, NewRun, place, put, queued_from, source_of
from jupyter_wf.store.sqlite.runs import RunReader
from jupyter_wf.store.sqlite.texts import state_payload

__all__ = ["Queue"]

_NAMED = "(SELECT value FROM json_each(?))"
_STATE = "UPDATE runs SET state_type=?, state_name=?, state_message=?, state_at=? WHERE n=?"
_NEXT_ATTEMPT = """
    UPDATE runs SET attempt=?, state_type='SCHEDULED', state_name='AwaitingRetry', state_message=?, state_at=?,
        process_id=NULL, error=NULL, started_at=NULL, ended_at=NULL,
        code=NULL, inputs=NULL, result_format=NULL, result=NULL
    WHERE n=?"""
# What has ended without anybody having dealt with it: claimed ones are few, they are those that agents have now.
_UNSETTLED = f"""
    SELECT {QUEUE_COLUMNS} FROM queue WHERE n IN (
        SELECT n FROM queue WHERE stage = 'ended'
        UNION ALL
        SELECT q.n FROM queue q CROSS JOIN runs r ON r.n = q.n WHERE q.stage = 'claimed' AND r.ended_at IS NOT NULL
    ) ORDER BY n LIMIT ?"""


class Queue(QueueStore):
    """The `QueueStore` of a state file. The methods are documented there."""

    def __init__(
        self,
        database: Database,
        journal: SqliteJournal,
        owners: Owners,
        ring: Callable[[], None],
        runs: Callable[[], RunReader],
    ) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners
        self._ring = ring
        self._runs = runs

    def submit(
        self, queued: QueuedRun, *, name: str | None = None, flow_name: str, now: float, source: Mapping[str, Any]
    ) -> str:
        """Make a run that waits for an agent."""
        checked_label("pool", queued.pool)
        checked_time("due_at", queued.due_at)
        if queued.slot is not None:
            checked_time("slot", queued.slot)
        parameters = encoded_json("parameters", dict(queued.parameters))
        tags = encoded_json("tags", list(queued.tags))
        encoded_json("source", dict(source))
        run = replace(queued, run_id=queued.run_id or new_id())
        if checked_id(run.run_id) is None:
            raise InvalidRequest("run_id", run.run_id, "can be no run's id")

        def work(connection: sqlite.Connection) -> str:
            if find_above(connection, run.run_id) is not None:
                raise InvalidRequest("run_id", run.run_id, "there is a run with this id already")
            address = None
            if run.deployment_id is not None:
                row = connection.execute(
                    "SELECT flow_name || '/' || name FROM deployments WHERE id = ?", (run.deployment_id,)
                ).fetchone()
                address = row and row[0]
            created = RunCreated(
                *(run.run_id, now, "flow", name or run_name(), flow_name, None, None, run.run_id, None),
                parameters=to_json(run.parameters),
                tags=tags,
                source=json.dumps(source_of(run, address, source)),
                max_attempts=run.policies.retries + 1,
            )
            begun = StateChanged(run.run_id, now, 1, "SCHEDULED", "Scheduled", f"due {iso(run.due_at)}")
            row = place(run, parameters=parameters, policies=encode_policies(run.policies), tags=tags)
            put(connection, [NewRun(created, begun, row)])
            return run.run_id

        run_id = self._journal.run(work)
        self._ring()
        return run_id

    def get(self, run_id: str) -> QueuedRun | None:
        """Return a run's place in the queue."""
        if checked_id(run_id) is None:
            return None
        self._journal.settle()
        rows = self._database.rows(f"SELECT {QUEUE_COLUMNS} FROM queue WHERE run_id = ?", (run_id,))
        return queued_from(rows[0]) if rows else None

    def waiting(
        self, *, pool: str | None = None, deployment_id: str | None = None, limit: int = 1000
    ) -> list[QueuedRun]:
        """Return the runs that no agent has."""
        checked_integer("limit", limit, 1, HIGHEST)
        conditions, parameters = ["stage = 'waiting'"], []
        for column, value in (("pool", pool), ("deployment_id", deployment_id)):
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        self._journal.settle()
        rows = self._database.rows(
            f"SELECT {QUEUE_COLUMNS} FROM queue WHERE {' AND '.join(conditions)} "
            "ORDER BY priority DESC, due_at, n LIMIT ?",
            (*parameters, limit),
        )
        return [queued_from(row) for row in rows]

    def runs_of(self, deployment_id: str, *, limit: int = 50, group_id: str | None = None) -> list[str]:
        """Return the ids of a deployment's runs, newest first."""
        checked_integer("limit", limit, 1, HIGHEST)
        group = "" if group_id is None else "AND group_id = ?"
        self._journal.settle()
        rows = self._database.rows(
            f"SELECT run_id FROM queue WHERE deployment_id = ? {group} ORDER BY n DESC LIMIT ?",
            (deployment_id, limit) if group_id is None else (deployment_id, group_id, limit),
        )
        return [run_id for (run_id,) in rows]

    def claim(self, pools: Sequence[str], agent_id: str, *, now: float, lease: float, limit: int = 1) -> list[Claimed]:
        """Give runs that are due to an agent."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            # Most looks find nothing: those take no write lock.
            found = bool(lost_claims(connection, self._owners, now))
            if not found and (limit < 1 or Places(connection, self._owners).next(pools, now) is None):
                return []

        def work(connection: sqlite.Connection) -> list[Claimed]:
            if not connection.execute("SELECT 1 FROM processes WHERE id = ?", (agent_id,)).fetchall():
                raise InvalidRequest("agent_id", agent_id, "register the process before it claims runs")
            for n, run_id in lost_claims(connection, self._owners, now):
                _wait_again(connection, n, run_id, now, "its agent is gone")
            places = Places(connection, self._owners)
            claimed: list[Claimed] = []
            while len(claimed) < limit and (candidate := places.next(pools, now)) is not None:
                given = _give(connection, candidate.n, agent_id, now, now + lease)
                if given is not None:
                    places.take(candidate)
                    claimed.append(given)
            return claimed

        return self._journal.run(work)

    def extend(self, run_ids: Iterable[str], agent_id: str, *, until: float) -> list[str]:
        """Prolong leases."""
        ids = json.dumps(list(run_ids))

        def work(connection: sqlite.Connection) -> list[str]:
            rows = connection.execute(
                f"UPDATE queue SET lease_until = ? WHERE run_id IN {_NAMED} AND agent_id = ? AND stage = 'claimed' "
                "RETURNING run_id",
                (until, ids, agent_id),
            )
            return [run_id for (run_id,) in rows.fetchall()]

        return self._journal.run(work, tells=False)

    def take(self, run_id: str, attempt: int, agent_id: str, process_id: str) -> Run:
        """Make a runner the owner of a run that its agent has claimed."""

        def work(connection: sqlite.Connection) -> None:
            run = find_stored(connection, run_id)
            take(connection, self._owners, run, attempt, agent_id, process_id, max(run.at, time.time()))

        self._journal.run(work)
        return self._runs().get(run_id)

    def give_back(self, run_id: str, agent_id: str) -> None:
        """Have a claimed run that no runner has wait again."""

        def work(connection: sqlite.Connection) -> None:
            row = connection.execute("SELECT n, stage, agent_id FROM queue WHERE run_id = ?", (run_id,)).fetchone()
            if row is None or row[1:] != ("claimed", agent_id):
                raise LeaseLost(run_id, "the agent does not hold it")
            run = find_above(connection, run_id)
            if run is None or run.is_closed or run.process_id is not None:
                raise LeaseLost(run_id, "it has ended, or a runner has it")
            _wait_again(connection, row[0], run_id, time.time(), "its agent has given it back")

        self._journal.run(work)
        self._ring()

    def next_due(self, pools: Sequence[str]) -> float | None:
        """Return when the next waiting run may begin."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            return Places(connection, self._owners).next_due(pools)

    def unsettled(self, *, limit: int = 100) -> list[QueuedRun]:
        """Return what has ended and is not settled."""
        checked_integer("limit", limit, 1, HIGHEST)
        self._journal.settle()
        return [queued_from(row) for row in self._database.rows(_UNSETTLED, (limit,))]

    def settle(self, run_id: str, attempt: int) -> bool:
        """Note that what follows from the end of an attempt was done."""

        def work(connection: sqlite.Connection) -> bool:
            run = find_above(connection, run_id)
            if run is None or run.attempt < attempt or (run.attempt == attempt and not run.is_closed):
                return False
            noted = connection.execute(
                "UPDATE queue SET settled = ?1 WHERE n = ?2 AND settled < ?1 RETURNING n", (attempt, run.n)
            ).fetchall()
            if run.attempt == attempt:
                connection.execute("UPDATE queue SET stage = 'settled' WHERE n = ? AND settled = ?", (run.n, attempt))
            return bool(noted)

        settled = self._journal.run(work)
        if settled:
            self._ring()
        return settled

    def retry(self, run_id: str, attempt: int, *, due_at: float, message: str) -> bool:
        """Have the next attempt wait."""

        def work(connection: sqlite.Connection) -> bool:
            run = find_above(connection, run_id)
            row = connection.execute("SELECT n FROM queue WHERE run_id = ?", (run_id,)).fetchone()
            if run is None or row is None or run.attempt != attempt or not run.is_closed or run.type == "COMPLETED":
                return False
            now = max(run.at, time.time())
            closed = close_below(connection, self._owners, [run.id], now)
            answer_all(connection, [each.id for each in (*closed, run)], "its next attempt waits")
            connection.execute(_NEXT_ATTEMPT, (attempt + 1, message, now, run.n))
            payload = state_payload("SCHEDULED", "AwaitingRetry", message, attempt + 1)
            write_event(connection, run.n, now, "state", payload)
            connection.execute(
                "UPDATE queue SET stage = 'waiting', late = 1, due_at = ?, attempt = ?, agent_id = NULL, "
                "lease_until = NULL, settled = max(settled, ?) WHERE n = ?",
                (due_at, attempt + 1, attempt, run.n),
            )
            return True

        waits = self._journal.run(work)
        if waits:
            self._ring()
        return waits

    def set_pool(self, pool: Pool) -> Pool:
        """Make or change a pool."""
        checked_label("name", pool.name)
        if pool.limit is not None:
            checked_integer("limit", pool.limit, 0, HIGHEST)

        def work(connection: sqlite.Connection) -> Pool:
            write_pool(connection, pool)
            return next(each for each in read_pools(connection, self._owners, time.time()) if each.name == pool.name)

        changed = self._journal.run(work, tells=False)
        self._ring()
        return changed

    def pools(self) -> list[Pool]:
        """Return the pools by name."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            return read_pools(connection, self._owners, time.time())

    def remove_pool(self, name: str) -> bool:
        """Forget a pool's settings."""
        removed = self._journal.run(lambda connection: remove_pool(connection, name), tells=False)
        if removed:
            self._ring()
        return removed


def _give(connection: sqlite.Connection, n: int, agent_id: str, now: float, until: float) -> Claimed | None:
    """Give a waiting run to an agent; None, and out of the queue with it, where it waits no more."""
    row = connection.execute(f"SELECT {QUEUE_COLUMNS} FROM queue WHERE n = ?", (n,)).fetchone()
    run: StoredRun | None = find_above(connection, row[0])
    if run is None or run.is_closed or run.process_id is not None:
        connection.execute("UPDATE queue SET stage = 'ended' WHERE n = ?", (n,))
        return None
    connection.execute(
        "UPDATE queue SET stage = 'claimed', agent_id = ?, lease_until = ?, attempt = ? WHERE n = ?",
        (agent_id, until, run.attempt, n),
    )
    _enter(connection, run, "PENDING", "Pending", None, now)
    queued = replace(queued_from(row), agent_id=agent_id, lease_until=until)
    return Claimed(queued=queued, attempt=run.attempt, resume=run.attempt > 1)


def _wait_again(connection: sqlite.Connection, n: int, run_id: str, now: float, why: str) -> None:
    connection.execute(
        "UPDATE queue SET stage = 'waiting', late = 0, agent_id = NULL, lease_until = NULL WHERE n = ?", (n,)
    )
    run = find_above(connection, run_id)
    if run is not None:
        _enter(connection, run, "SCHEDULED", "Scheduled", f"waits again: {why}", now)


def _enter(
    connection: sqlite.Connection, run: StoredRun, type_: str, name: str, message: str | None, now: float
) -> None:
    connection.execute(_STATE, (type_, name, message, now, run.n))
    write_event(connection, run.n, now, "state", state_payload(type_, name, message, run.attempt))
