"""From a call of a task or flow to its value: begin the run, drive it, close it, hand the value out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import CancelledRun, ParameterError, UpstreamFailed
from jupyter_wf.core.lifecycle import Cache, Life, life, not_ready
from jupyter_wf.core.models import RunKind
from jupyter_wf.core.policy import Policy
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.capture import printing
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import drive, settle
from jupyter_wf.engine.futures import RunFuture, find_futures, resolve
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.runs import Host, LiveRun
from jupyter_wf.engine.runtime import current_runtime

if TYPE_CHECKING:
    from jupyter_wf.engine.results import StoredResults

__all__ = ["Callee", "Invocation", "bind", "call", "end_of_root", "hand_out", "perform", "states_of"]

#: How long (seconds) a cancelled flow waits for its tasks to stop before it closes their records.
_GRACE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """A task's or flow's function with everything that decides how it is run.

    ``make_executor`` gives a flow an executor of its own for one run; None is the process's pool.
    """

    fn: Callable[..., Any]
    name: str
    kind: RunKind
    policy: Policy
    is_async: bool
    signature: inspect.Signature | None
    positional: tuple[str, ...]
    tags: tuple[str, ...] = ()
    log_prints: bool | None = None
    run_name: str | None = None
    make_executor: Callable[[], Any] | None = None
    executor: Any = None
    results: StoredResults | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    def using(self, executor: Any) -> Callee:
        """Return a copy whose submitted tasks run on ``executor``."""
        return replace(self, executor=executor)


def bind(callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by parameter name, defaults included for flows.

    Raises `ParameterError` where they don't fit the function.
    """
    names = callee.positional
    # The common case, without the 5 µs of `Signature.bind`: every parameter plain and given by position.
    if not kwargs and len(args) == len(names) and callee.signature is not None:
        return dict(zip(names, args, strict=True))
    if callee.signature is None:
        return {**{f"arg{i}": value for i, value in enumerate(args)}, **kwargs}
    try:
        bound = callee.signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ParameterError(callee.name, f"{error}; it is {callee.name}{callee.signature}") from None
    if callee.kind == "flow":
        bound.apply_defaults()
    return dict(bound.arguments)


class Invocation:
    """One call of a task or flow, and its run: made below the run that the caller is part of.

    The run is made by `begin`; listeners hear of one that has no parent in this process before its work begins. Raises
    `ParameterError` where the arguments do not fit the function; no run is made then.
    """

    __slots__ = ("_parameters", "args", "callee", "kwargs", "live", "upstream")
    live: LiveRun

    def __init__(
        self, callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any] = ()
    ) -> None:
        self.callee = callee
        self.args = args
        self.kwargs = kwargs
        self.upstream = find_futures((*args, *kwargs.values(), *wait_for))
        self._parameters: Mapping[str, Any] | None = bind(callee, args, kwargs)

    def begin(self) -> LiveRun:
        """Make the run, where there is none yet, and return it. An interrupt meanwhile closes what was made."""
        parameters, self._parameters = self._parameters, None
        if parameters is not None:
            # No interrupt is noticed between the return of a Python function and the assignment of its value.
            self.live = _begin(self.callee, parameters, self.upstream)
        return self.live

    @property
    def begun(self) -> bool:
        """Whether there is a run."""
        return hasattr(self, "live")

    def steps(self, attempt: int = 1) -> Life:
        """Return the life that the run is to lead, now that its upstream has ended; futures give way to values."""
        for future in self.upstream:
            if not future.state.is_completed():
                return not_ready(f"upstream task run {future.run.name!r} is {future.state.name}")
        if self.upstream:
            self.args, self.kwargs = resolve(self.args), resolve(self.kwargs)
        return life(self.callee.policy, attempt=attempt, cache=self._cache())

    def _cache(self) -> Cache | None:
        callee, results = self.callee, self.callee.results
        if results is None:
            return None
        self.live.results = results
        return results.cache(self.live, callee.fn, callee.signature, self.args, self.kwargs)


