"""The records that the store keeps, as those get them who read it.

A program that only executes runs never loads this module; what reads does so in the middle of its work. Therefore no
``field()`` here: Python turns an interrupt inside of its ``__set_name__`` into a RuntimeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from jupyter_wf.core.states import State

__all__ = [
    "Earlier",
    "Event",
    "LogRecord",
    "Progress",
    "Run",
    "RunError",
    "RunFilter",
    "RunKind",
    "RunPage",
    "StoredResult",
]

RunKind = Literal["flow", "task", "cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """Why a run did not complete: the exception's type name, its text, and the traceback as plain text."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the direct children of a run are.

    ``total`` is what is expected (at least the number of children that exist); ``counts`` maps a state type to how
    many children are in it.
    """

    total: int
    done: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a flow, a task or a plain cell, as it was last committed.

    Times are seconds since the epoch, UTC. ``parameters`` hold JSON values (secrets masked, what is not JSON named by
    its type). ``source`` says where it came from: ``notebook`` (path as given), ``executed`` (absolute path of the
    executed notebook), ``folder``, ``cell`` (index from 0), ``target`` (``file.py:flow``).
    ``process_id`` is the owner's `ProcessInfo.id`. ``progress`` is only filled for runs that can have children.
    ``can_retry`` tells whether a request to try it again can be carried out: somebody must still be there to do it.
    """

    id: str
    kind: RunKind
    name: str
    flow_name: str | None
    task_name: str | None
    parent_id: str | None
    root_id: str
    attempt: int
    state: State
    parameters: Mapping[str, Any]
    tags: tuple[str, ...]
    upstream: tuple[str, ...]
    source: Mapping[str, Any]
    created_at: float
    started_at: float | None
    ended_at: float | None
    expected: int | None = None
    max_attempts: int = 1
    error: RunError | None = None
    process_id: str | None = None
    progress: Progress | None = None
    can_retry: bool = False

    @property
    def is_notebook(self) -> bool:
        """Whether it is the run of a notebook that a runner has executed: it can be resumed and rerun from outside."""
        return self.kind == "flow" and all(isinstance(self.source.get(name), str) for name in ("path", "executed"))

    @property
    def can_resume(self) -> bool:
        """Whether anybody can begin its next attempt: a notebook's run, called by no other, that did not complete."""
        ended = self.state.is_closed() and not self.state.is_completed()
        return ended and self.parent_id is None and self.is_notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list. Fields that are None or empty do not restrict; the others must all hold.

    ``roots_only`` keeps runs without a parent, ``unowned`` open runs that wait for a process; ``states`` are state
    types or names, compared without case; ``flow`` is a flow's name, ``tasks`` are names of tasks; ``deployment`` is
    the id of a deployment whose runs are meant; ``text`` is looked for in the run's, flow's and task's name.
    """

    kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    flow: str | None = None
    tasks: tuple[str, ...] = ()
    parent_id: str | None = None
    root_id: str | None = None
    roots_only: bool = False
    unowned: bool = False
    deployment: str | None = None
    text: str | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One page of a list; ``next_cursor`` is an opaque text that continues it, None at the end."""

    items: tuple[Run, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One log line of a run. ``level`` is a number of the standard library's logging, ``at`` epoch seconds."""

    seq: int
    run_id: str
    at: float
    level: int
    logger: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of the append-only stream.

    ``kind``: ``run`` (created), ``state``, ``log``, ``patch``, ``request``, ``artifact``; and ``deployment``, which has
    an empty ``run_id`` and the payload ``deployment_id``, ``address``, ``change`` (saved, deleted, paused, unpaused,
    schedule).
    """

    seq: int
    at: float
    run_id: str
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A value that a run left for later calls; the fields mean what they do in `ResultStored`.

    ``at`` is None where it is not known when that was.
    """

    run_id: str
    format: str
    data: bytes
    expires_at: float | None = None
    code: str | None = None
    inputs: str | None = None
    at: float | None = None


class Earlier(NamedTuple):
    """A child run of an earlier attempt, with what it left: its parent's next attempt may restore it.

    ``call_number``, ``code`` and ``inputs`` are as in `RunCreated` and `Kept`; ``parameters`` is the stored JSON text.
    ``format`` is None where no value was kept. It is a named tuple because a resumed run reads thousands of them.
    """

    id: str
    kind: RunKind
    name: str
    flow_name: str | None
    task_name: str | None
    call_number: int | None
    attempt: int
    state: State
    parameters: str
    code: str | None
    inputs: str | None
    format: str | None
    data: bytes | None
