"""Calls of tasks that are executed in another process: how they are sent there, and what they find there.

The process that owns the run goes on deciding its states. Where the call is, a `RemoteRun` stands for the run: log
lines and prints go back to the owner; what the call itself runs (tasks, flows) becomes children of the run, which the
process of the call owns. Only then, or for an artifact, does that process open the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.errors import MissingContextError
from jupyter_wf.core.models import RunError, RunKind
from jupyter_wf.core.settings import HOME_VARIABLE
from jupyter_wf.core.signals import Signal
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.context import CURRENT, TAGS, set_ambient_parent
from jupyter_wf.engine.prints import printing
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.work import Ending
from jupyter_wf.executors.base import Call, Executor, Log

if TYPE_CHECKING:
    # 20 ms that a worker does not need.
    from jupyter_wf.engine.callee import Callee

__all__ = ["RemoteRun", "RunFacts", "Surroundings", "send"]

_RUNNING = State(type=StateType.RUNNING, name="Running")


class RunFacts(NamedTuple):
    """What is known elsewhere of a run, and of the runs that it is part of."""

    id: str
    root_id: str
    parent_id: str | None
    kind: RunKind
    name: str
    flow_name: str | None
    task_name: str | None
    attempt: int
    max_attempts: int
    tags: tuple[str, ...]
    started_at: float | None
    parent: RunFacts | None


def _facts(live: LiveRun) -> RunFacts:
    return RunFacts(
        *(live.id, live.root_id, live.parent_id, live.kind, live.name, live.flow_name, live.task_name),
        *(live.attempt, live.max_attempts, live.tags, live.started_at),
        None if live.parent is None else _facts(live.parent),
    )


class _Ended(Signal):
    """Takes an outcome that is neither a value nor an ordinary exception through the driver as it is."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome.error))
        self._outcome = outcome

    def outcome(self) -> Outcome:
        """Return the outcome of the call."""
        return self._outcome


def send(executor: Executor, live: LiveRun, callee: Callee, /, *args: Any, **kwargs: Any) -> Any:
    """Have ``executor`` make the call of a synchronous task's function for the run ``live``; return its value.

    Raises what the function raised, with `RemoteTraceback` as its cause; `TypeError` where an argument or the value
    can't be sent; a `Signal` for every other end, such as a worker that died, whose outcome is the call's. An exception
    that interrupts the calling thread stops the call.
    """
    __tracebackhide__ = True
    around = Surroundings(
        _facts(live),
        bool(live.log_prints),
        live.persist,
        callee.yields,
        live.runtime.process.role,
        None if getattr(executor, "far", False) else str(live.runtime.settings.home),
        TAGS.get(),
    )
    outcome = executor.run(Call(callee.fn, args, kwargs, live.id, live.root_id, live.name, live.log, around))
    if outcome.end is End.RETURNED:
        return outcome.value
    error = outcome.error
    if error is not None and (outcome.end is End.RAISED or isinstance(error, Signal)):
        raise error
    raise _Ended(outcome)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Makes a call where it is executed: what `Call.around` is for tasks.

    ``run`` is whose call it is, ``yields`` tells that it is one of a generator function; ``role`` and ``home`` are
    those of the process that owns it. ``home`` is None where that process's store can't be opened.
    """

    run: RunFacts
    log_prints: bool
    persist: bool
    yields: bool
    role: str
    home: str | None
    tags: frozenset[str]

    def __call__(self, log: Log, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call ``fn`` as part of the run; return its value or raise its exception when what it submitted has ended."""
        if self.home is not None and os.environ.get(HOME_VARIABLE) != self.home:
            os.environ[HOME_VARIABLE] = self.home
        host = _Host(self.role) if self.home is not None else _FarHost(self.role, self.run.name)
        run = RemoteRun(host, self.run, log)
        run.persist = self.persist
        if self.home is not None:
            # Far away other calls go on in this process, each with a run of its own around it.
            set_ambient_parent(run.id, run.root_id)
        around, tags = CURRENT.set(run), TAGS.set(self.tags)
        try:
            with printing(run) if self.log_prints else nullcontext(), Ending(run):
                value = fn(*args, **kwargs)
                # A generator can't be sent back: a submitted one's value is the list of what it yields.
                return list(value) if self.yields else value
        finally:
            if host.opened:
                run.close_children(StateType.CANCELLED)
                host.journal.flush()
            if self.home is not None:
                set_ambient_parent(None)
            TAGS.reset(tags)
            CURRENT.reset(around)


class _Process:
    """The process of the call, with the owner's role: that decides what is shown on a console."""

    def __init__(self, host: _Host, role: str) -> None:
        self.role = role
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host.real.process, name)


class _Host:
    """The runtime of this process, opened when something is asked of it that only it has."""

    def __init__(self, role: str) -> None:
        self.process = _Process(self, role)
        self.opened = False

    @property
    def real(self) -> Any:
        """The runtime."""
        # Most calls need no store, and loading it takes longer than they do.
        from jupyter_wf.engine.runtime import current_runtime

        self.opened = True
        return current_runtime()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _FarHost(_Host):
    """Stands for the runtime where there is no store to open: whatever needs one fails, and says why."""

    def __init__(self, role: str, name: str) -> None:
        super().__init__(role)
        self._name = name

    @property
    def real(self) -> Any:
        """The runtime, which can't be had."""
        raise MissingContextError(
            f"{self._name} is executed on Dask, where there is no store: a task can't run other tasks or flows there, "
            "nor make artifacts. Call their functions as they are (my_task.fn(...)), or run them in the flow"
        )


class RemoteRun(LiveRun):
    """Stands for a run of another process where its call is executed. It is RUNNING, and never changes its state."""

    __slots__ = ("_log",)

    def __init__(self, host: Any, facts: RunFacts, log: Log) -> None:
        parent = None if facts.parent is None else RemoteRun(host, facts.parent, log)
        super().__init__(
            host,
            run_id=facts.id,
            kind=facts.kind,
            name=facts.name,
            flow_name=facts.flow_name,
            task_name=facts.task_name,
            parent=parent,
            parent_id=facts.parent_id,
            root_id=facts.root_id,
            attempt=facts.attempt,
            state=_RUNNING,
        )
        self.max_attempts = facts.max_attempts
        self.tags = facts.tags
        self.started_at = facts.started_at
        self._log = log

    def log(self, level: int, message: str, logger: str = "jupyter_wf") -> None:
        """Send a log line to the process that owns the run."""
        self._log(level, message, logger)

    def _write(self, new: State, error: BaseException | RunError | None, *more: Any) -> None:
        """Write nothing: the owner decides."""
