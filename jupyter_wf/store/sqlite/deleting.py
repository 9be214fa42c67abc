"""The deletion of ended runs, in many short transactions, and what tells which of them are to go."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.store.backfills import Deleted, Files, Keep, RetentionStore
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_id, checked_integer
from jupyter_wf.store.sqlite.closing import StoredRun, find_above
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.rows import OPEN

__all__ = ["KEPT_WITH_RUN", "Retention"]

#: What rows of results are keyed by, before the run's id, that are of no use without the run.
KEPT_WITH_RUN = ("arguments", "cell", "delayed", "inputs", "locals", "pause", "return", "return-shown")
#: Runs, and events, of one transaction: they bound how long others wait.
_RUNS, _EVENTS = 400, 4_000
_DAY = 86_400.0
_RULE = "retention"
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_IDS = "(SELECT value FROM json_each(?))"
_MARK = "INSERT INTO marks (name, n) VALUES ('runs', ?) ON CONFLICT (name) DO UPDATE SET n = max(n, excluded.n)"
# Few runs are open, however many a tree has.
_SOMETHING_OPEN = f"SELECT id FROM runs INDEXED BY runs_open WHERE {OPEN} AND root_id = ? AND id <> ? LIMIT 1"
# Of a deployment: the newest are told by their numbers, which grow.
_OF_DEPLOYMENT = """
    SELECT r.id FROM queue q CROSS JOIN runs r ON r.n = q.n
    WHERE q.deployment_id = ?1 AND q.stage = 'settled' AND r.ended_at IS NOT NULL AND (r.ended_at < ?2 OR q.n < (
        SELECT newer.n FROM queue newer CROSS JOIN runs its ON its.n = newer.n
        WHERE newer.deployment_id = ?1 AND newer.stage = 'settled' AND its.ended_at IS NOT NULL
            AND its.state_name NOT IN ('Missed', 'Skipped')
        ORDER BY newer.n DESC LIMIT 1 OFFSET ?3))
    ORDER BY q.n LIMIT ?4"""
# In a queue without being settled, or of a deployment with rules of its own.
_OTHERS = f"""
    NOT EXISTS (SELECT 1 FROM queue q WHERE q.n = r.n AND (q.stage <> 'settled' OR q.deployment_id IN {_IDS}))"""
_OLD = f"""
    SELECT r.id FROM runs r WHERE r.parent_id IS NULL AND r.created_at < ? AND r.ended_at < ? AND {_OTHERS}
    ORDER BY r.created_at LIMIT ?"""
_SURPLUS = f"""
    SELECT id FROM (
        SELECT r.id, r.created_at, row_number() OVER (
            PARTITION BY r.kind, coalesce(r.flow_name, ''), coalesce(r.task_name, ''),
                r.state_name IN ('Missed', 'Skipped')
            ORDER BY r.created_at DESC, r.n DESC) AS place
        FROM runs r WHERE r.parent_id IS NULL AND r.ended_at IS NOT NULL AND {_OTHERS}
    ) WHERE place > ? ORDER BY created_at LIMIT ?"""


class Retention(RetentionStore):
    """The `RetentionStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def delete(self, run_ids: Iterable[str]) -> Deleted:
        """Remove ended root runs with everything below them."""
        deleted = Deleted([], [], {})
        for run_id in dict.fromkeys(run_ids):
            reason = None
            going = True
            while going and reason is None:
                # One transaction after the other: whoever waits for the file comes between.
                reason, ids, going = self._journal.run(_Step(run_id), tells=False)
                deleted.ids.extend(ids)
            if reason is None:
                deleted.roots.append(run_id)
            else:
                deleted.refused[run_id] = reason
        return deleted

    def outdated(self, keep: Keep, now: float, *, deployment_id: str | None = None, limit: int = 500) -> list[str]:
        """Return ended root runs that are to go."""
        _check(keep)
        checked_integer("limit", limit, 1, HIGHEST)
        self._journal.settle()
        before = -1.0 if keep.days is None else now - keep.days * _DAY
        if deployment_id is not None:
            # Further than there are runs, where their number is not bounded.
            offset = HIGHEST if keep.last is None else keep.last - 1
            rows = self._database.rows(_OF_DEPLOYMENT, (deployment_id, before, offset, limit))
            return [run_id for (run_id,) in rows]
        with self._database.snapshot() as connection:
            own = json.dumps(_with_rules(connection))
            rows = []
            if keep.days is not None:
                rows += connection.execute(_OLD, (before, before, own, limit)).fetchall()
            if keep.last is not None and len(rows) < limit:
                rows += connection.execute(_SURPLUS, (own, keep.last, limit)).fetchall()
        return list(dict.fromkeys(run_id for (run_id,) in rows))[:limit]

    def rule(self) -> Keep:
        """Return what is kept where a deployment says nothing."""
        rows = self._database.rows("SELECT value FROM settings WHERE name = ?", (_RULE,))
        told = json.loads(rows[0][0]) if rows else {}
        return Keep(told.get("last"), told.get("days"))

    def set_rule(self, keep: Keep) -> None:
        """Set it."""
        _check(keep)

        def work(connection: sqlite.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (_RULE, json.dumps(keep._asdict()))
            )

        self._journal.run(work, tells=False)

    def files(self) -> Files:
        """Return the names of files that something stored refers to."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            results = set(_digests(connection, "SELECT format, data FROM results WHERE {0}", "format"))
            results |= set(_digests(connection, "SELECT result_format, result FROM runs WHERE {0}", "result_format"))
            told: set[str] = set()
            for (source,) in connection.execute("SELECT source FROM runs WHERE kind = 'flow'"):
                told.update(found.decode() for found in _DIGEST.findall(source.encode()))
            for table in ("deployments", "queue"):
                told.update(
                    digest for (digest,) in connection.execute(f"SELECT digest FROM {table} WHERE digest IS NOT NULL")
                )
            runs = {run_id for (run_id,) in connection.execute("SELECT id FROM runs WHERE kind = 'flow'")}
        return Files(results, told, told, runs)


class _Step:
    """One transaction of the deletion of a root run: some of the youngest below it, at last itself.

    It returns why not, if so; the ids that are gone; and whether there is more to do.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def __call__(self, connection: sqlite.Connection) -> tuple[str | None, list[str], bool]:
        root = find_above(connection, self._run_id) if checked_id(self._run_id) is not None else None
        reason = _refusal(connection, self._run_id, root)
        if reason is not None or root is None:
            return reason, [], False
        rows = connection.execute(
            "SELECT n, id FROM runs WHERE root_id = ? AND id <> ? ORDER BY created_at DESC, n DESC LIMIT ?",
            (root.id, root.id, _RUNS),
        ).fetchall()
        last = not rows
        if last:
            rows = [(root.n, root.id)]
        numbers = json.dumps([n for n, _ in rows])
        gone = connection.execute(
            f"DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE run IN {_IDS} LIMIT ?) RETURNING 1",
            (numbers, _EVENTS),
        ).fetchall()
        if len(gone) == _EVENTS:
            return None, [], True
        ids = [run_id for _, run_id in rows]
        _forget(connection, ids, numbers)
        connection.execute(_MARK, (max(n for n, _ in rows),))
        return None, ids, not last


def _refusal(connection: sqlite.Connection, run_id: str, root: StoredRun | None) -> str | None:
    if root is None:
        return f"there is no run {run_id[:100]!r}"
    if root.parent_id is not None:
        return "it is part of another run, and goes with that"
    if not root.is_closed:
        return f"it is {root.name}: cancel it first"
    row = connection.execute(_SOMETHING_OPEN, (root.id, root.id)).fetchone()
    return None if row is None else f"run {row[0]} below it has not ended"


def _forget(connection: sqlite.Connection, ids: Sequence[str], numbers: str) -> None:
    """Remove the rows of runs whose events are gone."""
    texts = json.dumps(ids)
    keys = json.dumps([f"{kind}/{run_id}" for run_id in ids for kind in KEPT_WITH_RUN])
    connection.execute(f"DELETE FROM results WHERE key IN {_IDS}", (keys,))
    for run_id in ids:
        # '0' comes after '/'.
        connection.execute("DELETE FROM results WHERE key > ? AND key < ?", (f"pause/{run_id}/", f"pause/{run_id}0"))
    for table in ("artifacts", "inputs", "requests", "leases"):
        connection.execute(f"DELETE FROM {table} WHERE run_id IN {_IDS}", (texts,))
    connection.execute(f"DELETE FROM queue WHERE n IN {_IDS}", (numbers,))
    connection.execute(f"DELETE FROM runs WHERE n IN {_IDS}", (numbers,))


def _with_rules(connection: sqlite.Connection) -> list[str]:
    """Return the deployments that say what is kept of their runs."""
    rows = connection.execute(
        "SELECT id FROM deployments WHERE policies ->> 'keep_last' IS NOT NULL OR policies ->> 'keep_days' IS NOT NULL"
    )
    return [deployment_id for (deployment_id,) in rows.fetchall()]


def _digests(connection: sqlite.Connection, select: str, column: str) -> Iterator[str]:
    """Yield what is in files: values, and the values in lists of names."""
    rows: Iterable[tuple[str, Any]] = connection.execute(
        select.format(f"{column} = 'names' OR ({column} >= 'file:' AND {column} < 'file;')")
    )
    for _, data in rows:
        yield from (found.decode() for found in _DIGEST.findall(data or b""))


def _check(keep: Keep) -> None:
    if keep.last is not None:
        checked_integer("keep_last", keep.last, 1, HIGHEST)
    if keep.days is not None and not (type(keep.days) in (int, float) and 0 < keep.days < math.inf):
        raise InvalidRequest("keep_days", keep.days, "must be a number of days above 0")
