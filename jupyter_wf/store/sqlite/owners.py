"""Which owners of open runs are dead, and how a run of theirs is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jupyter_wf.core.models import Run
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.states import State, StateType
from jupyter_wf.store.processes import Liveness, is_dead
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.requests import PROCESS_COLUMNS
from jupyter_wf.store.sqlite.rows import OPEN

__all__ = ["Dead", "Owners", "crashed", "crashed_message", "crashed_state", "dead_json", "type_expression"]

# Jumps from one owner to the next in the index of open runs, however many runs each has.
_OPEN_OWNERS = f"""
    WITH RECURSIVE owner(id) AS (
        SELECT min(process_id) FROM runs WHERE {OPEN}
        UNION ALL
        SELECT (SELECT min(process_id) FROM runs WHERE {OPEN} AND process_id > owner.id)
        FROM owner WHERE owner.id IS NOT NULL
    )
    SELECT id FROM owner WHERE id IS NOT NULL"""
# The last thing it did, looked for backwards and not without end.
_LAST_SEEN = """
    SELECT e.at FROM (SELECT at, run FROM events ORDER BY seq DESC LIMIT 20000) e
    CROSS JOIN runs r ON r.n = e.run WHERE r.process_id = ? LIMIT 1"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A dead owner; ``last_seen`` is the time of its last event in epoch seconds, 0 where that is long ago."""

    id: str
    pid: int
    last_seen: float


class Owners:
    """Judges the owners of open runs; remembers who they are, and who is dead."""

    def __init__(self) -> None:
        self._liveness = Liveness()
        self._known: dict[str, ProcessInfo] = {}
        self._dead: dict[str, Dead] = {}

    def dead(self, connection: sqlite.Connection) -> dict[str, Dead]:
        """Return the dead among the owners of open runs, by process id."""
        found: dict[str, Dead] = {}
        for (process_id,) in connection.execute(_OPEN_OWNERS).fetchall():
            dead = self.judge(connection, process_id)
            if dead is not None:
                found[process_id] = dead
        return found

    def judge(self, connection: sqlite.Connection, process_id: str | None, *, fresh: bool = False) -> Dead | None:
        """Return the facts about a process that is certainly dead; None for nobody, one that lives or is unknown.

        That it lives may be half a second old, unless a ``fresh`` answer is asked for.
        """
        if process_id is None:
            return None
        if process_id in self._dead:
            return self._dead[process_id]
        process = self._known.get(process_id)
        if process is None:
            row = connection.execute(f"SELECT {PROCESS_COLUMNS} FROM processes WHERE id=?", (process_id,)).fetchone()
            if row is None:
                return None
            process = self._known[process_id] = ProcessInfo._make(row)
        if not (is_dead(process) if fresh else self._liveness.is_dead(process)):
            return None
        row = connection.execute(_LAST_SEEN, (process_id,)).fetchone()
        dead = self._dead[process_id] = Dead(id=process_id, pid=process.pid, last_seen=row[0] if row else 0.0)
        return dead


def crashed_message(dead: Dead) -> str:
    """Return the message of the state Crashed."""
    return f"the process that ran it (pid {dead.pid}) is gone"


def crashed(run: Run, dead: Mapping[str, Dead]) -> Run:
    """Return ``run`` as it is shown: CRASHED if it is open and its owner is among the dead."""
    owner = dead.get(run.process_id or "")
    if owner is None or run.state.is_closed():
        return run
    state = crashed_state(run.state, owner)
    return replace(run, state=state, ended_at=state.at)


def crashed_state(state: State, owner: Dead) -> State:
    """Return the state in which a run that was left in ``state`` is shown."""
    at = max(state.at, owner.last_seen)
    return State(type=StateType.CRASHED, name="Crashed", message=crashed_message(owner), at=at)


def dead_json(dead: Mapping[str, Dead]) -> str:
    """Return the ids as the parameter that `type_expression` wants."""
    return json.dumps(list(dead))


def type_expression(dead: Mapping[str, Dead], *, column: str = "state_type", crashed_as: str = "CRASHED") -> str:
    """Return an SQL expression of a run's type (or name) as shown; it has one parameter iff there are dead owners."""
    if not dead:
        return column
    return f"CASE WHEN {OPEN} AND process_id IN (SELECT value FROM json_each(?)) THEN '{crashed_as}' ELSE {column} END"
