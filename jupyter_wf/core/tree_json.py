"""The JSON form of a run and everything below it, as the widget below a cell and the REST tree endpoint send it.

**A tree is sent once and then by what has changed.** A message with ``reset`` true is the whole tree: whoever gets it
forgets what there was. A later one has ``reset`` false and the next ``seq``: ``made`` are runs that were not sent
before, ``changed`` are runs as they are now (never differences of fields), ``lines`` the log lines since. A message may
leave out changes that the next one brings: at most `MOST_CHANGES` runs and `MOST_LINES` lines go into one. Who misses
a ``seq`` asks for the whole tree. One that is not newer than what is there is to be ignored.

**Indices.** Runs are numbered from 0 in the order in which they were made; ``made`` comes in that order without gaps,
parents first; one with an index that is known is that run with another name. The root is -1: it is never in ``made``,
its row comes in ``changed`` where it has changed. A run that is made has its row in ``changed`` of the same message.
``more`` runs below the root are only counted, because a tree has at most `MOST_ROWS` rows and some; ``progress`` counts
them too.

**Times** within rows and lines are ms since the epoch. A row's spans are flat, four values for each: ``"wait"``,
``"run"`` or ``"pause"``, the attempt, from, to (null while it goes on).

**The widget** (``RunView``) has the trait ``view`` (the whole tree, made when a page asks for the widget's state: as
it was when the last message went out, with that one's ``seq``) and the trait ``mode``, ``full`` or ``compact``. Later
messages are custom ones ``{"type": "tree", "tree": TreeJSON}``. One with ``reset`` true may be about another run: a
cell that calls a flow in a loop shows all its runs in one view, and ``earlier`` counts those before. From the page come
``{"type": "sync"}`` (answered by a message with ``reset`` true) and ``{"type": "cancel" | "retry", "run_id": id}``.
"""

from __future__ import annotations

from typing import TypedDict

from jupyter_wf.core.codec import ProgressJSON, RunErrorJSON, RunJSON

__all__ = [
    "MOST_CHANGES",
    "MOST_LINES",
    "MOST_ROWS",
    "ChangedJSON",
    "EarlierJSON",
    "LineJSON",
    "MadeJSON",
    "SpansJSON",
    "TreeJSON",
]

#: How many runs of a tree have a row; of those that are made later only the failed ones get one, and few of them.
MOST_ROWS = 20_000
#: How many runs, and how many log lines, go into one message that is no whole tree.
MOST_CHANGES = 500
MOST_LINES = 500

#: ``[kind, attempt, from, to, kind, …]``
SpansJSON = list[str | int | float | None]
#: ``[index, id, parent's index, name, kind, task name, created, most attempts, ids of the upstream runs]``
MadeJSON = tuple[int, str, int, str, str, str | None, float, int, list[str]]
#: ``[index, state type, state name, attempt, spans, message, last log line, error, progress of what is below, stale]``
ChangedJSON = tuple[
    int,
    str,
    str,
    int,
    SpansJSON,
    str | None,
    str | None,
    RunErrorJSON | None,
    ProgressJSON | None,
    str | None,
]
#: ``[number, time, run's index, level, message]``; the numbers of a tree's lines grow.
LineJSON = tuple[int, float, int, int, str]


class EarlierJSON(TypedDict):
    """The runs that a view has shown before the one that it shows; ``counts`` maps names of states to numbers."""

    total: int
    counts: dict[str, int]


class TreeJSON(TypedDict):
    """A run and what is below it, or what has changed there.

    ``now`` (ISO 8601) is the moment of the message by the sender's clock, ``live`` tells whether anything goes on.
    ``last_log`` and ``progress`` are the root's own, ``stale`` says why what it has left is out of date. ``dropped``
    counts the log lines that were left out before those of ``lines``.
    """

    seq: int
    reset: bool
    now: str
    run: RunJSON
    live: bool
    can_retry: bool
    last_log: str | None
    progress: ProgressJSON
    stale: str | None
    made: list[MadeJSON]
    changed: list[ChangedJSON]
    lines: list[LineJSON]
    dropped: int
    more: int
    earlier: EarlierJSON | None
