"""Deployments: a notebook or flow with parameters and schedules, whose runs agents execute. Names are Prefect 3's."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Unpack
from uuid import UUID

from jupyter_wf.core.deployment_fields import check_reason
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies
from jupyter_wf.core.errors import FlowRunWaitTimeout, InvalidRequest, ParameterError
from jupyter_wf.core.models import Run
from jupyter_wf.core.policies import POLICY_NAMES
from jupyter_wf.core.scheduling_errors import AmbiguousDeployment, DeploymentExists, DeploymentNotFound
from jupyter_wf.core.scheduling_json import PoliciesJSON
from jupyter_wf.core.telling import moment_in, upcoming, words_of, zone_name
from jupyter_wf.engine.awaiting import is_awaiting
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.flow_runs import check_times, wait_for_flow_run
from jupyter_wf.flows import Flow
from jupyter_wf.services.deployables import find_deployable
from jupyter_wf.services.deploying import nobody_there, put_deployment, trigger
from jupyter_wf.services.given_schedules import given_schedules

__all__ = [
    "AmbiguousDeployment",
    "Deployment",
    "DeploymentExists",
    "DeploymentNotFound",
    "DeploymentSchedule",
    "Policies",
    "delete_deployment",
    "deploy",
    "pause_deployment",
    "run_deployment",
    "serve_flow",
    "unpause_deployment",
]

_log = logging.getLogger(__name__)
_MOST = 10_000
#: What may be meant by a keyword argument that there is not.
_ARGUMENTS = ("schedules", "cron", "interval", "rrule", "timezone", "parameters", "work_pool", "tags", "priority")


def deploy(
    target: str | os.PathLike[str] | Flow[..., Any],
    name: str,
    *,
    schedules: Iterable[Any] | None = None,
    cron: str | Iterable[str] | None = None,
    interval: float | timedelta | str | Iterable[Any] | None = None,
    rrule: str | Iterable[str] | None = None,
    at: str | datetime | Iterable[Any] | None = None,
    timezone: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    work_pool: str | None = None,
    tags: Iterable[str] = (),
    description: str | None = None,
    priority: int = 0,
    kernel: str | None = None,
    paused: bool | None = None,
    **policies: Unpack[PoliciesJSON],
) -> Deployment:
    """Deploy a notebook (``nb.ipynb``) or a flow (itself, or ``flows.py:etl``) as ``flow/name``, and return it.

    A deployment of that address is replaced; its schedules are kept where none are given (``schedules=[]`` removes
    them), and so is whether it is paused where ``paused`` is None. ``schedules`` are those of `jupyter_wf.schedules`,
    or mappings with ``cron``, ``interval``, ``rrule`` or ``at`` and ``timezone``, ``parameters``, ``slug``, ``active``,
    ``start_at``, ``end_at``, ``max_runs``, ``jitter``. ``cron``, ``interval`` (seconds, a `timedelta`, ``15m``),
    ``rrule`` and ``at`` (ISO 8601) with ``timezone`` are short for those. ``policies`` are the fields of `Policies`;
    lengths of time may be texts such as ``15m``.

    Raises `TargetError` where there is no such notebook or flow, and for a flow that no other process can import;
    `ScheduleError`, `InvalidRequest` and `ParameterError`, with the field, for what can't be.
    """
    given = _given(
        name,
        given_schedules(schedules, cron=cron, interval=interval, rrule=rrule, at=at, timezone=timezone),
        pool=work_pool,
        parameters=parameters,
        tags=tags,
        description=description,
        priority=priority,
        kernel=kernel,
        paused=paused,
        policies=policies,
    )
    runtime = current_runtime()
    return put_deployment(runtime.store, runtime.settings, find_deployable(target), given, now=time.time())


def _given(
    name: str,
    schedules: list[Any] | None,
    *,
    parameters: Mapping[str, Any] | None,
    tags: Iterable[str],
    policies: Mapping[str, Any],
    **others: Any,
) -> dict[str, Any]:
    """Return what was given in the form that `build_deployment` takes; what is None was not given."""
    _known(policies)
    given: dict[str, Any] = {"name": name, "policies": dict(policies), "tags": _tags(tags)}
    given["parameters"] = {} if parameters is None else parameters
    given.update((key, value) for key, value in (*others.items(), ("schedules", schedules)) if value is not None)
    return given


def _known(policies: Mapping[str, Any]) -> None:
    """Refuse keyword arguments that there are not, beside policies."""
    for name in policies:
        if name not in (*POLICY_NAMES, "policies"):
            near = get_close_matches(name, (*POLICY_NAMES, *_ARGUMENTS), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"policies are {', '.join(POLICY_NAMES)}"
            raise InvalidRequest(name, policies[name], f"there is no such argument or policy; {hint}")


def _tags(given: Any) -> Any:
    """Return tags that come one by one as a list; what is no list of texts is refused where they are checked."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str | Mapping) else given


