"""The next attempt of a flow run: what its earlier attempts completed is restored, everything else runs (again)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.models import Earlier, Run
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.fingerprints import explain
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.keeping import look_up
from jupyter_wf.engine.runs import LiveRun

__all__ = ["load_earlier", "next_attempt", "reopened", "restored"]


def load_earlier(live: LiveRun) -> None:
    """Take up what the earlier attempts of a run left, by what was called and the how-manieth call it was.

    What is suspended below the run waits from now on for its call; where that does not come, it is closed with the run.
    """
    left: dict[tuple[str, int], Earlier] = {}
    for each in live.runtime.store.earlier(live.id):
        if each.state.is_paused() and each.state.name == "Suspended":
            _reopen(_live(live.runtime, live, each))
        elif not each.state.is_closed():
            # A thread of an attempt before, in this process, that could not be stopped: the run is still its own.
            continue
        if each.call_number is not None:
            name = each.task_name or each.name if each.kind == "task" else f"{each.kind} {each.flow_name}"
            left[name, each.call_number] = each
    live.family.earlier = left


def reopened(
    host: Host, parent: LiveRun, callee: Callee, earlier: Earlier, parameters: Mapping[str, Any]
) -> tuple[LiveRun, Earlier | None]:
    """Return the run of an earlier attempt as one of this process, and what may be restored of it.

    One that did not complete, or left nothing, begins its next attempt at once.
    """
    live = parent.children.get(earlier.id) or _live(host, parent, earlier)
    live.callee = callee
    live.max_attempts = callee.policy.retries + 1
    live.parameters = parameters
    live.tags = callee.tags
    if live.is_open:
        live.patch(parameters=json.loads(to_json(parameters)))
        return live, None
    # What has a teardown was torn down when the attempt ended, and has to be set up anew, and torn down again.
    stands = earlier.state.is_completed() and earlier.state.name != "Skipped" and callee.teardown is None
    if stands and earlier.format is not None:
        return live, earlier
    _reopen(live, parameters=json.loads(to_json(parameters)))
    return live, None


def _live(host: Host, parent: LiveRun, earlier: Earlier) -> LiveRun:
    live = LiveRun(
        host,
        run_id=earlier.id,
        kind=earlier.kind,
        name=earlier.name,
        flow_name=earlier.flow_name,
        task_name=earlier.task_name,
        parent=parent,
        parent_id=parent.id,
        root_id=parent.root_id,
        attempt=earlier.attempt,
        state=earlier.state,
    )
    live.story.append(earlier.state.name)
    return live


def next_attempt(parent: LiveRun, run: Run, **facts: Any) -> LiveRun:
    """Begin the next attempt of an ended run below ``parent``, in state PENDING; ``facts`` are patched into its record.

    It belongs to this process from now on.
    """
    live = LiveRun(
        parent.runtime,
        run_id=run.id,
        kind=run.kind,
        name=run.name,
        flow_name=run.flow_name,
        task_name=run.task_name,
        parent=parent,
        parent_id=parent.id,
        root_id=parent.root_id,
        attempt=run.attempt,
        state=run.state,
    )
    live.story.append(run.state.name)
    _reopen(live, **facts)
    return live


def _reopen(live: LiveRun, **facts: Any) -> None:
    """Begin the next attempt of a run, which belongs to this process from now on."""
    if live.parent is not None:
        live.inherit(live.parent)
    live.set_state(StateType.PENDING, new_attempt=True)
    live.patch(process_id=live.runtime.process.id, **facts)


def restored(live: LiveRun, callee: Callee, earlier: Earlier) -> bool:
    """Take over the value of an earlier attempt's run, if it is of the same call; else begin its next attempt.

    The same call is: the same source of the function, the same inputs.
    """
    assert earlier.format is not None and earlier.data is not None
    before = earlier.parameters if earlier.inputs == "" else earlier.inputs
    now = to_json(live.parameters) if live.inputs == "" else live.inputs
    if before is None or now is None:
        why = "its inputs can't be compared with those of the attempt before"
    elif before == now and earlier.code == callee.keeping.code:
        try:
            value = look_up(live, (earlier.format, earlier.data))
        except MissingResult as error:
            why = str(error)
        else:
            live.state = replace(live.state, data=value)
            if live.parent is not None:
                live.parent.family.restored.append(live.id)
            return True
    else:
        why = explain(earlier.code, before, callee.keeping.code, now)
    if live.state.is_closed():
        _reopen(live, parameters=json.loads(to_json(live.parameters)))
        live.log(logging.INFO, f"called again: {why}")
    return False