def _begin(callee: Callee, parameters: Mapping[str, Any], upstream: list[RunFuture[Any]]) -> LiveRun:
    parent = CURRENT.get()
    # The parent's is the right one also on a thread that has seen no other.
    host: Host = current_runtime() if parent is None else parent.runtime
    name = callee.run_name
    is_task = callee.kind == "task"
    if name is None and is_task:
        number = 0
        if parent is not None:
            number = parent.call_numbers.get(callee.name, 0)
            parent.call_numbers[callee.name] = number + 1
        name = f"{callee.name}-{number}"
    live = host.begin(
        callee.kind,
        name,
        flow_name=None if is_task else callee.name,
        task_name=callee.name if is_task else None,
        parent=parent,
        parameters=parameters,
        tags=callee.tags,
        upstream=[future.task_run_id for future in upstream],
        source=callee.source,
        max_attempts=callee.policy.retries + 1,
    )
    if callee.executor is not None:
        live.executor = callee.executor
    if parent is None:
        try:
            host.announce(live)
        except BaseException as error:
            settle(live, error)
            raise
    return live


def call(callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Iterable[Any] = ()) -> LiveRun:
    """Run a synchronous task or flow in the calling thread, to its end; return its run."""
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs, wait_for)
    _run(invocation, 1)
    return invocation.live


def _run(invocation: Invocation, attempt: int) -> None:
    __tracebackhide__ = True
    try:
        invocation.begin()
        for future in invocation.upstream:
            future.wait()
        perform(invocation, attempt)
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None:
            end_of_root(invocation.live, lambda: _run_again(invocation))


def _run_again(invocation: Invocation) -> None:
    """Make the next attempt of an ended root run, in the calling thread."""
    invocation.live.begin_again()
    _run(invocation, invocation.live.attempt + 1)


def end_of_root(live: LiveRun, again: Callable[[], Any]) -> None:
    """The barrier: what the caller is about to see is committed. A run that did not complete may be tried again."""
    live.rerun = None if live.state.is_completed() else again
    live.runtime.journal.flush()


def perform(invocation: Invocation, attempt: int = 1) -> None:
    """Drive a run whose upstream has ended, from its first call to its closing state."""
    live, callee = invocation.live, invocation.callee
    steps = invocation.steps(attempt)
    with printing(live) if callee.log_prints else nullcontext():
        drive(live, steps, _work(invocation), callee.policy.timeout_seconds)


def _work(invocation: Invocation) -> Callable[[], Any]:
    """Return the call itself, with what its submitted tasks need when it ends."""
    live, fn, args, kwargs = invocation.live, invocation.callee.fn, invocation.args, invocation.kwargs
    is_flow = invocation.callee.kind == "flow"

    def work() -> Any:
        __tracebackhide__ = True
        try:
            value = fn(*args, **kwargs)
            if live.submitted:
                _wait_all(live)
            return states_of(value) if is_flow else value
        except Exception:
            # Prefect's rule for a flow that raises: what runs may end, what has not begun is cancelled.
            for future in list(live.submitted.values()):
                if future.state.is_pending():
                    future.cancel()
            _wait_all(live)
            raise
        except BaseException:
            _stop_children(live)
            raise

    return work


def _stop_children(live: LiveRun) -> None:
    """Cancel every open child and give them `_GRACE` seconds to stop."""
    for child in list(live.children.values()):
        child.cancel(f"{live.kind} run {live.name!r} was stopped")
    for future in list(live.submitted.values()):
        future.wait(_GRACE / max(1, len(live.submitted)))


def _wait_all(live: LiveRun) -> None:
    while live.submitted:
        for future in list(live.submitted.values()):
            future.wait()
            live.submitted.pop(future.task_run_id, None)


def states_of(value: Any) -> Any:
    """Return the states in place of returned futures, so that the final-state rules can judge them."""
    if isinstance(value, RunFuture):
        value.wait()
        return value.state
    if (
        isinstance(value, (list, tuple, set, frozenset))
        and value
        and all(isinstance(item, (RunFuture, State)) for item in value)
    ):
        return [states_of(item) for item in value]
    return value


def hand_out(live: LiveRun, stop: type[BaseException] = Interruption) -> Any:
    """Return the value of an ended run, or raise what its caller has to see.

    An interrupt (the stop button, `SystemExit`) goes on outwards; the caller of a cancelled run gets `CancelledRun`,
    or ``stop`` where it is to stop itself.
    """
    __tracebackhide__ = True
    state = live.state
    if state.type is StateType.COMPLETED:
        return state.data
    error = live.last_error
    if error is not None and not isinstance(error, (Exception, Interruption)):
        raise error
    if live.parent is not None and live.parent.stopping:
        raise stop
    if state.type is StateType.CANCELLED:
        raise CancelledRun(f"{live.kind} run {live.name!r} was cancelled")
    if state.name == "NotReady":
        raise UpstreamFailed(f"{live.kind} run {live.name!r} was not called: {state.message}")
    return state.result()
