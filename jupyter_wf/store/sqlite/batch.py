"""One batch of entries as few statements: each run is written once, with the last of its states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from jupyter_wf.core.events import Entry, LogWritten, ResultStored, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.states import TERMINAL_TYPES
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.rows import clean, clean_json, quote, state_payload

__all__ = ["Applied", "Batches"]

_TERMINAL = frozenset(t.value for t in TERMINAL_TYPES)
#: Rows of one INSERT: a statement of many rows costs half of as many statements (up to some 400 values).
_RUN_SIZES = (16, 4, 1)
_EVENT_SIZES = (64, 16, 4, 1)
_REMEMBERED = 10_000
_RUN_WIDTH = 24
_EVENT_WIDTH = 5
_INSERT_RUNS = (
    "INSERT INTO runs (n, id, kind, name, flow_name, task_name, parent_id, root_id, process_id, parameters, tags, "
    "upstream, source, expected, max_attempts, created_at, attempt, state_type, state_name, state_message, state_at, "
    "error, started_at, ended_at) VALUES "
)
_INSERT_EVENTS = "INSERT INTO events (at, run, kind, payload, root) VALUES "
_UPDATE_RUN = (
    "UPDATE runs SET attempt=?, state_type=?, state_name=?, state_message=?, state_at=?, error=?, started_at=?, "
    "ended_at=? WHERE n=?"
)
_LOAD_RUN = (
    "SELECT n, attempt, state_type, state_name, state_message, state_at, error, started_at, ended_at FROM runs "
    "WHERE id=?"
)
_KEEP_RESULT = "INSERT OR REPLACE INTO results (key, run_id, expires_at, format, data) VALUES (?, ?, ?, ?, ?)"


class Applied(NamedTuple):
    """What became of a batch: the last event's number, the entries that count, and why others were refused."""

    last_seq: int
    entries: Sequence[Entry]
    refused: Sequence[tuple[Entry, str]]


class _Run:
    """The part of a stored run that states change."""

    __slots__ = ("at", "attempt", "ended", "error", "message", "n", "name", "started", "type")

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

    def values(self) -> tuple[object, ...]:
        return (self.attempt, self.type, self.name, self.message, self.at, self.error, self.started, self.ended)

    def refuses(self, attempt: int) -> str | None:
        """Return why a state of ``attempt`` can't follow what is stored, None if it can."""
        if attempt > self.attempt:
            return None
        if attempt < self.attempt:
            return f"attempt {self.attempt} has begun"
        if self.ended is not None or self.name == "NotReady":
            return f"the run has ended {self.name}"
        return None

    def enter(self, entry: StateChanged, type_: str) -> None:
        """Take on a state that was not refused."""
        if entry.attempt > self.attempt:
            self.attempt = entry.attempt
            self.error = self.started = None
        at = entry.at
        self.type = type_
        self.name = entry.name if entry.name.isascii() else clean(entry.name)
        self.message = None if entry.message is None else clean(entry.message)
        self.at = at
        self.ended = at if type_ in _TERMINAL else None
        if type_ == "RUNNING" and self.started is None:
            self.started = at
        if entry.error is not None:
            self.error = clean_json(entry.error)
        elif type_ == "COMPLETED":
            self.error = None


class Batches:
    """Writes batches into an open transaction. Only for one thread."""

    def __init__(self) -> None:
        self._payloads: dict[tuple[str, str, int], str] = {}
        self._numbers: dict[str, tuple[int, int]] = {}

    def apply(self, connection: sqlite.Connection, entries: Sequence[Entry]) -> Applied:
        """Write ``entries`` in order. Raises SQLite's error, ValueError or TypeError for what can't be stored."""
        return _Writing(connection, self._payloads, self._numbers).write(entries)


