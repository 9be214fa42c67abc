"""The runs of one batch while it is made, and the statements of many rows that write them and their events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jupyter_wf.core.events import Kept, RunCreated, StateChanged
from jupyter_wf.core.states import TERMINAL_TYPES
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.texts import clean, clean_json, cleaned

__all__ = [
    "LOAD_RUN",
    "BatchedRun",
    "last_number",
    "write_created",
    "write_events",
    "write_loaded",
    "write_rows",
    "write_runs",
]

_TERMINAL = frozenset(t.value for t in TERMINAL_TYPES)
#: Rows of one INSERT: a statement of many rows costs half of as many statements (up to some 500 values).
_RUN_SIZES = (16, 4, 1)
_EVENT_SIZES = (64, 16, 4, 1)
_RUN_WIDTH = 29
_EVENT_WIDTH = 5
_INSERT_RUNS = (
    "INSERT INTO runs (n, id, kind, name, flow_name, task_name, parent_id, root_id, process_id, parameters, tags, "
    "upstream, source, expected, max_attempts, created_at, call_number, attempt, state_type, state_name, "
    "state_message, state_at, error, started_at, ended_at, code, inputs, result_format, result) VALUES "
)
_INSERT_EVENTS = "INSERT INTO events (at, run, kind, payload, root) VALUES "
_STATE = "attempt=?, state_type=?, state_name=?, state_message=?, state_at=?, error=?, started_at=?, ended_at=?"
_UPDATE_RUN = f"UPDATE runs SET {_STATE} WHERE n=?"
_UPDATE_KEPT = f"UPDATE runs SET {_STATE}, code=?, inputs=?, result_format=?, result=? WHERE n=?"
_UPDATE_OWNER = "UPDATE runs SET process_id=? WHERE n=?"
_NOTHING = (None, None, None, None)
# A number that a deleted run has had is not given again: somebody may still name that run by it.
_LAST_NUMBER = """
    SELECT max(coalesce((SELECT max(n) FROM runs), 0), coalesce((SELECT n FROM marks WHERE name = 'runs'), 0))"""
LOAD_RUN = (
    "SELECT n, attempt, state_type, state_name, state_message, state_at, error, started_at, ended_at FROM runs "
    "WHERE id=?"
)


class BatchedRun:
    """The part of a stored run that states change.

    ``keeps`` tells that ``kept`` is to be written (what a stored run has kept is not loaded), ``moves`` that ``owner``
    is: None for nobody.
    """

    __slots__ = (
        "at",
        "attempt",
        "ended",
        "error",
        "keeps",
        "kept",
        "message",
        "moves",
        "n",
        "name",
        "owner",
        "started",
        "type",
    )

    def __init__(
        self,
        n: int,
        attempt: int,
        type_: str,
        name: str,
        message: str | None,
        at: float,
        error: str | None = None,
        started: float | None = None,
        ended: float | None = None,
    ) -> None:
        self.n = n
        self.attempt = attempt
        self.type = type_
        self.name = name
        self.message = message
        self.at = at
        self.error = error
        self.started = started
        self.ended = ended
        self.kept: Kept | None = None
        self.owner: str | None = None
        self.keeps = self.moves = False

    def values(self) -> tuple[object, ...]:
        """Return the values of its state."""
        return (self.attempt, self.type, self.name, self.message, self.at, self.error, self.started, self.ended)

    def kept_values(self) -> tuple[object, ...]:
        """Return the values of what it keeps."""
        kept = self.kept
        if kept is None:
            return _NOTHING
        inputs = kept.inputs
        if type(kept.data) is not bytes:
            raise TypeError(f"what a run keeps is bytes, not {kept.data!r:.80}")
        return cleaned(kept.code), None if inputs is None else clean_json(inputs), kept.format, kept.data

    def refuses(self, attempt: int) -> str | None:
        """Return why a state of ``attempt`` can't follow what is stored, None if it can."""
        if attempt > self.attempt:
            return None
        if attempt < self.attempt:
            return f"attempt {self.attempt} has begun"
        if self.ended is not None or self.name == "NotReady":
            return f"the run has ended {self.name}"
        if self.name == "Suspended" and self.type == "PAUSED":
            return "the run is Suspended: nobody owns it"
        return None

    def owned_by(self, process_id: str | None) -> None:
        """Take on another owner, or none."""
        self.owner = process_id
        self.moves = True

    def enter(self, entry: StateChanged, type_: str) -> None:
        """Take on a state that was not refused."""
        if entry.attempt > self.attempt:
            self.attempt = entry.attempt
            self.error = self.started = self.kept = None
            self.keeps = True
        at = entry.at
        self.type = type_
        self.name = entry.name if entry.name.isascii() else clean(entry.name)
        self.message = None if entry.message is None else clean(entry.message)
        self.at = at
        self.ended = at if type_ in _TERMINAL else None
        if type_ == "RUNNING":
            if self.started is None:
                self.started = at
        elif type_ == "PAUSED" and self.name == "Suspended":
            self.owned_by(None)
        if entry.kept is not None:
            self.kept = entry.kept
            self.keeps = True
        if entry.error is not None:
            self.error = clean_json(entry.error)
        elif type_ == "COMPLETED":
            self.error = None


