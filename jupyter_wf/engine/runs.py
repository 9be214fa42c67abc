"""A run while this process executes it."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from jupyter_wf.core.errors import InvalidTransition
from jupyter_wf.core.events import LogWritten, RunPatched, StateChanged
from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.models import ProcessInfo, RunError, RunKind
from jupyter_wf.core.rules import is_allowed
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.interrupts import Deadlines
from jupyter_wf.executors.base import Executor
from jupyter_wf.store.base import Journal, Store

__all__ = ["NEW", "Host", "LiveRun", "run_error"]

_NO_DATA: Any = object()
_CANCELLING = State(type=StateType.CANCELLING, name="Cancelling")
#: What a run is in before its first state, which `Runtime.begin` enters before anybody else sees the run.
NEW = State(type=StateType.SCHEDULED, name="New")
_LONGEST_TRACEBACK = 20_000
_LONGEST_MESSAGE = 2_000
#: Frames of these are left out of a stored traceback.
_OURS = tuple(f"jupyter_wf.{part}" for part in ("engine.", "executors.", "tasks", "flows", "ipython.", "notebook."))


def run_error(error: BaseException) -> RunError:
    """Return what is stored of an exception: type name, text, and the traceback without the engine's own frames."""
    told = traceback.TracebackException(type(error), error, error.__traceback__, limit=-60, compact=True)
    _drop_own_frames(told, error)
    try:
        text = "".join(told.format())
    except Exception as broken:
        text = f"<the traceback can't be shown: {type(broken).__name__}>"
    if len(text) > _LONGEST_TRACEBACK:
        half = _LONGEST_TRACEBACK // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    message = describe(error, _LONGEST_MESSAGE).removeprefix(f"{type(error).__name__}: ")
    return RunError(type=type(error).__name__, message=message, traceback=text)


def _drop_own_frames(told: traceback.TracebackException, error: BaseException) -> None:
    names = [f.f_globals.get("__name__", "") for f, _ in traceback.walk_tb(error.__traceback__)][-60:]
    kept = [s for s, name in zip(told.stack, names, strict=False) if not name.startswith(_OURS)]
    if kept:
        told.stack[:] = kept


class Host(Protocol):
    """What a live run needs of the runtime that it lives in (`engine.runtime.Runtime`, which is built on this)."""

    settings: Settings
    store: Store
    process: ProcessInfo
    deadlines: Deadlines
    loose: dict[str, Any]
    rerun: Callable[[LiveRun], Any]

    @property
    def journal(self) -> Journal:
        """The journal of this process."""

    @property
    def executor(self) -> Executor:
        """The pool that submitted tasks share."""

    @property
    def portal(self) -> Any:
        """The event loop thread of submitted async tasks."""

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which a pool's thread gives its place to others."""

    @property
    def begin(self) -> Callable[..., LiveRun]:
        """What creates a run: `Runtime.begin`."""

    def announce(self, live: LiveRun) -> None:
        """Tell listeners that a run begins which has no parent in this process."""


