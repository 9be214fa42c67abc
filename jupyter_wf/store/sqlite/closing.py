"""Runs as those see them who are not their owners, and how they close them, or ask for something."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jupyter_wf.core.errors import RunNotFound
from jupyter_wf.core.processes import Request, RequestKind
from jupyter_wf.core.states import TERMINAL_TYPES
from jupyter_wf.store.sqlite.checks import checked_id
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Dead, Owners, crashed_message
from jupyter_wf.store.sqlite.requests import REQUEST_COLUMNS
from jupyter_wf.store.sqlite.rows import OPEN
from jupyter_wf.store.sqlite.texts import state_payload

__all__ = [
    "STORED_COLUMNS",
    "StoredRun",
    "answer_all",
    "ask",
    "close",
    "close_below",
    "crash",
    "find_above",
    "find_stored",
    "open_below",
    "write_event",
]

_ORPHANED = "the run that started it is gone"
_TERMINAL = frozenset(t.value for t in TERMINAL_TYPES)
STORED_COLUMNS = "n, id, attempt, state_type, state_name, state_at, process_id, parent_id"
_DESCENDANTS = f"""
    WITH RECURSIVE tree(id) AS (
        SELECT value FROM json_each(?)
        UNION SELECT child.id FROM tree CROSS JOIN runs child ON child.parent_id = tree.id
    )
    SELECT {STORED_COLUMNS} FROM tree CROSS JOIN runs USING (id)
    WHERE {OPEN} AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY created_at DESC, n DESC"""


class StoredRun(NamedTuple):
    """What those who are not its owner must know of a run to change it."""

    n: int
    id: str
    attempt: int
    type: str
    name: str
    at: float
    process_id: str | None
    parent_id: str | None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more happens in this attempt."""
        return self.type in _TERMINAL or self.name == "NotReady"

    @property
    def is_suspended(self) -> bool:
        """Whether it waits for nothing but to be taken over."""
        return self.type == "PAUSED" and self.name == "Suspended" and self.process_id is None


def find_stored(connection: sqlite.Connection, run_id: str) -> StoredRun:
    """Return the run with this id. Raises `RunNotFound`."""
    found = None if checked_id(run_id) is None else find_above(connection, run_id)
    if found is not None:
        return found
    raise RunNotFound(run_id[:100])


def find_above(connection: sqlite.Connection, run_id: str) -> StoredRun | None:
    """Return the run with this id, None where it is not in this file."""
    row = connection.execute(f"SELECT {STORED_COLUMNS} FROM runs WHERE id = ?", (run_id,)).fetchone()
    return None if row is None else StoredRun(*row)


def open_below(connection: sqlite.Connection, run_ids: Iterable[str]) -> list[StoredRun]:
    """Return the open runs below the given ones, the youngest first."""
    ids = json.dumps(list(run_ids))
    return [StoredRun(*row) for row in connection.execute(_DESCENDANTS, (ids, ids)).fetchall()]


def ask(
    connection: sqlite.Connection, run: StoredRun, kind: RequestKind, now: float, payload: str | None = None
) -> Request:
    """Return the open request of this kind; make it, with its event, where there is none."""
    row = connection.execute(
        f"SELECT {REQUEST_COLUMNS} FROM requests WHERE run_id = ? AND kind = ? AND outcome IS NULL", (run.id, kind)
    ).fetchone()
    if row is None:
        row = connection.execute(
            f"INSERT INTO requests (run_id, kind, created_at, payload) VALUES (?, ?, ?, ?) RETURNING {REQUEST_COLUMNS}",
            (run.id, kind, now, payload),
        ).fetchone()
        write_event(connection, run.n, now, "request", json.dumps({"id": row[0], "kind": kind}))
    return Request._make(row)


def crash(connection: sqlite.Connection, run: StoredRun, dead: Mapping[str, Dead], now: float) -> None:
    """Make a run of a dead owner CRASHED."""
    owner = dead[run.process_id or ""]
    # As it was shown: it ended when its process was last heard of, not when somebody looked.
    at = min(now, max(run.at, owner.last_seen))
    close(connection, run, "CRASHED", "Crashed", crashed_message(owner), at)


def close(connection: sqlite.Connection, run: StoredRun, type_: str, name: str, message: str, at: float) -> None:
    """End a run in a state, with its event."""
    connection.execute(
        "UPDATE runs SET state_type=?, state_name=?, state_message=?, state_at=?, ended_at=? WHERE n=?",
        (type_, name, message, at, at, run.n),
    )
    write_event(connection, run.n, at, "state", state_payload(type_, name, message, run.attempt))
    # Who waited for an agent does so no more; what follows from its end is still to be done.
    connection.execute("UPDATE queue SET stage = 'ended' WHERE n = ? AND stage = 'waiting'", (run.n,))


def write_event(connection: sqlite.Connection, n: int, at: float, kind: str, payload: str) -> None:
    """Add an event of run number ``n``."""
    connection.execute("INSERT INTO events (at, run, kind, payload) VALUES (?, ?, ?, ?)", (at, n, kind, payload))


def close_below(
    connection: sqlite.Connection, owners: Owners, run_ids: Iterable[str], now: float, *, only_orphans: bool = False
) -> list[StoredRun]:
    """Make CRASHED what is open below the runs and nobody will end, and return it; what is suspended stays so."""
    closed = []
    for run in open_below(connection, run_ids):
        dead = None if only_orphans else owners.judge(connection, run.process_id, fresh=True)
        if dead is not None:
            crash(connection, run, {dead.id: dead}, now)
        elif run.process_id is None and not run.is_suspended:
            close(connection, run, "CRASHED", "Crashed", _ORPHANED, now)
        else:
            continue
        closed.append(run)
    return closed


def answer_all(connection: sqlite.Connection, run_ids: Iterable[str], outcome: str, spared: str = "") -> None:
    """Answer what is open of these runs, but not what is of the kind ``spared``."""
    connection.execute(
        "UPDATE requests SET outcome = ? "
        "WHERE outcome IS NULL AND run_id IN (SELECT value FROM json_each(?)) AND kind <> ?",
        (outcome, json.dumps(list(run_ids)), spared),
    )
