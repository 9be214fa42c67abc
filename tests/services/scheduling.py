"""A table of schedulers: deployments, a clock that the test sets, and what became of each slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.schedules import parse_schedule
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.scheduler import Scheduler
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

__all__ = ["Clock", "Table", "instant", "names"]


def instant(text: str) -> float:
    """Return the instant of an ISO text, UTC where it does not say otherwise."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def names(runs: Iterable[Run]) -> list[str]:
    """Return the names of runs' states; one that waits for an agent ``waits``, late or not."""
    return ["waits" if run.state.type == "SCHEDULED" else run.state.name for run in runs]


class Clock:
    """A wall clock that somebody can set, and the time that has passed in truth."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.ticks = 1000.0

    def __call__(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.ticks

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        self.ticks += seconds

    def put(self, seconds: float) -> None:
        """Put the wall clock forward, or back."""
        self.now += seconds


class Table:
    """Deployments in a state file, and schedulers beside it."""

    def __init__(self, settings: Settings, begin: str) -> None:
        self.settings = settings
        self.store: Store = open_store(settings)
        self.clock = Clock(instant(begin))

    def process(self, info: ProcessInfo | None = None) -> ProcessInfo:
        """Register a process."""
        found = info or this_process("server")
        self.store.register(found)
        return found

    def scheduler(self, **options: Any) -> Scheduler:
        """Return a new scheduler of this process, by the table's clock, that has not begun."""
        options = {"process": self.process(), "clock": self.clock, "monotonic": self.clock.monotonic, **options}
        return Scheduler(self.store, self.settings, **options)

    def deploy(self, name: str, *schedules: Mapping[str, Any], **fields: Any) -> Deployment:
        """Save a deployment as of now; what is not a deployment's or schedule's field is a policy.

        A schedule is what its ``spec`` is, with the schedule's other fields beside it.
        """
        mine = {key: fields.pop(key) for key in ("pool", "parameters", "tags") if key in fields}
        return self.store.deployments.save(
            Deployment(
                id="",
                name=name,
                flow_name="report",
                kind="notebook",
                target="/n/report.ipynb",
                **{"parameters": {}, **mine},
                policies=Policies(**fields),
                schedules=tuple(self.schedule(**each) for each in schedules),
            )
        )

    def schedule(self, **spec: Any) -> DeploymentSchedule:
        own = {key: spec.pop(key) for key in ("start_at", "end_at", "max_runs", "jitter", "slug") if key in spec}
        now = self.clock()
        upcoming = parse_schedule(spec).next_slot(max(now, own.get("start_at", now) - 0.001))
        return DeploymentSchedule(
            id="", deployment_id="", spec=spec, parameters={}, watermark=now, next_slot=upcoming, **own
        )

    def go_on(self, scheduler: Scheduler, until: str | float, *, shift: float = 0.0) -> None:
        """Let time pass until ``until``, with a step at each slot, ``shift`` seconds after it."""
        end = instant(until) if isinstance(until, str) else until
        while True:
            scheduler.step()
            upcoming = self.store.slots.next_slot()
            if upcoming is None or upcoming + shift >= end:
                break
            self.clock.go_on(max(0.001, upcoming + shift - self.clock()))
        self.clock.go_on(max(0.0, end - self.clock()))

    def runs(self, deployment: Deployment | None = None) -> list[Run]:
        """Return the runs of a deployment (of all), in the order of their slots."""
        page = self.store.list_runs(RunFilter(oldest_first=True), limit=1000)
        wanted = [run for run in page.items if deployment is None or run.source["deployment_id"] == deployment.id]
        return sorted(wanted, key=lambda run: str(run.source["slot"]))

    def story(self, deployment: Deployment | None = None) -> list[tuple[str, str]]:
        """Return slot (UTC, to the minute) and name of the state of each run, as `names` gives it."""
        runs = self.runs(deployment)
        return [
            (str(run.source["slot"])[:16].replace("T", " "), name) for run, name in zip(runs, names(runs), strict=True)
        ]
