"""Who asks and who owns: requests, registration of processes, claims, and the reaper."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import NamedTuple

from jupyter_wf.core.errors import InvalidRequest, RunFinished, RunNotFound
from jupyter_wf.core.models import ProcessInfo, Request, RequestKind
from jupyter_wf.core.states import TERMINAL_TYPES
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Dead, Owners, crashed_message, dead_json
from jupyter_wf.store.sqlite.rows import OPEN, PROCESS_COLUMNS, REQUEST_COLUMNS, request_from, state_payload
from jupyter_wf.store.sqlite.runs import checked_id, checked_integer

__all__ = ["Work"]

_ASKED = {"cancel": "cancelled", "retry": "retried"}
_RETRIED_TYPES = ("FAILED", "CRASHED", "CANCELLED")
_TERMINAL = frozenset(t.value for t in TERMINAL_TYPES)
_DONE = "carried out"
_HIGHEST = (1 << 63) - 1
_STORED = "n, id, attempt, state_type, state_name, state_at, process_id"
_DESCENDANTS = f"""
    WITH RECURSIVE tree(id) AS (
        SELECT value FROM json_each(?)
        UNION SELECT child.id FROM tree CROSS JOIN runs child ON child.parent_id = tree.id
    )
    SELECT {_STORED} FROM tree CROSS JOIN runs USING (id)
    WHERE {OPEN} AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY created_at DESC, n DESC"""


class _Stored(NamedTuple):
    n: int
    id: str
    attempt: int
    type: str
    name: str
    at: float
    process_id: str | None

    @property
    def is_closed(self) -> bool:
        return self.type in _TERMINAL or self.name == "NotReady"


class Work:
    """The writes that do not come from a run's owner. Each is one transaction, done when the call returns."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners

    def request(self, run_id: str, kind: RequestKind) -> Request:
        """Write down what somebody wants of a run, or carry it out where there is nobody to ask."""
        if kind not in _ASKED:
            raise InvalidRequest("kind", kind, "must be cancel or retry")
        now = time.time()

        def work(connection: sqlite.Connection) -> Request:
            run = _stored(connection, run_id)
            dead = self._owners.judge(connection, run.process_id)
            if kind == "retry":
                _refuse_retry(run, dead)
                return _ask(connection, run, kind, now)
            if run.is_closed or dead is not None:
                shown = run.name if run.is_closed else "Crashed"
                raise RunFinished(run.id, shown, _ASKED[kind])
            if run.process_id is None:
                return self._cancel_now(connection, run, now)
            return _ask(connection, run, kind, now)

        return self._journal.run(work)

    def requests(self, after: int, process_id: str | None) -> list[Request]:
        """Return unanswered requests with ``id > after``, oldest first."""
        checked_integer("after", after, 0, _HIGHEST)
        columns = ", ".join(f"q.{column}" for column in REQUEST_COLUMNS.split(", "))
        owner = "" if process_id is None else "AND r.process_id = ?"
        rows = self._database.rows(
            f"SELECT {columns} FROM requests q CROSS JOIN runs r ON r.id = q.run_id "
            f"WHERE q.outcome IS NULL AND q.id > ? {owner} ORDER BY q.id",
            (after,) if process_id is None else (after, process_id),
        )
        return [request_from(row) for row in rows]

    def answer(self, request_id: int, outcome: str) -> None:
        """Write down what the owner did; the first answer stays."""
        checked_integer("request", request_id, 1, _HIGHEST)

        def work(connection: sqlite.Connection) -> None:
            connection.execute(
                "UPDATE requests SET outcome = coalesce(outcome, ?) WHERE id = ? RETURNING id", (outcome, request_id)
            )
            if not connection.execute("SELECT 1 FROM requests WHERE id = ?", (request_id,)).fetchall():
                raise InvalidRequest("request", request_id, "there is no request with this id")

        self._journal.run(work, tells=False)

    def register(self, process: ProcessInfo) -> None:
        """Make a process known."""
        marks = ", ".join("?" * len(PROCESS_COLUMNS.split(",")))

        def work(connection: sqlite.Connection) -> None:
            connection.execute(
                f"INSERT OR IGNORE INTO processes ({PROCESS_COLUMNS}) VALUES ({marks})", astuple(process)
            )

        self._journal.run(work, tells=False)

    def claim(self, run_id: str, process_id: str) -> None:
        """Make ``process_id`` the owner of a run that waits for one."""

        def work(connection: sqlite.Connection) -> None:
            if not connection.execute("SELECT 1 FROM processes WHERE id = ?", (process_id,)).fetchall():
                raise InvalidRequest("process_id", process_id, "register the process before it claims a run")
            run = _stored(connection, run_id)
            waits = run.type in ("SCHEDULED", "PENDING") and not run.is_closed
            if not waits or run.process_id not in (None, process_id):
                name = "claimed by another process" if waits else run.name
                raise RunFinished(run.id, name, "claimed")
            connection.execute("UPDATE runs SET process_id = ? WHERE n = ?", (process_id, run.n))

        self._journal.run(work, tells=False)

    def reap(self, now: float) -> list[str]:
        """Make CRASHED what is shown so, and what waits below it for nobody."""

        def work(connection: sqlite.Connection) -> list[str]:
            dead = self._owners.dead(connection)
            if not dead:
                return []
            rows = connection.execute(
                f"SELECT {_STORED} FROM runs WHERE {OPEN} AND process_id IN (SELECT value FROM json_each(?)) "
                "ORDER BY created_at DESC, n DESC",
                (dead_json(dead),),
            )
            runs = [_Stored(*row) for row in rows.fetchall()]
            orphans = [run for run in _descendants(connection, [r.id for r in runs]) if run.process_id is None]
            for run in orphans:
                _close(connection, run, "CRASHED", "Crashed", "the run that started it is gone", now)
            for run in runs:
                _crash(connection, run, dead, now)
            ids = [run.id for run in (*orphans, *runs)]
            connection.execute(
                "UPDATE requests SET outcome = 'the process is gone' "
                "WHERE outcome IS NULL AND run_id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids),),
            )
            return ids

        # Most looks find nothing: those take no write lock.
        with self._database.snapshot() as connection:
            if not self._owners.dead(connection):
                return []
        return self._journal.run(work)

    def _cancel_now(self, connection: sqlite.Connection, run: _Stored, now: float) -> Request:
        """Close a run that nobody owns, and what is below it; owners of what runs below are asked."""
        for child in _descendants(connection, [run.id]):
            dead = self._owners.judge(connection, child.process_id)
            if child.process_id is None:
                _close(connection, child, "CANCELLED", "Cancelled", "its parent was cancelled", now)
            elif dead is not None:
                _crash(connection, child, {dead.id: dead}, now)
            else:
                _ask(connection, child, "cancel", now)
        request = _ask(connection, run, "cancel", now)
        _close(connection, run, "CANCELLED", "Cancelled", "cancelled before it began", now)
        connection.execute("UPDATE requests SET outcome = ? WHERE id = ?", (_DONE, request.id))
        return Request(id=request.id, run_id=run.id, kind="cancel", created_at=request.created_at, outcome=_DONE)