class _Writing:
    """The work on one batch."""

    def __init__(
        self,
        connection: sqlite.Connection,
        payloads: dict[tuple[str, str, int], str],
        numbers: dict[str, tuple[int, int]],
    ) -> None:
        self._connection = connection
        self._payloads = payloads
        self._numbers = numbers
        self._runs: dict[str, _Run] = {}
        self._created: dict[str, tuple[RunCreated, _Run]] = {}
        self._changed: dict[str, _Run] = {}
        self._patches: list[tuple[str, dict[str, Any]]] = []
        self._results: list[ResultStored] = []
        self._events: list[object] = []
        self._refused: list[tuple[Entry, str]] = []
        self._repeated: list[Entry] = []
        self._last_n: int | None = None

    def write(self, entries: Sequence[Entry]) -> Applied:
        state, log = self._state, self._log
        for entry in entries:
            kind = type(entry)
            if kind is StateChanged:
                state(entry)  # type: ignore[arg-type]
            elif kind is LogWritten:
                log(entry)  # type: ignore[arg-type]
            elif kind is RunCreated:
                self._create(entry)  # type: ignore[arg-type]
            elif kind is RunPatched:
                self._patch(entry)  # type: ignore[arg-type]
            else:
                self._results.append(entry)  # type: ignore[arg-type]
        last_seq = self._execute()
        if not self._refused and not self._repeated:
            return Applied(last_seq, entries, ())
        left_out = {id(entry) for entry, _ in self._refused} | {id(entry) for entry in self._repeated}
        return Applied(last_seq, [e for e in entries if id(e) not in left_out], self._refused)

    # -- one entry -----------------------------------------------------------------------------------------------

    def _create(self, entry: RunCreated) -> None:
        last = self._last_n
        if last is None:
            last = self._connection.execute("SELECT coalesce(max(n), 0) FROM runs").fetchone()[0]
        self._last_n = n = last + 1
        # A state follows; until then it counts as attempt 0, which any state may replace.
        run = self._runs[entry.run_id] = _Run(n, 0, "PENDING", "Pending", None, entry.at)
        if entry.run_id in self._created:
            raise ValueError(f"run {entry.run_id} was created twice")
        self._created[entry.run_id] = entry, run
        parent = entry.parent_id
        payload = (
            f'{{"kind": {quote(entry.kind)}, "name": {quote(clean(entry.name))}, '
            f'"parent_id": {"null" if parent is None else quote(parent)}, "root_id": {quote(entry.root_id)}}}'
        )
        self._events += (entry.at, n, "run", payload, None)

    def _state(self, entry: StateChanged) -> None:
        run = self._runs.get(entry.run_id) or self._load(entry.run_id)
        if run is None:
            self._refused.append((entry, "there is no such run"))
            return
        if entry.at == run.at and entry.name == run.name and entry.attempt == run.attempt:
            # Written again by an owner that was interrupted and could not know whether it had been.
            self._repeated.append(entry)
            return
        reason = run.refuses(entry.attempt)
        if reason is not None:
            self._refused.append((entry, reason))
            return
        type_, name, attempt, message = str(entry.type), entry.name, entry.attempt, entry.message
        run.enter(entry, type_)
        if message is None and entry.error is None:
            key = (type_, name, attempt)
            payload = self._payloads.get(key)
            if payload is None:
                if len(self._payloads) > _REMEMBERED:
                    self._payloads.clear()
                payload = self._payloads[key] = state_payload(type_, name, None, attempt)
        else:
            payload = state_payload(type_, name, message, attempt, run.error if entry.error is not None else None)
        self._events += (entry.at, run.n, "state", payload, None)

    def _log(self, entry: LogWritten) -> None:
        numbers = self._find(entry.run_id)
        if numbers is None:
            self._refused.append((entry, "there is no such run"))
            return
        payload = (
            f'{{"level": {int(entry.level)}, "logger": {quote(clean(entry.logger))}, '
            f'"message": {quote(clean(entry.message))}}}'
        )
        self._events += (entry.at, numbers[0], "log", payload, numbers[1])

    def _patch(self, entry: RunPatched) -> None:
        numbers = self._find(entry.run_id)
        if numbers is None:
            self._refused.append((entry, "there is no such run"))
            return
        text = clean_json(entry.patch)
        patch = json.loads(text)
        self._patches.append((entry.run_id, _checked(patch)))
        self._events += (entry.at, numbers[0], "patch", text, None)

    # -- what is stored ------------------------------------------------------------------------------------------

    def _load(self, run_id: str) -> _Run | None:
        row = self._connection.execute(_LOAD_RUN, (run_id,)).fetchone()
        if row is None:
            return None
        run = self._runs[run_id] = self._changed[run_id] = _Run(*row)
        return run

    def _find(self, run_id: str) -> tuple[int, int] | None:
        """Return the numbers of a run and of its root (of itself, where the root is not in this file)."""
        found = self._numbers.get(run_id)
        if found is not None:
            return found
        # Runs of this batch are not remembered, because it may yet be rolled back.
        created = self._created.get(run_id)
        if created is not None:
            n, root_id = created[1].n, created[0].root_id
        else:
            row = self._connection.execute("SELECT n, root_id FROM runs WHERE id=?", (run_id,)).fetchone()
            if row is None:
                return None
            n, root_id = row
        if root_id == run_id:
            root: int | None = n
        elif root_id in self._created:
            root = self._created[root_id][1].n
        else:
            row = self._connection.execute("SELECT n FROM runs WHERE id=?", (root_id,)).fetchone()
            root = row and row[0]
        if root is not None and created is None:
            if len(self._numbers) > _REMEMBERED:
                self._numbers.clear()
            self._numbers[run_id] = n, root
        return n, n if root is None else root

    # -- statements ----------------------------------------------------------------------------------------------

    def _execute(self) -> int:
        connection = self._connection
        values: list[object] = []
        for entry, run in self._created.values():
            values += _run_values(entry, run)
        _insert(connection, _INSERT_RUNS, _RUN_SIZES, values, _RUN_WIDTH)
        if self._changed:
            connection.executemany(_UPDATE_RUN, [(*run.values(), run.n) for run in self._changed.values()])
        for run_id, patch in self._patches:
            _apply_patch(connection, run_id, patch)
        for kept in self._results:
            connection.execute(_KEEP_RESULT, (clean(kept.key), *kept[:1], *kept[3:]))
        _insert(connection, _INSERT_EVENTS, _EVENT_SIZES, self._events, _EVENT_WIDTH)
        last_seq: int = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        return last_seq


