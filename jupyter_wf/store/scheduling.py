"""Deployments, slots, the queue and who works on it. Parts of every `Store`; ``tests/contracts`` holds them to it.

Each write is one transaction, committed when the call returns; none of them waits for anybody but the state file.
``now`` is in epoch seconds. A change that schedulers or agents must hear of rings the home's bell (`store.bell`), and
a change of a deployment is an event of the stream, of kind ``deployment``, with an empty ``run_id``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from jupyter_wf.core.deployments import (
        Agent,
        Claimed,
        Deployment,
        DeploymentSchedule,
        Pool,
        QueuedRun,
        SlotDecision,
    )
    from jupyter_wf.core.models import Run

__all__ = ["AgentStore", "DeploymentStore", "Due", "QueueStore", "ServiceStore", "SlotStore", "Slots"]


class DeploymentStore(Protocol):
    """The deployments and their schedules."""

    def save(self, deployment: Deployment, *, replace: bool = True) -> Deployment:
        """Store a deployment under its address, with exactly its schedules; return it as it is stored.

        One with the same address is changed: it keeps ``id``, ``created_at``, ``failures`` and whether it is paused. A
        schedule with the id, else the slug, else the ``spec`` of one that is there keeps that one's id, ``watermark``
        and ``made``; a new one begins at its ``watermark``. Ids of new records are made here where they are empty. One
        whose times are the same (spec, active, start, end, number, jitter) keeps its ``next_slot`` too; one whose times
        have changed begins at the later of both watermarks, so that nothing is made up for that was never planned. A
        known ``id`` with another address gives that deployment the new address.

        Raises `DeploymentExists` where ``replace`` is false and the address is taken; `InvalidRequest` for an empty,
        too long (250) or unprintable name, a slash in one, parameters that are no JSON, and two schedules of one slug.
        """

    def get(self, deployment_id: str) -> Deployment:
        """Return the deployment. Raises `DeploymentNotFound`."""

    def find(self, address: str) -> Deployment:
        """Return the one deployment that is meant by its address, its name, its id, or how its id begins (6 letters).

        Raises `DeploymentNotFound` and `AmbiguousDeployment`.
        """

    def list(self, *, pool: str | None = None, target: str | None = None, text: str = "") -> list[Deployment]:
        """Return deployments by address; ``target`` is compared whole, ``text`` looked for in the address."""

    def delete(self, deployment_id: str) -> int:
        """Remove a deployment with its schedules; what waits of it is cancelled. Return how many runs those were.

        What runs goes on, and what has ended stays. Raises `DeploymentNotFound`.
        """

    def pause(self, deployment_id: str, reason: str, now: float) -> Deployment:
        """Have its schedules make no more runs. Raises `DeploymentNotFound`."""

    def unpause(self, deployment_id: str, now: float) -> Deployment:
        """Have its schedules make runs again, from ``now`` on, and its failures count from 0.

        What came while it was paused is not made up for: watermarks go to ``now``. Raises `DeploymentNotFound`.
        """

    def set_schedule(self, schedule: DeploymentSchedule) -> Deployment:
        """Add a schedule to its deployment, or change it; its ``next_slot`` is what the caller worked out.

        Raises `DeploymentNotFound`, `InvalidRequest`.
        """

    def remove_schedule(self, schedule_id: str) -> Deployment:
        """Remove a schedule; what waits of it stays. Raises `ScheduleNotFound`."""

    def count_end(self, deployment_id: str, *, failed: bool) -> int:
        """Count a run's end; return how many have failed since one completed. 0 where there is no such deployment."""


class Due(NamedTuple):
    """A schedule with an undecided slot; the ``deployment`` comes without its ``schedules``.

    ``open_runs`` are the ids of the deployment's runs that have not ended, oldest first: waiting ones too, but neither
    those of backfills nor those whose process is dead.
    """

    schedule: DeploymentSchedule
    deployment: Deployment
    open_runs: tuple[str, ...]


class Slots(NamedTuple):
    """What a scheduler has decided about one schedule.

    ``before`` is the watermark that it has gone by: where that is another one now, somebody was quicker, and nothing
    is written. ``watermark`` is the new one, ``next_slot`` the next slot, None for none.
    """

    schedule_id: str
    before: float
    decisions: Sequence[SlotDecision]
    watermark: float
    next_slot: float | None


class SlotStore(Protocol):
    """What schedulers do."""

    def due(self, now: float, *, limit: int = 1000) -> list[Due]:
        """Return active schedules of deployments that are not paused whose ``next_slot`` is at most ``now``.

        Those that are due longest come first.
        """

    def next_slot(self) -> float | None:
        """Return the earliest ``next_slot`` of those schedules, None where there is none."""

    def decide(self, slots: Sequence[Slots], now: float) -> list[str]:
        """Write down what becomes of slots, watermark and runs in one transaction; return the ids of the new runs.

        A slot that has a run already, whoever made it, gets no other: ``(schedule_id, slot)`` is a unique key. What
        belongs to a schedule that has changed meanwhile, is gone, inactive or paused is left out.
        """

    def mark_late(self, now: float, after: float) -> list[str]:
        """Name `Late` the runs that wait although they were due more than ``after`` seconds ago; return their ids."""


