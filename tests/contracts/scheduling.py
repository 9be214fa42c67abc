"""What the tests of deployments, slots and the queue make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies, QueuedRun, SlotDecision
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.scheduling import Slots

#: A time that is a slot of any minute-scale schedule (epoch seconds).
T = 1_800_000_000.0
MINUTE = 60.0
HOURLY: dict[str, Any] = {"cron": "0 * * * *", "timezone": "UTC"}


def a_schedule(**fields: Any) -> DeploymentSchedule:
    """Return a schedule that begins at `T`, with its first slot a minute later."""
    values: dict[str, Any] = {
        "id": "",
        "deployment_id": "",
        "spec": {"cron": "* * * * *", "timezone": "UTC"},
        "parameters": {},
        "watermark": T,
        "next_slot": T + MINUTE,
    }
    return DeploymentSchedule(**(values | fields))


def a_deployment(name: str = "daily", *, schedules: Sequence[DeploymentSchedule] = (), **fields: Any) -> Deployment:
    """Return a deployment of a notebook; what `Policies` has is a policy, unless ``policies`` is given."""
    policies = {each: fields.pop(each) for each in [*fields] if each in Policies.__dataclass_fields__}
    values: dict[str, Any] = {
        "id": "",
        "name": name,
        "flow_name": "sales",
        "kind": "notebook",
        "target": "/books/sales.ipynb",
        "parameters": {"region": "no"},
        "policies": Policies(**policies),
        "schedules": tuple(schedules),
    }
    return Deployment(**(values | fields))


def slot_runs(
    schedule: DeploymentSchedule, *minutes: float, before: float | None = None, outcome: Any = "run", **fields: Any
) -> Slots:
    """Return the decision that slots, so many minutes after `T`, become runs (or something else)."""
    decisions = [
        SlotDecision(slot=T + each * MINUTE, outcome=outcome, due_at=T + each * MINUTE, **fields) for each in minutes
    ]
    end = T + max(minutes) * MINUTE
    return Slots(schedule.id, schedule.watermark if before is None else before, decisions, end, end + MINUTE)


def submit(store: Store, *, now: float = T, **fields: Any) -> str:
    """Put a run into the queue and return its id."""
    values: dict[str, Any] = {
        "run_id": "",
        "kind": "notebook",
        "target": "/books/sales.ipynb",
        "parameters": {},
        "policies": Policies(),
        "due_at": T,
    }
    return store.queue.submit(QueuedRun(**(values | fields)), flow_name="sales", now=now, source={})


def registered(store: Store, process: ProcessInfo | None = None) -> str:
    """Make a process known and return its id: one that lives as long as the test, unless given."""
    process = process or this_process("agent")
    store.register(process)
    return process.id


def claim(store: Store, agent: str, *, pools: Sequence[str] = ("default",), now: float = T, **fields: Any) -> list[str]:
    """Have an agent claim runs for a minute; return their ids."""
    found = store.queue.claim(pools, agent, now=now, **({"lease": MINUTE, "limit": 1} | fields))
    return [each.queued.run_id for each in found]


def names(store: Store, run_id: str) -> list[str]:
    """Return the names of the states that a run has been in."""
    return [event.payload["name"] for event in store.states(run_id)]
