"""What is known of a run and everything below it, run by run: lists and mappings by place, and what follows from them.

A run is a place in some lists, no object of its own, so that 10,000 of them are nothing to the garbage collector. What
is derived (how many are in which state) is worked out when it is asked for, once for each run that has changed.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from jupyter_wf.core.codec import ProgressJSON, RunErrorJSON, RunJSON, StateJSON, iso
from jupyter_wf.core.events import RunCreated
from jupyter_wf.core.tree_json import MOST_LINES, SpansJSON

__all__ = ["CLOSED", "FINAL", "NOT_READY", "TreeFacts"]

FINAL = frozenset(("COMPLETED", "FAILED", "CANCELLED", "CRASHED"))
#: The state's name of a run that was never called: of type PENDING for good.
NOT_READY = "NotReady"
#: What a run counts as when nothing more happens in its attempt.
CLOSED = FINAL | {NOT_READY}
#: Places that are added to the lists at a time.
_BLOCK = 1024


class TreeFacts:
    """The facts of a tree; `RunTree` keeps them up to date.

    Runs are known by their place in the order in which they were made; the root, which ``created`` tells of, has
    place 0. The lists and mappings are there to be read; the lists may be longer than there are runs.
    """

    def __init__(self, created: RunCreated) -> None:
        self.root_id = created.run_id
        #: What made each run; the patched names are in ``names``.
        self.made: list[RunCreated] = []
        self.parents: list[int] = []
        self.types: list[str] = []
        self.state_names: list[str] = []
        self.attempts: list[int] = []
        #: When a run began for the first time, and ended, in epoch seconds.
        self.began: list[float | None] = []
        self.ended: list[float | None] = []
        self.names: dict[int, str] = {}
        self.messages: dict[int, str] = {}
        self.errors: dict[int, str] = {}
        self.last_logs: dict[int, str] = {}
        self.expected: dict[int, int | None] = {}
        self.stale: dict[int, str] = {}
        #: The newest log lines, each ``(number, epoch seconds, place, level, message)``, and how many there were.
        self.lines: deque[tuple[int, float, int, int, str]] = deque(maxlen=MOST_LINES)
        self.lines_written = 0
        #: Places whose row is another one than before, until `take_changed`; ``renamed`` those with another name.
        self.changed: dict[int, None] = {}
        self.renamed: dict[int, None] = {}
        self._facts: dict[str, Any] = {}
        self._state_at: dict[int, float] = {}
        self._spans: dict[int, list[Any]] = {}
        self._children: defaultdict[int, int] = defaultdict(int)
        self._touched: list[int] = []
        self._counted: list[str | None] = []
        self._counts: defaultdict[int, dict[str, int]] = defaultdict(dict)

    def __len__(self) -> int:
        """The number of runs with a place, the root among them."""
        return len(self.made)

    def _grow(self) -> None:
        self.types += ["PENDING"] * _BLOCK
        self.state_names += ["Pending"] * _BLOCK
        self.attempts += [1] * _BLOCK
        self.began += [None] * _BLOCK
        self.ended += [None] * _BLOCK
        self._counted += [None] * _BLOCK

    def _digest(self) -> None:
        """Bring the counts up to date, once for each run that has changed."""
        touched, self._touched = dict.fromkeys(self._touched), []
        types, state_names, counted, parents, all_counts = (
            *(self.types, self.state_names, self._counted),
            *(self.parents, self._counts),
        )
        self.changed.update(touched)
        above: dict[int, None] = {}
        for i in touched:
            mark = types[i]
            if mark == "PENDING" and state_names[i] == NOT_READY:
                mark = NOT_READY
            old = counted[i]
            if old != mark:
                counted[i] = mark
                parent = parents[i]
                counts = all_counts[parent]
                if old is not None:
                    counts[old] -= 1
                counts[mark] = counts.get(mark, 0) + 1
                above[parent] = None
        above.pop(-1, None)
        self.changed.update(above)

    # -- the whole ---------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether the root has ended."""
        return self.closed(0)

    @property
    def rests(self) -> bool:
        """Whether nothing goes on: the root has ended, or was suspended, and only another attempt would go on."""
        return self.is_closed or self.state_names[0] == "Suspended"

    @property
    def has_changed(self) -> bool:
        """Whether there are rows that nobody has taken by `take_changed`."""
        return bool(self._touched or self.changed)

    @property
    def more(self) -> int:
        """How many runs below the root have no place."""
        return sum(self._children.values()) - len(self.made) + 1

    def take_changed(self, most: int | None = None, below: int | None = None) -> list[int]:
        """Return places whose rows have changed, and forget that they have: ``most`` of them, those under ``below``."""
        self._digest()
        changed = self.changed
        taken: list[int] = []
        for i in changed:
            if len(taken) == most:
                break
            if below is None or i < below:
                taken.append(i)
        for i in taken:
            del changed[i]
        return taken

    def run(self, *, can_retry: bool = False) -> RunJSON:
        """Return the root."""
        root, began, ended = self.made[0], self.began[0], self.ended[0]
        return {
            "id": self.root_id,
            "kind": root.kind,
            "name": self.name(0),
            "flow_name": root.flow_name,
            "task_name": root.task_name,
            "parent_id": root.parent_id,
            "root_id": root.root_id,
            "attempt": self.attempts[0],
            "max_attempts": root.max_attempts,
            "state": self.state(0),
            "parameters": self._fact("parameters", root.parameters),
            "tags": self._fact("tags", root.tags),
            "upstream": json.loads(root.upstream),
            "source": self._source(),
            "created_at": iso(root.at),
            "started_at": None if began is None else iso(began),
            "ended_at": None if ended is None else iso(ended),
            "progress": self.progress(0) if self.has_progress(0) else None,
            "error": self.error(0),
            "can_retry": can_retry,
            "can_resume": False,
        }

    def _source(self) -> dict[str, Any]:
        found: dict[str, Any] = self._fact("source", self.made[0].source)
        return found

    def _fact(self, name: str, text: str) -> Any:
        if name not in self._facts:
            self._facts[name] = json.loads(text)
        return self._facts[name]

    # -- one run -----------------------------------------------------------------------------------------------------

    def closed(self, i: int) -> bool:
        """Return whether nothing more happens to the run at place ``i`` in its attempt."""
        return self.types[i] in FINAL or self.state_names[i] == NOT_READY

    def name(self, i: int) -> str:
        """Return the name of the run at place ``i``."""
        return self.names[i] if i in self.names else self.made[i].name

    def row_name(self, i: int) -> str:
        """Return the name of a row: a flow run's own name says nothing without its flow's."""
        name, made = self.name(i), self.made[i]
        flow = made.flow_name if made.kind == "flow" else None
        return f"{flow} · {name}" if flow and flow != name else name

    def state(self, i: int) -> StateJSON:
        """Return the state of the run at place ``i``."""
        at = self._state_at.get(i) or self.ended[i] or self.began[i] or self.made[i].at
        return {"type": self.types[i], "name": self.state_names[i], "message": self.messages.get(i), "at": iso(at)}

    def error(self, i: int) -> RunErrorJSON | None:
        """Return why the run at place ``i`` failed."""
        text = self.errors.get(i)
        if text is None:
            return None
        told: Mapping[str, str] = json.loads(text)
        return {"type": told["type"], "message": told["message"], "traceback": told.get("traceback", "")}

    def has_progress(self, i: int) -> bool:
        """Return whether the run at place ``i`` has children or expects them."""
        return i in self._children or bool(self.expected.get(i))

    def progress(self, i: int) -> ProgressJSON:
        """Return how far the direct children of the run at place ``i`` are."""
        if self._touched:
            self._digest()
        counts: dict[str, int] = {}
        done = 0
        for mark, number in self._counts.get(i, {}).items():
            if number:
                type_ = "PENDING" if mark == NOT_READY else mark
                counts[type_] = counts.get(type_, 0) + number
                done += number if mark in CLOSED else 0
        total = max(self.expected.get(i) or 0, self._children.get(i, 0))
        return {"total": total, "done": done, "counts": counts}

    def spans(self, i: int) -> SpansJSON:
        """Return the times of the run at place ``i``: kind, attempt, from and to (ms since the epoch), and again."""
        spans = self._spans.get(i)
        if spans is not None:
            return [value * 1e3 if value is not None and k % 4 >= 2 else value for k, value in enumerate(spans)]
        attempt, made, began, ended = self.attempts[i], self.made[i].at, self.began[i], self.ended[i]
        if began is None:
            return ["wait", attempt, made * 1e3, None if ended is None else ended * 1e3]
        run: SpansJSON = ["run", attempt, began * 1e3, None if ended is None else ended * 1e3]
        return run if began <= made else ["wait", attempt, made * 1e3, began * 1e3, *run]

    def _usual_spans(self, i: int) -> list[Any]:
        """Return the times of a run that did nothing unusual so far, in epoch seconds."""
        attempt, made, began, ended = self.attempts[i], self.made[i].at, self.began[i], self.ended[i]
        if began is None:
            return ["wait", attempt, made, ended]
        return ["wait", attempt, made, began, "run", attempt, began, ended]
