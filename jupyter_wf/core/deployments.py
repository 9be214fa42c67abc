"""Deployments, their schedules, and what waits to be run: the records as those get them who read them.

Times are seconds since the epoch, UTC; lengths of time are seconds. No ``field()`` here, as in `core.models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Agent",
    "Claimed",
    "Deployment",
    "DeploymentKind",
    "DeploymentSchedule",
    "MissedPolicy",
    "OverlapPolicy",
    "Policies",
    "Pool",
    "QueuedRun",
    "SlotDecision",
    "SlotOutcome",
    "address_of",
]

DeploymentKind = Literal["notebook", "flow"]
#: What becomes of slots that came while no scheduler ran.
MissedPolicy = Literal["skip", "latest", "all"]
#: What becomes of a slot that comes while a run of the deployment is open.
OverlapPolicy = Literal["allow", "skip", "queue", "cancel_running"]
SlotOutcome = Literal["run", "missed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """How the runs of a deployment are made and kept.

    ``grace`` is how late (seconds) a slot may be decided and still count as on time; later ones are `missed`:
    ``skip`` runs none of them, ``latest`` the newest, ``all`` the newest ``missed_limit`` of them, oldest first.
    ``concurrency_limit`` is how many runs may be executed at the same time (None: any number), which `overlap` queue
    waits for. ``retries`` more attempts follow one that failed, ``retry_delay`` seconds later; ``timeout`` (seconds) is
    for each attempt. ``on_crash`` says whether a run whose process is gone is resumed, up to three times.
    ``keep_last`` and ``keep_days`` bound what is kept of ended runs. After ``max_consecutive_failures`` the deployment
    is paused. A run is late for its alert ``deadline`` seconds after it was due, or ``deadline_factor`` times the
    average duration of the last completed runs after it began. ``snapshot`` says whether a run uses the notebook as it
    is then, or as it was when it was deployed. ``output`` is a template for the executed notebook's path, relative to
    the notebook's folder; ``formats`` are ``ipynb`` and ``html``.
    """

    missed: MissedPolicy = "latest"
    missed_limit: int = 100
    grace: float = 60.0
    overlap: OverlapPolicy = "queue"
    concurrency_limit: int | None = 1
    retries: int = 0
    retry_delay: float = 0.0
    timeout: float | None = None
    on_crash: Literal["fail", "resume"] = "fail"
    keep_last: int | None = None
    keep_days: float | None = None
    max_consecutive_failures: int | None = None
    deadline: float | None = None
    deadline_factor: float | None = None
    snapshot: Literal["current", "pinned"] = "current"
    output: str | None = None
    formats: tuple[str, ...] = ("ipynb",)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSchedule:
    """One schedule of a deployment.

    ``spec`` says when, in Prefect's form: ``{"cron", "timezone"}``, ``{"interval" (seconds), "anchor_date" (ISO),
    "timezone"}``, ``{"rrule", "timezone"}``, or ``{"at" (ISO), "timezone"}``. ``parameters`` go over the deployment's.
    Slots lie from ``start_at`` (included) to ``end_at`` (not included), at most ``max_runs``; each run is due up to
    ``jitter`` seconds after its slot. Slots up to ``watermark`` are decided; ``next_slot`` is the next one, None where
    there is none any more; ``made`` counts the slots that became runs.
    """

    id: str
    deployment_id: str
    spec: Mapping[str, Any]
    slug: str | None = None
    parameters: Mapping[str, Any]
    active: bool = True
    start_at: float | None = None
    end_at: float | None = None
    max_runs: int | None = None
    jitter: float = 0.0
    watermark: float = 0.0
    next_slot: float | None = None
    made: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A flow or notebook with parameters, schedules, pool and policies, stored under ``flow_name/name``.

    ``target`` is the absolute path of a notebook, or what `sources.load_object` finds a flow by. ``digest`` names the
    pinned snapshot of a notebook. ``kernel`` is a kernelspec's name where the notebook's own is not meant.
    ``paused_reason`` is None for one that is not paused. ``failures`` counts the runs that failed since one completed.
    """

    id: str
    name: str
    flow_name: str
    kind: DeploymentKind
    target: str
    parameters: Mapping[str, Any]
    pool: str = "default"
    tags: tuple[str, ...] = ()
    description: str = ""
    priority: int = 0
    kernel: str | None = None
    digest: str | None = None
    policies: Policies
    schedules: tuple[DeploymentSchedule, ...] = ()
    paused_at: float | None = None
    paused_reason: str | None = None
    failures: int = 0
    declared_in: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def address(self) -> str:
        """How people name it: ``flow_name/name``."""
        return address_of(self.flow_name, self.name)

    @property
    def paused(self) -> bool:
        """Whether its schedules make no runs."""
        return self.paused_at is not None

    @property
    def next_slot(self) -> float | None:
        """When its next run is due, None while it is paused and where no schedule has a slot."""
        slots = [each.next_slot for each in self.schedules if each.active and each.next_slot is not None]
        return None if self.paused or not slots else min(slots)


def address_of(flow_name: str, name: str) -> str:
    """Return the text by which a deployment is named."""
    return f"{flow_name}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotDecision:
    """What becomes of one slot.

    ``due_at`` is the slot with its jitter. A ``run`` gets a run that waits; ``missed`` and ``skipped`` get a run that
    ended at once, CANCELLED, named Missed or Skipped, with the ``message``. ``cancels`` asks the open runs of the
    deployment to stop.
    """

    slot: float
    outcome: SlotOutcome
    due_at: float
    message: str | None = None
    cancels: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """What a run that agents execute has beside its `Run`: one row, as long as the run exists.

    ``kind``, ``target``, ``kernel``, ``digest`` and ``policies`` are those of the deployment when the run was made;
    ``deployment_id`` is None for a notebook that somebody just ran. ``parameters`` are JSON values, unmasked.
    ``due_at`` is when it may begin, ``slot`` its slot if it has one; higher ``priority`` goes first. ``group_id`` is
    that of a backfill. ``settled`` says that what follows from its end (retries, counts) was done.
    """

    run_id: str
    kind: DeploymentKind
    target: str
    parameters: Mapping[str, Any]
    policies: Policies
    pool: str = "default"
    priority: int = 0
    due_at: float = 0.0
    slot: float | None = None
    schedule_id: str | None = None
    deployment_id: str | None = None
    group_id: str | None = None
    kernel: str | None = None
    digest: str | None = None
    tags: tuple[str, ...] = ()
    agent_id: str | None = None
    lease_until: float | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A queued run that an agent has claimed. ``attempt`` is the fence: what is done for another one is refused.

    ``resume`` is true where a runner is to begin the next attempt of a run that has ended (a retry).
    """

    queued: QueuedRun
    attempt: int
    resume: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A named queue. ``limit`` is how many of its runs may be executed at the same time, None for any number.

    ``waiting`` counts runs that are due, ``running`` those that agents have.
    """

    name: str
    limit: int | None = None
    paused: bool = False
    description: str = ""
    waiting: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A process that claims runs of some pools, at most ``limit`` at a time.

    ``seen_at`` is its last sign of life; ``alive`` is false where its process is gone or it was silent for longer than
    its lease. ``status`` is online, draining or offline.
    """

    id: str
    name: str
    pools: tuple[str, ...]
    limit: int
    pid: int
    host: str
    started_at: float
    seen_at: float
    status: str = "online"
    alive: bool = True
    running: int = 0