def serve_flow(
    flow: Flow[..., Any],
    name: str,
    *,
    limit: int | None = None,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    schedules: Iterable[Any] | None = None,
    cron: Any = None,
    interval: Any = None,
    rrule: Any = None,
    at: Any = None,
    timezone: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    description: str | None = None,
    paused: bool | None = None,
    **policies: Unpack[PoliciesJSON],
) -> None:
    """Do what `Flow.serve` says. Raises as `deploy` does, and `ParameterError` for a limit that is none."""
    if limit is not None and (type(limit) is not int or not 1 <= limit <= _MOST):
        raise ParameterError("limit", f"{limit!r} is not a whole number from 1 to {_MOST:,}")
    given = _given(
        name,
        given_schedules(schedules, cron=cron, interval=interval, rrule=rrule, at=at, timezone=timezone),
        parameters=parameters,
        tags=tags,
        description=description,
        paused=paused,
        policies=policies,
    )
    # Few programs serve anything: it loads what executes runs.
    from jupyter_wf.services.flow_serving import FlowServer

    server = FlowServer(current_runtime(), flow, given, limit=limit or os.cpu_count() or 1)
    if print_starting_message:
        print(_starting(server.deployment), flush=True)
    try:
        server.serve(pause=pause_on_shutdown)
    except KeyboardInterrupt:
        if print_starting_message:
            told = "; its schedules are paused" if pause_on_shutdown else ""
            print(f"{server.deployment.address} is not served any more{told}", flush=True)


def _starting(deployment: Deployment) -> str:
    lines = [f"serving {deployment.address} (Ctrl-C ends it)"]
    for schedule in deployment.schedules:
        following = upcoming(schedule, time.time(), 1)
        next_one = f"; next {moment_in(following[0])}" if following and schedule.active else ""
        lines.append(f"  {words_of(schedule)}, {zone_name(schedule)}{next_one}")
    return "\n".join(lines)


def pause_deployment(name: str | UUID, *, reason: str = "paused by hand") -> Deployment:
    """Have the schedules of a deployment make no more runs, and return it; what runs goes on.

    ``name`` is ``flow/name``, the name alone, or the deployment's id; ``reason`` (one line) is shown wherever it is
    listed. `run_deployment` still runs it. Raises `DeploymentNotFound`, `AmbiguousDeployment`, and `InvalidRequest` for
    a reason that is none.
    """
    told = check_reason("reason", reason)
    store = current_runtime().store
    return store.deployments.pause(store.deployments.find(str(name)).id, told, time.time())


def unpause_deployment(name: str | UUID) -> Deployment:
    """Have the schedules of a deployment make runs again, from now on, and return it; its failures count from 0.

    What came while it was paused is not made up for. ``name`` is that of `pause_deployment`. Raises
    `DeploymentNotFound`, `AmbiguousDeployment`.
    """
    store = current_runtime().store
    return store.deployments.unpause(store.deployments.find(str(name)).id, time.time())


def delete_deployment(name: str | UUID) -> int:
    """Delete a deployment with its schedules, and return how many of its runs waited: they are cancelled.

    What runs goes on, and the runs that have ended stay. ``name`` is that of `pause_deployment`. Raises
    `DeploymentNotFound`, `AmbiguousDeployment`.
    """
    store = current_runtime().store
    return store.deployments.delete(store.deployments.find(str(name)).id)


