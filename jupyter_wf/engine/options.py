"""The options of ``@task`` and ``@flow``: one table for the decorators, the classes and ``with_options``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.policy import Delay, make_policy
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.hooks import HOOKS, Hook, make_hooks
from jupyter_wf.engine.keeping import Keeping
from jupyter_wf.store.serializers import check_serializer

if TYPE_CHECKING:
    from jupyter_wf.engine.cache import CacheContext, CachePolicy
    from jupyter_wf.engine.results import StoredResults

__all__ = ["FlowOptions", "SharedOptions", "TaskOptions", "bound_signature", "check_names", "make_callee"]

_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class SharedOptions(TypedDict, total=False):
    """What tasks and flows can be given.

    - ``name`` (the function's when None), ``description`` (its docstring), ``version``: shown with the runs
    - ``retries``: attempts after the first; ``retry_delay_seconds``: a number, a list (one for each retry) or a
      function from the number of retries to such a list; ``retry_jitter_factor`` spreads each delay d evenly over
      d·(1 - factor) to d·(1 + factor)
    - ``retry_on``: the exception classes that are tried again; ``retry_condition_fn(task, run, state)``: says whether
    - ``timeout_seconds`` bounds each attempt; ``late_after`` (seconds or a timedelta): when a run that still goes on
      is called late
    - ``log_prints``: what is printed also goes to the run's log
    - ``persist_result`` (True unless the flow around says otherwise): whether the value is stored, so that later
      attempts and other processes find it; ``result_serializer``: ``json``, ``pickle``, ``compressed/json`` or
      ``compressed/pickle``; ``cache_result_in_memory``: False reads the stored value again when it is asked for
    - ``on_running``, ``on_completion``, ``on_failure``, ``on_crashed``, ``on_cancellation``, ``on_late``: functions of
      (task or flow, run, state), called when a run enters the state
    - ``source``: facts that are stored with each run
    """

    name: str | None
    description: str | None
    version: str | None
    retries: int | None
    retry_delay_seconds: Delay | None
    retry_jitter_factor: float | None
    retry_condition_fn: Callable[..., Any] | None
    retry_on: type[BaseException] | tuple[type[BaseException], ...] | None
    timeout_seconds: float | None
    late_after: timedelta | float | None
    log_prints: bool | None
    persist_result: bool | None
    result_serializer: str | None
    cache_result_in_memory: bool | None
    on_running: Hook | list[Hook] | None
    on_completion: Hook | list[Hook] | None
    on_failure: Hook | list[Hook] | None
    on_crashed: Hook | list[Hook] | None
    on_cancellation: Hook | list[Hook] | None
    on_late: Hook | list[Hook] | None
    source: Mapping[str, Any] | None


class TaskOptions(SharedOptions, total=False):
    """What tasks can be given besides.

    - ``tags``: texts, shown with the runs; a limit named ``tag:<tag>`` bounds how many run at the same time
    - ``task_run_name``: a template with the parameters' names, or a function that returns the name
    - ``cache_policy`` (see `jupyter_wf.cache_policies`) or ``cache_key_fn(context, parameters)``, ``cache_expiration``
      (a timedelta, or seconds), ``refresh_cache``: when a stored value stands for the call
    - ``result_storage_key``: a template of the key under which the value can be looked up
    - ``trigger``: when the task is called, given how the runs before it ended (see `jupyter_wf.core.triggers`)
    - ``teardown``: True for a task that runs whatever happened and does not decide the flow's state; or a task that is
      called with this one's value when the flow's work has ended, however it did
    - ``durable``: the end of a run is committed before its caller goes on
    - ``on_commit``, ``on_rollback``: functions of the transaction that the run is part of
    - ``viz_return_value``: what a call returns to ``flow.visualize()``
    """

    tags: Iterable[str] | None
    task_run_name: str | Callable[..., str] | None
    cache_policy: CachePolicy | None
    cache_key_fn: Callable[[CacheContext, Mapping[str, Any]], str | None] | None
    cache_expiration: timedelta | float | None
    refresh_cache: bool | None
    result_storage_key: str | None
    trigger: str | None
    teardown: Any
    durable: bool | None
    on_commit: Hook | list[Hook] | None
    on_rollback: Hook | list[Hook] | None
    viz_return_value: Any


class FlowOptions(SharedOptions, total=False):
    """What flows can be given besides.

    - ``flow_run_name``: a template with the parameters' names, or a function that returns the name
    - ``task_runner``: where submitted tasks run (see `jupyter_wf.task_runners`)
    - ``validate_parameters`` (True): arguments are checked against the annotations, and converted to them
    """

    flow_run_name: str | Callable[..., str] | None
    task_runner: Any
    validate_parameters: bool | None


def check_names(options: Mapping[str, Any], table: type) -> None:
    """Raise `ParameterError` for an option that is not in ``table``."""
    unknown = sorted(set(options) - set(table.__annotations__) - set(SharedOptions.__annotations__))
    if unknown:
        known = sorted({*table.__annotations__, *SharedOptions.__annotations__})
        raise ParameterError(unknown[0], f"there is no such option; there are {', '.join(known)}")


def make_callee(fn: Callable[..., Any], kind: Literal["task", "flow"], options: Mapping[str, Any]) -> Callee:
    """Return what the engine needs to know of a decorated function.

    Raises `ParameterError` for an option that makes no sense, `TypeError` for what is not callable.
    """
    if not callable(fn):
        raise TypeError(f"@{kind} decorates a function, not {fn!r:.100}")
    called = fn if isinstance(fn, (type, functools.partial)) or inspect.isroutine(fn) else type(fn).__call__
    signature, positional = bound_signature(fn).values()
    parameters = list(signature.parameters.values()) if signature else []
    name = _name(fn, options.get("name"))
    condition = _function("retry_condition_fn", options.get("retry_condition_fn"))
    persist, keeping = _keeping(fn, options)
    results = _stored_results(fn, options)
    transactional = make_hooks(options, ("on_commit", "on_rollback"))
    teardown = _teardown(options.get("teardown"))
    policy = _policy(options, asks=condition is not None, tears_down=teardown is True)
    noisy = options.get("log_prints") is not None or policy.late_after is not None or policy.durable
    return Callee(
        fn=fn,
        name=name,
        kind=kind,
        policy=policy,
        is_async=inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called),
        yields=inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called),
        signature=signature,
        positional=positional,
        tags=_tags(options.get("tags")),
        log_prints=options.get("log_prints"),
        run_name=_run_name(options, f"{kind}_run_name"),
        make_executor=_executor(options.get("task_runner")),
        results=results,
        hooks=make_hooks(options, HOOKS),
        transactional=transactional,
        condition=condition,
        persist=persist,
        keeping=keeping,
        teardown=teardown,
        validates=kind == "flow"
        and options.get("validate_parameters") is not False
        and any(p.annotation is not p.empty for p in parameters),
        quiet=not noisy and teardown in (None, True) and transactional is None and not (results and results.serial),
        source=_source(options),
    )


def bound_signature(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return a callee's ``signature``, None where there is none to be had, and ``positional``."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return {"signature": None, "positional": ()}
    parameters = signature.parameters.values()
    plain = all(p.kind in _PLAIN for p in parameters)
    return {"signature": signature, "positional": tuple(p.name for p in parameters) if plain else ()}


def _name(fn: Any, given: object) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    called = given or getattr(fn, "__name__", type(fn).__name__)
    if not isinstance(called, str) or not called.strip() or len(called) > 300:
        raise ParameterError("name", f"{called!r:.80} is not a text of 1 to 300 characters")
    return called


def _policy(options: Mapping[str, Any], *, asks: bool, tears_down: bool) -> Any:
    plain = ("retries", "retry_delay_seconds", "retry_jitter_factor", "retry_on", "timeout_seconds", "late_after")
    trigger = options.get("trigger") or ("all_done" if tears_down else None)
    return make_policy(
        **{name: options.get(name) for name in plain}, asks=asks, durable=options.get("durable"), trigger=trigger
    )


def _tags(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        raise ParameterError("tags", f"{given!r} is one text; give a list of texts")
    many = tuple(sorted(set(given or ())))
    for tag in many:
        if not isinstance(tag, str) or not 0 < len(tag) <= 300:
            raise ParameterError("tags", f"{tag!r:.80} is not a text of 1 to 300 characters")
    return many


def _run_name(options: Mapping[str, Any], option: str) -> str | Callable[..., str] | None:
    given = options.get(option)
    if given is not None and not isinstance(given, str) and not callable(given):
        raise ParameterError(option, f"{given!r:.100} is neither a text nor a function that returns one")
    return given


def _function(option: str, given: Any) -> Callable[..., Any] | None:
    if given is not None and not callable(given):
        raise ParameterError(option, f"{given!r:.100} is not a function")
    function: Callable[..., Any] | None = given
    return function


def _executor(task_runner: Any) -> Callable[[], Any] | None:
    if task_runner is None:
        return None
    make = getattr(task_runner, "make_executor", None)
    if isinstance(task_runner, type) or not callable(make):
        raise ParameterError("task_runner", f"{task_runner!r:.100} is none; see jupyter_wf.task_runners")
    maker: Callable[[], Any] = make
    return maker


def _teardown(given: Any) -> Any:
    if given in (None, False):
        return None
    if given is not True and getattr(getattr(given, "callee", None), "kind", None) != "task":
        raise ParameterError("teardown", f"{given!r:.100} is neither True nor a task")
    return given


def _keeping(fn: Callable[..., Any], options: Mapping[str, Any]) -> tuple[bool | None, Keeping]:
    serializer, key = options.get("result_serializer"), options.get("result_storage_key")
    persist = options.get("persist_result")
    asked = persist is True or serializer is not None or key is not None
    if serializer is not None:
        check_serializer(serializer)
    if key is not None and (not isinstance(key, str) or not key):
        raise ParameterError("result_storage_key", f"{key!r:.80} is not a text")
    in_memory = options.get("cache_result_in_memory") is not False
    keeping = Keeping(fn, serializer=serializer, storage_key=key, in_memory=in_memory, asked=asked)
    return True if asked and persist is not False else persist, keeping


def _stored_results(fn: Callable[..., Any], options: Mapping[str, Any]) -> StoredResults | None:
    """Return what the cache options mean; hashing and pickling are loaded only where there are any."""
    given = [options.get(n) for n in ("cache_policy", "cache_key_fn", "cache_expiration", "refresh_cache")]
    if all(option is None for option in given):
        return None
    from jupyter_wf.engine.results import make_results

    return make_results(*given, persist=options.get("persist_result"), name=_name(fn, options.get("name")))


def _source(options: Mapping[str, Any]) -> Mapping[str, Any]:
    source = dict(options.get("source") or {})
    version = options.get("version")
    if version is not None:
        if not isinstance(version, str):
            raise ParameterError("version", f"{version!r:.80} is not a text")
        source["version"] = version
    return source
