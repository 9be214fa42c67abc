"""Pauses of flow runs: entering them, waiting in them, what ends them, and the answers that are kept.

A paused run keeps its process, a suspended one has none. Either way the run's source holds what it waits for, as
``pause``, an object with ``key``, ``suspended``, ``schema`` (JSON schema of the input, null where it wants none),
``description``, ``initial`` (values for a form), ``timeout_at`` (epoch seconds or null) and ``refused`` (why an answer
was not taken); it is null when the pause has ended. An answer is kept as the result ``pause/RUN/KEY``, so that later
attempts do not ask again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Never

from jupyter_wf.core.errors import FlowPauseTimeout, InvalidTransition, ParameterError, PauseError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.signals import SuspendRun
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.awaiting import is_awaiting
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.runs import LiveRun

__all__ = [
    "REFUSED",
    "Hold",
    "Pause",
    "Question",
    "answer_to",
    "current_flow_run",
    "hold_back",
    "keep_answer",
    "pause_on_request",
]

#: How the owner's answer to a request begins where the input was not taken.
REFUSED = "refused: "
_COUNTED = "\0pause"
#: Seconds after which a waiting thread looks whether it has been interrupted.
_SLICE = 0.1


class Question(NamedTuple):
    """What a pause waits for: ``take`` makes the input of a JSON value, and raises where it is none."""

    take: Callable[[Any], Any]
    schema: Mapping[str, Any]
    description: str | None = None
    initial: Mapping[str, Any] | None = None


def current_flow_run(what: str) -> LiveRun:
    """Return the flow run whose body is being executed here. Raises `PauseError` anywhere else, saying ``what``."""
    live = CURRENT.get()
    if live is None:
        raise PauseError(f"{what} belongs in the body of a flow: there is no flow run here")
    if live.kind != "flow":
        raise PauseError(f"{what} belongs in the body of a flow: {live.kind} run {live.name!r} can't be paused")
    return live


def answer_to(host: Host, run_id: str, key: str) -> tuple[bool, Any]:
    """Return whether a pause of a run has been answered before, and the JSON value of the answer."""
    stored = host.store.find_result(_place(run_id, key), time.time())
    return (False, None) if stored is None else (True, json.loads(stored.data))


def keep_answer(host: Host, run_id: str, key: str, value: Any) -> None:
    """Have the answer, a JSON value, stored with the next commit."""
    data = json.dumps(value).encode()
    host.journal.append(ResultStored(run_id, time.time(), _place(run_id, key), None, "json", data))


def _place(run_id: str, key: str) -> str:
    return f"pause/{run_id}/{key}"


class Pause:
    """One pause of a flow run. ``timeout`` is in seconds, None for no end; ``key`` tells it from the run's others.

    Without a key it is the how-manieth of its attempt. Raises `ParameterError` for a key or time-out that is none.
    """

    def __init__(self, live: LiveRun, question: Question | None, timeout: float | None, key: str | None) -> None:
        given: tuple[object, object] = key, timeout
        if key is not None and not (isinstance(given[0], str) and 0 < len(key) <= 300):
            raise ParameterError("key", f"{key!r:.80} is not a text of 1 to 300 characters")
        if timeout is not None and not (isinstance(given[1], (int, float)) and timeout >= 0):
            raise ParameterError("timeout", f"{timeout!r:.80} is not a number of seconds")
        counts = live.family.call_numbers
        number = counts.get(_COUNTED, 0)
        counts[_COUNTED] = number + 1
        self.live = live
        self.key = key or f"pause-{number}"
        self.timeout = timeout
        self._question = question
        self._lock = threading.Lock()
        self._over = self._answered = False
        self._value: Any = None
        self.refused: str | None = None
        self._wake: Callable[[], Any] = lambda: None

    def known(self) -> bool:
        """Look whether the pause was answered before; `value` is then what was answered.

        Where what is kept is no answer after all, `refused` says why.
        """
        found, given = answer_to(self.live.runtime, self.live.id, self.key)
        if not found:
            return False
        try:
            self._value = self._take(given)
        except Exception as error:
            self.refused = _reason(error)
            return False
        return True

    @property
    def value(self) -> Any:
        """The input."""
        return self._value

    def _take(self, given: Any) -> Any:
        return None if self._question is None else self._question.take(given)

    def _told(self, *, suspended: bool) -> dict[str, Any]:
        question = self._question
        return {
            "key": self.key,
            "suspended": suspended,
            "schema": None if question is None else question.schema,
            "description": None if question is None else question.description,
            "initial": None if question is None else question.initial,
            "timeout": self.timeout,
            "timeout_at": None if self.timeout is None else time.time() + self.timeout,
            "refused": self.refused,
        }

    def suspend(self) -> Never:
        """End the attempt: the run waits, without a process, to be resumed."""
        self.live.patch(source={"pause": self._told(suspended=True)})
        wanted = None if self._question is None else "waits for its input"
        raise SuspendRun(wanted if self.refused is None else f"the input was refused: {self.refused}")

    def end_suspension(self) -> None:
        """Say that the run does not wait any more: a later attempt has come past its suspension."""
        self.live.patch(source={"pause": None})

    def begin(self, wake: Callable[[], Any]) -> None:
        """Enter PAUSED; ``wake`` is called, on any thread, when the run is resumed."""
        live = self.live
        self._wake = wake
        live.patch(source={"pause": self._told(suspended=False)})
        wanted = "waits for its input" if self._question is not None else None
        live.resume = self._resume
        try:
            live.set_state(StateType.PAUSED, "Paused", wanted)
        except InvalidTransition:
            # It is to stop, or was closed, since its body was last looked at.
            raise Interruption from None

    def _resume(self, payload: str | None) -> str:
        """Take the answer that somebody has sent; return what is told to them. Called on the watcher's thread."""
        given = None if payload is None else json.loads(payload)
        try:
            value = self._take(given)
        except Exception as error:
            return f"{REFUSED}{_reason(error)}"
        live = self.live
        with self._lock:
            if self._over:
                return f"the run is {live.state.name}"
            try:
                live.set_state(StateType.RUNNING)
            except InvalidTransition:
                return f"the run is {live.state.name}"
            keep_answer(live.runtime, live.id, self.key, given)
            live.patch(source={"pause": None})
            self._value = value
            self._over = self._answered = True
        self._wake()
        return "resumed"

    def end(self) -> None:
        """Leave the pause, however it ended. Does nothing where it was left before."""
        live = self.live
        with self._lock:
            self._over = True
            live.resume = None
            if self._answered:
                return
            live.patch(source={"pause": None})
            if not live.state.is_paused():
                return
            try:
                # Whatever goes on here, or catches what is raised, is at work again.
                live.set_state(StateType.RUNNING)
            except InvalidTransition:
                return

    def result(self) -> Any:
        """Return the input, after `end`. Raises `FlowPauseTimeout` where nobody has resumed the run."""
        if not self._answered:
            raise FlowPauseTimeout(self.live.id, self.live.name, self.timeout or 0.0)
        return self._value

    def wait(self) -> Any:
        """Pause the run in the calling thread until it is resumed; return the input.

        Raises `FlowPauseTimeout`, and `Interruption` where the run is to stop. Its thread's place in a pool is free
        meanwhile.
        """
        live = self.live
        hold_back(live)
        event = threading.Event()
        forget = live.on_cancel(event.set)
        until = None if self.timeout is None else time.monotonic() + self.timeout
        try:
            self.begin(event.set)
            live.runtime.journal.flush()
            with live.runtime.waiting():
                # In short waits: a thread notices an exception that is raised in it between them.
                while not event.wait(_SLICE if until is None else max(0.0, min(_SLICE, until - time.monotonic()))):
                    if until is not None and time.monotonic() >= until:
                        break
        finally:
            forget()
            self.end()
        if live.stopping:
            raise Interruption
        return self.result()


