"""The ``@task`` decorator and the `Task` that it makes. Names and meanings are Prefect 3's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, overload

from jupyter_wf.core.policy import exponential_backoff
from jupyter_wf.engine.calls import call, hand_out, hand_out_state
from jupyter_wf.engine.decorated import Decorated
from jupyter_wf.engine.futures import RunFuture, RunFutureList
from jupyter_wf.engine.hooks import Hook
from jupyter_wf.engine.options import TaskOptions
from jupyter_wf.engine.recording import RECORDING

if TYPE_CHECKING:
    from jupyter_wf.engine.background import BackgroundFuture

__all__ = ["Task", "exponential_backoff", "task"]

P = ParamSpec("P")
R = TypeVar("R")


class Task(Decorated, Generic[P, R]):
    """A function whose calls are runs: recorded, retried, timed out, cancelled, seen.

    ``fn`` is the function itself; the options are those of `jupyter_wf.engine.options.TaskOptions`. Raises
    `ParameterError` for options that make no sense or that there are not.
    """

    kind = "task"
    options_table = TaskOptions

    def __init__(self, fn: Callable[P, R], **options: Unpack[TaskOptions]) -> None:
        self._set_up(fn, options)
        self.tags = set(self.callee.tags)

    @overload
    def __call__(
        self: Task[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def __call__(self: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here and return its value; an async task returns an awaitable.

        Inside a flow the run is a child of the flow's, outside any it is a run of its own. Two keyword arguments are
        taken out before the function is called: ``wait_for`` (futures to wait for first) and ``return_state`` (return
        the final `State` instead of the value, and raise nothing that the function raised). Raises what the function
        raised, `TaskTimeout`, `CancelledRun`, or `UpstreamFailed` where an argument's task did not complete.
        """
        __tracebackhide__ = True
        if RECORDING.get() is not None:
            return self._record(args, kwargs, "call")
        wait_for = kwargs.pop("wait_for", None) or ()
        return_state = kwargs.pop("return_state", False)
        callee = self.callee
        if callee.yields and not return_state:
            return self._iterate(args, kwargs, wait_for)
        if callee.is_async:
            # Only async tasks pay for asyncio.
            from jupyter_wf.engine.asynchronous import call_async

            return call_async(callee, args, kwargs, wait_for, return_state)
        live = call(callee, args, kwargs, wait_for=wait_for)
        return hand_out_state(live) if return_state else hand_out(live)

    def submit(self, *args: Any, wait_for: Iterable[Any] | None = None, **kwargs: Any) -> RunFuture[Any]:
        """Start the task on the flow's task runner (threads by default) and return its future at once.

        Futures among the arguments, also inside containers, dataclasses and models, are waited for and become edges of
        the run graph; ``wait_for`` adds edges without arguments. ``return_state=True`` waits, and returns the state.
        """
        if RECORDING.get() is not None:
            return self._record(args, {**kwargs, "wait_for": wait_for}, "submit")  # type: ignore[no-any-return]
        # Only what is submitted needs it.
        from jupyter_wf.engine.submit import submit

        return_state = kwargs.pop("return_state", False)
        future: RunFuture[Any] = submit(self.callee, args, kwargs, wait_for=wait_for or ())
        if return_state:
            future.wait()
            return future.state  # type: ignore[return-value]
        return future

    def map(self, *args: Any, wait_for: Iterable[Any] | None = None, **kwargs: Any) -> RunFutureList[Any]:
        """Submit one call for each element of the iterable arguments; return the list of their futures at once.

        ``unmapped(value)``, texts, bytes, files, models and mappings go to every call as they are. A future is waited
        for, and its value mapped over. ``return_state=True`` waits, and returns the list of the states. Raises
        `MappingLengthMismatch` and `MappingMissingIterable`.
        """
        if RECORDING.get() is not None:
            return self._record(args, {**kwargs, "wait_for": wait_for}, "map")  # type: ignore[no-any-return]
        # Only what is mapped needs it.
        from jupyter_wf.engine.mapping import map_calls

        return_state = kwargs.pop("return_state", False)
        futures = map_calls(self.callee, args, kwargs, wait_for=wait_for or ())
        if return_state:
            futures.wait()
            return [future.state for future in futures]  # type: ignore[return-value]
        return futures

    def delay(self, *args: Any, **kwargs: Any) -> BackgroundFuture:
        """Leave the call to whoever serves this task (`serve`), in this process or another; return its future at once.

        The run is stored, SCHEDULED, before this returns. It is not part of the flow that calls this. Raises
        `ParameterError` for arguments that do not fit, `MissingResult` for one that can't be stored.
        """
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        wait_for: Iterable[Any] | None = None,
    ) -> BackgroundFuture:
        """Do as `delay` does, with the arguments as a sequence and a mapping; ``wait_for`` are waited for before."""
        if RECORDING.get() is not None:
            return self._record(tuple(args or ()), {**(kwargs or {}), "wait_for": wait_for}, "submit")  # type: ignore[no-any-return]
        # Only background tasks need it.
        from jupyter_wf.engine.background import delay

        return delay(self.callee, tuple(args or ()), dict(kwargs or {}), wait_for or ())

    def serve(self, *, limit: int = 10) -> None:
        """Execute this task's background runs, at most ``limit`` at the same time, until the process is interrupted."""
        # Only background tasks need it.
        from jupyter_wf.engine.background import TaskServer

        TaskServer({self.name: self.callee}, limit=limit).serve()

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """Say in one line whether a call with these arguments, made here, would be restored from the cache, and why.

        Nothing is called. Raises `ParameterError` for arguments that do not fit.
        """
        # Only who asks needs it.
        from jupyter_wf.engine.results import explain_call

        return explain_call(self.callee, args, kwargs)

    def on_commit(self, hook: Hook) -> Hook:
        """Have ``hook(transaction)`` called when the transaction that a run is part of commits. Returns the hook."""
        return self._add_hook("on_commit", hook)

    def on_rollback(self, hook: Hook) -> Hook:
        """Have ``hook(transaction)`` called when the transaction that a run is part of is rolled back.

        Returns the hook: a decorator.
        """
        return self._add_hook("on_rollback", hook)


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a `Task`: ``@task``, or ``@task(retries=3, timeout_seconds=60)``. See `Task` for the options."""
    if fn is None:
        return lambda function: Task(function, **options)
    return Task(fn, **options)
