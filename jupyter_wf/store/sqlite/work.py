"""Who asks and who owns: requests of runs, claims, and the reaper."""

from __future__ import annotations

import time

from jupyter_wf.core.errors import InvalidRequest, RunFinished
from jupyter_wf.core.processes import Request, RequestKind
from jupyter_wf.store.sqlite.cancelling import cancel_now
from jupyter_wf.store.sqlite.checks import checked_json
from jupyter_wf.store.sqlite.closing import (
    STORED_COLUMNS,
    StoredRun,
    answer_all,
    ask,
    close_below,
    crash,
    find_above,
    find_stored,
    write_event,
)
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.fences import leave_queue, refuse_queued, refuse_stranger
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Dead, Owners, dead_json
from jupyter_wf.store.sqlite.rows import OPEN
from jupyter_wf.store.sqlite.texts import state_payload

__all__ = ["Work"]

_ASKED = {"cancel": "cancelled", "retry": "retried", "pause": "paused", "resume": "resumed"}
_ENDED_BADLY = ("FAILED", "CRASHED", "CANCELLED")
_NEXT_ATTEMPT = """
    UPDATE runs SET attempt=?, state_type='SCHEDULED', state_name='Resuming', state_message=NULL, state_at=?,
        process_id=?, error=NULL, started_at=NULL, ended_at=NULL,
        code=NULL, inputs=NULL, result_format=NULL, result=NULL
    WHERE n=?"""


class Work:
    """The writes that do not come from a run's owner. Each is one transaction, done when the call returns."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners

    def request(self, run_id: str, kind: RequestKind, payload: str | None) -> Request:
        """Write down what somebody wants of a run, or carry it out where there is nobody to ask."""
        if kind not in _ASKED:
            raise InvalidRequest("kind", kind, "must be cancel, retry, pause or resume")
        text = None if payload is None else checked_json("payload", payload)
        now = time.time()

        def work(connection: sqlite.Connection) -> Request:
            run = find_stored(connection, run_id)
            dead = self._owners.judge(connection, run.process_id)
            if kind == "retry":
                _refuse_retry(run, dead)
            elif run.is_closed or dead is not None:
                raise RunFinished(run.id, run.name if run.is_closed else "Crashed", _ASKED[kind])
            elif kind == "cancel":
                if run.process_id is None:
                    return cancel_now(connection, self._owners, run, now)
            else:
                _refuse_pausing(run, kind)
            return ask(connection, run, kind, now, text)

        return self._journal.run(work)

    def claim(self, run_id: str, process_id: str) -> None:
        """Make ``process_id`` the owner of a run that waits for one."""

        def work(connection: sqlite.Connection) -> None:
            refuse_stranger(connection, process_id)
            run = find_stored(connection, run_id)
            waits = run.type in ("SCHEDULED", "PENDING") and not run.is_closed
            if not waits or run.process_id not in (None, process_id):
                name = "claimed by another process" if waits else run.name
                raise RunFinished(run.id, name, "claimed")
            refuse_queued(connection, run)
            connection.execute("UPDATE runs SET process_id = ? WHERE n = ?", (process_id, run.n))

        self._journal.run(work, tells=False)

    def take_over(self, run_id: str, process_id: str) -> None:
        """Close what the last owner has left, and begin the next attempt in another process."""

        def work(connection: sqlite.Connection) -> None:
            refuse_stranger(connection, process_id)
            run = find_stored(connection, run_id)
            now = time.time()
            # A process that was killed just now must not be believed to live.
            dead = self._owners.judge(connection, run.process_id, fresh=True)
            self._refuse_taking_over(connection, run, dead, process_id)
            leave_queue(connection, run)
            closed = close_below(connection, self._owners, [run.id], now)
            if dead is not None and not run.is_closed:
                crash(connection, run, {dead.id: dead}, now)
            answer_all(connection, [each.id for each in closed], "the process is gone")
            # Whoever takes over a run that did not end must hear that it is to be cancelled.
            spared = "" if run.is_closed or dead is not None else "cancel"
            answer_all(connection, [run.id], "its next attempt has begun", spared)
            connection.execute(_NEXT_ATTEMPT, (run.attempt + 1, now, process_id, run.n))
            write_event(connection, run.n, now, "state", state_payload("SCHEDULED", "Resuming", None, run.attempt + 1))

        self._journal.run(work)

    def reap(self, now: float) -> list[str]:
        """Make CRASHED what is shown so, and what waits below it for nobody."""

        def work(connection: sqlite.Connection) -> list[str]:
            dead = self._owners.dead(connection)
            if not dead:
                return []
            rows = connection.execute(
                f"SELECT {STORED_COLUMNS} FROM runs WHERE {OPEN} AND process_id IN (SELECT value FROM json_each(?)) "
                "ORDER BY created_at DESC, n DESC",
                (dead_json(dead),),
            )
            runs = [StoredRun(*row) for row in rows.fetchall()]
            below = close_below(connection, self._owners, [run.id for run in runs], now, only_orphans=True)
            for run in runs:
                crash(connection, run, dead, now)
            ids = [run.id for run in (*below, *runs)]
            answer_all(connection, ids, "the process is gone")
            return ids

        # Most looks find nothing: those take no write lock.
        with self._database.snapshot() as connection:
            if not self._owners.dead(connection):
                return []
        return self._journal.run(work)

    def open_roots(self) -> int:
        """Return how many root runs a process that lives has, without looking at what waits or has ended."""
        with self._database.snapshot() as connection:
            dead = self._owners.dead(connection)
            rows = connection.execute(
                f"SELECT process_id, count(*) FROM runs INDEXED BY runs_open WHERE {OPEN} AND process_id IS NOT NULL "
                "AND parent_id IS NULL GROUP BY process_id"
            )
            return sum(number for process_id, number in rows.fetchall() if process_id not in dead)

    def _refuse_taking_over(
        self, connection: sqlite.Connection, run: StoredRun, dead: Dead | None, process_id: str
    ) -> None:
        """Raise `RunFinished` unless the run's next attempt may begin in ``process_id``."""
        if run.type == "COMPLETED":
            raise RunFinished(run.id, run.name, "resumed")
        if run.is_closed and dead is None and _is_asked_to_retry(connection, run):
            raise RunFinished(run.id, run.name, "resumed: its owner has been asked to retry it")
        # Begun again, but not yet under way: an interrupt may have kept the caller from hearing of it.
        mine = run.name == "Resuming" and run.process_id == process_id
        waiting = run.type in ("SCHEDULED", "PENDING") and run.process_id is None
        if not (run.is_closed or dead is not None or run.is_suspended or mine or waiting):
            raise RunFinished(run.id, run.name, "resumed: a process has it; cancel it first")
        above = None if run.parent_id is None else find_above(connection, run.parent_id)
        if above is not None:
            gone = not above.is_closed and self._owners.judge(connection, above.process_id, fresh=True) is not None
            if above.is_closed or gone:
                shown = "Crashed" if gone else above.name
                raise RunFinished(run.id, run.name, f"resumed alone: run {above.id}, which called it, is {shown}")