class Hold:
    """A pause that somebody else has asked for: until the run is resumed, no call that its body makes begins.

    What has begun goes on. Where the body comes to its end nevertheless, so does the hold.
    """

    def __init__(self, live: LiveRun) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._over = threading.Event()

    @property
    def over(self) -> bool:
        """Whether the run may go on."""
        return self._over.is_set() or self._live.stopping or not self._live.is_open

    def __call__(self, payload: str | None = None) -> str:
        """End it; return what is told to who has asked for that."""
        live = self._live
        with self._lock:
            if self._over.is_set():
                return f"the run is {live.state.name}"
            live.resume = None
            self._over.set()
            try:
                live.set_state(StateType.RUNNING)
            except InvalidTransition:
                return f"the run is {live.state.name}"
        return "resumed"

    def wait(self) -> None:
        """Wait in the calling thread, whose place in a pool is free meanwhile, until the run may go on.

        Raises `Interruption` where it is to stop.
        """
        forget = self._live.on_cancel(self._over.set)
        try:
            with self._live.runtime.waiting():
                while not self.over:
                    self._over.wait(_SLICE)
        finally:
            forget()
        if self._live.stopping:
            raise Interruption


def pause_on_request(live: LiveRun) -> str:
    """Have a flow run held, whose body does not know of it; return what is told to who has asked. See `Hold`."""
    if live.kind != "flow" or live.callee is None:
        return "only a flow can be paused"
    with live.lock:
        if not live.state.is_running() or live.resume is not None:
            return f"the run is {live.state.name}: it can't be paused"
        live.set_state(StateType.PAUSED, "Paused", "paused on request")
        live.resume = Hold(live)
    return "paused"


def hold_back(live: LiveRun) -> None:
    """Let the thread wait that is about to make a call in a run which is held. An event loop is not made to."""
    hold = live.resume
    if isinstance(hold, Hold) and not is_awaiting():
        hold.wait()


def _reason(error: Exception) -> str:
    """Return what is wrong with an answer, in one line."""
    text = str(error) if isinstance(error, ValueError) else describe(error)
    return " ".join(text.split())[:1_000] or type(error).__name__