def _stored(connection: sqlite.Connection, run_id: str) -> _Stored:
    if checked_id(run_id) is not None:
        row = connection.execute(f"SELECT {_STORED} FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is not None:
            return _Stored(*row)
    raise RunNotFound(run_id[:100])


def _descendants(connection: sqlite.Connection, run_ids: Iterable[str]) -> list[_Stored]:
    """Return the open runs below the given ones, the youngest first."""
    ids = json.dumps(list(run_ids))
    return [_Stored(*row) for row in connection.execute(_DESCENDANTS, (ids, ids)).fetchall()]


def _refuse_retry(run: _Stored, dead: Dead | None) -> None:
    if run.type not in _RETRIED_TYPES and run.name != "AwaitingRetry":
        if dead is not None and not run.is_closed:
            raise RunFinished(run.id, "Crashed", "retried, because the process that ran it is gone; run it again")
        raise RunFinished(run.id, run.name, "retried: only a run that failed, crashed or was cancelled can be")
    if run.process_id is None or dead is not None:
        raise RunFinished(run.id, run.name, "retried, because the process that ran it is gone; run it again")


def _ask(connection: sqlite.Connection, run: _Stored, kind: RequestKind, now: float) -> Request:
    """Return the open request of this kind; make it, with its event, where there is none."""
    row = connection.execute(
        f"SELECT {REQUEST_COLUMNS} FROM requests WHERE run_id = ? AND kind = ? AND outcome IS NULL", (run.id, kind)
    ).fetchone()
    if row is None:
        row = connection.execute(
            f"INSERT INTO requests (run_id, kind, created_at) VALUES (?, ?, ?) RETURNING {REQUEST_COLUMNS}",
            (run.id, kind, now),
        ).fetchone()
        _event(connection, run.n, now, "request", json.dumps({"id": row[0], "kind": kind}))
    return request_from(row)


def _crash(connection: sqlite.Connection, run: _Stored, dead: Mapping[str, Dead], now: float) -> None:
    owner = dead[run.process_id or ""]
    # As it was shown: it ended when its process was last heard of, not when somebody looked.
    at = min(now, max(run.at, owner.last_seen))
    _close(connection, run, "CRASHED", "Crashed", crashed_message(owner), at)


def _close(connection: sqlite.Connection, run: _Stored, type_: str, name: str, message: str, at: float) -> None:
    connection.execute(
        "UPDATE runs SET state_type=?, state_name=?, state_message=?, state_at=?, ended_at=? WHERE n=?",
        (type_, name, message, at, at, run.n),
    )
    _event(connection, run.n, at, "state", state_payload(type_, name, message, run.attempt))


def _event(connection: sqlite.Connection, n: int, at: float, kind: str, payload: str) -> None:
    connection.execute("INSERT INTO events (at, run, kind, payload) VALUES (?, ?, ?, ?)", (at, n, kind, payload))
