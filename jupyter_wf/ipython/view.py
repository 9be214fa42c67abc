"""One view: a run of a cell, or the runs of one flow that a cell calls in a loop, newest shown."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_wf.core.events import Entry, RunCreated, StateChanged
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.tree import RunTree
from jupyter_wf.core.tree_json import EarlierJSON, TreeJSON
from jupyter_wf.core.tree_messages import TreeWriter
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.ipython.screens import Bundle, Place, Screen
from jupyter_wf.ipython.snapshot import RunViewJSON, picture

__all__ = ["Key", "View", "key_of", "state_of"]

#: What the runs that share a view have in common: their kind and the name of their flow or task.
Key = tuple[str, str]


def key_of(live: LiveRun) -> Key:
    """Return by what a run is known as one of the same flow or task."""
    return live.kind, (live.task_name if live.kind == "task" else live.flow_name) or live.name


@dataclass(slots=True, kw_only=True, eq=False)
class View:
    """The view of a root run. Whoever uses it holds the board's lock for work; `turn` may be called without it.

    ``context`` carries the cell that it belongs to to the painting thread, ``place`` is that cell's request, ``cell``
    its number; ``from_attempt`` is the attempt whose end ends the view; ``before`` are entries from before that.
    """

    key: Key
    live: LiveRun
    display_id: str
    context: contextvars.Context
    place: Place
    cell: int
    from_attempt: int = 1
    before: Sequence[Entry] = ()
    opened_at: float = field(default_factory=time.monotonic)
    #: Whether `live` is another run than the one whose tree this is.
    is_fresh: bool = False
    is_final: bool = False
    #: When it was first seen that the run had ended (monotonic).
    ended_at: float | None = None
    tree: RunTree | None = None
    widget: Any = None
    #: Whether a widget was asked for: where there is none, it is not asked for again.
    has_tried: bool = False
    _writer: TreeWriter | None = None
    _is_new: bool = True
    _seq: int = 0
    _earlier: dict[str, int] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, or was suspended, and that is committed."""
        tree = self.tree
        return tree is not None and self.has_ended and tree.rests and tree.attempts[0] >= self.from_attempt

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, or was suspended, be it committed or not."""
        live = self.live
        rests = not live.is_open or live.state.name == "Suspended"
        return rests and live.attempt >= self.from_attempt

    @property
    def earlier(self) -> EarlierJSON | None:
        """How the runs ended that this view has shown before."""
        counts = dict(self._earlier)
        return {"total": sum(counts.values()), "counts": counts} if counts else None

    def turn(self, live: LiveRun) -> None:
        """Turn to the next run of the same flow or task; its tree is begun when it is looked at."""
        name = self.live.state.name
        self._earlier[name] = self._earlier.get(name, 0) + 1
        self.live = live
        self.is_fresh = True
        self.is_final = False
        self.from_attempt = live.attempt
        self.before = ()
        self.ended_at = None

    def begin(self) -> None:
        """Begin the tree of the run that the view is now about."""
        live = self.live
        tree = RunTree(_created(live))
        tree.feed(self.before)
        if live.attempt > 1:
            tree.feed((state_of(live),))
        self.tree = tree
        self.before = ()
        self._writer = None
        self._is_new = True

    def end(self) -> None:
        """Let the tree end as the run has, although the store did not tell of it."""
        if self.tree is not None:
            self.tree.feed((state_of(self.live),))

    def picture(self, *, can_retry: bool = False, compact: bool = False, brief: bool = False) -> RunViewJSON:
        """Return what the static forms show."""
        assert self.tree is not None
        return picture(
            self.tree, now=time.time(), can_retry=can_retry, earlier=self.earlier, compact=compact, brief=brief
        )

    def paint_live(self, screen: Screen, mode: str, whole: Callable[[], TreeJSON | None]) -> Bundle | None:
        """Send what is new to the widget; return what shows it where it was made just now."""
        tree = self.tree
        assert tree is not None
        if self._writer is None:
            self._writer = TreeWriter(tree, seq=self._seq, earlier=self.earlier)
        writer, now = self._writer, time.time()
        shown: Bundle | None = None
        if self.widget is None:
            if self.has_tried:
                return None
            self.has_tried = True
            writer.begin(now)
            self.widget = screen.live_widget(whole, mode)
            shown = None if self.widget is None else self.widget._repr_mimebundle_()[0]
        elif self._is_new:
            self.widget.tell(writer.begin(now))
        elif writer.has_news:
            self.widget.tell(writer.next(now))
        self._is_new = False
        self._seq = writer.seq
        return shown

    @property
    def has_more_to_tell(self) -> bool:
        """Whether the widget does not show all yet: one message does not hold everything."""
        return self.widget is not None and self._writer is not None and self._writer.has_news

    def whole(self) -> TreeJSON | None:
        """Return all that the widget was told, as it is now."""
        return None if self._writer is None else self._writer.whole(time.time())

    def release(self) -> None:
        """Let go of the tree and the widget."""
        widget, self.widget, self.has_tried = self.widget, None, False
        self.tree = self._writer = None
        if widget is not None:
            widget.close()


def state_of(live: LiveRun) -> StateChanged:
    """Return the entry of the state that a run is in."""
    state = live.state
    return StateChanged(live.id, state.at, live.attempt, state.type.value, state.name, state.message)


def _created(live: LiveRun) -> RunCreated:
    """Return the entry that made the run: it may have been committed before the listener was called."""
    at = live.state.at if live.started_at is None else live.started_at
    return RunCreated(
        *(live.id, at, live.kind, live.name, live.flow_name, live.task_name, live.parent_id, live.root_id),
        None,
        parameters=to_json(live.parameters),
        max_attempts=live.max_attempts,
    )