def _refuse_retry(run: StoredRun, dead: Dead | None) -> None:
    if run.type not in _ENDED_BADLY and run.name != "AwaitingRetry":
        if dead is not None and not run.is_closed:
            raise RunFinished(run.id, "Crashed", "retried, because the process that ran it is gone; run it again")
        raise RunFinished(run.id, run.name, "retried: only a run that failed, crashed or was cancelled can be")
    if run.process_id is None or dead is not None:
        raise RunFinished(run.id, run.name, "retried, because the process that ran it is gone; run it again")


def _refuse_pausing(run: StoredRun, kind: str) -> None:
    """Raise `RunFinished` unless the owner of an open run can pause or resume it."""
    if kind == "pause":
        if run.type != "RUNNING" or run.process_id is None:
            raise RunFinished(run.id, run.name, "paused: only a run that a process is executing can be")
    elif run.process_id is None and run.type == "PAUSED":
        raise RunFinished(run.id, run.name, "resumed by its owner, because it has none: take it over")
    elif run.type != "PAUSED":
        raise RunFinished(run.id, run.name, "resumed: only a run that is paused can be")


def _is_asked_to_retry(connection: sqlite.Connection, run: StoredRun) -> bool:
    asked = "SELECT 1 FROM requests WHERE run_id = ? AND kind = 'retry' AND outcome IS NULL"
    return run.process_id is not None and connection.execute(asked, (run.id,)).fetchone() is not None