class QueueStore(Protocol):
    """The runs that agents execute."""

    def submit(
        self, queued: QueuedRun, *, name: str | None = None, flow_name: str, now: float, source: Mapping[str, Any]
    ) -> str:
        """Make a run, SCHEDULED, that waits for an agent from ``due_at`` on; return its id.

        ``queued.run_id`` may be empty. Secrets among the parameters are masked in the run's record.
        """

    def get(self, run_id: str) -> QueuedRun | None:
        """Return what is known of a run's place in the queue, None where it was never in it."""

    def waiting(
        self, *, pool: str | None = None, deployment_id: str | None = None, limit: int = 1000
    ) -> list[QueuedRun]:
        """Return the runs that no agent has, in the order in which they will be claimed."""

    def runs_of(self, deployment_id: str, *, limit: int = 50, group_id: str | None = None) -> list[str]:
        """Return the ids of a deployment's runs (of one backfill), newest first."""

    def claim(self, pools: Sequence[str], agent_id: str, *, now: float, lease: float, limit: int = 1) -> list[Claimed]:
        """Give up to ``limit`` runs that are due to an agent, for ``lease`` seconds: higher priority first, then older.

        Left waiting are runs of a paused pool, and those whose deployment, pool or tag (limit ``tag:NAME``) has no free
        place. A claimed run becomes PENDING. What an agent that is gone had claimed, and no runner taken, waits again.
        """

    def extend(self, run_ids: Iterable[str], agent_id: str, *, until: float) -> list[str]:
        """Prolong leases; return the ids of those that the agent still holds. The others it must stop."""

    def take(self, run_id: str, attempt: int, agent_id: str, process_id: str) -> Run:
        """Make ``process_id``, a runner, the owner of a run that the agent has claimed; return the run.

        ``attempt`` is the `Claimed.attempt`, the one that the runner executes: `retry` has counted it already, and
        closed what an attempt before has left open below. Raises `RunNotFound`; `RunFinished` where it was cancelled
        meanwhile or has a runner; `LeaseLost` where the agent has it no more, or it is in another attempt;
        `InvalidRequest` for a process that is not registered.
        """

    def give_back(self, run_id: str, agent_id: str) -> None:
        """Have a claimed run that no runner has wait again. Raises `LeaseLost` for what it does not hold."""

    def next_due(self, pools: Sequence[str]) -> float | None:
        """Return when the next waiting run of these pools may begin, None where there is none.

        That is when it is due, which may be in the past; what has no free place now is left out (the bell tells when a
        place becomes free), and what an agent has claimed, but no runner taken, counts from the end of its lease.
        """

    def unsettled(self, *, limit: int = 100) -> list[QueuedRun]:
        """Return queued runs that have ended (dead owners included, after `Store.reap`) and are not settled."""

    def settle(self, run_id: str, attempt: int) -> bool:
        """Note that what follows from the end of this attempt was done; return False where it was done already."""

    def retry(self, run_id: str, attempt: int, *, due_at: float, message: str) -> bool:
        """Have the run's next attempt wait in the queue from ``due_at`` on, SCHEDULED, named AwaitingRetry.

        The attempt is counted now, nobody owns it, and it is not settled. Returns False, and changes nothing, where
        ``attempt`` is not its last one or that has not ended.
        """

    def set_pool(self, pool: Pool) -> Pool:
        """Make or change a pool. Raises `InvalidRequest`."""

    def pools(self) -> list[Pool]:
        """Return the pools by name: those that were made, and those that deployments, runs or agents name."""

    def remove_pool(self, name: str) -> bool:
        """Forget a pool's settings; return whether there were any."""


class AgentStore(Protocol):
    """The agents, and their signs of life."""

    def beat(self, agent: Agent, now: float) -> None:
        """Note an agent's sign of life; ``agent.id`` is its `ProcessInfo.id`, which must be registered."""

    def list(self, now: float) -> list[Agent]:
        """Return the agents that are alive, and those that were within the last day, newest first."""

    def leave(self, agent_id: str) -> None:
        """Note that an agent has ended by will."""


class ServiceStore(Protocol):
    """Who does what only one process of a state file should do. Anybody may do it twice without harm."""

    def hold(self, name: str, process_id: str, *, now: float, lease: float) -> bool:
        """Take or prolong the lease on a service; return False where another process that lives has it."""

    def holder(self, name: str) -> str | None:
        """Return the id of the process that has the lease now, None for none."""

    def release(self, name: str, process_id: str) -> None:
        """Give the lease back; nothing happens where another process has it."""
