"""What the engine is told of a task cell: its options, and how what it leaves is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_wf.core.events import Kept
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.fingerprints import Unhashable, changed_inputs, inputs_of
from jupyter_wf.engine.keeping import Keeping
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.celltask import PreparedCell
from jupyter_wf.notebook.overlay import NO_DATA
from jupyter_wf.notebook.shelf import Shelf
from jupyter_wf.tasks import Task

__all__ = ["CellKeeping", "make_callee"]


class CellKeeping(Keeping):
    """Keeps what a cell leaves, each name for itself, where its runs are to be resumed.

    ``here`` tells that the body runs in the notebook's namespace: then what it has changed in place is kept too.
    """

    def __init__(self, prepared: PreparedCell, *, persist: bool, here: bool = False) -> None:
        super().__init__(prepared.run_here)
        self._prepared = prepared
        self._persist = persist
        self._here = here

    @property
    def code(self) -> str:
        """The fingerprint of the cell's body."""
        return self._prepared.code

    def kept(self, live: LiveRun, value: Any) -> Kept | None:
        """Return what is stored; names that can't be stored are said in the run's log."""
        if not self._persist or not isinstance(value, Mapping):
            return None
        shelved = Shelf(live.runtime.blobs).keep({**self._changed_in_place(live), **value})
        for name, why in shelved.missing.items():
            live.log(logging.WARNING, f"{name!r} is not stored, so a resumed run will run this cell again: {why}")
        return Kept(*shelved.payload, self.code, live.inputs)

    def _changed_in_place(self, live: LiveRun) -> dict[str, Any]:
        """Return the data that the cell has read and left otherwise than it was, by name."""
        if not self._here or live.inputs is None:
            return {}
        found = {}
        for name, value in self._prepared.inputs().items():
            if isinstance(value, NO_DATA):
                continue
            try:
                changed = bool(changed_inputs(live.inputs, inputs_of({name: value})))
            except Unhashable:
                # It had a fingerprint before.
                changed = True
            if changed:
                found[name] = value
        # What it would have deleted in another case.
        spared = self._prepared.body.names.deletes & self._prepared.namespace.keys()
        return found | {name: self._prepared.namespace[name] for name in spared}


def make_callee(
    prepared: PreparedCell, fn: Callable[[], Any], *, plain: bool = False, here: bool = False, **more: Any
) -> Callee:
    """Return how the engine runs the cell, its work being ``fn``.

    ``plain`` leaves the options of the line out: of a mapped cell they hold for its items. ``here`` tells that the work
    is done in the notebook's namespace. ``more`` are fields of the `Callee` that differ.
    """
    options = prepared.task.options
    chosen: dict[str, Any] = {}
    if not plain:
        chosen = {
            "retries": options.retries,
            "retry_delay_seconds": options.retry_delay_seconds,
            "timeout_seconds": options.timeout_seconds,
        }
    if options.run_if is not None:
        chosen["trigger"] = options.run_if
    made: Task[..., Any] = Task(
        fn,
        name=prepared.task.name,
        # A cell is one task, not one of many calls: its runs bear its name without a number.
        task_run_name=prepared.task.name,
        tags=options.tags,
        log_prints=options.log_prints,
        source=prepared.origin,
        **chosen,
    )
    keeping = CellKeeping(prepared, persist=prepared.persist, here=here)
    made.callee = made.callee._replace(keeping=keeping, persist=prepared.persist, **more)
    return made.callee
