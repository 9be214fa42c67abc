"""One batch of entries as few statements: each run is written once, with the last of its states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from jupyter_wf.core.events import (
    ArtifactWritten,
    Entry,
    LogWritten,
    ResultStored,
    RunCreated,
    RunKept,
    RunPatched,
    StateChanged,
)
from jupyter_wf.store.sqlite.batched import LOAD_RUN, BatchedRun, last_number, write_created, write_events, write_loaded
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.texts import clean, clean_json, cleaned, quote, state_payload

__all__ = ["Applied", "Batches"]

_REMEMBERED = 10_000
#: What a patch may hold, and of which type it is.
_PATCHED = {
    "name": str,
    "expected": int | None,
    "source": dict,
    "parameters": dict,
    "tags": list,
    "process_id": str,
}
_KEEP_RESULT = (
    "INSERT OR REPLACE INTO results (key, run_id, expires_at, format, data, task, code, inputs, at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# It stays with the run that made it, whoever changes it.
_KEEP_ARTIFACT = """
    INSERT INTO artifacts (id, run_id, key, type, description, data, created_at, updated_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET run_id = coalesce(run_id, excluded.run_id), key = excluded.key,
        type = excluded.type, description = excluded.description, data = excluded.data,
        updated_at = excluded.updated_at
    RETURNING run_id"""


class Applied(NamedTuple):
    """What became of a batch: the last event's number, the entries that count, and why others were refused."""

    last_seq: int
    entries: Sequence[Entry]
    refused: Sequence[tuple[Entry, str]]


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
        self._runs: dict[str, BatchedRun] = {}
        self._created: dict[str, tuple[RunCreated, BatchedRun]] = {}
        self._changed: dict[str, BatchedRun] = {}
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
            elif kind is ArtifactWritten:
                self._artifact(entry)  # type: ignore[arg-type]
            elif kind is RunKept:
                self._keep(entry)  # type: ignore[arg-type]
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
            last = last_number(self._connection)
        self._last_n = n = last + 1
        # A state follows; until then it counts as attempt 0, which any state may replace.
        run = self._runs[entry.run_id] = BatchedRun(n, 0, "PENDING", "Pending", None, entry.at)
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
                payload = self._remembered(key, state_payload(type_, name, None, attempt))
        else:
            payload = state_payload(type_, name, message, attempt, run.error if entry.error is not None else None)
        self._events += (entry.at, run.n, "state", payload, None)

    def _keep(self, entry: RunKept) -> None:
        run = self._runs.get(entry.run_id) or self._load(entry.run_id)
        if run is None:
            self._refused.append((entry, "there is no such run"))
        elif run.type != "COMPLETED" or run.attempt != entry.attempt:
            self._refused.append((entry, f"attempt {run.attempt} is {run.name}"))
        else:
            run.kept = entry.kept
            run.keeps = True

    def _remembered(self, key: tuple[str, str, int], payload: str) -> str:
        if len(self._payloads) > _REMEMBERED:
            self._payloads.clear()
        self._payloads[key] = payload
        return payload

    def _log(self, entry: LogWritten) -> None:
        numbers = self._find(entry.run_id)
        if numbers is None:
            self._refused.append((entry, "there is no such run"))
            return
        # Most lines of a run begin alike. Whatever is saved here is not taken from the work that goes on meanwhile.
        level, logger, message = entry.level, entry.logger, entry.message
        head = self._payloads.get(("log", logger, level))
        if head is None:
            head = f'{{"level": {int(level)}, "logger": {quote(clean(logger))}, "message": '
            self._remembered(("log", logger, level), head)
        if not message.isascii() or "\0" in message:
            message = clean(message)
        self._events += (entry.at, numbers[0], "log", f"{head}{quote(message)}}}", numbers[1])

    def _patch(self, entry: RunPatched) -> None:
        numbers = self._find(entry.run_id)
        if numbers is None:
            self._refused.append((entry, "there is no such run"))
            return
        text = clean_json(entry.patch)
        patch = _checked(json.loads(text))
        self._patches.append((entry.run_id, patch))
        if "process_id" in patch:
            # In its turn: a run that gets an owner may have been suspended before, or be so afterwards.
            run = self._runs.get(entry.run_id) or self._load(entry.run_id)
            if run is not None:
                run.owned_by(patch["process_id"])
        self._events += (entry.at, numbers[0], "patch", text, None)

    def _artifact(self, entry: ArtifactWritten) -> None:
        if entry.run_id is not None and self._find(entry.run_id) is None:
            self._refused.append((entry, "there is no such run"))
            return
        data = clean_json(entry.data)
        # Whoever reads it must be able to: a text that is not JSON is left out here.
        json.loads(data, parse_constant=_refuse_constant)
        key, type_, description = cleaned(entry.key), clean(entry.type), cleaned(entry.description)
        ((run_id,),) = self._connection.execute(
            _KEEP_ARTIFACT, (entry.artifact_id, entry.run_id, key, type_, description, data, entry.at, entry.at)
        ).fetchall()
        numbers = None if run_id is None else self._find(run_id)
        if numbers is not None:
            payload = {"id": entry.artifact_id, "key": key, "type": type_}
            if description is not None:
                payload["description"] = description
            self._events += (entry.at, numbers[0], "artifact", json.dumps(payload), None)

    # -- what is stored ------------------------------------------------------------------------------------------

    def _load(self, run_id: str) -> BatchedRun | None:
        row = self._connection.execute(LOAD_RUN, (run_id,)).fetchone()
        if row is None:
            return None
        run = self._runs[run_id] = self._changed[run_id] = BatchedRun(*row)
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
        write_created(connection, self._created.values())
        if self._changed:
            write_loaded(connection, self._changed.values())
        for run_id, patch in self._patches:
            _apply_patch(connection, run_id, patch)
        for result in self._results:
            connection.execute(_KEEP_RESULT, _result_values(result))
        write_events(connection, self._events)
        last_seq: int = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        return last_seq


def _result_values(result: ResultStored) -> tuple[object, ...]:
    if type(result.data) is not bytes:
        raise TypeError(f"a result is bytes, not {result.data!r:.80}")
    return (
        clean(result.key),
        result.run_id,
        result.expires_at,
        result.format,
        result.data,
        cleaned(result.task),
        cleaned(result.code),
        None if result.inputs is None else clean_json(result.inputs),
        result.at,
    )


def _checked(patch: object) -> dict[str, Any]:
    if not isinstance(patch, dict):
        raise TypeError(f"a patch is a JSON object, not {patch!r:.80}")
    for key, cls in _PATCHED.items():
        if key in patch and not isinstance(patch[key], cls):
            raise TypeError(f"the patch's {key} is {patch[key]!r:.80}")
    if not all(isinstance(tag, str) for tag in patch.get("tags", ())):
        raise TypeError(f"the patch's tags are {patch['tags']!r:.80}")
    return patch


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _apply_patch(connection: sqlite.Connection, run_id: str, patch: dict[str, Any]) -> None:
    if "name" in patch:
        connection.execute("UPDATE runs SET name=? WHERE id=?", (patch["name"], run_id))
    if "expected" in patch:
        connection.execute("UPDATE runs SET expected=? WHERE id=?", (patch["expected"], run_id))
    if "parameters" in patch:
        connection.execute("UPDATE runs SET parameters=? WHERE id=?", (json.dumps(patch["parameters"]), run_id))
    if "tags" in patch:
        connection.execute("UPDATE runs SET tags=? WHERE id=?", (json.dumps(patch["tags"]), run_id))
    if "source" in patch:
        (stored,) = connection.execute("SELECT source FROM runs WHERE id=?", (run_id,)).fetchone()
        merged = json.dumps(json.loads(stored) | patch["source"])
        connection.execute("UPDATE runs SET source=? WHERE id=?", (merged, run_id))
