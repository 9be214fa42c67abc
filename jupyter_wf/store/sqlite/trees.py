"""Reading a run and everything below it at once, as the journal entries that tell of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyter_wf.core.errors import RunNotFound
from jupyter_wf.core.events import Entry, RunCreated, StateChanged
from jupyter_wf.core.states import State, StateType
from jupyter_wf.store.sqlite.checks import checked_id
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Dead, Owners, crashed_state

__all__ = ["TreeReader"]

# In the order of a `RunCreated`, and then what a state is made of.
_COLUMNS = (
    "id, created_at, kind, name, flow_name, task_name, parent_id, root_id, process_id, parameters, tags, upstream, "
    "source, expected, max_attempts, call_number, "
    "started_at, state_at, attempt, state_type, state_name, state_message, error"
)
_MADE = 16
# Of a run with one attempt that nobody paused its row says all; flows and cells are few, tasks are many.
_UNUSUAL = "(r.kind <> 'task' OR r.attempt > 1 OR r.parent_id IS NULL OR r.state_type IN ('PAUSED', 'CANCELLING'))"
_STATES = (
    "SELECT r.id, e.at, e.payload FROM runs r CROSS JOIN events e ON e.run = r.n "
    f"WHERE r.root_id = ? AND {_UNUSUAL} AND e.kind = 'state' ORDER BY e.seq"
)


class TreeReader:
    """Reads whole trees of runs."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def entries(self, run_id: str) -> list[Entry]:
        """Return entries that tell of the run, first, and of everything below it, each run after its parent."""
        with self._database.snapshot() as connection:
            found = None
            if checked_id(run_id) is not None:
                found = connection.execute(f"SELECT {_COLUMNS} FROM runs WHERE id=?", (run_id,)).fetchone()
            if found is None:
                raise RunNotFound(run_id[:100])
            return self._read(connection, found)

    def _read(self, connection: sqlite.Connection, found: tuple[Any, ...]) -> list[Entry]:
        dead = self._owners.dead(connection)
        root_id = found[7]
        states: dict[str, list[StateChanged]] = {}
        for run_id, at, payload in connection.execute(_STATES, (root_id,)):
            told = json.loads(payload)
            states.setdefault(run_id, []).append(
                StateChanged(run_id, at, told["attempt"], told["type"], told["name"], told.get("message"))
            )
        entries = _told(found, states, dead)
        known = {found[0]}
        # A parent is never younger than its child.
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM runs WHERE root_id=? ORDER BY created_at, n", (root_id,)
        ):
            if row[6] in known and row[0] not in known:
                known.add(row[0])
                entries += _told(row, states, dead)
        return entries


def _told(row: tuple[Any, ...], states: Mapping[str, list[StateChanged]], dead: Mapping[str, Dead]) -> list[Entry]:
    """Return what a row, and the states that were read for it, tell of its run."""
    run_id, owner = row[0], dead.get(row[8] or "")
    started_at, at, attempt, type_, name, message, error = row[_MADE:]
    entries: list[Entry] = [RunCreated._make(row[:_MADE]), *states.get(run_id, ())]
    if len(entries) == 1 and started_at is not None:
        entries.append(StateChanged(run_id, started_at, attempt, "RUNNING", "Running"))
    if owner is not None:
        state = State(type=StateType(type_), name=name, message=message, at=at)
        if not state.is_closed():
            state = crashed_state(state, owner)
            at, type_, name, message = state.at, state.type.value, state.name, state.message
    # The last of the states says the same, but without the traceback.
    entries.append(StateChanged(run_id, at, attempt, type_, name, message, error))
    return entries
