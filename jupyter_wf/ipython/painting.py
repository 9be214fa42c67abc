"""The painting of views: from what is committed to what is shown, without slowing down what is shown.

The journal's thread only hands its batches over. A thread of our own works them off and paints, and rests thirty-five
times as long as it worked; what has gathered when a run ends is worked off then, in a go, by who waits for the end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from jupyter_wf.core.events import Entry
from jupyter_wf.core.tree_json import TreeJSON
from jupyter_wf.ipython.finished import FinishedViews, Offer, Offers
from jupyter_wf.ipython.html import mark_stale, marker, view_html, view_text
from jupyter_wf.ipython.screens import Bundle, Screen
from jupyter_wf.ipython.view import View
from jupyter_wf.ipython.waits import Wait

__all__ = ["LOST_AFTER", "Painter"]

_log = logging.getLogger(__name__)
#: Seconds between two paints, and before a run gets a widget: most tasks end sooner and never need one.
_INTERVAL = 0.1
_FIRST = 0.2
#: How many times as long as it has worked the painter rests: with what is sent for it, it stays below a twentieth of
#: the processor.
_RESTS = 35
#: Seconds of the longest rest: what a paint loads for the first time would earn it ten.
_LONGEST_REST = 2.0
#: Seconds of work on entries in one turn; with so many entries waiting there is no limit, so that memory has one.
_TURN = 0.01
_MOST_WAITING = 200_000
#: Seconds between looks at what no entry tells of: waits, and runs that ended.
_LOOK = 0.5
#: Seconds that the view of a run that has ended stays live while its cell goes on, which may call the flow again.
_LINGERS = 1.0
#: Seconds until a run's end counts though the store has not told of it (another process closed the run).
LOST_AFTER = 2.0
_RETRIABLE = ("FAILED", "CRASHED", "CANCELLED")


class Painter:
    """Follows open views: `follow` begins that, the run's end ends it. The thread is there only while one is open.

    ``lingers`` tells whether the view of a run that has ended may yet turn to another run.
    """

    def __init__(self, screen: Screen, lingers: Callable[[View], bool]) -> None:
        self._screen = screen
        self._may_linger = lingers
        #: Held while trees are fed and read, and while views are painted; never asked for by who holds the next one.
        self.work = threading.RLock()
        #: Held for moments: what is open, and what waits to be worked off.
        self.lock = threading.Condition()
        self.views: dict[str, View] = {}
        self.finished = FinishedViews()
        self.offers = Offers()
        self.mode = "full"
        self._waiting: deque[Sequence[Entry]] = deque()
        self._entries = 0
        self._listeners = 0
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_restless = False
        self._waits: list[Wait] = []

    @property
    def is_painting(self) -> bool:
        """Whether the painting thread is there."""
        with self.lock:
            return self._thread is not None

    def follow(self, view: View) -> None:
        """Follow a view that was opened or has turned to another run. Called with ``lock`` held."""
        self.views[view.live.id] = view
        self._hurry.clear()
        self._is_restless = True
        self._start()

    def look(self) -> None:
        """Have it looked at all views soon, although nothing may have been committed."""
        with self.lock:
            self._is_restless = True
            if self._listeners:
                self.lock.notify_all()

    @contextmanager
    def waiting(self, names: Sequence[str]) -> Iterator[None]:
        """Show below the running cell that it waits for the tasks ``names``, for as long as the context is open."""
        wait = Wait(self._screen, names)
        with self.lock:
            self._waits.append(wait)
            self._hurry.clear()
            self._start()
        try:
            yield
        finally:
            with self.lock:
                self._waits.remove(wait)
                if not (self.views or self._waits):
                    self._hurry.set()
                self.lock.notify_all()
            wait.end()

    def mark_stale(self, run_ids: Mapping[str, str | None]) -> None:
        """Show why what runs have left is out of date, by their ids; None takes it back."""
        for run_id, why in run_ids.items():
            with self.work:
                for view in list(self.views.values()):
                    if view.tree is not None and view.tree.mark_stale(run_id, why):
                        self.look()
                marked = self.finished.mark(run_id, why)
            if marked is not None:
                self._screen.update(*marked)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._paint_while_open, name="jupyter-wf-views", daemon=True)
            self._thread.start()
        elif self._listeners:
            self.lock.notify_all()

    # -- feeding ---------------------------------------------------------------------------------------------------

    def on_commit(self, _: int, entries: Sequence[Entry]) -> None:
        """Take what was committed, to look at it later. Called on the journal's thread."""
        if not self.views:
            return
        with self.lock:
            self._waiting.append(entries)
            self._entries += len(entries)
            if self._listeners:
                self.lock.notify_all()

    def _listen(self, timeout: float | None) -> bool:
        """Wait, holding the lock, until something comes; return whether something did."""
        self._listeners += 1
        try:
            return self.lock.wait(timeout)
        finally:
            self._listeners -= 1

    def _take_in(self, limit: float | None) -> None:
        """Feed the trees with what waits, for about ``limit`` seconds."""
        began = time.thread_time()
        while True:
            with self.lock:
                views = list(self.views.values())
                fresh = [view for view in views if view.is_fresh]
                for view in fresh:
                    view.is_fresh = False
                entries = self._waiting.popleft() if self._waiting else ()
                self._entries -= len(entries)
            for view in fresh:
                view.begin()
            if not entries:
                return
            for view in views:
                if view.tree is not None:
                    view.tree.feed(entries)
            if limit is not None and self._entries < _MOST_WAITING and time.thread_time() - began > limit:
                return

    # -- painting --------------------------------------------------------------------------------------------------

    def _paint_while_open(self) -> None:
        pause = _INTERVAL
        while True:
            with self.lock:
                while not (self._waiting or self._is_restless):
                    if not (self.views or self._waits):
                        self._thread = None
                        return
                    if not self._listen(self._patience()):
                        break
                self._is_restless = False
            # What happens meanwhile is painted with it: at most ten paints a second, whatever the number of tasks.
            self._hurry.wait(pause)
            began = time.thread_time()
            self._paint_all()
            pause = min(max(_INTERVAL, _RESTS * (time.thread_time() - began)), _LONGEST_REST)

    def _patience(self) -> float | None:
        """Return how long nothing may come before it is looked again at what is open; None for ever."""
        views = self.views.values()
        if self._screen.has_widgets and any(not view.has_tried for view in views):
            return _INTERVAL
        return _LOOK if self._waits or any(view.has_ended for view in views) else None

    def _paint_all(self) -> None:
        with self.work:
            self._take_in(_TURN)
            for view in list(self.views.values()):
                try:
                    view.context.copy().run(self._paint, view)
                except Exception:
                    _log.exception("the view of run %s can't be painted and is left as it is", view.live.id)
                    self.drop(view)
        for wait in list(self._waits):
            wait.paint()

    def _paint(self, view: View) -> None:
        if view.is_final or view.tree is None:
            return
        now = time.monotonic()
        if view.has_ended:
            view.ended_at = view.ended_at or now
            is_lost = not view.is_over and now - view.ended_at > LOST_AFTER
            if is_lost:
                view.end()
            lingers = now - view.ended_at < _LINGERS and self._may_linger(view)
            if (view.is_over or is_lost) and not lingers:
                self._paint_final(view)
                return
        if self._screen.has_widgets and now - view.opened_at >= _FIRST:
            self._paint_live(view)

    def _paint_live(self, view: View) -> None:
        def whole() -> TreeJSON | None:
            with self.work:
                return view.whole()

        mime = view.paint_live(self._screen, self.mode, whole)
        if mime is not None:
            self._screen.update({**mime, **self.static(view)}, view.display_id, view.place)
        if view.has_more_to_tell:
            self._is_restless = True

    def _paint_final(self, view: View) -> None:
        with self.lock:
            if view.is_fresh or view.is_final:
                return
            # From here on a turn to another run is an opening.
            view.is_final = True
            self._forget(view)
        live, tree = view.live, view.tree
        assert tree is not None
        can_retry = tree.types[0] in _RETRIABLE
        picture = view.picture(can_retry=can_retry, compact=self.mode == "compact")
        if picture["can_retry"] and self._screen.has_widgets:
            widget = self._screen.retry_offer(live.id, marker(live.id))
            self.offers.keep(live.id, Offer(widget=widget, display_id=view.display_id, place=view.place))
        why, picture["stale"] = picture["stale"], None
        html, text = view_html(picture), view_text(picture)
        if live.kind == "task" and self._screen.can_change:
            self.finished.keep(live.id, html, text, view.display_id, view.place, why)
        html, text = mark_stale(html, text, why)
        self._screen.update({"text/html": html, "text/plain": text}, view.display_id, view.place)
        view.release()

    def drop(self, view: View) -> None:
        """Leave a view in the form that it has."""
        with self.lock:
            view.is_final = True
            self._forget(view)
        view.release()

    def _forget(self, view: View) -> None:
        self.views.pop(view.live.id, None)
        if not self.views:
            self._waiting.clear()
            self._entries = 0
            if not self._waits:
                self._hurry.set()
        if self._listeners:
            self.lock.notify_all()

    def static(self, view: View) -> Bundle:
        """Return the static forms of an open view: they stand in for the widget where there is none."""
        with self.work:
            picture = view.picture(compact=self.mode == "compact", brief=True)
            return {"text/html": view_html(picture), "text/plain": view_text(picture)}

    def settle(self, views: Sequence[View], timeout: float = LOST_AFTER) -> None:
        """Paint the final form of views whose runs have ended, in this thread.

        ``timeout`` (seconds) is how long to wait for commits that are on their way.
        """
        deadline = time.monotonic() + timeout
        while views:
            with self.work:
                self._take_in(None)
                late = [view for view in views if not view.is_final and not view.is_over]
                if not late or time.monotonic() >= deadline:
                    for view in late:
                        # The store refused the last entries (another process closed the run).
                        view.end()
                    for view in views:
                        if not view.is_final:
                            view.context.copy().run(self._paint_final, view)
                    return
            with self.lock:
                if not self._waiting:
                    self._listen(max(0.0, deadline - time.monotonic()))
