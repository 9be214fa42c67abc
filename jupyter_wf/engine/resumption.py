"""Going on, in this process, with a flow run that has ended, or was suspended, in this one or another."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from jupyter_wf.core.errors import FlowPauseTimeout, InputRefused, ParameterError, PauseError, RunFinished
from jupyter_wf.core.forms import as_form, faults
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.callee import Callee, bind
from jupyter_wf.engine.calls import Invocation, continue_run
from jupyter_wf.engine.drivers import settle
from jupyter_wf.engine.handover import changed_call, keep_arguments, kept_arguments
from jupyter_wf.engine.pausing import answer_to, keep_answer
from jupyter_wf.engine.resuming import load_earlier
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, current_runtime

__all__ = ["answer", "resume_run", "take_over"]

#: Two threads of one process are the same owner to the store.
_one_by_one = threading.Lock()


def resume_run(callee: Callee, run_id: str, changed: Mapping[str, Any]) -> LiveRun:
    """Make the next attempt of a run, in the calling thread; return the run. Raises what `take_over` raises."""
    live, args, kwargs = take_over(callee, run_id, changed)
    try:
        return continue_run(callee, live, args, kwargs)
    except BaseException as error:
        # It may have come before the run was driven.
        settle(live, error)
        raise


def take_over(
    callee: Callee, run_id: str, changed: Mapping[str, Any]
) -> tuple[LiveRun, tuple[Any, ...], dict[str, Any]]:
    """Make this process the owner of a run's next attempt; return the run and the arguments to call its flow with.

    Raises `RunNotFound`; `RunFinished` where it COMPLETED or another process has it; `ParameterError` where it is a run
    of another flow, or an argument is missing or wrong; `MissingResult` where the stored arguments can't be read;
    `InputRefused` where it was suspended to wait for an input that nobody has given, and `FlowPauseTimeout` where it
    waited too long.
    """
    runtime = current_runtime()
    # Its first use makes this process known in the store.
    runtime.journal.flush()
    run = runtime.store.get_run(run_id)
    if run.kind != "flow" or run.flow_name != callee.name:
        which = f"{run_id} is a run of the {run.kind} {run.task_name or run.flow_name!r}, not of {callee.name!r}"
        raise ParameterError("flow_run_id", which)
    if run.state.is_completed():
        raise RunFinished(run.id, run.state.name, "resumed")
    args, kwargs = changed_call(callee, run.parameters, kept_arguments(runtime, run), changed)
    # What does not fit the flow is refused before there is an attempt.
    checked = Invocation(callee, args, kwargs)
    args, kwargs = checked.args, checked.kwargs
    arguments = bind(callee, args, kwargs)
    with _one_by_one:
        live = _adopt(runtime, run)
    live.parameters = arguments
    if changed:
        live.patch(parameters=json.loads(to_json(arguments)))
        keep_arguments(runtime, run.id, callee, arguments)
    return live, args, kwargs


def _adopt(runtime: Runtime, run: Run) -> LiveRun:
    known = runtime.find(run.id)
    if known is not None and known.is_open and known.state.name != "Suspended":
        raise RunFinished(run.id, known.state.name, "resumed: it is under way in this process")
    _let_go_on(runtime, run)
    return runtime.adopt(runtime.store.take_over(run.id, runtime.process.id))


def _let_go_on(runtime: Runtime, run: Run) -> None:
    """Answer what a suspended run waits for, where it is nothing but to be resumed."""
    for asked, question in _open_questions(runtime, run):
        _expire(runtime, run, asked, question)
        if answer_to(runtime, asked.id, question["key"])[0]:
            continue
        if question["schema"] is not None:
            why = "it waits for an input; give it: resume_flow_run(run_id, run_input=…), or --input NAME=VALUE"
            raise InputRefused(asked.id, why)
        keep_answer(runtime, asked.id, question["key"], None)


def answer(runtime: Runtime, run: Run, given: Any) -> Run:
    """Answer a suspended run, with a JSON value; return the run to be resumed: the outermost that waits with it.

    Raises `InputRefused` where it is not the input that the run waits for, as far as its schema tells: the rest is
    judged by the run itself, which is suspended again with what is wrong. Raises `FlowPauseTimeout` where it is too
    late, and `PauseError` where several runs below it wait for an input.
    """
    top = run
    while top.parent_id is not None and (above := runtime.store.get_run(top.parent_id)).state.name == "Suspended":
        top = above
    questions = _open_questions(runtime, run)
    asking = [asked for asked, question in questions if question["schema"] is not None]
    if len(asking) > 1:
        ids = ", ".join(asked.id for asked in asking)
        raise PauseError(f"more than one run below {run.id} waits for an input: resume them one by one ({ids})")
    for asked, question in questions:
        _expire(runtime, top, asked, question)
        keep_answer(runtime, asked.id, question["key"], _checked(asked, question["schema"], given))
    runtime.journal.flush()
    return top


def _checked(asked: Run, schema: Mapping[str, Any] | None, given: Any) -> Any:
    if schema is None:
        return None
    form = as_form(schema, given)
    wrong = faults(schema, form)
    if wrong:
        raise InputRefused(asked.id, "; ".join(wrong))
    return form


def _open_questions(runtime: Runtime, run: Run) -> list[tuple[Run, Mapping[str, Any]]]:
    """Return the runs of a suspended tree that were suspended by themselves, each with what it waits for.

    Those above them wait for them; ``run`` alone where it is one of them.
    """
    if not (run.state.is_paused() and run.state.name == "Suspended"):
        return []
    if run.source.get("pause"):
        return [(run, run.source["pause"])]
    below = RunFilter(root_id=run.root_id, states=("Suspended",), oldest_first=True)
    return [(each, each.source["pause"]) for each in runtime.store.list_runs(below).items if each.source.get("pause")]


def _expire(runtime: Runtime, run: Run, asked: Run, question: Mapping[str, Any]) -> None:
    """Make a run FAILED that was suspended for longer than it was to be, and raise `FlowPauseTimeout`."""
    until = question["timeout_at"]
    if until is None or time.time() <= until:
        return
    error = FlowPauseTimeout(asked.id, asked.name, question["timeout"])
    live = runtime.adopt(runtime.store.take_over(run.id, runtime.process.id))
    live.patch(source={"pause": None})
    # What is suspended below it can't be closed but by its next attempt.
    load_earlier(live)
    live.set_state(StateType.FAILED, None, str(error), error=error, data=error)
    runtime.journal.flush()
    raise error