def last_number(connection: sqlite.Connection) -> int:
    """Return the highest number that a run has, or has had."""
    last: int = connection.execute(_LAST_NUMBER).fetchone()[0]
    return last


def write_created(connection: sqlite.Connection, created: Iterable[tuple[RunCreated, BatchedRun]]) -> None:
    """Insert the runs that the batch has created."""
    values: list[object] = []
    for entry, run in created:
        values += _created_values(entry, run)
    write_runs(connection, values)


def write_runs(connection: sqlite.Connection, values: list[object]) -> None:
    """Insert runs: ``values`` are those of one run after the other, as the columns of `_INSERT_RUNS`."""
    write_rows(connection, _INSERT_RUNS, _RUN_SIZES, values, _RUN_WIDTH)


def write_loaded(connection: sqlite.Connection, loaded: Iterable[BatchedRun]) -> None:
    """Update the runs that were stored before."""
    states: list[tuple[object, ...]] = []
    keeping: list[tuple[object, ...]] = []
    moving: list[tuple[object, ...]] = []
    for run in loaded:
        if run.keeps:
            keeping.append((*run.values(), *run.kept_values(), run.n))
        else:
            states.append((*run.values(), run.n))
        if run.moves:
            moving.append((run.owner, run.n))
    for statement, rows in ((_UPDATE_RUN, states), (_UPDATE_KEPT, keeping), (_UPDATE_OWNER, moving)):
        if rows:
            connection.executemany(statement, rows)


def write_events(connection: sqlite.Connection, values: list[object]) -> None:
    """Insert events: ``values`` are those of one event after the other."""
    write_rows(connection, _INSERT_EVENTS, _EVENT_SIZES, values, _EVENT_WIDTH)


def _created_values(entry: RunCreated, run: BatchedRun) -> tuple[object, ...]:
    flow_name, task_name = entry.flow_name, entry.task_name
    return (
        run.n,
        entry.run_id,
        entry.kind,
        clean(entry.name),
        None if flow_name is None else clean(flow_name),
        None if task_name is None else clean(task_name),
        entry.parent_id,
        entry.root_id,
        run.owner if run.moves else entry.process_id,
        clean_json(entry.parameters),
        clean_json(entry.tags),
        clean_json(entry.upstream),
        clean_json(entry.source),
        entry.expected,
        entry.max_attempts,
        entry.at,
        entry.call_number,
        *run.values(),
        *run.kept_values(),
    )


def write_rows(
    connection: sqlite.Connection, head: str, sizes: Sequence[int], values: list[object], width: int
) -> None:
    """Execute ``head``, an INSERT that ends with VALUES, for rows of ``width`` values; ``sizes`` ends with 1."""
    row = f"({','.join('?' * width)})"
    done, total = 0, len(values)
    for size in sizes:
        step = size * width
        if total - done < step:
            continue
        statement = head + ",".join([row] * size)
        while total - done >= step:
            connection.execute(statement, values[done : done + step])
            done += step
