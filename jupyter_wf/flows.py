"""The ``@flow`` decorator and the `Flow` that it makes. Names and meanings are Prefect 3's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar, Unpack, overload

from jupyter_wf.engine.callee import Callee, with_executor
from jupyter_wf.engine.calls import call, hand_out, hand_out_state
from jupyter_wf.engine.decorated import Decorated
from jupyter_wf.engine.options import FlowOptions
from jupyter_wf.engine.recording import RECORDING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jupyter_wf.core.deployments import Deployment
    from jupyter_wf.core.scheduling_json import PoliciesJSON
    from jupyter_wf.graphs import FlowGraph

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
        return hand_out_state(live) if return_state else hand_out(live)

    from_source: ClassVar[Callable[[str | Path, str], Flow[..., Any]]]

    def visualize(self, *args: Any, **kwargs: Any) -> FlowGraph:
        """Return the graph of the tasks that a call with these arguments would run; nothing is run or recorded.

        The body is executed with stand-ins for its tasks' values (``viz_return_value`` where a task has one). In a
        notebook the graph is drawn; it can be saved as SVG or Mermaid. Raises `FlowVisualizationError` where the body
        needs the real value of a task.
        """
        # Few programs draw.
        from jupyter_wf.visualization import visualize

        return visualize(self.fn, self.name, args, kwargs)

    def resume(self, flow_run_id: str, /, **changed: Any) -> Any:
        """Go on with a run of this flow that failed, crashed, was cancelled or suspended: make its next attempt here.

        It may be a run of another process. Tasks that completed are restored, not called. The flow gets the arguments
        that it was called with, except for those that are ``changed``. Returns and raises what a call does (with
        ``return_state=True`` the state); raises `RunNotFound`, `RunFinished` for a run that COMPLETED or that another
        process has, `ParameterError` for a run of another flow and for a missing or wrong argument, `InputRefused`
        where it was suspended for an input that nobody has given, `FlowPauseTimeout` where that took too long.
        """
        # Few programs resume anything.
        from jupyter_wf.engine.resumption import resume_run

        __tracebackhide__ = True
        return_state = changed.pop("return_state", False)
        if self.callee.is_async:
            return _resumed(self.callee, flow_run_id, changed, return_state)
        with ExitStack() as stack:
            live = resume_run(with_executor(self.callee, stack), str(flow_run_id), changed)
        return hand_out_state(live) if return_state else hand_out(live)

    def deploy(
        self,
        name: str,
        work_pool_name: str | None = None,
        *,
        work_pool: str | None = None,
        schedules: Iterable[Any] | None = None,
        cron: str | Iterable[str] | None = None,
        interval: float | timedelta | str | Iterable[Any] | None = None,
        rrule: str | Iterable[str] | None = None,
        at: str | datetime | Iterable[Any] | None = None,
        timezone: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        description: str | None = None,
        priority: int = 0,
        paused: bool | None = None,
        **policies: Unpack[PoliciesJSON],
    ) -> Deployment:
        """Have agents run this flow by schedules, and when it is asked for; return the deployment.

        See `jupyter_wf.deployments.deploy`. Raises `TargetError` for a flow that no other process can import, such as
        that of a notebook's cell: deploy the notebook, or `serve` the flow.
        """
        # Few programs deploy anything.
        from jupyter_wf.deployments import deploy

        return deploy(
            self,
            name,
            schedules=schedules,
            cron=cron,
            interval=interval,
            rrule=rrule,
            at=at,
            timezone=timezone,
            parameters=parameters,
            work_pool=work_pool if work_pool_name is None else work_pool_name,
            tags=tags,
            description=description,
            priority=priority,
            paused=paused,
            **policies,
        )

    def serve(
        self,
        name: str | None = None,
        *,
        schedules: Iterable[Any] | None = None,
        cron: str | Iterable[str] | None = None,
        interval: float | timedelta | str | Iterable[Any] | None = None,
        rrule: str | Iterable[str] | None = None,
        at: str | datetime | Iterable[Any] | None = None,
        timezone: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        description: str | None = None,
        paused: bool | None = None,
        limit: int | None = None,
        pause_on_shutdown: bool = True,
        print_starting_message: bool = True,
        **policies: Unpack[PoliciesJSON],
    ) -> None:
        """Deploy this flow, and execute the runs of this deployment until the process is interrupted.

        ``name`` is the flow's own if it is not given. At most ``limit`` runs are executed at the same time (as many as
        there are cores if it is not given): each in a process of its own, or on threads of this one where no other
        process can import the flow, as that of a notebook's cell. Ctrl-C or the stop button cancel what runs; the
        schedules are then paused, unless ``pause_on_shutdown`` is false. The rest is as in `deploy`.
        """
        # Few programs serve anything.
        from jupyter_wf.deployments import serve_flow

        serve_flow(
            self,
            self.name if name is None else name,
            limit=limit,
            pause_on_shutdown=pause_on_shutdown,
            print_starting_message=print_starting_message,
            schedules=schedules,
            cron=cron,
            interval=interval,
            rrule=rrule,
            at=at,
            timezone=timezone,
            parameters=parameters,
            tags=tags,
            description=description,
            paused=paused,
            **policies,
        )


async def _resumed(callee: Callee, run_id: str, changed: dict[str, Any], return_state: bool) -> Any:
    # Only async flows pay for asyncio.
    from jupyter_wf.engine.resumption_async import resume_async

    __tracebackhide__ = True
    with ExitStack() as stack:
        live = await resume_async(with_executor(callee, stack), str(run_id), changed)
    return hand_out_state(live) if return_state else hand_out(live)


async def _awaited(
    callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any, return_state: bool
) -> Any:
    # Only async flows pay for asyncio.
    from jupyter_wf.engine.asynchronous import call_async

    __tracebackhide__ = True
    with ExitStack() as stack:
        return await call_async(with_executor(callee, stack), args, kwargs, wait_for, return_state)


class _FlowDecorator:
    """The decorator ``@flow``; ``flow.from_source`` loads a flow that is defined elsewhere."""

    @overload
    def __call__(self, fn: Callable[P, R], /) -> Flow[P, R]: ...
    @overload
    def __call__(self, /, **options: Unpack[FlowOptions]) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
    def __call__(self, fn: Callable[..., Any] | None = None, /, **options: Unpack[FlowOptions]) -> Any:
        """Make a function a `Flow`: ``@flow``, or ``@flow(name="etl", timeout_seconds=600)``.

        See `Flow` for the options.
        """
        if fn is None:
            return lambda function: Flow(function, **options)
        return Flow(fn, **options)

    @staticmethod
    def from_source(source: str | Path, entrypoint: str) -> Flow[..., Any]:
        """Return the flow at ``entrypoint`` (``flows.py:my_flow``) in the local folder ``source``.

        Raises `TargetError` where ``source`` is no local folder, and where there is no such file or flow.
        """
        # It imports this module.
        from jupyter_wf.sources import flow_from_source

        return flow_from_source(source, entrypoint)


flow = _FlowDecorator()
Flow.from_source = staticmethod(flow.from_source)
