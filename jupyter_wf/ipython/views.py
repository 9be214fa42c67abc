"""The views below the cells: opened when a root run starts, repainted from what is committed, left as static HTML."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_wf.core.events import Entry, RunCreated, StateChanged
from jupyter_wf.core.parameters import to_json
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.ipython.html import marker, view_html, view_text
from jupyter_wf.ipython.snapshot import RunTree, RunViewJSON

__all__ = ["Board", "Bundle", "Screen", "View"]

Bundle = dict[str, Any]

#: Seconds between two paints of a view, and before a run gets a widget: most tasks end sooner and never need one.
_INTERVAL = 0.1
#: How many views one cell may open; a cell that calls tasks in a loop says how many more there were.
_PER_CELL = 8
#: How many failed runs keep their Retry button.
_OFFERS = 20
_RETRIABLE = ("FAILED", "CRASHED", "CANCELLED")


class Screen(Protocol):
    """Where views appear: a notebook with widgets, one that is only saved, or a terminal."""

    @property
    def has_widgets(self) -> bool:
        """Whether somebody may look at a widget."""

    def show(self, bundle: Bundle, display_id: str) -> None:
        """Show the first form of a view."""

    def update(self, bundle: Bundle, display_id: str) -> None:
        """Replace what is shown as ``display_id``."""

    def live_widget(self, view: RunViewJSON) -> Any:
        """Return a `RunView`, or None where it can't be made."""

    def retry_offer(self, run_id: str, marker: str) -> Any:
        """Return a `RetryOffer`, or None where it can't be made."""


@dataclass(slots=True, kw_only=True, eq=False)
class View:
    """One root run's view.

    ``context`` carries the cell that it belongs to to the painting thread; ``from_attempt`` is the attempt whose end
    ends the view; ``request`` is the message that made the kernel run the cell.
    """

    live: LiveRun
    tree: RunTree
    display_id: str
    context: contextvars.Context
    widget: Any = None
    offer: Any = None
    is_final: bool = False
    from_attempt: int = 1
    request: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, or was suspended, and that is committed."""
        return self.has_ended and self.tree.rests and self.tree.attempt >= self.from_attempt

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, or was suspended, be it committed or not."""
        rests = not self.live.is_open or self.live.state.name == "Suspended"
        return rests and self.live.attempt >= self.from_attempt