class LiveRun:
    """One run that this process owns: it decides the run's transitions and writes them to the journal.

    ``children`` are the open runs below it. All methods may be called from any thread.
    """

    __slots__ = (
        "__weakref__",
        "_written",
        "attempt",
        "call_numbers",
        "cancel_requested",
        "cancellers",
        "children",
        "executor",
        "flow_name",
        "id",
        "kind",
        "last_error",
        "lock",
        "log_prints",
        "max_attempts",
        "name",
        "parameters",
        "parent",
        "parent_id",
        "rerun",
        "results",
        "root_id",
        "runtime",
        "state",
        "story",
        "submitted",
        "task_name",
        "timed_out",
        "wake",
    )

    def __init__(
        self,
        runtime: Host,
        *,
        run_id: str,
        kind: RunKind,
        name: str,
        flow_name: str | None,
        task_name: str | None,
        parent: LiveRun | None,
        parent_id: str | None,
        root_id: str,
        attempt: int = 1,
        state: State = NEW,
    ) -> None:
        self.runtime = runtime
        self.id = run_id
        self.kind = kind
        self.name = name
        self.flow_name = flow_name
        self.task_name = task_name
        self.parent = parent
        self.parent_id = parent_id
        self.root_id = root_id
        self.attempt = attempt
        self.max_attempts = 1
        self.state = state
        self.story: list[str] = []
        self.children: dict[str, LiveRun] = {}
        self.call_numbers: dict[str, int] = {}
        self.submitted: dict[str, Any] = {}
        self.parameters: Mapping[str, Any] = {}
        self.cancel_requested = False
        self.last_error: BaseException | None = None
        self.log_prints = False
        self.wake: Callable[[], Any] | None = None
        self.timed_out = False
        self.executor: Any = None
        #: Where a cached task's values are found and kept (`engine.results.StoredResults`).
        self.results: Any = None
        self.rerun: Callable[[], Any] | None = None
        self.cancellers: list[Callable[[], Any]] = []
        #: One for the whole tree: a run and its children change together.
        self.lock: threading.RLock = parent.lock if parent is not None else threading.RLock()
        self._written = state

    def inherit(self, parent: LiveRun) -> None:
        """Become an open child of ``parent``, with its executor and its wish to have prints logged."""
        self.log_prints = parent.log_prints
        self.executor = parent.executor
        parent.children[self.id] = self

    @property
    def stopping(self) -> bool:
        """Whether this run or one that it is part of, in this process, is to stop."""
        run: LiveRun | None = self
        while run is not None:
            if run.cancel_requested or run.timed_out:
                return True
            run = run.parent
        return False

    @property
    def is_open(self) -> bool:
        """Whether the run may still change in this attempt."""
        return not self.state.is_closed()

    def set_state(
        self,
        type: StateType,
        name: str | None = None,
        message: str | None = None,
        *,
        error: BaseException | RunError | None = None,
        data: Any = _NO_DATA,
        new_attempt: bool = False,
    ) -> State:
        """Enter a state and write it to the journal; return it.

        ``name`` is the type's own word when None. ``error`` goes into the record; ``data`` (a value or an exception)
        stays in this process. A terminal state first closes the children that are still open. Raises
        `InvalidTransition` with the run's story when the table forbids it.
        """
        at = time.time()
        extra = {} if data is _NO_DATA else {"data": data}
        new = State(type=type, name=name or type.value.capitalize(), message=message, at=at, **extra)
        if self.children and new.is_final():
            self.close_children(new.type)
        with self.lock:
            old = self.state
            if not is_allowed(old, new, new_attempt=new_attempt):
                raise InvalidTransition(self.id, old.name, new.name, self.story)
            if new_attempt:
                self.attempt += 1
            # Memory first, journal second: an interrupt in between is mended by `resync`.
            self.state = new
            self.story.append(new.name)
            self._write(new, error)
        if self.parent is not None and new.is_closed():
            self.parent.children.pop(self.id, None)
        return new

    def _write(self, new: State, error: BaseException | RunError | None) -> None:
        told = None
        if error is not None:
            record = error if isinstance(error, RunError) else run_error(error)
            told = json.dumps({"type": record.type, "message": record.message, "traceback": record.traceback})
        self.runtime.journal.append(
            StateChanged(self.id, new.at, self.attempt, new.type.value, new.name, new.message, told)
        )
        self._written = new

    def resync(self) -> None:
        """Write the state again where an interrupt kept it from the journal."""
        with self.lock:
            if self._written is not self.state:
                self._write(self.state, None)

    def close_children(self, why: StateType) -> None:
        """Close every open run below this one: CRASHED where this one crashed, otherwise CANCELLED."""
        type_ = StateType.CRASHED if why is StateType.CRASHED else StateType.CANCELLED
        while self.children:
            for child in list(self.children.values()):
                child.close(type_, f"{self.kind} run {self.name!r} ended first")
                self.children.pop(child.id, None)

    def close(self, type: StateType, message: str, error: BaseException | None = None) -> bool:
        """Close the run if it is open, whatever it does; return whether it was.

        Used where the run can't be asked any more: what it may still do has no effect on its record.
        """
        self.resync()
        while self.is_open:
            try:
                self.set_state(type, None, message, error=error, data=_NO_DATA if error is None else error)
            except InvalidTransition:
                continue
            return True
        self.close_children(type)
        return False

    def log(self, level: int, message: str, logger: str = "jupyter_wf") -> None:
        """Write a log line; ``level`` is a number of the standard library's logging."""
        self.runtime.journal.append(LogWritten(self.id, time.time(), level, logger, message))

    def patch(self, **facts: Any) -> None:
        """Add facts to the record: ``name``, ``expected``, ``source`` (merged), ``parameters`` (replaced)."""
        if "name" in facts:
            self.name = facts["name"]
        self.runtime.journal.append(RunPatched(self.id, time.time(), json.dumps(facts)))

    def on_cancel(self, callback: Callable[[], Any]) -> Callable[[], None]:
        """Have ``callback`` called, on any thread, when the run is to be cancelled; return what takes it back.

        It is called at once where the cancellation was asked for before.
        """
        self.cancellers.append(callback)
        if self.cancel_requested:
            callback()

        def remove() -> None:
            if callback in self.cancellers:
                self.cancellers.remove(callback)

        return remove

    def cancel(self, reason: str | None = None) -> None:
        """Ask the run and everything below it to stop. Returns at once; does nothing when it has ended."""
        if not self.is_open:
            return
        self.cancel_requested = True
        with self.lock:
            if is_allowed(self.state, _CANCELLING):
                self.set_state(StateType.CANCELLING, None, reason)
        for child in list(self.children.values()):
            child.cancel(reason)
        if self.wake is not None:
            self.wake()
        for callback in list(self.cancellers):
            callback()

    def begin_again(self) -> None:
        """Forget what stopped the last attempt, before the next one of an ended run."""
        self.cancel_requested = self.timed_out = False
        self.last_error = None
        self.call_numbers.clear()

    def retry_now(self) -> bool:
        """End the wait before the next attempt; return whether the run was waiting."""
        wake = self.wake
        if wake is None or self.state.name != "AwaitingRetry":
            return False
        wake()
        return True

    def __repr__(self) -> str:
        return f"<LiveRun {self.kind} {self.name!r} {self.id[:8]} {self.state.name}>"
