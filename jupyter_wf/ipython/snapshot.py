"""The picture of a run tree that the static forms of a view show: few rows, whatever the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from jupyter_wf.core.codec import ProgressJSON, RunErrorJSON, RunJSON, StateJSON, iso
from jupyter_wf.core.tree import RunTree
from jupyter_wf.core.tree_facts import NOT_READY
from jupyter_wf.core.tree_json import EarlierJSON

__all__ = ["MOST_ROWS", "Row", "RunViewJSON", "picture"]

#: How many rows a view shows.
MOST_ROWS = 200
#: With more rows than these the calls of one task are one row, where there are at least so many of them.
_MANY_ROWS = 30
_GROUP = 4
#: How many failed runs of a group have rows of their own below it.
_MOST_FAILED = 10
#: The state of a group: the first of these that one of its runs is in.
_WORST = ("FAILED", "CRASHED", "CANCELLED", "RUNNING", "CANCELLING", "PAUSED", "SCHEDULED", "PENDING", "COMPLETED")
_BAD = ("FAILED", "CRASHED")


class Row(TypedDict):
    """One task, cell or flow below the run that a view is about, or ``members`` calls of one task."""

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
    members: int


class RunViewJSON(TypedDict):
    """What a static form shows: the run, at most `MOST_ROWS` rows in order of creation, how many more there are.

    ``last_log`` is the run's own last log line. ``now`` is the moment of the picture; ``live`` tells whether the run is
    open; ``can_retry`` whether a retry may be asked for; ``earlier`` counts the runs that the view has shown before,
    ``stale`` says why what the run has left is out of date. In a ``compact`` view rows are to be opened.
    """

    run: RunJSON
    tasks: list[Row]
    more: int
    last_log: str | None
    progress: ProgressJSON
    now: str
    live: bool
    can_retry: bool
    earlier: EarlierJSON | None
    stale: str | None
    compact: bool


def picture(
    tree: RunTree,
    *,
    now: float,
    can_retry: bool = False,
    earlier: EarlierJSON | None = None,
    compact: bool = False,
    brief: bool = False,
) -> RunViewJSON:
    """Return the picture of a tree at ``now`` (epoch seconds); a ``brief`` one only counts many rows."""
    if brief and len(tree) > MOST_ROWS:
        visible: Sequence[int] = range(1, len(tree))
        items: list[_Item] = []
    else:
        visible = _visible(tree)
        items = _chosen(tree, _grouped(tree, visible))
    can_retry = can_retry and tree.is_closed
    return {
        "run": tree.run(can_retry=can_retry),
        "tasks": [_group_row(tree, item.places) if item.is_group else _row(tree, item.places[0]) for item in items],
        "more": len(visible) - sum(item.tells for item in items) + tree.more,
        "last_log": tree.last_logs.get(0),
        "progress": tree.progress(0),
        "now": iso(now),
        "live": not tree.rests,
        "can_retry": can_retry,
        "earlier": earlier,
        "stale": tree.stale.get(0),
        "compact": compact,
    }


class _Item(NamedTuple):
    """A row to be: the places of its runs, and of how many runs it tells that no other row does."""

    places: Sequence[int]
    tells: int

    @property
    def is_group(self) -> bool:
        return len(self.places) > 1


def _visible(tree: RunTree) -> list[int]:
    """Return the places of the runs that may have a row: what is below a task is told by the task's numbers."""
    made, parents = tree.made, tree.parents
    below: set[int] = set()
    visible: list[int] = []
    for i in range(1, len(tree)):
        parent = parents[i]
        if parent and (made[parent].kind == "task" or parent in below):
            below.add(i)
        else:
            visible.append(i)
    return visible


def _grouped(tree: RunTree, visible: Sequence[int]) -> list[_Item]:
    """Return what is to have a row, with the calls of one task together where there are many rows."""
    if len(visible) <= _MANY_ROWS and tree.made[0].kind != "task":
        return [_Item((i,), 1) for i in visible]
    made, parents = tree.made, tree.parents
    calls: dict[tuple[int, str], list[int]] = {}
    for i in visible:
        name = made[i].task_name
        if name is not None:
            calls.setdefault((parents[i], name), []).append(i)
    items: list[_Item] = []
    told: set[tuple[int, str]] = set()
    for i in visible:
        key = parents[i], made[i].task_name or ""
        group = calls.get(key, ())
        if len(group) < _GROUP:
            items.append(_Item((i,), 1))
        elif key not in told:
            told.add(key)
            items.append(_Item(group, len(group)))
            items += [_Item((j,), 0) for j in group if tree.types[j] in _BAD][:_MOST_FAILED]
    return items


def _chosen(tree: RunTree, items: list[_Item]) -> list[_Item]:
    """Return the items to show: all of them, or the groups, the running, the failed and the newest ones."""
    if len(items) <= MOST_ROWS:
        return items
    types = tree.types

    def rank(number: int) -> tuple[int, int]:
        item = items[number]
        type_ = types[item.places[0]]
        return (0 if item.is_group else 1 if type_ == "RUNNING" else 2 if type_ == "FAILED" else 3), -number

    return [items[number] for number in sorted(sorted(range(len(items)), key=rank)[:MOST_ROWS])]


def _row(tree: RunTree, i: int) -> Row:
    began, ended = tree.began[i], tree.ended[i]
    return {
        "id": tree.made[i].run_id,
        "name": tree.row_name(i),
        "kind": tree.made[i].kind,
        "state": tree.state(i),
        "attempt": tree.attempts[i],
        "max_attempts": tree.made[i].max_attempts,
        "started_at": None if began is None else iso(began),
        "ended_at": None if ended is None else iso(ended),
        "last_log": tree.last_logs.get(i),
        "error": tree.error(i),
        "progress": tree.progress(i) if tree.has_progress(i) else None,
        "members": 1,
    }


def _group_row(tree: RunTree, places: Sequence[int]) -> Row:
    """Return the row of several calls of one task: counts, the worst state, from the first begin to the last end."""
    counts: dict[str, int] = {}
    names: dict[str, int] = {}
    for i in places:
        counts[tree.types[i]] = counts.get(tree.types[i], 0) + 1
        names[tree.state_names[i]] = i
    worst = next(type_ for type_ in _WORST if type_ in counts)
    closed = sum(tree.closed(i) for i in places)
    shown = next(i for i in places if tree.types[i] == worst)
    row = _row(tree, shown)
    began = [at for i in places if (at := tree.began[i]) is not None]
    ended = [at for i in places if (at := tree.ended[i]) is not None]
    # All Cached, all Skipped: that is worth its name. Where they differ only the type holds for all.
    name = row["state"]["name"] if len(names) == 1 else worst.capitalize()
    row["name"] = tree.made[shown].task_name or row["name"]
    row["state"] = {**row["state"], "name": NOT_READY if worst == "PENDING" and NOT_READY in names else name}
    row["attempt"] = 1
    row["started_at"] = iso(min(began)) if began else None
    row["ended_at"] = iso(max(ended)) if ended and closed == len(places) else None
    row["last_log"] = row["error"] = None
    row["progress"] = {"total": len(places), "done": closed, "counts": counts}
    row["members"] = len(places)
    return row