def run_deployment(
    name: str | UUID,
    parameters: Mapping[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float | None = None,
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    as_subflow: bool = True,
) -> Any:
    """Make a run of a deployment now, wait until it has ended, and return the `Run`; in an event loop an awaitable.

    ``name`` is ``flow/name``, the name alone, or the deployment's id. ``parameters`` go over the deployment's.
    ``scheduled_time`` is when the run may begin (without an offset: local time). ``timeout`` is how long (seconds) is
    waited, None for as long as it takes, 0 for not at all: the run is then returned as it is. How a run ended is in its
    state, ``run.state.result()`` is what it returned; nothing is raised for one that failed. ``poll_interval``
    (seconds) is how often it is looked, by default what is good. With an ``idempotency_key`` the run is made once: a
    later call with the same key gets the same run. ``as_subflow``: where the calling flow is stopped while it waits, so
    is the run.

    Somebody must be there to execute it: a Jupyter server's agent, or ``jupyter wf agent start``. Where nobody is, that
    is logged as a warning. Raises `DeploymentNotFound`, `AmbiguousDeployment`, `ParameterError` for parameters that do
    not fit, and `TargetError` where the notebook is gone.
    """
    check_times(timeout=timeout, poll_interval=poll_interval)
    if scheduled_time is not None and not isinstance(scheduled_time, datetime):
        raise ParameterError("scheduled_time", f"{scheduled_time!r:.100} is no datetime")
    if idempotency_key is not None and not isinstance(idempotency_key, str):
        raise ParameterError("idempotency_key", f"{idempotency_key!r:.100} is no text")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise ParameterError("parameters", f"{parameters!r:.100} is no mapping of values by name")
    calling = _Calling(str(name), parameters or {}, timeout, poll_interval, as_subflow)
    calling.options = {
        "due_at": None if scheduled_time is None else scheduled_time.timestamp(),
        "name": flow_run_name,
        "tags": () if tags is None else _tags(tags),
        "key": idempotency_key,
    }
    return calling.run_async() if is_awaiting() else calling.run()


class _Calling:
    """One call of `run_deployment`, in either world."""

    options: dict[str, Any]

    def __init__(
        self, name: str, parameters: Mapping[str, Any], timeout: float | None, interval: float | None, is_part: bool
    ) -> None:
        self._name = name
        self._parameters = parameters
        self._timeout = timeout
        self._interval = interval
        self._caller = current_run() if is_part else None
        self._runtime: Runtime = current_runtime()

    def run(self) -> Run:
        """Submit the run, and wait for it."""
        run_id = self._submit()
        if self._timeout != 0:
            try:
                with_it: Run = wait_for_flow_run(run_id, timeout=self._timeout, poll_interval=self._interval)
                return with_it
            except FlowRunWaitTimeout:
                pass
            except BaseException:
                self._cancel(run_id)
                raise
        return self._runtime.store.get_run(run_id)

    async def run_async(self) -> Run:
        """Submit the run, and await it."""
        # Only those who await need it.
        import asyncio

        run_id = await asyncio.to_thread(self._submit)
        if self._timeout != 0:
            try:
                with_it: Run = await wait_for_flow_run(run_id, timeout=self._timeout, poll_interval=self._interval)
                return with_it
            except FlowRunWaitTimeout:
                pass
            except BaseException:
                self._cancel(run_id)
                raise
        return await asyncio.to_thread(self._runtime.store.get_run, run_id)

    def _submit(self) -> str:
        store = self._runtime.store
        # The caller's run may be a moment old.
        self._runtime.journal.flush()
        deployment = store.deployments.find(self._name)
        source = {} if self._caller is None else {"called_by": self._caller.id}
        now = time.time()
        run_id = trigger(
            store, self._runtime.settings, deployment, self._parameters, now=now, source=source, **self.options
        )
        for problem in nobody_there(store, deployment.pool, now):
            _log.warning("%s waits: %s", deployment.address, problem)
        return run_id

    def _cancel(self, run_id: str) -> None:
        """Ask the run to stop, where it is part of a run that is being stopped."""
        if self._caller is not None:
            self._runtime.store.request(run_id, "cancel")
