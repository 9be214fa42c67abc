"""Pausing, suspending, resuming and awaiting flow runs. Names are Prefect 3's."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from json import dumps
from typing import Any
from uuid import UUID

from jupyter_wf.core.errors import (
    FlowPauseTimeout,
    FlowRunWaitTimeout,
    InputRefused,
    MissingResult,
    ParameterError,
    PauseError,
    RunFinished,
    TargetError,
)
from jupyter_wf.core.models import Run
from jupyter_wf.core.settings import HOME_VARIABLE, PARENT_VARIABLE
from jupyter_wf.core.states import LazyValue
from jupyter_wf.engine.awaiting import either, is_awaiting
from jupyter_wf.engine.context import ROOT_VARIABLE
from jupyter_wf.engine.pausing import REFUSED, Pause, Question, answer_to, current_flow_run
from jupyter_wf.engine.resumption import answer
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.store.blobs import Payload

__all__ = [
    "FlowPauseTimeout",
    "FlowRunWaitTimeout",
    "check_times",
    "pause_flow_run",
    "resume_flow_run",
    "suspend_flow_run",
    "wait_for_flow_run",
]

_log = logging.getLogger(__name__)
#: How often (seconds) it is looked whether anybody has committed anything, which costs microseconds.
_INTERVAL = 0.01
#: How long (seconds) the owner of a paused run, or a new process, may take to be heard of.
_PATIENCE = 60.0
_LOG_TAIL = 2_000
#: How long (seconds) a run that has failed may take to be tried again, where nobody is there to see to that.
_UNSETTLED = 60.0


def pause_flow_run(
    wait_for_input: Any = None, timeout: float | None = 3600, poll_interval: float = 10, key: str | None = None
) -> Any:
    """Pause the flow run whose body calls this until `resume_flow_run` is called; its process waits.

    ``wait_for_input`` is a type, a pydantic model or a `RunInput` (see `RunInput.with_initial_data`): returns the
    validated input, else None; in an asynchronous flow an awaitable. ``timeout`` is in seconds, None for no end;
    ``poll_interval`` does not matter: it goes on within 50 ms. ``key`` names the pause: where it has been resumed
    before, in this attempt or an earlier one, it does not pause again but returns the same input. Without a key, it is
    the number of the pause that counts.

    Raises `FlowPauseTimeout`; `PauseError` outside of a flow's body; `ParameterError` for what can't be asked for.
    """
    pause = Pause(current_flow_run("pause_flow_run()"), _question(wait_for_input), timeout, key)
    if is_awaiting():
        return _paused(pause)
    return pause.value if pause.known() else pause.wait()


async def _paused(pause: Pause) -> Any:
    # Only those who await need it.
    import asyncio

    from jupyter_wf.engine.pausing_async import pause_async

    return pause.value if await asyncio.to_thread(pause.known) else await pause_async(pause)


def suspend_flow_run(wait_for_input: Any = None, timeout: float | None = 3600, key: str | None = None) -> Any:
    """End the attempt of the flow run whose body calls this: it waits without a process until it is resumed.

    Its next attempt restores the tasks that have completed, comes to this call again, and goes on from here: returns
    the input that it was resumed with, None without ``wait_for_input``; in an asynchronous flow an awaitable. The
    arguments are those of `pause_flow_run`; a run that is resumed after ``timeout`` seconds FAILED instead.

    Raises `PauseError` outside of a flow's body; `ParameterError` for what can't be asked for.
    """
    pause = Pause(current_flow_run("suspend_flow_run()"), _question(wait_for_input), timeout, key)
    if is_awaiting():
        return _suspended(pause)
    return _come_back(pause, pause.known())


async def _suspended(pause: Pause) -> Any:
    # Only those who await need it.
    import asyncio

    return _come_back(pause, await asyncio.to_thread(pause.known))


def _come_back(pause: Pause, known: bool) -> Any:
    if not known:
        pause.suspend()
    pause.end_suspension()
    return pause.value


def _question(wanted: Any) -> Question | None:
    if wanted is None:
        return None
    # Only a pause that asks for something needs pydantic.
    from jupyter_wf.input.questions import make_question

    return make_question(wanted)


def resume_flow_run(flow_run_id: str | UUID, run_input: Any = None) -> Any:
    """Let a paused or suspended flow run go on, whichever process it is of. Gives an awaitable in an event loop.

    ``run_input`` is what it waits for: a pydantic model, a dict of its fields, or the plain value. A suspended run goes
    on in a new process, in the background; what that prints is in ``runs/ID/resume.log`` of the home folder.
    Returns None when the run has begun to go on.

    Raises `InputRefused`, with the field's name, where the input is not what the run waits for, which it then goes on
    to do; `RunNotFound`; `RunFinished` for a run that is not paused; `FlowPauseTimeout` for a suspended one that has
    waited too long, which FAILED by that; `TargetError` for a suspended run of a flow that no other process can
    import: call ``the_flow.resume(flow_run_id)`` where it is defined; `PauseError` where its process does not answer.
    """
    run_id = str(flow_run_id)
    given = _plain(run_input)
    return either(lambda: _resume(run_id, given))


def _plain(run_input: Any) -> Any:
    """Return an input as a JSON value."""
    dump = getattr(run_input, "model_dump", None)
    plain = run_input if dump is None else dump(mode="json")
    try:
        dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError("run_input", f"is neither a pydantic model nor a JSON value: {error}") from None
    return plain


def _resume(run_id: str, given: Any) -> None:
    runtime = current_runtime()
    # Its first use makes this process known in the store.
    runtime.journal.flush()
    run = runtime.store.get_run(run_id)
    if not run.state.is_paused():
        raise RunFinished(
            run.id, run.state.name, "resumed: only a paused one can be (the flow's own resume() can do more)"
        )
    if run.state.name == "Suspended" and run.process_id is None:
        _go_on_elsewhere(runtime, answer(runtime, run, given))
    else:
        _resume_paused(runtime, run, given)


def _resume_paused(runtime: Runtime, run: Run, given: Any) -> None:
    store = runtime.store
    payload = None if given is None else dumps(given)
    request = store.request(run.id, "resume", payload)

    def answered() -> str | None:
        outcome = store.get_request(request.id).outcome
        if outcome is not None or not (now := store.get_run(run.id)).state.is_closed():
            return outcome
        # It may have ended before there was time to tell us that it goes on.
        asked = run.source.get("pause")
        if asked and answer_to(runtime, run.id, asked["key"]) != (True, given):
            raise RunFinished(run.id, now.state.name, "resumed")
        return "resumed"

    outcome = _when(runtime, answered, _PATIENCE)
    if outcome is None:
        raise PauseError(f"run {run.id} was not resumed: its process has not answered within {_PATIENCE:g} s")
    if request.payload != payload:
        # Somebody else's request was open already, and stood for this one.
        if outcome.startswith(REFUSED):
            return _resume_paused(runtime, run, given)
        raise PauseError(f"run {run.id} was resumed by somebody else, with another input")
    if outcome.startswith(REFUSED):
        raise InputRefused(run.id, outcome.removeprefix(REFUSED))
    if outcome != "resumed":
        raise PauseError(f"run {run.id} was not resumed: {outcome}")
    return None


def _go_on_elsewhere(runtime: Runtime, run: Run) -> None:
    """Start a process that makes the next attempt of a suspended run, and return when it has begun to."""
    if not run.source.get("entrypoint"):
        why = "no other process can import it (it is not in a file or module)"
        raise TargetError(str(run.flow_name), f"{why}; where it is defined, call its resume({run.id!r})")
    folder = runtime.settings.runs / run.id
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = folder / "resume.log"
    environment = {name: text for name, text in os.environ.items() if name not in (PARENT_VARIABLE, ROOT_VARIABLE)}
    with log.open("ab") as out:
        begun_at = out.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_wf", "resume", run.id],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**environment, HOME_VARIABLE: str(runtime.settings.home)},
            start_new_session=True,
        )
    # Somebody has to wait for it, as long as we are there.
    threading.Thread(target=process.wait, name=f"jupyter-wf-resumed-{run.id[:8]}", daemon=True).start()

    def begun() -> bool:
        return process.poll() is not None or runtime.store.get_run(run.id).attempt > run.attempt

    _when(runtime, begun, _PATIENCE)
    if runtime.store.get_run(run.id).attempt <= run.attempt:
        said = log.read_bytes()[begun_at:][-_LOG_TAIL:].decode(errors="replace").strip()
        raise TargetError(str(run.source["entrypoint"]), f"the run can't go on in a process of its own: {said or log}")


def _when(runtime: Runtime, probe: Callable[[], Any], seconds: float | None) -> Any:
    """Return what ``probe`` gives as soon as it is true, or what it gives after ``seconds``."""
    until = None if seconds is None else time.monotonic() + seconds
    pause = threading.Event()
    with runtime.waiting():
        while not (found := probe()) and (until is None or time.monotonic() < until):
            # It may depend on a process's death too, which is no commit.
            pause.wait(_INTERVAL)
    return found


def wait_for_flow_run(
    flow_run_id: str | UUID, timeout: float | None = 10800, poll_interval: float | None = None, log_states: bool = False
) -> Any:
    """Wait until a flow run, of whichever process, has ended; return the `Run`, in an event loop an awaitable of it.

    ``timeout`` is in seconds, None for no end; ``poll_interval`` (seconds) is how often it is looked, by default what
    is good. ``log_states`` has each state logged. A suspended run has not ended, nor has one of a deployment that is to
    be tried again. What a completed run has returned is ``run.state.result()``. Raises `RunNotFound`,
    `FlowRunWaitTimeout`, and `ParameterError` for a time that is none.
    """
    check_times(timeout=timeout, poll_interval=poll_interval)
    waiting = _Waiting(current_runtime(), str(flow_run_id), timeout, log_states)
    interval = waiting.runtime.settings.tail_interval if poll_interval is None else poll_interval
    if is_awaiting():
        return _ended(waiting, interval)
    pause = threading.Event()
    with waiting.runtime.waiting():
        while not waiting.over():
            pause.wait(waiting.left(interval))
    return waiting.ended()


def check_times(**given: Any) -> None:
    """Refuse, with a `ParameterError`, what is neither None nor a number of seconds from 0."""
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0):
            raise ParameterError(name, f"{value!r:.100} is not a number of seconds from 0")


async def _ended(waiting: _Waiting, interval: float) -> Run:
    # Only those who await need it.
    import asyncio

    while not await asyncio.to_thread(waiting.over):
        await asyncio.sleep(waiting.left(interval))
    return waiting.ended()


class _Waiting:
    """Looks at a run until it has ended or the time is up."""

    def __init__(self, runtime: Runtime, run_id: str, timeout: float | None, log_states: bool) -> None:
        self.runtime = runtime
        self._timeout = timeout
        self._until = None if timeout is None else time.monotonic() + timeout
        self._logs = log_states
        self._told = 0
        self._failed_until: float | None = None
        # It may be one of this process, begun just now.
        runtime.journal.flush()
        self._run = runtime.store.get_run(run_id)

    def over(self) -> bool:
        """Look at the run, and return whether it has ended for good."""
        if not self._look().state.is_final():
            self._failed_until = None
            return False
        return not self._may_go_on() and self._look().state.is_final()

    def ended(self) -> Run:
        """Return the run that is over, with what reads its result."""
        run, runtime = self._run, self.runtime
        if not run.state.is_completed():
            return run

        def load() -> Any:
            kept = runtime.store.run_result(run.id)
            if kept is not None:
                return runtime.blobs.load(Payload(kept.format, kept.data))
            if run.source.get("notebook"):
                # One that returns nothing.
                return None
            raise MissingResult(f"run {run.id} has no result to read: it was not stored")

        return replace(run, state=replace(run.state, data=LazyValue(load)))

    def _may_go_on(self) -> bool:
        """Return whether whoever sees to the ends of queued runs has yet to say that this one is not tried again."""
        state = self._run.state
        if not (state.is_failed() or state.is_crashed()):
            return False
        queued = self.runtime.store.queue.get(self._run.id) if self._run.source.get("queued") else None
        if queued is None or queued.settled:
            return False
        if not queued.policies.retries and queued.policies.on_crash != "resume":
            return False
        if self._failed_until is None:
            self._failed_until = time.monotonic() + _UNSETTLED
        return time.monotonic() < self._failed_until

    def _look(self) -> Run:
        run = self._run = self.runtime.store.get_run(self._run.id)
        if self._logs:
            states = self.runtime.store.states(run.id)
            for event in states[self._told :]:
                _log.info("flow run %r is %s", run.name, event.payload["name"])
            self._told = len(states)
        return run

    def left(self, interval: float) -> float:
        """Return how long (seconds) to wait before the next look. Raises `FlowRunWaitTimeout`."""
        left = interval if self._until is None else self._until - time.monotonic()
        if left <= 0:
            raise FlowRunWaitTimeout(self._run.id, self._run.state.name, self._timeout or 0.0)
        return min(interval, left)
