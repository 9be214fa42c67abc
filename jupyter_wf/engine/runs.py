"""A run while this process executes it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import InvalidTransition
from jupyter_wf.core.events import Kept, LogWritten, RunPatched, StateChanged
from jupyter_wf.core.rules import is_allowed
from jupyter_wf.core.secrets import SEEN, mask
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.family import Family
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.stopping import Stopping
from jupyter_wf.engine.tracebacks import run_error

if TYPE_CHECKING:
    from jupyter_wf.core.models import RunError, RunKind

__all__ = ["NEW", "LiveRun"]

_NO_DATA: Any = object()
_CANCELLING = State(type=StateType.CANCELLING, name="Cancelling")
#: What a run is in before its first state, which `Runtime.begin` enters before anybody else sees the run.
NEW = State(type=StateType.SCHEDULED, name="New")
_NOTHING: Mapping[str, Any] = {}


class LiveRun:
    """One run that this process owns: it decides the run's transitions and writes them to the journal.

    All methods may be called from any thread. ``callee`` is what is called (`engine.calls.Callee`), None for a run that
    somebody else drives. ``inputs`` tells its arguments from those of other calls: "" where the recorded parameters do,
    None where nothing does. ``resume`` is set while the run is paused, and ends the pause.
    """

    __slots__ = (
        "__weakref__",
        "_family",
        "_written",
        "attempt",
        "callee",
        "depth",
        "executor",
        "flow_name",
        "id",
        "inputs",
        "kind",
        "last_error",
        "lock",
        "log_prints",
        "max_attempts",
        "name",
        "parameters",
        "parent",
        "parent_id",
        "persist",
        "rerun",
        "resume",
        "root_id",
        "runtime",
        "source",
        "started_at",
        "state",
        "stop",
        "story",
        "tags",
        "task_name",
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
        self.state = self._written = state
        self.story: list[str] = []
        self.parameters: Mapping[str, Any] = _NOTHING
        self.source: Mapping[str, Any] = _NOTHING
        self.tags: tuple[str, ...] = ()
        self.started_at: float | None = None
        self.stop = Stopping()
        self.last_error: BaseException | None = None
        self.callee: Any = None
        self.inputs: str | None = None
        self.rerun: Callable[[], Any] | None = None
        self.resume: Callable[[Any], Any] | None = None
        self._family: Family | None = None
        if parent is None:
            self.depth = 0
            self.log_prints = False
            self.persist = True
            self.executor: Any = None
            #: One for the whole tree: a run and its children change together.
            self.lock: threading.RLock = threading.RLock()
        else:
            self.depth = parent.depth + 1
            self.log_prints = parent.log_prints
            self.persist = parent.persist
            self.executor = parent.executor
            self.lock = parent.lock

    def inherit(self, parent: LiveRun) -> None:
        """Become an open child of ``parent``."""
        parent.family.children[self.id] = self

    @property
    def family(self) -> Family:
        """The runs below this one."""
        family = self._family
        if family is None:
            family = self._family = Family()
        return family

    @property
    def has_family(self) -> bool:
        """Whether there is, or was, any run below this one."""
        return self._family is not None

    @property
    def children(self) -> dict[str, LiveRun]:
        """The open runs below this one, by id."""
        return self.family.children

    @property
    def submitted(self) -> dict[str, Any]:
        """The futures of the submitted runs below this one that nobody has waited for, by id."""
        return self.family.submitted

    @property
    def flow_run(self) -> LiveRun | None:
        """The flow run that this run belongs to, in this process: the run itself where it is one."""
        run: LiveRun | None = self
        while run is not None and run.kind != "flow":
            run = run.parent
        return run

    @property
    def flow_run_id(self) -> str | None:
        """The id of the flow run that this run belongs to, also where another process owns that."""
        flow = self.flow_run
        return flow.id if flow is not None else self.parent_id

    @property
    def run_count(self) -> int:
        """The number of the attempt: Prefect's name for it."""
        return self.attempt

    @property
    def cancel_requested(self) -> bool:
        """Whether the run is to be cancelled."""
        return self.stop.requested

    @property
    def stopping(self) -> bool:
        """Whether this run or one that it is part of, in this process, is to stop."""
        run: LiveRun | None = self
        while run is not None:
            if run.stop.wanted:
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
        kept: Kept | None = None,
    ) -> State:
        """Enter a state and write it to the journal; return it.

        ``name`` is the type's own word when None. ``error`` goes into the record; ``data`` (a value or an exception)
        stays in this process, and ``kept`` is what is stored of a value. A terminal state first closes the children
        that are still open. Raises `InvalidTransition` with the run's story when the table forbids it.
        """
        at = time.time()
        if SEEN and message is not None:
            message = mask(message)
        word = name or type.value.capitalize()
        if data is _NO_DATA:
            new = State(type=type, name=word, message=message, at=at)
        else:
            new = State(type=type, name=word, message=message, at=at, data=data)
        if self._family is not None and self._family.children and (new.is_final() or word == "Suspended"):
            self.close_children(new.type)
        with self.lock:
            old = self.state
            if not is_allowed(old, new, new_attempt=new_attempt):
                raise InvalidTransition(self.id, old.name, new.name, self.story)
            if new_attempt:
                self.attempt += 1
            # Memory first, journal second: an interrupt in between is mended by `resync`.
            self.state = new
            self.story.append(word)
            self._write(new, error, kept)
        if type is StateType.RUNNING and self.started_at is None:
            self.started_at = at
        if self.parent is not None and new.is_closed():
            self.parent.children.pop(self.id, None)
        return new

    def _write(self, new: State, error: BaseException | RunError | None, kept: Kept | None = None) -> None:
        told = None
        if error is not None:
            record = run_error(error) if isinstance(error, BaseException) else error
            told = json.dumps({"type": record.type, "message": record.message, "traceback": record.traceback})
        self.runtime.journal.append(
            StateChanged(self.id, new.at, self.attempt, new.type.value, new.name, new.message, told, kept)
        )
        self._written = new

    def resync(self) -> None:
        """Write the state again where an interrupt kept it from the journal."""
        with self.lock:
            if self._written is not self.state:
                self._write(self.state, None)

    def close_children(self, why: StateType) -> None:
        """Close every open run below this one: CRASHED where this one crashed, otherwise CANCELLED.

        What is suspended stays so where this run is suspended too.
        """
        type_ = StateType.CRASHED if why is StateType.CRASHED else StateType.CANCELLED
        children = self.children if self._family is not None else {}
        stay = why is StateType.PAUSED
        while ended := [child for child in children.values() if not (stay and child.is_suspended)]:
            for child in ended:
                child.close(type_, f"{self.kind} run {self.name!r} ended first")
                children.pop(child.id, None)

    @property
    def is_suspended(self) -> bool:
        """Whether nobody executes the run until it is taken up again."""
        return self.state.type is StateType.PAUSED and self.state.name == "Suspended"

    def take_up(self) -> None:
        """Begin the next attempt of a run that has ended or is suspended; it belongs to this process from now on."""
        self.set_state(StateType.PENDING, new_attempt=True)
        self.patch(process_id=self.runtime.process.id)

    def close(self, type: StateType, message: str | None, error: BaseException | None = None) -> bool:
        """Close the run if it is open, whatever it does; return whether it was.

        Used where the run can't be asked any more: what it may still do has no effect on its record.
        """
        self.resync()
        while self.is_open:
            try:
                if self.is_suspended:
                    # Nobody owns it: only an attempt of its own closes it.
                    self.take_up()
                self.set_state(type, None, message, error=error, data=_NO_DATA if error is None else error)
            except InvalidTransition:
                continue
            return True
        self.close_children(type)
        return False

    def log(self, level: int, message: str, logger: str = "jupyter_wf") -> None:
        """Write a log line; ``level`` is a number of the standard library's logging."""
        if SEEN:
            message = mask(message)
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
        callbacks = self.stop.callbacks
        callbacks.append(callback)
        if self.stop.requested:
            callback()

        def remove() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return remove

    def cancel(self, reason: str | None = None) -> None:
        """Ask the run and everything below it to stop. Returns at once; does nothing when it has ended."""
        if not self.is_open:
            return
        if self.is_suspended:
            self.close(StateType.CANCELLED, reason)
            return
        self.stop.requested = True
        with self.lock:
            if is_allowed(self.state, _CANCELLING):
                self.set_state(StateType.CANCELLING, None, reason)
        self._tell(reason)

    def _tell(self, reason: str | None) -> None:
        """Cancel what is below the run, and stop its own work: also where that stops the calling thread."""
        try:
            for child in self.family.in_stopping_order():
                child.cancel(reason)
        finally:
            self.stop.tell()

    def stop_early(self, signal: StopFlow) -> None:
        """End the run COMPLETED, with the signal's value, from a thread that does not run its work."""
        if self.is_open and not self.stop.wanted:
            self.stop.early = signal
            self._tell(f"{self.kind} run {self.name!r} was stopped early")

    def begin_again(self) -> None:
        """Forget what stopped the last attempt, before the next one of an ended run."""
        self.stop.forget()
        self.last_error = None

    def retry_now(self) -> bool:
        """End the wait before the next attempt; return whether the run was waiting."""
        wake = self.stop.wake
        if wake is None or self.state.name != "AwaitingRetry":
            return False
        wake()
        return True

    def __repr__(self) -> str:
        return f"<LiveRun {self.kind} {self.name!r} {self.id[:8]} {self.state.name}>"
