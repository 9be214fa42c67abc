"""Reading what runs have left: for later calls by a cache key, and for the next attempt of the run above."""

from __future__ import annotations

from jupyter_wf.core.errors import RunNotFound
from jupyter_wf.core.models import Earlier, StoredResult
from jupyter_wf.store.sqlite.checks import checked_id
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.owners import Dead, Owners, crashed_state
from jupyter_wf.store.sqlite.rows import EARLIER_COLUMNS, RESULT_COLUMNS, earlier_from, result_from
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["ResultReader"]


class ResultReader:
    """Reads results; the values stay the bytes that they are."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def find(self, key: str, now: float) -> StoredResult | None:
        """Return the result stored under ``key`` unless it has expired at ``now``."""
        rows = self._database.rows(
            f"SELECT {RESULT_COLUMNS} FROM results WHERE key = ? AND coalesce(expires_at > ?, 1)", (clean(key), now)
        )
        return result_from(rows[0]) if rows else None

    def last(self, task: str) -> StoredResult | None:
        """Return the newest result of a task."""
        rows = self._database.rows(
            f"SELECT {RESULT_COLUMNS} FROM results WHERE task = ? ORDER BY at DESC, rowid DESC LIMIT 1",
            (clean(task),),
        )
        return result_from(rows[0]) if rows else None

    def of_run(self, run_id: str) -> StoredResult | None:
        """Return what a COMPLETED run kept. Raises `RunNotFound`."""
        rows = []
        if checked_id(run_id) is not None:
            rows = self._database.rows(
                "SELECT state_type, id, result_format, result, NULL, code, inputs, ended_at FROM runs WHERE id = ?",
                (run_id,),
            )
        if not rows:
            raise RunNotFound(run_id[:100])
        type_, *row = rows[0]
        return result_from(tuple(row)) if type_ == "COMPLETED" and row[1] is not None else None

    def earlier(self, run_id: str) -> list[Earlier]:
        """Return the children of a run with what they left."""
        if checked_id(run_id) is None:
            return []
        with self._database.snapshot() as connection:
            dead = self._owners.dead(connection)
            rows = connection.execute(
                f"SELECT {EARLIER_COLUMNS} FROM runs WHERE parent_id = ? ORDER BY created_at, n", (run_id,)
            ).fetchall()
        found = [earlier_from(row) for row in rows]
        if dead:
            owners = [dead.get(row[-1]) for row in rows]
            found = [_shown(each, owner) for each, owner in zip(found, owners, strict=True)]
        return found


def _shown(child: Earlier, owner: Dead | None) -> Earlier:
    if owner is None or child.state.is_closed():
        return child
    return child._replace(state=crashed_state(child.state, owner))