def _run_values(entry: RunCreated, run: _Run) -> tuple[object, ...]:
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
        entry.process_id,
        clean_json(entry.parameters),
        clean_json(entry.tags),
        clean_json(entry.upstream),
        clean_json(entry.source),
        entry.expected,
        entry.max_attempts,
        entry.at,
        *run.values(),
    )


def _insert(connection: sqlite.Connection, head: str, sizes: Sequence[int], values: list[object], width: int) -> None:
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


def _checked(patch: object) -> dict[str, Any]:
    if not isinstance(patch, dict):
        raise TypeError(f"a patch is a JSON object, not {patch!r:.80}")
    for key, cls in (("name", str), ("expected", int | None), ("source", dict), ("parameters", dict)):
        if key in patch and not isinstance(patch[key], cls):
            raise TypeError(f"the patch's {key} is {patch[key]!r:.80}")
    return patch


def _apply_patch(connection: sqlite.Connection, run_id: str, patch: dict[str, Any]) -> None:
    if "name" in patch:
        connection.execute("UPDATE runs SET name=? WHERE id=?", (patch["name"], run_id))
    if "expected" in patch:
        connection.execute("UPDATE runs SET expected=? WHERE id=?", (patch["expected"], run_id))
    if "parameters" in patch:
        connection.execute("UPDATE runs SET parameters=? WHERE id=?", (json.dumps(patch["parameters"]), run_id))
    if "source" in patch:
        (stored,) = connection.execute("SELECT source FROM runs WHERE id=?", (run_id,)).fetchone()
        merged = json.dumps(json.loads(stored) | patch["source"])
        connection.execute("UPDATE runs SET source=? WHERE id=?", (merged, run_id))
