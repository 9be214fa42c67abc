"""The views of task cells whose outputs are out of date are marked, and those that are not any more are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from jupyter_wf.notebook.ledger import Ledger

__all__ = ["StaleMarks"]

_AGAIN = "it was run again"


class _Marks(Protocol):
    """Where views are marked."""

    def mark_stale(self, run_ids: Mapping[str, str | None]) -> None:
        """Say of views why they are out of date; None takes it back."""


class StaleMarks:
    """Keeps the marks of the views on ``board`` as the ``ledger`` has it."""

    def __init__(self, ledger: Ledger, board: _Marks) -> None:
        self._ledger = ledger
        self._board = board
        #: By run: its task, and why what it left is out of date.
        self._known: dict[str, tuple[str, str | None]] = {}

    def update(self) -> None:
        """Mark what is out of date by now."""
        now = {s.record.run_id: (s.task.name, s.stale) for s in self._ledger.status() if s.record is not None}
        names = {name for name, _ in now.values()}
        before, self._known = self._known, now
        changed = {run_id: why for run_id, (name, why) in now.items() if before.get(run_id, (name, None))[1] != why}
        for run_id, (name, _) in before.items():
            if run_id not in now and name in names:
                # It ran in the view of a whole notebook, maybe: this one below its cell is not the newest.
                changed[run_id] = _AGAIN
        if changed:
            self._board.mark_stale(changed)
