"""The run that the calling code is part of, and tags for the runs that begin in a block. Names are Prefect 3's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jupyter_wf.core.errors import MissingContextError, ParameterError
from jupyter_wf.core.states import State
from jupyter_wf.engine.context import TAGS
from jupyter_wf.engine.lineage import Known, above, flow_runs, task_run

__all__ = [
    "Definition",
    "FlowRunContext",
    "FlowRunInfo",
    "MissingContextError",
    "TaskRunContext",
    "TaskRunInfo",
    "get_run_context",
    "tags",
]


@contextmanager
def tags(*names: str) -> Iterator[set[str]]:
    """While the block runs, tag every flow and task run that begins in it; give the set of all tags that count in it.

    Blocks inside one another add up. Tags go where the context goes: into submitted tasks and into what asyncio starts,
    not into a bare `threading.Thread`. Raises `ParameterError` for what is not a text, or an empty one.
    """
    for name in names:
        given: object = name
        if not isinstance(given, str) or not given.strip():
            raise ParameterError("tags", f"{name!r:.80} is not a tag; give texts that are not empty")
    around = TAGS.get()
    TAGS.set(around.union(names))
    try:
        yield set(around.union(names))
    finally:
        # Not by a token: a generator may be closed in another context than the one that it began in.
        TAGS.set(around)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a run is a run of: the flow's or task's name, and its version where it was given one."""

    name: str
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunInfo:
    """What flow runs and task runs have in common.

    ``parameters`` are the values that it was called with; of a run of another process, and of a flow run that an agent
    began, they are JSON values. ``run_count`` is the number of the attempt, from 1. ``start_time`` (UTC) is when the
    first call began, None before that.
    """

    id: str
    name: str
    flow_name: str | None
    parameters: Mapping[str, Any]
    tags: tuple[str, ...]
    state: State
    run_count: int
    start_time: datetime | None

    @property
    def state_name(self) -> str:
        """The state's name, such as ``Retrying``."""
        return self.state.name

    @property
    def state_type(self) -> str:
        """The state's type, such as ``RUNNING``."""
        return self.state.type.value


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRunInfo(_RunInfo):
    """A flow run at one moment. ``parent_flow_run_id`` is the flow run that called it, None for a root.

    ``parent_task_run_id`` is the task run that did, where one stood in between. ``root_flow_run_id`` is the outermost
    flow run, which may be the run itself.
    """

    parent_flow_run_id: str | None
    parent_task_run_id: str | None
    root_flow_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRunInfo(_RunInfo):
    """A task run at one moment. ``flow_run_id`` is the flow run that it is part of, None for one outside any flow.

    ``parent_task_run_id`` is the task run that called it, where one did.
    """

    task_name: str
    flow_run_id: str | None
    parent_task_run_id: str | None


class _RunContext:
    """A run, asked anew each time for what may change."""

    __slots__ = ("run",)

    def __init__(self, run: Known) -> None:
        #: The engine's own record of it.
        self.run = run

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the run was called with, by parameter."""
        return dict(self.run.parameters)

    @property
    def start_time(self) -> datetime:
        """When the run began (UTC); before its first call, when it entered its state."""
        return datetime.fromtimestamp(self.run.started_at or self.run.state.at, UTC)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.run.id == self.run.id

    def __hash__(self) -> int:
        return hash(self.run.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.run.name!r} {self.run.id[:8]}>"


class FlowRunContext(_RunContext):
    """The flow run that the calling code is part of."""

    __slots__ = ()

    @classmethod
    def get(cls) -> FlowRunContext | None:
        """Return that of the innermost flow run around the calling code, also from inside a task; None outside any."""
        run = next(flow_runs(), None)
        return None if run is None else cls(run)

    @property
    def flow_name(self) -> str:
        """The flow's name."""
        return self.run.flow_name or self.run.name

    @property
    def flow(self) -> Definition:
        """The flow's name and version."""
        return Definition(name=self.flow_name, version=_version(self.run))

    @property
    def flow_run(self) -> FlowRunInfo:
        """The run as it is now."""
        higher = list(above(self.run))
        flows = [run.id for run in higher if run.kind == "flow"]
        caller = next((run for run in higher if run.kind != "cell"), None)
        return FlowRunInfo(
            **_facts(self.run),
            parent_flow_run_id=flows[0] if flows else None,
            parent_task_run_id=caller.id if caller is not None and caller.kind == "task" else None,
            root_flow_run_id=flows[-1] if flows else self.run.id,
        )


class TaskRunContext(_RunContext):
    """The task run that the calling code is part of."""

    __slots__ = ()

    @classmethod
    def get(cls) -> TaskRunContext | None:
        """Return that of the innermost task run around the caller; None outside any and in a flow that a task calls."""
        run = task_run()
        return None if run is None else cls(run)

    @property
    def task_name(self) -> str:
        """The task's name."""
        return self.run.task_name or self.run.name

    @property
    def task(self) -> Definition:
        """The task's name and version."""
        return Definition(name=self.task_name, version=_version(self.run))

    @property
    def task_run(self) -> TaskRunInfo:
        """The run as it is now."""
        higher = list(above(self.run))
        caller = next((run for run in higher if run.kind != "cell"), None)
        return TaskRunInfo(
            **_facts(self.run),
            task_name=self.task_name,
            flow_run_id=next((run.id for run in higher if run.kind == "flow"), None),
            parent_task_run_id=caller.id if caller is not None and caller.kind == "task" else None,
        )


def get_run_context() -> FlowRunContext | TaskRunContext:
    """Return the context of the innermost task or flow run that the calling code is part of.

    In a cell of a headless notebook that is the notebook's flow run. Raises `MissingContextError` outside any run.
    """
    found = TaskRunContext.get() or FlowRunContext.get()
    if found is None:
        raise MissingContextError("there is no active flow or task run: call get_run_context() inside one")
    return found


def _facts(run: Known) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "flow_name": run.flow_name,
        "parameters": dict(run.parameters),
        "tags": tuple(run.tags),
        "state": run.state,
        "run_count": run.attempt,
        "start_time": _moment(run.started_at),
    }


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _version(run: Known) -> str | None:
    version = run.source.get("version")
    return None if version is None else str(version)
