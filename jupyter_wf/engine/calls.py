"""From a call of a task or flow to its value: begin the run, drive it, close it, hand the value out."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from jupyter_wf.core.errors import CancelledRun, ParameterError, UpstreamFailed
from jupyter_wf.core.lifecycle import Cache, life, not_ready
from jupyter_wf.core.models import RunKind
from jupyter_wf.core.policy import Policy
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.capture import printing
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.drivers import drive, drive_async, settle
from jupyter_wf.engine.futures import RunFuture, find_futures, resolve
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.results import CacheOptions, cache_key
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, current_runtime

__all__ = [
    "Callee",
    "begin_run",
    "bind",
    "call",
    "call_async",
    "hand_out",
    "perform",
    "perform_async",
    "upstream_failure",
]

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
    cache: CacheOptions | None = None
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


def begin_run(
    callee: Callee,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    upstream: Iterable[RunFuture[Any]],
    runtime: Runtime | None = None,
) -> LiveRun:
    """Create the run of a call, below the run that the caller is part of; listeners hear of it if there is none."""
    parent = CURRENT.get()
    parameters = bind(callee, args, kwargs)
    # A cached runtime lookup: the parent's is the right one also in a thread that has seen no other.
    owner = parent.runtime if parent is not None else (runtime or current_runtime())
    name = callee.run_name
    if name is None and callee.kind == "task":
        number = 0
        if parent is not None:
            number = parent.call_numbers.get(callee.name, 0)
            parent.call_numbers[callee.name] = number + 1
        name = f"{callee.name}-{number}"
    live = owner.begin(
        callee.kind,
        name,
        flow_name=callee.name if callee.kind == "flow" else None,
        task_name=callee.name if callee.kind == "task" else None,
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
        owner.roots.tell(live)
    return live


def call(callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Iterable[Any] = ()) -> LiveRun:
    """Run a synchronous task or flow in the calling thread, to its end; return its run."""
    __tracebackhide__ = True
    upstream = find_futures((*args, *kwargs.values(), *wait_for))
    live = begin_run(callee, args, kwargs, upstream)
    try:
        for future in upstream:
            future.wait()
        perform(live, callee, args, kwargs, upstream)
    except BaseException as error:
        settle(live, error)
        raise
    finally:
        if live.parent is None:
            _end_of_root(live, partial(_again, live, callee, args, kwargs, upstream))
    return live


async def call_async(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Iterable[Any] = ()
) -> LiveRun:
    """Run an asynchronous task or flow in the calling task's event loop, to its end; return its run."""
    __tracebackhide__ = True
    upstream = find_futures((*args, *kwargs.values(), *wait_for))
    live = begin_run(callee, args, kwargs, upstream)
    try:
        for future in upstream:
            await _until_done(future)
        await perform_async(live, callee, args, kwargs, upstream)
    except BaseException as error:
        settle(live, error)
        raise
    finally:
        if live.parent is None:
            again = partial(_again_async, live, callee, args, kwargs, upstream)
            await asyncio.to_thread(_end_of_root, live, again)
    return live


def _end_of_root(live: LiveRun, again: Callable[[], Any]) -> None:
    """The barrier: what the caller is about to see is committed. A run that did not complete may be tried again."""
    live.rerun = None if live.state.is_completed() else again
    live.runtime.journal.flush()


def _again(
    live: LiveRun, callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], upstream: list[RunFuture[Any]]
) -> None:
    """Make the next attempt of an ended root run, in the calling thread."""
    live.begin_again()
    try:
        perform(live, callee, args, kwargs, upstream, attempt=live.attempt + 1)
    except BaseException as error:
        settle(live, error)
        raise
    finally:
        _end_of_root(live, partial(_again, live, callee, args, kwargs, upstream))


async def _again_async(
    live: LiveRun, callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], upstream: list[RunFuture[Any]]
) -> None:
    live.begin_again()
    try:
        await perform_async(live, callee, args, kwargs, upstream, attempt=live.attempt + 1)
    except BaseException as error:
        settle(live, error)
        raise
    finally:
        again = partial(_again_async, live, callee, args, kwargs, upstream)
        await asyncio.to_thread(_end_of_root, live, again)


def upstream_failure(upstream: Iterable[RunFuture[Any]]) -> str | None:
    """Return why a call must not be made, or None: the first ended run among ``upstream`` that did not complete."""
    for future in upstream:
        if not future.state.is_completed():
            return f"upstream task run {future.run.name!r} is {future.state.name}"
    return None


