"""A run tree kept up to date from committed journal entries, and the JSON picture of it that a RunView shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from jupyter_wf.core.codec import ProgressJSON, RunErrorJSON, RunJSON, StateJSON, iso
from jupyter_wf.core.events import Entry, LogWritten, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.models import Run
from jupyter_wf.core.states import TERMINAL_TYPES

__all__ = ["MOST_ROWS", "Row", "RunTree", "RunViewJSON", "stored_entries"]

#: How many tasks a view shows.
MOST_ROWS = 200
_LONGEST_LOG = 300
_FINAL = frozenset(type_.value for type_ in TERMINAL_TYPES)


class Row(TypedDict):
    """One task, cell or flow below the run that a view is about."""

    id: str
    name: str
    kind: str
    state: StateJSON
    attempt: int
    max_attempts: int
    started_at: str | None
    ended_at: str | None
    last_log: str | None
    error: RunErrorJSON | None
    progress: ProgressJSON | None


class RunViewJSON(TypedDict):
    """What a RunView shows: the run, at most `MOST_ROWS` rows in order of creation, how many more there are.

    ``last_log`` is the run's own last log line. ``now`` is the moment of the picture; ``live`` tells whether the run is
    open; ``can_retry`` whether a retry may be asked for.
    """

    run: RunJSON
    tasks: list[Row]
    more: int
    last_log: str | None
    progress: ProgressJSON
    now: str
    live: bool
    can_retry: bool


@dataclass(slots=True, kw_only=True)
class _Node:
    """One run of the tree; times in epoch seconds."""

    created: RunCreated
    index: int
    name: str
    state: StateChanged | None = None
    started_at: float | None = None
    ended_at: float | None = None
    last_log: str | None = None
    expected: int | None = None
    parameters: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    children: int = 0
    done: int = 0

    @property
    def is_closed(self) -> bool:
        return self.state is not None and (self.state.type in _FINAL or self.state.name == "NotReady")


class RunTree:
    """One run and everything below it. Not thread-safe: whoever feeds it also draws from it, or holds a lock.

    ``created`` is the root's own entry; entries of runs that are not below it are ignored by `apply`.
    """

    def __init__(self, created: RunCreated) -> None:
        self.root_id = created.run_id
        self._nodes: dict[str, _Node] = {}
        self._order: list[_Node] = []
        self._running: dict[str, _Node] = {}
        self._failed: dict[str, _Node] = {}
        self._create(created)

    @property
    def is_closed(self) -> bool:
        """Whether the root has ended."""
        return self._nodes[self.root_id].is_closed

    @property
    def rests(self) -> bool:
        """Whether nothing goes on: the root has ended, or was suspended, and only another attempt would go on."""
        state = self._nodes[self.root_id].state
        return self.is_closed or (state is not None and state.name == "Suspended")

    @property
    def state_type(self) -> str | None:
        """The type of the root's state, None before its first one was committed."""
        state = self._nodes[self.root_id].state
        return state.type if state else None

    @property
    def attempt(self) -> int:
        """The number of the root's attempt."""
        state = self._nodes[self.root_id].state
        return state.attempt if state else 1

    def ids(self) -> Iterable[str]:
        """Return the ids of all runs of the tree."""
        return self._nodes.keys()

    def apply(self, entry: Entry) -> bool:
        """Take in one committed entry; return whether it belongs to the tree."""
        if isinstance(entry, RunCreated):
            if entry.run_id in self._nodes:
                # The root's own entry, which knows more than what the tree was begun with.
                self._nodes[entry.run_id].created = entry
                return True
            if entry.parent_id not in self._nodes:
                return False
            self._create(entry)
            return True
        node = self._nodes.get(entry.run_id or "")
        if node is None:
            return False
        if isinstance(entry, StateChanged):
            self._enter(node, entry)
        elif isinstance(entry, LogWritten):
            node.last_log = entry.message[:_LONGEST_LOG]
        elif isinstance(entry, RunPatched):
            _patch(node, entry)
        return True

    def _create(self, created: RunCreated) -> None:
        node = _Node(created=created, index=len(self._nodes), name=created.name, expected=created.expected)
        self._nodes[created.run_id] = node
        if created.run_id != self.root_id:
            self._order.append(node)
            self._nodes[created.parent_id or ""].children += 1

    def _enter(self, node: _Node, new: StateChanged) -> None:
        old, was_closed = node.state, node.is_closed
        node.state = new
        run_id = node.created.run_id
        if new.type == "RUNNING" and node.started_at is None:
            node.started_at = new.at
        node.ended_at = new.at if new.type in _FINAL else None
        for type_, runs in (("RUNNING", self._running), ("FAILED", self._failed)):
            if new.type == type_:
                runs[run_id] = node
            else:
                runs.pop(run_id, None)
        parent = self._nodes.get(node.created.parent_id or "") if run_id != self.root_id else None
        if parent is not None:
            if old is not None:
                parent.counts[old.type] -= 1
            parent.counts[new.type] = parent.counts.get(new.type, 0) + 1
            parent.done += node.is_closed - was_closed

    def view(self, *, now: float, can_retry: bool = False) -> RunViewJSON:
        """Return the picture of the tree at ``now`` (epoch seconds)."""
        root = self._nodes[self.root_id]
        shown = self._chosen()
        return {
            "run": _run_json(root, can_retry=can_retry and root.is_closed),
            "tasks": [_row(node) for node in shown],
            "more": len(self._order) - len(shown),
            "last_log": root.last_log,
            "progress": _progress(root),
            "now": iso(now),
            "live": not self.rests,
            "can_retry": can_retry and root.is_closed,
        }

    def _chosen(self) -> list[_Node]:
        """Return the nodes to show: all of them, or the running, the failed and the newest ones."""
        if len(self._order) <= MOST_ROWS:
            return self._order
        chosen: dict[int, _Node] = {}
        for candidates in (reversed(self._running.values()), reversed(self._failed.values()), reversed(self._order)):
            for node in candidates:
                if len(chosen) == MOST_ROWS:
                    break
                if node.created.run_id != self.root_id:
                    chosen[node.index] = node
        return [chosen[index] for index in sorted(chosen)]


