"""Making deployments, and runs of them: the one place where what somebody gives becomes a `Deployment`.

What is given has the form of `core.scheduling_json.SaveDeploymentJSON`, wherever it comes from: a request, a file, the
command line, Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any

from jupyter_wf.core.arguments import Arguments
from jupyter_wf.core.deployment_fields import (
    check_description,
    check_name,
    check_priority,
    check_run_name,
    check_tags,
    json_values,
    plain_values,
)
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies, QueuedRun, address_of
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.output_paths import fill_output
from jupyter_wf.core.policies import check_policies
from jupyter_wf.core.scheduling_errors import AmbiguousDeployment, DeploymentNotFound
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.kernelspecs import kernel_specs
from jupyter_wf.notebook.snapshots import keep_snapshot
from jupyter_wf.services.deployables import Deployable, as_pinned, deployable_of
from jupyter_wf.services.given_schedules import read_schedules
from jupyter_wf.store.base import Store

__all__ = [
    "GIVEN_KEYS",
    "build_deployment",
    "changed_parameters",
    "find_stored",
    "nobody_there",
    "put_deployment",
    "save_deployment",
    "source_of",
    "trigger",
    "without_options",
]

#: What can be given for a deployment, beside its target.
GIVEN_KEYS = (
    "name",
    "parameters",
    "pool",
    "tags",
    "description",
    "priority",
    "kernel",
    "policies",
    "schedules",
    "paused",
)
_KERNEL = re.compile(r"[A-Za-z0-9._-]{1,200}")
_PAUSED = "paused when it was deployed"


def build_deployment(
    settings: Settings,
    what: Deployable,
    given: Mapping[str, Any],
    *,
    now: float,
    base: Deployment | None = None,
    texts: Mapping[str, str] | None = None,
    declared_in: str | None = None,
    repin: bool = True,
    keep: bool = True,
) -> Deployment:
    """Return the deployment that is to be stored; nothing is, but with ``keep`` the snapshot of a pinned notebook.

    ``what`` comes from `find_deployable`. ``given`` has the keys `GIVEN_KEYS`; what it does not have is as in ``base``,
    the deployment that is changed, else the default. ``texts`` are parameters as people type them, which win. Without
    ``repin``, a notebook that was pinned before stays pinned as it was then. ``now`` is in epoch seconds.

    Raises `InvalidRequest` (``name`` is the field, such as ``grace``), `ScheduleError` for a schedule that can't be,
    and `ParameterError` for a parameter with a wrong name or type, and for one that is needed and that a schedule's
    runs would not have.
    """
    _known_keys(given)
    paused = _paused(given)
    name = check_name("name", given.get("name", None if base is None else base.name))
    policies = check_policies(given.get("policies", {}), None if base is None else base.policies)
    what, digest = _pinned(settings, what, policies, None if repin or base is None else base.digest, keep)
    _check_place(what, name, policies)
    parameters = _parameters(what.arguments, given.get("parameters", base.parameters if base else {}), texts)
    schedules = _schedules(what.arguments, parameters, given, base, now)
    return Deployment(
        id=base.id if base else "",
        name=name,
        flow_name=check_name("flow", what.flow_name),
        kind=what.kind,
        target=what.target,
        parameters=parameters,
        pool=check_name("pool", given.get("pool", base.pool if base else "default")),
        tags=check_tags(given.get("tags", base.tags if base else ())),
        description=check_description(given.get("description", base.description if base else "") or what.description),
        priority=check_priority(given.get("priority", base.priority if base else 0)),
        kernel=_kernel(what, given["kernel"]) if "kernel" in given else (base.kernel if base else None),
        digest=digest,
        policies=policies,
        schedules=schedules,
        paused_at=base.paused_at if base else now if paused else None,
        paused_reason=base.paused_reason if base else _PAUSED if paused else None,
        failures=base.failures if base else 0,
        declared_in=declared_in if declared_in is not None else base.declared_in if base else None,
        created_at=base.created_at if base else now,
        updated_at=now,
    )


def save_deployment(
    store: Store, deployment: Deployment, *, paused: bool | None, now: float, replace_it: bool = True
) -> Deployment:
    """Store a deployment, and pause or unpause it (None leaves it as it is); return it as it is stored.

    Raises `DeploymentExists` where ``replace_it`` is false and there is one of its address.
    """
    before = find_stored(store, deployment.flow_name, deployment.name) if replace_it else None
    if before is not None and paused and not before.paused:
        # First of all: what is stored next must not fire in between.
        store.deployments.pause(before.id, _PAUSED, now)
    stored = store.deployments.save(deployment, replace=replace_it)
    if stored.paused and paused is False:
        stored = store.deployments.unpause(stored.id, now)
    return stored


def find_stored(store: Store, flow_name: str, name: str) -> Deployment | None:
    """Return the deployment of exactly this address, None where there is none."""
    address = address_of(flow_name, name)
    try:
        found = store.deployments.find(address)
    except (DeploymentNotFound, AmbiguousDeployment):
        return None
    return found if found.address == address else None


def without_options(deployment: Deployment) -> Deployment:
    """Return a deployment as one that is deployed again has it before anything is given: only its schedules stay."""
    return replace(
        deployment,
        parameters={},
        pool="default",
        tags=(),
        description="",
        priority=0,
        kernel=None,
        digest=None,
        policies=Policies(),
        declared_in=None,
    )


def put_deployment(
    store: Store,
    settings: Settings,
    what: Deployable,
    given: Mapping[str, Any],
    *,
    now: float,
    texts: Mapping[str, str] | None = None,
) -> Deployment:
    """Store what is given as the deployment of its address; of one that is there only schedules and pause stay.

    Raises as `build_deployment` does.
    """
    before = find_stored(store, what.flow_name, check_name("name", given.get("name")))
    base = None if before is None else without_options(before)
    deployment = build_deployment(settings, what, given, now=now, base=base, texts=texts)
    return save_deployment(store, deployment, paused=given.get("paused"), now=now)


def nobody_there(store: Store, pool: str, now: float) -> list[str]:
    """Return why a run of this pool is not executed now, in a sentence; nothing where an agent is there for it."""
    paused = any(each.name == pool and each.paused for each in store.queue.pools())
    if paused:
        return [f"the pool {pool!r} is paused; 'jupyter wf pools unpause {pool}' lets it go on"]
    if any(agent.alive and pool in agent.pools for agent in store.agents.list(now)):
        return []
    # A Jupyter server's agent executes the runs of the pool "default" alone.
    told = "a Jupyter server has one, or run 'jupyter wf agent start'"
    told = told if pool == "default" else f"run: jupyter wf agent start --pool {quote(pool)}"
    return [f"no agent is there for the pool {pool!r}; {told}"]


def trigger(
    store: Store,
    settings: Settings,
    deployment: Deployment,
    parameters: Mapping[str, Any] | None = None,
    *,
    now: float,
    texts: Mapping[str, str] | None = None,
    due_at: float | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    priority: int | None = None,
    key: str | None = None,
    source: Mapping[str, Any] | None = None,
) -> str:
    """Make a run of a deployment, that waits for an agent from ``due_at`` (now) on, and return its id.

    ``parameters`` (``texts``, as people type them) go over the deployment's. A paused deployment runs too: only its
    schedules are paused. ``key`` makes it happen once: with the key of an earlier call for this deployment, nothing is
    made, and that call's run is returned. ``source`` is added to what the run's record says about where it comes from.

    Raises `ParameterError`, and `TargetError` where the notebook is gone.
    """
    run_id = "" if key is None else _id_of(deployment.id, key)
    if run_id and store.queue.get(run_id) is not None:
        return run_id
    arguments = deployable_of(settings, deployment).arguments
    if parameters is not None and not all(isinstance(each, str) for each in parameters):
        raise InvalidRequest("parameters", parameters, "give an object: parameters by name")
    given = {**deployment.parameters, **plain_values(parameters or {})}
    queued = QueuedRun(
        run_id=run_id,
        kind=deployment.kind,
        target=deployment.target,
        parameters=json_values(arguments.bind(given, texts)),
        policies=deployment.policies,
        pool=deployment.pool,
        priority=deployment.priority if priority is None else check_priority(priority),
        due_at=now if due_at is None else due_at,
        deployment_id=deployment.id,
        kernel=deployment.kernel,
        digest=deployment.digest if deployment.policies.snapshot == "pinned" else None,
        tags=tuple(dict.fromkeys((*deployment.tags, *check_tags(tags)))),
    )
    told = {**source_of(deployment), **(source or {})}
    name = check_run_name(name)
    try:
        return store.queue.submit(queued, name=name, flow_name=deployment.flow_name, now=now, source=told)
    except Exception:
        # Somebody else was quicker with the same key.
        if run_id and store.queue.get(run_id) is not None:
            return run_id
        raise


def changed_parameters(what: Deployable, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return parameters that are given as people type them, of which none is needed. Raises `ParameterError`."""
    return _parameters(what.arguments, {}, texts)