class Board:
    """All views of a kernel. `on_root` and `on_commit` feed it; a thread paints while a run is open, and then ends."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lock = threading.Condition()
        self._views: dict[str, View] = {}
        self._owners: dict[str, View] = {}
        self._dirty: set[View] = set()
        self._kept: OrderedDict[str, View] = OrderedDict()
        self._painter: threading.Thread | None = None
        self._opened = 0
        self._more: list[LiveRun] = []
        self.enabled = True

    # -- opening ---------------------------------------------------------------------------------------------------

    def new_cell(self) -> None:
        """Begin to count the views of a cell anew."""
        self._opened = 0
        self._more = []

    def on_root(self, live: LiveRun, request: dict[str, Any] | None = None, earlier: Sequence[Entry] = ()) -> None:
        """Show a run that starts. Called in the thread that starts it; ``request`` is the message of its cell.

        Of a run that is resumed ``earlier`` tells what the attempts before have left below it.
        """
        if not self.enabled:
            return
        again = live.attempt > 1
        if again:
            self._leave(live.id)
        self._opened += 1
        if self._opened > _PER_CELL:
            self._more.append(live)
            return
        tree = RunTree(_created(live))
        for entry in (*earlier, *([_state_of(live)] if again else ())):
            tree.apply(entry)
        view = View(
            live=live,
            tree=tree,
            display_id=f"jupyter-wf-{live.id}-{live.attempt}" if again else f"jupyter-wf-{live.id}",
            context=contextvars.copy_context(),
            from_attempt=live.attempt,
            request=request or {},
        )
        self._open(view)
        self._screen.show(_static(tree.view(now=time.time())), view.display_id)

    def _leave(self, run_id: str) -> None:
        """Leave the view of a run's earlier attempt as it is: the next one has a view of its own."""
        if run_id in self._views:
            self.settle()
        view = self._kept.pop(run_id, None)
        if view is not None:
            self._drop_offer(view)

    def reopen(self, run_id: str) -> dict[str, Any]:
        """Follow a run again that had failed and is tried again; return the request of its cell, if it is known."""
        view = self._kept.pop(run_id, None)
        if view is None:
            return {}
        self._drop_offer(view)
        view.is_final = False
        view.from_attempt = view.live.attempt + 1
        self._open(view)
        return view.request

    def show_again(self, run_id: str) -> None:
        """Show a reopened run anew, below the cell that the kernel is set to."""
        view = self._views[run_id]
        view.context = contextvars.copy_context()
        self._screen.show(_static(view.tree.view(now=time.time())), view.display_id)

    def _open(self, view: View) -> None:
        with self._lock:
            self._views[view.live.id] = view
            self._owners.update(dict.fromkeys(view.tree.ids(), view))
            self._dirty.add(view)
            if self._painter is None:
                self._painter = threading.Thread(target=self._paint_while_open, name="jupyter-wf-views", daemon=True)
                self._painter.start()

    # -- feeding ---------------------------------------------------------------------------------------------------

    def on_commit(self, _: int, entries: Sequence[Entry]) -> None:
        """Take in what was committed. Called on the journal's thread."""
        if not self._owners:
            return
        with self._lock:
            for entry in entries:
                view = self._owners.get(entry.run_id or "")
                if view is None and type(entry) is RunCreated and entry.parent_id is not None:
                    view = self._owners.get(entry.parent_id)
                    if view is not None:
                        self._owners[entry.run_id] = view
                if view is not None and view.tree.apply(entry):
                    self._dirty.add(view)
            self._lock.notify_all()

    # -- painting --------------------------------------------------------------------------------------------------

    @property
    def is_painting(self) -> bool:
        """Whether the painting thread is there."""
        with self._lock:
            return self._painter is not None

    def _paint_while_open(self) -> None:
        while True:
            with self._lock:
                while not self._dirty:
                    if not self._views:
                        self._painter = None
                        return
                    self._lock.wait()
            # What happens meanwhile is painted with it: at most ten paints a second, whatever the number of tasks.
            with self._lock:
                self._lock.wait_for(lambda: not self._views, _INTERVAL)
                due, self._dirty = self._dirty, set()
            for view in due:
                view.context.copy().run(self._paint, view)

    def _paint(self, view: View) -> None:
        with view.lock:
            if view.is_final:
                return
            with self._lock:
                closed = view.is_over
                picture = view.tree.view(now=time.time(), can_retry=_can_retry(view))
            if closed:
                self._paint_final(view, picture)
            elif self._screen.has_widgets:
                self._paint_live(view, picture)

    def _paint_live(self, view: View, picture: RunViewJSON) -> None:
        if view.widget is not None:
            view.widget.view = picture
            return
        view.widget = self._screen.live_widget(picture)
        if view.widget is not None:
            mime: Bundle = view.widget._repr_mimebundle_()[0]
            self._screen.update({**mime, **_static(picture)}, view.display_id)

    def _paint_final(self, view: View, picture: RunViewJSON) -> None:
        view.is_final = True
        if picture["can_retry"] and self._screen.has_widgets:
            self._keep(view)
        self._screen.update(_static(picture), view.display_id)
        if view.widget is not None:
            view.widget.close()
            view.widget = None
        with self._lock:
            self._views.pop(view.live.id, None)
            self._dirty.discard(view)
            for run_id in view.tree.ids():
                self._owners.pop(run_id, None)
            self._lock.notify_all()

    def settle(self, timeout: float = 2.0) -> None:
        """Paint the final form of every run that has ended, in this thread.

        ``timeout`` (seconds) is how long to wait for commits that are on their way.
        """
        ended = [view for view in list(self._views.values()) if view.has_ended]
        with self._lock:
            self._lock.wait_for(lambda: all(view.is_over for view in ended), timeout)
            for view in ended:
                if not view.is_over:
                    # The store refused the last entries (another process closed the run): the view ends all the same.
                    view.tree.apply(_state_of(view.live))
        for view in ended:
            view.context.copy().run(self._paint, view)

    def rest(self) -> str | None:
        """Return a line about the runs of this cell that got no view, None where there are none."""
        if not self._more:
            return None
        states: dict[str, int] = {}
        for live in self._more:
            states[live.state.name.lower()] = states.get(live.state.name.lower(), 0) + 1
        counted = ", ".join(f"{number:,} {state}" for state, number in states.items())
        return f"… and {len(self._more):,} more runs ({counted}); %wf runs lists them"

    # -- retrying --------------------------------------------------------------------------------------------------

    def _keep(self, view: View) -> None:
        view.offer = self._screen.retry_offer(view.live.id, marker(view.live.id))
        self._kept[view.live.id] = view
        while len(self._kept) > _OFFERS:
            self._drop_offer(self._kept.popitem(last=False)[1])

    def _drop_offer(self, view: View) -> None:
        if view.offer is not None:
            view.offer.close()
            view.offer = None

    def close(self) -> None:
        """Leave every view in its static form and let go of all widgets."""
        self.settle()
        for view in list(self._views.values()):
            if view.widget is not None:
                view.widget.close()
                view.widget = None
        while self._kept:
            self._drop_offer(self._kept.popitem()[1])
        with self._lock:
            self._views.clear()
            self._owners.clear()
            self._dirty.clear()
            self._lock.notify_all()


def _static(picture: RunViewJSON) -> Bundle:
    return {"text/html": view_html(picture), "text/plain": view_text(picture)}


def _can_retry(view: View) -> bool:
    # The engine knows how to try a root again (`LiveRun.rerun`) as soon as its call has returned.
    return view.tree.state_type in _RETRIABLE


def _state_of(live: LiveRun) -> StateChanged:
    state = live.state
    return StateChanged(live.id, state.at, live.attempt, state.type.value, state.name, state.message)


def _created(live: LiveRun) -> RunCreated:
    """Return the entry that made the run: it may have been committed before the listener was called."""
    return RunCreated(
        live.id,
        live.state.at,
        live.kind,
        live.name,
        live.flow_name,
        live.task_name,
        live.parent_id,
        live.root_id,
        None,
        parameters=to_json(live.parameters),
        max_attempts=live.max_attempts,
    )
