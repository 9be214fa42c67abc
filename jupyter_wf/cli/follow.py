"""Watching one run tree in the stream of events: what views are drawn from."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from jupyter_wf.core.models import Event, Run
from jupyter_wf.engine.tail import Tail
from jupyter_wf.store.base import Store

__all__ = ["Board", "Follower", "View"]

#: How often (seconds) the root is read again without an event: a dead process commits nothing.
_RECHECK = 0.5


class Board:
    """A run, which need not be a root, and everything below it, as last committed; the runs in order of creation."""

    def __init__(self, root_id: str) -> None:
        self.root_id = root_id
        self.runs: dict[str, Run] = {}
        self.last_logs: dict[str, str] = {}
        self._strangers: set[str] = set()

    @property
    def root(self) -> Run | None:
        """The root run, once it was seen."""
        return self.runs.get(self.root_id)

    @property
    def ended(self) -> bool:
        """Whether the root run has ended, or is suspended: then nothing more comes of its process."""
        state = None if self.root is None else self.root.state
        return state is not None and (state.is_closed() or (state.is_paused() and state.name == "Suspended"))

    def rows(self) -> list[Run]:
        """Return the runs below the root, in order of creation."""
        below = [run for run in self.runs.values() if run.id != self.root_id]
        return sorted(below, key=lambda run: run.created_at)

    def take(self, store: Store, events: Iterable[Event]) -> list[Event]:
        """Bring the board up to date with ``events``; return those of this tree."""
        ids = {event.run_id for event in events if event.run_id not in self._strangers}
        logs_only = {event.run_id for event in events} - {event.run_id for event in events if event.kind != "log"}
        wanted = [run_id for run_id in ids if run_id not in self.runs or run_id not in logs_only]
        found = store.get_runs({*wanted, self.root_id}).values()
        for run in sorted(found, key=lambda run: run.created_at):
            # It may itself be below a run of another process: a notebook's cell that calls this command.
            if self.root_id in (run.id, run.root_id) or run.parent_id in self.runs:
                self.runs[run.id] = run
            else:
                self._strangers.add(run.id)
        ours = [event for event in events if event.run_id in self.runs]
        for event in ours:
            if event.kind == "log":
                self.last_logs[event.run_id] = str(event.payload.get("message", ""))
        return ours


class View(Protocol):
    """Shows a board. All methods are called on the follower's thread."""

    def start(self) -> None:
        """Begin to draw."""

    def changed(self, board: Board, events: Sequence[Event]) -> None:
        """Take note of new events; the board has them already."""

    def stop(self, board: Board) -> None:
        """Draw the last time."""


class Follower:
    """A thread that keeps a board and a view up to date until the root run has ended.

    The root may be named at once or later (`watch`): a flow in this process makes its run when it is called. Events
    after ``after`` are seen.
    """

    def __init__(self, store: Store, view: View, *, after: int) -> None:
        self._store = store
        self._view = view
        self._tail = Tail(store, after=after)
        self._named = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jupyter-wf-follower", daemon=True)
        self._gone = False
        self.board: Board | None = None
        self.error: Exception | None = None

    def watch(self, root_id: str) -> None:
        """Say which run to follow; the first call counts."""
        if self.board is None:
            self.board = Board(root_id)
            self._named.set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the root run has ended and was drawn, at most ``seconds``; return whether that is so."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop, also where the run has not ended."""
        self._gone = True
        self._named.set()
        self._tail.close()
        self._thread.join()

    def _work(self) -> None:
        self._named.wait()
        board = self.board
        if board is None:
            return
        try:
            self._view.start()
            try:
                self._follow(board)
            finally:
                self._view.stop(board)
        except Exception as error:
            self.error = error

    def _follow(self, board: Board) -> None:
        looked = 0.0
        while not self._gone:
            events = self._tail.wait(0 if board.ended else _RECHECK)
            now = time.monotonic()
            if events or now - looked > _RECHECK:
                looked = now
                self._view.changed(board, board.take(self._store, events))
            if board.ended and not events:
                return
