"""A later attempt of a notebook run: cells that had completed are restored instead of run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.events import Kept
from jupyter_wf.core.models import Earlier
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.fingerprints import Unhashable, explain, inputs_of
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.notebook.celltask import PreparedCell
from jupyter_wf.notebook.elsewhere import CellValue
from jupyter_wf.notebook.redefining import why_not_again
from jupyter_wf.notebook.shelf import Shelf
from jupyter_wf.store.blobs import Payload

__all__ = ["EarlierTasks"]


class EarlierTasks:
    """The task cells of an attempt before, by name: each is taken up once."""

    def __init__(self, runtime: Runtime, flow_run_id: str, plan: Mapping[str, Any]) -> None:
        """Read what there is; ``plan`` is what `notebook.plan.Plan.told` returned."""
        self._runtime = runtime
        self._repairs = plan.get("mode") == "repair"
        self._again = frozenset(plan.get("again") or ())
        from_run = plan.get("from_run")
        self._same = from_run in (None, flow_run_id)
        found: dict[str, Earlier] = {}
        if from_run is not None or (plan.get("attempt") or 1) > 1:
            for each in runtime.store.earlier(from_run or flow_run_id):
                if each.kind == "task":
                    found[each.task_name or each.name] = each
        self._found = found
        #: Why what was taken up last is not restored, where a run of its own is to say so.
        self.why: str | None = None

    def take_up(self, prepared: PreparedCell) -> tuple[LiveRun | None, bool]:
        """Return the run that goes on with what an attempt before has left of a cell, and whether it is restored.

        A restored run is COMPLETED, as ``Resumed``, and what it left is in the notebook's namespace again. One that is
        not restored begins its next attempt; None where there is none of it to go on with.
        """
        self.why = None
        earlier = self._found.pop(prepared.task.name, None)
        if earlier is None:
            return None, False
        value, why = self._value(prepared, earlier)
        if value is None:
            if not self._same:
                self.why = why
                return None, False
            live = self._adopt(earlier)
            live.take_up()
            if why:
                live.log(logging.INFO, f"run again: {why}")
            return live, False
        return self._restored(prepared, earlier, value), True

    def _value(self, prepared: PreparedCell, earlier: Earlier) -> tuple[CellValue | None, str | None]:
        """Return what the cell left, or why that can't stand for it (None where it did not complete)."""
        if not earlier.state.is_completed() or earlier.state.name in ("Skipped", "Stopped"):
            return None, None
        if prepared.task.options.run_if not in (None, "all_success"):
            # Whether it runs is for this attempt to say: what it was about may not have happened.
            return None, None
        if prepared.task.name in self._again:
            return None, "it is to run again, or what it needs is"
        if earlier.format is None or earlier.data is None:
            return None, "what it left was not stored"
        if not self._repairs and (why := _changed(prepared, earlier)):
            return None, why
        payload, shelf = Payload(earlier.format, earlier.data), Shelf(self._runtime.blobs)
        task = prepared.task
        defines = bool(task.names.imports or task.names.definitions)
        if defines and (why := why_not_again(task.body)):
            return None, why
        try:
            for name, reason in shelf.missing(payload).items():
                return None, f"{name!r} could not be stored: {reason}"
            with prepared.defining():
                values = shelf.load(payload)
                prepared.put_back(values)
        except MissingResult as error:
            return None, str(error)
        except Exception as error:
            # A module that is gone, a decorator that refuses: the cell itself will say it.
            return None, f"what it defines can't be made again: {type(error).__name__}: {error}"
        return CellValue(values), None

    def _adopt(self, earlier: Earlier) -> LiveRun:
        runtime = self._runtime
        return runtime.adopt(runtime.store.get_run(earlier.id))

    def _restored(self, prepared: PreparedCell, earlier: Earlier, value: CellValue) -> LiveRun:
        assert earlier.format is not None and earlier.data is not None
        runtime, name = self._runtime, prepared.task.name
        if self._same:
            live = self._adopt(earlier)
            message = f"as attempt {earlier.attempt} has left it"
            live.take_up()
        else:
            live = runtime.begin(
                "task",
                name,
                task_name=name,
                upstream=prepared.edges,
                source=prepared.origin,
                tags=prepared.task.options.tags,
            )
            message = f"as run {earlier.id[:8]} has left it"
            prepared.tell(live)
        runtime.announce(live)
        kept = Kept(earlier.format, earlier.data, earlier.code, earlier.inputs)
        live.set_state(StateType.COMPLETED, "Resumed", message, data=value, kept=kept)
        return live


def _changed(prepared: PreparedCell, earlier: Earlier) -> str | None:
    """Return what is not as it was when the cell ran; None where nothing is."""
    try:
        inputs = inputs_of(prepared.inputs())
    except Unhashable as error:
        return str(error)
    if earlier.code == prepared.code and earlier.inputs == inputs:
        return None
    return explain(earlier.code, earlier.inputs, prepared.code, inputs)
