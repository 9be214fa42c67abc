"""The processes that execute runs, and what they are asked for.

Every process that begins a run needs these, and few need those of `core.models`: they are apart, and named tuples,
because making a dataclass takes most of a millisecond at import.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ProcessInfo", "Request", "RequestKind"]

RequestKind = Literal["cancel", "retry", "pause", "resume"]


class ProcessInfo(NamedTuple):
    """Who executes runs: enough to tell on the same host, for certain, whether that very process still lives.

    ``started`` is the process's start time in clock ticks since boot (field 22 of ``/proc/PID/stat``), 0 where the
    system has no such figure. ``boot_id`` and ``pid_namespace`` tell whether ``pid`` can be judged from here at all.
    """

    id: str
    pid: int
    started: int
    boot_id: str
    pid_namespace: str
    host: str
    role: str
    created_at: float


class Request(NamedTuple):
    """Somebody asks a run's owner for something.

    ``outcome`` is None until the owner has answered. ``payload`` is a JSON text: the input of a ``resume``.
    """

    id: int
    run_id: str
    kind: RequestKind
    created_at: float
    outcome: str | None = None
    payload: str | None = None
