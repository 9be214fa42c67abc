"""A flow of a file or module, executed in a runner process as the run that waited for it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from jupyter_wf.core.arguments import signature_arguments
from jupyter_wf.core.deployments import QueuedRun
from jupyter_wf.core.errors import ParameterError, TargetError
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.asynchronous import continue_async
from jupyter_wf.engine.callee import Callee, bind, named, with_executor
from jupyter_wf.engine.calls import continue_run
from jupyter_wf.engine.handover import keep_arguments, log_lines, whereabouts
from jupyter_wf.engine.prints import printing
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import set_runtime
from jupyter_wf.flows import Flow
from jupyter_wf.services.deadlines import Guard
from jupyter_wf.sources import load_flow, parse_entrypoint

__all__ = ["execute_flow"]

_ERROR = 40


def execute_flow(live: LiveRun, queued: QueuedRun, *, folder: Path) -> None:
    """Execute a flow, on the main thread, as the run ``live``, which this process owns; return when it has ended.

    A flow of a file works in the file's folder, one of a module in ``folder``. What it prints is logged too. A run
    that is to stop, or has used up its time, and does not stop by itself takes this process with it.
    """
    set_runtime(live.runtime)  # type: ignore[arg-type]
    try:
        with Guard(live, queued.policies.timeout), _ended_by_sigterm():
            _execute(live, queued, folder)
    except (KeyboardInterrupt, SystemExit):
        # Its run says so.
        pass
    finally:
        live.runtime.journal.flush()
        set_runtime(None)


def _execute(live: LiveRun, queued: QueuedRun, folder: Path) -> None:
    try:
        flow = _load(queued.target, folder)
        arguments = signature_arguments(flow.fn, f"the flow {flow.name!r}")
        kwargs = arguments.materialise(arguments.bind(dict(queued.parameters), {}))
        callee = _limited(flow.callee, queued.policies.timeout)
        bound = bind(callee, (), kwargs)
    except ParameterError as error:
        _refuse(live, StateType.FAILED, str(error), error)
        return
    except (TargetError, OSError) as error:
        _refuse(live, StateType.CRASHED, f"the flow can't be run: {error}", error)
        return
    live.max_attempts = callee.policy.retries + 1
    live.parameters = bound
    _note(live, callee, bound)
    with ExitStack() as stack:
        callee = with_executor(callee, stack)
        if callee.log_prints is None:
            stack.enter_context(printing(live))
        if callee.is_async:
            asyncio.run(continue_async(callee, live, (), kwargs))
        else:
            continue_run(callee, live, (), kwargs)


def _load(target: str, folder: Path) -> Flow[..., Any]:
    """Import the flow; from now on this process works where the flow does, and finds the modules beside it."""
    parsed = parse_entrypoint(target)
    place = Path(os.path.abspath(parsed.where)).parent if parsed.is_file else folder
    os.chdir(place)
    sys.path.insert(0, str(place))
    return load_flow(target)


def _limited(callee: Callee, timeout: float | None) -> Callee:
    """Return the callee with the time-out of the run, where that is the shorter one."""
    own = callee.policy.timeout_seconds
    if timeout is None or (own is not None and own <= timeout):
        return callee
    return callee._replace(policy=callee.policy._replace(timeout_seconds=timeout), quiet=False)


def _note(live: LiveRun, callee: Callee, arguments: dict[str, Any]) -> None:
    """Write down what is known of the run now, for those who look at it and who resume it by hand."""
    _, unkept = keep_arguments(live.runtime, live.id, callee, arguments)
    live.patch(source=dict(whereabouts(callee)), parameters=json.loads(to_json(arguments)))
    name = named(callee, arguments)
    if name is not None:
        live.patch(name=name)
    log_lines(live, unkept)
    live.runtime.journal.flush()


def _refuse(live: LiveRun, type_: StateType, message: str, error: Exception) -> None:
    live.log(_ERROR, message)
    live.close(type_, message, error)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM unwind the flow, whose run then says why it has ended."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise SystemExit("the runner was ended by SIGTERM")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
