"""The ``@flow`` decorator and the `Flow` that it makes. Names and meanings are Prefect 3's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from typing import Any, Generic, ParamSpec, TypeVar, overload

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.policy import Delay
from jupyter_wf.engine.calls import Callee, call, hand_out
from jupyter_wf.engine.decorated import Decorated
from jupyter_wf.tasks import make_callee

__all__ = ["Flow", "flow"]

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Decorated, Generic[P, R]):
    """A function whose calls are flow runs; the tasks that it calls or submits become their children.

    Options: ``name`` (the function's name when None), ``retries`` (of the whole flow), ``retry_delay_seconds``,
    ``timeout_seconds``, ``log_prints`` (also for its tasks), ``task_runner`` (where submitted tasks run, see
    `jupyter_wf.task_runners`), ``flow_run_name``. Raises `ParameterError` for options that make no sense.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        retries: int | None = None,
        retry_delay_seconds: Delay | None = None,
        timeout_seconds: float | None = None,
        log_prints: bool | None = None,
        task_runner: Any = None,
        flow_run_name: str | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        if task_runner is not None and not callable(getattr(task_runner, "make_executor", None)):
            raise ParameterError("task_runner", f"{task_runner!r:.100} is none; see jupyter_wf.task_runners")
        callee = make_callee(
            fn,
            kind="flow",
            name=name,
            retries=retries,
            retry_delay_seconds=retry_delay_seconds,
            timeout_seconds=timeout_seconds,
            log_prints=log_prints,
            make_executor=task_runner.make_executor if task_runner is not None else None,
            run_name=flow_run_name,
            source=source,
        )
        options = {
            "name": name,
            "description": description,
            "retries": retries,
            "retry_delay_seconds": retry_delay_seconds,
            "timeout_seconds": timeout_seconds,
            "log_prints": log_prints,
            "task_runner": task_runner,
            "flow_run_name": flow_run_name,
            "source": source,
        }
        self._set_up(callee, options)

    @overload
    def __call__(
        self: Flow[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]: ...
    @overload
    def __call__(self: Flow[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow in the calling thread and return its value; an async flow returns an awaitable.

        ``return_state=True`` returns the final `State` instead. When the call returns, everything that ran is
        committed. Raises what the function raised, `TaskTimeout` or `CancelledRun`.
        """
        __tracebackhide__ = True
        wait_for = kwargs.pop("wait_for", None) or ()
        return_state = kwargs.pop("return_state", False)
        if self.callee.is_async:
            return _awaited(self.callee, args, kwargs, wait_for, return_state)
        with ExitStack() as stack:
            live = call(_with_executor(self.callee, stack), args, kwargs, wait_for=wait_for)
        return live.state if return_state else hand_out(live)


async def _awaited(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    # Only async flows pay for asyncio.
    from jupyter_wf.engine.asynchronous import call_async

    __tracebackhide__ = True
    with ExitStack() as stack:
        return await call_async(_with_executor(callee, stack), args, kwargs, wait_for, return_state)


def _with_executor(callee: Callee, stack: ExitStack) -> Callee:
    """Return the callee with an executor of this call's own, started on ``stack``, if its flow asks for one."""
    if callee.make_executor is None:
        return callee
    executor = callee.make_executor()
    executor.start(stack)
    return callee.using(executor)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(
    *,
    name: str | None = None,
    description: str | None = None,
    retries: int | None = None,
    retry_delay_seconds: Delay | None = None,
    timeout_seconds: float | None = None,
    log_prints: bool | None = None,
    task_runner: Any = None,
    flow_run_name: str | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a `Flow`: ``@flow``, or ``@flow(name="etl", timeout_seconds=600)``. See `Flow` for options."""
    if fn is None:
        return lambda function: Flow(function, **options)
    return Flow(fn, **options)
