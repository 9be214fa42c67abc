"""A run and everything below it, kept up to date from committed journal entries."""

from __future__ import annotations

import json
from collections.abc import Iterable

from jupyter_wf.core.events import Entry, LogWritten, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.tree_facts import CLOSED, FINAL, NOT_READY, TreeFacts
from jupyter_wf.core.tree_json import MOST_ROWS

__all__ = ["RunTree"]

_SPANS = {"SCHEDULED": "wait", "PENDING": "wait", "RUNNING": "run", "CANCELLING": "run", "PAUSED": "pause"}
_LONGEST_LAST_LOG = 300
_LONGEST_LINE = 2_000
#: How many errors keep their traceback, and how long (characters) one is at most.
_MOST_TRACEBACKS = 500
_LONGEST_ERROR = 10_000
#: Values of a run's spans that are kept: of one that is tried again for days the last hundred spans.
_MOST_SPANS = 400
#: How many changes of rows wait until somebody asks for what follows from them.
_MOST_TOUCHED = 50_000
#: How many runs get a place because they failed after there were `MOST_ROWS`.
_MOST_LATE = 200


class RunTree(TreeFacts):
    """One run and everything below it. Not thread-safe: whoever feeds it also reads it, or holds a lock.

    ``created`` is the root's own entry; entries of runs that are not below it are ignored by `feed`. After
    ``most_rows`` runs below the root further ones are only counted, unless they fail.
    """

    def __init__(self, created: RunCreated, most_rows: int = MOST_ROWS) -> None:
        super().__init__(created)
        self._most_rows = most_rows
        self._index: dict[str, int] = {}
        #: Open runs without a place.
        self._loose: dict[str, RunCreated] = {}
        self._late = 0
        self._create(created, -1)

    def place(self, run_id: str) -> int | None:
        """Return the place of a run, None where it has none."""
        return self._index.get(run_id)

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take in committed entries, in their order."""
        # 10,000 tasks bring 40,000 entries while they have half a second for themselves: what is not here costs less.
        find, spans, touch = self._index.get, self._spans, self._touched.append
        types, state_names, began, ended = self.types, self.state_names, self.began, self.ended
        messages, errors = self.messages, self.errors
        for entry in entries:
            kind = type(entry)
            if kind is StateChanged:
                run_id, at, attempt, type_, name, message, error, _ = entry  # type: ignore[misc]
                i = find(run_id)
                if i is None:
                    if run_id in self._loose:
                        self._enter_loose(entry)  # type: ignore[arg-type]
                    continue
                # Nearly all runs are made PENDING, begin, and end.
                if (spans and i in spans) or attempt != 1:
                    self._go_on(i, at, attempt, type_, name)
                elif type_ == "PENDING" and name == "Pending" and types[i] == "PENDING":
                    continue
                elif type_ == "RUNNING" and began[i] is None and ended[i] is None:
                    began[i] = at
                elif type_ in FINAL and ended[i] is None:
                    ended[i] = at
                else:
                    self._go_on(i, at, attempt, type_, name)
                types[i] = type_
                state_names[i] = name
                if message is not None or error is not None or i in messages or i in errors:
                    self._explain(i, message, error)
                touch(i)
            elif kind is RunCreated:
                self._meet(entry)  # type: ignore[arg-type]
            elif kind is LogWritten:
                self._log(entry)  # type: ignore[arg-type]
            elif kind is RunPatched:
                self._patch(entry)  # type: ignore[arg-type]
        if len(self._touched) > _MOST_TOUCHED:
            self._digest()

    def mark_stale(self, run_id: str, why: str | None) -> bool:
        """Say why what a run has left is out of date, or that it is not (None); return whether the run is here."""
        i = self._index.get(run_id)
        if i is None:
            return False
        if why is None:
            self.stale.pop(i, None)
        else:
            self.stale[i] = why
        self._touched.append(i)
        return True

    def _meet(self, entry: RunCreated) -> None:
        run_id = entry[0]
        index = self._index
        if run_id in index:
            # The root's own entry knows more than what the tree was begun with.
            self.made[index[run_id]] = entry
            self.expected[index[run_id]] = entry.expected
            return
        parent = index.get(entry[6] or "")
        if parent is None:
            return
        self._children[parent] += 1
        if len(self.made) <= self._most_rows:
            self._create(entry, parent)
        else:
            self._loose[run_id] = entry
            self._count(parent, None, "PENDING")

    def _create(self, entry: RunCreated, parent: int) -> None:
        i = self._index[entry[0]] = len(self.made)
        if i == len(self.types):
            self._grow()
        self.made.append(entry)
        self.parents.append(parent)
        if entry[13] is not None:
            self.expected[i] = entry[13]
        self._touched.append(i)

    def _enter_loose(self, entry: StateChanged) -> None:
        """Count what becomes of a run without a place; one that fails gets a place, if few did so far."""
        created = self._loose[entry.run_id]
        mark = NOT_READY if entry.name == NOT_READY else entry.type
        if mark not in CLOSED:
            return
        del self._loose[entry.run_id]
        parent = self._index[created.parent_id or ""]
        if entry.type in ("FAILED", "CRASHED") and self._late < _MOST_LATE:
            self._late += 1
            self._count(parent, "PENDING", None)
            self._create(created, parent)
            self.feed((entry,))
        else:
            self._count(parent, "PENDING", mark)

    def _count(self, parent: int, old: str | None, new: str | None) -> None:
        counts = self._counts[parent]
        if old is not None:
            counts[old] -= 1
        if new is not None:
            counts[new] = counts.get(new, 0) + 1
        self.changed[parent] = None

    def _go_on(self, i: int, at: float, attempt: int, type_: str, name: str) -> None:
        """Write down the times of a run that does more than begin and end once."""
        spans = self._spans.get(i)
        self._state_at[i] = at
        if spans is None:
            spans = self._spans[i] = self._usual_spans(i)
        self.attempts[i] = attempt
        kind = None if name == NOT_READY else _SPANS.get(type_)
        if spans[-1] is None:
            if spans[-4] == kind and spans[-3] == attempt:
                return
            spans[-1] = max(at, spans[-2])
        if kind is not None:
            if kind == "run" and self.began[i] is None:
                self.began[i] = at
            spans += (kind, attempt, at, None)
            del spans[: max(0, len(spans) - _MOST_SPANS)]
        self.ended[i] = at if type_ in FINAL else None

    def _explain(self, i: int, message: str | None, error: str | None) -> None:
        self.messages.pop(i, None)
        self.errors.pop(i, None)
        if message is not None:
            self.messages[i] = message
        if error is not None:
            self.errors[i] = error if len(error) <= _LONGEST_ERROR else _shortened(error, _LONGEST_ERROR)
            if len(self.errors) > _MOST_TRACEBACKS:
                self.errors[i] = _shortened(error, 0)

    def _log(self, entry: LogWritten) -> None:
        i = self._index.get(entry.run_id)
        if i is None:
            return
        message = entry.message
        self.last_logs[i] = message[:_LONGEST_LAST_LOG]
        self.lines_written += 1
        self.lines.append((self.lines_written, entry.at, i, entry.level, message[:_LONGEST_LINE]))
        self._touched.append(i)

    def _patch(self, entry: RunPatched) -> None:
        i = self._index.get(entry.run_id)
        if i is None:
            return
        facts = json.loads(entry.patch)
        if "name" in facts:
            self.names[i] = facts["name"]
            self.renamed[i] = None
        if "expected" in facts:
            self.expected[i] = facts["expected"]
        if i == 0:
            if "source" in facts:
                self._facts["source"] = {**self._source(), **facts["source"]}
            self._facts.update({name: facts[name] for name in ("parameters", "tags") if name in facts})
        self._touched.append(i)


def _shortened(error: str, longest: int) -> str:
    """Return the JSON text of an error with the end of its traceback only."""
    told = json.loads(error)
    traceback = told.get("traceback", "")
    told["traceback"] = f"…{traceback[-longest:]}" if longest and len(traceback) > longest else traceback[:longest]
    return json.dumps(told)
