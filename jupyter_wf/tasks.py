"""The ``@task`` decorator and the `Task` that it makes. Names and meanings are Prefect 3's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.policy import Delay, make_policy
from jupyter_wf.engine.calls import Callee, call, hand_out
from jupyter_wf.engine.decorated import Decorated
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.submit import submit

if TYPE_CHECKING:
    from datetime import timedelta

    from jupyter_wf.engine.cache import CacheContext, CachePolicy
    from jupyter_wf.engine.results import StoredResults

__all__ = ["Task", "make_callee", "task"]

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def make_callee(
    fn: Callable[..., Any],
    *,
    kind: Literal["task", "flow"],
    name: str | None,
    retries: int | None,
    retry_delay_seconds: Delay | None,
    timeout_seconds: float | None,
    tags: Iterable[str] | None = None,
    log_prints: bool | None = None,
    make_executor: Callable[[], Any] | None = None,
    run_name: str | None = None,
    source: Mapping[str, Any] | None = None,
    results: StoredResults | None = None,
) -> Callee:
    """Return what the engine needs to know of a decorated function.

    Raises `ParameterError` for an option that makes no sense, `TypeError` for what is not callable.
    """
    if not callable(fn):
        raise TypeError(f"@{kind} decorates a function, not {fn!r:.100}")
    called = name or getattr(fn, "__name__", type(fn).__name__)
    if not isinstance(called, str) or not called.strip() or len(called) > 300:
        raise ParameterError("name", f"{called!r:.80} is not a text of 1 to 300 characters")
    if isinstance(tags, str):
        raise ParameterError("tags", f"{tags!r} is one text; give a list of texts")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        signature = None
    parameters = list(signature.parameters.values()) if signature else []
    return Callee(
        fn=fn,
        name=called,
        kind=kind,
        policy=make_policy(retries=retries, retry_delay_seconds=retry_delay_seconds, timeout_seconds=timeout_seconds),
        is_async=inspect.iscoroutinefunction(fn),
        signature=signature,
        positional=tuple(p.name for p in parameters) if all(p.kind in _PLAIN for p in parameters) else (),
        tags=tuple(sorted(set(tags or ()))),
        log_prints=log_prints,
        run_name=run_name,
        make_executor=make_executor,
        results=results,
        source=source or {},
    )


def _stored_results(*options: Any) -> StoredResults | None:
    """Return what the cache options mean; hashing and pickling are loaded only where there are any."""
    if all(option is None for option in options):
        return None
    from jupyter_wf.engine.results import make_results

    return make_results(*options)


class Task(Decorated, Generic[P, R]):
    """A function whose calls are runs: recorded, retried, timed out, cancelled, seen.

    ``fn`` is the function itself. Options: ``name`` (the function's name when None), ``retries`` (attempts after the
    first), ``retry_delay_seconds`` (a number or a list of them), ``timeout_seconds`` (for each attempt), ``tags``,
    ``log_prints`` (prints also go to the run's log), ``task_run_name``; ``cache_policy`` or ``cache_key_fn`` with
    ``cache_expiration`` (a timedelta, or seconds) and ``refresh_cache``, see `jupyter_wf.cache_policies`.
    Raises `ParameterError` for options that make no sense.
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
        tags: Iterable[str] | None = None,
        log_prints: bool | None = None,
        task_run_name: str | None = None,
        cache_policy: CachePolicy | None = None,
        cache_key_fn: Callable[[CacheContext, Mapping[str, Any]], str | None] | None = None,
        cache_expiration: timedelta | float | None = None,
        refresh_cache: bool | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        callee = make_callee(
            fn,
            kind="task",
            name=name,
            retries=retries,
            retry_delay_seconds=retry_delay_seconds,
            timeout_seconds=timeout_seconds,
            tags=tags,
            log_prints=log_prints,
            run_name=task_run_name,
            source=source,
            results=_stored_results(cache_policy, cache_key_fn, cache_expiration, refresh_cache),
        )
        options = {
            "name": name,
            "description": description,
            "retries": retries,
            "retry_delay_seconds": retry_delay_seconds,
            "timeout_seconds": timeout_seconds,
            "tags": tags,
            "log_prints": log_prints,
            "task_run_name": task_run_name,
            "cache_policy": cache_policy,
            "cache_key_fn": cache_key_fn,
            "cache_expiration": cache_expiration,
            "refresh_cache": refresh_cache,
            "source": source,
        }
        self._set_up(callee, options)
        self.tags = set(callee.tags)

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
        wait_for = kwargs.pop("wait_for", None) or ()
        return_state = kwargs.pop("return_state", False)
        if self.callee.is_async:
            # Only async tasks pay for asyncio.
            from jupyter_wf.engine.asynchronous import call_async

            return call_async(self.callee, args, kwargs, wait_for, return_state)
        live = call(self.callee, args, kwargs, wait_for=wait_for)
        return live.state if return_state else hand_out(live)

    def submit(self, *args: Any, wait_for: Iterable[Any] | None = None, **kwargs: Any) -> RunFuture[Any]:
        """Start the task on the flow's task runner (threads by default) and return its future at once.

        Futures among the arguments, also inside lists, tuples, sets and dicts, are waited for and become edges of the
        run graph; ``wait_for`` adds edges without arguments.
        """
        future: RunFuture[Any] = submit(self.callee, args, kwargs, wait_for=wait_for or ())
        return future


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    retries: int | None = None,
    retry_delay_seconds: Delay | None = None,
    timeout_seconds: float | None = None,
    tags: Iterable[str] | None = None,
    log_prints: bool | None = None,
    task_run_name: str | None = None,
    cache_policy: CachePolicy | None = None,
    cache_key_fn: Callable[[CacheContext, Mapping[str, Any]], str | None] | None = None,
    cache_expiration: timedelta | float | None = None,
    refresh_cache: bool | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a `Task`: ``@task``, or ``@task(retries=3, timeout_seconds=60)``. See `Task` for the options."""
    if fn is None:
        return lambda function: Task(function, **options)
    return Task(fn, **options)
