"""A tree as JSON messages: whole, and then what has changed (see `core.tree_json`)."""

from __future__ import annotations

import json
from typing import Any

from jupyter_wf.core.codec import iso
from jupyter_wf.core.tree import RunTree
from jupyter_wf.core.tree_json import (
    MOST_CHANGES,
    ChangedJSON,
    EarlierJSON,
    LineJSON,
    MadeJSON,
    TreeJSON,
)

__all__ = ["TreeWriter", "whole_tree"]


class TreeWriter:
    """Writes the messages about one tree, numbered from ``seq``; `next` gives what `whole` did not.

    Not thread-safe. ``earlier`` is said in each message.
    """

    def __init__(self, tree: RunTree, *, seq: int = 0, earlier: EarlierJSON | None = None) -> None:
        self.tree = tree
        self.seq = seq
        self.earlier = earlier
        #: How many places have been told of, the root's among them.
        self._sent = 1
        self._lines_sent = 0

    @property
    def has_news(self) -> bool:
        """Whether there is something that was in no message yet."""
        tree = self.tree
        return tree.has_changed or tree.lines_written > self._lines_sent

    def whole(self, now: float, *, can_retry: bool = False) -> TreeJSON:
        """Return all that earlier messages have told, as it is now; ``now`` is in epoch seconds.

        It bears the number of the last message.
        """
        tree = self.tree
        places = range(1, self._sent)
        message = self._message(now, can_retry, reset=True)
        message["made"] = [_made(tree, i) for i in places]
        message["changed"] = [_changed(tree, i) for i in (0, *places)]
        message["lines"] = [_line(line) for line in tree.lines if line[2] < self._sent]
        message["dropped"] = tree.lines_written - len(tree.lines)
        return message

    def begin(self, now: float, *, can_retry: bool = False, most: int | None = MOST_CHANGES) -> TreeJSON:
        """Return the first message: a whole tree with at most ``most`` runs (None: all there are)."""
        self.seq += 1
        tree = self.tree
        self._sent = len(tree) if most is None else min(len(tree), 1 + most)
        tree.take_changed(below=self._sent)
        for i in [i for i in tree.renamed if i < self._sent]:
            del tree.renamed[i]
        self._lines_sent = tree.lines_written
        return self.whole(now, can_retry=can_retry)

    def next(self, now: float, *, can_retry: bool = False) -> TreeJSON:
        """Return what has changed since the last message, or the first part of it where that is much."""
        self.seq += 1
        tree = self.tree
        first, self._sent = self._sent, min(len(tree), self._sent + MOST_CHANGES)
        fresh = range(first, self._sent)
        known = tree.take_changed(MOST_CHANGES, below=first)
        for i in fresh:
            tree.changed.pop(i, None)
            tree.renamed.pop(i, None)
        renamed = [i for i in tree.renamed if 0 < i < first][:MOST_CHANGES]
        for i in (0, *renamed):
            tree.renamed.pop(i, None)
        message = self._message(now, can_retry, reset=False)
        message["made"] = [_made(tree, i) for i in (*renamed, *fresh)]
        message["changed"] = [_changed(tree, i) for i in (*known, *fresh)]
        new = [line for line in tree.lines if line[0] > self._lines_sent]
        message["lines"] = [_line(line) for line in new]
        message["dropped"] = tree.lines_written - self._lines_sent - len(new)
        self._lines_sent = tree.lines_written
        return message

    def _message(self, now: float, can_retry: bool, *, reset: bool) -> TreeJSON:
        tree = self.tree
        can_retry = can_retry and tree.is_closed
        return {
            "seq": self.seq,
            "reset": reset,
            "now": iso(now),
            "run": tree.run(can_retry=can_retry),
            "live": not tree.rests,
            "can_retry": can_retry,
            "last_log": tree.last_logs.get(0),
            "progress": tree.progress(0),
            "stale": tree.stale.get(0),
            "made": [],
            "changed": [],
            "lines": [],
            "dropped": 0,
            "more": tree.more,
            "earlier": self.earlier,
        }


def whole_tree(tree: RunTree, now: float, *, seq: int = 0, can_retry: bool = False) -> TreeJSON:
    """Return a whole tree with all its runs as one message with the number ``seq``; ``now`` is in epoch seconds."""
    return TreeWriter(tree, seq=seq - 1).begin(now, can_retry=can_retry, most=None)


def _made(tree: RunTree, i: int) -> MadeJSON:
    made = tree.made[i]
    upstream = [] if made.upstream == "[]" else json.loads(made.upstream)
    return (
        *(i - 1, made.run_id, tree.parents[i] - 1, tree.row_name(i), made.kind, made.task_name),
        *(made.at * 1e3, made.max_attempts, upstream),
    )


def _changed(tree: RunTree, i: int) -> ChangedJSON:
    error: Any = tree.error(i) if i in tree.errors else None
    progress: Any = tree.progress(i) if tree.has_progress(i) else None
    return (
        *(i - 1, tree.types[i], tree.state_names[i], tree.attempts[i], tree.spans(i), tree.messages.get(i)),
        *(tree.last_logs.get(i), error, progress, tree.stale.get(i)),
    )


def _line(line: tuple[int, float, int, int, str]) -> LineJSON:
    number, at, i, level, message = line
    return number, at * 1e3, i - 1, level, message