def source_of(deployment: Deployment) -> dict[str, Any]:
    """Return what the record of a deployment's run says about where it comes from."""
    where = {"notebook": deployment.target, "path": deployment.target}
    return {
        "deployment": deployment.address,
        "deployment_id": deployment.id,
        "queued": True,
        **(where if deployment.kind == "notebook" else {"entrypoint": deployment.target}),
    }


def _id_of(deployment_id: str, key: str) -> str:
    """Return the id of the one run with a key: a version-8 UUID (RFC 9562)."""
    h = sha256(f"{deployment_id}\0{key}".encode("utf-8", "replace")).hexdigest()
    return f"{h[:8]}-{h[8:12]}-8{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:32]}"


def _known_keys(given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in GIVEN_KEYS:
            near = get_close_matches(str(key), GIVEN_KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(GIVEN_KEYS)}"
            raise InvalidRequest("deployment", key, f"there is no such key; {hint}")


def _pinned(
    settings: Settings, what: Deployable, policies: Policies, kept: str | None, keep: bool
) -> tuple[Deployable, str | None]:
    """Return what the deployment will execute, and the digest under which it is kept where it is pinned."""
    if policies.snapshot != "pinned":
        return what, None
    if what.notebook is None:
        raise InvalidRequest("snapshot", "pinned", "only notebooks can be pinned; a flow is imported as it is then")
    if kept is not None:
        return as_pinned(settings, what, kept), kept
    if keep:
        keep_snapshot(settings, what.notebook)
    return what, what.notebook.digest


def _check_place(what: Deployable, name: str, policies: Policies) -> None:
    """Refuse outputs of flows, and a template that would overwrite the notebook itself."""
    if policies.output is None:
        return
    if what.notebook is None:
        raise InvalidRequest("output", policies.output, "only notebooks have an executed copy; a flow has none")
    path = Path(what.target)
    filled = fill_output(
        policies.output,
        name=name,
        flow=path.stem,
        deployment=name,
        scheduled=datetime(2026, 1, 2, 3, 4, 5),
        run_id="0" * 32,
        attempt=1,
    )
    if path.parent / filled == path:
        raise InvalidRequest("output", policies.output, "it would overwrite the notebook itself")


def _parameters(arguments: Arguments, given: Any, texts: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the values of the parameters that are given; none of them is needed yet."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidRequest("parameters", given, "give an object: parameters by name")
    optional = replace(arguments, items=tuple(replace(item, required=False) for item in arguments.items))
    return json_values(optional.bind(plain_values(given), texts))


def _schedules(
    arguments: Arguments, parameters: Mapping[str, Any], given: Mapping[str, Any], base: Deployment | None, now: float
) -> tuple[DeploymentSchedule, ...]:
    before = base.schedules if base else ()
    found = read_schedules(given["schedules"], before, now=now) if "schedules" in given else before
    checked = []
    for schedule in found:
        own = _parameters(arguments, schedule.parameters)
        # Whatever is needed must be there when it fires.
        arguments.bind({**parameters, **own})
        checked.append(replace(schedule, parameters=own))
    return tuple(checked)


def _paused(given: Mapping[str, Any]) -> bool:
    paused = given.get("paused", False)
    if not isinstance(paused, bool):
        raise InvalidRequest("paused", paused, "give true or false")
    return paused


def _kernel(what: Deployable, given: Any) -> str | None:
    if given is None:
        return None
    if what.notebook is None:
        raise InvalidRequest("kernel", given, "only notebooks have a kernel")
    if not isinstance(given, str) or not _KERNEL.fullmatch(given):
        raise InvalidRequest("kernel", given, "give the name of a kernelspec")
    known = kernel_specs()
    if given not in known:
        raise InvalidRequest("kernel", given, f"there is no such kernel; there are {', '.join(known) or 'none'}")
    return given