def perform(
    live: LiveRun,
    callee: Callee,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    upstream: list[RunFuture[Any]],
    attempt: int = 1,
) -> None:
    """Drive a run whose upstream has ended, from its first call to its closing state."""
    reason = upstream_failure(upstream)
    if reason is not None:
        drive(live, not_ready(reason), _never, None)
        return
    if upstream:
        args, kwargs = resolve(args), resolve(kwargs)
    fn = callee.fn

    def once() -> Any:
        __tracebackhide__ = True
        value = fn(*args, **kwargs)
        return _settle_children(live, value) if live.submitted or callee.kind == "flow" else value

    with printing(live) if callee.log_prints else nullcontext():
        steps = life(callee.policy, attempt=attempt, cache=_cache(live, callee, args, kwargs))
        drive(live, steps, _guarded(live, once), callee.policy.timeout_seconds)


def _cache(live: LiveRun, callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Cache | None:
    options = callee.cache
    if options is None:
        return None
    key = cache_key(live, options, callee.fn, callee.signature, args, kwargs)
    return None if key is None else Cache(key, options.expiration, options.refresh)


def _never() -> None:
    raise AssertionError("a run that is not ready is never called")


def _guarded(live: LiveRun, once: Callable[[], Any]) -> Callable[[], Any]:
    def work() -> Any:
        __tracebackhide__ = True
        try:
            return once()
        except Exception:
            # Prefect's rule for a flow that raises: what runs may end, what has not begun is cancelled.
            if live.submitted:
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


def _settle_children(live: LiveRun, value: Any) -> Any:
    _wait_all(live)
    return _states_of(value)


def _states_of(value: Any) -> Any:
    """Return the states in place of returned futures, so that the final-state rules can judge them."""
    if isinstance(value, RunFuture):
        value.wait()
        return value.state
    if (
        isinstance(value, (list, tuple, set, frozenset))
        and value
        and all(isinstance(item, (RunFuture, State)) for item in value)
    ):
        return [_states_of(item) for item in value]
    return value


async def _until_done(future: RunFuture[Any]) -> None:
    """Wait, without blocking the event loop, until the future's run has ended."""
    if not future.done():
        await future.run.runtime.until_done(future)


async def perform_async(
    live: LiveRun,
    callee: Callee,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    upstream: list[RunFuture[Any]],
    attempt: int = 1,
) -> None:
    """Do as `perform` does, in the running event loop."""
    reason = upstream_failure(upstream)
    if reason is not None:
        drive(live, not_ready(reason), _never, None)
        return
    if upstream:
        args, kwargs = resolve(args), resolve(kwargs)

    async def once() -> Any:
        __tracebackhide__ = True
        try:
            value = await callee.fn(*args, **kwargs)
            while live.submitted:
                future = next(iter(live.submitted.values()))
                await _until_done(future)
                live.submitted.pop(future.task_run_id, None)
            return _states_of(value) if callee.kind == "flow" else value
        except BaseException:
            for child in list(live.children.values()):
                child.cancel(f"{live.kind} run {live.name!r} was stopped")
            raise

    with printing(live) if callee.log_prints else nullcontext():
        steps = life(callee.policy, attempt=attempt, cache=_cache(live, callee, args, kwargs))
        await drive_async(live, steps, once, callee.policy.timeout_seconds)


def hand_out(live: LiveRun) -> Any:
    """Return the value of an ended run, or raise what its caller has to see.

    An interrupt (the stop button, `SystemExit`) goes on outwards; the caller of a cancelled run gets `CancelledRun`,
    unless it is to stop itself.
    """
    __tracebackhide__ = True
    state = live.state
    if state.type is StateType.COMPLETED:
        return state.data
    error = live.last_error
    if error is not None and not isinstance(error, (Exception, Interruption)):
        raise error
    if live.parent is not None and live.parent.stopping:
        raise asyncio.CancelledError if _in_loop() else Interruption
    if state.type is StateType.CANCELLED:
        raise CancelledRun(f"{live.kind} run {live.name!r} was cancelled")
    if state.name == "NotReady":
        raise UpstreamFailed(f"{live.kind} run {live.name!r} was not called: {state.message}")
    return state.result()


def _in_loop() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False