def stored_entries(run: Run) -> list[Entry]:
    """Return entries that tell of a run what the store has of it: that it was made, its beginning, and its state."""
    told: list[Entry] = [
        RunCreated(
            run.id,
            run.created_at,
            run.kind,
            run.name,
            run.flow_name,
            run.task_name,
            run.parent_id,
            run.root_id,
            run.process_id,
            json.dumps(dict(run.parameters)),
            json.dumps(run.tags),
            json.dumps(run.upstream),
            json.dumps(dict(run.source)),
            run.expected,
            run.max_attempts,
        )
    ]
    if run.started_at is not None:
        told.append(StateChanged(run.id, run.started_at, run.attempt, "RUNNING", "Running"))
    error = None
    if run.error is not None:
        error = json.dumps({"type": run.error.type, "message": run.error.message, "traceback": run.error.traceback})
    state = run.state
    told.append(StateChanged(run.id, state.at, run.attempt, state.type.value, state.name, state.message, error))
    return told


def _patch(node: _Node, entry: RunPatched) -> None:
    facts = json.loads(entry.patch)
    node.name = facts.get("name", node.name)
    node.expected = facts.get("expected", node.expected)
    if "parameters" in facts:
        node.parameters = facts["parameters"]
    if "source" in facts:
        node.source = {**_source(node), **facts["source"]}


def _source(node: _Node) -> dict[str, Any]:
    return _object(node.created.source) if node.source is None else node.source


def _object(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


def _state_json(node: _Node) -> StateJSON:
    state = node.state
    if state is None:
        return {"type": "PENDING", "name": "Pending", "message": None, "at": iso(node.created.at)}
    return {"type": state.type, "name": state.name, "message": state.message, "at": iso(state.at)}


def _error_json(node: _Node) -> RunErrorJSON | None:
    if node.state is None or node.state.error is None:
        return None
    error: Mapping[str, str] = json.loads(node.state.error)
    return {"type": error["type"], "message": error["message"], "traceback": error.get("traceback", "")}


def _progress(node: _Node) -> ProgressJSON:
    counts = {type_: number for type_, number in node.counts.items() if number}
    return {"total": max(node.expected or 0, node.children), "done": node.done, "counts": counts}


def _row(node: _Node) -> Row:
    state = node.state
    return {
        "id": node.created.run_id,
        "name": _row_name(node),
        "kind": node.created.kind,
        "state": _state_json(node),
        "attempt": state.attempt if state else 1,
        "max_attempts": node.created.max_attempts,
        "started_at": None if node.started_at is None else iso(node.started_at),
        "ended_at": None if node.ended_at is None else iso(node.ended_at),
        "last_log": node.last_log,
        "error": _error_json(node),
        "progress": _progress(node) if node.children or node.expected else None,
    }


def _row_name(node: _Node) -> str:
    """Say which flow a flow inside a flow is of: its own name says nothing alone."""
    flow = node.created.flow_name if node.created.kind == "flow" else None
    return f"{flow} · {node.name}" if flow and flow != node.name else node.name


def _run_json(node: _Node, *, can_retry: bool) -> RunJSON:
    created, row = node.created, _row(node)
    return {
        "id": created.run_id,
        "kind": created.kind,
        "name": node.name,
        "flow_name": created.flow_name,
        "task_name": created.task_name,
        "parent_id": created.parent_id,
        "root_id": created.root_id,
        "attempt": row["attempt"],
        "max_attempts": created.max_attempts,
        "state": row["state"],
        "parameters": _object(created.parameters) if node.parameters is None else node.parameters,
        "tags": json.loads(created.tags),
        "upstream": json.loads(created.upstream),
        "source": _source(node),
        "created_at": iso(created.at),
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "progress": row["progress"],
        "error": row["error"],
        "can_retry": can_retry,
    }
