"""The next attempt of a flow run: what its earlier attempts completed is restored, everything else runs (again)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.models import Earlier
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.fingerprints import explain
from jupyter_wf.engine.keeping import look_up
from jupyter_wf.engine.runs import Host, LiveRun

__all__ = ["load_earlier", "reopened", "restored"]


def load_earlier(live: LiveRun) -> None:
    """Take up what the earlier attempts of a run left, by what was called and the how-manieth call it was."""
    found = live.runtime.store.earlier(live.id)
    live.family.earlier = {
        (
            each.task_name or each.name if each.kind == "task" else f"{each.kind} {each.flow_name}",
            each.call_number,
        ): each
        for each in found
        if each.call_number is not None
    }


def reopened(
    host: Host, parent: LiveRun, callee: Callee, earlier: Earlier, parameters: Mapping[str, Any]
) -> tuple[LiveRun, Earlier | None]:
    """Return the run of an earlier attempt as one of this process, and what may be restored of it.

    One that did not complete, or left nothing, begins its next attempt at once.
    """
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
    live.callee = callee
    live.max_attempts = callee.policy.retries + 1
    live.parameters = parameters
    live.tags = callee.tags
    live.story.append(earlier.state.name)
    if earlier.state.is_completed() and earlier.format is not None and earlier.state.name != "Skipped":
        return live, earlier
    _reopen(live)
    return live, None


def _reopen(live: LiveRun) -> None:
    if live.parent is not None:
        live.inherit(live.parent)
    live.set_state(StateType.PENDING, new_attempt=True)
    live.patch(parameters=json.loads(to_json(live.parameters)))


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
            return True
    else:
        why = explain(earlier.code, before, callee.keeping.code, now)
    if live.state.is_closed():
        _reopen(live)
        live.log(logging.INFO, f"called again: {why}")
    return False
