"""The ``@flow`` decorator and the `Flow` that it makes. Names and meanings are Prefect 3's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, overload

from jupyter_wf.engine.callee import Callee, with_executor
from jupyter_wf.engine.calls import call, hand_out
from jupyter_wf.engine.decorated import Decorated
from jupyter_wf.engine.options import FlowOptions
from jupyter_wf.engine.recording import RECORDING

__all__ = ["Flow", "flow"]

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Decorated, Generic[P, R]):
    """A function whose calls are flow runs; the tasks that it calls or submits become their children.

    ``fn`` is the function itself; the options are those of `jupyter_wf.engine.options.FlowOptions`. Raises
    `ParameterError` for options that make no sense or that there are not.
    """

    kind = "flow"
    options_table = FlowOptions

    def __init__(self, fn: Callable[P, R], **options: Unpack[FlowOptions]) -> None:
        self._set_up(fn, options)

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
        if RECORDING.get() is not None:
            return self._record(args, kwargs, "call")
        wait_for = kwargs.pop("wait_for", None) or ()
        return_state = kwargs.pop("return_state", False)
        if self.callee.yields and not return_state:
            return self._iterate(args, kwargs, wait_for)
        if self.callee.is_async:
            return _awaited(self.callee, args, kwargs, wait_for, return_state)
        with ExitStack() as stack:
            live = call(with_executor(self.callee, stack), args, kwargs, wait_for=wait_for)
        return live.state if return_state else hand_out(live)


async def _awaited(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    # Only async flows pay for asyncio.
    from jupyter_wf.engine.asynchronous import call_async

    __tracebackhide__ = True
    with ExitStack() as stack:
        return await call_async(with_executor(callee, stack), args, kwargs, wait_for, return_state)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(**options: Unpack[FlowOptions]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a `Flow`: ``@flow``, or ``@flow(name="etl", timeout_seconds=600)``. See `Flow` for options."""
    if fn is None:
        return lambda function: Flow(function, **options)
    return Flow(fn, **options)
