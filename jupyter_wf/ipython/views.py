"""The views below the cells: opened when a root run starts, repainted from what is committed, left as static HTML."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from jupyter_wf.core.events import Entry, StateChanged
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.ipython.finished import slim
from jupyter_wf.ipython.painting import LOST_AFTER, Painter
from jupyter_wf.ipython.screens import Place, Screen
from jupyter_wf.ipython.view import View, key_of, state_of

__all__ = ["Board"]

#: How many views one cell may open; it says how many more runs there were.
_PER_CELL = 8


class Board:
    """All views of a kernel. `on_root` and `on_commit` feed it; a thread paints while a run is open, and then ends.

    ``left_by`` gives what the store has of the runs below one that is tried again.
    """

    def __init__(self, screen: Screen, left_by: Callable[[LiveRun], Sequence[Entry]] | None = None) -> None:
        self._screen = screen
        self._left_by = left_by
        self._painter = Painter(screen, lambda view: self._cell_runs and view.cell == self._cell)
        self._cell = 0
        self._cell_runs = False
        self._cell_views: list[View] = []
        self._more: list[LiveRun] = []
        self.enabled = True
        #: Called with what was committed, on the journal's thread.
        self.on_commit = self._painter.on_commit

    @property
    def is_painting(self) -> bool:
        """Whether the painting thread is there."""
        return self._painter.is_painting

    @property
    def mode(self) -> str:
        """How much a view shows: ``full``, or ``compact``: its header, until somebody opens the rest."""
        return self._painter.mode

    @mode.setter
    def mode(self, mode: str) -> None:
        self._painter.mode = mode
        with self._painter.work:
            for view in list(self._painter.views.values()):
                if view.widget is not None:
                    view.widget.mode = mode

    # -- cells -------------------------------------------------------------------------------------------------------

    def new_cell(self) -> None:
        """Begin a cell: its views are counted anew."""
        self.rest()
        self._cell_runs = True

    def settle(self, timeout: float = LOST_AFTER) -> None:
        """Paint the final form of every run of this cell that has ended, in this thread.

        ``timeout`` (seconds) is how long to wait for commits that are on their way. What goes on in the background is
        painted when it ends.
        """
        views = list(self._painter.views.values())
        self._painter.settle([view for view in views if view.cell == self._cell and view.has_ended], timeout)

    def rest(self) -> str | None:
        """End the cell: return a line about its runs that got no view, None where there are none."""
        with self._painter.lock:
            more, self._more = self._more, []
            self._cell += 1
            self._cell_runs = False
            # What has ended is not held any longer; the rest is the painter's.
            self._cell_views = []
        if not more:
            return None
        states: dict[str, int] = {}
        for live in more:
            states[live.state.name.lower()] = states.get(live.state.name.lower(), 0) + 1
        counted = ", ".join(f"{number:,} {state}" for state, number in states.items())
        return f"… and {len(more):,} more runs ({counted}); %wf runs lists them"

    # -- runs --------------------------------------------------------------------------------------------------------

    def on_root(self, live: LiveRun, request: Place | None = None, earlier: Sequence[Entry] = ()) -> None:
        """Show a run that starts. Called in the thread that starts it; ``request`` is the message of its cell.

        A flow or task that the cell has called before, and that has ended, is shown in the same view. Of a run that is
        resumed ``earlier`` tells what the attempts before have left below it; it has a view of its own.
        """
        if not self.enabled:
            return
        again, key = live.attempt > 1, key_of(live)
        if again:
            self._leave(live.id)
        painter = self._painter
        with painter.lock:
            for view in () if again else self._cell_views:
                if view.key == key and view.has_ended:
                    painter.views.pop(view.live.id, None)
                    view.turn(live)
                    painter.follow(view)
                    return
            if len(self._cell_views) >= _PER_CELL:
                self._more.append(live)
                return
        view = self._open(
            live,
            f"jupyter-wf-{live.id}-{live.attempt}" if again else f"jupyter-wf-{live.id}",
            slim(request),
            live.attempt,
            earlier,
        )
        self._screen.show(painter.static(view), view.display_id, view.place)

    def _leave(self, run_id: str) -> None:
        """Leave the view of a run's earlier attempt as it is: the next one has a view of its own."""
        painter = self._painter
        view = painter.views.get(run_id)
        if view is not None:
            painter.settle([view])
        with painter.work:
            painter.offers.withdraw(run_id)
            painter.finished.forget(run_id)

    def reopen(self, live: LiveRun) -> Place:
        """Follow a run again that had failed and is tried again; return the request of its cell, empty if unknown."""
        painter = self._painter
        with painter.work:
            offer = painter.offers.withdraw(live.id)
            painter.finished.forget(live.id)
        if offer is None:
            return {}
        before = list(self._left_by(live)) if self._left_by is not None else []
        if live.started_at is not None:
            before.append(StateChanged(live.id, live.started_at, live.attempt, "RUNNING", "Running"))
        before.append(state_of(live))
        self._open(live, offer.display_id, offer.place, live.attempt + 1, before)
        return offer.place

    def show_again(self, run_id: str) -> None:
        """Show a reopened run anew, below the cell that the kernel is set to."""
        view = self._painter.views[run_id]
        view.context = contextvars.copy_context()
        self._screen.show(self._painter.static(view), view.display_id, view.place)

    def _open(
        self, live: LiveRun, display_id: str, place: Place, from_attempt: int, before: Sequence[Entry] = ()
    ) -> View:
        view = View(
            key=key_of(live),
            live=live,
            display_id=display_id,
            context=contextvars.copy_context(),
            place=place,
            cell=self._cell,
            from_attempt=from_attempt,
            before=before,
        )
        view.begin()
        with self._painter.lock:
            self._cell_views.append(view)
            self._painter.follow(view)
        return view

    # -- what else is shown ------------------------------------------------------------------------------------------

    def mark_stale(self, run_ids: Mapping[str, str | None]) -> None:
        """Show why what runs have left is out of date, by their ids; None takes it back.

        The newest 200 finished views of tasks can be marked, and all open ones.
        """
        self._painter.mark_stale(run_ids)

    @contextmanager
    def waiting(self, names: Sequence[str]) -> Iterator[None]:
        """Show below the running cell that it waits for the tasks ``names``, for as long as the context is open."""
        if not self.enabled:
            yield
            return
        with self._painter.waiting(names):
            yield

    def close(self) -> None:
        """Leave every view in its static form and let go of all widgets."""
        self.settle()
        with self._painter.work:
            for view in list(self._painter.views.values()):
                self._painter.drop(view)
            self._painter.offers.close()
        self.rest()
