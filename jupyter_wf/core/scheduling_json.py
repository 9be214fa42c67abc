"""The JSON forms of deployments, schedules, pools and agents: what REST, the CLI's ``--json`` and the panel show.

Like those of `core.codec`, these ``TypedDict`` classes are the one definition; the TypeScript types come from them.
Times are ISO 8601 in UTC with a ``Z``, lengths of time seconds.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from jupyter_wf.core.codec import ErrorJSON, RunJSON, iso
from jupyter_wf.core.deployments import Agent, Pool

__all__ = [
    "AgentJSON",
    "AgentPageJSON",
    "CheckedFormJSON",
    "DeploymentDetailJSON",
    "DeploymentJSON",
    "DeploymentPageJSON",
    "FieldErrorJSON",
    "NotebookFormJSON",
    "PauseJSON",
    "PoliciesJSON",
    "PoolJSON",
    "PoolPageJSON",
    "PreviewJSON",
    "PreviewRequestJSON",
    "RefusedFormJSON",
    "SaveDeploymentJSON",
    "SavePoolJSON",
    "SaveScheduleJSON",
    "ScheduleJSON",
    "TriggerRunJSON",
    "encode_agent",
    "encode_pool",
]


class PoliciesJSON(TypedDict, total=False):
    """How the runs of a deployment are made and kept; what is left out has its default."""

    missed: Literal["skip", "latest", "all"]
    missed_limit: int
    grace: float
    overlap: Literal["allow", "skip", "queue", "cancel_running"]
    concurrency_limit: int | None
    retries: int
    retry_delay: float
    timeout: float | None
    on_crash: Literal["fail", "resume"]
    keep_last: int | None
    keep_days: float | None
    max_consecutive_failures: int | None
    deadline: float | None
    deadline_factor: float | None
    snapshot: Literal["current", "pinned"]
    output: str | None
    formats: list[str]


class ScheduleJSON(TypedDict):
    """A schedule; ``words`` says ``spec`` in English, ``next`` are its next five times in its zone."""

    id: str
    slug: str | None
    spec: dict[str, Any]
    words: str
    timezone: str
    parameters: dict[str, Any]
    active: bool
    start_at: str | None
    end_at: str | None
    max_runs: int | None
    jitter: float
    next_slot: str | None
    next: list[str]
    made: int


class DeploymentJSON(TypedDict):
    """A deployment. ``path`` is where the notebook is for the front end, null where it is outside the server's root.

    ``last_runs`` are its newest five, newest first.
    """

    id: str
    address: str
    name: str
    flow_name: str
    kind: Literal["notebook", "flow"]
    target: str
    path: str | None
    parameters: dict[str, Any]
    pool: str
    tags: list[str]
    description: str
    priority: int
    kernel: str | None
    policies: PoliciesJSON
    schedules: list[ScheduleJSON]
    paused: bool
    paused_reason: str | None
    failures: int
    next_slot: str | None
    created_at: str
    updated_at: str


class DeploymentDetailJSON(TypedDict):
    """A deployment with its last runs, newest first."""

    deployment: DeploymentJSON
    last_runs: list[RunJSON]


class DeploymentPageJSON(TypedDict):
    """All deployments, by address; ``agents``: how many agents are there to run them, ``scheduler``: whether one is."""

    items: list[DeploymentDetailJSON]
    agents: int
    scheduler: bool


class SaveScheduleJSON(TypedDict, total=False):
    """A schedule as it is given; ``id`` or ``slug`` names one that is there. Times without offset are in its zone."""

    id: str
    slug: str | None
    spec: dict[str, Any]
    parameters: dict[str, Any]
    active: bool
    start_at: str | None
    end_at: str | None
    max_runs: int | None
    jitter: float


class SaveDeploymentJSON(TypedDict, total=False):
    """A deployment as it is given. A new one needs ``name`` and ``path`` (below the server's root)."""

    name: str
    path: str
    parameters: dict[str, Any]
    pool: str
    tags: list[str]
    description: str
    priority: int
    kernel: str | None
    policies: PoliciesJSON
    schedules: list[SaveScheduleJSON]
    paused: bool


class PreviewRequestJSON(TypedDict, total=False):
    """Asks when a schedule would fire: ``spec`` as in `ScheduleJSON`, and what bounds it."""

    spec: dict[str, Any]
    start_at: str | None
    end_at: str | None
    count: int


class FieldErrorJSON(TypedDict):
    """What is wrong with one field, named as in what was sent (``cron``, ``timezone``, ``parameters.n``)."""

    field: str
    message: str


class RefusedFormJSON(ErrorJSON):
    """A refusal (422) of what was sent, by its fields; ``message`` says them all."""

    errors: list[FieldErrorJSON]


class CheckedFormJSON(TypedDict):
    """What is wrong with a form that was only to be checked; nothing where the list is empty."""

    errors: list[FieldErrorJSON]


class PreviewJSON(TypedDict):
    """The answer: the schedule in words and its next times (ISO with the zone's offset), or what is wrong with it."""

    ok: bool
    words: str
    timezone: str
    next: list[str]
    errors: list[FieldErrorJSON]


class NotebookFormJSON(TypedDict):
    """What a form for a notebook needs: its parameters as a JSON Schema, kernels, zones, and warnings."""

    path: str
    schema: dict[str, Any]
    defaults: dict[str, Any]
    kernel: str | None
    kernels: list[dict[str, str]]
    timezones: list[str]
    timezone: str
    deployments: list[str]
    problems: list[str]


class PauseJSON(TypedDict, total=False):
    """Why a deployment is paused."""

    reason: str


class TriggerRunJSON(TypedDict, total=False):
    """Asks for a run of a deployment now; ``parameters`` go over the deployment's."""

    parameters: dict[str, Any]


class SavePoolJSON(TypedDict, total=False):
    """A work pool as it is given; what is left out has its default."""

    limit: int | None
    paused: bool
    description: str


class PoolJSON(TypedDict):
    """A work pool."""

    name: str
    limit: int | None
    paused: bool
    description: str
    waiting: int
    running: int


class PoolPageJSON(TypedDict):
    """All work pools, by name."""

    items: list[PoolJSON]


class AgentJSON(TypedDict):
    """An agent."""

    id: str
    name: str
    pools: list[str]
    limit: int
    pid: int
    host: str
    started_at: str
    seen_at: str
    status: str
    alive: bool
    running: int


class AgentPageJSON(TypedDict):
    """The agents that are alive, and those that were within the last day."""

    items: list[AgentJSON]


def encode_pool(pool: Pool) -> PoolJSON:
    """Return the JSON form of a pool."""
    return {
        "name": pool.name,
        "limit": pool.limit,
        "paused": pool.paused,
        "description": pool.description,
        "waiting": pool.waiting,
        "running": pool.running,
    }


def encode_agent(agent: Agent) -> AgentJSON:
    """Return the JSON form of an agent."""
    return {
        "id": agent.id,
        "name": agent.name,
        "pools": list(agent.pools),
        "limit": agent.limit,
        "pid": agent.pid,
        "host": agent.host,
        "started_at": iso(agent.started_at),
        "seen_at": iso(agent.seen_at),
        "status": agent.status,
        "alive": agent.alive,
        "running": agent.running,
    }
