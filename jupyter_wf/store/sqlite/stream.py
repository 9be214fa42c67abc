"""Reading the events table: the stream, one run's states, log lines of a run or of a tree."""

from __future__ import annotations

from jupyter_wf.core.errors import RunNotFound
from jupyter_wf.core.models import Event, LogRecord
from jupyter_wf.store.sqlite.checks import checked_id, checked_integer
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.rows import EVENT_COLUMNS, LOG_COLUMNS, event_from, log_from

__all__ = ["StreamReader"]

_HIGHEST = (1 << 63) - 1
_LONGEST_PAGE = 100_000
_TREE = (
    "WITH RECURSIVE tree(id, n) AS (SELECT id, n FROM runs WHERE n = ? "
    "UNION SELECT child.id, child.n FROM tree CROSS JOIN runs child ON child.parent_id = tree.id) SELECT n FROM tree"
)


class StreamReader:
    """Reads events in the order of their ``seq``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def events(self, after: int, limit: int, with_logs: bool) -> list[Event]:
        """Return events with ``seq > after``."""
        checked_integer("after", after, 0, _HIGHEST)
        checked_integer("limit", limit, 1, _LONGEST_PAGE)
        kinds = "" if with_logs else "AND e.kind <> 'log'"
        rows = self._database.rows(
            # Run number 0 stands for none: what became of a deployment.
            f"SELECT {EVENT_COLUMNS} FROM events e LEFT JOIN runs r ON r.n = e.run "
            f"WHERE e.seq > ? {kinds} AND (r.n IS NOT NULL OR e.run = 0) ORDER BY e.seq LIMIT ?",
            (after, limit),
        )
        return [event_from(row) for row in rows]

    def last_seq(self) -> int:
        """Return the number of the newest event, 0 when there is none."""
        last: int = self._database.rows("SELECT coalesce(max(seq), 0) FROM events")[0][0]
        return last

    def states(self, run_id: str) -> list[Event]:
        """Return the ``state`` events of one run."""
        n, _ = self._numbers(run_id)
        rows = self._database.rows(
            f"SELECT {EVENT_COLUMNS} FROM events e CROSS JOIN runs r ON r.n = e.run "
            "WHERE e.run = ? AND e.kind = 'state' ORDER BY e.seq",
            (n,),
        )
        return [event_from(row) for row in rows]

    def logs(self, run_id: str, *, after: int, limit: int, min_level: int, tree: bool, tail: bool) -> list[LogRecord]:
        """Return log lines of the run and (``tree``) of everything below it."""
        checked_integer("after", after, 0, _HIGHEST)
        checked_integer("limit", limit, 1, _LONGEST_PAGE)
        checked_integer("level", min_level, -_HIGHEST, _HIGHEST)
        n, root = self._numbers(run_id)
        where, parameters = self._logs_of(n, root, tree)
        if min_level > 0:
            where += " AND e.payload ->> 'level' >= ?"
            parameters.append(min_level)
        rows = self._database.rows(
            f"SELECT {LOG_COLUMNS} FROM events e CROSS JOIN runs r ON r.n = e.run "
            f"WHERE e.kind = 'log' AND {where} AND e.seq > ? ORDER BY e.seq {'DESC' if tail else 'ASC'} LIMIT ?",
            (*parameters, after, limit),
        )
        records = [log_from(row) for row in rows]
        return records[::-1] if tail else records

    def _logs_of(self, n: int, root: int | None, tree: bool) -> tuple[str, list[object]]:
        """Return the condition that finds the lines by the index which fits best."""
        if tree and n == root:
            return "e.root = ?", [n]
        if not tree or not self._has_children(n):
            return "e.run = ?", [n]
        if root is None:
            return f"e.run IN ({_TREE})", [n]
        # A part of a tree: from its first event on along the root's lines, which are in order already.
        ((first,),) = self._database.rows("SELECT coalesce(min(seq), 0) FROM events WHERE run = ?", (n,))
        return f"e.root = ? AND e.seq >= ? AND e.run IN ({_TREE})", [root, first, n]

    def _has_children(self, n: int) -> bool:
        return bool(
            self._database.rows("SELECT 1 FROM runs WHERE parent_id = (SELECT id FROM runs WHERE n = ?) LIMIT 1", (n,))
        )

    def _numbers(self, run_id: str) -> tuple[int, int | None]:
        """Return the numbers of the run and of its root (None where the root is not in this file)."""
        if checked_id(run_id) is not None:
            rows = self._database.rows(
                "SELECT n, (SELECT n FROM runs WHERE id = r.root_id) FROM runs r WHERE id = ?", (run_id,)
            )
            if rows:
                return rows[0][0], rows[0][1]
        raise RunNotFound(run_id[:100])
