"""How an agent works, and what the state file says of it."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_wf.core.deployments import Agent
from jupyter_wf.core.processes import ProcessInfo

__all__ = ["DRAIN_VARIABLE", "LEASE", "PRELOAD_VARIABLE", "AgentOptions"]

#: For agents that servers start: after how many seconds of draining they cancel what runs; empty for never.
DRAIN_VARIABLE = "JUPYTER_WF_AGENT_DRAIN"
#: Names of modules, separated by commas, that notebooks import: they are imported once, in advance.
PRELOAD_VARIABLE = "JUPYTER_WF_PRELOAD"

#: Seconds for which an agent claims runs.
LEASE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """How an agent works.

    It takes runs of ``pools``, at most ``limit`` at a time, on a ``lease`` (seconds) that it renews at half-life. When
    it is to end it takes no more and waits for what runs; ``drain`` seconds later it cancels it (None: never). With
    ``idle`` (seconds) it ends by itself once no host of services has lived for so long and nothing runs or waits. Of
    agents that have the same ``service`` one works; the others end.
    """

    name: str
    pools: tuple[str, ...] = ("default",)
    limit: int = 1
    lease: float = LEASE
    drain: float | None = None
    idle: float | None = None
    service: str | None = None

    def record(self, process: ProcessInfo, *, started_at: float, now: float, status: str) -> Agent:
        """Return what the state file is to say of the agent in ``process`` at the time ``now`` (epoch seconds)."""
        return Agent(
            id=process.id,
            name=self.name,
            pools=self.pools,
            limit=self.limit,
            pid=process.pid,
            host=process.host,
            started_at=started_at,
            seen_at=now,
            status=status,
        )
